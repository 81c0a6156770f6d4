//! Settings come from flags, the environment and a file, and what cannot be is refused with its place.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::json;

use crate::client::Client;
use crate::running::{Running, program};

#[test]
fn a_flag_goes_before_the_environment_and_that_before_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file =
        written(dir.path(), "motd = \"file\"\nsignal-error = \"file\"\nadvertise-version = \"file\"\n");
    let shown = check(
        &["--config", &file, "--motd", "flag"],
        &[
            ("WORMHOLE_SERVER_MOTD", "environment"),
            ("WORMHOLE_SERVER_SIGNAL_ERROR", "environment"),
            ("WORMHOLE_SERVER_RELAY", "localhost:1,localhost:2"),
        ],
    );
    assert_eq!(shown.status.code(), Some(0));
    let shown = String::from_utf8(shown.stdout).unwrap();
    for line in [
        "motd = \"flag\"  # --motd".to_owned(),
        "signal-error = \"environment\"  # WORMHOLE_SERVER_SIGNAL_ERROR".to_owned(),
        format!("advertise-version = \"file\"  # {file}:3"),
        "relay = [\"localhost:1\", \"localhost:2\"]  # WORMHOLE_SERVER_RELAY".to_owned(),
        "drain-limit = \"60\"  # default".to_owned(),
        "# tls-key is not set".to_owned(),
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} is not in\n{shown}");
    }
}

#[test]
fn what_check_config_shows_is_a_configuration_again() {
    let dir = tempfile::tempdir().unwrap();
    let shown = check(&["--motd", "say \"hi\"\n\u{e9}", "--mailbox", "unix:/tmp/x", "--disallow-list"], &[]);
    let file = written(dir.path(), &String::from_utf8(shown.stdout.clone()).unwrap());
    let again = check(&["--config", &file], &[]);
    let values = |output: &Output| -> Vec<String> {
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        text.lines().map(|line| line.split("  # ").next().unwrap().to_owned()).collect()
    };
    assert_eq!(again.status.code(), Some(0), "{again:?}");
    assert_eq!(values(&again), values(&shown));
}

#[test]
fn a_fault_is_told_with_its_place_and_code_two() {
    let dir = tempfile::tempdir().unwrap();
    for (text, fault) in [
        ("motd = \"a\"\n\nmailbocks = []\n", ":3: there is no setting \"mailbocks\""),
        ("mailbox = [\n  \"4000\"\n]\n", ":1: mailbox: \"4000\": "),
        ("drain-limit = \"soon\"\n", ":1: drain-limit: \"soon\": "),
        ("motd = = 1\n", ":1: "),
        ("tls-key = \"k\"\n", ":1: there is no tls-certificate for it"),
        ("mailbox = \"tls:localhost:1\"\n", ":1: tls:localhost:1: tls: needs tls-certificate and tls-key"),
        ("relay = \"proxy:localhost:1\"\n", ":1: proxy:localhost:1: proxy: needs a trusted-proxy"),
        ("trusted-proxy = \"10.0.0.0/33\"\n", ":1: trusted-proxy: \"10.0.0.0/33\": "),
        ("log-level = \"loud\"\n", ":1: log-level: \"loud\": "),
    ] {
        let file = written(dir.path(), text);
        for command in ["check-config", "all"] {
            let output = program(&[command, "--config", &file]).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{said}");
            assert!(said.contains(&format!("{file}{fault}")), "{said}");
        }
    }
    for (flags, variables, fault) in [
        (&["--bogus"][..], &[][..], "--bogus"),
        (&["--config", "/nowhere"], &[], "/nowhere"),
        (&[], &[("WORMHOLE_SERVER_BOGUS", "1")], "WORMHOLE_SERVER_BOGUS: there is no such setting"),
        (&[], &[("WORMHOLE_SERVER_DISALLOW_LIST", "maybe")], "WORMHOLE_SERVER_DISALLOW_LIST: disallow-list"),
        (&["--drain-limit=-1"], &[], "--drain-limit: drain-limit must be a number of seconds"),
    ] {
        let output = check(flags, variables);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(fault), "{said}");
    }
}

