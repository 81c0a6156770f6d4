//! `wormhole ssh invite` and `wormhole ssh accept`: ours on both ends, and ours with Python's on either.

#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;
use wormhole_tests::{Channel, Peers, Program, Servers, Who, new_code, ok, quiet};

const OURS: Who<'static> = Who::Ours(env!("CARGO_BIN_EXE_wormhole"));
const LIMIT: Duration = Duration::from_secs(60);

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti me@example.com\n";
const FINGERPRINT: &str = "SHA256:UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ";
const OTHER_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOpWAxGEBqasblWSwl2tQ0ytwCGLkyMtPQiZDZDor/+n other@example.com\n";

#[test]
fn a_key_is_shown_and_asked_for_and_what_is_missing_is_made() {
    let (host, guest) = (Home::new(), Home::with_keys(&[("id.pub", KEY)]));
    let mut inviting = host.start(OURS, &["invite"]);
    let code = code_of(&inviting);
    let mut accepting = guest.start(OURS, &["accept", &code]);
    accepting.type_in("y\n");
    let shown = inviting.wait_for(Channel::Error, "[y/N]: ", LIMIT);
    assert!(shown.contains(FINGERPRINT) && shown.contains("me@example.com"), "{shown}");
    assert!(!host.list().exists());
    inviting.type_in("y\n");
    let (accepted, invited) = (accepting.succeed(LIMIT), inviting.succeed(LIMIT));
    let list = host.list().display().to_string();
    let note = format!("Note: '{list}' not found; will be created\n      '");
    assert!(invited.output.starts_with(&note), "{}", invited.output);
    let line = format!("Appended key type='ssh-ed25519' id='me@example.com' to '{list}'\n");
    assert!(invited.output.ends_with(&line), "{}", invited.output);
    let sent =
        format!("Sending public key type='ssh-ed25519' keyid='me@example.com'\n{FINGERPRINT}\nKey sent.\n");
    assert_eq!(accepted.output, sent);
    assert!(
        accepted.error.contains("Really send public key 'me@example.com' ? [y/N]: "),
        "{}",
        accepted.error
    );
    assert_eq!(ok(fs::read_to_string(host.list()), "the list"), KEY);
    assert_eq!(mode(&host.list()), 0o600);
    assert_eq!(mode(&host.path().join(".ssh")), 0o700);
}

#[test]
fn python_takes_and_gives_keys() {
    let Some(peers) = Peers::find() else { return };
    for (inviter, accepter) in [(OURS, Who::Reference(peers)), (Who::Reference(peers), OURS)] {
        let (host, guest) = (Home::with_keys(&[]), Home::with_keys(&[("id.pub", KEY)]));
        let invite: &[&str] =
            if matches!(inviter, Who::Ours(_)) { &["invite", "--yes"] } else { &["invite"] };
        let inviting = host.start(inviter, invite);
        let code = code_of(&inviting);
        let accepted = guest.start(accepter, &["accept", "--yes", &code]).succeed(LIMIT);
        let invited = inviting.succeed(LIMIT);
        assert!(accepted.output.ends_with("Key sent.\n"), "{}", accepted.output);
        assert!(
            invited.output.contains("Appended key type='ssh-ed25519' id='me@example.com'"),
            "{}",
            invited.output
        );
        assert_eq!(ok(fs::read_to_string(host.list()), "the list"), KEY);
    }
}

#[test]
fn a_key_that_is_there_is_not_added_again_and_the_others_stay() {
    let (host, guest) = (Home::with_keys(&[]), Home::with_keys(&[("id.pub", KEY)]));
    let old = format!("# ours\nno-pty {OTHER_KEY}");
    host.write_list(&old);
    for said in ["Appended key ", " already\n"] {
        let invited = exchange(&host, &guest, &[]);
        assert!(invited.contains(said), "{invited}");
        assert_eq!(ok(fs::read_to_string(host.list()), "the list"), format!("{old}{KEY}"));
    }
}

#[test]
fn one_of_several_keys_is_chosen() {
    let guest = Home::with_keys(&[("b.pub", OTHER_KEY), ("a.pub", KEY), ("a", "secret")]);
    let host = Home::new();
    let inviting = host.start(OURS, &["invite", "-y"]);
    let code = code_of(&inviting);
    let mut accepting = guest.start(OURS, &["accept", &code]);
    accepting.type_in("2\nx\n1\nyes\n");
    let accepted = accepting.succeed(LIMIT);
    assert!(accepted.error.contains("found:\n  0: a.pub\n  1: b.pub\nSend which one?"), "{}", accepted.error);
    inviting.succeed(LIMIT);
    assert_eq!(ok(fs::read_to_string(host.list()), "the list"), OTHER_KEY);
}

