//! The program as its users run it, ours on both ends: where things go, what is said, and how it ends.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use wormhole_tests::{
    Channel, Kind, Outcome, Program, Route, Sample, Scene, Servers, Who, expect_names, fail, new_code, ok,
    quiet,
};

const OURS: Who<'static> = Who::Ours(env!("CARGO_BIN_EXE_wormhole"));
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn everything_that_can_be_sent_arrives() {
    for kind in [
        Kind::Text,
        Kind::File(0),
        Kind::File(1),
        Kind::File(128 << 10),
        Kind::File((128 << 10) + 1),
        Kind::File(20_000_000),
        Kind::OddFile,
        Kind::Directory,
        Kind::OddDirectory,
    ] {
        for route in [Route::Direct, Route::Relay] {
            let pair = Pair::new(kind);
            let scene = Scene { servers: Servers::ours(), route };
            let (sent, received) = pair.run_in(scene, &[], &["--accept-file"]);
            let (sent, received) = (sent.expect_code("sender", 0), received.expect_code("receiver", 0));
            pair.sample.expect_in(pair.to.path(), &received.output);
            assert_eq!(sent.output, "Note: code has been consumed and can no longer be used.\n");
        }
    }
}

#[test]
fn an_allocated_code_is_shown_with_the_command_for_the_other_side() {
    let pair = Pair::new(Kind::File(7924));
    let sending = direct().start(OURS, "send", &[&pair.path()], pair.from.path());
    let code = sending.line_after(Channel::Error, "Wormhole code is: ", LIMIT);
    let shown = sending.wait_for(Channel::Error, &format!("\nwormhole receive {code}\n"), LIMIT);
    assert!(shown.starts_with("Sending 7.9 kB file named 'file-7924.bin'\n"), "{shown}");
    let received = direct().start(OURS, "receive", &["--accept-file", &code], pair.to.path()).succeed(LIMIT);
    let sent = sending.succeed(LIMIT);
    assert!(sent.error.contains("File sent.. waiting for confirmation\n"), "{}", sent.error);
    assert!(sent.error.ends_with("Confirmation received. Transfer complete.\n"), "{}", sent.error);
    assert!(received.error.contains("Receiving file (7.9 kB) into: 'file-7924.bin'\n"), "{}", received.error);
    let place = ok(pair.to.path().canonicalize(), "the directory").join("file-7924.bin");
    let last = format!("Received file written to: {}\n", place.display());
    assert!(received.error.ends_with(&last), "{}", received.error);
    assert_eq!(received.output, "");
}

#[test]
fn the_receiver_may_make_the_code() {
    let pair = Pair::new(Kind::Text);
    let receiving = direct().start(OURS, "receive", &["--allocate", "-c", "4"], pair.to.path());
    let code = receiving.line_after(Channel::Error, "Allocated code: ", LIMIT);
    assert_eq!(code.split('-').count(), 5, "{code}");
    let sending = direct().start(OURS, "send", &["--code", &code, "--text", "hi"], pair.from.path());
    assert_eq!(receiving.succeed(LIMIT).output, "hi\n");
    sending.succeed(LIMIT);
}

#[test]
fn lines_of_a_text_are_kept_and_control_characters_made_harmless() {
    let pair = Pair::new(Kind::Text);
    let text = "one\ntwo \x1b[31mred\\n\n";
    let code = new_code();
    let sending = direct().start(OURS, "send", &["--code", &code, "--text", text], pair.from.path());
    let received = direct().start(OURS, "receive", &[&code], pair.to.path()).succeed(LIMIT);
    sending.succeed(LIMIT);
    assert_eq!(received.output, "one\ntwo \\x1b[31mred\\n\n");
}

#[test]
fn text_is_read_from_standard_input() {
    let pair = Pair::new(Kind::Text);
    for (arguments, typed, wanted) in
        [(&["--text", "-"][..], "two\nlines\n", "two\nlines\n"), (&[][..], "one line\n", "one line\n")]
    {
        let code = new_code();
        let mut sending =
            direct().start(OURS, "send", &[&["--code", &code], arguments].concat(), pair.from.path());
        sending.type_in(typed);
        sending.end_input();
        let received = direct().start(OURS, "receive", &[&code], pair.to.path()).succeed(LIMIT);
        sending.succeed(LIMIT);
        assert_eq!(received.output, wanted);
    }
}

