//! Options that make the program pleasant, each with the program as users run it.

#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use wormhole_tests::{
    Channel, Kind, Program, Route, Sample, Scene, Servers, Terminal, Who, new_code, ok, quiet,
};

const OURS: &str = env!("CARGO_BIN_EXE_wormhole");
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_link_is_taken_in_place_of_a_code() {
    let here = directory();
    let url = Servers::ours().mailbox_url();
    let escaped = url.replace(':', "%3A").replace('/', "%2F");
    for (link, arguments) in [("", vec![]), (&format!("?rendezvous={escaped}"), vec![])] {
        let code = new_code();
        let sending = start(&["send", "--code", &code, "--text", "hi"], here.path());
        let link = format!("wormhole-transfer:{code}{link}");
        let arguments = [&["receive", &link][..], &arguments[..]].concat();
        assert_eq!(start(&arguments, here.path()).succeed(LIMIT).output, "hi\n");
        sending.succeed(LIMIT);
    }
}

#[test]
fn the_server_of_a_link_is_shown_and_asked_for() {
    let here = directory();
    let link = |code: &str| {
        let url = Servers::ours().mailbox_url();
        format!("wormhole-transfer:{code}?rendezvous={}", url.replace(':', "%3A").replace('/', "%2F"))
    };
    let code = new_code();
    let sending = start(&["send", "--code", &code, "--text", "hi"], here.path());
    // Without the option, the server would be the public one.
    let mut receiving = bare(&["--transit-helper", "", "receive", &link(&code)], here.path(), &[]);
    let shown = receiving.wait_for(Channel::Error, "Connect to it? (Y/n): ", LIMIT);
    assert!(shown.contains(&Servers::ours().mailbox_url()), "{shown}");
    receiving.type_in("y\n");
    assert_eq!(receiving.succeed(LIMIT).output, "hi\n");
    sending.succeed(LIMIT);
    let mut receiving = bare(&["receive", &link("7-a-b")], here.path(), &[]);
    receiving.type_in("n\n");
    let refused = receiving.finish(LIMIT).expect_code("who refuses the server", 1);
    assert!(refused.error.contains("was refused"), "{}", refused.error);
}

#[test]
fn a_link_for_the_sender_lets_who_reads_it_send() {
    let here = directory();
    let code = new_code();
    let receiving = start(&["receive", &code], here.path());
    let link = format!("wormhole-transfer:{code}?role=leader");
    start(&["send", "--code", &link, "--text", "hi"], here.path()).succeed(LIMIT);
    assert_eq!(receiving.succeed(LIMIT).output, "hi\n");
    let outcome = start(&["receive", &link], here.path()).finish(LIMIT).expect_code("the wrong role", 2);
    assert!(outcome.error.contains("send --code"), "{}", outcome.error);
}

#[test]
fn a_link_that_cannot_be_is_refused_with_the_reason() {
    let here = directory();
    for (link, why) in [
        ("wormhole-transfer:4-a?role=sender", "follower or leader"),
        ("wormhole-transfer:4-a?colour=red", "'colour'"),
        ("wormhole-transfer://4-a", "without //"),
        ("wormhole-transfer:4-", "words after its number"),
    ] {
        let outcome = start(&["receive", link], here.path()).finish(LIMIT).expect_code(link, 2);
        assert!(outcome.error.contains(why), "{}", outcome.error);
    }
}

#[test]
fn a_qr_code_is_shown_where_it_is_wanted() {
    let here = directory();
    let shown = |arguments: &[&str], variable: &str| {
        let all = [&["send", "--text", "hi"], arguments].concat();
        let sending = start_with(&all, here.path(), &[("WORMHOLE_QR", variable)]);
        sending.wait_for(Channel::Error, "\nwormhole receive ", LIMIT)
    };
    let blocks = |text: &str| text.contains("█") && text.contains("▀");
    assert!(blocks(&shown(&["--qr"], "")));
    assert!(blocks(&shown(&[], "1")));
    assert!(!blocks(&shown(&[], "")), "it is no terminal");
    assert!(!blocks(&shown(&["--no-qr"], "1")));
    assert!(blocks(&shown(&["--no-qr", "--qr"], "0")));
    assert!(!blocks(&shown(&["--qr", "--appid", "example.com/other"], "")), "no link says which application");
}

