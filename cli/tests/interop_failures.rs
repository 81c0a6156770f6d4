//! What goes wrong between ours and Python's: each side must learn of it, ours with a reason and without a trace.

#![cfg(unix)]

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;
use wormhole_tests::{
    Channel, Kind, Make, Peers, Program, Route, Sample, Scene, Servers, Who, expect_names, fail, new_code, ok,
};

const OURS: Who<'static> = Who::Ours(env!("CARGO_BIN_EXE_wormhole"));
const LIMIT: Duration = Duration::from_secs(60);

/// More than can flow before a test has killed one side.
const ENDLESS: u64 = 8 << 30;

#[test]
fn a_wrong_code_is_told_to_both() {
    let Some(peers) = Peers::find() else { return };
    for (sender, receiver) in both_ways(peers) {
        let (from, to) = (directory(), directory());
        let code = new_code();
        let sending = direct().start(sender, "send", &["--code", &code, "--text", "hi"], from.path());
        let wrong = format!("{code}-x");
        let receiving = direct().start(receiver, "receive", &[&wrong], to.path());
        for (who, program) in [(sender, sending), (receiver, receiving)] {
            let outcome = program.finish(LIMIT).expect_code("with a wrong code", by(who, 3));
            if matches!(who, Who::Ours(_)) && !outcome.error.contains("the codes differ") {
                fail(format_args!("ours does not say why:\n{}", outcome.error));
            }
        }
        expect_names(to.path(), &[]);
    }
}

#[test]
fn a_refusal_is_told_to_the_sender() {
    let Some(peers) = Peers::find() else { return };
    for (sender, receiver) in both_ways(peers) {
        let (from, to) = (directory(), directory());
        let sample = Sample::make(Kind::File(5000), from.path());
        let code = new_code();
        let sending =
            direct().start(sender, "send", &["--code", &code, &sample.arguments().concat()], from.path());
        let mut receiving = direct().start(receiver, "receive", &[&code], to.path());
        receiving.type_in("n\n");
        let refused = receiving.finish(LIMIT).expect_code("who refuses", by(receiver, 4));
        let sent = sending.finish(LIMIT).expect_code("who is refused", by(sender, 4));
        for error in [refused.error, sent.error] {
            if !error.contains("transfer rejected") {
                fail(format_args!("no word of the refusal:\n{error}"));
            }
        }
        expect_names(to.path(), &[]);
    }
}

#[test]
fn an_existing_file_is_left_alone_and_the_sender_told() {
    let Some(peers) = Peers::find() else { return };
    for (sender, receiver) in both_ways(peers) {
        let (from, to) = (directory(), directory());
        let sample = Sample::make(Kind::File(5000), from.path());
        let name = sample.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let existing = to.path().join(&name);
        ok(fs::write(&existing, "older"), "an existing file");
        let code = new_code();
        let sending =
            direct().start(sender, "send", &["--code", &code, &sample.arguments().concat()], from.path());
        let receiving = direct().start(receiver, "receive", &["--accept-file", &code], to.path());
        receiving.finish(LIMIT).expect_code("who has the file", by(receiver, 4));
        let sent = sending.finish(LIMIT).expect_code("who sends it", by(sender, 4));
        if !sent.error.contains("transfer rejected") {
            fail(format_args!("the sender is not told:\n{}", sent.error));
        }
        assert_eq!(ok(fs::read_to_string(&existing), "the existing file"), "older");
        expect_names(to.path(), &[&name]);
    }
}

#[test]
fn python_killed_while_it_receives_is_noticed() {
    let Some(peers) = Peers::find() else { return };
    for route in [Route::Direct, Route::Relay] {
        killed(route, OURS, Who::Reference(peers), "receive");
    }
}

#[test]
fn python_killed_while_it_sends_is_noticed() {
    let Some(peers) = Peers::find() else { return };
    for route in [Route::Direct, Route::Relay] {
        killed(route, Who::Reference(peers), OURS, "send");
    }
}

