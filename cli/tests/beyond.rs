//! What goes beyond the file transfer that everybody knows: several paths, standard input and output, modes and times;
//! between two of ours, and toward a program that knows nothing of it.

#![cfg(unix)]

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use wormhole_tests::{
    Channel, Peers, Program, Route, Scene, Servers, Who, expect_names, new_code, noise, ok, quiet,
};

const OURS: Who<'static> = Who::Ours(env!("CARGO_BIN_EXE_wormhole"));
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn several_paths_arrive_beside_each_other_with_their_modes_and_times() {
    let (from, to) = (several(), directory());
    let code = new_code();
    let sending = start(OURS, "send", &["--code", &code, "a.txt", "d"], from.path());
    let received = start(OURS, "receive", &["--accept-file", &code], to.path()).succeed(LIMIT);
    sending.succeed(LIMIT);
    expect_names(to.path(), &["a.txt", "d"]);
    for name in ["a.txt", "d", "d/sub", "d/sub/b.txt"] {
        let (old, new) = (metadata(&from.path().join(name)), metadata(&to.path().join(name)));
        assert_eq!(new.permissions().mode(), old.permissions().mode(), "{name}");
        assert_eq!(ok(new.modified(), name), ok(old.modified(), name), "{name}");
    }
    assert!(received.error.contains("Receiving 2 files and directories ("), "{}", received.error);
    assert!(received.error.contains("/a.txt\nReceived files written to: "), "{}", received.error);
}

#[test]
fn several_that_are_in_the_way_are_each_renamed() {
    let (from, to) = (several(), directory());
    ok(fs::write(to.path().join("a.txt"), "older"), "a file");
    let code = new_code();
    let sending = start(OURS, "send", &["--code", &code, "a.txt", "d"], from.path());
    let mut receiving = start(OURS, "receive", &[&code], to.path());
    receiving.wait_for(
        Channel::Error,
        "'a.txt' exists already.\n(o)verwrite it, (R)ename the new one, ",
        LIMIT,
    );
    receiving.type_in("r\n");
    receiving.succeed(LIMIT);
    sending.succeed(LIMIT);
    expect_names(to.path(), &["a (1).txt", "a.txt", "d"]);
}

#[test]
fn several_paths_are_one_directory_for_a_program_that_knows_no_more() {
    let Some(peers) = Peers::find() else { return };
    for name in [None, Some("trip")] {
        let (from, to) = (several(), directory());
        let code = new_code();
        let mut arguments = vec!["--code", &code, "a.txt", "d"];
        arguments.extend(name.iter().flat_map(|name| ["--name", name]));
        let sending = start(OURS, "send", &arguments, from.path());
        start(Who::Reference(peers), "receive", &["--accept-file", &code], to.path()).succeed(LIMIT);
        sending.succeed(LIMIT);
        let place = to.path().join(name.unwrap_or("a.txt and 1 more"));
        assert_eq!(ok(fs::read_to_string(place.join("a.txt")), "the file"), "hello");
        assert_eq!(ok(fs::read_to_string(place.join("d/sub/b.txt")), "the other"), "deeper");
    }
}

#[test]
fn two_of_the_same_name_are_an_error_before_there_is_a_code() {
    let from = several();
    ok(fs::write(from.path().join("d/a.txt"), "another"), "a file");
    let sent = start(OURS, "send", &["a.txt", "d/a.txt"], from.path()).finish(LIMIT).expect_code("sender", 1);
    assert!(sent.error.contains("something else that is sent with it has the same name"), "{}", sent.error);
    assert!(!sent.error.contains("Wormhole code"), "{}", sent.error);
    let sent = start(OURS, "send", &["a.txt", "-"], from.path()).finish(LIMIT).expect_code("sender", 2);
    assert!(sent.error.contains("sent alone"), "{}", sent.error);
}

#[test]
fn standard_input_flows_to_standard_output_byte_for_byte() {
    for size in [0, 1, 3_000_000] {
        let (from, to) = (directory(), directory());
        let content = noise(size);
        ok(fs::write(from.path().join("input"), &content), "the input");
        let code = new_code();
        let sending = piped("send", &["--code", &code, "-"], &from.path().join("input"), None);
        let output = to.path().join("output");
        let arguments = ["--accept-file", "-o", "-", &code];
        let received = piped("receive", &arguments, Path::new("/dev/null"), Some(&output)).succeed(LIMIT);
        sending.succeed(LIMIT);
        assert!(ok(fs::read(&output), "the output") == content, "{size}");
        assert!(received.error.contains("Receiving file (of unknown size) into: standard output"));
        expect_names(to.path(), &["output"]);
    }
}

