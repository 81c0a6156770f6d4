//! Options that the reference has, and those about the network, of the program as its users run it.

#![cfg(unix)]

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use wormhole_tests::hostile::LyingServer;
use wormhole_tests::{
    Channel, Kind, Outcome, Peers, Program, Route, Sample, Scene, Servers, Who, expect_names, new_code, ok,
    quiet,
};

const OURS: Who<'static> = Who::Ours(env!("CARGO_BIN_EXE_wormhole"));
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_text_only_receiver_refuses_what_is_none() {
    for kind in [Kind::Text, Kind::File(5000), Kind::Directory] {
        for option in ["-t", "--only-text"] {
            let (from, to) = (directory(), directory());
            let sample = Sample::make(kind, from.path());
            let (sent, received) = transfer(&sample, &[], &[option, "--accept-file"], &from, &to);
            let code = if kind == Kind::Text { 0 } else { 4 };
            sent.expect_code("sender", code);
            let received = received.expect_code("receiver", code);
            assert_eq!(received.error.contains("--only-text"), code == 4, "{}", received.error);
            expect_names(to.path(), &[]);
        }
    }
}

#[test]
fn zero_mode_needs_no_code_and_meets_python() {
    let mut pairs = vec![(OURS, OURS)];
    if let Some(peers) = Peers::find() {
        pairs.extend([(OURS, Who::Reference(peers)), (Who::Reference(peers), OURS)]);
    }
    for (sender, receiver) in pairs {
        // There is only one nameplate 0.
        let Some(servers) = Servers::start(wormhole_tests::Make::Ours) else { return };
        let scene = Scene { servers: &servers, route: Route::Direct };
        let here = directory();
        let sending = scene.start(sender, "send", &["-0", "--text", "hi"], here.path());
        let shown = sending.wait_for(Channel::Error, "wormhole receive -0\n", LIMIT);
        assert!(!shown.contains("Wormhole code is"), "{shown}");
        let received = scene.start(receiver, "receive", &["-0"], here.path()).succeed(LIMIT);
        sending.succeed(LIMIT);
        assert_eq!(received.output, "hi\n");
    }
}

#[test]
fn options_that_exclude_each_other_are_wrong_usage_before_anything_happens() {
    for arguments in [
        &["-0", "receive", "4-a-b"][..],
        &["receive", "-0", "-a"],
        &["send", "-0", "-c", "3", "--text", "hi"],
        &["send", "-0", "--code", "4-a-b", "--text", "hi"],
        &["send", "--code", "4-a-b", "-c", "3", "--text", "hi"],
        &["receive", "-c", "3"],
        &["receive", "-a", "4-a-b"],
        &["send", "-c", "0", "--text", "hi"],
        &["receive", "-a", "-c", "0"],
        &["-c", "-1", "send", "--text", "hi"],
        &["--tor", "send", "--listen", "--text", "hi"],
        &["--tor", "--proxy", "socks5://h:1", "receive", "4-a-b"],
        &["--tor-socks", "h:1", "receive", "4-a-b"],
        &["--proxy", "ftp://h:1", "receive", "4-a-b"],
        &["-v", "demo"],
        &["--debug-state=ZZ", "receive", "4-a-b"],
    ] {
        let outcome = ours(arguments, &[]).expect_code(&format!("{arguments:?}"), 2);
        assert!(outcome.output.is_empty(), "{arguments:?}: {}", outcome.output);
        assert!(!outcome.error.contains("code is"), "{arguments:?}: {}", outcome.error);
    }
}

#[test]
fn several_relays_are_offered_and_none_is_possible() {
    let dead = "tcp:127.0.0.1:9";
    let live = Servers::ours().relay_hint();
    let (from, to) = (directory(), directory());
    let sample = Sample::make(Kind::File(5000), from.path());
    let two = ["--no-listen", "--transit-helper", dead, "--transit-helper", &live];
    let (sent, received) = transfer(&sample, &two, &["--no-listen", "--accept-file"], &from, &to);
    sent.expect_code("sender", 0);
    let received = received.expect_code("receiver", 0);
    assert!(received.error.contains(&format!("->relay:{live}")), "{}", received.error);
    sample.expect_in(to.path(), "");

    let none = ["--no-listen", "--transit-helper", ""];
    let (sent, _) = transfer(&sample, &none, &["--no-listen", "--accept-file"], &from, &directory());
    let sent = sent.expect_code("sender", 1);
    assert!(sent.error.contains("no connection to the other side"), "{}", sent.error);
}