#[test]
fn code_and_consent_may_come_through_a_pipe_and_stay_out_of_the_output() {
    let pair = Pair::new(Kind::File(5000));
    let code = new_code();
    let sending = direct().start(OURS, "send", &["--code", &code, &pair.path()], pair.from.path());
    let mut receiving = direct().start(OURS, "receive", &[], pair.to.path());
    receiving.type_in(&format!("  {code} \ny\n"));
    let received = receiving.succeed(LIMIT);
    sending.succeed(LIMIT);
    assert_eq!(received.output, "");
    assert!(received.error.contains("Enter receive wormhole code: "), "{}", received.error);
    assert!(received.error.contains("ok? (Y/n): "), "{}", received.error);
    pair.sample.expect_in(pair.to.path(), "");
}

#[test]
fn the_end_of_the_input_refuses_and_the_sender_is_told() {
    let pair = Pair::new(Kind::File(5000));
    let (sent, received) = pair.run(&[], &[]);
    let (sent, received) = (sent.expect_code("sender", 4), received.expect_code("receiver", 4));
    assert!(sent.error.contains("transfer rejected"), "{}", sent.error);
    assert!(received.error.contains("transfer rejected"), "{}", received.error);
    expect_names(pair.to.path(), &[]);
}

#[test]
fn an_output_name_that_is_new_is_the_name() {
    for kind in [Kind::File(5000), Kind::Directory] {
        let pair = Pair::new(kind);
        let (sent, received) = pair.run(&[], &["--accept-file", "-o", "other"]);
        sent.expect_code("sender", 0);
        received.expect_code("receiver", 0);
        expect_names(pair.to.path(), &["other"]);
        let renamed = pair.to.path().join("other");
        let place = pair.to.path().join(pair.sample.path().file_name().unwrap_or_default());
        ok(fs::rename(renamed, place), "renaming");
        pair.sample.expect_in(pair.to.path(), "");
    }
}

#[test]
fn an_output_name_that_is_a_directory_takes_it_in() {
    for kind in [Kind::File(5000), Kind::Directory] {
        let pair = Pair::new(kind);
        let inner = pair.to.path().join("inner");
        ok(fs::create_dir(&inner), "a directory");
        let (sent, received) = pair.run(&[], &["--accept-file", "-o", "inner"]);
        sent.expect_code("sender", 0);
        received.expect_code("receiver", 0);
        pair.sample.expect_in(&inner, "");
    }
}

#[test]
fn an_output_name_that_is_a_file_is_replaced() {
    let pair = Pair::new(Kind::File(5000));
    let old = pair.to.path().join("old");
    ok(fs::write(&old, "older"), "a file");
    let (sent, received) = pair.run(&[], &["--accept-file", "-o", "old"]);
    sent.expect_code("sender", 0);
    received.expect_code("receiver", 0);
    expect_names(pair.to.path(), &["old"]);
    assert_eq!(ok(fs::read(&old), "the new file"), ok(fs::read(pair.sample.path()), "the sample"));
}

#[test]
fn a_directory_does_not_replace_a_file() {
    let pair = Pair::new(Kind::Directory);
    let old = pair.to.path().join("old");
    ok(fs::write(&old, "older"), "a file");
    let (sent, received) = pair.run(&[], &["--accept-file", "-o", "old"]);
    sent.expect_code("sender", 4);
    received.expect_code("receiver", 4);
    assert_eq!(ok(fs::read_to_string(&old), "the file"), "older");
    expect_names(pair.to.path(), &["old"]);
}

#[test]
fn an_output_name_below_nothing_is_an_error_before_the_code_is_used() {
    let pair = Pair::new(Kind::File(5000));
    let code = new_code();
    let sending = direct().start(OURS, "send", &["--code", &code, &pair.path()], pair.from.path());
    for place in ["missing/name", "missing/"] {
        let wrong = direct().start(OURS, "receive", &["--accept-file", "-o", place, &code], pair.to.path());
        let received = wrong.finish(LIMIT).expect_code("receiver", 1);
        assert!(received.error.contains("there is no directory 'missing"), "{}", received.error);
    }
    direct().start(OURS, "receive", &["--accept-file", &code], pair.to.path()).succeed(LIMIT);
    sending.succeed(LIMIT);
    pair.sample.expect_in(pair.to.path(), "");
}

