//! Relay: clients that speak WebSocket.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::{set_socket_linger, set_socket_recv_buffer_size};

use crate::client::rest;
use crate::pairing::{is_silent, old, pattern, read};
use crate::raw::{BINARY, CLOSE, PING, PONG, Raw, TEXT, frame, head};
use crate::running::{LIMIT, Running};
use crate::talk::{asking, kibibytes, relay};

const OK: &[u8] = b"ok\n";

#[test]
fn r26_a_line_in_one_message_needs_no_end() {
    let server = relay(&[]);
    for line in [old('1'), old('1').trim_end().to_owned()] {
        let mut first = saying(&server, &line);
        let mut second = saying(&server, &line);
        assert_eq!([content(&mut first, 3), content(&mut second, 3)], [OK, OK], "{line:?}");
    }
    // The end may still come by itself, and once.
    let mut first = saying(&server, old('2').trim_end());
    first.send(BINARY, b"\n");
    assert!(is_silent(&mut first.stream));
    first.send(BINARY, b"\n");
    assert_eq!(first.frame(), Some((BINARY, b"impatient\n".to_vec())));
}

#[test]
fn r27_a_bad_line_is_answered_in_binary_and_closed_in_order() {
    let server = relay(&[]);
    let mut raw = saying(&server, "hello\n");
    assert_eq!(raw.frame(), Some((BINARY, b"bad handshake\n".to_vec())));
    assert_eq!(raw.closing(), Some(1000));
}

#[test]
fn r28_messages_are_a_stream_of_bytes() {
    let server = relay(&[]);
    let line = old('2');
    let mut split = saying(&server, &line[..30]);
    split.send(BINARY, &line.as_bytes()[30..]);
    assert!(is_silent(&mut split.stream));
    let mut joined = saying(&server, &(line + "data"));
    assert_eq!(content(&mut joined, 3), OK);
    assert_eq!(content(&mut split, 7), b"ok\ndata");
}

#[test]
fn r29_a_text_ends_the_connection_and_its_partner() {
    let server = relay(&[]);
    let (mut raw, mut partner) = mixed(&server, '3');
    raw.send(TEXT, b"text");
    assert!(raw.closing().is_none_or(|code| code != 1000));
    assert_eq!(rest(&mut partner, LIMIT), b"");
}

#[test]
fn r30_a_pair_of_both_kinds_carries_the_same_bytes_both_ways() {
    let server = relay(&[]);
    let (mut raw, mut plain) = mixed(&server, '4');
    let bytes = pattern(300_000);
    let sent = bytes.clone();
    let mut writer = plain.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || writer.write_all(&sent).unwrap());
        // Only binary messages count for content.
        assert!(content(&mut raw, bytes.len()) == bytes);
    });
    for some in bytes.chunks(70_000) {
        raw.send(BINARY, some);
    }
    assert!(read(&mut plain, bytes.len()) == bytes);
}

#[test]
fn r31_a_message_of_any_length_passes_and_is_not_kept() {
    let server = relay(&[]);
    let (mut raw, mut plain) = mixed(&server, '5');
    let before = kibibytes(&server, "VmRSS");
    let (length, piece) = (200 << 20, pattern(1 << 20));
    thread::scope(|scope| {
        let piece = &piece;
        scope.spawn(move || {
            raw.stream.write_all(&head(BINARY, length, [0; 4])).unwrap();
            for _ in 0..length >> 20 {
                raw.stream.write_all(piece).unwrap();
            }
            raw.send(CLOSE, &[]);
            raw.closing();
        });
        for _ in 0..length >> 20 {
            assert!(read(&mut plain, piece.len()) == *piece);
        }
    });
    let more = kibibytes(&server, "VmHWM").saturating_sub(before);
    assert!(more < 8 << 10, "{more} KiB");
}

#[test]
fn r32_who_loses_its_partner_hears_a_close() {
    let server = relay(&[]);
    let mut first = saying(&server, &old('6'));
    let mut second = saying(&server, &old('6'));
    assert_eq!([content(&mut first, 3), content(&mut second, 3)], [OK, OK]);
    set_socket_linger(&first.stream, Some(Duration::ZERO)).unwrap();
    drop(first);
    assert_eq!(second.closing(), Some(1000));
}

#[test]
fn r33_a_receiver_that_stands_still_stops_its_sender() {
    let server = relay(&[]);
    let mut receiver = saying(&server, &old('7'));
    let mut sender = saying(&server, &old('7'));
    assert_eq!([content(&mut receiver, 3), content(&mut sender, 3)], [OK, OK]);
    set_socket_recv_buffer_size(&receiver.stream, 4096).unwrap();
    let before = kibibytes(&server, "VmRSS");
    let message = frame(BINARY, &pattern(60_000));
    sender.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut sent = 0;
    loop {
        match sender.stream.write(&message[sent % message.len()..]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
        assert!(sent < 16 << 20, "{sent}");
    }
    let more = kibibytes(&server, "VmHWM").saturating_sub(before);
    assert!(more < 4 << 10, "{more} KiB");
}

#[test]
fn r34_clients_are_pinged_and_the_dead_are_left() {
    let server = relay(&["--ping-interval", "0.2", "--ping-timeout", "0.5"]);
    let mut alive = saying(&server, &old('8'));
    let mut dead = saying(&server, &old('9'));
    for _ in 0..6 {
        let (first, payload) = alive.frame().unwrap();
        assert_eq!(first, PING);
        alive.send(PONG, &payload);
    }
    while dead.frame().is_some() {}
    // Nobody waits there any more.
    let mut late = asking(&server, old('9'));
    assert!(is_silent(&mut late));
    assert_eq!(read(&mut asking(&server, old('9')), 3), OK);
}

/// A client that has sent this as one message.
pub(crate) fn saying(server: &Running, said: &str) -> Raw {
    let mut raw = Raw::with(server.at("relay-websocket"), "/", "");
    raw.send(BINARY, said.as_bytes());
    raw
}

/// A pair of a client that speaks WebSocket and one that does not.
fn mixed(server: &Running, token: char) -> (Raw, TcpStream) {
    let mut raw = saying(server, &old(token));
    let mut plain = asking(server, old(token));
    assert_eq!([content(&mut raw, 3), read(&mut plain, 3)], [OK, OK]);
    (raw, plain)
}

/// So many bytes, in any number of binary messages.
fn content(raw: &mut Raw, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        let (first, payload) = raw.frame().unwrap();
        match first {
            BINARY => bytes.extend(payload),
            PING => raw.send(PONG, &payload),
            other => panic!("{other:#x}"),
        }
    }
    bytes
}
