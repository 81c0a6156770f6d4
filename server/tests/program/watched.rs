//! What operators see: health, metrics and logs; and what they must not see.

use std::io::{Read, Write};

use rustix::process::Signal;
use serde_json::json;

use crate::client::{Client, rest, tcp};
use crate::running::{LIMIT, Running, soon};

const ALL: [&str; 9] = [
    "all",
    "--mailbox",
    "127.0.0.1:0",
    "--relay",
    "127.0.0.1:0",
    "--monitor",
    "127.0.0.1:0",
    "--trusted-proxy",
    "127.0.0.1",
];

#[test]
fn metrics_move_with_what_happens() {
    let server = Running::start(&ALL);
    let before = metric(&server, "wormhole_mailbox_connections_accepted_total");
    busy(&server);
    for (name, at_least) in [
        ("wormhole_mailbox_connections_accepted_total", before + 2.0),
        ("wormhole_mailbox_connections", 0.0),
        ("wormhole_mailbox_nameplates_allocated_total{digits=\"1\"}", 1.0),
        ("wormhole_mailbox_messages_total", 1.0),
        ("wormhole_mailbox_message_bytes_total", 16.0),
        ("wormhole_mailbox_refusals_total{reason=\"crowded\"}", 1.0),
        ("wormhole_mailbox_store_seconds_count", 4.0),
        ("wormhole_mailbox_mailboxes_total{result=\"crowded\"}", 1.0),
        ("wormhole_relay_pairs_total", 1.0),
        ("wormhole_relay_waits_total", 1.0),
        ("wormhole_relay_waiting", 0.0),
        ("wormhole_relay_bytes_total", 5.0),
        ("wormhole_relay_results_total{result=\"happy\"}", 1.0),
        ("wormhole_relay_refusals_total{reason=\"bad handshake\"}", 1.0),
    ] {
        soon(name, || (metric(&server, name) >= at_least).then_some(()));
    }
    soon("all are gone", || (metric(&server, "wormhole_mailbox_connections") == 0.0).then_some(()));
    soon("all are gone", || (metric(&server, "wormhole_relay_connections") == 0.0).then_some(()));
}

#[test]
fn the_relay_writes_down_what_became_of_its_clients() {
    let dir = tempfile::tempdir().unwrap();
    for (blur, bytes, exact) in [("0", 5, true), ("3600", 10_000, false)] {
        let path = dir.path().join(blur);
        let log = path.to_str().unwrap();
        let arguments = [&ALL[..], &["--relay-usage-log", log, "--blur-usage", blur]].concat();
        let server = Running::start(&arguments);
        busy(&server);
        let line = |token: &str| format!("please relay {}\n", token.repeat(32));
        for line in [line("cd"), line("ef") + "!", "please".into()] {
            tcp(server.at("relay")).write_all(line.as_bytes()).unwrap();
        }
        let lines = soon("all lines", || {
            let text = std::fs::read_to_string(&path).unwrap();
            let lines: Vec<serde_json::Value> =
                text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            (lines.len() == 5).then_some(lines)
        });
        let of = |mood: &str| {
            lines.iter().find(|line| line["mood"] == mood).unwrap_or_else(|| panic!("no {mood} in {lines:?}"))
        };
        let happy = of("happy");
        assert_eq!(happy["total_bytes"], bytes);
        assert!(happy["waiting_time"].as_f64().unwrap() <= happy["total_time"].as_f64().unwrap());
        assert_eq!(happy["started"].as_f64().unwrap() % 3600.0 != 0.0, exact);
        for mood in ["errory", "empty", "impatient", "lonely"] {
            assert_eq!((&of(mood)["total_bytes"], &of(mood)["waiting_time"]), (&json!(0), &json!(null)));
        }
    }
}

