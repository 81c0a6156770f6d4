//! What goes wrong around a transfer: files that change, disks that are full, peers that die, streams that are closed.
//! Both users are told why, within seconds, and nothing half is kept.

#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;
use wormhole_tests::{
    Channel, Make, Outcome, Program, Route, Scene, Servers, Terminal, Who, expect_names, fail, new_code,
    noise, ok, quiet,
};

const OURS: Who<'static> = Who::Ours(env!("CARGO_BIN_EXE_wormhole"));
const LIMIT: Duration = Duration::from_secs(60);
/// What a user waits for before looking for another program.
const SOON: Duration = Duration::from_secs(10);
const SIZE: usize = 2_000_000;

#[test]
fn two_receivers_learn_of_each_other() {
    let here = directory();
    let code = new_code();
    let both = [(); 2].map(|()| direct().start(OURS, "receive", &[&code], here.path()));
    for outcome in both.map(|program| program.finish(SOON).expect_code("a receiver", 1)) {
        assert!(outcome.error.contains("both sides want the same role"), "{}", outcome.error);
    }
}

#[test]
fn a_code_that_is_none_is_refused_before_anything_is_used_up() {
    let here = directory();
    for (code, why) in [
        ("4 crossover clockwork", "no spaces"),
        ("\u{ff14}-crossover-clockwork", "a number and a dash"),
        ("4--crossover", "two in a row"),
        ("4-", "words after its number"),
        ("crossover-clockwork", "number"),
        ("4-CROSSOVER-Clockwork", "small letters, as 4-crossover-clockwork"),
    ] {
        for arguments in [&["receive", code][..], &["send", "--text", "hi", "--code", code]] {
            let outcome = direct().start(OURS, arguments[0], &arguments[1..], here.path()).finish(SOON);
            let outcome = outcome.expect_code(code, 2);
            assert!(outcome.error.contains(why), "{code}: {}", outcome.error);
            assert!(!outcome.error.contains("Waiting"), "{code}: {}", outcome.error);
        }
    }
}

#[test]
fn a_file_that_shrinks_or_grows_is_told_to_both_and_nothing_is_kept() {
    for size in [SIZE as u64 / 2, SIZE as u64 * 2] {
        let (from, to) = (offered(), directory());
        let code = new_code();
        let sending = direct().start(OURS, "send", &["--code", &code, "file"], from.path());
        sending.wait_for(Channel::Error, "Wormhole code is: ", LIMIT);
        ok(open(&from.path().join("file")).set_len(size), "another size");
        let received = direct().start(OURS, "receive", &["--accept-file", &code], to.path()).finish(SOON);
        let sent = sending.finish(SOON).expect_code("the sender", 1);
        assert!(sent.error.contains("changed while it was being sent"), "{}", sent.error);
        let received = received.expect_code("the receiver", 1);
        assert!(received.error.contains("a file changed while it was being sent"), "{}", received.error);
        expect_names(to.path(), &[]);
    }
}

#[test]
fn what_is_larger_than_the_disk_is_refused_before_it_is_accepted() {
    let (from, to) = (directory(), directory());
    let huge = ok(File::create(from.path().join("file")), "a file");
    ok(huge.set_len(15 << 40), "a file with nothing in it");
    let (sent, received) = transfer(from.path(), to.path(), &["--accept-file"]);
    let received = received.expect_code("the receiver", 4);
    assert!(received.error.contains("not enough free space"), "{}", received.error);
    sent.expect_code("the sender", 4);
    expect_names(to.path(), &[]);
}

/// A limit on the size of files stands for a disk that is full: writing fails where the system has not said so before.
#[test]
fn a_disk_that_takes_no_more_is_told_to_both_and_the_old_file_stays() {
    let (from, to) = (offered(), directory());
    ok(fs::write(to.path().join("file"), "older"), "a file");
    let code = new_code();
    let sending = direct().start(OURS, "send", &["--code", &code, "file"], from.path());
    let arguments = ["--accept-file", "--on-conflict=overwrite", &code];
    let receiving = in_a_shell("trap '' XFSZ; ulimit -f 200; exec \"$0\" \"$@\"", &arguments, to.path());
    let received = receiving.finish(SOON).expect_code("the receiver", 1);
    assert!(received.error.contains("File too large"), "{}", received.error);
    let sent = sending.finish(SOON).expect_code("the sender", 1);
    assert!(sent.error.contains("could not be stored"), "{}", sent.error);
    expect_names(to.path(), &["file"]);
    assert_eq!(ok(fs::read_to_string(to.path().join("file")), "the old file"), "older");
}

