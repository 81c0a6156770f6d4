//! Mailbox and relay, 6 and 7: what all clients of one address may cost, and the work that is asked of strangers.

use rustix::process::Signal;
use serde_json::{Value, json};
use wormhole_core::crypto::hashcash::Search;
use wormhole_core::rng::Rng;

use crate::client::{Client, rest, tcp, unix};
use crate::pairing::{is_silent, new, old, pair};
use crate::raw::http;
use crate::running::{LIMIT, Running, soon};
use crate::talk::{APP, allocated, answer, asking, bound, claimed, error, greeted, list, mailbox, relay};

#[test]
fn m47_the_sixth_list_of_a_minute_from_one_address_is_refused() {
    let server = mailbox(&["--address-lists", "5"]);
    for _ in 0..5 {
        assert_eq!(list(&mut bound(&server, APP, "a")), [""; 0]);
    }
    let text = error(&mut bound(&server, APP, "a"), json!({"type": "list"}));
    assert_eq!(text, "too many lists for one address; try again in a minute");
}

#[test]
fn m110_whoever_tries_a_hundred_names_is_stopped_and_others_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let place = format!("unix:{}", path.display());
    let metrics = ["--monitor", "127.0.0.1:0"];
    let joins = ["--address-joins", "60"];
    // Who comes through a Unix socket has no address.
    let server = mailbox(&[&["--mailbox", &place][..], &metrics, &joins].concat());
    let come = |side: &str| {
        let mut client = Client::over(unix(path.to_str().unwrap()), &[]);
        client.hear();
        client.tell(json!({"type": "bind", "appid": APP, "side": side}));
        client
    };
    let names: Vec<Value> =
        (0..100).map(|_| come("a").ask(json!({"type": "allocate"}))["nameplate"].clone()).collect();
    let claim = |client: &mut Client, name: &Value| {
        client.ask(json!({"type": "claim", "nameplate": name}))["type"] == "claimed"
    };
    let found = names.iter().filter(|name| claim(&mut bound(&server, APP, "prober"), name)).count();
    assert_eq!(found, 60);
    assert!(claim(&mut come("b"), &names[99]));
    let page = http(server.at("monitor"), "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n");
    let line =
        "mailbox_refusals_total{reason=\"too many claims from one address; try again in a minute\"} 40";
    assert!(page.contains(line), "{page}");
}

#[test]
fn m111_a_client_that_binds_at_once_is_told_and_left_and_one_that_works_is_served() {
    let server = mailbox(&["--permission-bits", "10"]);
    let (mut client, _) = stranger(&server);
    assert_eq!(client.ask(bind())["error"], "must submit-permission first");
    assert_eq!(client.try_hear(), Err(Some(1008)));
    for spelling in ["submit-permissions", "submit-permission"] {
        let (mut client, resource) = stranger(&server);
        client.tell(submit(spelling, &stamp(10, &resource)));
        client.tell(bind());
        assert_eq!(answer(&mut client, json!({"type": "list"}))["type"], "nameplates");
    }
}

#[test]
fn m112_what_is_no_stamp_for_this_connection_is_refused() {
    let server = mailbox(&["--permission-bits", "10"]);
    let (_other, of_another) = stranger(&server);
    let bad: [&dyn Fn(&str) -> String; 5] = [
        &|_| stamp(10, &of_another),
        &|resource| stamp(9, resource),
        &|resource| stamp(10, resource).replacen("1:", "0:", 1),
        &|resource| stamp(10, resource).replacen("::", ":", 1),
        &|resource| stamp(10, resource).replacen("1:", "one:", 1),
    ];
    for bad in bad {
        let (mut client, resource) = stranger(&server);
        let refused = client.ask(submit("submit-permissions", &bad(&resource)));
        assert_eq!(refused["error"], "submit-permission failed");
        assert_eq!(client.try_hear(), Err(Some(1008)));
    }
}

#[test]
fn m113_a_permission_is_asked_for_with_the_keys_that_clients_need() {
    let server = mailbox(&["--permission-bits", "10"]);
    let mut client = Client::connect(server.at("mailbox"));
    let permission = client.hear()["welcome"]["permission-required"].clone();
    let resource = &permission["hashcash"]["resource"];
    assert_eq!(permission, json!({"none": null, "hashcash": {"bits": 10, "resource": resource}}));
}

#[test]
fn m109_a_client_whose_buffer_is_full_is_closed_with_1013() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let place = format!("unix:{}", path.display());
    let server = mailbox(&["--mailbox", &place, "--send-buffer", "100000"]);
    let mut deaf = Client::over(unix(path.to_str().unwrap()), &[]);
    deaf.hear();
    deaf.tell(bind());
    deaf.tell(json!({"type": "open", "mailbox": "m"}));
    let mut talker = bound(&server, APP, "talker");
    talker.tell(json!({"type": "open", "mailbox": "m"}));
    // More than the limit, the window and what the system takes for a socket of this kind.
    for _ in 0..20 {
        talker.ask(json!({"type": "add", "phase": "p", "body": "0".repeat(100_000)}));
    }
    let closed = loop {
        if let Err(closed) = deaf.try_hear() {
            break closed;
        }
    };
    assert_eq!(closed, Some(1013));
}