#[test]
fn a_key_is_taken_from_a_file_or_from_a_directory() {
    for place in ["keys/b.pub", "keys"] {
        let (host, guest) = (Home::new(), Home::with_keys(&[("a.pub", OTHER_KEY)]));
        ok(fs::create_dir(guest.path().join("keys")), "a directory");
        ok(fs::write(guest.path().join("keys/b.pub"), KEY), "a key");
        exchange(&host, &guest, &["-F", place]);
        assert_eq!(ok(fs::read_to_string(host.list()), "the list"), KEY);
    }
}

#[test]
fn what_is_not_one_public_key_is_neither_sent_nor_added() {
    let two = format!("{KEY}{OTHER_KEY}");
    let command = format!("command=\"sh\" {KEY}");
    for text in ["hello", &two, &command, "-----BEGIN OPENSSH PRIVATE KEY-----\n"] {
        let (host, guest) = (Home::new(), Home::with_keys(&[("id.pub", text)]));
        let refused = guest.start(OURS, &["accept", "-y", &new_code()]).finish(LIMIT).expect_code(text, 1);
        assert!(refused.error.contains("is no public key"), "{}", refused.error);

        // Another program may send it all the same.
        let inviting = host.start(OURS, &["invite", "-y"]);
        let code = code_of(&inviting);
        let appid = "lothar.com/wormhole/ssh-add";
        let mut sending = base(OURS, guest.path());
        sending.args(["--appid", appid, "send", "--code", &code, "--text", text, "--hide-progress"]);
        let sent = Program::start("a stranger", sending).finish(LIMIT).expect_code("a stranger", 4);
        assert!(sent.error.contains("transfer rejected"), "{}", sent.error);
        let invited = inviting.finish(LIMIT).expect_code("who invites", 1);
        assert!(invited.error.contains("Nothing was added"), "{}", invited.error);
        assert!(!host.path().join(".ssh").exists());
    }
}

#[test]
fn either_side_can_refuse_and_nothing_is_added() {
    let (host, guest) = (Home::new(), Home::with_keys(&[("id.pub", KEY)]));
    let unsent = guest.start(OURS, &["accept", &new_code()]).finish(LIMIT).expect_code("who is not sure", 4);
    assert!(unsent.error.contains("Aborted!"), "{}", unsent.error);

    let inviting = host.start(OURS, &["invite"]);
    let code = code_of(&inviting);
    let accepting = guest.start(OURS, &["accept", "-y", &code]);
    // The end of its input is no consent.
    inviting.finish(LIMIT).expect_code("who invites", 4);
    let accepted = accepting.finish(LIMIT).expect_code("who is refused", 4);
    assert!(accepted.error.contains("transfer rejected"), "{}", accepted.error);
    assert!(!host.path().join(".ssh").exists());
}

#[test]
fn verifiers_are_compared_first() {
    let (host, guest) = (Home::new(), Home::with_keys(&[("id.pub", KEY)]));
    let mut inviting = host.start(OURS, &["-v", "invite", "-y"]);
    let code = code_of(&inviting);
    let mut accepting = guest.start(OURS, &["--verify", "accept", "-y", &code]);
    accepting.type_in("yes\n");
    inviting.wait_for(Channel::Error, "Verifier ", LIMIT);
    inviting.type_in("no\n");
    inviting.finish(LIMIT).expect_code("who invites", 4);
    accepting.finish(LIMIT).expect_code("who is refused", 4);
    assert!(!host.path().join(".ssh").exists());
}

#[test]
fn what_cannot_be_written_to_is_said_before_there_is_a_code() {
    let elsewhere = Home::new();
    let host = Home::new();
    ok(symlink(elsewhere.path(), host.path().join(".ssh")), "a link");
    let outcome = host.start(OURS, &["invite"]).finish(LIMIT).expect_code("who has a link", 1);
    assert!(outcome.error.contains("is a link"), "{}", outcome.error);
    assert!(!outcome.output.contains("ssh accept"), "{}", outcome.output);

    let outcome = host.start(OURS, &["invite", "-u", "nobody-of-this-name"]).finish(LIMIT);
    let outcome = outcome.expect_code("who is not here", 1);
    assert!(outcome.error.contains("there is no user 'nobody-of-this-name'"), "{}", outcome.error);
}

#[test]
fn an_invitation_can_be_left_and_frees_its_code() {
    let host = Home::new();
    let Some(servers) = Servers::start(wormhole_tests::Make::Ours) else { return };
    let mut command = quiet(Command::new(env!("CARGO_BIN_EXE_wormhole")));
    command.env("HOME", host.path()).args([
        "--relay-url",
        &servers.mailbox_url(),
        "ssh",
        "invite",
        "-c",
        "3",
    ]);
    let inviting = Program::start("ours", command);
    let code = code_of(&inviting);
    assert_eq!(code.split('-').count(), 4, "{code}");
    inviting.signal(Signal::INT);
    inviting.finish(LIMIT).expect_code("who leaves", 130);
    assert_eq!(servers.nameplates(), Vec::<String>::new());
}