#[test]
fn what_cannot_be_sent_is_left_out_where_that_is_wanted() {
    let (from, to) = (directory(), directory());
    let at = |name: &str| from.path().join("d").join(name);
    ok(fs::create_dir_all(at("locked")), "a directory");
    ok(fs::write(at("file"), "hello"), "a file");
    ok(fs::write(at("locked/inner"), "secret"), "a file");
    ok(symlink("nowhere", at("broken")), "a link");
    let made = ok(Command::new("mkfifo").arg(at("pipe")).status(), "mkfifo");
    assert!(made.success());
    // An administrator reads everything.
    let is_locked = {
        ok(fs::set_permissions(at("locked"), fs::Permissions::from_mode(0o000)), "permissions");
        fs::read_dir(at("locked")).is_err()
    };
    let code = new_code();
    let refused = direct().start(OURS, "send", &["--code", &code, "d"], from.path()).finish(LIMIT);
    refused.expect_code("without the option", 1);
    let sending =
        direct().start(OURS, "send", &["--ignore-unsendable-files", "--code", &code, "d"], from.path());
    let receiving = direct().start(OURS, "receive", &["--accept-file", &code], to.path());
    receiving.succeed(LIMIT);
    let sent = sending.succeed(LIMIT);
    ok(fs::set_permissions(at("locked"), fs::Permissions::from_mode(0o700)), "permissions");
    for name in ["broken", "pipe"].into_iter().chain(is_locked.then_some("locked")) {
        let is_named = sent.error.lines().any(|line| line.contains(name) && line.ends_with("(left out)"));
        assert!(is_named, "{name}: {}", sent.error);
    }
    let wanted: &[&str] = if is_locked { &["file"] } else { &["file", "locked"] };
    expect_names(&to.path().join("d"), wanted);
}

#[test]
fn a_proxy_carries_everything_whether_an_option_or_the_environment_names_it() {
    let proxy = Socks::start();
    let url = format!("socks5://127.0.0.1:{}", proxy.port);
    let code = new_code();
    let here = directory();
    let mut sending = direct().command(OURS, "send", here.path());
    sending.args(["--proxy", &url, "--code", &code, "--text", "hi"]);
    let sending = Program::start("with the option", sending);
    let mut receiving = direct().command(OURS, "receive", here.path());
    receiving.env("WORMHOLE_PROXY", &url).arg(&code);
    assert_eq!(Program::start("with the variable", receiving).succeed(LIMIT).output, "hi\n");
    sending.succeed(LIMIT);
    let mailbox = format!("127.0.0.1:{}", Servers::ours().ports()[0]);
    assert_eq!(proxy.targets(), [mailbox.clone(), mailbox]);
}

#[test]
fn tor_dials_everything_each_by_a_way_of_its_own_and_resolves_its_own_names() {
    let tor = Socks::start();
    let [mailbox, relay] = Servers::ours().ports();
    let place = format!("127.0.0.1:{}", tor.port);
    let (from, to) = (directory(), directory());
    let sample = Sample::make(Kind::File(5000), from.path());
    let code = new_code();
    let (url, helper) = (format!("ws://mail.onion:{mailbox}/v1"), format!("tcp:relay.onion:{relay}"));
    let start = |command: &str, arguments: &[&str], directory: &Path| {
        let mut line = quiet(Command::new(env!("CARGO_BIN_EXE_wormhole")));
        line.current_dir(directory).args(["--tor", "--tor-socks", &place, "--relay-url", &url]);
        line.args(["--transit-helper", &helper, command]).args(arguments);
        Program::start(command, line)
    };
    let path = sample.path().display().to_string();
    let sending = start("send", &["--code", &code, &path], from.path());
    let received = start("receive", &["--accept-file", &code], to.path()).succeed(LIMIT);
    let sent = sending.succeed(LIMIT);
    sample.expect_in(to.path(), "");
    assert!(sent.error.contains(&format!(" using Tor via SOCKS at {place}\n")), "{}", sent.error);
    for error in [&sent.error, &received.error] {
        assert!(error.contains("(tor->relay:"), "{error}");
    }
    let mut targets = tor.targets();
    targets.sort_unstable();
    targets.dedup();
    assert_eq!(targets, [format!("mail.onion:{mailbox}"), format!("relay.onion:{relay}")]);
    let mut logins = tor.logins();
    assert!(logins.len() >= 4, "{logins:?}");
    let all = logins.len();
    logins.sort_unstable();
    logins.dedup();
    assert_eq!(logins.len(), all, "two connections share a way");
}

#[test]
fn without_tor_nothing_is_dialled_and_the_user_is_told() {
    let outcome = ours(&["--tor", "--tor-socks", "127.0.0.1:9", "send", "--text", "hi"], &[]);
    let outcome = outcome.expect_code("without Tor", 1);
    assert!(outcome.error.contains("no Tor answers at 127.0.0.1:9"), "{}", outcome.error);
    assert!(outcome.error.contains("--tor-socks"), "{}", outcome.error);
}