#[test]
fn r40_one_connection_too_many_from_an_address_is_refused_and_the_others_go_on() {
    let server = relay(&["--relay-address-connections", "4"]);
    let [mut a, mut b] = pair(&server, &new('1', '1'), &new('1', '2'));
    let first = asking(&server, old('2'));
    let second = asking(&server, old('3'));
    assert_eq!(rest(&mut tcp(server.at("relay")), LIMIT), b"");
    // Over WebSocket it counts as well.
    let mut refused = Client::connect(server.at("relay-websocket"));
    assert_eq!(refused.try_hear(), Err(Some(1013)));
    assert!(is_silent(&mut a) && is_silent(&mut b));
    drop(first);
    soon("it never has room again", || {
        let mut partner = asking(&server, old('3'));
        (!rest(&mut partner, std::time::Duration::from_millis(300)).is_empty()).then_some(())
    });
    drop(second);
}

#[test]
fn attack_mode_is_switched_on_and_off_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("settings.toml");
    let write = |attack: bool| std::fs::write(&path, format!("attack = {attack}\nattack-bits = 9")).unwrap();
    write(false);
    let arguments = ["--config", path.to_str().unwrap(), "--monitor", "127.0.0.1:0", "--address-lists", "8"];
    let server = mailbox(&arguments);
    let ready = || http(server.at("monitor"), "GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n");
    let metrics = || http(server.at("monitor"), "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n");
    let (mut early, _) = claimed(&server, APP, "early", "4");
    assert!(ready().ends_with("\r\n\r\nok\n") && metrics().contains("\nwormhole_attack_mode 0\n"));

    write(true);
    server.signal(Signal::HUP);
    server.wait_for_log("attack mode is on");
    soon("it is not told", || ready().ends_with("ok, in attack mode\n").then_some(()));
    assert!(ready().starts_with("HTTP/1.1 200 ") && metrics().contains("\nwormhole_attack_mode 1\n"));
    // A quarter of the limit is left, for those who work.
    let work = || {
        let (mut client, resource) = soon("nothing is asked", || {
            let mut client = Client::connect(server.at("mailbox"));
            let resource = resource(&client.hear())?;
            Some((client, resource))
        });
        client.tell(submit("submit-permissions", &stamp(9, &resource)));
        client.tell(bind());
        client.ask(json!({"type": "list"}))["type"] == "nameplates"
    };
    assert_eq!([(); 3].map(|()| work()), [true, true, false]);
    // Whoever was there before goes on.
    assert_eq!(answer(&mut early, json!({"type": "release"}))["type"], "released");

    write(false);
    server.signal(Signal::HUP);
    server.wait_for_log("attack mode is off");
    soon("it is still asked", || {
        let welcome = Client::connect(server.at("mailbox")).hear();
        resource(&welcome).is_none().then_some(())
    });
    allocated(&server, APP);
}

#[test]
fn the_limits_are_there_where_nobody_says_anything() {
    let output = crate::running::program(&["check-config"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "message-bytes = \"1052672\"",
        "name-bytes = \"256\"",
        "id-bytes = \"64\"",
        "nesting = \"64\"",
        "orig-bytes = \"4096\"",
        "mailbox-messages = \"1000\"",
        "mailbox-bytes = \"8388608\"",
        "send-buffer = \"2097152\"",
        "app-nameplates = \"100000\"",
        "all-mailboxes = \"1000000\"",
        "all-bytes = \"1073741824\"",
        "list-pause = \"1\"",
        "address-connections = \"50\"",
        "address-connects = \"10\"",
        "address-allocates = \"30\"",
        "address-claims = \"10\"",
        "address-lists = \"5\"",
        "permission-bits = \"0\"",
        "attack = false",
        "relay-line-timeout = \"10\"",
        "relay-wait-timeout = \"600\"",
        "relay-idle-timeout = \"1800\"",
        "relay-waiters = \"4\"",
        "relay-address-connections = \"100\"",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line} is not in\n{text}");
    }
}

#[test]
fn each_limit_can_be_switched_off() {
    let server = mailbox(&["--mailbox-messages", "0", "--mailbox-bytes", "0", "--orig-bytes", "0"]);
    let mut client = greeted(&server);
    client.tell(bind());
    client.tell(json!({"type": "open", "mailbox": "m"}));
    for _ in 0..1100 {
        client.ask(json!({"type": "add", "phase": "p", "body": "00"}));
    }
    let long = json!({"type": "open", "mailbox": "0".repeat(10_000)});
    assert_eq!(client.ask(long.clone())["orig"], long);
}

/// A client that was asked for work, and what for.
fn stranger(server: &Running) -> (Client, String) {
    let mut client = Client::connect(server.at("mailbox"));
    let resource = resource(&client.hear()).unwrap();
    (client, resource)
}

fn resource(welcome: &Value) -> Option<String> {
    let hashcash = welcome["welcome"].get("permission-required")?.get("hashcash")?;
    Some(hashcash["resource"].as_str()?.into())
}

fn stamp(bits: u32, resource: &str) -> String {
    Search::new(bits, resource, &mut Rng::new([6; 32])).go_on(u32::MAX).unwrap()
}

fn submit(spelling: &str, stamp: &str) -> Value {
    json!({"type": spelling, "method": "hashcash", "stamp": stamp})
}

fn bind() -> Value {
    json!({"type": "bind", "appid": APP, "side": "s"})
}
