//! The rows of the conformance list that concern the mailbox server and need no option that it does not have.
//! A test's name begins with its row.

#[cfg(test)]
#[expect(dead_code, reason = "each test file uses its part")]
mod support;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use serde_json::{Value, json};
    use wormhole_core::driver::{Conn, Input, Why};
    use wormhole_server::usage::Usage;
    use wormhole_server::{Event, limits};

    use super::support::MailboxWorld;

    const APP: &str = "test.example/app";

    // Envelope

    #[test]
    fn m22_m23_the_welcome_tells_the_address_and_what_is_set() {
        let mut world = MailboxWorld::mailbox();
        let conn = world.connect("[::ffff:10.1.2.3]:77");
        let address = json!({"port": 77, "ipv4": "10.1.2.3"});
        assert_eq!(world.hear(conn), [json!({"type": "welcome", "welcome": {"your-address": address}})]);
        let mut world = MailboxWorld::mailbox_with(|options| {
            options.motd = Some("hello".into());
            options.advertise_version = Some("1.2".into());
            options.error = Some("go away".into());
        });
        let conn = world.connect("[2001:db8::1]:77");
        let welcome = &world.hear(conn)[0]["welcome"];
        let address = json!({"port": 77, "ipv6": "2001:db8::1"});
        let expected = json!({"motd": "hello", "current_cli_version": "1.2", "error": "go away", "your-address": address});
        assert_eq!(*welcome, expected);
    }

    #[test]
    fn m24_a_client_that_is_asked_to_leave_is_served_all_the_same() {
        let mut world = MailboxWorld::mailbox_with(|options| options.error = Some("go away".into()));
        let conn = bound(&mut world, APP, "a");
        assert_eq!(one(&mut world, conn, json!({"type": "claim", "nameplate": "3"}))["type"], "claimed");
    }

    #[test]
    fn m25_the_ack_has_the_id_whatever_it_is() {
        let mut world = MailboxWorld::mailbox();
        let conn = world.greeted();
        for id in [json!("x"), json!(5), json!([1, {"a": null}]), json!({"b": 1.5}), Value::Null] {
            let heard = world.say(conn, json!({"type": "ping", "ping": 0, "id": id}));
            assert_eq!(heard[0], json!({"type": "ack", "id": id}));
        }
        assert_eq!(
            world.say(conn, json!({"type": "ping", "ping": 0}))[0],
            json!({"type": "ack", "id": null})
        );
    }

    #[test]
    fn m26_without_type_there_is_an_error_and_no_ack() {
        let mut world = MailboxWorld::mailbox();
        let conn = world.greeted();
        for message in [json!({}), json!({"id": "x", "appid": "y"})] {
            let heard = world.say(conn, message.clone());
            assert_eq!(heard, [json!({"type": "error", "error": "missing 'type'", "orig": message})]);
        }
        assert!(world.is_open(conn));
    }

    #[test]
    fn m27_what_is_no_object_gets_an_error_and_the_connection_ends() {
        let mut world = MailboxWorld::mailbox();
        let other = bound(&mut world, APP, "other");
        for message in
            ["not json", "[1, 2]", "\"str\"", "null", "12", "", "\u{feff}{}", "{\"type\": \"ping\""]
        {
            let conn = bound(&mut world, APP, "a");
            world.send(conn, message.as_bytes());
            let heard = world.hear(conn);
            assert_eq!((heard.len(), &heard[0]["type"]), (1, &json!("error")), "{message:?}");
            assert!(!world.is_open(conn), "{message:?}");
        }
        let conn = world.greeted();
        world.send(conn, b"{\"type\": \"\xff\"}");
        assert_eq!((world.hear(conn).len(), world.is_open(conn)), (1, false));
        assert_eq!(one(&mut world, other, json!({"type": "ping", "ping": 1}))["pong"], 1);
        assert_eq!(world.machine.clients(), 1);
    }

    #[test]
    fn m28_of_a_key_that_comes_twice_the_last_one_counts() {
        let mut world = MailboxWorld::mailbox();
        let conn = world.greeted();
        world.send(conn, br#"{"type": "ping", "ping": 1, "ping": 2}"#);
        assert_eq!(world.hear(conn)[1], json!({"type": "pong", "pong": 2}));
    }

    #[test]
    fn m29_numbers_that_are_none_are_refused() {
        for number in ["NaN", "Infinity", "-Infinity", "1e400"] {
            let mut world = MailboxWorld::mailbox();
            let conn = world.greeted();
            world.send(conn, format!(r#"{{"type": "ping", "ping": {number}}}"#).as_bytes());
            assert_eq!(world.hear(conn)[0]["type"], "error", "{number}");
        }
    }

    #[test]
    fn m30_m31_a_ping_comes_back_unchanged_before_bind() {
        let mut world = MailboxWorld::mailbox();
        let conn = world.greeted();
        for ping in
            ["123456789012345678901234567890", "1.0", "null", "\"a\\u0000b\"", "[1, {\"x\":  2}]", "false"]
        {
            world.send(conn, format!(r#"{{"type": "ping", "ping": {ping}}}"#).as_bytes());
            let heard = std::mem::take(&mut world.line(conn).heard);
            let text = String::from_utf8(heard[1].clone()).unwrap();
            assert!(text.starts_with(&format!(r#"{{"type":"pong","pong":{ping},"#)), "{text}");
        }
    }

    #[test]
    fn m32_a_ping_requires_its_value() {
        let mut world = MailboxWorld::mailbox();
        let conn = world.greeted();
        assert_eq!(error(&mut world, conn, json!({"type": "ping"})), "ping requires 'ping'");
        let conn = bound(&mut world, APP, "a");
        assert_eq!(error(&mut world, conn, json!({"type": "ping"})), "ping requires 'ping'");
    }

    #[test]
    fn m33_m34_an_unknown_type_is_an_error_and_the_connection_stays() {
        let mut world = MailboxWorld::mailbox();
        let conn = world.greeted();
        assert_eq!(error(&mut world, conn, json!({"type": "bogus"})), "must bind first");
        let conn = bound(&mut world, APP, "a");
        for kind in [json!("bogus"), Value::Null, json!(5), json!(["list"]), json!({})] {
            assert_eq!(error(&mut world, conn, json!({"type": kind})), "unknown type");
        }
    }

    #[test]
    fn m35_an_error_has_the_command_cut_to_its_limit() {
        let mut world = MailboxWorld::mailbox();
        let conn = bound(&mut world, APP, "a");
        let short = json!({"type": "bogus", "id": [1], "more": {"x": "y"}});
        assert_eq!(world.say(conn, short.clone())[1]["orig"], short);
        let long = json!({"type": "add", "id": "e", "phase": "x", "body": "0".repeat(limits::ORIG_BYTES)});
        let orig = world.say(conn, long)[1]["orig"].clone();
        assert_eq!(orig, json!({"type": "add", "id": "e", "phase": "x"}));
    }

    #[test]
    fn m36_keys_that_are_not_known_are_passed_over() {
        let mut world = MailboxWorld::mailbox();
        let conn = world.greeted();
        let extra = json!([{"deep": [[[]]]}, 1.5, "x"]);
        let bind = json!({"type": "bind", "appid": APP, "side": "a", "extra": extra});
        assert_eq!(world.say(conn, bind).len(), 1);
        let claim = json!({"type": "claim", "nameplate": "1", "extra": extra});
        assert_eq!(one(&mut world, conn, claim)["type"], "claimed");
    }

    #[test]
    fn m37_commands_in_one_go_are_answered_in_order() {
        let mut world = MailboxWorld::mailbox();
        let conn = world.greeted();
        let commands = [
            json!({"type": "bind", "appid": APP, "side": "a"}),
            json!({"type": "ping", "ping": 1}),
            json!({"type": "claim", "nameplate": "4"}),
            json!({"type": "list"}),
            json!({"type": "open", "mailbox": "m"}),
            json!({"type": "add", "phase": "x", "body": "00"}),
            json!({"type": "bogus"}),
            json!({"type": "release"}),
            json!({"type": "close"}),
            json!({"type": "ping", "ping": 2}),
        ];
        for (id, command) in commands.iter().enumerate() {
            let mut command = command.clone();
            command["id"] = json!(id);
            world.queue(conn, command.to_string());
        }
        world.settle();
        let heard = world.hear(conn);
        let kinds: Vec<&str> = heard.iter().map(|message| message["type"].as_str().unwrap()).collect();
        let expected = "ack ack pong ack claimed ack nameplates ack ack message ack error ack released ack closed ack pong";
        assert_eq!(kinds.join(" "), expected);
        let acks = heard.iter().filter(|message| message["type"] == "ack");
        assert!(acks.enumerate().all(|(id, ack)| ack["id"] == id));
    }

    #[test]
    fn m38_deep_nesting_does_no_harm() {
        let mut world = MailboxWorld::mailbox();
        for key in ["ping", "id", "type", "appid", "extra"] {
            let conn = world.greeted();
            let deep =
                format!(r#"{{"type": "ping", "{key}": {}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
            world.send(conn, deep.as_bytes());
            assert_eq!(world.hear(conn)[0]["type"], "error");
        }
        let conn = world.greeted();
        assert_eq!(one(&mut world, conn, json!({"type": "ping", "ping": 1}))["pong"], 1);
    }

    // Bind, list, allocate

    #[test]
    fn m39_everything_else_comes_after_bind() {
        let mut world = MailboxWorld::mailbox();
        let conn = world.greeted();
        for kind in ["list", "allocate", "claim", "release", "open", "add", "close"] {
            assert_eq!(error(&mut world, conn, json!({"type": kind})), "must bind first");
        }
    }

    #[test]
    fn m40_m41_one_good_bind() {
        let mut world = MailboxWorld::mailbox();
        let conn = world.greeted();
        assert_eq!(error(&mut world, conn, json!({"type": "bind", "side": "a"})), "bind requires 'appid'");
        assert_eq!(error(&mut world, conn, json!({"type": "bind", "appid": "a"})), "bind requires 'side'");
        assert_eq!(world.say(conn, json!({"type": "bind", "appid": APP, "side": ""})).len(), 1);
        assert_eq!(
            error(&mut world, conn, json!({"type": "bind", "appid": APP, "side": ""})),
            "already bound"
        );
    }

    #[test]
    fn m42_application_and_side_are_strings_of_bounded_length() {
        let mut world = MailboxWorld::mailbox();
        let conn = world.greeted();
        let long = "x".repeat(limits::NAME_BYTES + 1);
        for bad in [json!(5), Value::Null, json!(["a"]), json!(long)] {
            let text = error(&mut world, conn, json!({"type": "bind", "appid": bad, "side": "a"}));
            assert_eq!(text, "'appid' must be a string, and not too long");
            let text = error(&mut world, conn, json!({"type": "bind", "appid": "a", "side": bad}));
            assert_eq!(text, "'side' must be a string, and not too long");
        }
        assert_eq!(error(&mut world, conn, json!({"type": "list"})), "must bind first");
    }

    #[test]
    fn m43_the_version_of_the_client_is_of_no_consequence() {
        let mut world = MailboxWorld::mailbox();
        let versions = [
            json!(["python", "1"]),
            json!(["p", "1", "x"]),
            Value::Null,
            json!([]),
            json!([1, {}]),
            json!({}),
            json!("ab"),
        ];
        for version in versions {
            let conn = world.greeted();
            let bind = json!({"type": "bind", "appid": APP, "side": "a", "client_version": version});
            assert_eq!(world.say(conn, bind).len(), 1);
            assert_eq!(list(&mut world, conn), [""; 0]);
        }
    }

    #[test]
    fn m106_each_bind_is_told_with_the_version_of_the_client() {
        let mut world = MailboxWorld::mailbox();
        let versions = [
            (json!(["python", "0.24.0"]), Some("python"), Some("0.24.0")),
            (json!(["python", null, "x"]), Some("python"), None),
            (json!([1, "2"]), None, Some("2")),
            (json!("ab"), None, None),
            (Value::Null, None, None),
        ];
        for (version, implementation, number) in versions {
            world.events.clear();
            let conn = world.greeted();
            let bind = json!({"type": "bind", "appid": APP, "side": "s", "client_version": version});
            world.say(conn, bind.clone());
            world.say(conn, bind);
            let [Event::Used(Usage::Client { app, side, implementation: program, version, .. })] =
                world.events.as_slice()
            else {
                panic!("{:?}", world.events)
            };
            assert_eq!((app.as_str(), side.as_str()), (APP, "s"));
            assert_eq!((program.as_deref(), version.as_deref()), (implementation, number));
        }
    }

    #[test]
    fn m44_m45_names_of_the_application_are_listed_as_text() {
        let mut world = MailboxWorld::mailbox();
        let conn = bound(&mut world, APP, "a");
        assert_eq!(list(&mut world, conn), [""; 0]);
        for name in ["10", "2", "1", "11"] {
            claim(&mut world, APP, "a", name);
        }
        claim(&mut world, "test.example/other", "a", "5");
        assert_eq!(list(&mut world, conn), ["1", "10", "11", "2"]);
    }

    #[test]
    fn m46_where_listing_is_forbidden_the_list_is_empty() {
        let mut world = MailboxWorld::mailbox_with(|options| options.allow_list = false);
        claim(&mut world, APP, "a", "1");
        let conn = bound(&mut world, APP, "a");
        assert_eq!(list(&mut world, conn), [""; 0]);
    }

    #[test]
    fn m47_thousands_of_names_are_listed_in_one_message() {
        let mut world = MailboxWorld::mailbox();
        for name in 1..=5000 {
            let (conn, _) = claim(&mut world, APP, "a", &name.to_string());
            world.hang_up(conn, Why::Ended);
        }
        let conn = bound(&mut world, APP, "a");
        assert_eq!(list(&mut world, conn).len(), 5000);
    }

    #[test]
    fn m48_m49_m51_the_shortest_free_names_are_given_out() {
        let mut world = MailboxWorld::mailbox();
        let mut allocate = |count: usize| -> BTreeSet<u64> {
            (0..count).map(|_| allocate(&mut world, APP).parse().unwrap()).collect()
        };
        assert_eq!(allocate(9), (1..=9).collect());
        assert_eq!(allocate(90), (10..=99).collect());
        assert_eq!(allocate(900), (100..=999).collect());
        let long = allocate(50);
        assert_eq!(long.len(), 50);
        assert!(long.iter().all(|name| (1000..1_000_000).contains(name)));
        let conn = bound(&mut world, APP, "greedy");
        assert_eq!(one(&mut world, conn, json!({"type": "allocate"}))["type"], "allocated");
        let text = error(&mut world, conn, json!({"type": "allocate"}));
        assert_eq!(text, "you already allocated one, don't be greedy");
    }

    #[test]
    fn m50_the_first_name_is_a_matter_of_chance() {
        let names: BTreeSet<String> =
            (0..200).map(|seed| allocate(&mut MailboxWorld::mailbox_seeded(seed, |_| {}), APP)).collect();
        assert_eq!(names.len(), 9);
    }

    #[test]
    fn m52_m53_an_allocated_name_is_claimed_and_must_be_named_in_release() {
        let mut world = MailboxWorld::mailbox();
        let conn = bound(&mut world, APP, "a");
        let name = one(&mut world, conn, json!({"type": "allocate"}))["nameplate"].clone();
        let text = error(&mut world, conn, json!({"type": "release"}));
        assert_eq!(text, "release without nameplate must follow claim");
        let first = one(&mut world, conn, json!({"type": "claim", "nameplate": name}));
        let (_, again) = claim(&mut world, APP, "a", name.as_str().unwrap());
        assert_eq!(first["mailbox"], again);
        claim(&mut world, APP, "b", name.as_str().unwrap());
        let conn = bound(&mut world, APP, "c");
        let name = one(&mut world, conn, json!({"type": "allocate"}))["nameplate"].clone();
        assert_eq!(one(&mut world, conn, json!({"type": "release", "nameplate": name}))["type"], "released");
        assert_eq!(list(&mut world, conn).len(), 1);
    }

    #[test]
    fn m54_applications_do_not_use_up_each_others_names() {
        let mut world = MailboxWorld::mailbox();
        for _ in 0..9 {
            allocate(&mut world, "test.example/one");
        }
        assert_eq!(allocate(&mut world, "test.example/two").len(), 1);
    }

    #[test]
    fn m55_many_allocations_are_all_distinct() {
        let mut world = MailboxWorld::mailbox();
        let names: BTreeSet<String> = (0..1104).map(|_| allocate(&mut world, APP)).collect();
        assert_eq!(names.len(), 1104);
    }

    // Claim, release

    #[test]
    fn m56_m57_m58_all_who_claim_a_name_learn_the_same_mailbox() {
        let mut world = MailboxWorld::mailbox();
        let (_, first) = claim(&mut world, APP, "a", "4");
        assert_eq!(first.len(), 13);
        assert!(first.bytes().all(|byte| byte.is_ascii_lowercase() || (b'2'..=b'7').contains(&byte)));
        for side in ["b", "a", "b"] {
            assert_eq!(claim(&mut world, APP, side, "4").1, first);
        }
    }

    #[test]
    fn m59_m60_one_claim_a_connection() {
        let mut world = MailboxWorld::mailbox();
        let conn = bound(&mut world, APP, "a");
        assert_eq!(error(&mut world, conn, json!({"type": "claim"})), "claim requires 'nameplate'");
        assert_eq!(one(&mut world, conn, json!({"type": "claim", "nameplate": "4"}))["type"], "claimed");
        for name in ["4", "5"] {
            let text = error(&mut world, conn, json!({"type": "claim", "nameplate": name}));
            assert_eq!(text, "only one claim per connection");
        }
    }

    #[test]
    fn m61_what_is_no_nameplate_is_refused_and_the_connection_stays() {
        let mut world = MailboxWorld::mailbox();
        let conn = bound(&mut world, APP, "a");
        let texts = ["", "abc", " 1", "1\n", "-1", "1.5", "\u{663}"].map(|text| json!(text));
        let others = [json!("1".repeat(41)), json!(5), Value::Null, json!(true), json!(["1"])];
        for bad in texts.iter().chain(&others) {
            for kind in ["claim", "release"] {
                let text = error(&mut world, conn, json!({"type": kind, "nameplate": bad}));
                assert_eq!(text, "a nameplate is a string of 1 to 40 digits", "{bad}");
            }
        }
        assert_eq!(one(&mut world, conn, json!({"type": "claim", "nameplate": "1"}))["type"], "claimed");
    }

    #[test]
    fn m62_nameplates_are_texts_of_up_to_forty_digits() {
        let mut world = MailboxWorld::mailbox();
        let (long, longer) = ("7".repeat(19), "7".repeat(40));
        let names = ["0", "7", "007", long.as_str(), longer.as_str()];
        let mailboxes: BTreeSet<String> =
            names.iter().map(|name| claim(&mut world, APP, "a", name).1).collect();
        assert_eq!(mailboxes.len(), names.len());
    }

    #[test]
    fn m63_m93_a_third_side_is_refused_and_leaves_no_trace() {
        let mut world = MailboxWorld::mailbox();
        let (a, mailbox) = claim(&mut world, APP, "a", "4");
        let (b, _) = claim(&mut world, APP, "b", "4");
        let third = bound(&mut world, APP, "c");
        assert_eq!(error(&mut world, third, json!({"type": "claim", "nameplate": "4"})), "crowded");
        assert_eq!(
            error(&mut world, third, json!({"type": "claim", "nameplate": "5"})),
            "only one claim per connection"
        );
        assert_eq!(one(&mut world, third, json!({"type": "release"}))["type"], "released");
        let open = json!({"type": "open", "mailbox": mailbox});
        assert_eq!(error(&mut world, third, open.clone()), "crowded");
        let add = json!({"type": "add", "phase": "x", "body": "00"});
        assert_eq!(error(&mut world, third, add), "must open mailbox before adding");
        assert_eq!(one(&mut world, third, json!({"type": "close", "mailbox": mailbox}))["type"], "closed");
        for conn in [a, b] {
            assert_eq!(world.say(conn, open.clone()).len(), 1);
        }
        // They come back, too.
        claim(&mut world, APP, "a", "4");
        let back = opened(&mut world, APP, "b", &mailbox);
        assert_eq!(add_and_hear(&mut world, back, "1").len(), 1);
        for conn in [a, b] {
            assert_eq!(world.hear(conn).len(), 1);
            assert_eq!(one(&mut world, conn, json!({"type": "release"}))["type"], "released");
        }
        assert_eq!(list(&mut world, third), [""; 0]);
        for conn in [a, b] {
            assert_eq!(one(&mut world, conn, json!({"type": "close", "mood": "happy"}))["type"], "closed");
        }
        assert!(claim(&mut world, APP, "c", "4").1 != mailbox);
    }

    #[test]
    fn m64_a_refused_side_does_not_keep_a_mailbox_alive() {
        let mut world = MailboxWorld::mailbox();
        let mailbox = claim(&mut world, APP, "a", "4").1;
        claim(&mut world, APP, "b", "4");
        for _ in 0..20 {
            world.pass(Duration::from_secs(60));
            let conn = bound(&mut world, APP, "c");
            world.say(conn, json!({"type": "claim", "nameplate": "4"}));
            world.say(conn, json!({"type": "open", "mailbox": mailbox}));
            world.say(conn, json!({"type": "close", "mailbox": mailbox}));
            world.hang_up(conn, Why::Ended);
        }
        assert!(claim(&mut world, APP, "d", "4").1 != mailbox);
    }

    #[test]
    fn m65_a_side_cannot_take_back_what_it_released_while_the_other_holds_it() {
        let mut world = MailboxWorld::mailbox();
        let (a, _) = claim(&mut world, APP, "a", "4");
        claim(&mut world, APP, "b", "4");
        world.say(a, json!({"type": "release"}));
        let a = bound(&mut world, APP, "a");
        assert_eq!(error(&mut world, a, json!({"type": "claim", "nameplate": "4"})), "reclaimed");
        let text = error(&mut world, a, json!({"type": "claim", "nameplate": "6"}));
        assert_eq!(text, "only one claim per connection");
        assert_eq!(one(&mut world, a, json!({"type": "release"}))["type"], "released");
    }

    #[test]
    fn m66_a_name_that_nobody_holds_leads_to_a_new_mailbox() {
        let mut world = MailboxWorld::mailbox();
        let (a, first) = claim(&mut world, APP, "a", "4");
        world.say(a, json!({"type": "release"}));
        assert!(claim(&mut world, APP, "a", "4").1 != first);
    }

    #[test]
    fn m67_m68_m69_m70_releasing() {
        let mut world = MailboxWorld::mailbox();
        let conn = bound(&mut world, APP, "a");
        let text = error(&mut world, conn, json!({"type": "release"}));
        assert_eq!(text, "release without nameplate must follow claim");
        assert_eq!(one(&mut world, conn, json!({"type": "release", "nameplate": "99"}))["type"], "released");
        let text = error(&mut world, conn, json!({"type": "release", "nameplate": "99"}));
        assert_eq!(text, "only one release per connection");
        let (conn, _) = claim(&mut world, APP, "a", "5");
        let text = error(&mut world, conn, json!({"type": "release", "nameplate": "6"}));
        assert_eq!(text, "release and claim must use same nameplate");
        assert_eq!(one(&mut world, conn, json!({"type": "release", "nameplate": "5"}))["type"], "released");
    }

    #[test]
    fn m71_m72_a_name_is_free_when_both_released_it_and_the_mailbox_stays() {
        let mut world = MailboxWorld::mailbox();
        let (a, mailbox) = claim(&mut world, APP, "a", "5");
        let (b, _) = claim(&mut world, APP, "b", "5");
        world.say(a, json!({"type": "release"}));
        assert_eq!(list(&mut world, a), ["5"]);
        world.say(b, json!({"type": "release"}));
        assert_eq!(list(&mut world, a), [""; 0]);
        let a = opened(&mut world, APP, "a", &mailbox);
        let b = opened(&mut world, APP, "b", &mailbox);
        assert_eq!(add_and_hear(&mut world, a, "1").len(), 1);
        assert_eq!(world.hear(b).len(), 1);
    }

    #[test]
    fn m73_a_close_touches_no_other_application() {
        let mut world = MailboxWorld::mailbox();
        let conn = opened(&mut world, "test.example/x", "s", "m");
        claim(&mut world, "test.example/y", "s", "5");
        world.say(conn, json!({"type": "close"}));
        let other = bound(&mut world, "test.example/y", "s");
        assert_eq!(list(&mut world, other), ["5"]);
    }

    // Open, add, close

    #[test]
    fn m74_m77_an_added_message_comes_back_with_the_bound_side() {
        let mut world = MailboxWorld::mailbox();
        let conn = opened(&mut world, APP, "a", "never seen");
        let add = json!({"type": "add", "phase": "p", "body": "00", "id": "i7", "side": "evil"});
        let mut echo = one(&mut world, conn, add);
        assert!(echo.as_object_mut().unwrap().remove("server_rx").unwrap().is_f64());
        assert_eq!(echo, json!({"type": "message", "side": "a", "phase": "p", "body": "00", "id": "i7"}));
    }

    #[test]
    fn m75_m76_what_an_add_needs() {
        let mut world = MailboxWorld::mailbox();
        let conn = bound(&mut world, APP, "a");
        let add = json!({"type": "add", "phase": "p", "body": "00"});
        assert_eq!(error(&mut world, conn, add), "must open mailbox before adding");
        let conn = opened(&mut world, APP, "a", "m");
        assert_eq!(error(&mut world, conn, json!({"type": "add"})), "missing 'phase'");
        assert_eq!(error(&mut world, conn, json!({"type": "add", "phase": "p"})), "missing 'body'");
    }

    #[test]
    fn m78_a_late_peer_hears_everything_in_order_and_once() {
        let mut world = MailboxWorld::mailbox();
        let a = opened(&mut world, APP, "a", "m");
        for phase in 0..5 {
            add_and_hear(&mut world, a, &phase.to_string());
        }
        let b = bound(&mut world, APP, "b");
        let mut heard = world.say(b, json!({"type": "open", "mailbox": "m"})).split_off(1);
        for phase in 5..10 {
            add_and_hear(&mut world, a, &phase.to_string());
        }
        heard.extend(world.hear(b));
        let phases: Vec<&str> = heard.iter().map(|message| message["phase"].as_str().unwrap()).collect();
        assert_eq!(phases.concat(), "0123456789");
    }

    #[test]
    fn m80_m81_all_listeners_get_everything_also_what_is_said_twice() {
        let mut world = MailboxWorld::mailbox();
        let one = opened(&mut world, APP, "a", "m");
        let two = opened(&mut world, APP, "a", "m");
        for _ in 0..2 {
            assert_eq!(add_and_hear(&mut world, one, "p").len(), 1);
        }
        assert_eq!(world.hear(two).len(), 2);
        let late = bound(&mut world, APP, "b");
        assert_eq!(world.say(late, json!({"type": "open", "mailbox": "m"})).len(), 3);
    }

    #[test]
    fn m82_phase_and_body_are_strings_of_which_the_body_need_not_be_hex() {
        let mut world = MailboxWorld::mailbox();
        let conn = opened(&mut world, APP, "a", "m");
        for bad in [json!(3), Value::Null, json!([]), json!({})] {
            let text = error(&mut world, conn, json!({"type": "add", "phase": bad, "body": "00"}));
            assert_eq!(text, "'phase' must be a string, and not too long");
            let text = error(&mut world, conn, json!({"type": "add", "phase": "p", "body": bad}));
            assert_eq!(text, "'body' must be a string");
        }
        assert_eq!(one(&mut world, conn, json!({"type": "add", "phase": "", "body": "zz"}))["body"], "zz");
    }

    #[test]
    fn m83_large_and_odd_messages_come_back_as_they_were() {
        let mut world = MailboxWorld::mailbox();
        let conn = opened(&mut world, APP, "a", "m");
        let body = "5a".repeat(1 << 19);
        let phase = "nul \u{0}, clown \u{1f921}, line\n";
        let echo = one(&mut world, conn, json!({"type": "add", "phase": phase, "body": body}));
        assert_eq!((echo["phase"].as_str(), echo["body"].as_str()), (Some(phase), Some(body.as_str())));
    }

    #[test]
    fn m84_m85_what_an_open_needs() {
        let mut world = MailboxWorld::mailbox();
        let conn = bound(&mut world, APP, "a");
        assert_eq!(error(&mut world, conn, json!({"type": "open"})), "open requires 'mailbox'");
        for bad in [json!(5), Value::Null, json!(["m"]), json!("m".repeat(257))] {
            let text = error(&mut world, conn, json!({"type": "open", "mailbox": bad}));
            assert_eq!(text, "'mailbox' must be a string, and not too long");
        }
        assert_eq!(world.say(conn, json!({"type": "open", "mailbox": ""})).len(), 1);
        assert_eq!(
            error(&mut world, conn, json!({"type": "open", "mailbox": "x"})),
            "only one open per connection"
        );
    }

    #[test]
    fn m86_the_same_mailbox_of_two_applications_is_two() {
        let mut world = MailboxWorld::mailbox();
        let one = opened(&mut world, "test.example/x", "a", "m");
        let other = opened(&mut world, "test.example/y", "b", "m");
        add_and_hear(&mut world, one, "p");
        assert_eq!(world.hear(other).len(), 0);
    }

    #[test]
    fn m87_m88_m89_closing() {
        let mut world = MailboxWorld::mailbox();
        let conn = bound(&mut world, APP, "a");
        assert_eq!(
            error(&mut world, conn, json!({"type": "close"})),
            "close without mailbox must follow open"
        );
        assert_eq!(one(&mut world, conn, json!({"type": "close", "mailbox": "m"}))["type"], "closed");
        let conn = opened(&mut world, APP, "a", "m");
        let text = error(&mut world, conn, json!({"type": "close", "mailbox": "n"}));
        assert_eq!(text, "open and close must use same mailbox");
        let close = json!({"type": "close", "mailbox": "m", "mood": "weird"});
        assert_eq!(one(&mut world, conn, close.clone())["type"], "closed");
        assert_eq!(error(&mut world, conn, close), "only one close per connection");
        for mood in [json!(5), Value::Null, json!({}), json!("x".repeat(300))] {
            let conn = opened(&mut world, APP, "a", "m");
            assert_eq!(one(&mut world, conn, json!({"type": "close", "mood": mood}))["type"], "closed");
        }
    }

    #[test]
    fn m90_m95_a_mailbox_lives_until_the_last_side_is_done() {
        let mut world = MailboxWorld::mailbox();
        let a = opened(&mut world, APP, "a", "m");
        let b = opened(&mut world, APP, "b", "m");
        add_and_hear(&mut world, a, "1");
        world.say(a, json!({"type": "close"}));
        world.hear(b);
        assert_eq!(add_and_hear(&mut world, b, "2").len(), 1);
        let a = bound(&mut world, APP, "a");
        assert_eq!(world.say(a, json!({"type": "open", "mailbox": "m"})).len(), 3);
        world.say(b, json!({"type": "close"}));
        assert_eq!(add_and_hear(&mut world, a, "3").len(), 1);
        world.say(a, json!({"type": "close"}));
        assert!(world.store.is_empty());
        let late = bound(&mut world, APP, "c");
        assert_eq!(world.say(late, json!({"type": "open", "mailbox": "m"})).len(), 1);
    }

    #[test]
    fn m91_m92_the_last_close_deletes_messages_and_names() {
        let mut world = MailboxWorld::mailbox();
        let (a, mailbox) = claim(&mut world, APP, "a", "5");
        let (b, _) = claim(&mut world, APP, "b", "5");
        for conn in [a, b] {
            world.say(conn, json!({"type": "open", "mailbox": mailbox}));
        }
        add_and_hear(&mut world, a, "1");
        world.hear(b);
        for conn in [a, b] {
            assert_eq!(one(&mut world, conn, json!({"type": "close", "mailbox": mailbox}))["type"], "closed");
        }
        assert!(world.store.is_empty());
        let late = bound(&mut world, APP, "a");
        assert_eq!(list(&mut world, late), [""; 0]);
        assert_eq!(world.say(late, json!({"type": "open", "mailbox": mailbox})).len(), 1);
    }

    #[test]
    fn m94_a_close_of_what_is_gone_is_answered_and_makes_nothing() {
        let mut world = MailboxWorld::mailbox();
        let conn = bound(&mut world, APP, "a");
        assert_eq!(one(&mut world, conn, json!({"type": "close", "mailbox": "gone"}))["type"], "closed");
        assert!(world.store.is_empty());
    }

    #[test]
    fn m96_after_close_no_message_comes() {
        let mut world = MailboxWorld::mailbox();
        let a = opened(&mut world, APP, "a", "m");
        let b = opened(&mut world, APP, "b", "m");
        world.say(a, json!({"type": "close"}));
        add_and_hear(&mut world, b, "1");
        assert_eq!(world.hear(a).len(), 0);
    }

    #[test]
    fn m97_a_lost_connection_changes_nothing() {
        let mut world = MailboxWorld::mailbox();
        let (a, mailbox) = claim(&mut world, APP, "a", "5");
        world.say(a, json!({"type": "open", "mailbox": mailbox}));
        add_and_hear(&mut world, a, "1");
        world.hang_up(a, Why::Reset);
        world.pass(Duration::from_secs(10 * 60));
        let (a, again) = claim(&mut world, APP, "a", "5");
        assert_eq!(again, mailbox);
        assert_eq!(world.say(a, json!({"type": "open", "mailbox": mailbox})).len(), 2);
    }

    // Prune, limits

    #[test]
    fn m99_what_nobody_touched_for_eleven_minutes_goes() {
        let mut world = MailboxWorld::mailbox();
        let (a, mailbox) = claim(&mut world, APP, "a", "5");
        world.say(a, json!({"type": "open", "mailbox": mailbox}));
        add_and_hear(&mut world, a, "1");
        world.hang_up(a, Why::Reset);
        world.pass(Duration::from_secs(600));
        assert!(!world.store.is_empty());
        world.pass(Duration::from_secs(301));
        assert!(world.store.is_empty());
    }

    #[test]
    fn m100_what_is_listened_to_stays() {
        let mut world = MailboxWorld::mailbox();
        let (a, mailbox) = claim(&mut world, APP, "a", "5");
        world.say(a, json!({"type": "open", "mailbox": mailbox}));
        world.pass(Duration::from_secs(3600));
        assert_eq!(claim(&mut world, APP, "b", "5").1, mailbox);
        world.hang_up(a, Why::Reset);
        world.pass(Duration::from_secs(3600));
        assert!(world.store.is_empty());
    }

    #[test]
    fn m101_a_claim_alone_keeps_nothing_alive() {
        let mut world = MailboxWorld::mailbox();
        let (a, _) = claim(&mut world, APP, "a", "5");
        world.pass(Duration::from_secs(961));
        assert!(world.store.is_empty());
        assert_eq!(one(&mut world, a, json!({"type": "release"}))["type"], "released");
    }

    #[test]
    fn m108_nothing_is_kept_of_clients_that_only_bound() {
        let mut world = MailboxWorld::mailbox();
        for number in 0..1000 {
            let conn = bound(&mut world, &format!("app {number}"), "a");
            world.hang_up(conn, Why::Ended);
        }
        assert!(world.store.is_empty());
        assert_eq!(world.machine.clients(), 0);
    }

    #[test]
    fn m109_a_client_that_never_reads_is_cut_and_costs_the_others_nothing() {
        let mut world = MailboxWorld::mailbox();
        let deaf = opened(&mut world, APP, "a", "m");
        world.line(deaf).stalled = true;
        let conn = opened(&mut world, APP, "b", "m");
        let add = json!({"type": "add", "phase": "p", "body": "0".repeat(limits::QUEUE_BYTES / 8 * 5)});
        for is_open in [true, true, false] {
            assert_eq!(one(&mut world, conn, add.clone())["type"], "message");
            assert_eq!(world.is_open(deaf), is_open);
        }
        assert_eq!(world.hear(deaf).len(), 1);
        // It comes back and gets all of it.
        let back = bound(&mut world, APP, "a");
        assert_eq!(world.say(back, json!({"type": "open", "mailbox": "m"})).len(), 4);
    }

    #[test]
    fn a_client_that_stops_reading_is_asked_nothing_more_until_it_reads() {
        let mut world = MailboxWorld::mailbox();
        let conn = world.greeted();
        world.line(conn).stalled = true;
        let ping = json!({"type": "ping", "ping": "x".repeat(limits::WINDOW_BYTES)});
        assert_eq!(world.say(conn, ping).len(), 2);
        assert_eq!(world.say(conn, json!({"type": "ping", "ping": 1})), [Value::Null; 0]);
        world.unstall(conn, 2);
        assert_eq!(world.hear(conn)[1]["pong"], 1);
    }

    #[test]
    fn a_mailbox_takes_no_more_than_its_limits() {
        let mut world = MailboxWorld::mailbox();
        let conn = opened(&mut world, APP, "a", "many");
        for _ in 0..limits::MAILBOX_MESSAGES {
            assert_eq!(add_and_hear(&mut world, conn, "p")[0]["type"], "message");
        }
        assert_eq!(add_and_hear(&mut world, conn, "p")[0]["error"], "the mailbox is full");
        let conn = opened(&mut world, APP, "a", "large");
        let add = json!({"type": "add", "phase": "p", "body": "0".repeat(limits::MAILBOX_BYTES / 3)});
        assert_eq!(one(&mut world, conn, add.clone())["type"], "message");
        assert_eq!(one(&mut world, conn, add.clone())["type"], "message");
        assert_eq!(error(&mut world, conn, add), "the mailbox is full");
        // All of it reaches whoever opens it, at one go.
        let late = bound(&mut world, APP, "b");
        assert_eq!(world.say(late, json!({"type": "open", "mailbox": "large"})).len(), 3);
    }

    #[test]
    fn a_message_that_is_too_long_ends_the_connection() {
        let mut world = MailboxWorld::mailbox();
        let conn = world.greeted();
        world.send(conn, &vec![b' '; limits::COMMAND_BYTES + 1]);
        assert_eq!(world.hear(conn)[0]["error"], "the message is too long");
        assert!(!world.is_open(conn));
    }

    #[test]
    fn an_old_connection_of_a_side_takes_nothing_from_its_successor() {
        let mut world = MailboxWorld::mailbox();
        let a = opened(&mut world, APP, "a", "m");
        // The connection broke without a word, and its successor is there already.
        let again = opened(&mut world, APP, "a", "m");
        assert_eq!(add_and_hear(&mut world, again, "1").len(), 1);
        world.hang_up(a, Why::TimedOut);
        assert_eq!(add_and_hear(&mut world, again, "2").len(), 1);
    }

    #[test]
    fn an_answer_for_a_connection_that_is_gone_is_dropped() {
        let mut world = MailboxWorld::mailbox();
        let conn = bound(&mut world, APP, "a");
        world.only_handle(Input::Received { conn, bytes: br#"{"type":"open","mailbox":"m"}"#.to_vec() });
        world.only_handle(Input::Closed { conn, why: Why::Reset });
        world.lines.remove(&conn);
        world.settle();
        world.pass(Duration::from_secs(961));
        assert!(world.store.is_empty());
    }

    #[test]
    fn a_failed_accept_rests_and_a_failed_listener_is_told() {
        let mut world = MailboxWorld::mailbox();
        let (listener, next) = world.accepting.take().unwrap();
        world.put(Input::Closed { conn: next, why: Why::Other("no descriptors left".into()) });
        assert!(world.accepting.is_none());
        world.pass(limits::ACCEPT_PAUSE);
        assert!(world.accepting.is_some_and(|(_, again)| again != next));
        world.put(Input::Closed { conn: listener, why: Why::Reset });
        assert_eq!(world.events.last(), Some(&Event::Failed(Why::Reset)));
    }

    // Clients

    fn bound(world: &mut MailboxWorld, app: &str, side: &str) -> Conn {
        let conn = world.greeted();
        assert_eq!(world.say(conn, json!({"type": "bind", "appid": app, "side": side})).len(), 1);
        conn
    }

    /// Bound, and the mailbox open, with what was in it heard.
    fn opened(world: &mut MailboxWorld, app: &str, side: &str, mailbox: &str) -> Conn {
        let conn = bound(world, app, side);
        let heard = world.say(conn, json!({"type": "open", "mailbox": mailbox}));
        assert!(heard.iter().all(|message| message["type"] != "error"), "{heard:?}");
        conn
    }

    /// A new connection that has claimed a nameplate, and the mailbox.
    fn claim(world: &mut MailboxWorld, app: &str, side: &str, nameplate: &str) -> (Conn, String) {
        let conn = bound(world, app, side);
        let claimed = one(world, conn, json!({"type": "claim", "nameplate": nameplate}));
        (conn, claimed["mailbox"].as_str().unwrap_or_else(|| panic!("{claimed}")).into())
    }

    /// A nameplate for a new side, whose connection is lost.
    fn allocate(world: &mut MailboxWorld, app: &str) -> String {
        let conn = bound(world, app, "a");
        let name = one(world, conn, json!({"type": "allocate"}))["nameplate"].as_str().unwrap().into();
        world.hang_up(conn, Why::Reset);
        name
    }

    fn list(world: &mut MailboxWorld, conn: Conn) -> Vec<String> {
        let answer = one(world, conn, json!({"type": "list"}));
        let names = answer["nameplates"].as_array().unwrap();
        names.iter().map(|listed| listed["id"].as_str().unwrap().into()).collect()
    }

    fn add_and_hear(world: &mut MailboxWorld, conn: Conn, phase: &str) -> Vec<Value> {
        world.say(conn, json!({"type": "add", "phase": phase, "body": "00"})).split_off(1)
    }

    /// Says a command that has an ack and one answer.
    fn one(world: &mut MailboxWorld, conn: Conn, command: Value) -> Value {
        let id = command.get("id").cloned().unwrap_or_default();
        let mut heard = world.say(conn, command);
        assert_eq!(heard.len(), 2, "{heard:?}");
        assert_eq!(heard[0], json!({"type": "ack", "id": id}));
        heard.remove(1)
    }

    /// Says a command that is refused while the connection stays.
    fn error(world: &mut MailboxWorld, conn: Conn, command: Value) -> String {
        let answer = one(world, conn, command.clone());
        assert_eq!(answer["type"], "error", "{answer}");
        if command.to_string().len() < limits::ORIG_BYTES {
            assert_eq!(answer["orig"], command);
        }
        assert!(world.is_open(conn));
        answer["error"].as_str().unwrap().into()
    }
}