#[test]
fn a_terminal_shows_a_qr_code_in_colours_unless_there_are_to_be_none() {
    let here = directory();
    let shown = |name: &str, value: &str| {
        let mut command = scene().command(Who::Ours(OURS), "send", here.path());
        command.args(["--text", "hi"]).env("LC_ALL", "C.UTF-8").env_remove("NO_COLOR").env(name, value);
        let terminal = Terminal::run(&command);
        terminal.wait_for("\nwormhole receive ", 0, LIMIT);
        terminal.screen()
    };
    assert!(shown("NO_COLOR", "").contains("\x1b[48;5;232m\x1b[38;5;255m█"));
    let plain = shown("NO_COLOR", "1");
    assert!(plain.contains("█") && !plain.contains('\x1b'), "{plain}");
    let foreign = shown("LC_ALL", "C");
    assert!(!foreign.contains("█"), "{foreign}");
}

#[test]
fn quiet_says_nothing_but_the_code() {
    let (from, to) = (directory(), directory());
    let sample = Sample::make(Kind::File(5000), from.path());
    let path = sample.path().display().to_string();
    let sending = start(&["send", "--quiet", &path], from.path());
    let code = sending.line_after(Channel::Error, "Wormhole code is: ", LIMIT);
    let received = start(&["receive", "-q", "--accept-file", &code], to.path()).succeed(LIMIT);
    assert_eq!((received.output.as_str(), received.error.as_str()), ("", ""));
    let sent = sending.succeed(LIMIT);
    assert_eq!((sent.output, sent.error), (String::new(), format!("Wormhole code is: {code}\n")));
    sample.expect_in(to.path(), "");
    let failed = start(&["receive", "--quiet", "4"], to.path()).finish(LIMIT);
    assert!(failed.error.starts_with("ERROR: "), "{}", failed.error);
}

#[test]
fn a_code_need_not_stand_in_the_list_of_processes() {
    let here = directory();
    let code = new_code();
    ok(fs::write(here.path().join("code"), format!("{code}\nand more\n")), "a file");
    let sending = start(&["send", "--code-file", "code", "--text", "hi"], here.path());
    let received = start_with(&["receive"], here.path(), &[("WORMHOLE_CODE", &code)]).succeed(LIMIT);
    sending.succeed(LIMIT);
    assert_eq!(received.output, "hi\n");

    let code = new_code();
    ok(fs::write(here.path().join("code"), &code), "a file");
    let sending = start_with(&["send", "--text", "hi"], here.path(), &[("WORMHOLE_CODE", &code)]);
    // The file goes before the variable.
    let received =
        start_with(&["receive", "--code-file", "code"], here.path(), &[("WORMHOLE_CODE", "7-a-b")]);
    assert_eq!(received.succeed(LIMIT).output, "hi\n");
    sending.succeed(LIMIT);
}

#[test]
fn a_code_file_that_cannot_be_used_is_named() {
    let here = directory();
    ok(fs::write(here.path().join("empty"), "\n7-a-b\n"), "a file");
    for (arguments, code) in [
        (&["receive", "--code-file", "nothing"][..], 1),
        (&["receive", "--code-file", "empty"], 1),
        (&["receive", "--code-file", "empty", "7-a-b"], 2),
        (&["send", "--code-file", "empty", "--code", "7-a-b"], 2),
    ] {
        let outcome =
            start(arguments, here.path()).finish(LIMIT).expect_code(&format!("{arguments:?}"), code);
        assert!(outcome.error.contains("code"), "{}", outcome.error);
    }
}