#[test]
fn what_is_in_the_way_is_asked_about_and_costs_no_code() {
    let old = |pair: &Pair| pair.to.path().join(pair.sample.path().file_name().unwrap_or_default());
    let new = |pair: &Pair| ok(fs::read(pair.sample.path()), "the sample");
    for (typed, names, is_replaced) in [
        ("what?\no\n", &["file-5000.bin"][..], true),
        ("r\n", &["file-5000 (1).bin", "file-5000.bin"], false),
        ("./other\n", &["file-5000.bin", "other"], false),
    ] {
        let pair = Pair::new(Kind::File(5000));
        ok(fs::write(old(&pair), "older"), "a file");
        let code = new_code();
        let sending = direct().start(OURS, "send", &["--code", &code, &pair.path()], pair.from.path());
        let mut receiving = direct().start(OURS, "receive", &[&code], pair.to.path());
        let asked = receiving.wait_for(Channel::Error, "or (n)o? ", LIMIT);
        assert!(asked.contains("'file-5000.bin' exists already.\n(o)verwrite it, (R)ename"), "{asked}");
        receiving.type_in(typed);
        receiving.succeed(LIMIT);
        sending.succeed(LIMIT);
        expect_names(pair.to.path(), names);
        assert_eq!(ok(fs::read(old(&pair)), "the old one") == new(&pair), is_replaced);
        if let Some(other) = names.iter().find(|name| **name != "file-5000.bin") {
            assert_eq!(ok(fs::read(pair.to.path().join(other)), "the new one"), new(&pair));
        }
    }
}

#[test]
fn what_to_do_about_what_is_in_the_way_can_be_said_beforehand() {
    for kind in [Kind::File(5000), Kind::Directory] {
        for (wish, is_replaced) in [("rename", false), ("overwrite", true), ("refuse", false)] {
            let pair = Pair::new(kind);
            let place = pair.to.path().join(pair.sample.path().file_name().unwrap_or_default());
            ok(fs::write(&place, "older"), "a file");
            let (sent, received) = pair.run(&[], &["--accept-file", "--on-conflict", wish]);
            let works = wish == "rename" || is_replaced && kind != Kind::Directory;
            let code = if works { 0 } else { 4 };
            sent.expect_code("sender", code);
            received.expect_code("receiver", code);
            let is_old = ok(fs::read(&place), "what was there") == b"older";
            assert_eq!(is_old, !(is_replaced && works), "{wish}");
            if wish == "rename" {
                let name = if kind == Kind::Directory { "directory (1)" } else { "file-5000 (1).bin" };
                ok(fs::remove_file(&place), "what was there");
                ok(fs::rename(pair.to.path().join(name), &place), name);
                pair.sample.expect_in(pair.to.path(), "");
            }
        }
    }
}

#[test]
fn an_existing_name_is_left_alone_even_with_consent() {
    for kind in [Kind::File(5000), Kind::Directory] {
        let pair = Pair::new(kind);
        let place = pair.to.path().join(pair.sample.path().file_name().unwrap_or_default());
        ok(fs::write(&place, "older"), "a file");
        let (sent, received) = pair.run(&[], &["--accept-file"]);
        let sent = sent.expect_code("sender", 4);
        let received = received.expect_code("receiver", 4);
        assert!(sent.error.contains("transfer rejected"), "{}", sent.error);
        assert!(received.error.contains("exists already"), "{}", received.error);
        assert_eq!(ok(fs::read_to_string(&place), "the file"), "older");
    }
}

#[test]
fn two_verifiers_are_compared_before_anything_is_sent_and_either_side_can_refuse() {
    for (sender, receiver, code) in
        [("maybe\nyes\n", "what\nYES\n", 0), ("no\n", "yes\n", 4), ("yes\n", "no\n", 4), ("yes\n", "", 4)]
    {
        let pair = Pair::new(Kind::Text);
        let secret = new_code();
        let mut sending =
            direct().start(OURS, "send", &["--verify", "--code", &secret, "--text", "hi"], pair.from.path());
        sending.type_in(sender);
        let mut receiving = direct().start(OURS, "receive", &["-v", &secret], pair.to.path());
        receiving.type_in(receiver);
        let (received, sent) = (receiving.finish(LIMIT), sending.finish(LIMIT));
        let (received, sent) = (received.expect_code("receiver", code), sent.expect_code("sender", code));
        assert_eq!(received.output, if code == 0 { "hi\n" } else { "" });
        let verifier = |text: &str| {
            text.split_once("Verifier ").map(|(_, rest)| rest.chars().take(64).collect::<String>())
        };
        // Who is told of a refusal at once is no longer asked.
        if code == 0 {
            assert!(verifier(&sent.error).is_some_and(|hex| hex.chars().all(|c| c.is_ascii_hexdigit())));
            assert_eq!(verifier(&sent.error), verifier(&received.error));
        }
        let words = |text: &str| -> Vec<String> {
            let rest = text.split_once("in words").map_or("", |(_, rest)| rest);
            rest.lines().skip(1).take(8).flat_map(|line| line.split_whitespace()).map(str::to_owned).collect()
        };
        assert_eq!((words(&sent.error).len(), words(&sent.error)), (32, words(&received.error)));
        if code == 4 {
            let refuser = if sender == "no\n" { "sender" } else { "receiver" };
            let told = if sender == "no\n" { &received.error } else { &sent.error };
            assert!(told.contains(&format!("{refuser} rejected verification check")), "{told}");
        }
    }
}