#[test]
fn timing_is_written_as_the_reference_writes_it() {
    let here = directory();
    let (from, to) = (directory(), directory());
    let sample = Sample::make(Kind::File(5000), from.path());
    let at = |name: &str| here.path().join(name).display().to_string();
    let (sends, receives) = (at("send.json"), at("receive.json"));
    let (sent, received) = transfer(
        &sample,
        &["--dump-timing", &sends],
        &["--accept-file", "--dump-timing", &receives],
        &from,
        &to,
    );
    for (outcome, file, names) in [
        (sent, &sends, ["connect", "transit connected", "tx file", "get ack"]),
        (received, &receives, ["connect", "transit connected", "rx file", "permission"]),
    ] {
        let outcome = outcome.expect_code(file, 0);
        assert!(outcome.error.ends_with(&format!("Timing data written to {file}\n")), "{}", outcome.error);
        let written: Value = ok(serde_json::from_str(&ok(fs::read_to_string(file), "the file")), "JSON");
        let events = written.as_array().cloned().unwrap_or_default();
        for event in &events {
            let start = event["start"].as_f64().unwrap_or_default();
            assert!(start > 1.5e9 && event["details"].is_object(), "{event}");
            assert!(event["stop"].is_null() || event["stop"].as_f64() >= Some(start), "{event}");
        }
        for name in names {
            assert!(events.iter().any(|event| event["name"] == name), "{name} is missing: {written}");
        }
    }
}

#[test]
fn what_the_machines_do_is_shown_without_secrets() {
    let here = directory();
    let code = new_code();
    let text = "a text that is nobody's business";
    let sending =
        direct().start(OURS, "send", &["--debug-state", "--code", &code, "--text", text], here.path());
    let received = direct().start(OURS, "receive", &["--debug-state=N,T", &code], here.path()).succeed(LIMIT);
    let sent = sending.succeed(LIMIT);
    assert_eq!(received.output, format!("{text}\n"));
    for wanted in ["send.N[Unset].Chosen -> [Chosen]\n", "send.RC[", "send.B.Code\n", "send.K["] {
        assert!(sent.error.contains(wanted), "{wanted} is missing: {}", sent.error);
    }
    let steps: Vec<&str> = received.error.lines().filter(|line| line.starts_with("recv.")).collect();
    assert!(steps.iter().any(|line| line.starts_with("recv.N[")), "{steps:?}");
    assert!(steps.iter().all(|line| line.starts_with("recv.N[") || line.starts_with("recv.T[")), "{steps:?}");
    for line in sent.error.lines().filter(|line| line.starts_with("send.")) {
        assert!(line.chars().all(|c| c.is_ascii_alphabetic() || ".[]->_ ".contains(c)), "{line}");
        assert!(!line.contains("guitarist") && !line.contains("business"), "{line}");
    }
}

#[test]
fn timing_that_cannot_be_written_is_said_before_anything_happens() {
    let outcome = ours(&["--dump-timing", "/missing/file.json", "send", "--text", "hi"], &[]);
    let outcome = outcome.expect_code("without a place", 1);
    assert!(outcome.error.contains("/missing/file.json"), "{}", outcome.error);
    assert!(!outcome.error.contains("code is"), "{}", outcome.error);
}

#[test]
fn a_version_of_another_program_is_no_advice_and_one_of_ours_is() {
    for (welcome, advice) in [
        (json!({"current_cli_version": "99.0"}), None),
        (json!({"current_versions": {"another": "99.0", "wormhole-cli": env!("CARGO_PKG_VERSION")}}), None),
        (
            json!({"current_versions": {"wormhole-cli": "99.0\u{1b}[2J"}}),
            Some(r"Server claims 99.0\x1b[2J is current"),
        ),
    ] {
        let server = LyingServer::start(move |client| {
            client.serve_until("bind");
            client.say(&json!({"type": "welcome", "welcome": welcome}));
            client.say(&json!({"type": "error", "error": "enough"}));
            client.serve();
        });
        let outcome =
            ours(&["--relay-url", &server.url(), "receive", "4-a-b"], &[]).expect_code("who is told", 5);
        assert!(outcome.error.contains("enough"), "{}", outcome.error);
        match advice {
            Some(advice) => assert!(outcome.error.contains(advice), "{}", outcome.error),
            None => assert!(
                !outcome.error.contains("99.0") && !outcome.error.contains("current"),
                "{}",
                outcome.error
            ),
        }
    }
}

