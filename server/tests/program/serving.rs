//! It serves where it is told to, and ends when it is told to.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::client::{Client, rest, tcp, unix};
use crate::running::{LIMIT, PROGRAM, Running, program};

/// What WebSocket calls the restart of a service.
const SERVICE_RESTART: u16 = 1012;

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

    let [mut left, mut right] = pair(&server);
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
fn who_is_there_may_finish_within_the_limit_and_is_then_sent_away() {
    let arguments = ["all", "--mailbox", "127.0.0.1:0", "--relay", "127.0.0.1:0", "--drain-limit", "1"];
    let mut server = Running::start(&arguments);
    let mut client = Client::connect(server.at("mailbox"));
    client.hear();
    let mut waiting = tcp(server.at("relay"));
    writeln!(waiting, "please relay {}", "0".repeat(64)).unwrap();
    server.signal(Signal::TERM);
    assert_eq!(rest(&mut waiting, LIMIT), b"", "nobody will come any more");
    assert_eq!(client.ask(json!({"type": "ping", "ping": 1}))["pong"], 1);
    assert_eq!(client.try_hear(), Err(Some(SERVICE_RESTART)));
    assert_eq!(server.end().code(), Some(0));
}

#[test]
fn what_was_answered_is_there_after_every_end() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("channels");
    let file = file.to_str().unwrap();
    for (number, mode) in ["full", "normal"].into_iter().enumerate() {
        let arguments =
            ["mailbox", "--mailbox", "127.0.0.1:0", "--channel-db", file, "--channel-db-synchronous", mode];
        let mut server = Running::start(&arguments);
        let mut client = bound(&server);
        for _ in 0..number {
            assert_eq!(client.hear()["phase"], "p", "of the process before");
        }
        client.tell(json!({"type": "add", "phase": "p", "body": "00"}));
        assert_eq!(client.hear()["phase"], "p");
        if number == 0 {
            let second = program(&arguments).output().unwrap();
            assert_eq!(second.status.code(), Some(1), "two processes must not share a file");
            assert!(String::from_utf8(second.stderr).unwrap().contains("--channel-db: "));
        }
        drop(server);
        server = Running::start(&arguments);
        let mut client = bound(&server);
        for _ in 0..=number {
            assert_eq!(client.hear()["phase"], "p", "after it was killed");
        }
        drop(client);
        server.signal(Signal::TERM);
        assert_eq!(server.end().code(), Some(0));
    }
}

/// A client that has opened the mailbox `m`.
fn bound(server: &Running) -> Client {
    let mut client = Client::connect(server.at("mailbox"));
    client.hear();
    client.tell(json!({"type": "bind", "appid": "x", "side": "a"}));
    client.tell(json!({"type": "open", "mailbox": "m"}));
    client
}

#[test]
fn a_relay_pairs_clients_over_websocket_and_tcp() {
    let server = Running::start(&["relay", "--relay", "127.0.0.1:0", "--relay-websocket", "127.0.0.1:0"]);
    let line = format!("please relay {}\n", "0".repeat(64));
    let mut plain = tcp(server.at("relay"));
    plain.write_all(line.as_bytes()).unwrap();
    let wire = tcp(server.at("relay-websocket"));
    let (mut socket, _) = tungstenite::client("ws://relay/", wire).unwrap();
    socket.send(tungstenite::Message::binary(line.into_bytes())).unwrap();
    let mut ok = [0; 3];
    plain.read_exact(&mut ok).unwrap();
    assert_eq!((&ok, socket.read().unwrap()), (b"ok\n", tungstenite::Message::binary(&b"ok\n"[..])));
    plain.write_all(b"bytes").unwrap();
    assert_eq!(socket.read().unwrap(), tungstenite::Message::binary(&b"bytes"[..]));
}

#[test]
fn silent_clients_are_pinged_and_then_left() {
    let arguments =
        ["mailbox", "--mailbox", "127.0.0.1:0", "--ping-interval", "0.2", "--ping-timeout", "0.4"];
    let server = Running::start(&arguments);
    let mut silent = tcp(server.at("mailbox"));
    silent.write_all(UPGRADE.as_bytes()).unwrap();
    let heard = rest(&mut silent, LIMIT);
    assert!(heard.windows(2).any(|frame| frame == [0x89, 0]), "no ping in {heard:?}");
}

#[test]
fn half_a_request_is_not_waited_for() {
    let server = Running::start(&["mailbox", "--mailbox", "127.0.0.1:0", "--opening-timeout", "0.2"]);
    let mut half = tcp(server.at("mailbox"));
    half.write_all(&UPGRADE.as_bytes()[..40]).unwrap();
    assert_eq!(rest(&mut half, LIMIT), b"");
}

#[test]
fn pages_come_from_allowed_origins_only() {
    let arguments =
        ["mailbox", "--mailbox", "127.0.0.1:0", "--allowed-origin", "https://a.example,https://b.example"];
    let server = Running::start(&arguments);
    for (headers, admitted) in [
        (&[][..], true),
        (&[("Origin", "https://b.example")], true),
        (&[("Origin", "https://c.example")], false),
        (&[("Origin", "null")], false),
    ] {
        let outcome = Client::try_over(tcp(server.at("mailbox")), headers).map(drop);
        assert_eq!(outcome.is_ok(), admitted, "{headers:?}: {outcome:?}");
    }
}