#[test]
fn an_option_goes_before_a_variable_that_before_the_users_file_and_that_before_the_systems() {
    let here = directory();
    let at = |name: &str| {
        let place = here.path().join(name).join("wormhole");
        ok(fs::create_dir_all(&place), "a directory");
        place.join("config.toml")
    };
    let (system, user) = (at("system"), at("user"));
    let url = |name: &str| format!("ws://{name}.invalid:1/v1");
    let given = |path: &Path, name: &str| {
        ok(fs::write(path, format!("# servers\nrelay-url = \"{}\"\n", url(name))), "a file");
    };
    let tried = |arguments: &[&str], variable: Option<&str>| {
        let mut command = quiet(Command::new(OURS));
        command.current_dir(here.path()).args(["receive", "7-a-b"]).args(arguments);
        command
            .env_remove("WORMHOLE_CONFIG")
            .env("XDG_CONFIG_DIRS", here.path().join("system"))
            .env("XDG_CONFIG_HOME", here.path().join("user"));
        command.envs(variable.map(|url| ("WORMHOLE_RELAY_URL", url)));
        let outcome = Program::start("ours", command).finish(LIMIT);
        assert_ne!(outcome.code, Some(0));
        outcome.error
    };
    given(&system, "system");
    assert!(tried(&[], None).contains(&url("system")));
    given(&user, "user");
    assert!(tried(&[], None).contains(&url("user")));
    assert!(tried(&[], Some(&url("variable"))).contains(&url("variable")));
    let error = tried(&["--relay-url", &url("option")], Some(&url("variable")));
    assert!(error.contains(&url("option")), "{error}");
}

#[test]
fn a_file_of_settings_says_what_options_say() {
    let (from, to) = (directory(), directory());
    let sample = Sample::make(Kind::File(5000), from.path());
    let (url, relay) = (Servers::ours().mailbox_url(), Servers::ours().relay_hint());
    let place = to.path().join("place");
    ok(fs::create_dir(&place), "a directory");
    let settings = from.path().join("settings.toml");
    let text = format!(
        "relay-url = \"{url}\"\ntransit-helper = \"{relay}\"\nlisten = false\nhide-progress = true\n\
         [send]\ncode-length = 4\nqr = true\n[receive]\naccept-file = true\noutput-file = \"{}/\"\non-conflict = \"rename\"\n",
        place.display()
    );
    ok(fs::write(&settings, text), "a file");
    let settings = settings.display().to_string();
    let environment = [("WORMHOLE_CONFIG", settings.as_str())];
    let path = sample.path().display().to_string();
    let sending = bare(&["send", &path], from.path(), &environment);
    let code = sending.line_after(Channel::Error, "Wormhole code is: ", LIMIT);
    assert_eq!(code.split('-').count(), 5, "{code}");
    let received = bare(&["receive", &code], to.path(), &environment).succeed(LIMIT);
    let sent = sending.succeed(LIMIT);
    assert!(sent.error.contains('█'), "{}", sent.error);
    assert!(received.error.contains(&format!("->relay:{relay}")), "{}", received.error);
    sample.expect_in(&place, "");

    let sending = bare(&["send", &path], from.path(), &environment);
    let code = sending.line_after(Channel::Error, "Wormhole code is: ", LIMIT);
    bare(&["receive", &code], to.path(), &environment).succeed(LIMIT);
    sending.succeed(LIMIT);
    assert!(place.join("file-5000 (1).bin").is_file());

    // An option goes before the file, also where the file says the opposite.
    let sending = bare(&["send", "--listen", "--no-qr", "-c", "1", &path], from.path(), &environment);
    let code = sending.line_after(Channel::Error, "Wormhole code is: ", LIMIT);
    assert_eq!(code.split('-').count(), 2, "{code}");
    let received = bare(&["receive", "-o", "other", &code], to.path(), &environment).succeed(LIMIT);
    assert!(received.error.contains("(->tcp:"), "{}", received.error);
    assert!(!sending.succeed(LIMIT).error.contains('█'));
    assert!(to.path().join("other").is_file());
}

#[test]
fn a_mistake_in_a_file_of_settings_is_named_with_its_line_and_does_not_hide_the_help() {
    let here = directory();
    let settings = here.path().join("settings.toml");
    ok(fs::write(&settings, "quiet = false\n\nrelay = \"x\"\n"), "a file");
    let environment = [("WORMHOLE_CONFIG", settings.to_str().unwrap_or_default())];
    let run = |arguments: &[&str]| bare(arguments, here.path(), &environment).finish(LIMIT);
    let outcome = run(&["receive", "7-a-b"]).expect_code("with a mistake", 2);
    let wanted = format!("{}:3: there is no setting 'relay'", settings.display());
    assert!(outcome.error.contains(&wanted), "{}", outcome.error);
    assert!(run(&["--help"]).expect_code("--help", 0).output.contains("Usage"));
}

