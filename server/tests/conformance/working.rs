//! Mailbox, 6: real clients of a server that asks for work before it serves.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use wormhole_tests::{Channel, Peers, Program, quiet};

use crate::running::{PROGRAM, Running};
use crate::talk::mailbox;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn m113_our_client_works_for_the_server_says_so_and_is_served() {
    let Some(ours) = ours() else { return };
    let server = mailbox(&["--permission-bits", "16"]);
    let client = |command: &str, arguments: &[&str]| {
        let mut line = quiet(Command::new(&ours));
        line.args(["--relay-url", &url(&server), command]).args(arguments);
        Program::start(command, line)
    };
    let sending = client("send", &["--text", "worth it"]);
    let code = sending.line_after(Channel::Error, "code is: ", LIMIT);
    let receiving = client("receive", &[&code]);
    let (received, sent) = (receiving.succeed(LIMIT), sending.succeed(LIMIT));
    assert_eq!(received.output, "worth it\n");
    for outcome in [received, sent] {
        let line = "The server asks for 16 bits of work before it serves.";
        assert!(outcome.error.contains(line), "{}", outcome.error);
    }
    // It does not work for hours for anybody.
    let server = mailbox(&["--permission-bits", "30"]);
    let mut line = quiet(Command::new(&ours));
    line.args(["--relay-url", &url(&server), "receive", "4-guitarist-revenge"]);
    let refused = Program::start("receive", line).finish(LIMIT).expect_code("too much work", 5);
    let text = "asks for 30 bits of work before it serves, and more than 24 are not done";
    assert!(refused.error.contains(text), "{}", refused.error);
}

#[test]
fn m113_the_client_in_rust_works_for_the_server_where_the_environment_says_where_it_is() {
    let Some(theirs) = env::var_os("WORMHOLE_TEST_RUST") else { return };
    let server = mailbox(&["--permission-bits", "16", "--monitor", "127.0.0.1:0"]);
    let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let file = from.path().join("a.txt");
    std::fs::write(&file, "worth it").unwrap();
    let client = |command: &str, arguments: &[&str]| {
        let mut line = quiet(Command::new(&theirs));
        line.args([command, "--rendezvous-server", &url(&server), "--no-color", "--force-direct"]);
        line.args(arguments).current_dir(to.path());
        Program::start(command, line)
    };
    let sending = client("send", &["--code", "4-guitarist-revenge", file.to_str().unwrap()]);
    crate::running::soon("it claims nothing", || {
        let page = crate::raw::http(server.at("monitor"), "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n");
        page.contains("mailbox_connections 1\n").then_some(())
    });
    client("receive", &["--noconfirm", "4-guitarist-revenge"]).succeed(LIMIT);
    sending.succeed(LIMIT);
    assert_eq!(std::fs::read(to.path().join("a.txt")).unwrap(), b"worth it");
}

#[test]
fn m111_pythons_client_is_told_and_ends() {
    let Some(peers) = Peers::find() else { return };
    let server = mailbox(&["--permission-bits", "16"]);
    let mut line = peers.wormhole();
    line.args(["--relay-url", &url(&server), "send", "--text", "hi"]);
    let outcome = Program::start("send", line).finish(LIMIT);
    assert!(outcome.code != Some(0), "{outcome:?}");
    assert!(outcome.error.contains("must submit-permission first"), "{outcome:?}");
}

/// Our client, which is built beside the server wherever the whole project is.
fn ours() -> Option<PathBuf> {
    let path = PathBuf::from(PROGRAM).with_file_name("wormhole");
    if path.exists() {
        return Some(path);
    }
    assert!(env::var_os("WORMHOLE_REQUIRE_PEERS").is_none(), "{path:?} is not built");
    eprintln!("skipped: {path:?} is not built");
    None
}

fn url(server: &Running) -> String {
    format!("ws://{}/v1", server.at("mailbox"))
}
