//! It serves where it is told to, and ends when it is told to.

use std::io::{Read, Write};

use rustix::process::Signal;
use serde_json::json;

use crate::client::{Client, rest, tcp, unix};
use crate::running::{LIMIT, Running};

#[test]
fn one_process_serves_mailboxes_and_relays_at_all_its_addresses() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let unix_place = format!("unix:{}", path.display());
    let server = Running::start(&[
        "all",
        "--mailbox",
        "127.0.0.1:0",
        "--mailbox",
        &unix_place,
        "--mailbox",
        "[::1]:0",
        "--relay",
        "127.0.0.1:0",
    ]);
    assert_eq!(server.all("mailbox").len(), 3);
    let six = server.all("mailbox")[2].parse().unwrap();
    let mut clients = [
        Client::connect(server.at("mailbox")),
        Client::over(unix(path.to_str().unwrap()), &[]),
        Client::connect(six),
    ];
    let welcomes = clients.each_mut().map(|client| client.hear()["welcome"].clone());
    assert_eq!(welcomes[0]["your-address"]["ipv4"], "127.0.0.1");
    assert_eq!(welcomes[1], json!({}), "whoever comes through a Unix socket has no address");
    assert_eq!(welcomes[2]["your-address"]["ipv6"], "::1");
    for (client, side) in clients.iter_mut().zip(["a", "b", "b"]) {
        client.tell(json!({"type": "bind", "appid": "x", "side": side}));
        client.tell(json!({"type": "open", "mailbox": "m"}));
    }
    clients[0].tell(json!({"type": "add", "phase": "p", "body": "00"}));
    for client in &mut clients {
        assert_eq!(client.hear()["phase"], "p");
    }

    let mut pair = [0, 1].map(|_| tcp(server.at("relay")));
    for side in &mut pair {
        writeln!(side, "please relay {}", "0".repeat(64)).unwrap();
    }
    for side in &mut pair {
        let mut ok = [0; 3];
        side.read_exact(&mut ok).unwrap();
        assert_eq!(&ok, b"ok\n");
    }
    let [mut left, mut right] = pair;
    left.write_all(b"over to you").unwrap();
    drop(left);
    assert_eq!(rest(&mut right, LIMIT), b"over to you");
}

#[test]
fn a_server_of_one_kind_serves_no_other() {
    for (kind, other) in [("mailbox", "relay"), ("relay", "mailbox")] {
        let server = Running::start(&[kind, "--mailbox", "127.0.0.1:0", "--relay", "127.0.0.1:0"]);
        assert_eq!((server.all(kind).len(), server.all(other).len()), (1, 0));
    }
}

#[test]
fn without_clients_it_ends_at_once_and_in_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Running::start(&["all", "--mailbox", "127.0.0.1:0", "--relay", "127.0.0.1:0"]);
        server.signal(signal);
        assert_eq!(server.end().code(), Some(0));
    }
}
