//! What comes by way of the mailbox: messages of somebody who does not know the code, frames that break the rules, and servers
//! that lie. `HOSTILE.md` has the whole table.
#![cfg(test)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::timeout;
use wormhole_core::code::Code;
use wormhole_tests::hostile::{Client, Foe, LyingServer};
use wormhole_tests::{Servers, new_code};
use wormhole_tokio::Limits;
use wormhole_tokio::transfer::{Config, Content, Receiver, Sender};

/// Nothing here takes long.
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn messages_of_somebody_without_the_code_end_the_session_or_nothing() {
    let bad_key = "sent a key that cannot be used";
    let silent = "fell silent before it proved";
    let too_much = "sent more than is allowed";
    type Attack = fn(&mut Client, &serde_json::Value);
    let rows: &[(&str, Attack, &str)] = &[
        ("a key that is no JSON", |it, _| it.say_as("x", "pake", "ff"), bad_key),
        ("a key that is no hex", |it, _| it.say_as("x", "pake", &hex(br#"{"pake_v1": "zz"}"#)), bad_key),
        ("an empty key", |it, _| it.say_as("x", "pake", ""), bad_key),
        ("our own key", |it, own| it.say_as("x", "pake", own["body"].as_str().unwrap()), bad_key),
        ("the identity", |it, _| it.say_as("x", "pake", &pake(&format!("01{}", "00".repeat(31)))), bad_key),
        ("a key of 1 MB", |it, _| it.say_as("x", "pake", &pake(&"53".repeat(1 << 19))), bad_key),
        ("a body that is no hex", |it, _| it.say_as("x", "0", "zz"), "nobody came"),
        ("phases before the key", |it, _| it.say_as("x", "version", "00"), silent),
        (
            "a flood before the key",
            |it, _| (0..100_000).for_each(|n| it.say_as("x", &n.to_string(), "00")),
            too_much,
        ),
        (
            "a flood of phases",
            |it, _| (0..100_000).for_each(|n| it.say_as("x", &format!("p{n}"), "00")),
            too_much,
        ),
        (
            "long bodies",
            |it, _| (0..20).for_each(|n| it.say_as("x", &n.to_string(), &"00".repeat(1 << 20))),
            too_much,
        ),
        (
            "a phase that is no number",
            |it, _| it.say(&json!({"type": "message", "side": "x", "phase": 5, "body": "00"})),
            "nobody came",
        ),
        (
            "our own messages reflected",
            |it, own| {
                (0..100).for_each(|_| it.say(&json!({"type": "message", "side": own["side"], "phase": "pake", "body": own["body"]})));
            },
            "nobody came",
        ),
        (
            "two others in our mailbox",
            |it, _| {
                it.say_as("x", "pake", &pake(&format!("53{VALID}")));
                for phase in ["pake", "version", "0", "1"] {
                    it.say_as("y", phase, "00");
                }
            },
            silent,
        ),
        ("a text", |it, _| it.say(&serde_json::Value::String("x".into())), "no message"),
    ];
    for (row, attack, sentence) in rows {
        let attack = *attack;
        let server = LyingServer::start(move |client| {
            let Some(bind) = client.serve_until("bind") else { return };
            if let Some(mut own) = client.serve_until("add") {
                own["side"] = bind["side"].clone();
                attack(client, &own);
            }
            client.serve();
        });
        let error = receive(&server.url()).await;
        assert!(error.contains(sentence), "{row}: {error}");
    }
}

#[tokio::test]
async fn a_body_shorter_than_a_nonce_is_no_proof_of_the_code() {
    for body in ["", "00", &"00".repeat(23), &"00".repeat(39), &"00".repeat(40), &"00".repeat(1 << 20)] {
        let (length, body) = (body.len() / 2, body.to_owned());
        let server = LyingServer::start(move |client| {
            if client.serve_until("add").is_some() {
                // A point of the group, whose discrete logarithm nobody knows.
                client.say_as("x", "pake", &pake(&format!("53{VALID}")));
                client.say_as("x", "pake", &pake(&format!("53{VALID}")));
                client.say_as("x", "version", &body);
            }
            client.serve();
        });
        let error = receive(&server.url()).await;
        assert!(error.contains("the codes differ"), "{length} bytes: {error}");
    }
}

#[tokio::test]
async fn frames_that_break_the_rules_end_the_connection_within_bounds() {
    // Head and key of an answer that no client takes.
    let no_message = "no message";
    let too_long = "too long to be taken";
    let rows: Vec<(&str, Vec<u8>, &str)> = vec![
        ("a frame of 64 MiB", [&[0x81, 127][..], &(64_u64 << 20).to_be_bytes()].concat(), too_long),
        ("a frame of 2^64", [&[0x81, 127][..], &u64::MAX.to_be_bytes()].concat(), too_long),
        ("no JSON", b"\x81\x02{]".to_vec(), no_message),
        ("deep JSON", text_frame(&format!("{}{}", "[".repeat(1 << 20), "]".repeat(1 << 20))), no_message),
        (
            "deep JSON in a field",
            text_frame(&format!(
                r#"{{"type": "claimed", "mailbox": {}{}}}"#,
                "[".repeat(1 << 20),
                "]".repeat(1 << 20)
            )),
            no_message,
        ),
        ("no UTF-8", b"\x82\x02\xff\xfe".to_vec(), no_message),
    ];
    for (row, frame, sentence) in rows {
        let server = LyingServer::start(move |client| {
            client.serve_until("bind");
            client.raw(&frame);
            client.serve();
        });
        let error = receive(&server.url()).await;
        assert!(error.contains(sentence), "{row}: {error}");
    }
}

#[tokio::test]
async fn fragments_without_end_are_not_collected() {
    // With content it is too long; without any it is a server that does not answer.
    let rows = [(vec![b'x'; 60_000], "too long to be taken"), (Vec::new(), "does not answer")];
    for (content, sentence) in rows {
        let server = LyingServer::start(move |client| {
            client.serve_until("bind");
            client.raw(&frame(0x01, &content));
            let next = frame(0x00, &content);
            let began = Instant::now();
            while client.raw(&next) && began.elapsed() < Duration::from_secs(20) {}
        });
        let error = receive(&server.url()).await;
        assert!(error.contains(sentence), "{error}");
    }
}

#[tokio::test]
async fn what_is_no_mailbox_server_is_told_so() {
    let rows: &[(&str, &[u8])] = &[
        ("a web server", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        ("a mail server", b"220 mail.example ESMTP\r\n"),
        ("another key", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n"),
        ("steering", b"HTTP/1.1 500 \x1b[2J\r\n\r\n"),
        ("nothing", b""),
    ];
    for (row, answer) in rows {
        let answer = answer.to_vec();
        let server = LyingServer::raw(move |mut stream| {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).and_then(|_| stream.write_all(&answer));
        });
        let error = receive(&server.url()).await;
        assert!(error.contains("cannot be reached") && !error.contains('\x1b'), "{row}: {error}");
    }
    let endless = LyingServer::raw(|mut stream: TcpStream| {
        let header = format!("X: {}\r\n", "y".repeat(1000));
        let _ = stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n");
        while stream.write_all(header.as_bytes()).is_ok() {}
    });
    let error = receive(&endless.url()).await;
    assert!(error.contains("cannot be reached"), "{error}");
}

#[tokio::test]
async fn a_server_that_lies_about_nameplates_and_mailboxes_is_found_out() {
    let rows: &[(&str, &str, serde_json::Value, &str)] = &[
        (
            "a nameplate that is no number",
            "allocate",
            json!({"type": "allocated", "nameplate": "../x"}),
            "no message",
        ),
        (
            "a nameplate of 1 MB",
            "allocate",
            json!({"type": "allocated", "nameplate": "1".repeat(1 << 20)}),
            "no message",
        ),
        ("no nameplate", "allocate", json!({"type": "allocated"}), "no message"),
        ("a mailbox that is no text", "claim", json!({"type": "claimed", "mailbox": 5}), "no message"),
        (
            "a mailbox of 1 MB",
            "claim",
            json!({"type": "claimed", "mailbox": "m".repeat(1 << 20)}),
            "no message",
        ),
        ("a release that nobody asked for", "claim", json!({"type": "released"}), "was not asked"),
        ("a close that nobody asked for", "claim", json!({"type": "closed"}), "was not asked"),
        ("crowded", "claim", json!({"type": "error", "error": "crowded"}), "two others"),
        (
            "an error",
            "claim",
            json!({"type": "error", "error": "\u{1b}[2Jno\nmore"}),
            r"answered: \x1b[2Jno more",
        ),
        ("unwelcome", "", json!({"type": "welcome", "welcome": {"error": "\u{1b}[2Jno"}}), r"\x1b[2Jno"),
        ("silence", "", json!({"type": "welcome", "welcome": {}}), "does not answer"),
        ("silence from the first moment", "", json!({"type": "other"}), "does not answer"),
        (
            "work for days",
            "",
            json!({"type": "welcome", "welcome": {"permission-required": {"hashcash": {"bits": 60, "resource": "r"}}}}),
            "work",
        ),
        (
            "work for nothing",
            "",
            json!({"type": "welcome", "welcome": {"permission-required": {"hashcash": {"bits": -1, "resource": 5}}}}),
            "a permission that this program cannot get",
        ),
        ("acknowledgements without end", "bind", json!({"type": "ack"}), "does not answer"),
    ];
    for (row, when, lie, sentence) in rows {
        let (when, lie) = (*when, lie.clone());
        let server = LyingServer::mute(move |client| {
            let welcome = json!({"type": "welcome", "welcome": {}});
            client.say(if when.is_empty() { &lie } else { &welcome });
            while let Some(command) = client.read() {
                if command["type"] == when {
                    client.say(&lie);
                }
            }
        });
        let error =
            if when == "allocate" { allocate(&server.url()).await } else { receive(&server.url()).await };
        assert!(error.contains(sentence) && !error.contains('\x1b'), "{row}: {error}");
    }
}

#[tokio::test]
async fn a_peer_that_knows_the_code_cannot_flood_us() {
    let url = Servers::ours().mailbox_url();
    let rows: &[(&str, usize, &str)] =
        &[("hints", 5000, r#"{"transit": {"hints-v1": []}}"#), ("unknown messages", 5000, r#"{"other": 5}"#)];
    for (row, count, message) in rows {
        let code = new_code();
        let receiving = async {
            let mut receiver = Receiver::new(config(&url)).unwrap();
            receiver.set_code(Code::parse(&code).unwrap()).unwrap();
            receiver.offer().await?;
            receiver.accept_text()
        };
        let attacking = async {
            let mut foe = Foe::meet(&url, &code).await;
            for _ in 0..*count {
                foe.say(message).await;
            }
            foe.say(r#"{"offer": {"message": "at last"}}"#).await;
            // It must go on, so that what it said leaves.
            while foe.hear().await.is_some() {}
            std::future::pending::<()>().await;
        };
        let both = async {
            tokio::select! { text = receiving => text, () = attacking => panic!() }
        };
        let text = timeout(LIMIT, both).await.unwrap();
        assert_eq!(text.unwrap().to_string(), "at last", "{row}");
    }
}

/// How our receiver ends that has typed a code.
async fn receive(url: &str) -> String {
    let mut receiver = Receiver::new(config(url)).unwrap();
    receiver.set_code(Code::parse("4-purple-sausages").unwrap()).unwrap();
    timeout(LIMIT, receiver.finish()).await.unwrap().unwrap_err().to_string()
}

/// How our sender ends that wants a code.
async fn allocate(url: &str) -> String {
    let mut sender = Sender::new(config(url), Content::text("secret")).unwrap();
    sender.allocate_code(2).unwrap();
    timeout(LIMIT, sender.finish()).await.unwrap().unwrap_err().to_string()
}

fn config(url: &str) -> Config {
    let soon = Duration::from_secs(3);
    let limits = Limits { peer: Some(soon), server: soon, key: soon, close: soon / 6, ..Limits::default() };
    Config::default().mailbox(url).relays([""; 0]).listen(false).limits(limits)
}

/// The generator of the group, as it is encoded.
const VALID: &str = "5866666666666666666666666666666666666666666666666666666666666666";

fn pake(element: &str) -> String {
    hex(json!({"pake_v1": element}).to_string().as_bytes())
}

fn text_frame(text: &str) -> Vec<u8> {
    frame(0x81, text.as_bytes())
}

/// A frame of a server, which is not masked.
fn frame(first: u8, content: &[u8]) -> Vec<u8> {
    let length = u64::try_from(content.len()).unwrap().to_be_bytes();
    [&[first, 127][..], &length, content].concat()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