#[test]
fn the_code_goes_to_the_clipboard_by_the_desktops_own_program() {
    let here = directory();
    let program = here.path().join("wl-copy");
    ok(fs::write(&program, "#!/bin/sh\ncat > clipboard\n"), "a program");
    // A pipe, so that whoever reads it waits for the program, which nothing else does.
    let clipboard = here.path().join("clipboard");
    assert!(ok(Command::new("mkfifo").arg(&clipboard).status(), "mkfifo").success());
    let (copied, clip) = mpsc::channel();
    thread::spawn(move || copied.send(fs::read_to_string(clipboard)));
    ok(Command::new("chmod").arg("+x").arg(&program).status(), "chmod");
    let path = format!("{}:{}", here.path().display(), std::env::var("PATH").unwrap_or_default());
    let environment = [("PATH", path.as_str()), ("WAYLAND_DISPLAY", "wayland-0")];
    let sending = start_with(&["send", "--copy", "--text", "hi"], here.path(), &environment);
    let code = sending.line_after(Channel::Error, "Wormhole code is: ", LIMIT);
    let copied = ok(clip.recv_timeout(LIMIT), "what was copied");
    assert_eq!(ok(copied, "the clipboard"), code);
    start(&["receive", &code], here.path()).succeed(LIMIT);
    sending.succeed(LIMIT);
}

#[test]
fn a_terminal_is_asked_to_copy_where_there_is_no_desktop() {
    let here = directory();
    let mut command = scene().command(Who::Ours(OURS), "send", here.path());
    command.args(["--copy", "--code", "7-crossover-clockwork", "--text", "hi"]);
    command.env_remove("WAYLAND_DISPLAY").env_remove("DISPLAY");
    let terminal = Terminal::run(&command);
    terminal.wait_for("\x1b]52;c;Ny1jcm9zc292ZXItY2xvY2t3b3Jr\x07", 0, LIMIT);
    let nowhere = start_with(&["send", "--copy", "--text", "hi"], here.path(), &[("DISPLAY", "")]);
    nowhere.wait_for(Channel::Error, "No clipboard was found", LIMIT);
}

#[test]
fn a_shell_completes_commands_options_and_the_code_that_waits() {
    let here = directory();
    let Some(servers) = Servers::start(wormhole_tests::Make::Ours) else { return };
    let scene = Scene { servers: &servers, route: Route::Direct };
    let sending = scene.start(Who::Ours(OURS), "send", &["--text", "hi"], here.path());
    let code = sending.line_after(Channel::Error, "Wormhole code is: ", LIMIT);
    let Some((nameplate, _)) = code.split_once('-') else { panic!("{code}") };
    let url = servers.mailbox_url();
    let complete = |words: &[&str]| {
        let index = (words.len() - 1).to_string();
        let mut command = quiet(Command::new(OURS));
        command.current_dir(here.path()).arg("--").args(words);
        command.env("WORMHOLE_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", index).env("_CLAP_IFS", "\n");
        command.env("WORMHOLE_RELAY_URL", &url);
        let outcome = Program::start("ours", command).finish(LIMIT).expect_code("completion", 0);
        outcome.output.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(complete(&["wormhole", "rec"]).contains(&"receive".to_owned()));
    assert!(complete(&["wormhole", "send", "--q"]).contains(&"--qr".to_owned()));
    // The only nameplate, with all that may follow.
    let found = complete(&["wormhole", "receive", ""]);
    assert!(found.contains(&format!("{nameplate}-armistice-")), "{found:?}");
    assert_eq!(complete(&["wormhole", "receive", "7-armistice-bab"]), ["7-armistice-baboon"]);
    let found = complete(&["wormhole", "rx", "--accept-file", "7-ar"]);
    assert_eq!(found, ["7-armistice-", "7-article-"]);
}

#[test]
fn a_shell_completes_nothing_where_the_server_is_away() {
    let mut command = quiet(Command::new(OURS));
    command.args(["--", "wormhole", "receive", ""]).env("WORMHOLE_COMPLETE", "fish");
    command.env("WORMHOLE_RELAY_URL", "ws://127.0.0.1:9/v1");
    let outcome = Program::start("ours", command).finish(LIMIT).expect_code("completion", 0);
    assert!(
        !outcome.output.lines().any(|line| line.starts_with(|c: char| c.is_ascii_digit())),
        "{}",
        outcome.output
    );
}

#[test]
fn a_real_shell_takes_the_script() {
    let here = directory();
    let path = format!(
        "{}:{}",
        Path::new(OURS).parent().map_or_else(String::new, |at| at.display().to_string()),
        std::env::var("PATH").unwrap_or_default()
    );
    let script = "eval \"$(wormhole completions bash)\"; COMP_WORDS=(wormhole receive 7-armistice-bab); COMP_CWORD=2; \
                  COMP_TYPE=9; _clap_complete_wormhole wormhole 7-armistice-bab receive; echo \"${COMPREPLY[@]}\"";
    let mut command = quiet(Command::new("bash"));
    command.args(["-c", script]).env("PATH", path).current_dir(here.path());
    assert_eq!(
        Program::start("bash", command).finish(LIMIT).expect_code("bash", 0).output,
        "7-armistice-baboon\n"
    );
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = bare(&["completions", shell], here.path(), &[]).succeed(LIMIT).output;
        assert!(script.contains("WORMHOLE_COMPLETE") && script.contains("wormhole"), "{shell}: {script}");
    }
    bare(&["completions", "cmd"], here.path(), &[]).finish(LIMIT).expect_code("an unknown shell", 2);
}

