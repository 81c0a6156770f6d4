//! The lines of the reference's command line, on the same streams, from ours in its place: what scripts look for.
//!
//! Each transcript is held against the reference itself, too, so that it is not only what we believe of it. Of the
//! reference's texts these are not kept, on purpose: questions go to standard error, since standard output may be a pipe
//! for the content; with `--verify` the receiver is asked, too; and what is said of a directory that is sent does not
//! claim that it is compressed.

#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use wormhole_tests::{Channel, Outcome, Peers, Program, Route, Scene, Servers, Who, new_code, ok};

const OURS: Who<'static> = Who::Ours(env!("CARGO_BIN_EXE_wormhole"));
const LIMIT: Duration = Duration::from_secs(60);

const CONSUMED: &str = "Note: code has been consumed and can no longer be used.\n";

/// What one side writes to standard output and to standard error.
#[derive(Clone, Copy)]
struct Lines<'a>(&'a str, &'a str);

#[test]
fn a_text() {
    transcript(
        &["--text", "hello world"],
        &[],
        Lines(
            CONSUMED,
            "Sending text message (11 Bytes)\nWormhole code is: CODE\nOn the other computer, please run:\n\n\
             wormhole receive CODE\n\ntext message sent\n",
        ),
        Lines("hello world\n", ""),
    );
}

#[test]
fn a_file() {
    transcript(
        &["hello.txt"],
        &["--accept-file"],
        Lines(
            CONSUMED,
            "Sending 7.9 kB file named 'hello.txt'\nWormhole code is: CODE\nOn the other computer, please run:\n\n\
             wormhole receive CODE\n\nSending (WAY)..\nFile sent.. waiting for confirmation\n\
             Confirmation received. Transfer complete.\n",
        ),
        Lines(
            "",
            "Receiving file (7.9 kB) into: 'hello.txt'\nReceiving (WAY)..\n\
             Received file written to: HERE/hello.txt\n",
        ),
    );
}

#[test]
fn an_empty_file() {
    transcript(
        &["empty"],
        &["--accept-file"],
        Lines(
            CONSUMED,
            "Sending 0 Bytes file named 'empty'\nWormhole code is: CODE\nOn the other computer, please run:\n\n\
             wormhole receive CODE\n\nSending (WAY)..\nFile sent.. waiting for confirmation\n\
             Confirmation received. Transfer complete.\n",
        ),
        Lines(
            "",
            "Receiving file (0 Bytes) into: 'empty'\nReceiving (WAY)..\nReceived file written to: HERE/empty\n",
        ),
    );
}

#[test]
fn a_file_by_another_name() {
    transcript(
        &["hello.txt"],
        &["--accept-file", "-o", "other"],
        Lines(
            CONSUMED,
            "Sending 7.9 kB file named 'hello.txt'\nWormhole code is: CODE\nOn the other computer, please run:\n\n\
             wormhole receive CODE\n\nSending (WAY)..\nFile sent.. waiting for confirmation\n\
             Confirmation received. Transfer complete.\n",
        ),
        Lines(
            "",
            "Receiving file (7.9 kB) into: 'other'\nReceiving (WAY)..\nReceived file written to: HERE/other\n",
        ),
    );
}

#[test]
fn a_directory() {
    let received = "Receiving directory (SIZE) into: 'd'/\n3 files, 16 Bytes (uncompressed)\nReceiving (WAY)..\n\
                    Unpacking zipfile..\nReceived files written to: HERE/d\n";
    for who in both() {
        let (sent, got) = run(who, &["d"], &["--accept-file"], "");
        assert_eq!(got.output, "", "{who:?}");
        let size = got.error.split_once("directory (").and_then(|(_, rest)| rest.split_once(')'));
        let (size, _) = size.unwrap_or_default();
        assert_eq!(got.error.replace(size, "SIZE"), received, "{who:?}");
        let (first, rest) = sent.error.split_once("Wormhole code is: ").unwrap_or_default();
        assert!(first.contains("Sending directory (") && first.ends_with(" named 'd'\n"), "{who:?} {first}");
        let tail = "Sending (WAY)..\nFile sent.. waiting for confirmation\nConfirmation received. Transfer complete.\n";
        assert!(rest.ends_with(tail), "{who:?} {rest}");
        assert_eq!(sent.output, CONSUMED);
    }
}

#[test]
fn a_comparison_of_verifiers() {
    for who in both() {
        let (sent, got) = run(who, &["--verify", "--text", "hi"], &["--verify"], "yes\n");
        let command = "wormhole receive --verify CODE\n";
        assert!(sent.error.contains(command), "{who:?} {}", sent.error);
        let question = "Verifier HEX. ok? (yes/no): ";
        assert!((sent.output + &sent.error).contains(question), "{who:?}");
        // The line of the receiver is on a line of its own.
        assert!(got.error.lines().any(|line| line == "Verifier HEX."), "{who:?} {}", got.error);
        assert_eq!(got.output, "hi\n");
    }
}

