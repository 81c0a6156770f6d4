//! Ctrl-C and prompts: within a second the program is gone with 130, the other side knows, and nothing is left behind:
//! no nameplate, no temporary file, no terminal in raw mode.

#![cfg(target_os = "linux")]

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;
use wormhole_tests::{
    Channel, Make, Program, Route, Scene, Servers, Terminal, Who, expect_names, fail, new_code, ok, quiet,
};

const OURS: Who<'static> = Who::Ours(env!("CARGO_BIN_EXE_wormhole"));
const LIMIT: Duration = Duration::from_secs(60);
/// What a user waits for.
const SECOND: Duration = Duration::from_secs(1);
/// What Ctrl-C types.
const CTRL_C: &str = "\x03";

#[test]
fn a_code_that_waits_is_given_back() {
    let servers = servers();
    let here = directory();
    let sending = scene(&servers).start(OURS, "send", &["--text", "hi"], here.path());
    sending.wait_for(Channel::Error, "Wormhole code is: ", LIMIT);
    leaves(sending, Signal::INT);
    assert_eq!(servers.nameplates(), Vec::<String>::new());
}

#[test]
fn a_request_to_terminate_is_an_interruption_too() {
    let servers = servers();
    let here = directory();
    let receiving = scene(&servers).start(OURS, "receive", &[&new_code()], here.path());
    receiving.wait_for(Channel::Error, "Waiting for sender...", LIMIT);
    leaves(receiving, Signal::TERM);
    assert_eq!(servers.nameplates(), Vec::<String>::new());
}

#[test]
fn a_program_that_shall_outlive_its_terminal_does() {
    let servers = servers();
    let here = directory();
    let ours = scene(&servers).command(OURS, "send", here.path());
    let mut command = quiet(Command::new("sh"));
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(ours.get_program()).args(ours.get_args());
    command.args(["--text", "hi"]);
    let sending = Program::start("ours", command);
    let code = sending.line_after(Channel::Error, "Wormhole code is: ", LIMIT);
    sending.signal(Signal::HUP);
    scene(&servers).start(OURS, "receive", &[&code], here.path()).succeed(LIMIT);
    sending.succeed(LIMIT);
}

#[test]
fn a_sender_that_leaves_in_the_middle_is_noticed_and_nothing_is_kept() {
    in_the_middle(true);
}

#[test]
fn a_receiver_that_leaves_in_the_middle_is_noticed_and_nothing_is_kept() {
    in_the_middle(false);
}

#[test]
fn a_server_that_went_away_holds_nobody() {
    let mut servers = servers();
    let here = directory();
    let sending = scene(&servers).start(OURS, "send", &["--text", "hi"], here.path());
    sending.wait_for(Channel::Error, "Wormhole code is: ", LIMIT);
    servers.stop_mailbox();
    sending.wait_for(Channel::Error, "Lost the mailbox server", LIMIT);
    leaves(sending, Signal::INT);
}

#[test]
fn a_receiver_leaves_nothing_behind_even_without_a_server() {
    let mut servers = servers();
    let (from, to) = (directory(), directory());
    let path = endless(from.path());
    let code = new_code();
    let sending = scene(&servers).start(OURS, "send", &["--code", &code, &path], from.path());
    let receiving = scene(&servers).start(OURS, "receive", &["--accept-file", &code], to.path());
    receiving.wait_for(Channel::Error, "Receiving (", LIMIT);
    // It has the answer as well, which takes another way than the connection.
    sending.wait_for(Channel::Error, "Sending (", LIMIT);
    servers.stop_mailbox();
    leaves(receiving, Signal::INT);
    expect_names(to.path(), &[]);
    sending.finish(SECOND * 10).expect_code("the sender", 6);
}

#[test]
fn a_demo_leaves_nothing_behind() {
    let (here, temporary) = (directory(), directory());
    for arguments in [&[endless(here.path())][..], &[]] {
        let mut command = quiet(Command::new(env!("CARGO_BIN_EXE_wormhole")));
        command.arg("demo").args(arguments).current_dir(here.path()).env("TMPDIR", temporary.path());
        let demo = Program::start("demo", command);
        demo.wait_for(Channel::Error, "Receiving (", LIMIT);
        leaves(demo, Signal::INT);
        expect_names(temporary.path(), &[]);
    }
}