#[test]
fn what_comes_slowly_arrives_before_it_ends() {
    let to = directory();
    let code = new_code();
    let mut sending = start(OURS, "send", &["--code", &code, "-", "--name", "log"], to.path());
    let receiving = start(OURS, "receive", &["--accept-file", "-o", "-", &code], to.path());
    sending.type_in("first\n");
    receiving.wait_for(Channel::Output, "first\n", LIMIT);
    sending.type_in("second\n");
    receiving.wait_for(Channel::Output, "second\n", LIMIT);
    sending.end_input();
    sending.succeed(LIMIT);
    assert_eq!(receiving.succeed(LIMIT).output, "first\nsecond\n");
}

#[test]
fn standard_input_gets_a_size_for_a_program_that_needs_one() {
    let Some(peers) = Peers::find() else { return };
    let (from, to) = (directory(), directory());
    let content = noise(500_000);
    ok(fs::write(from.path().join("input"), &content), "the input");
    let code = new_code();
    let arguments = ["--code", &code, "-", "--name", "x.bin"];
    let sending = piped("send", &arguments, &from.path().join("input"), None);
    start(Who::Reference(peers), "receive", &["--accept-file", &code], to.path()).succeed(LIMIT);
    let sent = sending.succeed(LIMIT);
    assert!(sent.error.contains("has to know the length beforehand"), "{}", sent.error);
    assert!(ok(fs::read(to.path().join("x.bin")), "the file") == content);
}

#[test]
fn texts_and_directories_go_to_standard_output_as_they_travel() {
    let (from, to) = (several(), directory());
    for (what, check) in [
        (
            &["--text", "one\n\u{1b}[31mtwo"][..],
            (|output| output == b"one\n\x1b[31mtwo") as fn(&[u8]) -> bool,
        ),
        (&["d"], |output| output.starts_with(b"PK\x03\x04")),
    ] {
        let code = new_code();
        let sending = start(OURS, "send", &[&["--code", &code], what].concat(), from.path());
        let output = to.path().join("output");
        let arguments = ["--accept-file", "-o", "-", &code];
        piped("receive", &arguments, Path::new("/dev/null"), Some(&output)).succeed(LIMIT);
        sending.succeed(LIMIT);
        assert!(check(&ok(fs::read(&output), "the output")), "{what:?}");
    }
}

/// A file, and a directory with another, all with modes and times that nothing has by chance.
fn several() -> TempDir {
    let from = directory();
    let at = |name: &str| from.path().join(name);
    ok(fs::create_dir_all(at("d/sub")), "directories");
    ok(fs::write(at("a.txt"), "hello"), "a file");
    ok(fs::write(at("d/sub/b.txt"), "deeper"), "a file");
    for (index, (name, mode)) in
        [("d/sub/b.txt", 0o640), ("d/sub", 0o750), ("d", 0o711), ("a.txt", 0o755)].into_iter().enumerate()
    {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + index as u64);
        ok(ok(File::open(at(name)), name).set_modified(time), name);
        ok(fs::set_permissions(at(name), fs::Permissions::from_mode(mode)), name);
    }
    from
}

#[track_caller]
fn start(who: Who<'_>, command: &str, arguments: &[&str], directory: &Path) -> Program {
    Scene { servers: Servers::ours(), route: Route::Direct }.start(who, command, arguments, directory)
}

/// Our program between two files.
#[track_caller]
fn piped(command: &str, arguments: &[&str], input: &Path, output: Option<&Path>) -> Program {
    let mut words = vec!["exec \"$0\" \"$@\" < \"$INPUT\""];
    words.extend(output.map(|_| "> \"$OUTPUT\""));
    let mut shell = quiet(Command::new("sh"));
    shell.arg("-c").arg(words.join(" ")).arg(env!("CARGO_BIN_EXE_wormhole"));
    shell.args(["--relay-url", &Servers::ours().mailbox_url(), "--transit-helper", "", command]);
    shell.args(arguments).env("INPUT", input).env("OUTPUT", output.unwrap_or_else(|| Path::new("")));
    Program::start(command, shell)
}

#[track_caller]
fn metadata(path: &Path) -> fs::Metadata {
    ok(fs::metadata(path), "metadata")
}

#[track_caller]
fn directory() -> TempDir {
    ok(TempDir::new(), "a directory")
}