#[test]
fn two_senders_learn_of_each_other() {
    let pair = Pair::new(Kind::Text);
    let code = new_code();
    let one = direct().start(OURS, "send", &["--code", &code, "--text", "a"], pair.from.path());
    let two = direct().start(OURS, "send", &["--code", &code, "--text", "b"], pair.to.path());
    let outcomes = [one.finish(LIMIT).expect_code("one", 1), two.finish(LIMIT).expect_code("two", 1)];
    let errors = outcomes.map(|outcome| outcome.error).concat();
    assert!(errors.contains("both sides want the same role"), "{errors}");
}

#[test]
fn what_cannot_be_sent_is_refused_before_there_is_a_code() {
    let directory = directory();
    let fifo = directory.path().join("fifo");
    let made = ok(Command::new("mkfifo").arg(&fifo).status(), "mkfifo");
    assert!(made.success() && ok(fs::metadata(&fifo), "the pipe").file_type().is_fifo());
    ok(fs::create_dir(directory.path().join("d")), "a directory");
    ok(fs::hard_link(&fifo, directory.path().join("d/inner")), "a pipe in the directory");
    for (path, wanted) in
        [("fifo", "named pipe"), ("d", "named pipe"), ("nothing", "no such file"), ("/", "no name")]
    {
        let outcome = direct().start(OURS, "send", &[path], directory.path()).finish(LIMIT);
        let outcome = outcome.expect_code(path, 1);
        assert!(outcome.error.contains(wanted), "{path}: {}", outcome.error);
        assert!(!outcome.error.contains("code is"), "{path}: {}", outcome.error);
    }
}

#[test]
fn an_empty_directory_arrives() {
    let pair = Pair::new(Kind::Text);
    ok(fs::create_dir(pair.from.path().join("empty")), "a directory");
    let code = new_code();
    let sending = direct().start(OURS, "send", &["--code", &code, "empty/"], pair.from.path());
    direct().start(OURS, "receive", &["--accept-file", &code], pair.to.path()).succeed(LIMIT);
    sending.succeed(LIMIT);
    expect_names(pair.to.path(), &["empty"]);
    expect_names(&pair.to.path().join("empty"), &[]);
}

#[test]
fn a_server_that_is_away_is_named() {
    let directory = directory();
    for command in [&["send", "--text", "hi"][..], &["receive", "4-a-b"], &["receive"]] {
        let outcome = ours(command, directory.path(), &[("WORMHOLE_RELAY_URL", "ws://127.0.0.1:9/v1")]);
        let outcome = outcome.expect_code("without a server", 5);
        assert!(outcome.error.contains("ws://127.0.0.1:9/v1"), "{}", outcome.error);
        assert!(outcome.error.contains("--relay-url"), "{}", outcome.error);
        assert!(!outcome.error.contains("Enter receive"), "{}", outcome.error);
    }
}

#[test]
fn without_any_way_to_each_other_both_are_told_at_once() {
    let pair = Pair::new(Kind::File(5000));
    let (sent, received) = pair.run(&["--no-listen"], &["--accept-file", "--no-listen"]);
    for outcome in [sent.expect_code("sender", 1), received.expect_code("receiver", 1)] {
        assert!(outcome.error.contains("no connection to the other side"), "{}", outcome.error);
    }
    expect_names(pair.to.path(), &[]);
}

