//! Mailbox, 2: the envelope.

use serde_json::{Value, json};
use wormhole_server::limits;

use crate::client::Client;
use crate::raw::{CLOSE, Raw, TEXT};
use crate::talk::{APP, answer, bound, error, greeted, kibibytes, mailbox, opened, timed};

#[test]
fn m22_the_welcome_has_its_time_and_the_address_of_the_client() {
    let server = mailbox(&[]);
    let mut client = Client::connect(server.at("mailbox"));
    let mut welcome = timed(&mut client);
    let address = welcome["welcome"]["your-address"].take();
    assert!(address["port"].as_u64().is_some_and(|port| port > 0), "{address}");
    assert_eq!(address["ipv4"], "127.0.0.1");
}

#[test]
fn m23_the_welcome_has_what_is_set_and_nothing_else() {
    let keys = |server| {
        let mut welcome = Client::connect(server).hear()["welcome"].take();
        welcome.as_object_mut().unwrap().remove("your-address");
        welcome
    };
    assert_eq!(keys(mailbox(&[]).at("mailbox")), json!({}));
    let set = mailbox(&["--motd", "hello", "--advertise-version", "1.2", "--signal-error", "go away"]);
    let expected = json!({"motd": "hello", "current_cli_version": "1.2", "error": "go away"});
    assert_eq!(keys(set.at("mailbox")), expected);
}

#[test]
fn m24_who_is_asked_to_leave_is_served_all_the_same() {
    let server = mailbox(&["--signal-error", "go away"]);
    let mut client = bound(&server, APP, "a");
    assert_eq!(answer(&mut client, json!({"type": "claim", "nameplate": "3"}))["type"], "claimed");
}

#[test]
fn m25_the_ack_has_the_id_whatever_it_is() {
    let server = mailbox(&[]);
    let mut client = greeted(&server);
    for id in [json!("x"), json!(5), json!([1, {"a": null}]), json!({"b": 1.5}), Value::Null] {
        client.say(json!({"type": "ping", "ping": 0, "id": id}));
        assert_eq!(timed(&mut client), json!({"type": "ack", "id": id}));
        timed(&mut client);
    }
    client.say(json!({"type": "ping", "ping": 0}));
    assert_eq!(timed(&mut client), json!({"type": "ack", "id": null}));
}

#[test]
fn m26_without_a_type_there_is_an_error_and_no_ack() {
    let server = mailbox(&[]);
    let mut client = greeted(&server);
    for message in [json!({}), json!({"id": "x"})] {
        client.say(message.clone());
        let expected = json!({"type": "error", "error": "missing 'type'", "orig": message});
        assert_eq!(timed(&mut client), expected);
    }
    assert_eq!(answer(&mut client, json!({"type": "ping", "ping": 1}))["pong"], 1);
}

#[test]
fn m27_what_is_no_object_gets_an_error_and_troubles_nobody_else() {
    let server = mailbox(&[]);
    let mut other = greeted(&server);
    for message in ["not json", "[1, 2]", "\"str\"", "null", "", "12", "\u{feff}{}"] {
        let mut raw = Raw::connect(server.at("mailbox"));
        raw.hear();
        raw.send(TEXT, message.as_bytes());
        assert_eq!(raw.hear()["type"], "error", "{message:?}");
        assert_eq!(raw.frame().unwrap().0, CLOSE, "{message:?}");
    }
    assert_eq!(answer(&mut other, json!({"type": "ping", "ping": 1}))["pong"], 1);
}

#[test]
fn m28_of_a_key_that_comes_twice_the_last_one_counts() {
    let server = mailbox(&[]);
    assert_eq!(pong(&mut ready(&server), "1,\"ping\":2"), "2");
}