#[test]
fn what_is_no_file_is_never_replaced() {
    let (from, to) = (offered(), directory());
    let made = quiet(Command::new("mkfifo")).arg(to.path().join("pipe")).status();
    assert!(ok(made, "mkfifo").success());
    for arguments in [&["--on-conflict=overwrite", "--accept-file"][..], &["--accept-file"], &[]] {
        let (sent, received) = transfer(from.path(), to.path(), &[arguments, &["-o", "pipe"]].concat());
        let received = received.expect_code("the receiver", 4);
        assert!(received.error.contains("'pipe' exists already"), "{}", received.error);
        sent.expect_code("the sender", 4);
        expect_names(to.path(), &["pipe"]);
    }
}

/// Whether it comes back or not: who is asked learns that it is away, and can leave or go on.
#[test]
fn a_server_that_dies_while_a_user_is_asked_is_told_and_waited_for() {
    for comes_back in [true, false] {
        let Some(mut servers) = Servers::durable(Make::Ours) else { fail("our own servers do not start") };
        let (from, to) = (offered(), directory());
        let code = new_code();
        let scene = Scene { servers: &servers, route: Route::Direct };
        let sending = scene.start(OURS, "send", &["--code", &code, "file"], from.path());
        let mut command = scene.command(OURS, "receive", to.path());
        command.arg(&code);
        let mut terminal = Terminal::run(&command);
        let at = terminal.wait_for("ok? (Y/n): ", 0, LIMIT);
        servers.stop_mailbox();
        let at = terminal.wait_for("Lost the mailbox server", at, SOON);
        if comes_back {
            servers.start_mailbox();
            terminal.wait_for("The mailbox server is there again", at, LIMIT);
            terminal.type_in("y\r");
            assert_eq!(terminal.finish(LIMIT).0, Some(0), "{}", terminal.screen());
            sending.succeed(LIMIT);
            expect_names(to.path(), &["file"]);
        } else {
            terminal.type_in("\x03");
            assert_eq!(terminal.finish(SOON).0, Some(130), "{}", terminal.screen());
            sending.signal(Signal::INT);
            sending.finish(SOON).expect_code("who left", 130);
            expect_names(to.path(), &[]);
        }
        assert!(terminal.is_as_it_was(), "the terminal is not as it was");
    }
}

#[test]
fn a_peer_that_is_killed_is_noticed_and_nothing_is_kept() {
    for route in [Route::Direct, Route::Relay] {
        for sender_dies in [true, false] {
            let scene = Scene { servers: Servers::ours(), route };
            let (from, to) = (directory(), directory());
            ok(ok(File::create(from.path().join("file")), "a file").set_len(8 << 30), "its size");
            let code = new_code();
            let sending = scene.start(OURS, "send", &["--code", &code, "file"], from.path());
            let receiving = scene.start(OURS, "receive", &["--accept-file", &code], to.path());
            sending.wait_for(Channel::Error, "Sending (", LIMIT);
            receiving.wait_for(Channel::Error, "Receiving (", LIMIT);
            let (dies, stays) = if sender_dies { (sending, receiving) } else { (receiving, sending) };
            dies.kill();
            let outcome = stays.finish(SOON).expect_code("who stays", 6);
            assert!(outcome.error.contains("the connection"), "{}", outcome.error);
            // Who is killed cannot remove what it was writing.
            if sender_dies {
                expect_names(to.path(), &[]);
            }
        }
    }
}

