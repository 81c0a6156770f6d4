//! `--json`: programs on both sides, and each line as `docs/json.md` has it.
#![cfg(test)]
#![cfg(unix)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use wormhole_tests::{
    Channel, Kind, Outcome, Program, Route, Sample, Scene, Servers, Who, fail, new_code, ok,
};

const OURS: Who<'static> = Who::Ours(env!("CARGO_BIN_EXE_wormhole"));
const SCHEMA: &str = include_str!("../../docs/json.md");
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_file_goes_from_one_program_to_another() {
    let (from, to) = (directory(), directory());
    let sample = Sample::make(Kind::File(3_000_000), from.path());
    let path = sample.path().display().to_string();
    let sending = start("send", &["--json", &path], from.path());
    let code = told(&sending, "code")["code"].as_str().unwrap().to_owned();
    let mut receiving = start("receive", &["--json"], to.path());
    assert_eq!(told(&receiving, "question")["kind"], "code");
    receiving.type_in(&format!("{}\n", json!({"answer": code})));
    receiving.wait_for(Channel::Output, r#""kind":"accept""#, LIMIT);
    receiving.type_in("perhaps\n");
    told(&receiving, "invalid-answer");
    receiving.type_in("{\"answer\": true}\n");
    let received = lines(&receiving.succeed(LIMIT));
    let sent = lines(&sending.succeed(LIMIT));

    let wanted = ["hello", "offer", "link", "welcome", "code", "peer", "code-consumed", "verifier", "path"];
    expect_all(&sent, &[&wanted[..], &["answered", "progress", "sent", "result"]].concat());
    expect_all(&received, &[&wanted[..], &["question", "progress", "stored", "result"]].concat());
    assert_eq!(one(&sent, "verifier"), one(&received, "verifier"));
    assert_eq!(
        one(&sent, "offer"),
        &json!({
            "event": "offer", "kind": "file", "name": "file-3000000.bin", "size": 3_000_000,
        })
    );
    assert_eq!(one(&sent, "offer"), one(&received, "offer"));
    for side in [&sent, &received] {
        let last = side.iter().rfind(|line| line["event"] == "progress").unwrap();
        assert_eq!((&last["done"], &last["total"]), (&json!(3_000_000), &json!(3_000_000)));
    }
    let link = one(&sent, "code")["uri"].as_str().unwrap();
    assert!(link.starts_with(&format!("wormhole-transfer:{code}?rendezvous=ws%3A%2F%2F")), "{link}");
    let place = ok(to.path().canonicalize(), "the directory").join("file-3000000.bin");
    assert_eq!(one(&received, "stored")["path"], place.display().to_string());
    sample.expect_in(to.path(), "");
}

#[test]
fn a_text_arrives_as_it_is() {
    let here = directory();
    let code = new_code();
    let text = "two lines\nand \x1b[31mred\n";
    let sending = start("send", &["--json", "--code", &code, "--text", text], here.path());
    let received = lines(&start("receive", &["--json", &code], here.path()).succeed(LIMIT));
    sending.succeed(LIMIT);
    assert_eq!(one(&received, "offer")["text"], text);
    assert!(!received.iter().any(|line| line["event"] == "output"));
}

#[test]
fn a_text_may_be_asked_for_and_a_verifier_refused() {
    let here = directory();
    let code = new_code();
    let mut sending = start("send", &["--json", "--verify", "--code", &code], here.path());
    assert_eq!(told(&sending, "question")["kind"], "text");
    sending.type_in("{\"answer\": \"hi\"}\n");
    let receiving = start("receive", &["--json", &code], here.path());
    sending.wait_for(Channel::Output, r#""kind":"verifier""#, LIMIT);
    sending.type_in("{\"answer\": \"no\"}\n");
    for outcome in [sending.finish(LIMIT), receiving.finish(LIMIT)] {
        let all = lines(&outcome);
        let last = all.last().unwrap();
        assert_eq!(last["event"], "error", "{last}");
        assert_eq!(Some(last["exit_code"].as_i64().unwrap()), outcome.code.map(i64::from));
    }
}

#[test]
fn the_end_of_the_input_refuses() {
    let (from, to) = (directory(), directory());
    let sample = Sample::make(Kind::Directory, from.path());
    let code = new_code();
    let path = sample.path().display().to_string();
    let sending = start("send", &["--json", "--code", &code, &path], from.path());
    let mut receiving = start("receive", &["--json", &code], to.path());
    receiving.end_input();
    let received = lines(&receiving.finish(LIMIT));
    assert_eq!(one(&received, "offer")["kind"], "directory");
    assert_eq!(received.last().unwrap()["event"], "error");
    assert_eq!(lines(&sending.finish(LIMIT)).last().unwrap()["event"], "error");
}

#[test]
fn what_cannot_be_understood_is_told_too() {
    let here = directory();
    for (arguments, kind) in [(&["--json", "--bogus"][..], "usage"), (&["--json", "4"], "failed")] {
        let outcome = start("receive", arguments, here.path()).finish(LIMIT);
        let all = lines(&outcome);
        assert_eq!(all.last().unwrap()["event"], "error");
        assert!(["usage", kind].contains(&all.last().unwrap()["kind"].as_str().unwrap()), "{all:?}");
    }
}

#[test]
fn quiet_and_json_leave_standard_error_alone() {
    let here = directory();
    let code = new_code();
    let sending = start("send", &["--json", "--quiet", "--code", &code, "--text", "hi"], here.path());
    let received = start("receive", &["--json", "--quiet", &code], here.path()).succeed(LIMIT);
    assert_eq!(received.error, "");
    let sent = sending.succeed(LIMIT);
    assert!(!sent.error.contains("Sending"), "{}", sent.error);
}

fn start(command: &str, arguments: &[&str], directory: &Path) -> Program {
    Scene { servers: Servers::ours(), route: Route::Direct }.start(OURS, command, arguments, directory)
}

/// Waits for an event.
#[track_caller]
fn told(program: &Program, event: &str) -> Value {
    let head = format!("{{\"event\":\"{event}\"");
    let rest = program.line_after(Channel::Output, &head, LIMIT);
    ok(serde_json::from_str(&format!("{head}{rest}")), "a line of JSON")
}

/// All lines, each of which keeps to the schema.
#[track_caller]
fn lines(outcome: &Outcome) -> Vec<Value> {
    let schema = schema();
    let all: Vec<Value> = outcome
        .output
        .lines()
        .map(|line| ok(serde_json::from_str(line), &format!("{line:?} as JSON")))
        .collect();
    for line in &all {
        let event = line["event"].as_str().unwrap_or_default();
        let Some(keys) = schema.get(event) else { fail(format_args!("{event:?} is not documented: {line}")) };
        for (key, value) in line.as_object().into_iter().flatten().filter(|(key, _)| *key != "event") {
            let Some((sort, _)) = keys.get(key) else {
                fail(format_args!("{key:?} is not documented: {line}"))
            };
            assert!(sort.split(" or ").any(|sort| is_a(value, sort)), "{key} is no {sort}: {line}");
        }
        for (key, (_, is_needed)) in keys {
            assert!(!is_needed || line.get(key).is_some(), "{key} is missing: {line}");
        }
    }
    assert!(
        matches!(all.last().and_then(|last| last["event"].as_str()), Some("result" | "error")),
        "{all:?}"
    );
    all
}

fn is_a(value: &Value, sort: &str) -> bool {
    match sort {
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => fail(format_args!("the document has a sort {other:?}")),
    }
}

/// Of each event the keys, their sorts, and whether they are always there.
fn schema() -> BTreeMap<String, BTreeMap<String, (String, bool)>> {
    let table = SCHEMA.split("\n## ").find(|part| part.starts_with("Events")).unwrap_or_default();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let quoted = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    rows.map(|row| {
        let mut cells = row.split(" |");
        let event = cells.next().map(quoted).unwrap_or_default().concat();
        let keys = cells.next().map(quoted).unwrap_or_default().into_iter().map(|key| {
            let (name, sort) = key.split_once(": ").unwrap_or((&key, "nothing"));
            (name.trim_end_matches('?').to_owned(), (sort.to_owned(), !name.ends_with('?')))
        });
        (event, keys.collect())
    })
    .collect()
}

#[track_caller]
fn expect_all(lines: &[Value], events: &[&str]) {
    for event in events {
        assert!(lines.iter().any(|line| line["event"] == *event), "{event} is missing: {lines:?}");
    }
}

#[track_caller]
fn one<'a>(lines: &'a [Value], event: &str) -> &'a Value {
    let Some(line) = lines.iter().find(|line| line["event"] == event) else {
        fail(format_args!("{event} is missing: {lines:?}"))
    };
    line
}

#[track_caller]
fn directory() -> TempDir {
    ok(TempDir::new(), "a directory")
}
