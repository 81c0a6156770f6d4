//! Mailbox, 5: open, add, close.

use std::path::Path;
use std::sync::Barrier;
use std::thread;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::client::Client;
use crate::running::Running;
use crate::talk::{
    APP, add, answer, bound, claimed, close, error, heard, hears, list, mailbox, opened, reopened, rows, text,
};

const NOTHING: [&str; 0] = [];

#[test]
fn m74_an_unknown_mailbox_opens_without_an_answer_and_its_messages_come_back() {
    let server = mailbox(&[]);
    // No more than the ack: the next thing that is heard is the answer to a ping.
    let mut client = opened(&server, "a", "never seen");
    add(&mut client, "p");
}

#[test]
fn m75_a_mailbox_must_be_open_to_add() {
    let server = mailbox(&[]);
    let says = json!({"type": "add", "phase": "p", "body": "00"});
    assert_eq!(error(&mut bound(&server, APP, "a"), says), "must open mailbox before adding");
}

#[test]
fn m76_an_add_needs_first_a_phase_and_then_a_body() {
    let server = mailbox(&[]);
    let mut client = opened(&server, "a", "m");
    for (says, expected) in [
        (json!({"type": "add"}), "missing 'phase'"),
        (json!({"type": "add", "body": "00"}), "missing 'phase'"),
        (json!({"type": "add", "phase": "p"}), "missing 'body'"),
    ] {
        assert_eq!(error(&mut client, says), expected);
    }
}

#[test]
fn m77_a_message_comes_back_with_the_bound_side_its_id_and_its_time() {
    let server = mailbox(&[]);
    let mut client = opened(&server, "a", "m");
    let says = json!({"type": "add", "phase": "p", "body": "00", "id": "i7", "side": "another"});
    let mut echo = answer(&mut client, says);
    assert!(echo.as_object_mut().unwrap().remove("server_rx").unwrap().is_f64());
    assert_eq!(echo, json!({"type": "message", "side": "a", "phase": "p", "body": "00", "id": "i7"}));
}

#[test]
fn m78_a_late_peer_hears_everything_in_order_and_once() {
    let server = mailbox(&[]);
    let mut a = opened(&server, "a", "m");
    for phase in ["0", "1", "2"] {
        add(&mut a, phase);
    }
    let (mut b, there) = reopened(&server, "b", "m");
    assert_eq!(there, ["0", "1", "2"]);
    for phase in ["3", "4"] {
        add(&mut a, phase);
    }
    hears(&mut b, &["3", "4"]);
}

#[test]
fn m79_adds_that_race_with_an_open_are_heard_once() {
    let server = mailbox(&[]);
    let (count, openings) = (400, 20);
    let phases: Vec<String> = (0..count).map(|phase| phase.to_string()).collect();
    let begin = Barrier::new(2);
    let (server, phases, begin) = (&server, &phases, &begin);
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut a = opened(server, "a", "m");
            begin.wait();
            for phase in phases {
                add(&mut a, phase);
            }
        });
        scope.spawn(move || {
            begin.wait();
            for _ in 0..openings {
                let mut client = bound(server, APP, "b");
                client.tell(json!({"type": "open", "mailbox": "m"}));
                for phase in phases {
                    assert_eq!(client.hear()["phase"], *phase);
                }
                assert_eq!(heard(&mut client), NOTHING);
            }
        });
    });
}

#[test]
fn m80_two_listeners_of_one_side_hear_everything() {
    let server = mailbox(&[]);
    let mut one = opened(&server, "a", "m");
    let mut other = opened(&server, "a", "m");
    add(&mut one, "p");
    hears(&mut other, &["p"]);
}

#[test]
fn m81_what_is_said_twice_is_heard_twice() {
    let server = mailbox(&[]);
    let mut peer = opened(&server, "b", "m");
    let mut lost = opened(&server, "a", "m");
    add(&mut lost, "p");
    drop(lost);
    let (mut again, there) = reopened(&server, "a", "m");
    assert_eq!(there, ["p"]);
    add(&mut again, "p");
    hears(&mut peer, &["p", "p"]);
    assert_eq!(reopened(&server, "b", "m").1, ["p", "p"]);
}