#[test]
fn a_refusal() {
    let code = new_code();
    let (from, to) = (sources(), directory());
    let sending = direct().start(OURS, "send", &["--code", &code, "hello.txt"], from.path());
    let mut receiving = direct().start(OURS, "receive", &[&code], to.path());
    receiving.type_in("n\n");
    let received = receiving.finish(LIMIT).expect_code("who refuses", 4);
    let sent = sending.finish(LIMIT).expect_code("who is refused", 4);
    assert_eq!(received.output, "");
    assert!(received.error.contains("into: 'hello.txt'\nok? (Y/n): "), "{}", received.error);
    for error in [sent.error, received.error] {
        assert!(error.contains("transfer rejected"), "{error}");
    }
}

/// Both programs, as far as they are there.
fn both() -> Vec<Who<'static>> {
    let reference = Peers::find().map(Who::Reference);
    [Some(OURS), reference].into_iter().flatten().collect()
}

#[track_caller]
fn transcript(send: &[&str], receive: &[&str], sender: Lines<'_>, receiver: Lines<'_>) {
    for who in both() {
        let (sent, received) = run(who, send, receive, "");
        assert_eq!((sent.output.as_str(), sent.error.as_str()), (sender.0, sender.1), "{who:?} sends");
        let Lines(output, error) = receiver;
        assert_eq!((received.output.as_str(), received.error.as_str()), (output, error), "{who:?} receives");
    }
}

/// Runs both sides with the same program, and takes out of what they say what differs each time.
#[track_caller]
fn run(who: Who<'_>, send: &[&str], receive: &[&str], typed: &str) -> (Outcome, Outcome) {
    let (from, to) = (sources(), directory());
    let code = new_code();
    let mut sending = start(who, "send", &[&["--code", &code], send].concat(), from.path());
    sending.wait_for(Channel::Error, &format!("{code}\n\n"), LIMIT);
    sending.type_in(typed);
    let mut receiving = start(who, "receive", &[receive, &[&code]].concat(), to.path());
    receiving.type_in(typed);
    let (received, sent) = (receiving.succeed(LIMIT), sending.succeed(LIMIT));
    (normal(sent, &code, from.path()), normal(received, &code, to.path()))
}

#[track_caller]
fn start(who: Who<'_>, command: &str, arguments: &[&str], directory: &Path) -> Program {
    let mut line = direct().command(who, command, directory);
    // The picture of the code is not a matter of lines.
    line.env("WORMHOLE_QR", "0").args(arguments);
    Program::start(&format!("{who:?} {command}"), line)
}

fn normal(outcome: Outcome, code: &str, directory: &Path) -> Outcome {
    let here = ok(directory.canonicalize(), "the directory").display().to_string();
    let plain = |text: String| {
        let text = text
            .replace(code, "CODE")
            .replace(&here, "HERE")
            .replace(&directory.display().to_string(), "HERE");
        text.split_inclusive('\n').filter(|line| !is_a_wait(line)).map(without_numbers).collect()
    };
    Outcome { output: plain(outcome.output), error: plain(outcome.error), ..outcome }
}

/// What is said only where something took long.
fn is_a_wait(line: &str) -> bool {
    line == "Waiting for sender...\n" || line == "Key established, waiting for confirmation...\n"
}

/// The line without the address of the connection and without the digits of a verifier.
fn without_numbers(line: &str) -> String {
    for head in ["Sending (", "Receiving ("] {
        if let Some(rest) = line.strip_prefix(head)
            && (rest.starts_with("->tcp:") || rest.starts_with("<-"))
            && rest.ends_with(")..\n")
        {
            return format!("{head}WAY)..\n");
        }
    }
    match line.split_once("Verifier ") {
        Some((before, rest)) if rest.len() > 64 && rest.is_char_boundary(64) => {
            let (hex, after) = rest.split_at(64);
            let is_hex = hex.chars().all(|c| c.is_ascii_hexdigit());
            if is_hex { format!("{before}Verifier HEX{after}") } else { line.to_owned() }
        }
        Some(_) | None => line.to_owned(),
    }
}

fn direct() -> Scene<'static> {
    Scene { servers: Servers::ours(), route: Route::Direct }
}

/// What is sent.
#[track_caller]
fn sources() -> TempDir {
    let place = directory();
    let at = |name: &str| place.path().join(name);
    ok(fs::write(at("hello.txt"), vec![b'x'; 7924]), "a file");
    ok(fs::write(at("empty"), ""), "a file");
    ok(fs::create_dir_all(at("d/sub")), "a directory");
    for (name, text) in [("d/a", "12345"), ("d/b", "12345\n"), ("d/sub/c", "12345")] {
        ok(fs::write(at(name), text), "a file");
    }
    place
}

#[track_caller]
fn directory() -> TempDir {
    ok(TempDir::new(), "a directory")
}