#[test]
fn a_draining_program_is_healthy_and_not_ready_and_takes_nobody() {
    let mut server = Running::start(&ALL);
    assert_eq!((status(&server, "/healthz"), status(&server, "/readyz")), (200, 200));
    let mut client = Client::connect(server.at("mailbox"));
    client.hear();
    server.signal(Signal::TERM);
    soon("it is not ready", || (status(&server, "/readyz") == 503).then_some(()));
    assert_eq!(status(&server, "/healthz"), 200);
    soon("nobody is let in", || std::net::TcpStream::connect(server.at("mailbox")).is_err().then_some(()));
    assert_eq!(client.ask(json!({"type": "ping", "ping": 1}))["pong"], 1);
    assert!(server.is_running());
    drop(client);
    assert_eq!(server.end().code(), Some(0));
}

#[test]
fn at_the_default_level_nothing_of_a_client_is_logged() {
    for format in ["text", "json"] {
        let mut server =
            Running::start(&[&ALL[..], &["--log-format", format, "--drain-limit", "0"]].concat());
        let secrets = busy(&server);
        server.signal(Signal::HUP);
        server.wait_for_log("the configuration was read again");
        let _left = Client::connect(server.at("mailbox"));
        server.signal(Signal::TERM);
        assert_eq!(server.end().code(), Some(0));
        let log = server.log();
        assert!(log.contains("serving") && log.contains("has ended"), "{log}");
        for secret in secrets {
            assert!(!log.contains(&secret), "{secret} is in\n{log}");
        }
        if format == "json" {
            for line in log.lines() {
                serde_json::from_str::<serde_json::Value>(line).unwrap();
            }
        }
    }
}

/// Clients of every kind, good and bad; answers what of them must not be seen.
fn busy(server: &Running) -> Vec<String> {
    let nameplate = "86753098675309";
    let address = [("X-Real-IP", "192.0.2.77")];
    let mut clients = [0, 1, 2].map(|_| Client::over(tcp(server.at("mailbox")), &address));
    let mut mailbox = String::new();
    for (number, client) in clients.iter_mut().enumerate() {
        client.hear();
        client.tell(json!({"type": "bind", "appid": "application", "side": format!("side{number}")}));
        let claimed = client.ask(json!({"type": "claim", "nameplate": nameplate}));
        if number < 2 {
            mailbox = claimed["mailbox"].as_str().unwrap().to_owned();
        } else {
            assert_eq!(claimed["error"], "crowded");
        }
    }
    clients[0].ask(json!({"type": "allocate"}));
    clients[0].tell(json!({"type": "open", "mailbox": mailbox}));
    clients[0].tell(json!({"type": "add", "phase": "pake", "body": "c0ffee00c0ffee00"}));
    clients[0].hear();
    clients[2].say(json!("nonsense"));
    for client in &mut clients[..2] {
        client.say(json!({"type": "release", "nameplate": nameplate}));
        client.say(json!({"type": "close", "mailbox": mailbox, "mood": "scary"}));
        while client.hear()["type"] != "closed" {}
    }

    let token = "ab".repeat(32);
    let mut pair = [0, 1].map(|_| tcp(server.at("relay")));
    let mut ports = Vec::new();
    for side in &mut pair {
        ports.push(format!(":{}", side.local_addr().unwrap().port()));
        writeln!(side, "please relay {token}").unwrap();
    }
    for side in &mut pair {
        let mut ok = [0; 3];
        side.read_exact(&mut ok).unwrap();
    }
    pair[0].write_all(b"bytes").unwrap();
    let mut bad = tcp(server.at("relay"));
    bad.write_all(b"nonsense\n").unwrap();
    assert_eq!(rest(&mut bad, LIMIT), b"bad handshake\n");

    let fixed =
        [nameplate, &mailbox, &token, "192.0.2.77", "127.0.0.1", "application", "side0", "c0ffee", "pake"];
    fixed.into_iter().map(str::to_owned).chain(ports).collect()
}

fn metric(server: &Running, name: &str) -> f64 {
    let (_, page) = get(server, "/metrics");
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

fn status(server: &Running, path: &str) -> u16 {
    get(server, path).0
}

fn get(server: &Running, path: &str) -> (u16, String) {
    let mut stream = tcp(server.at("monitor"));
    write!(stream, "GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let answer = String::from_utf8(rest(&mut stream, LIMIT)).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}