#[test]
fn a_question_ends_at_once_when_the_other_side_leaves() {
    for (verify, question) in [(false, "ok? (Y/n): "), (true, "the same? (yes/no): ")] {
        let (from, to) = (offered(), directory());
        let code = new_code();
        let mut arguments = vec!["--code", &code, "file"];
        arguments.extend(verify.then_some("--verify"));
        let sending = direct().start(OURS, "send", &arguments, from.path());
        let mut command = direct().command(OURS, "receive", to.path());
        command.arg(&code).args(verify.then_some("--verify"));
        let mut terminal = Terminal::run(&command);
        terminal.wait_for(question, 0, LIMIT);
        sending.signal(Signal::INT);
        terminal.wait_for("the other side ended the transfer", 0, SOON);
        let (ended, _) = terminal.finish(SOON);
        assert_eq!(ended, Some(6), "{}", terminal.screen());
        assert!(terminal.is_as_it_was(), "the terminal is not as it was");
        sending.finish(SOON).expect_code("who left", 130);
        expect_names(to.path(), &[]);
    }
}

#[test]
fn a_second_interruption_leaves_at_once() {
    let from = offered();
    let sending = direct().start(OURS, "send", &["file"], from.path());
    sending.wait_for(Channel::Error, "Wormhole code is: ", LIMIT);
    sending.signal(Signal::INT);
    sending.signal(Signal::INT);
    let outcome = sending.finish(SOON).expect_code("who insists", 130);
    assert!(!outcome.error.contains("ERROR"), "{}", outcome.error);
}

#[test]
fn without_standard_input_a_question_is_a_refusal_and_the_rest_works() {
    let (from, to) = (offered(), directory());
    let code = new_code();
    let sending = direct().start(OURS, "send", &["--code", &code, "file"], from.path());
    let receiving = in_a_shell("exec \"$0\" \"$@\" <&-", &[&code], to.path());
    receiving.finish(SOON).expect_code("who cannot answer", 4);
    sending.finish(SOON).expect_code("who was refused", 4);
    let code = new_code();
    let sending = direct().start(OURS, "send", &["--code", &code, "file"], from.path());
    in_a_shell("exec \"$0\" \"$@\" <&-", &["--accept-file", &code], to.path()).succeed(LIMIT);
    sending.succeed(LIMIT);
    expect_names(to.path(), &["file"]);
}

#[test]
fn without_standard_output_a_file_arrives_and_a_text_was_not_received() {
    let (from, to) = (offered(), directory());
    let code = new_code();
    let sending = direct().start(OURS, "send", &["--code", &code, "file"], from.path());
    in_a_shell("exec \"$0\" \"$@\" >&-", &["--accept-file", &code], to.path()).succeed(LIMIT);
    sending.succeed(LIMIT);
    expect_names(to.path(), &["file"]);
    let code = new_code();
    let sending = direct().start(OURS, "send", &["--code", &code, "--text", "hi"], from.path());
    // Whoever reads has gone before the text comes, as with `| head -0`.
    let script = "\"$0\" \"$@\" | true; exec sleep 0";
    in_a_shell(script, &[&code], to.path()).finish(LIMIT);
    sending.finish(LIMIT).expect_code("whose text was not shown", 6);
}

/// Sends `file`, with the outcomes of both sides.
fn transfer(from: &Path, to: &Path, arguments: &[&str]) -> (Outcome, Outcome) {
    let code = new_code();
    let sending = direct().start(OURS, "send", &["--code", &code, "file"], from);
    let received = direct().start(OURS, "receive", &[arguments, &[&code]].concat(), to).finish(LIMIT);
    (sending.finish(LIMIT), received)
}

/// `receive` by way of a shell, which has the program as `"$0" "$@"`.
fn in_a_shell(script: &str, arguments: &[&str], directory: &Path) -> Program {
    let ours = direct().command(OURS, "receive", directory);
    let mut command = quiet(Command::new("sh"));
    command.args(["-c", script]).arg(ours.get_program()).args(ours.get_args()).args(arguments);
    command.current_dir(directory);
    Program::start("ours", command)
}

/// A directory with a file to send.
fn offered() -> TempDir {
    let directory = directory();
    ok(fs::write(directory.path().join("file"), noise(SIZE)), "a file");
    directory
}

fn open(path: &Path) -> File {
    ok(File::options().write(true).open(path), "a file")
}

fn direct() -> Scene<'static> {
    Scene { servers: Servers::ours(), route: Route::Direct }
}

fn directory() -> TempDir {
    ok(TempDir::new(), "a directory")
}
