//! Mailbox, 1: the transport.

use std::io::Write;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use wormhole_core::defaults::MESSAGE_LIMIT;

use crate::client::{Client, rest, tcp};
use crate::raw::{BINARY, CLOSE, PING, PONG, Raw, TEXT, asking, frame, head, http};
use crate::running::{LIMIT, PROGRAM, Running};
use crate::talk::{answer, greeted, mailbox};

const GOING_AWAY_OF_OURS: u16 = 3000;

#[test]
fn m1_the_root_says_what_this_is() {
    let server = mailbox(&[]);
    let said = http(server.at("mailbox"), "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("Content-Type: text/plain"), "{head}");
    assert_eq!(body, "Wormhole Relay\n");
}

#[test]
fn m2_an_upgrade_at_any_path_below_v1_begins_with_a_welcome_in_text() {
    let server = mailbox(&[]);
    for path in ["/v1", "/v1/", "/v1?x=1"] {
        let mut raw = Raw::with(server.at("mailbox"), path, "");
        assert_eq!(raw.hear()["type"], "welcome", "{path}");
    }
}

#[test]
fn m3_v1_without_an_upgrade_is_answered_and_logs_no_fault() {
    let server = mailbox(&["--log-level", "debug"]);
    let said = http(server.at("mailbox"), "GET /v1 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(said.starts_with("HTTP/1.1 426 "), "{said}");
    greeted(&server);
    let log = server.log();
    assert!(!log.contains("panic") && !log.contains("ERROR"), "{log}");
}

#[test]
fn m4_other_paths_and_methods_are_refused() {
    let server = mailbox(&[]);
    let status = |line: &str| {
        let said =
            http(server.at("mailbox"), &format!("{line} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"));
        said.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!([status("GET /nope"), status("POST /v1")], ["404", "405"]);
}

#[test]
fn m5_another_version_of_websocket_is_refused_with_ours() {
    let server = mailbox(&[]);
    let request = asking("/v1", "").replace("Version: 13", "Version: 12");
    let said = http(server.at("mailbox"), &request);
    assert!(said.starts_with("HTTP/1.1 400 "), "{said}");
    let versions = said.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Version: ")).unwrap();
    assert!(versions.split(", ").any(|version| version == "13"), "{said}");
}

#[test]
fn m6_a_key_of_another_length_is_refused() {
    let server = mailbox(&[]);
    for key in ["", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ==="] {
        let request = asking("/v1", "").replace("dGhlIHNhbXBsZSBub25jZQ==", key);
        let said = http(server.at("mailbox"), &request);
        assert!(said.starts_with("HTTP/1.1 400 "), "{key:?}: {said}");
    }
}

#[test]
fn m7_pages_come_from_anywhere_unless_some_are_named() {
    let open = mailbox(&[]);
    Raw::with(open.at("mailbox"), "/v1", "Origin: https://x\r\n");
    let strict = mailbox(&["--allowed-origin", "https://y"]);
    Raw::with(strict.at("mailbox"), "/v1", "Origin: https://y\r\n");
    let said = http(strict.at("mailbox"), &asking("/v1", "Origin: https://x\r\n"));
    assert!(said.starts_with("HTTP/1.1 403 "), "{said}");
}

#[test]
fn m8_neither_compression_nor_a_subprotocol_is_taken_up() {
    let server = mailbox(&[]);
    let offers = "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: chat\r\n";
    let raw = Raw::with(server.at("mailbox"), "/v1", offers);
    let head = raw.head.to_lowercase();
    assert!(!head.contains("extensions") && !head.contains("protocol:"), "{head}");
}

#[test]
fn m9_a_command_in_binary_is_answered_in_text() {
    let server = mailbox(&[]);
    let mut raw = Raw::connect(server.at("mailbox"));
    raw.hear();
    raw.send(BINARY, br#"{"type":"ping","ping":1}"#);
    assert_eq!([raw.hear()["type"].clone(), raw.hear()["pong"].clone()], [json!("ack"), json!(1)]);
}

#[test]
fn m10_a_command_in_fragments_with_a_ping_in_between_is_whole() {
    let server = mailbox(&[]);
    let mut raw = Raw::connect(server.at("mailbox"));
    raw.hear();
    raw.send(0x01, br#"{"type":"ping","#);
    raw.send(PING, b"hi");
    assert_eq!(raw.frame(), Some((PONG, b"hi".to_vec())));
    raw.send(0x80, br#""ping":2}"#);
    assert_eq!([raw.hear()["type"].clone(), raw.hear()["pong"].clone()], [json!("ack"), json!(2)]);
}

#[test]
fn m11_frames_against_the_protocol_end_the_connection() {
    let server = mailbox(&[]);
    let unmasked = [&[TEXT, 2][..], b"{}"].concat();
    for (bytes, code, what) in [
        (unmasked, 1002, "unmasked"),
        (frame(0xc1, b"{}"), 1002, "a reserved bit"),
        (frame(0x83, b"{}"), 1002, "an opcode that means nothing"),
        (frame(TEXT, b"{\"\xff\":1}"), 1007, "no UTF-8"),
    ] {
        let mut raw = Raw::connect(server.at("mailbox"));
        raw.hear();
        raw.stream.write_all(&bytes).unwrap();
        assert_eq!(raw.closing(), Some(code), "{what}");
        assert_eq!(rest(&mut raw.stream, LIMIT), b"", "{what}");
    }
    greeted(&server);
}

#[test]
fn m12_a_close_is_answered_by_a_close_and_the_end() {
    let server = mailbox(&[]);
    let mut raw = Raw::connect(server.at("mailbox"));
    raw.hear();
    raw.send(CLOSE, &[&GOING_AWAY_OF_OURS.to_be_bytes()[..], b"bye"].concat());
    let (first, _) = raw.frame().unwrap();
    assert_eq!((first, raw.frame()), (CLOSE, None));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "this case is about time")]
fn m13_a_ping_is_answered_within_a_tenth_of_a_second_under_load() {
    let server = mailbox(&[]);
    let over = AtomicBool::new(false);
    let mut took: Vec<Duration> = thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut client = greeted(&server);
                while !over.load(Ordering::Relaxed) {
                    answer(&mut client, json!({"type": "ping", "ping": "x".repeat(10_000)}));
                }
            });
        }
        let mut raw = Raw::connect(server.at("mailbox"));
        raw.hear();
        let took = (0..21).map(|_| {
            let began = Instant::now();
            raw.send(PING, b"hi");
            assert_eq!(raw.frame(), Some((PONG, b"hi".to_vec())));
            began.elapsed()
        });
        let took = took.collect();
        over.store(true, Ordering::Relaxed);
        took
    });
    took.sort_unstable();
    // The middle one: this computer has other work, too.
    assert!(took[10] < Duration::from_millis(100), "{took:?}");
}