#[test]
fn m82_phase_and_body_are_texts_of_which_the_body_need_not_be_hex() {
    let server = mailbox(&[]);
    let mut client = opened(&server, "a", "m");
    for bad in [json!(3), Value::Null, json!([]), json!({})] {
        let text = error(&mut client, json!({"type": "add", "phase": bad, "body": "00"}));
        assert_eq!(text, "'phase' must be a string, and not too long");
        let text = error(&mut client, json!({"type": "add", "phase": "p", "body": bad}));
        assert_eq!(text, "'body' must be a string");
    }
    assert_eq!(answer(&mut client, json!({"type": "add", "phase": "", "body": "zz"}))["body"], "zz");
}

#[test]
fn m83_large_and_odd_messages_come_back_as_they_were() {
    let server = mailbox(&[]);
    let mut client = opened(&server, "a", "m");
    let (phase, body) = ("nul \u{0}, clown \u{1f921}, line\n", "5a".repeat(1 << 19));
    let echo = answer(&mut client, json!({"type": "add", "phase": phase, "body": body}));
    let mut late = bound(&server, APP, "b");
    late.tell(json!({"type": "open", "mailbox": "m"}));
    for message in [echo, late.hear()] {
        assert_eq!((message["phase"].as_str(), message["body"].as_str()), (Some(phase), Some(body.as_str())));
    }
}

#[test]
fn m84_one_open_a_connection() {
    let server = mailbox(&[]);
    let mut client = opened(&server, "a", "m");
    for mailbox in ["m", "n"] {
        let text = error(&mut client, json!({"type": "open", "mailbox": mailbox}));
        assert_eq!(text, "only one open per connection");
    }
}

#[test]
fn m85_an_open_requires_a_mailbox_that_is_a_text() {
    let server = mailbox(&[]);
    let mut client = bound(&server, APP, "a");
    assert_eq!(error(&mut client, json!({"type": "open"})), "open requires 'mailbox'");
    for bad in [json!(5), Value::Null, json!(["m"])] {
        let text = error(&mut client, json!({"type": "open", "mailbox": bad}));
        assert_eq!(text, "'mailbox' must be a string, and not too long");
    }
    client.tell(json!({"type": "open", "mailbox": ""}));
}

#[test]
fn m86_the_same_mailbox_of_two_applications_is_two() {
    let server = mailbox(&[]);
    let mut one = opened(&server, "a", "m");
    let mut other = bound(&server, "test.example/other", "b");
    other.tell(json!({"type": "open", "mailbox": "m"}));
    add(&mut one, "p");
    assert_eq!(heard(&mut other), NOTHING);
}

#[test]
fn m87_a_close_needs_an_open_mailbox_or_its_name() {
    let server = mailbox(&[]);
    let mut client = bound(&server, APP, "a");
    let text = error(&mut client, json!({"type": "close"}));
    assert_eq!(text, "close without mailbox must follow open");
    assert_eq!(answer(&mut client, json!({"type": "close", "mailbox": "m"}))["type"], "closed");
}

#[test]
fn m88_only_the_open_mailbox_can_be_closed() {
    let server = mailbox(&[]);
    let mut client = opened(&server, "a", "m");
    let text = error(&mut client, json!({"type": "close", "mailbox": "n"}));
    assert_eq!(text, "open and close must use same mailbox");
    assert_eq!(answer(&mut client, json!({"type": "close", "mailbox": "m"}))["type"], "closed");
}

#[test]
fn m89_one_close_a_connection() {
    let server = mailbox(&[]);
    let mut client = opened(&server, "a", "m");
    close(&mut client, "happy");
    let text = error(&mut client, json!({"type": "close", "mailbox": "m"}));
    assert_eq!(text, "only one close per connection");
}

#[test]
fn m90_after_one_close_the_other_side_goes_on_and_the_first_may_come_back() {
    let server = mailbox(&[]);
    let (mut a, mut b) = (opened(&server, "a", "m"), opened(&server, "b", "m"));
    close(&mut a, "happy");
    add(&mut b, "1");
    assert_eq!(reopened(&server, "a", "m").1, ["1"]);
}

#[test]
fn m91_the_last_close_deletes_the_messages() {
    let server = mailbox(&[]);
    let (mut a, mut b) = (opened(&server, "a", "m"), opened(&server, "b", "m"));
    add(&mut a, "1");
    hears(&mut b, &["1"]);
    close(&mut a, "happy");
    close(&mut b, "happy");
    assert_eq!(reopened(&server, "a", "m").1, NOTHING);
}