#[test]
fn the_version_the_help_and_the_exit_codes_are_on_standard_output() {
    for arguments in [&["--help"][..], &["help"]] {
        let outcome = ours(arguments, &[]).expect_code("help", 0);
        for wanted in ["send", "receive", "ssh", "Exit status: 0 done", "130 and 143"] {
            assert!(outcome.output.contains(wanted), "{wanted} is missing: {}", outcome.output);
        }
    }
    for command in ["send", "receive", "ssh"] {
        let (help, option) = (ours(&["help", command], &[]), ours(&[command, "--help"], &[]));
        assert_eq!(help.expect_code("help", 0).output, option.expect_code("--help", 0).output);
    }
    let outcome = ours(&["--version"], &[]).expect_code("--version", 0);
    assert_eq!(outcome.output, format!("wormhole {}\n", env!("CARGO_PKG_VERSION")));
}

/// Runs a transfer with our program on both ends, through the direct way where nothing else is said.
#[track_caller]
fn transfer(
    sample: &Sample,
    send: &[&str],
    receive: &[&str],
    from: &TempDir,
    to: &TempDir,
) -> (Outcome, Outcome) {
    let code = new_code();
    let what = sample.arguments();
    let what: Vec<&str> = what.iter().map(String::as_str).collect();
    let sending = direct().start(OURS, "send", &[&["--code", &code], send, &what].concat(), from.path());
    let receiving = direct().start(OURS, "receive", &[receive, &[&code]].concat(), to.path());
    let received = receiving.finish(LIMIT);
    (sending.finish(LIMIT), received)
}

fn direct() -> Scene<'static> {
    Scene { servers: Servers::ours(), route: Route::Direct }
}

#[track_caller]
fn ours(arguments: &[&str], environment: &[(&str, &str)]) -> Outcome {
    let here = directory();
    let mut command = quiet(Command::new(env!("CARGO_BIN_EXE_wormhole")));
    command.args(arguments).envs(environment.iter().copied()).current_dir(here.path());
    Program::start("ours", command).finish(LIMIT)
}

#[track_caller]
fn directory() -> TempDir {
    ok(TempDir::new(), "a directory")
}

/// A SOCKS proxy that lets in everybody, as Tor does: every name of its clients leads to this computer.
struct Socks {
    port: u16,
    seen: Arc<Mutex<Vec<Asked>>>,
}

/// Who asked, and for what.
#[derive(Clone)]
struct Asked {
    login: String,
    target: String,
}

impl Socks {
    #[track_caller]
    fn start() -> Self {
        let listener = ok(TcpListener::bind("127.0.0.1:0"), "a port");
        let port = ok(listener.local_addr(), "the port").port();
        let seen = Arc::<Mutex<Vec<Asked>>>::default();
        let note = Arc::clone(&seen);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let note = Arc::clone(&note);
                thread::spawn(move || serve(client, &note));
            }
        });
        Self { port, seen }
    }

    fn targets(&self) -> Vec<String> {
        lock(&self.seen).iter().map(|asked| asked.target.clone()).collect()
    }

    fn logins(&self) -> Vec<String> {
        lock(&self.seen).iter().map(|asked| asked.login.clone()).collect()
    }
}

fn serve(mut client: TcpStream, seen: &Mutex<Vec<Asked>>) -> io::Result<()> {
    let [_, methods] = read(&mut client)?;
    let offered = some(&mut client, methods)?;
    let mut login = String::new();
    if offered.contains(&2) {
        client.write_all(&[5, 2])?;
        let [_version] = read(&mut client)?;
        for _ in 0..2 {
            let [length] = read(&mut client)?;
            login += &(String::from_utf8_lossy(&some(&mut client, length)?) + ":");
        }
        client.write_all(&[1, 0])?;
    } else {
        client.write_all(&[5, 0])?;
    }
    let host = match read(&mut client)? {
        [_, _, _, 1] => Ipv4Addr::from(read::<4>(&mut client)?).to_string(),
        _ => {
            let [length] = read(&mut client)?;
            String::from_utf8_lossy(&some(&mut client, length)?).into_owned()
        }
    };
    let port = u16::from_be_bytes(read(&mut client)?);
    lock(seen).push(Asked { login, target: format!("{host}:{port}") });
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0])?;
    let (mut back, mut answers) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        // Either side may be gone first.
        let _ = io::copy(&mut answers, &mut back);
        back.shutdown(Shutdown::Write)
    });
    io::copy(&mut client, &mut server)?;
    server.shutdown(Shutdown::Write)
}

fn read<const N: usize>(from: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn some(from: &mut TcpStream, length: u8) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length.into()];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