#[test]
fn m14_who_is_idle_is_pinged_and_who_does_not_answer_is_left() {
    let server = mailbox(&["--ping-interval", "0.2", "--ping-timeout", "0.5"]);
    let mut alive = Raw::connect(server.at("mailbox"));
    let mut mute = Raw::connect(server.at("mailbox"));
    for raw in [&mut alive, &mut mute] {
        raw.hear();
    }
    for _ in 0..6 {
        let (first, payload) = alive.frame().unwrap();
        assert_eq!(first, PING);
        alive.send(PONG, &payload);
    }
    assert_eq!(mute.frame().unwrap().0, PING);
    let after: Vec<u8> = std::iter::from_fn(|| mute.frame()).map(|(first, _)| first).collect();
    assert!(after.iter().all(|first| [PING, CLOSE].contains(first)), "{after:?}");
    alive.send(TEXT, br#"{"type":"ping","ping":1}"#);
    while alive.frame().unwrap().0 != TEXT {}
}

#[test]
fn m15_two_messages_in_one_segment_are_answered_in_order() {
    let server = mailbox(&[]);
    let mut raw = Raw::connect(server.at("mailbox"));
    raw.hear();
    let both = [1, 2].map(|id| frame(TEXT, format!(r#"{{"type":"ping","ping":{id},"id":{id}}}"#).as_bytes()));
    raw.stream.write_all(&both.concat()).unwrap();
    for id in [1, 2] {
        assert_eq!([raw.hear()["id"].clone(), raw.hear()["pong"].clone()], [json!(id), json!(id)]);
    }
}

#[test]
fn m16_a_message_of_the_greatest_size_is_accepted_and_no_longer_one() {
    let most = 1 << 20;
    let server = mailbox(&["--message-bytes", "1048576"]);
    let ping = |size: usize| {
        let (before, after) = (r#"{"type":"ping","ping":""#, r#""}"#);
        format!("{before}{}{after}", "x".repeat(size - before.len() - after.len()))
    };
    let mut raw = Raw::connect(server.at("mailbox"));
    raw.hear();
    raw.send(TEXT, ping(most).as_bytes());
    raw.hear();
    assert_eq!(raw.hear()["type"], "pong");
    raw.send(TEXT, ping(most + 1).as_bytes());
    assert_eq!(raw.hear()["error"], "the message is too long");
    assert_eq!(raw.closing(), Some(1009));
    // What is longer than any message is not even read.
    let mut raw = Raw::connect(server.at("mailbox"));
    raw.hear();
    let length = u64::try_from(MESSAGE_LIMIT).unwrap() + 1;
    raw.stream.write_all(&head(TEXT, length, [0; 4])).unwrap();
    assert_eq!(raw.closing(), Some(1009));
}

#[test]
fn m17_half_a_request_is_not_waited_for() {
    let server = mailbox(&["--opening-timeout", "0.2"]);
    let mut half = tcp(server.at("mailbox"));
    half.write_all(&asking("/v1", "").as_bytes()[..40]).unwrap();
    assert_eq!(rest(&mut half, LIMIT), b"");
}

#[test]
fn m18_a_trusted_proxy_says_who_the_client_is() {
    let server = mailbox(&["--trusted-proxy", "127.0.0.1"]);
    let lines = [("X-Real-IP", "192.0.2.7"), ("X-Real-Port", "99")];
    let mut client = Client::over(tcp(server.at("mailbox")), &lines);
    assert_eq!(client.hear()["welcome"]["your-address"], json!({"ipv4": "192.0.2.7", "port": 99}));
}

#[test]
fn m19_a_stranger_is_not_believed() {
    let server = mailbox(&["--trusted-proxy", "10.0.0.0/8"]);
    let stream = tcp(server.at("mailbox"));
    let own = json!({"ipv4": "127.0.0.1", "port": stream.local_addr().unwrap().port()});
    let mut client = Client::over(stream, &[("X-Real-IP", "192.0.2.7"), ("X-Real-Port", "99")]);
    assert_eq!(client.hear()["welcome"]["your-address"], own);
}

#[test]
fn m20_a_proxy_may_say_no_port() {
    let server = mailbox(&["--trusted-proxy", "127.0.0.1"]);
    let mut client = Client::over(tcp(server.at("mailbox")), &[("X-Real-IP", "192.0.2.7")]);
    assert_eq!(client.hear()["welcome"]["your-address"], json!({"ipv4": "192.0.2.7", "port": 0}));
}

#[test]
fn m21_a_client_of_ipv4_at_a_socket_of_ipv6_is_one_of_ipv4() {
    // The program's own sockets are of one family each; one for both comes from outside.
    let listener = TcpListener::bind("[::]:0").unwrap();
    let at = (std::net::Ipv4Addr::LOCALHOST, listener.local_addr().unwrap().port()).into();
    let passing =
        r#"exec 3<&0 0</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=mailbox; exec "$0" "$@""#;
    let arguments = ["-c", passing, PROGRAM, "mailbox", "--mailbox", "fd:mailbox"];
    let _server = Running::start_as("sh", &arguments, |it| {
        it.stdin(OwnedFd::from(listener));
    });
    let stream = tcp(at);
    let own = json!({"ipv4": "127.0.0.1", "port": stream.local_addr().unwrap().port()});
    assert_eq!(Client::over(stream, &[]).hear()["welcome"]["your-address"], own);
}
