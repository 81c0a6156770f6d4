//! What the program costs and shows when a server or a peer does not keep to the rules. `tests/HOSTILE.md` has the whole table.
#![cfg(test)]
#![cfg(target_os = "linux")]

use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use wormhole_tests::hostile::{Client, Loses, LyingServer, room};
use wormhole_tests::{Channel, Outcome, Program, expect_names};

const LIMIT: Duration = Duration::from_secs(60);
/// The most memory that any of it may take.
const PEAK: u64 = 64 << 20;

type Attack = fn(&mut Client);

/// What a server does, what the program then says, and its exit code.
const ATTACKS: &[(&str, Attack, &str, i32)] = &[
    (
        "a frame of 64 MiB",
        |it| {
            it.raw(&[&[0x81, 127][..], &(64_u64 << 20).to_be_bytes()].concat());
            while it.raw(&[b'x'; 1 << 16]) {}
        },
        "too long to be taken",
        5,
    ),
    (
        "fragments without end",
        |it| {
            let frame = |first: u8| [&[first, 127][..], &60_000_u64.to_be_bytes(), &[b'x'; 60_000]].concat();
            it.raw(&frame(0x01));
            while it.raw(&frame(0x00)) {}
        },
        "too long to be taken",
        5,
    ),
    (
        "a text of 10 MB",
        |it| {
            it.serve_until("add");
            it.say_as("x", "0", &"00".repeat(10 << 20));
        },
        "too long to be taken",
        5,
    ),
    (
        "a flood of messages",
        |it| {
            it.serve_until("add");
            (0..100_000).for_each(|number| it.say_as("x", &number.to_string(), "00"));
        },
        "sent more than is allowed",
        1,
    ),
    (
        "a motd of 1 MB that steers",
        |it| {
            it.say(&json!({"type": "welcome", "welcome": {"motd": "\u{1b}[2J".repeat(1 << 18)}}));
            it.say(&json!({"type": "error", "error": "\u{1b}]0;gone\u{7}"}));
        },
        r"\x1b]0;gone\x07",
        5,
    ),
];

#[test]
fn no_server_makes_the_program_large() {
    for (row, attack, sentence, code) in ATTACKS {
        let attack = *attack;
        let server = LyingServer::start(move |client| {
            client.serve_until("bind");
            attack(client);
            client.serve();
        });
        let work = TempDir::new().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_wormhole"));
        command.current_dir(work.path()).args([
            "--relay-url",
            &server.url(),
            "receive",
            "--hide-progress",
            "4-purple-sausages",
        ]);
        let program = Program::start(row, command);
        let usage = program.usage();
        let usage = usage.join().unwrap();
        let outcome = program.finish(LIMIT).expect_code(row, *code);
        assert!(outcome.error.contains(sentence), "{row}: {}", outcome.error);
        assert!(!outcome.error.contains('\x1b') && !outcome.output.contains('\x1b'), "{row}");
        assert!(usage.peak_bytes < PEAK, "{row}: {} bytes", usage.peak_bytes);
        assert!(outcome.took < LIMIT / 2, "{row}: {:?}", outcome.took);
        expect_names(work.path(), &[]);
    }
}

#[test]
fn a_server_that_drops_every_ack_harms_nobody() {
    let [sent, received] = both(|_, _, said| said["type"] == "ack");
    assert_eq!((sent.code, received.code), (Some(0), Some(0)), "{sent:?}\n{received:?}");
    assert!(received.output.contains("hello"), "{received:?}");
}

#[test]
fn a_server_that_does_not_show_the_sender_of_a_text_that_it_has_it_harms_nobody() {
    // What the receiver has answered it has heard.
    let [sent, received] = both(|from, to, _| (from, to) == (Some(0), 0));
    assert_eq!((sent.code, received.code), (Some(0), Some(0)), "{sent:?}\n{received:?}");
    assert!(received.output.contains("hello"), "{received:?}");
    assert!(sent.took < LIMIT / 2, "{:?}", sent.took);
}

#[test]
fn a_server_that_gives_our_mailbox_to_two_others_gets_no_text_to_whoever_has_another_code() {
    let server = room(|_, _, _| false);
    let work = TempDir::new().unwrap();
    let sender = start(&server, &work, &["send", "--code", "4-purple-sausages", "--text", "secret"]);
    let others = ["4-green-sausages", "4-red-sausages"];
    let others = others.map(|code| start(&server, &work, &["receive", code]));
    let sent = sender.finish(LIMIT).expect_code("the sender", 3);
    assert!(sent.error.contains("the codes differ"), "{}", sent.error);
    for other in others {
        let outcome = other.finish(LIMIT).expect_code("another one", 3);
        assert!(!outcome.output.contains("secret"), "{outcome:?}");
    }
}

/// A text on its way through a server that loses something.
fn both(loses: Loses) -> [Outcome; 2] {
    let server = room(loses);
    let work = TempDir::new().unwrap();
    // With a code from the server, its sender has come first.
    let sender = start(&server, &work, &["send", "--text", "hello"]);
    let code = sender.line_after(Channel::Error, "Wormhole code is: ", LIMIT);
    let receiver = start(&server, &work, &["receive", &code]);
    [sender, receiver].map(|program| program.finish(LIMIT))
}

fn start(server: &LyingServer, work: &TempDir, arguments: &[&str]) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wormhole"));
    command.current_dir(work.path()).args(["--relay-url", &server.url()]).args(arguments);
    Program::start(arguments[0], command)
}