#[test]
fn a_server_that_never_answers_holds_nobody() {
    let silent = ok(TcpListener::bind("127.0.0.1:0"), "a listener");
    let url = format!("ws://{}/v1", ok(silent.local_addr(), "its address"));
    let here = directory();
    let mut command = quiet(Command::new(env!("CARGO_BIN_EXE_wormhole")));
    command.args(["--relay-url", &url, "send", "--text", "hi"]).current_dir(here.path());
    let sending = Program::start("ours", command);
    let _held = ok(silent.accept(), "the program's connection");
    leaves(sending, Signal::INT);
}

#[test]
fn the_prompt_for_a_text_can_be_left() {
    let servers = servers();
    let here = directory();
    let mut terminal = Terminal::run(&scene(&servers).command(OURS, "send", here.path()));
    terminal.wait_for("Text to send: ", 0, LIMIT);
    leaves_terminal(&mut terminal);
}

#[test]
fn the_prompt_for_a_code_can_be_left_and_the_terminal_is_as_it_was() {
    let servers = servers();
    let here = directory();
    for signal in [true, false] {
        let mut terminal = Terminal::run(&scene(&servers).command(OURS, "receive", here.path()));
        terminal.wait_for("Enter receive wormhole code: ", 0, LIMIT);
        terminal.wait_for_raw(LIMIT);
        if signal {
            terminal.signal(Signal::TERM);
            left(&mut terminal, 143);
        } else {
            leaves_terminal(&mut terminal);
        }
    }
}

#[test]
fn the_prompt_for_consent_can_be_left_and_the_sender_is_told() {
    for (there, question) in [(&[][..], "ok? (Y/n): "), (&["endless"], "(n)o? ")] {
        let servers = servers();
        let here = directory();
        let path = endless(here.path());
        let code = new_code();
        let sending = scene(&servers).start(OURS, "send", &["--code", &code, &path], here.path());
        let to = directory();
        for name in there {
            ok(File::create(to.path().join(name)), "what is there already");
        }
        let mut command = scene(&servers).command(OURS, "receive", to.path());
        command.arg(&code);
        let mut terminal = Terminal::run(&command);
        terminal.wait_for(question, 0, LIMIT);
        leaves_terminal(&mut terminal);
        let sent = sending.finish(SECOND * 5).expect_code("the sender", 6);
        assert!(sent.error.contains("the other side ended the transfer"), "{}", sent.error);
        expect_names(to.path(), there);
        assert_eq!(servers.nameplates(), Vec::<String>::new());
    }
}

#[test]
fn the_prompt_for_a_verifier_can_be_left_and_the_receiver_is_told() {
    let servers = servers();
    let here = directory();
    let code = new_code();
    let receiving = scene(&servers).start(OURS, "receive", &[&code], here.path());
    let mut command = scene(&servers).command(OURS, "send", here.path());
    command.args(["--verify", "--code", &code, "--text", "hi"]);
    let mut terminal = Terminal::run(&command);
    terminal.wait_for(". ok? (yes/no): ", 0, LIMIT);
    leaves_terminal(&mut terminal);
    receiving.finish(SECOND * 5).expect_code("the receiver", 6);
}

#[test]
fn the_tab_key_completes_nameplates_and_words_and_a_bad_code_may_be_typed_again() {
    let servers = servers();
    let here = directory();
    let code = "37-guitarist-revenge";
    let sending = scene(&servers).start(OURS, "send", &["--code", code, "--text", "hello"], here.path());
    sending.wait_for(Channel::Error, "Wormhole code is: ", LIMIT);
    let mut terminal = Terminal::run(&scene(&servers).command(OURS, "receive", here.path()));
    let at = terminal.wait_for("Enter receive wormhole code: ", 0, LIMIT);
    terminal.wait_for_raw(LIMIT);
    terminal.type_in("no code\r");
    let at = terminal.wait_for("Enter receive wormhole code: ", at, LIMIT);
    terminal.wait_for_raw(LIMIT);
    // The line is there again, to be mended: Ctrl-U clears it.
    terminal.type_in("\x153\t");
    let at = terminal.wait_for("37-", at, LIMIT);
    terminal.type_in("guit\t");
    let at = terminal.wait_for("guitarist-", at, LIMIT);
    terminal.type_in("reven\t");
    let at = terminal.wait_for("revenge", at, LIMIT);
    terminal.type_in("\r");
    terminal.wait_for("hello", at, LIMIT);
    let (code, _) = terminal.finish(LIMIT);
    assert_eq!(code, Some(0), "{}", terminal.screen());
    assert!(terminal.is_as_it_was());
    sending.succeed(LIMIT);
}