#[test]
fn m92_two_closes_without_a_release_free_the_name_and_are_both_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage");
    let server = mailbox(&["--usage-db", path.to_str().unwrap()]);
    let (mut a, mailbox) = claimed(&server, APP, "a", "5");
    let (mut b, _) = claimed(&server, APP, "b", "5");
    for client in [&mut a, &mut b] {
        client.tell(json!({"type": "open", "mailbox": mailbox}));
    }
    close(&mut a, "happy");
    close(&mut b, "happy");
    assert_eq!(list(&mut a), NOTHING);
    for table in ["nameplates", "mailboxes"] {
        assert_eq!(text(&rows(&path, &format!("select result from {table}"), 1)[0][0]), "happy");
    }
}

#[test]
fn m93_a_crowded_mailbox_can_be_closed_by_anyone() {
    let server = mailbox(&[]);
    let (mut a, mut b) = (opened(&server, "a", "m"), opened(&server, "b", "m"));
    let mut third = bound(&server, APP, "c");
    assert_eq!(error(&mut third, json!({"type": "open", "mailbox": "m"})), "crowded");
    assert_eq!(answer(&mut third, json!({"type": "close", "mailbox": "m"}))["type"], "closed");
    add(&mut a, "1");
    hears(&mut b, &["1"]);
    close(&mut a, "happy");
    let mut again = bound(&server, APP, "b");
    assert_eq!(answer(&mut again, json!({"type": "close", "mailbox": "m"}))["type"], "closed");
}

#[test]
fn m94_a_close_that_is_said_again_is_answered_and_not_counted_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage");
    let mut server = mailbox(&["--usage-db", path.to_str().unwrap()]);
    let mut client = opened(&server, "a", "m");
    close(&mut client, "happy");
    for _ in 0..3 {
        let mut again = bound(&server, APP, "a");
        assert_eq!(answer(&mut again, json!({"type": "close", "mailbox": "m"}))["type"], "closed");
    }
    drop(client);
    // What waits for the database is written before the end.
    server.signal(Signal::TERM);
    server.end();
    rows(&path, "select * from mailboxes", 1);
}

#[test]
fn m95_a_mailbox_that_a_side_has_reopened_lives_until_that_closes_it() {
    let server = mailbox(&[]);
    let (mut a, mut b) = (opened(&server, "a", "m"), opened(&server, "b", "m"));
    add(&mut a, "1");
    hears(&mut b, &["1"]);
    close(&mut a, "happy");
    let (mut again, there) = reopened(&server, "a", "m");
    assert_eq!(there, ["1"]);
    close(&mut b, "happy");
    assert_eq!(reopened(&server, "a", "m").1, ["1"]);
    close(&mut again, "happy");
    assert_eq!(reopened(&server, "c", "m").1, NOTHING);
}

#[test]
fn m96_after_a_close_no_message_comes() {
    let server = mailbox(&[]);
    let (mut a, mut b) = (opened(&server, "a", "m"), opened(&server, "b", "m"));
    close(&mut a, "happy");
    add(&mut b, "1");
    assert_eq!(heard(&mut a), NOTHING);
}

#[test]
fn m97_a_lost_connection_changes_nothing() {
    let server = mailbox(&[]);
    let (mut a, mailbox) = claimed(&server, APP, "a", "5");
    a.tell(json!({"type": "open", "mailbox": mailbox}));
    add(&mut a, "1");
    drop(a);
    assert_eq!(claimed(&server, APP, "a", "5").1, mailbox);
    assert_eq!(reopened(&server, "a", &mailbox).1, ["1"]);
}

#[test]
fn m98_what_was_echoed_is_there_after_every_end() {
    for signal in [Signal::TERM, Signal::KILL] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("channels");
        let mut server = durable(&path);
        let (mut a, mailbox) = claimed(&server, APP, "a", "5");
        a.tell(json!({"type": "open", "mailbox": mailbox}));
        add(&mut a, "1");
        server.signal(signal);
        server.end();
        let server = durable(&path);
        assert_eq!(claimed(&server, APP, "a", "5").1, mailbox);
        assert_eq!(reopened(&server, "a", &mailbox).1, ["1"]);
        let mut peer: Client = claimed(&server, APP, "b", "5").0;
        peer.tell(json!({"type": "open", "mailbox": mailbox}));
        assert_eq!(peer.hear()["phase"], "1");
    }
}

/// A server that keeps everything in this file.
fn durable(path: &Path) -> Running {
    mailbox(&["--channel-db", path.to_str().unwrap(), "--drain-limit", "0"])
}