#[test]
fn python_is_told_when_ours_is_interrupted() {
    let Some(peers) = Peers::find() else { return };
    for (sender, receiver) in both_ways(peers) {
        let (from, to) = (directory(), directory());
        let path = endless(from.path());
        let code = new_code();
        let sending = direct().start(sender, "send", &["--code", &code, &path], from.path());
        let receiving = direct().start(receiver, "receive", &["--accept-file", &code], to.path());
        sending.wait_for(Channel::Error, "Sending (", LIMIT);
        receiving.wait_for(Channel::Error, "Receiving (", LIMIT);
        let (ours, python) =
            if matches!(sender, Who::Ours(_)) { (sending, receiving) } else { (receiving, sending) };
        ours.signal(Signal::INT);
        ours.finish(LIMIT).expect_code("who is interrupted", 130);
        python.finish(LIMIT).expect_code("who is told", 1);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_no_text_arrives_with_substitutes() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let Some(peers) = Peers::find() else { return };
    for (sender, receiver) in both_ways(peers) {
        let (from, to) = (directory(), directory());
        ok(fs::write(from.path().join(OsStr::from_bytes(b"odd\xff.bin")), "content"), "a file");
        let code = new_code();
        let mut command = direct().command(sender, "send", from.path());
        command.args(["--code", &code]).arg(OsStr::from_bytes(b"odd\xff.bin"));
        let sending = Program::start("sender", command);
        direct().start(receiver, "receive", &["--accept-file", &code], to.path()).succeed(LIMIT);
        sending.succeed(LIMIT);
        expect_names(to.path(), &["odd\u{fffd}.bin"]);
    }
}

#[test]
fn ours_sends_to_python_after_the_mailbox_server_has_restarted() {
    for make in [Make::Ours, Make::Reference] {
        let Some(peers) = Peers::find() else { return };
        let Some(mut servers) = Servers::start(make) else { return };
        let (from, to) = (directory(), directory());
        let sample = Sample::make(Kind::File(5000), from.path());
        let sending = Scene { servers: &servers, route: Route::Direct }.start(
            OURS,
            "send",
            &[&sample.arguments().concat()],
            from.path(),
        );
        let code = sending.line_after(Channel::Error, "Wormhole code is: ", LIMIT);
        servers.start_mailbox();
        sending.wait_for(Channel::Error, "is there again", LIMIT);
        let scene = Scene { servers: &servers, route: Route::Direct };
        let receiving = scene.start(Who::Reference(peers), "receive", &["--accept-file", &code], to.path());
        receiving.succeed(LIMIT);
        sending.succeed(LIMIT);
        sample.expect_in(to.path(), "");
    }
}

#[test]
fn ours_receives_from_python_after_the_mailbox_server_has_restarted() {
    for make in [Make::Ours, Make::Reference] {
        let Some(peers) = Peers::find() else { return };
        let Some(mut servers) = Servers::start(make) else { return };
        let (from, to) = (directory(), directory());
        let sample = Sample::make(Kind::File(5000), from.path());
        let code = new_code();
        let receiving = Scene { servers: &servers, route: Route::Direct }.start(
            OURS,
            "receive",
            &["--accept-file", &code],
            to.path(),
        );
        receiving.wait_for(Channel::Error, "Waiting for sender...", LIMIT);
        servers.start_mailbox();
        receiving.wait_for(Channel::Error, "is there again", LIMIT);
        let scene = Scene { servers: &servers, route: Route::Direct };
        let arguments = ["--code", &code, &sample.arguments().concat()];
        let sending = scene.start(Who::Reference(peers), "send", &arguments, from.path());
        let received = receiving.succeed(LIMIT);
        sending.succeed(LIMIT);
        sample.expect_in(to.path(), &received.output);
    }
}

/// Kills the side `victim` of Python's in the middle of the content; ours must end with a reason, and keep nothing.
#[track_caller]
fn killed(route: Route, sender: Who<'_>, receiver: Who<'_>, victim: &str) {
    let scene = Scene { servers: Servers::ours(), route };
    let (from, to) = (directory(), directory());
    let path = endless(from.path());
    let code = new_code();
    let sending = scene.start(sender, "send", &["--code", &code, &path], from.path());
    let receiving = scene.start(receiver, "receive", &["--accept-file", &code], to.path());
    sending.wait_for(Channel::Error, "Sending (", LIMIT);
    receiving.wait_for(Channel::Error, "Receiving (", LIMIT);
    let (killed, survivor) = if victim == "send" { (sending, receiving) } else { (receiving, sending) };
    killed.kill();
    let begun = Instant::now();
    let outcome = survivor.finish(Duration::from_secs(15)).expect_code("the survivor", 6);
    if outcome.error.contains("panicked") || !outcome.error.contains("ERROR: ") {
        fail(format_args!("after {:?} without a reason:\n{}", begun.elapsed(), outcome.error));
    }
    if victim == "send" {
        expect_names(to.path(), &[]);
    }
}

/// How a program ends: Python knows but one way to fail.
fn by(who: Who<'_>, ours: i32) -> i32 {
    if matches!(who, Who::Ours(_)) { ours } else { 1 }
}

fn both_ways(peers: &Peers) -> [(Who<'_>, Who<'_>); 2] {
    [(OURS, Who::Reference(peers)), (Who::Reference(peers), OURS)]
}

fn direct() -> Scene<'static> {
    Scene { servers: Servers::ours(), route: Route::Direct }
}

/// A file without content of its own that reads as zeros.
#[track_caller]
fn endless(directory: &Path) -> String {
    let path = directory.join("endless");
    ok(ok(File::create(&path), "a file").set_len(ENDLESS), "a file's size");
    path.display().to_string()
}

#[track_caller]
fn directory() -> TempDir {
    ok(TempDir::new(), "a directory")
}