#[test]
fn the_words_of_a_server_are_shown_harmlessly() {
    let servers = Servers::saying(Some("moving on \u{1b}[31mMonday\nbe patient"), None);
    let here = directory();
    let scene = Scene { servers: &servers, route: Route::Direct };
    let sending = scene.start(OURS, "send", &["--text", "hi"], here.path());
    let shown = sending.wait_for(Channel::Error, " be patient\n", LIMIT);
    let wanted =
        format!("Server (at {}) says:\n moving on \\x1b[31mMonday\n be patient\n", servers.mailbox_url());
    assert!(shown.contains(&wanted), "{shown}");
}

#[test]
fn a_server_may_send_us_away() {
    let servers = Servers::saying(None, Some("closed for repairs"));
    let here = directory();
    let scene = Scene { servers: &servers, route: Route::Direct };
    for command in [&["send", "--text", "hi"][..], &["receive"]] {
        let outcome = scene.start(OURS, command[0], &command[1..], here.path()).finish(LIMIT);
        let outcome = outcome.expect_code("who is not wanted", 5);
        assert!(outcome.error.contains("closed for repairs"), "{}", outcome.error);
        assert!(!outcome.error.contains("code is"), "{}", outcome.error);
    }
}

#[test]
fn a_prompt_for_a_code_needs_an_answer() {
    let here = directory();
    for (typed, wanted, code) in
        [("", "the input ended", 1), ("4 foo bar\n", "no spaces", 2), ("4-\n", "words after its number", 2)]
    {
        let mut receiving = direct().start(OURS, "receive", &[], here.path());
        receiving.type_in(typed);
        let outcome = receiving.finish(LIMIT).expect_code("without a code", code);
        assert!(outcome.error.contains(wanted), "{}", outcome.error);
    }
}

#[test]
fn a_text_that_cannot_be_shown_was_not_received() {
    let pair = Pair::new(Kind::Text);
    let code = new_code();
    let sending = direct().start(OURS, "send", &["--code", &code, "--text", "hi"], pair.from.path());
    let ours = direct().command(OURS, "receive", pair.to.path());
    let mut command = quiet(Command::new("sh"));
    command
        .args(["-c", "exec \"$0\" \"$@\" > /dev/full"])
        .arg(ours.get_program())
        .args(ours.get_args())
        .arg(&code);
    let received = Program::start("ours", command).finish(LIMIT).expect_code("who cannot show it", 1);
    assert!(received.error.contains("the text cannot be shown"), "{}", received.error);
    sending.finish(LIMIT).expect_code("whose text was not shown", 6);
}

#[test]
fn malformed_codes_and_options_are_told_apart() {
    let directory = directory();
    for (arguments, code) in [
        (&["receive", "4 foo bar"][..], 2),
        (&["receive", "foo-bar"], 2),
        (&["receive", "4"], 2),
        (&["receive", "4-"], 2),
        (&["send", "--code", "4", "--text", "x"], 2),
        (&["send", "-c", "0", "--text", "x"], 2),
        (&["--relay-url", "tcp:h:1", "receive"], 2),
        (&["--relay-url", "http://h/", "receive"], 2),
        (&["--transit-helper", "udp:h:1", "receive"], 2),
        (&["receive", "4-a-b", "5-c-d"], 2),
        (&["--appid", "", "receive"], 2),
        (&["bogus"], 2),
        (&[], 2),
    ] {
        let outcome = ours(arguments, directory.path(), &[]).expect_code(&format!("{arguments:?}"), code);
        assert!(!outcome.error.is_empty() && outcome.output.is_empty(), "{arguments:?}: {}", outcome.error);
    }
}