#[test]
fn clients_are_told_what_is_configured_and_what_is_told_changes_on_sighup() {
    let dir = tempfile::tempdir().unwrap();
    let file = written(dir.path(), "motd = \"one\"\nadvertise-version = \"9.9\"\n");
    let server = Running::start(&["mailbox", "--mailbox", "127.0.0.1:0", "--config", &file]);
    let welcome = || Client::connect(server.at("mailbox")).hear()["welcome"].clone();
    let first = welcome();
    assert_eq!((&first["motd"], &first["current_cli_version"]), (&json!("one"), &json!("9.9")));
    assert!(first.get("error").is_none());

    written(dir.path(), "signal-error = \"go away\"\n");
    server.signal(rustix::process::Signal::HUP);
    server.wait_for_log("the configuration was read again");
    crate::running::soon("it is told", || (welcome()["error"] == "go away").then_some(()));
    assert!(welcome().get("motd").is_none());

    written(dir.path(), "nonsense = 1\n");
    server.signal(rustix::process::Signal::HUP);
    server.wait_for_log("the new configuration cannot be used");
    assert_eq!(welcome()["error"], "go away");
}

#[test]
fn the_list_can_be_kept_back() {
    for (flags, listed) in [(&[][..], json!([{"id": "77"}])), (&["--disallow-list"], json!([]))] {
        let arguments = [&["mailbox", "--mailbox", "127.0.0.1:0"], flags].concat();
        let server = Running::start(&arguments);
        let mut client = Client::connect(server.at("mailbox"));
        client.hear();
        client.tell(json!({"type": "bind", "appid": "x", "side": "a"}));
        assert_eq!(client.ask(json!({"type": "claim", "nameplate": "77"}))["type"], "claimed");
        assert_eq!(client.ask(json!({"type": "list"}))["nameplates"], listed);
    }
}

#[test]
fn the_manual_page_in_the_tree_is_the_one_of_the_program() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("operation/wormhole-server.1");
    let page = program(&["man"]).output().unwrap().stdout;
    if std::env::var_os("REGENERATE_TABLES").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let kept = fs::read(&path).unwrap_or_default();
    assert!(kept == page, "{path:?} differs; REGENERATE_TABLES=1 writes it anew");
}

#[test]
fn what_cannot_be_imported_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("nonsense"), "no database").unwrap();
    for (arguments, fault) in [
        (vec![], "say what to import".to_owned()),
        (vec!["--from-usage-db".into(), path("nonsense")], "--from-usage-db needs usage-db".into()),
        (
            vec!["--from-channel-db".into(), path("nonsense"), "--channel-db".into(), path("new")],
            path("nonsense"),
        ),
        (
            vec!["--from-channel-db".into(), path("nowhere"), "--channel-db".into(), path("new")],
            path("nowhere"),
        ),
    ] {
        let output = program(&["import"]).args(&arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(&fault), "{said}");
        assert!(!fs::exists(path("new")).unwrap(), "nothing is made of nonsense");
    }
}

#[test]
fn the_password_of_a_database_is_not_shown() {
    let output = check(&["--channel-db", "postgres://me:secret@localhost/w"], &[]);
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(said.contains("postgres://me:***@localhost/w") && !said.contains("secret"), "{said}");
}

#[test]
fn a_flag_may_stand_before_the_command_and_after_it() {
    for arguments in [["--motd", "x", "check-config"], ["check-config", "--motd", "x"]] {
        let shown = String::from_utf8(program(&arguments).output().unwrap().stdout).unwrap();
        assert!(shown.contains("motd = \"x\"  # --motd\n"), "{shown}");
    }
}

fn check(flags: &[&str], variables: &[(&str, &str)]) -> Output {
    program(&["check-config"]).args(flags).envs(variables.iter().copied()).output().unwrap()
}

/// A file of settings with this text.
fn written(dir: &Path, text: &str) -> String {
    let file = dir.join("settings.toml");
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}