#[test]
fn a_mistyped_word_at_the_prompt_is_mended() {
    let here = directory();
    let code = "2001-guitarist-revenge";
    let sending = start(&["send", "--code", code, "--text", "hi"], here.path());
    let mut terminal = Terminal::run(&scene().command(Who::Ours(OURS), "receive", here.path()));
    let seen = terminal.wait_for("Enter receive wormhole code: ", 0, LIMIT);
    terminal.wait_for_raw(LIMIT);
    terminal.type_in("2001 guitarist\r");
    let seen = terminal.wait_for("no spaces", seen, LIMIT);
    terminal.wait_for_raw(LIMIT);
    // The line is there again, to be mended: Ctrl-U clears it.
    terminal.type_in("\x152001-guitarrist-revenge\r");
    let seen = terminal.wait_for("did you mean 2001-guitarist-revenge?", seen, LIMIT);
    terminal.wait_for_raw(LIMIT);
    terminal.type_in("\r");
    terminal.wait_for("\nhi\r\n", seen, LIMIT);
    assert_eq!(terminal.finish(LIMIT).0, Some(0), "{}", terminal.screen());
    sending.succeed(LIMIT);
}

#[test]
fn words_made_up_by_the_users_are_theirs() {
    let here = directory();
    let code = "2002-guitarrist-revenge";
    let sending = start(&["send", "--code", code, "--text", "hi"], here.path());
    let mut terminal = Terminal::run(&scene().command(Who::Ours(OURS), "receive", here.path()));
    terminal.wait_for("Enter receive wormhole code: ", 0, LIMIT);
    terminal.wait_for_raw(LIMIT);
    terminal.type_in(&format!("{code}\r"));
    terminal.wait_for("did you mean", 0, LIMIT);
    terminal.wait_for_raw(LIMIT);
    terminal.type_in(&format!("\x15{code}\r"));
    assert_eq!(terminal.finish(LIMIT).0, Some(0), "{}", terminal.screen());
    sending.succeed(LIMIT);
}