#[test]
fn m29_numbers_that_are_none_are_refused_and_never_sent() {
    let server = mailbox(&[]);
    for number in ["NaN", "Infinity", "-Infinity", "1e400"] {
        let mut raw = ready(&server);
        raw.send(TEXT, format!(r#"{{"type":"ping","ping":{number}}}"#).as_bytes());
        // What cannot be read as JSON would end the test here.
        assert_eq!(raw.hear()["type"], "error", "{number}");
    }
}

#[test]
fn m30_a_number_of_thirty_digits_comes_back_unchanged() {
    let server = mailbox(&[]);
    let number = "123456789012345678901234567890";
    assert_eq!(pong(&mut ready(&server), number), number);
}

#[test]
fn m31_a_ping_has_any_value_before_bind() {
    let server = mailbox(&[]);
    let mut raw = ready(&server);
    for value in ["1.0", "null", "\"a\\u0000b\"", "[1, {\"x\":  2}]", "false"] {
        assert_eq!(pong(&mut raw, value), value);
    }
}

#[test]
fn m32_a_ping_requires_its_value() {
    let server = mailbox(&[]);
    for mut client in [greeted(&server), bound(&server, APP, "a")] {
        assert_eq!(error(&mut client, json!({"type": "ping"})), "ping requires 'ping'");
    }
}

#[test]
fn m33_an_unknown_type_is_told_from_one_that_comes_too_early() {
    let server = mailbox(&[]);
    assert_eq!(error(&mut greeted(&server), json!({"type": "nonsense"})), "must bind first");
    assert_eq!(error(&mut bound(&server, APP, "a"), json!({"type": "nonsense"})), "unknown type");
}

#[test]
fn m34_a_type_that_is_no_text_is_unknown_and_the_connection_stays() {
    let server = mailbox(&[]);
    let mut client = bound(&server, APP, "a");
    for kind in [Value::Null, json!(5), json!(["list"]), json!({})] {
        assert_eq!(error(&mut client, json!({"type": kind})), "unknown type");
    }
    assert_eq!(answer(&mut client, json!({"type": "ping", "ping": 1}))["pong"], 1);
}

#[test]
fn m35_an_error_has_the_command_cut_to_its_limit() {
    let server = mailbox(&[]);
    let mut client = bound(&server, APP, "a");
    let short = json!({"type": "nonsense", "id": [1], "more": {"x": "y"}});
    assert_eq!(answer(&mut client, short.clone())["orig"], short);
    let body = "0".repeat(limits::ORIG_BYTES);
    let long = json!({"type": "add", "id": "e", "phase": "x", "body": body});
    assert_eq!(answer(&mut client, long)["orig"], json!({"type": "add", "id": "e", "phase": "x"}));
}

#[test]
fn m36_keys_that_are_not_known_are_passed_over() {
    let server = mailbox(&[]);
    let mut client = greeted(&server);
    let extra = json!([{"deep": [[[]]]}, 1.5, "x"]);
    client.tell(json!({"type": "bind", "appid": APP, "side": "a", "extra": extra}));
    let claim = json!({"type": "claim", "nameplate": "1", "extra": extra, "mailbox": 5});
    assert_eq!(answer(&mut client, claim)["type"], "claimed");
}

#[test]
fn m37_ten_commands_in_one_go_are_answered_in_order() {
    let server = mailbox(&[]);
    let mut peer = opened(&server, "peer", "m");
    let mut client = greeted(&server);
    let commands = [
        json!({"type": "bind", "appid": APP, "side": "a"}),
        json!({"type": "ping", "ping": 1}),
        json!({"type": "claim", "nameplate": "4"}),
        json!({"type": "list"}),
        json!({"type": "open", "mailbox": "m"}),
        json!({"type": "add", "phase": "x", "body": "00"}),
        json!({"type": "nonsense"}),
        json!({"type": "release"}),
        json!({"type": "close"}),
        json!({"type": "ping", "ping": 2}),
    ];
    for (id, mut command) in commands.into_iter().enumerate() {
        command["id"] = json!(id);
        client.say(command);
    }
    let expected =
        "ack ack pong ack claimed ack nameplates ack ack message ack error ack released ack closed ack pong";
    let mut acks = 0;
    for kind in expected.split(' ') {
        let message = client.hear();
        assert_eq!(message["type"], kind);
        if kind == "ack" {
            assert_eq!(message["id"], acks);
            acks += 1;
        }
    }
    assert_eq!(peer.hear()["phase"], "x");
}

#[test]
fn m38_deep_nesting_does_no_harm() {
    let server = mailbox(&[]);
    for key in ["ping", "id", "type", "appid", "extra"] {
        let mut raw = ready(&server);
        let deep = format!(r#"{{"type":"ping","{key}":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        raw.send(TEXT, deep.as_bytes());
        assert_eq!(raw.hear()["type"], "error");
        assert_eq!(raw.frame().unwrap().0, CLOSE);
    }
    greeted(&server);
    let most = kibibytes(&server, "VmHWM");
    assert!(most < 64 << 10, "{most} KiB");
}

/// A client that has heard its welcome.
fn ready(server: &crate::running::Running) -> Raw {
    let mut raw = Raw::connect(server.at("mailbox"));
    raw.hear();
    raw
}

/// The value of the pong to a ping with this value, as it is written.
fn pong(raw: &mut Raw, value: &str) -> String {
    raw.send(TEXT, format!(r#"{{"type":"ping","ping":{value}}}"#).as_bytes());
    assert_eq!(raw.hear()["type"], "ack");
    let text = raw.text();
    let rest = text.strip_prefix(r#"{"type":"pong","pong":"#).unwrap();
    rest.rsplit_once(",\"server_tx\"").unwrap().0.to_owned()
}
