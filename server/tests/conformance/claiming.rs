//! Mailbox, 4: claim, release.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::client::Client;
use crate::running::soon;
use crate::talk::{APP, add, answer, bound, claimed, close, error, hears, list, mailbox, opened, reopened};

#[test]
fn m56_a_claimed_name_leads_to_a_mailbox_of_thirteen_characters() {
    let server = mailbox(&[]);
    let (_, mailbox) = claimed(&server, APP, "a", "4");
    assert_eq!(mailbox.len(), 13);
    assert!(mailbox.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7')), "{mailbox}");
}

#[test]
fn m57_the_second_side_learns_the_same_mailbox() {
    let server = mailbox(&[]);
    assert_eq!(claimed(&server, APP, "a", "4").1, claimed(&server, APP, "b", "4").1);
}

#[test]
fn m58_a_side_may_claim_again_on_another_connection() {
    let server = mailbox(&[]);
    let (_, mailbox) = claimed(&server, APP, "a", "4");
    for side in ["a", "b", "a", "b"] {
        assert_eq!(claimed(&server, APP, side, "4").1, mailbox);
    }
}

#[test]
fn m59_one_claim_a_connection() {
    let server = mailbox(&[]);
    let (mut client, _) = claimed(&server, APP, "a", "4");
    for name in ["4", "5"] {
        let text = error(&mut client, json!({"type": "claim", "nameplate": name}));
        assert_eq!(text, "only one claim per connection");
    }
}

#[test]
fn m60_a_claim_requires_a_nameplate() {
    let server = mailbox(&[]);
    let mut client = bound(&server, APP, "a");
    assert_eq!(error(&mut client, json!({"type": "claim"})), "claim requires 'nameplate'");
    assert_eq!(answer(&mut client, json!({"type": "claim", "nameplate": "4"}))["type"], "claimed");
}

#[test]
fn m61_what_is_no_nameplate_is_refused_and_the_connection_stays() {
    let server = mailbox(&[]);
    let mut client = bound(&server, APP, "a");
    let texts = ["", "abc", " 1", "1\n", "-1", "1.5", "\u{663}"].map(|text| json!(text));
    let others = [json!("1".repeat(41)), json!(5), Value::Null, json!(true)];
    for bad in texts.iter().chain(&others) {
        for kind in ["claim", "release"] {
            let text = error(&mut client, json!({"type": kind, "nameplate": bad}));
            assert_eq!(text, "a nameplate is a string of 1 to 40 digits", "{bad}");
        }
    }
    assert_eq!(answer(&mut client, json!({"type": "claim", "nameplate": "1"}))["type"], "claimed");
}

#[test]
fn m62_nameplates_are_texts_of_up_to_forty_digits() {
    let server = mailbox(&[]);
    let (long, longest) = ("7".repeat(19), "7".repeat(40));
    let names = ["0", "7", "007", &long, &longest];
    let mailboxes: BTreeSet<String> = names.iter().map(|name| claimed(&server, APP, "a", name).1).collect();
    assert_eq!(mailboxes.len(), names.len());
}

#[test]
fn m63_a_third_side_is_refused_and_changes_nothing_for_the_first_two() {
    let server = mailbox(&[]);
    let (mut a, mailbox) = claimed(&server, APP, "a", "4");
    let (mut b, _) = claimed(&server, APP, "b", "4");
    let mut third = bound(&server, APP, "c");
    assert_eq!(error(&mut third, json!({"type": "claim", "nameplate": "4"})), "crowded");
    assert_eq!(error(&mut third, json!({"type": "open", "mailbox": mailbox})), "crowded");
    let says = json!({"type": "add", "phase": "x", "body": "00"});
    assert_eq!(error(&mut third, says), "must open mailbox before adding");
    assert_eq!(answer(&mut third, json!({"type": "release"}))["type"], "released");
    for client in [&mut a, &mut b] {
        client.tell(json!({"type": "open", "mailbox": mailbox}));
    }
    add(&mut a, "1");
    hears(&mut b, &["1"]);
    // They come back, too.
    assert_eq!(claimed(&server, APP, "a", "4").1, mailbox);
    assert_eq!(reopened(&server, "b", &mailbox).1, ["1"]);
    for client in [&mut a, &mut b] {
        assert_eq!(answer(client, json!({"type": "release"}))["type"], "released");
        close(client, "happy");
    }
    assert_eq!(list(&mut third), [""; 0]);
    assert_ne!(claimed(&server, APP, "c", "4").1, mailbox);
}

#[test]
fn m64_a_refused_third_side_keeps_nothing_alive() {
    let server = mailbox(&["--mailbox-expiry", "0.5", "--prune-interval", "0.1"]);
    claimed(&server, APP, "a", "4");
    claimed(&server, APP, "b", "4");
    let mut refused = 0;
    soon("it never expires", || {
        let mut third = bound(&server, APP, "c");
        match answer(&mut third, json!({"type": "claim", "nameplate": "4"}))["type"].as_str() {
            Some("claimed") => Some(()),
            Some("error") => {
                refused += 1;
                None
            }
            other => panic!("{other:?}"),
        }
    });
    assert!(refused > 1, "{refused}");
}

#[test]
fn m65_a_side_cannot_take_back_what_it_released_while_the_other_holds_it() {
    let server = mailbox(&[]);
    let (mut a, _) = claimed(&server, APP, "a", "4");
    claimed(&server, APP, "b", "4");
    release(&mut a);
    let mut again = bound(&server, APP, "a");
    assert_eq!(error(&mut again, json!({"type": "claim", "nameplate": "4"})), "reclaimed");
}

#[test]
fn m66_a_name_that_nobody_holds_leads_to_a_new_mailbox() {
    let server = mailbox(&[]);
    let (mut a, first) = claimed(&server, APP, "a", "4");
    release(&mut a);
    assert_ne!(claimed(&server, APP, "a", "4").1, first);
}

#[test]
fn m67_a_release_needs_a_claim_or_a_name() {
    let server = mailbox(&[]);
    let text = error(&mut bound(&server, APP, "a"), json!({"type": "release"}));
    assert_eq!(text, "release without nameplate must follow claim");
}

#[test]
fn m68_a_release_of_an_unknown_name_is_answered() {
    let server = mailbox(&[]);
    let mut client = bound(&server, APP, "a");
    assert_eq!(answer(&mut client, json!({"type": "release", "nameplate": "99"}))["type"], "released");
}

#[test]
fn m69_only_the_claimed_name_can_be_released() {
    let server = mailbox(&[]);
    let (mut client, _) = claimed(&server, APP, "a", "5");
    let text = error(&mut client, json!({"type": "release", "nameplate": "6"}));
    assert_eq!(text, "release and claim must use same nameplate");
    assert_eq!(answer(&mut client, json!({"type": "release", "nameplate": "5"}))["type"], "released");
}

#[test]
fn m70_one_release_a_connection() {
    let server = mailbox(&[]);
    let (mut client, _) = claimed(&server, APP, "a", "5");
    release(&mut client);
    assert_eq!(error(&mut client, json!({"type": "release"})), "only one release per connection");
}

#[test]
fn m71_a_name_is_free_when_both_have_released_it() {
    let server = mailbox(&[]);
    let (mut a, _) = claimed(&server, APP, "a", "5");
    let (mut b, _) = claimed(&server, APP, "b", "5");
    release(&mut a);
    assert_eq!(list(&mut a), ["5"]);
    release(&mut b);
    assert_eq!(list(&mut a), [""; 0]);
}

#[test]
fn m72_a_mailbox_stays_when_its_name_is_gone() {
    let server = mailbox(&[]);
    let (mut a, mailbox) = claimed(&server, APP, "a", "5");
    let (mut b, _) = claimed(&server, APP, "b", "5");
    for client in [&mut a, &mut b] {
        release(client);
        client.tell(json!({"type": "open", "mailbox": mailbox}));
    }
    add(&mut a, "1");
    hears(&mut b, &["1"]);
}

#[test]
fn m73_a_close_touches_no_other_application() {
    let server = mailbox(&[]);
    claimed(&server, "test.example/y", "s", "5");
    let mut client = opened(&server, "s", "m");
    close(&mut client, "happy");
    assert_eq!(list(&mut bound(&server, "test.example/y", "s")), ["5"]);
}

fn release(client: &mut Client) {
    assert_eq!(answer(client, json!({"type": "release"}))["type"], "released");
}
