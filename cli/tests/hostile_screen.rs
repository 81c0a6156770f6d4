//! What others say never steers the terminal of whoever runs the program: names, texts, errors, and the message of the day.
#![cfg(test)]
#![cfg(unix)]

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use wormhole_tests::hostile::{Foe, LyingServer};
use wormhole_tests::{Executor, Servers, Terminal, expect_names, new_code};

const LIMIT: Duration = Duration::from_secs(60);
/// A title of the window, a colour in both ways of writing it, a bell, steps back, a mark that turns the direction of
/// writing, and words that tell that all of it was shown.
const EVIL: &str = "\u{1b}]0;title\u{7}\u{1b}[31mred\u{9b}32mgreen\u{8}\u{8}\u{202e}end";

#[test]
fn a_message_of_the_day_and_an_error_of_the_server_are_shown_escaped() {
    let server = LyingServer::mute(|client| {
        client.say(&json!({"type": "welcome", "welcome": {"motd": format!("motd {EVIL}\r\nsecond line")}}));
        client.serve_until("claim");
        client.say(&json!({"type": "error", "error": format!("error {EVIL}")}));
        client.serve();
    });
    let work = TempDir::new().unwrap();
    let mut terminal = Terminal::run(&receive(&server.url(), "4-purple-sausages", &work));
    let at = terminal.wait_for("error ", 0, LIMIT);
    terminal.wait_for("end", at, LIMIT);
    assert_eq!(terminal.finish(LIMIT).0, Some(1));
    let screen = terminal.screen();
    expect_harmless(&screen, &["motd ", "error "]);
    assert!(screen.contains("second line"), "{screen}");
}

#[test]
fn the_name_of_a_file_is_shown_as_it_is_stored() {
    let (screen, work) = offered(
        &json!({"file": {"filename": format!("{EVIL}.txt"), "filesize": 5}}),
        Some(b"12345"),
        "end.txt",
    );
    expect_harmless(&screen, &["]0;title"]);
    expect_names(work.path(), &["_]0;title__[31mred_32mgreen___end.txt"]);
}

#[test]
fn the_name_of_a_directory_is_shown_as_it_would_be_stored() {
    let offer = json!({"directory": {
        "mode": "zipfile/deflated", "dirname": EVIL, "zipsize": 5, "numbytes": 5, "numfiles": 1,
    }});
    let (screen, work) = offered(&offer, Some(b"no zip"), "ERROR");
    expect_harmless(&screen, &["]0;title"]);
    expect_names(work.path(), &[]);
}

#[test]
fn a_text_is_shown_escaped_in_its_lines() {
    let (screen, _) = offered(&json!({"message": format!("text {EVIL}\nsecond line")}), None, "second line");
    expect_harmless(&screen, &["text "]);
    assert!(screen.contains("\r\nsecond line"), "{screen}");
}

#[test]
fn the_last_words_of_the_other_side_are_shown_escaped() {
    let servers = Servers::ours();
    let (work, code) = (TempDir::new().unwrap(), new_code());
    let terminal = Terminal::run(&receive(&servers.mailbox_url(), &code, &work));
    let (code, screen) = Executor::tokio().run(async {
        let mut foe = Foe::meet(&servers.mailbox_url(), &code).await;
        foe.say(json!({"error": format!("error {EVIL}")}).to_string()).await;
        until_ended(terminal, "end", &mut foe).await
    });
    assert_eq!(code, Some(1));
    expect_harmless(&screen, &["error "]);
}

/// What the screen has shown, and where it was received, of an offer that the user accepts.
fn offered(offer: &Value, content: Option<&[u8]>, last: &'static str) -> (String, TempDir) {
    let servers = Servers::ours();
    let (work, code) = (TempDir::new().unwrap(), new_code());
    let mut terminal = Terminal::run(&receive(&servers.mailbox_url(), &code, &work));
    let (_, screen) = Executor::tokio().run(async {
        let mut foe = Foe::meet(&servers.mailbox_url(), &code).await;
        foe.say_where().await;
        foe.say(json!({"offer": offer}).to_string()).await;
        if let Some(content) = content {
            terminal.wait_for("ok? (Y/n): ", 0, LIMIT);
            terminal.type_in("y\r");
            while foe.hear().await.is_some_and(|said| said.get("answer").is_none()) {}
            let mut stream = foe.send_to().await;
            let record = stream.sealed(content);
            stream.write(&record).await;
            stream.until_left().await;
        }
        until_ended(terminal, last, &mut foe).await
    });
    (screen, work)
}

/// The peer goes on, so that what it said leaves, until the program has shown `last` and ended: its exit code, and what was shown.
async fn until_ended(mut terminal: Terminal, last: &'static str, foe: &mut Foe) -> (Option<i32>, String) {
    let ending = tokio::task::spawn_blocking(move || {
        terminal.wait_for(last, 0, LIMIT);
        (terminal.finish(LIMIT).0, terminal.screen())
    });
    let hearing = async {
        while foe.hear().await.is_some() {}
        std::future::pending::<()>().await;
    };
    tokio::select! { ended = ending => ended.unwrap(), () = hearing => unreachable!() }
}

fn receive(url: &str, code: &str, work: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wormhole"));
    command.current_dir(work.path()).env("HOME", work.path());
    command.args(["--relay-url", url, "--transit-helper", "", "receive", code]);
    command
}

/// All of it was shown, each time with nothing that a terminal obeys. What the program itself says may have colours.
#[track_caller]
fn expect_harmless(screen: &str, beginnings: &[&str]) {
    for beginning in beginnings {
        let at = screen.find(beginning).unwrap_or_else(|| panic!("{beginning:?} is not there:\n{screen:?}"));
        let shown: String = screen[at..].chars().take(200).collect();
        assert!(shown.contains("end"), "{shown:?}");
    }
    for sign in ["\u{1b}]0;", "\u{1b}[31m", "\u{9b}", "\u{7}", "\u{8}", "\u{202e}"] {
        assert!(!screen.contains(sign), "{sign:?} was shown:\n{screen:?}");
    }
}
