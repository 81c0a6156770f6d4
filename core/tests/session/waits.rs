//! Every wait of a session ends: for the server, and for the peer once it was heard. Only its coming has no limit, unless one is set.

use std::time::Duration;

use serde_json::json;
use wormhole_core::defaults::{KEY_LIMIT, Limits, RECONNECT_LIMIT, SERVER_LIMIT};
use wormhole_core::error::{Awaited, Error, PeerFault, ServerFault};
use wormhole_core::wormhole::Event;

use crate::faults::{Alone, code};

const MOMENT: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn a_server_that_answers_neither_allocate_nor_claim_is_given_up() {
    for commands in [(|alone| alone.wormhole.allocate_code(2)) as fn(&mut Alone) -> Result<(), _>, |alone| {
        alone.wormhole.set_code(code())
    }] {
        let mut alone = Alone::with(Limits::default());
        alone.pass(DAY);
        commands(&mut alone).unwrap();
        alone.pass(SERVER_LIMIT - MOMENT);
        assert!(!is_over(&alone));
        alone.pass(MOMENT);
        ends_with(&mut alone, ServerFault::Silent.into());
    }
}

#[test]
fn a_server_that_is_lost_before_the_code_is_of_use_is_given_up_in_other_words() {
    let mut alone = Alone::claiming();
    alone.refuses = true;
    alone.cut();
    alone.pass(SERVER_LIMIT);
    ends_with(&mut alone, ServerFault::Gone.into());
}

#[test]
fn the_peer_may_come_after_days_and_the_server_be_away_meanwhile() {
    let mut alone = Alone::open();
    alone.pass(DAY);
    alone.refuses = true;
    alone.cut();
    alone.pass(DAY);
    alone.refuses = false;
    alone.pass(RECONNECT_LIMIT + 2 * MOMENT);
    alone.hear(&json!({"type": "claimed", "mailbox": "mb"}));
    alone.pass(DAY);
    assert!(!is_over(&alone));
    alone.hear_message("pake", b"{}");
    assert_eq!(alone.result(), Err(PeerFault::MalformedPake.into()));
}

#[test]
fn a_limit_for_the_coming_of_the_peer_holds_whatever_the_server_does() {
    let limit = Duration::from_secs(600);
    let mut alone = Alone::with(Limits { peer: Some(limit), ..Limits::default() });
    alone.pass(DAY);
    alone.wormhole.set_code(code()).unwrap();
    alone.hear(&json!({"type": "claimed", "mailbox": "mb"}));
    for _ in 0..5 {
        alone.pass(limit / 6);
        alone.cut();
        alone.pass(Duration::from_secs(3));
        alone.hear(&json!({"type": "claimed", "mailbox": "mb"}));
    }
    assert!(!is_over(&alone));
    alone.pass(limit / 6);
    ends_with(&mut alone, PeerFault::Silent(Awaited::Coming).into());
}

#[test]
fn a_peer_that_falls_silent_before_the_key_is_proved_is_given_up() {
    let begun_otherwise = || {
        let mut alone = Alone::open();
        alone.hear_message("version", b"too early");
        alone
    };
    for make in [Alone::met as fn() -> Alone, begun_otherwise] {
        let mut alone = make();
        alone.pass(KEY_LIMIT - MOMENT);
        assert!(!is_over(&alone));
        alone.pass(MOMENT);
        ends_with(&mut alone, PeerFault::Silent(Awaited::Key).into());
    }
    let mut alone = Alone::met();
    alone.refuses = true;
    alone.cut();
    alone.pass(KEY_LIMIT);
    ends_with(&mut alone, ServerFault::Gone.into());
}

#[test]
fn a_prompt_is_the_users_own_time() {
    let mut alone = Alone::with(Limits::default());
    alone.wormhole.input_code().unwrap();
    alone.pass(DAY);
    alone.wormhole.choose_nameplate(code().nameplate()).unwrap();
    alone.hear(&json!({"type": "claimed", "mailbox": "mb"}));
    alone.hear_message("pake", b"{}");
    alone.pass(DAY);
    assert!(!is_over(&alone));
}

#[test]
fn whoever_is_authentic_may_be_silent_for_long() {
    let mut alone = Alone::met();
    alone.hear_sealed(&alone.key(), "version", b"{}");
    alone.pass(DAY);
    assert!(!is_over(&alone), "a conversation has the limits of its application");
}

fn is_over(alone: &Alone) -> bool {
    alone.wormhole.mood().is_some() || matches!(alone.last(), Some(Event::Closed(_)))
}

#[track_caller]
fn ends_with(alone: &mut Alone, error: Error) {
    alone.pump();
    assert!(is_over(alone), "it still waits for {error}");
    alone.pass(Duration::from_secs(10));
    assert_eq!(alone.last(), Some(&Event::Closed(Err(error))));
}
