//! What clients of both servers may cost, on a clock that is moved by hand.

#[cfg(test)]
#[expect(dead_code, reason = "each test file uses its part")]
mod support;

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};
    use std::time::Duration;

    use serde_json::{Value, json};
    use wormhole_core::crypto::hashcash::Search;
    use wormhole_core::driver::{Conn, Why};
    use wormhole_core::rng::Rng;
    use wormhole_server::limits::{self, Bounds, PerAddress};
    use wormhole_server::mailbox::{Guard, Work};
    use wormhole_server::store::{Limits, Memory};

    use super::support::{MailboxWorld, RelayWorld, World};

    const APP: &str = "test.example/app";
    const A: &str = "192.0.2.1:5";
    const B: &str = "192.0.2.2:5";
    const SECOND: Duration = Duration::from_secs(1);
    const MINUTE: Duration = Duration::from_secs(60);
    /// The codes of a close frame: not allowed, too long, later.
    const NOT_ALLOWED: Option<u16> = Some(1008);
    const TOO_LONG: Option<u16> = Some(1009);
    const LATER: Option<u16> = Some(1013);

    // One connection

    #[test]
    fn a_command_of_exactly_the_limit_is_taken_and_the_next_longer_one_closed_with_1009() {
        let mut world = bounded(|bounds| bounds.command_bytes = 100);
        let conn = world.greeted();
        let ping = |size: usize| {
            let empty = r#"{"type":"ping","ping":""}"#.len();
            format!(r#"{{"type":"ping","ping":"{}"}}"#, "x".repeat(size - empty)).into_bytes()
        };
        world.send(conn, &ping(100));
        assert_eq!(world.hear(conn).len(), 2);
        world.send(conn, &ping(101));
        assert_eq!(world.hear(conn)[0]["error"], "the message is too long");
        assert_eq!(world.line(conn).code, TOO_LONG);
    }

    #[test]
    fn names_ids_and_nesting_have_their_limits() {
        let mut world = bounded(|bounds| {
            (bounds.name_bytes, bounds.id_bytes, bounds.nesting) = (4, 6, 3);
        });
        let conn = world.greeted();
        let bind = |appid: &str| json!({"type": "bind", "appid": appid, "side": "s", "id": "1234"});
        assert_eq!(world.say(conn, bind("abcde"))[1]["error"], "'appid' must be a string, and not too long");
        assert_eq!(world.say(conn, bind("abcd")).len(), 1);
        let ping = |ping: Value| json!({"type": "ping", "ping": ping});
        assert_eq!(world.say(conn, ping(json!([[]])))[1]["type"], "pong");
        let deep = world.say(conn, ping(json!([[[]]])));
        assert_eq!(deep[0]["error"], "the message is nested too deep");
        assert_eq!(world.line(conn).code, Some(1007));
        let conn = world.greeted();
        let long = world.say(conn, json!({"type": "ping", "ping": 1, "id": "12345"}));
        assert_eq!((long.len(), &long[0]["error"]), (1, &json!("the 'id' is too long")));
        assert_eq!(world.line(conn).code, NOT_ALLOWED);
    }

    #[test]
    fn what_is_no_command_is_closed_with_1007() {
        let mut world = bounded(|_| {});
        for bytes in [b"nonsense".as_slice(), b"\xff\xff", b"[]"] {
            let conn = world.greeted();
            world.send(conn, bytes);
            assert_eq!(world.line(conn).code, Some(1007));
        }
    }

    #[test]
    fn orig_is_as_long_as_is_set() {
        let mut world = bounded(|bounds| bounds.orig_bytes = 30);
        let conn = world.greeted();
        let heard = world.say(conn, json!({"type": "open", "mailbox": "0".repeat(100)}));
        assert_eq!(heard[1]["orig"], json!({"type": "open"}));
    }

    #[test]
    fn who_does_not_read_is_closed_with_1013_and_the_others_feel_nothing() {
        let mut world = bounded(|bounds| bounds.queue_bytes = 1_000_000);
        let deaf = opened(&mut world, A, "a");
        world.line(deaf).stalled = true;
        let talker = opened(&mut world, B, "b");
        let add = json!({"type": "add", "phase": "p", "body": "0".repeat(400_000)});
        let closed: Vec<bool> = (0..5)
            .map(|_| {
                assert_eq!(world.say(talker, add.clone())[1]["type"], "message");
                !world.is_open(deaf)
            })
            .collect();
        assert_eq!(closed, [false, false, false, true, true], "a window and the limit");
        assert_eq!(world.line(deaf).code, LATER);
    }

    #[test]
    fn a_mailbox_and_an_application_hold_what_is_set() {
        let limits = Limits { mailbox_messages: 2, nameplates: 3, ..Limits::default() };
        let mut world = bounded(|_| {});
        world.store = Memory::with([7; 32], wormhole_server::Stamp::default(), limits);
        let conn = opened(&mut world, A, "a");
        let add = json!({"type": "add", "phase": "p", "body": "00"});
        assert_eq!(
            [(); 3].map(|()| kind(&mut world, conn, add.clone())),
            ["message", "message", "the mailbox is full"]
        );
        let claims: Vec<String> = (1..=4).map(|name| said(&mut world, A, claim(&name.to_string()))).collect();
        assert_eq!(claims, ["claimed", "claimed", "claimed", "no nameplate is free"]);
    }

    #[test]
    fn lists_of_one_client_have_a_second_between_them_and_none_is_refused() {
        let mut world = bounded(|bounds| bounds.list_pause = SECOND);
        let conn = bound(&mut world, A, "a");
        assert_eq!(kind(&mut world, conn, list()), "nameplates");
        assert_eq!(world.say(conn, list()), [json!({"type": "ack", "id": null})]);
        // What comes behind it waits with it.
        assert_eq!(world.say(conn, json!({"type": "ping", "ping": 1})), [Value::Null; 0]);
        world.pass(SECOND - Duration::from_millis(1));
        assert_eq!(world.hear(conn), [Value::Null; 0]);
        world.pass(Duration::from_millis(1));
        let heard: Vec<Value> = world.hear(conn).iter().map(|message| message["type"].clone()).collect();
        assert_eq!(heard, ["nameplates", "ack", "pong"]);
        // One that has gone meanwhile is asked nothing for.
        world.say(conn, list());
        world.hang_up(conn, Why::Ended);
        world.pass(SECOND * 2);
        assert!(world.store.is_empty());
    }

    // All connections of an address

    #[test]
    fn too_many_connections_of_an_address_are_told_so_and_others_let_in() {
        let mut world = guarded(PerAddress { connections: 3, ..PerAddress::default() });
        let three = [(); 3].map(|()| world.connect(A));
        assert!(three.iter().all(|conn| world.is_open(*conn)));
        let fourth = world.connect(A);
        let word = "there are too many connections from your address; try again later";
        assert_eq!(world.hear(fourth)[0]["welcome"]["error"], word);
        assert_eq!((world.is_open(fourth), world.line(fourth).code), (false, LATER));
        let other = world.connect(B);
        assert!(world.is_open(other));
        let refusals = world.machine.counts().refusals.totals();
        assert_eq!(refusals, [("too many connections from one address", 1)]);
        world.hang_up(three[0], Why::Ended);
        let again = world.connect(A);
        assert!(world.is_open(again));
        assert_eq!(world.machine.clients(), 4);
    }

    #[test]
    fn connections_that_come_too_fast_are_closed_without_a_word() {
        let mut world = guarded(PerAddress { connects: 2, ..PerAddress::default() });
        let come = |world: &mut MailboxWorld| {
            let conn = world.connect(A);
            (world.hear(conn).len(), world.line(conn).code)
        };
        assert_eq!([(); 3].map(|()| come(&mut world)), [(1, None), (1, None), (0, LATER)]);
        world.pass(SECOND);
        assert_eq!(come(&mut world), (1, None));
        let refusals = world.machine.counts().refusals.totals();
        assert_eq!(refusals, [("too many new connections from one address", 1)]);
    }

    #[test]
    fn networks_of_64_bits_are_counted_as_one_and_clients_without_an_address_are_not() {
        let mut world = guarded(PerAddress { connections: 1, ..PerAddress::default() });
        for (peer, is_open) in [
            ("[2001:db8::1]:1", true),
            ("[2001:db8::2]:1", false),
            ("[2001:db8:0:1::1]:1", true),
            ("[::ffff:192.0.2.1]:1", true),
            ("192.0.2.1:2", false),
            ("0.0.0.0:0", true),
            ("0.0.0.0:0", true),
        ] {
            let conn = world.connect(peer);
            assert_eq!(world.is_open(conn), is_open, "{peer}");
        }
    }

    #[test]
    fn allocations_of_a_minute_are_counted() {
        let mut world = guarded(PerAddress { allocates: 2, ..PerAddress::default() });
        let allocate = || json!({"type": "allocate"});
        let too_many = "too many nameplates for one address; try again in a minute";
        let all = [(); 3].map(|()| said(&mut world, A, allocate()));
        assert_eq!(all, ["allocated", "allocated", too_many]);
        assert_eq!(said(&mut world, B, allocate()), "allocated");
        world.pass(MINUTE);
        assert_eq!(said(&mut world, A, allocate()), "allocated");
    }

    #[test]
    fn claims_of_free_names_are_counted_and_those_of_ones_own_and_of_a_partner_are_not() {
        let mut world = guarded(PerAddress { claims: 2, ..PerAddress::default() });
        // Others have allocated ten names; the address joins each of them.
        let names: Vec<String> = (0..10).map(|_| allocated(&mut world, B)).collect();
        for name in &names {
            assert_eq!(said(&mut world, A, claim(name)), "claimed");
        }
        // It claims what it has allocated.
        let conn = bound(&mut world, A, "own");
        let name = world.say(conn, json!({"type": "allocate"}))[1]["nameplate"].clone();
        assert_eq!(kind(&mut world, conn, claim(name.as_str().unwrap())), "claimed");
        let too_many = "too many claims of free nameplates from one address; try again in a minute";
        let all = ["501", "502", "503"].map(|name| said(&mut world, A, claim(name)));
        assert_eq!(all, ["claimed", "claimed", too_many]);
        // A partner is still met.
        let partner = allocated(&mut world, B);
        assert_eq!(said(&mut world, A, claim(&partner)), "claimed");
        world.pass(MINUTE);
        assert_eq!(said(&mut world, A, claim("503")), "claimed");
    }

    #[test]
    fn a_side_that_comes_back_to_its_own_name_uses_nothing_up() {
        let mut world = guarded(PerAddress { claims: 1, joins: 1, ..PerAddress::default() });
        for _ in 0..20 {
            let conn = bound(&mut world, A, "the same");
            assert_eq!(kind(&mut world, conn, claim("7")), "claimed");
            world.hang_up(conn, Why::Reset);
        }
    }

    #[test]
    fn m110_whoever_tries_names_is_stopped_also_where_they_are_taken() {
        let mut world = guarded(PerAddress { claims: 10, joins: 60, ..PerAddress::default() });
        let names: Vec<String> = (0..100).map(|_| allocated(&mut world, B)).collect();
        let found = names.iter().filter(|name| said(&mut world, A, claim(name)) == "claimed").count();
        assert_eq!(found, 60);
        // Neither does it learn which names are free.
        let too_many = "too many claims from one address; try again in a minute";
        assert_eq!(said(&mut world, A, claim("987654")), too_many);
        assert_eq!(said(&mut world, "192.0.2.3:5", claim("987654")), "claimed");
    }

    #[test]
    fn what_is_learnt_about_free_names_counts_as_a_try() {
        let mut world = guarded(PerAddress { claims: 1, joins: 5, ..PerAddress::default() });
        let all: Vec<String> = (1..=7).map(|name| said(&mut world, A, claim(&name.to_string()))).collect();
        let (free, all_of_them) = (
            "too many claims of free nameplates from one address; try again in a minute",
            "too many claims from one address; try again in a minute",
        );
        assert_eq!(all, ["claimed", free, free, free, free, free, all_of_them]);
    }

    #[test]
    fn m47_the_sixth_list_of_a_minute_is_refused() {
        let mut world = guarded(PerAddress { lists: 5, ..PerAddress::default() });
        let all = [(); 6].map(|()| said(&mut world, A, list()));
        assert_eq!(all[..5], ["nameplates"; 5]);
        assert_eq!(all[5], "too many lists for one address; try again in a minute");
        assert_eq!(said(&mut world, B, list()), "nameplates");
        world.pass(MINUTE);
        assert_eq!(said(&mut world, A, list()), "nameplates");
    }

    #[test]
    fn limits_that_change_hold_for_those_who_are_inside() {
        let mut world = guarded(PerAddress::default());
        let conns = [(); 8].map(|()| world.connect(A));
        let limits = PerAddress { connections: 8, lists: 10, ..PerAddress::default() };
        world.machine.guard(Guard { addresses: limits.tightened(), work: None });
        assert!(conns.iter().all(|conn| world.is_open(*conn)));
        let late = world.connect(A);
        assert!(!world.is_open(late));
        for conn in &conns[..7] {
            world.hang_up(*conn, Why::Ended);
        }
        assert_eq!(
            [(); 4].map(|()| said(&mut world, A, list())),
            [
                "nameplates",
                "nameplates",
                "nameplates",
                "too many lists for one address; try again in a minute"
            ]
        );
    }

    #[test]
    fn a_quarter_is_left_of_each_limit_and_no_limit_stays_none() {
        let limits = PerAddress { connections: 50, claims: 10, lists: 1, ..PerAddress::default() };
        let tightened = PerAddress { connections: 13, claims: 3, lists: 1, ..PerAddress::default() };
        assert_eq!(limits.tightened(), tightened);
    }

    // Work

    #[test]
    fn m111_who_binds_at_once_hears_why_not_and_is_closed_with_1008() {
        let mut world = working(8);
        for command in [bind("a"), list(), claim("4"), json!({"type": "nonsense"})] {
            let (conn, _) = stranger(&mut world);
            let heard = world.say(conn, command);
            assert_eq!((heard.len(), &heard[0]["type"]), (2, &json!("ack")));
            assert_eq!(heard[1]["error"], "must submit-permission first");
            assert_eq!((world.is_open(conn), world.line(conn).code), (false, NOT_ALLOWED));
        }
        let refusals = world.machine.counts().refusals.totals();
        assert_eq!(refusals, [("must submit-permission first", 4)]);
    }

    #[test]
    fn m111_a_stamp_opens_the_door_in_both_spellings() {
        let mut world = working(8);
        for spelling in ["submit-permissions", "submit-permission"] {
            let (conn, resource) = stranger(&mut world);
            assert_eq!(world.say(conn, json!({"type": "ping", "ping": 1}))[1]["pong"], 1);
            assert_eq!(world.say(conn, submit(spelling, &stamp(8, &resource))).len(), 1, "the ack only");
            assert_eq!(world.say(conn, bind("a")).len(), 1);
            assert_eq!(kind(&mut world, conn, list()), "nameplates");
        }
    }

    #[test]
    fn m112_what_is_no_stamp_for_this_connection_is_refused() {
        let mut world = working(8);
        let (_, other) = stranger(&mut world);
        let bad: [&dyn Fn(&str) -> String; 6] = [
            &|_| stamp(8, &other),
            &|resource| stamp(7, resource),
            &|resource| stamp(8, resource).replacen('1', "0", 1),
            &|resource| stamp(8, resource).replacen("::", ":", 1),
            &|resource| stamp(8, resource).replacen("1:", "one:", 1),
            &|_| String::new(),
        ];
        for bad in bad {
            let (conn, resource) = stranger(&mut world);
            let heard = world.say(conn, submit("submit-permissions", &bad(&resource)));
            assert_eq!(heard[1]["error"], "submit-permission failed");
            assert_eq!(world.line(conn).code, NOT_ALLOWED);
        }
        let (conn, _) = stranger(&mut world);
        let heard = world.say(conn, json!({"type": "submit-permissions", "method": "coin"}));
        assert_eq!(heard[1]["error"], "'method' is not one of: hashcash");
    }

    #[test]
    fn a_stamp_serves_one_connection_once() {
        let mut world = working(8);
        let (conn, resource) = stranger(&mut world);
        let stamp = submit("submit-permissions", &stamp(8, &resource));
        assert_eq!(world.say(conn, stamp.clone()).len(), 1);
        world.hang_up(conn, Why::Ended);
        let (conn, next) = stranger(&mut world);
        assert_ne!(resource, next);
        assert_eq!(world.say(conn, stamp)[1]["error"], "submit-permission failed");
    }

    #[test]
    fn m113_the_welcome_has_what_clients_in_use_need_and_nothing_more() {
        let mut world = working(20);
        let conn = world.connect(A);
        let welcome = world.hear(conn)[0]["welcome"].clone();
        let permission = &welcome["permission-required"];
        let resource = &permission["hashcash"]["resource"];
        assert_eq!(resource.as_str().unwrap().len(), 12);
        assert_eq!(*permission, json!({"none": null, "hashcash": {"bits": 20, "resource": resource}}));
        world.machine.guard(Guard::default());
        let conn = world.connect(A);
        assert_eq!(world.hear(conn)[0]["welcome"].get("permission-required"), None);
    }

    #[test]
    fn work_that_is_asked_for_later_concerns_those_who_come_later() {
        let mut world = guarded(PerAddress::default());
        let early = world.connect(A);
        world.hear(early);
        world.machine.guard(work(8));
        assert_eq!(world.say(early, bind("a")).len(), 1);
        assert_eq!(kind(&mut world, early, list()), "nameplates");
        let (late, _) = stranger(&mut world);
        assert_eq!(world.say(late, bind("b"))[1]["error"], "must submit-permission first");
    }

    // A third side

    #[test]
    fn a_third_side_that_comes_again_and_again_changes_nothing_for_the_first_two() {
        let mut world = guarded(PerAddress { joins: 20, ..PerAddress::default() });
        let (a, b) = (bound(&mut world, A, "a"), bound(&mut world, B, "b"));
        let mailbox = world.say(a, claim("4"))[1]["mailbox"].clone();
        assert_eq!(kind(&mut world, b, claim("4")), "claimed");
        let open = json!({"type": "open", "mailbox": mailbox});
        let open_too = open.clone();
        let third = "192.0.2.9:1";
        let tries: Vec<String> = (0..40)
            .map(|_| {
                let conn = bound(&mut world, third, "third");
                assert_eq!(kind(&mut world, conn, open_too.clone()), "crowded");
                let answer = kind(&mut world, conn, claim("4"));
                world.hang_up(conn, Why::Ended);
                answer
            })
            .collect();
        assert_eq!(tries.iter().filter(|answer| *answer == "crowded").count(), 20);
        for (conn, other) in [(a, b), (b, a)] {
            assert_eq!(world.say(conn, open.clone()).len(), if conn == a { 1 } else { 2 });
            let add = json!({"type": "add", "phase": "p", "body": "00"});
            assert_eq!(world.say(conn, add)[1]["type"], "message");
            world.hear(other);
        }
        for conn in [a, b] {
            assert_eq!(kind(&mut world, conn, json!({"type": "release"})), "released");
            assert_eq!(kind(&mut world, conn, json!({"type": "close"})), "closed");
        }
        assert!(world.store.is_empty(), "the name is free at once");
    }

    // Nameplates

    #[test]
    fn a_name_that_came_free_is_not_given_out_for_its_rest_but_may_be_claimed() {
        let limits = Limits { nameplate_rest: MINUTE, ..Limits::default() };
        let mut world = bounded(|_| {});
        world.store = Memory::with([7; 32], wormhole_server::Stamp::default(), limits);
        let once = |world: &mut MailboxWorld| {
            let name = allocated(world, A);
            let conn = bound(world, A, "a");
            assert_eq!(kind(world, conn, json!({"type": "release", "nameplate": name})), "released");
            name
        };
        let mut names: Vec<String> = (0..10).map(|_| once(&mut world)).collect();
        let tenth = names.pop().unwrap();
        names.sort_unstable();
        assert_eq!((names.concat().as_str(), tenth.len()), ("123456789", 2));
        assert_eq!(said(&mut world, A, claim("5")), "claimed");
        world.pass(MINUTE);
        assert_eq!(once(&mut world).len(), 1);
    }

    #[test]
    fn names_have_at_least_so_many_digits() {
        for digits in [2_u32, 3, 4, 6, 9, 18] {
            let limits = Limits { nameplate_digits: digits, ..Limits::default() };
            let mut world = bounded(|_| {});
            world.store = Memory::with([7; 32], wormhole_server::Stamp::default(), limits);
            for _ in 0..20 {
                let length = u32::try_from(allocated(&mut world, A).len()).unwrap();
                assert!(length == digits || digits == 4 && length <= 6, "{length} {digits}");
            }
        }
    }

    // The relay

    #[test]
    fn r40_the_relay_closes_who_has_too_many_and_nobody_else() {
        let limits = PerAddress { connections: 3, ..PerAddress::default() };
        let mut world = RelayWorld::relay_with(|options| options.addresses = limits);
        let three = [(); 3].map(|()| world.connect(A));
        let fourth = world.connect(A);
        assert_eq!((world.is_open(fourth), world.line(fourth).code), (false, LATER));
        assert_eq!(world.hear(fourth), b"");
        let other = world.connect(B);
        assert!(world.is_open(other) && three.iter().all(|conn| world.is_open(*conn)));
        let refusals = world.machine.counts().refusals.totals();
        assert_eq!(refusals, [("too many connections from one address", 1)]);
        world.hang_up(three[1], Why::Ended);
        let again = world.connect(A);
        assert!(world.is_open(again));
        assert_eq!(world.machine.clients(), 4);
    }

    #[test]
    fn as_many_wait_with_a_token_as_is_set() {
        let mut world = RelayWorld::relay_with(|options| options.waiters = 2);
        let conns = [(); 3].map(|()| {
            let conn = world.connect(A);
            let line = format!("please relay {} for side {}\n", "a".repeat(64), "1".repeat(16));
            world.send(conn, line.as_bytes());
            conn
        });
        assert_eq!(conns.map(|conn| world.is_open(conn)), [false, true, true]);
    }

    #[test]
    fn a_flood_of_addresses_costs_a_table_of_fixed_size() {
        let mut world = guarded(PerAddress { lists: 1, ..PerAddress::default() });
        for number in 0..u32::try_from(limits::ADDRESSES).unwrap() + 1000 {
            let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number)), 1);
            let conn = world.connect(&address.to_string());
            world.hang_up(conn, Why::Reset);
        }
        assert_eq!(world.machine.clients(), 0);
        let text = format!("{:?}", world.machine);
        assert_eq!(text.matches("connects: Window").count(), limits::ADDRESSES);
        world.pass(MINUTE);
        world.connect(A);
        assert!(format!("{:?}", world.machine).len() < 10_000);
    }

    // Worlds and clients

    fn bounded(change: impl FnOnce(&mut Bounds)) -> MailboxWorld {
        World::mailbox_with(|options| change(&mut options.bounds))
    }

    fn guarded(addresses: PerAddress) -> MailboxWorld {
        World::mailbox_with(|options| options.guard.addresses = addresses)
    }

    fn working(bits: u32) -> MailboxWorld {
        World::mailbox_with(|options| options.guard = work(bits))
    }

    fn work(bits: u32) -> Guard {
        Guard { addresses: PerAddress::default(), work: Some(Work { bits, chance: Rng::new([5; 32]) }) }
    }

    /// A new connection that was asked for work, and what for.
    fn stranger(world: &mut MailboxWorld) -> (Conn, String) {
        let conn = world.connect(A);
        let hashcash = world.hear(conn)[0]["welcome"]["permission-required"]["hashcash"].clone();
        (conn, hashcash["resource"].as_str().unwrap().into())
    }

    /// A stamp of exactly so many bits, and no more by chance.
    fn stamp(bits: u32, resource: &str) -> String {
        Search::new(bits, resource, &mut Rng::new([6; 32])).go_on(u32::MAX).unwrap()
    }

    fn submit(spelling: &str, stamp: &str) -> Value {
        json!({"type": spelling, "method": "hashcash", "stamp": stamp})
    }

    fn bind(side: &str) -> Value {
        json!({"type": "bind", "appid": APP, "side": side})
    }

    fn list() -> Value {
        json!({"type": "list"})
    }

    fn claim(name: &str) -> Value {
        json!({"type": "claim", "nameplate": name})
    }

    fn bound(world: &mut MailboxWorld, peer: &str, side: &str) -> Conn {
        let conn = world.connect(peer);
        assert_eq!(world.hear(conn).len(), 1);
        assert_eq!(world.say(conn, bind(side)).len(), 1);
        conn
    }

    fn opened(world: &mut MailboxWorld, peer: &str, side: &str) -> Conn {
        let conn = bound(world, peer, side);
        assert_eq!(world.say(conn, json!({"type": "open", "mailbox": "m"})).len(), 1);
        conn
    }

    /// The type of the answer to a command, or the text of the `error`.
    fn kind(world: &mut MailboxWorld, conn: Conn, command: Value) -> String {
        let answer = world.say(conn, command).pop().unwrap();
        let of = if answer["type"] == "error" { "error" } else { "type" };
        answer[of].as_str().unwrap().into()
    }

    /// The same for a client that comes for it alone, with a side of its own, and goes.
    fn said(world: &mut MailboxWorld, peer: &str, command: Value) -> String {
        let conn = bound(world, peer, &format!("of {peer}"));
        let answer = kind(world, conn, command);
        world.hang_up(conn, Why::Ended);
        answer
    }

    fn allocated(world: &mut MailboxWorld, peer: &str) -> String {
        let conn = bound(world, peer, "a");
        let name = world.say(conn, json!({"type": "allocate"}))[1]["nameplate"].as_str().unwrap().into();
        world.hang_up(conn, Why::Ended);
        name
    }
}
