//! What a peer that knows the code may do with connections: hints, relays, handshakes and records. `HOSTILE.md` has the whole
//! table.
#![cfg(test)]

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;
use wormhole_core::code::Code;
use wormhole_tests::hostile::{Foe, Stream, Victim};
use wormhole_tests::{Servers, expect_names, new_code};
use wormhole_tokio::Limits;
use wormhole_tokio::transfer::{Config, Content, Destination, Error, Received, Receiver, Sender};

/// Nothing here takes long.
const LIMIT: Duration = Duration::from_secs(60);
/// How long transit may take here: longer than it takes until relays have their turn.
const TRANSIT: Duration = Duration::from_secs(4);

const OFFER: &str = r#"{"offer": {"file": {"filename": "a", "filesize": 5}}}"#;

#[tokio::test]
async fn an_address_that_a_peer_names_hears_the_handshake_and_nothing_else() {
    // Services of the victim's own network, and what they answer to anybody.
    let endless = vec![b'x'; 1 << 20];
    let sender = format!("transit sender {} ready\n\ngo\n", "0".repeat(64));
    let answers: Vec<(&str, &[u8])> = vec![
        ("silent", b""),
        ("a web server", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        ("a mail server", b"220 mail.example ESMTP\r\n"),
        ("endless", &endless),
        ("a peer without the key", sender.as_bytes()),
        ("only consent", b"go\n"),
        ("a relay that joins nobody", b"ok\n"),
        ("a relay that joins somebody else", b"ok\ntransit sender 00 ready\n\ngo\n"),
        ("a relay that complains", b"impatient\n"),
        ("a relay that repeats itself", b"ok\nok\nok\n"),
    ];
    let rows: Vec<_> = answers
        .iter()
        .map(|(row, answer)| (*row, Victim::answering(answer), Victim::answering(answer)))
        .collect();
    let mut hints = Vec::new();
    for (_, direct, relay) in &rows {
        hints.push(direct_hint("127.0.0.1", direct.port()));
        hints.push(json!({"type": "relay-v1", "hints": [direct_hint("127.0.0.1", relay.port())]}));
    }
    // No more than four relays are believed at a time.
    for part in hints.chunks(8) {
        let error = receive(&[transit(part), OFFER.into()], hold).await.unwrap_err();
        assert!(error.starts_with("no connection to the other side"), "{error}");
    }
    for (row, direct, relay) in rows {
        let calls = direct.calls();
        assert!(!calls.is_empty(), "{row}");
        for call in calls {
            expect_line(&call, "transit receiver ", " ready\n\n", row);
        }
        for call in relay.calls() {
            // Behind a relay's `ok` comes what a direct connection would have heard.
            let text = String::from_utf8(call).unwrap();
            let (line, rest) = text.split_once('\n').unwrap_or((&text, ""));
            let (token, side) = line.strip_prefix("please relay ").unwrap().split_once(" for side ").unwrap();
            assert!(is_hex(token, 64) && is_hex(side, 16), "{row}: {line}");
            if !rest.is_empty() {
                expect_line(rest.as_bytes(), "transit receiver ", " ready\n\n", row);
            }
        }
    }
}

#[tokio::test]
async fn hints_without_end_are_bounded_and_odd_ones_passed_over() {
    let victim = Victim::answering(b"");
    let port = victim.port();
    let mut hints: Vec<Value> = vec![
        direct_hint(&"h".repeat(1 << 20), 80),
        direct_hint("127.0.0.1\r\nCONNECT evil:1 HTTP/1.1\r\n\r\n", 80),
        direct_hint("", 80),
        json!({"type": "direct-tcp-v1", "hostname": "127.0.0.1", "port": 0}),
        json!({"type": "direct-tcp-v1", "hostname": "127.0.0.1", "port": 65536}),
        json!({"type": "direct-tcp-v1", "hostname": "127.0.0.1", "port": -1}),
        json!({"type": "direct-tcp-v1", "hostname": "127.0.0.1", "port": "80"}),
        json!({"type": "direct-tcp-v1", "hostname": 5, "port": port}),
        json!({"type": "tor-tcp-v1", "hostname": "127.0.0.1", "port": port}),
        json!({"type": "relay-v1", "hints": [{"type": "relay-v1", "hints": [direct_hint("127.0.0.1", port)]}]}),
    ];
    // Each is another address, and all lead to the victim.
    hints.extend((0..10_000_u32).map(|number| {
        let [_, _, high, low] = number.to_be_bytes();
        direct_hint(&format!("127.1.{high}.{low}"), port)
    }));
    hints.extend((0..10_000).map(|_| direct_hint("127.0.0.1", port)));
    let error = receive(&[transit(&hints), transit(&hints), OFFER.into()], hold).await.unwrap_err();
    assert_eq!(error, "no connection to the other side was made in time");
    // It listens on one address only, so that most are refused; once is what one address is dialled.
    assert!(victim.calls().len() <= 1, "{} calls", victim.calls().len());
}

#[tokio::test]
async fn a_peer_that_names_our_own_listener_gains_nothing() {
    let url = Servers::ours().mailbox_url();
    let code = new_code();
    let work = TempDir::new().unwrap();
    let receiving = async {
        let mut receiver = Receiver::new(config(&url).listen(true)).unwrap();
        receiver.set_code(Code::parse(&code).unwrap()).unwrap();
        receiver.offer().await?;
        receiver.accept(&Destination::Into(work.path().to_owned()))?;
        receiver.finish().await
    };
    let attacking = async {
        let mut foe = Foe::meet(&url, &code).await;
        foe.say(transit(&[])).await;
        foe.say(OFFER).await;
        while let Some(said) = foe.hear().await {
            if said.get("transit").is_some() {
                // As it said where it is, so it is told.
                foe.say(said.to_string()).await;
            }
        }
    };
    let received = timeout(LIMIT, first(receiving, attacking)).await.unwrap();
    assert_eq!(received.unwrap_err().to_string(), "no connection to the other side was made in time");
    expect_names(work.path(), &[]);
}

/// What is sent where records should come.
type Attack = fn(&mut Stream) -> Vec<u8>;

#[tokio::test]
async fn no_record_is_taken_that_is_not_the_next_one() {
    let broken = "does not decrypt";
    let lost = "the connection was lost";
    let rows: &[(&str, Attack, &str)] = &[
        ("a length of 2^32-1", |_| vec![0xff; 100], "too long"),
        ("a length of 39", |_| [&39_u32.to_be_bytes()[..], &[0; 39]].concat(), broken),
        ("a length of 0", |_| vec![0; 100], broken),
        (
            "one above the limit",
            |_| [&((16 << 20) + 41_u32).to_be_bytes()[..], &[0; 100]].concat(),
            "too long",
        ),
        ("the nonce of the next one", |it| it.numbered(1, b"12345"), broken),
        ("a nonce from the end", |it| it.numbered(u128::MAX, b"12345"), broken),
        ("a number twice", |it| [it.numbered(0, b"12"), it.numbered(0, b"345")].concat(), broken),
        ("out of order", |it| [it.numbered(1, b"45"), it.numbered(0, b"123")].concat(), broken),
        ("truncated", |it| it.sealed(b"12345")[..30].to_vec(), lost),
        ("half of it", |it| it.sealed(b"12"), lost),
        ("nothing", |_| Vec::new(), lost),
        (
            "changed",
            |it| {
                let mut it = it.sealed(b"12345");
                it[44] ^= 1;
                it
            },
            broken,
        ),
        (
            "another tag",
            |it| {
                let mut it = it.sealed(b"12345");
                it[28] ^= 1;
                it
            },
            broken,
        ),
        ("plain text", |_| b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(), "too long"),
    ];
    for (row, attack, sentence) in rows {
        let error = receive(&[OFFER.into()], *attack).await.expect_err(row);
        assert!(error.contains(sentence), "{row}: {error}");
    }
    // And so that the rows fail for the right reason:
    receive(&[OFFER.into()], |it| it.sealed(b"12345")).await.unwrap();
    // Empty records say nothing, and cost nothing.
    receive(&[OFFER.into()], |it| {
        let mut bytes: Vec<u8> = (0..1000).flat_map(|_| it.sealed(b"")).collect();
        bytes.extend(it.sealed(b"12345"));
        bytes
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn no_confirmation_is_one_but_the_right_one() {
    let unreadable = "the confirmation of the other side cannot be read";
    let rows: &[(&str, Attack, &str)] = &[
        ("a refusal", |it| it.sealed(br#"{"ack": "no\u001b[2J"}"#), r"did not confirm: no\x1b[2J"),
        (
            "another hash",
            |it| it.sealed(format!(r#"{{"ack": "ok", "sha256": "{}"}}"#, "0".repeat(64)).as_bytes()),
            "something else than was sent",
        ),
        ("no JSON", |it| it.sealed(b"ok"), unreadable),
        ("a list", |it| it.sealed(b"[]"), unreadable),
        ("nothing", |it| it.sealed(b""), unreadable),
        ("deep", |it| it.sealed("[".repeat(60_000).as_bytes()), unreadable),
        ("a long one", |it| it.sealed(&vec![b' '; 100_000]), "too long"),
        ("an endless one", |_| vec![0xff; 100], "too long"),
        ("a replayed one", |it| it.numbered(7, br#"{"ack": "ok"}"#), "does not decrypt"),
        ("none", |_| Vec::new(), "before the other side confirmed"),
    ];
    for (row, attack, sentence) in rows {
        let error = send(*attack).await.expect_err(row).to_string();
        assert!(error.contains(sentence) && !error.contains('\x1b'), "{row}: {error}");
    }
    send(|it| it.sealed(br#"{"ack": "ok"}"#)).await.unwrap();
}

/// Our receiver, and a peer that says this and then sends that.
async fn receive(messages: &[String], attack: Attack) -> Result<(), String> {
    let url = Servers::ours().mailbox_url();
    let code = new_code();
    let work = TempDir::new().unwrap();
    let receiving = async {
        let mut receiver = Receiver::new(config(&url)).unwrap();
        receiver.set_code(Code::parse(&code).unwrap()).unwrap();
        receiver.offer().await?;
        receiver.accept(&Destination::Into(work.path().to_owned()))?;
        receiver.finish().await
    };
    let attacking = async {
        let mut foe = Foe::meet(&url, &code).await;
        let names_others = messages.len() > 1;
        if !names_others {
            foe.say_where().await;
        }
        for message in messages {
            foe.say(message).await;
        }
        while let Some(said) = foe.hear().await {
            if said.get("answer").is_some() && !names_others {
                let mut stream = foe.send_to().await;
                let bytes = attack(&mut stream);
                stream.write(&bytes).await;
                let _ = tokio::io::AsyncWriteExt::shutdown(&mut stream.socket).await;
                stream.until_left().await;
            }
        }
    };
    let received = timeout(LIMIT, first(receiving, attacking)).await.unwrap();
    match received {
        Ok(received) => {
            assert_eq!(received, Received::Stored(work.path().join("a")));
            assert_eq!(fs::read(work.path().join("a")).unwrap(), b"12345");
            Ok(())
        }
        Err(error) => {
            expect_names(work.path(), &[]);
            Err(error.to_string())
        }
    }
}

/// Our sender, and a peer that takes all and confirms it like this.
async fn send(attack: Attack) -> Result<(), Error> {
    let url = Servers::ours().mailbox_url();
    let code = new_code();
    let work = TempDir::new().unwrap();
    fs::write(work.path().join("a"), "12345").unwrap();
    let sending = async {
        let content = Content::open(&work.path().join("a")).unwrap();
        let mut sender = Sender::new(config(&url), content).unwrap();
        sender.set_code(Code::parse(&code).unwrap()).unwrap();
        sender.finish().await
    };
    let attacking = async {
        let mut foe = Foe::meet(&url, &code).await;
        while let Some(said) = foe.hear().await {
            if said.get("offer").is_some() {
                foe.say_where().await;
                foe.say(br#"{"answer": {"file_ack": "ok"}}"#).await;
                let mut stream = foe.receive_from().await;
                let bytes = attack(&mut stream);
                stream.write(&bytes).await;
                let _ = tokio::io::AsyncWriteExt::shutdown(&mut stream.socket).await;
                stream.until_left().await;
            }
        }
    };
    timeout(LIMIT, first(sending, attacking)).await.unwrap()
}

/// How the first ends, whatever the second does.
async fn first<T>(ours: impl Future<Output = T>, theirs: impl Future<Output = ()>) -> T {
    let theirs = async {
        theirs.await;
        std::future::pending::<()>().await;
    };
    tokio::select! { ended = ours => ended, () = theirs => panic!("it never ends") }
}

fn hold(_: &mut Stream) -> Vec<u8> {
    Vec::new()
}

fn config(url: &str) -> Config {
    let limits = Limits { transit: TRANSIT, ..Limits::default() };
    Config::default().mailbox(url).relays([""; 0]).listen(false).limits(limits)
}

fn transit(hints: &[Value]) -> String {
    let abilities = json!([{"type": "direct-tcp-v1"}, {"type": "relay-v1"}]);
    json!({"transit": {"abilities-v1": abilities, "hints-v1": hints}}).to_string()
}

fn direct_hint(host: &str, port: u16) -> Value {
    json!({"type": "direct-tcp-v1", "priority": 0.0, "hostname": host, "port": port})
}

#[track_caller]
fn expect_line(call: &[u8], head: &str, tail: &str, row: &str) {
    let text = String::from_utf8_lossy(call);
    let hex = text.strip_prefix(head).and_then(|rest| rest.strip_suffix(tail));
    assert!(hex.is_some_and(|hex| is_hex(hex, 64)), "{row}: {text:?}");
}

fn is_hex(text: &str, len: usize) -> bool {
    text.len() == len && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