/// A request for a WebSocket.
const UPGRADE: &str = "GET /v1 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[test]
fn a_pair_of_the_relay_may_finish() {
    let mut server = Running::start(&["relay", "--relay", "127.0.0.1:0"]);
    let [mut left, mut right] = pair(&server);
    server.signal(Signal::TERM);
    server.wait_for_log("nobody is let in");
    left.write_all(&[7; 100_000]).unwrap();
    drop(left);
    assert_eq!(rest(&mut right, LIMIT), [7; 100_000]);
    assert_eq!(server.end().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut server = Running::start(&["mailbox", "--mailbox", "127.0.0.1:0"]);
    let mut client = Client::connect(server.at("mailbox"));
    client.hear();
    server.signal(Signal::TERM);
    server.wait_for_log("nobody is let in");
    assert!(server.is_running());
    server.signal(Signal::INT);
    assert_eq!(server.end().code(), Some(0));
}

#[test]
fn what_cannot_be_listened_at_is_said_with_code_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for place in [
        taken.local_addr().unwrap().to_string(),
        format!("unix:{}", file.display()),
        "fd:mailbox".to_owned(),
        "no-such-host.invalid:0".to_owned(),
    ] {
        let output = program(&["mailbox", "--channel-db", ":memory:", "--mailbox", &place]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("--mailbox {place}: ")), "{said}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
}

#[test]
fn sockets_are_taken_over_from_systemd_by_their_names() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let passing =
        r#"exec 3<&0 0</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=mailbox; exec "$0" "$@""#;
    let mut server =
        Running::start_as("sh", &["-c", passing, PROGRAM, "mailbox", "--mailbox", "fd:mailbox"], |it| {
            it.stdin(std::os::fd::OwnedFd::from(listener));
        });
    assert_eq!(server.at("mailbox"), at);
    Client::connect(at).hear();
    server.signal(Signal::TERM);
    assert_eq!(server.end().code(), Some(0));
}

#[test]
fn systemd_is_told_when_it_serves_and_when_it_stops() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let told = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    told.set_read_timeout(Some(LIMIT)).unwrap();
    let server = Running::start_with(&["mailbox", "--mailbox", "127.0.0.1:0"], |it| {
        it.env("NOTIFY_SOCKET", &path);
    });
    let hear = || {
        let mut buffer = [0; 64];
        let count = told.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..count]).trim().to_owned()
    };
    assert_eq!(hear(), "READY=1");
    server.signal(Signal::TERM);
    assert_eq!(hear(), "STOPPING=1");
}

#[test]
fn when_descriptors_run_out_it_waits_and_recovers_and_never_spins() {
    let limited = r#"ulimit -n 48; exec "$0" "$@""#;
    let server =
        Running::start_as("sh", &["-c", limited, PROGRAM, "mailbox", "--mailbox", "127.0.0.1:0"], |_| {});
    let mut first = Client::connect(server.at("mailbox"));
    first.hear();
    let crowd: Vec<_> = (0..100).map(|_| tcp(server.at("mailbox"))).collect();
    server.wait_for_log("connections cannot be accepted at the moment");
    let before = busy_ticks(&server);
    std::thread::park_timeout(Duration::from_secs(1));
    let spent = busy_ticks(&server) - before;
    assert!(spent < 20, "{spent} hundredths of a second of work in one");
    assert_eq!(first.ask(json!({"type": "ping", "ping": 1}))["pong"], 1, "who is inside is served");
    drop(crowd);
    Client::connect(server.at("mailbox")).hear();
    assert_eq!(server.log().matches("cannot be accepted").count(), 1, "it is not said again and again");
}

#[test]
fn the_limit_of_descriptors_is_raised_to_what_is_allowed() {
    let limited = r#"ulimit -Sn 64; ulimit -Hn 2000; exec "$0" "$@""#;
    let server =
        Running::start_as("sh", &["-c", limited, PROGRAM, "relay", "--relay", "127.0.0.1:0"], |_| {});
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(files.split_whitespace().nth(3), Some("2000"), "{files}");
}

#[test]
fn without_clients_it_ends_at_once_and_in_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Running::start(&["all", "--mailbox", "127.0.0.1:0", "--relay", "127.0.0.1:0"]);
        server.signal(signal);
        assert_eq!(server.end().code(), Some(0));
    }
}

/// Two who have met at the relay.
fn pair(server: &Running) -> [TcpStream; 2] {
    let mut pair = [0, 1].map(|_| tcp(server.at("relay")));
    for side in &mut pair {
        writeln!(side, "please relay {}", "0".repeat(64)).unwrap();
    }
    for side in &mut pair {
        let mut ok = [0; 3];
        side.read_exact(&mut ok).unwrap();
        assert_eq!(&ok, b"ok\n");
    }
    pair
}

/// Hundredths of a second that the program has worked.
fn busy_ticks(server: &Running) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}