#[test]
fn an_invitation_needs_a_code_and_a_key() {
    let nobody = Home::new();
    let outcome = nobody.start(OURS, &["accept"]).finish(LIMIT).expect_code("without a code", 2);
    assert!(outcome.error.contains("ssh accept CODE"), "{}", outcome.error);
    let outcome = nobody.start(OURS, &["accept", "4-a-b"]).finish(LIMIT).expect_code("without a key", 1);
    assert!(outcome.error.contains(".ssh"), "{}", outcome.error);
}

#[test]
fn programs_are_told_and_asked_in_json() {
    let (host, guest) = (Home::new(), Home::with_keys(&[("id.pub", KEY)]));
    let mut inviting = host.start(OURS, &["--json", "invite"]);
    let line = inviting.line_after(Channel::Output, r#"{"event":"code","code":""#, LIMIT);
    let code = line.trim_end_matches(['"', '}']);
    let accepting = guest.start(OURS, &["accept", "-y", code]);
    inviting.wait_for(Channel::Output, r#""event":"question""#, LIMIT);
    inviting.type_in("{\"answer\": true}\n");
    let invited = inviting.succeed(LIMIT);
    accepting.succeed(LIMIT);
    let lines: Vec<serde_json::Value> =
        invited.output.lines().map(|line| ok(serde_json::from_str(line), "JSON")).collect();
    let is_told =
        |part: &str| lines.iter().any(|line| line["text"].as_str().is_some_and(|text| text.contains(part)));
    assert!(is_told("Appended key type='ssh-ed25519'"), "{lines:?}");
    assert_eq!(lines.last().map(|line| &line["event"]), Some(&"result".into()));
    assert_eq!(ok(fs::read_to_string(host.list()), "the list"), KEY);
}

/// Runs an invitation and its acceptance without a question, and returns what the inviting side said.
#[track_caller]
fn exchange(host: &Home, guest: &Home, accept: &[&str]) -> String {
    let inviting = host.start(OURS, &["invite", "--yes"]);
    let code = code_of(&inviting);
    guest.start(OURS, &[&["accept", "--yes"], accept, &[&code]].concat()).succeed(LIMIT);
    inviting.succeed(LIMIT).output
}

#[track_caller]
fn code_of(inviting: &Program) -> String {
    inviting.line_after(Channel::Output, "wormhole ssh accept ", LIMIT)
}

/// Somebody's home.
struct Home(TempDir);

impl Home {
    #[track_caller]
    fn new() -> Self {
        Self(ok(TempDir::new(), "a directory"))
    }

    /// With these files in `.ssh`.
    #[track_caller]
    fn with_keys(keys: &[(&str, &str)]) -> Self {
        let home = Self::new();
        let directory = home.path().join(".ssh");
        ok(fs::create_dir(&directory), "a directory");
        ok(fs::set_permissions(&directory, Permissions::from_mode(0o700)), "its permissions");
        for (name, text) in keys {
            ok(fs::write(directory.join(name), text), "a key");
        }
        home
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn list(&self) -> PathBuf {
        self.path().join(".ssh/authorized_keys")
    }

    #[track_caller]
    fn write_list(&self, text: &str) {
        ok(fs::write(self.list(), text), "a list");
        ok(fs::set_permissions(self.list(), Permissions::from_mode(0o600)), "its permissions");
    }

    /// Starts `ssh` here. What stands before the command of `ssh` is for every command.
    #[track_caller]
    fn start(&self, who: Who<'_>, arguments: &[&str]) -> Program {
        let (before, after): (Vec<&str>, Vec<&str>) = match arguments {
            [first, rest @ ..] if first.starts_with('-') => (vec![*first], rest.to_vec()),
            all => (Vec::new(), all.to_vec()),
        };
        let mut command = base(who, self.path());
        command.args(before).arg("ssh").args(after);
        Program::start(&format!("{who:?} ssh {arguments:?}"), command)
    }
}

fn base(who: Who<'_>, home: &Path) -> Command {
    let mut command = match who {
        Who::Ours(path) => quiet(Command::new(path)),
        Who::Reference(peers) => peers.wormhole(),
    };
    command.current_dir(home).env("HOME", home).args(["--relay-url", &Servers::ours().mailbox_url()]);
    command
}

#[track_caller]
fn mode(path: &Path) -> u32 {
    ok(fs::metadata(path), "permissions").mode() & 0o777
}