#[test]
fn a_prompt_does_not_stop_the_conversation() {
    for signal in [Signal::INT, Signal::TERM] {
        let servers = servers();
        let (from, to) = (directory(), directory());
        let path = endless(from.path());
        let code = new_code();
        let sending = scene(&servers).start(OURS, "send", &["--code", &code, &path], from.path());
        let receiving = scene(&servers).start(OURS, "receive", &[&code], to.path());
        receiving.wait_for(Channel::Error, "ok? (Y/n): ", LIMIT);
        leaves(sending, signal);
        // Its input stays open meanwhile.
        receiving.wait_for(Channel::Error, "the other side ended the transfer", SECOND * 5);
        receiving.finish(LIMIT).expect_code("who was asked", 6);
        assert_eq!(servers.nameplates(), Vec::<String>::new());
    }
}

/// Interrupts one side of a transfer without end. The other must end with a reason, and nothing may be kept.
#[track_caller]
fn in_the_middle(the_sender_leaves: bool) {
    for (route, signal, as_directory) in [
        (Route::Direct, Signal::INT, false),
        (Route::Relay, Signal::TERM, false),
        (Route::Direct, Signal::TERM, true),
    ] {
        let servers = servers();
        let scene = Scene { servers: &servers, route };
        let (from, to) = (directory(), directory());
        let file = endless(from.path());
        let path = if as_directory { from.path().display().to_string() } else { file };
        let code = new_code();
        let sending = scene.start(OURS, "send", &["--code", &code, &path], from.path());
        let receiving = scene.start(OURS, "receive", &["--accept-file", &code], to.path());
        sending.wait_for(Channel::Error, "Sending (", LIMIT);
        receiving.wait_for(Channel::Error, "Receiving (", LIMIT);
        let (goes, stays) = if the_sender_leaves { (sending, receiving) } else { (receiving, sending) };
        leaves(goes, signal);
        let outcome = stays.finish(SECOND * 5).expect_code("who stays", 6);
        if !outcome.error.contains("the other side ended the transfer") {
            fail(format_args!("no reason:\n{}", outcome.error));
        }
        expect_names(to.path(), &[]);
        assert_eq!(servers.nameplates(), Vec::<String>::new());
    }
}

#[track_caller]
fn leaves(program: Program, signal: Signal) {
    let begun = Instant::now();
    program.signal(signal);
    let outcome = program.finish(LIMIT).expect_code("who is interrupted", exit_code(signal));
    assert!(begun.elapsed() < SECOND, "it took {:?}:\n{}", begun.elapsed(), outcome.error);
    assert!(!outcome.error.contains("ERROR"), "{}", outcome.error);
}

/// As a shell reports who is ended by the signal, but that a terminal that is gone is an interruption.
fn exit_code(signal: Signal) -> i32 {
    if signal == Signal::TERM { 143 } else { 130 }
}

#[track_caller]
fn leaves_terminal(terminal: &mut Terminal) {
    terminal.type_in(CTRL_C);
    left(terminal, 130);
}

#[track_caller]
fn left(terminal: &mut Terminal, wanted: i32) {
    let (code, took) = terminal.finish(LIMIT);
    assert_eq!(code, Some(wanted), "{}", terminal.screen());
    assert!(took < SECOND, "it took {took:?}");
    assert!(terminal.is_as_it_was(), "the terminal is not as it was");
}

#[track_caller]
fn servers() -> Servers {
    match Servers::start(Make::Ours) {
        Some(servers) => servers,
        None => fail("our own servers do not start"),
    }
}

fn scene(servers: &Servers) -> Scene<'_> {
    Scene { servers, route: Route::Direct }
}

/// A file that nobody receives whole before a test has ended.
#[track_caller]
fn endless(directory: &Path) -> String {
    let path = directory.join("endless");
    ok(ok(File::create(&path), "a file").set_len(8 << 30), "a file's size");
    path.display().to_string()
}

#[track_caller]
fn directory() -> TempDir {
    ok(TempDir::new(), "a directory")
}