#[test]
fn the_version_is_on_standard_output() {
    let outcome = ours(&["--version"], directory().path(), &[]).expect_code("--version", 0);
    assert_eq!(outcome.output, format!("wormhole {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_environment_says_what_the_options_say() {
    let pair = Pair::new(Kind::File(5000));
    let code = new_code();
    let (url, relay) = (Servers::ours().mailbox_url(), Servers::ours().relay_hint());
    let environment = [
        ("WORMHOLE_RELAY_URL", url.as_str()),
        ("WORMHOLE_TRANSIT_HELPER", &relay),
        ("WORMHOLE_ACCEPT_FILE", "1"),
    ];
    let start = |arguments: &[&str], directory: &Path| {
        let mut command = quiet(Command::new(env!("CARGO_BIN_EXE_wormhole")));
        command.args(arguments).envs(environment).current_dir(directory);
        Program::start("ours", command)
    };
    let sending = start(&["tx", "--no-listen", "--code", &code, &pair.path()], pair.from.path());
    let received = start(&["rx", "--no-listen", &code], pair.to.path()).succeed(LIMIT);
    sending.succeed(LIMIT);
    assert!(received.error.contains(&format!("->relay:{relay}")), "{}", received.error);
    pair.sample.expect_in(pair.to.path(), "");
}

#[test]
fn a_server_that_dies_while_content_flows_does_not_hold_the_end_up() {
    let Some(mut servers) = Servers::start(wormhole_tests::Make::Ours) else { fail("no servers") };
    let pair = Pair::new(Kind::File(100 << 20));
    let code = new_code();
    let scene = Scene { servers: &servers, route: Route::Direct };
    let sending = scene.start(OURS, "send", &["--code", &code, &pair.path()], pair.from.path());
    let receiving = scene.start(OURS, "receive", &["--accept-file", &code], pair.to.path());
    receiving.wait_for(Channel::Error, "Receiving (", LIMIT);
    // It has the answer as well, which takes another way than the connection.
    sending.wait_for(Channel::Error, "Sending (", LIMIT);
    servers.stop_mailbox();
    receiving.succeed(LIMIT);
    sending.succeed(LIMIT);
    pair.sample.expect_in(pair.to.path(), "");
}

#[test]
fn the_demo_shows_both_sides_and_compares_the_copy() {
    for kind in [Kind::File(3_000_000), Kind::Directory] {
        let from = directory();
        let sample = Sample::make(kind, from.path());
        let path = sample.path().display().to_string();
        let temporary = directory();
        let place = temporary.path().display().to_string();
        let outcome = ours(&["demo", &path], from.path(), &[("TMPDIR", &place)]).expect_code("demo", 0);
        let shown = outcome.output + &outcome.error;
        for wanted in ["Wormhole code is: ", "->", "SHA-256", "MB/s", &place] {
            assert!(shown.contains(wanted), "{wanted} is missing:\n{shown}");
        }
        let [kept] = &entries(temporary.path())[..] else { fail("not exactly the directory it names") };
        assert!(shown.contains(kept), "{shown}");
        sample.expect_in(&temporary.path().join(kept), "");
    }
}

/// A sample and two directories: one to send from, one to receive into.
struct Pair {
    from: TempDir,
    to: TempDir,
    sample: Sample,
}

impl Pair {
    #[track_caller]
    fn new(kind: Kind) -> Self {
        let from = directory();
        let sample = Sample::make(kind, from.path());
        Self { from, to: directory(), sample }
    }

    fn path(&self) -> String {
        self.sample.path().display().to_string()
    }

    #[track_caller]
    fn run(&self, sender: &[&str], receiver: &[&str]) -> (Outcome, Outcome) {
        self.run_in(direct(), sender, receiver)
    }

    /// Runs both to their ends, without a word to either.
    #[track_caller]
    fn run_in(&self, scene: Scene<'_>, sender: &[&str], receiver: &[&str]) -> (Outcome, Outcome) {
        let code = new_code();
        let what = self.sample.arguments();
        let what: Vec<&str> = what.iter().map(String::as_str).collect();
        let sending =
            scene.start(OURS, "send", &[&["--code", &code], sender, &what[..]].concat(), self.from.path());
        let receiving = scene.start(OURS, "receive", &[receiver, &[&code]].concat(), self.to.path());
        let received = receiving.finish(LIMIT);
        (sending.finish(LIMIT), received)
    }
}

fn direct() -> Scene<'static> {
    Scene { servers: Servers::ours(), route: Route::Direct }
}

#[track_caller]
fn ours(arguments: &[&str], directory: &Path, environment: &[(&str, &str)]) -> Outcome {
    let mut command = quiet(Command::new(env!("CARGO_BIN_EXE_wormhole")));
    command.args(arguments).envs(environment.iter().copied()).current_dir(directory);
    Program::start("ours", command).finish(LIMIT)
}

#[track_caller]
fn directory() -> TempDir {
    ok(TempDir::new(), "a directory")
}

#[track_caller]
fn entries(directory: &Path) -> Vec<String> {
    let entries = ok(fs::read_dir(directory), "a directory");
    entries.map(|entry| ok(entry, "an entry").file_name().to_string_lossy().into_owned()).collect()
}