#[test]
fn the_doctor_finds_what_works() {
    let here = directory();
    let scene = Scene { servers: Servers::ours(), route: Route::Relay };
    let doctor = |arguments: &[&str]| {
        let relay = scene.servers.relay_hint();
        let url = scene.servers.mailbox_url();
        bare(
            &[&["--relay-url", &url, "--transit-helper", &relay, "doctor"], arguments].concat(),
            here.path(),
            &[],
        )
        .finish(LIMIT)
    };
    let outcome = doctor(&[]).expect_code("where all is well", 0);
    let well = |head: &str| outcome.output.lines().any(|line| line.starts_with(head));
    for head in
        ["ok   mailbox server: ws://", "ok   transit relay: tcp:", "ok   our addresses: ", "ok   clock: "]
    {
        assert!(well(head), "{head} is missing: {}", outcome.output);
    }
    assert_eq!(outcome.output.lines().count(), 5, "{}", outcome.output);
    let outcome = doctor(&["--json"]).expect_code("where all is well", 0);
    assert_eq!(outcome.output.matches(r#"{"event":"check","#).count(), 5, "{}", outcome.output);
}

#[test]
fn the_doctor_names_what_is_away() {
    let here = directory();
    let line = ["--relay-url", "ws://127.0.0.1:9/v1", "--transit-helper", "tcp:127.0.0.1:9", "doctor"];
    let outcome = bare(&line, here.path(), &[]).finish(LIMIT);
    assert_ne!(outcome.code, Some(0));
    for head in [
        "FAIL mailbox server: the mailbox server ws://127.0.0.1:9/v1 cannot be reached",
        "FAIL transit relay: tcp:127.0.0.1:9",
        "--   clock",
    ] {
        assert!(outcome.output.contains(head), "{head} is missing: {}", outcome.output);
    }
    let url = Servers::ours().mailbox_url();
    let hint = url.replace("ws://", "tcp:").replace("/v1", "");
    let foreign =
        bare(&["--relay-url", &url, "--transit-helper", &hint, "--no-listen", "doctor"], here.path(), &[]);
    let outcome = foreign.finish(LIMIT);
    assert!(outcome.output.contains("FAIL transit relay: "), "{}", outcome.output);
    assert!(outcome.output.contains("--   our addresses: none is told"), "{}", outcome.output);
}

#[test]
fn help_is_short_or_long_and_manual_pages_have_all_of_it() {
    let here = directory();
    let help =
        |arguments: &[&str]| bare(arguments, here.path(), &[]).finish(LIMIT).expect_code("help", 0).output;
    for command in ["send", "receive"] {
        let (short, long) = (help(&[command, "-h"]), help(&[command, "--help"]));
        assert!(short.lines().count() < long.lines().count(), "{short}");
        assert!(long.contains("Examples:") && !short.contains("Examples:"), "{long}");
        let page = help(&["man", command]);
        assert!(page.contains(".TH") && page.contains(&format!("wormhole\\-{command}")), "{page}");
    }
    assert_eq!(help(&["help"]), help(&["--help"]));
    let page = help(&["man"]);
    for wanted in ["EXIT STATUS", "ENVIRONMENT", "FILES", "receive"] {
        assert!(page.contains(wanted), "{wanted} is missing: {page}");
    }
    bare(&["man", "bogus"], here.path(), &[]).finish(LIMIT).expect_code("no such page", 2);
}

fn scene() -> Scene<'static> {
    Scene { servers: Servers::ours(), route: Route::Direct }
}

/// Runs a command with the servers of this test.
#[track_caller]
fn start(arguments: &[&str], directory: &Path) -> Program {
    start_with(arguments, directory, &[])
}

#[track_caller]
fn start_with(arguments: &[&str], directory: &Path, environment: &[(&str, &str)]) -> Program {
    let (command, rest) = arguments.split_first().map_or(("", &[][..]), |(command, rest)| (*command, rest));
    let mut line = scene().command(Who::Ours(OURS), command, directory);
    line.args(rest).envs(environment.iter().copied());
    Program::start(&format!("{arguments:?}"), line)
}

/// Runs the program with nothing but these arguments.
#[track_caller]
fn bare(arguments: &[&str], directory: &Path, environment: &[(&str, &str)]) -> Program {
    let mut line = quiet(Command::new(OURS));
    line.args(arguments).envs(environment.iter().copied()).current_dir(directory);
    Program::start(&format!("{arguments:?}"), line)
}

#[track_caller]
fn directory() -> TempDir {
    ok(TempDir::new(), "a directory")
}
