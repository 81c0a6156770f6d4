//! `capture_odd_messages.json`: unusual messages from a peer, and what the reference said to them. Ours
//! says the same, and tells the peer about each failure of its own, where the reference leaves without a word or crashes.

use serde_json::{Value, json};
use wormhole_core::error::{Error, PeerFault, TransitFault};
use wormhole_core::transfer::{Config, Offer};
use wormhole_core::untrusted::Text;

use super::recorded::vectors;
use super::world::{World, config, double, receiver, sender};

#[test]
fn the_receiver_stands_odd_messages() {
    for row in vectors("capture_odd_messages.json")["to_receiver"].as_array().unwrap() {
        let mut world = World::new(vec![double(script(row, 0)), receiver(lonely())]);
        world.rest();
        if world.offered(1).is_some() {
            if row["replies"].as_array().unwrap().contains(&json!({"error": "transfer rejected"})) {
                world.receiver().refuse(Error::Rejected).unwrap();
            } else {
                world.receiver().accept().unwrap();
            }
        }
        world.finish();
        let mut expected = expected(row);
        if row["peer_sends"][0]["offer"]["file"]["filename"] == "no-transit-first" {
            // The reference crashes here; a sender that has not said where it is is told where we are.
            let transit = json!({"transit": {"abilities-v1": BOTH(), "hints-v1": []}});
            expected.insert(0, without_hints(transit));
        }
        compare(&world, 0, 1, row, &expected);
    }
}

#[test]
fn the_sender_of_a_text_stands_odd_messages() {
    for row in vectors("capture_odd_messages.json")["to_text_sender"].as_array().unwrap() {
        let text = Offer::Text("t".into());
        let mut world = World::new(vec![sender(lonely(), text), double(script(row, 1))]);
        world.finish();
        if row["peer_sends"][0].get("transit").is_some() {
            // The reference crashes here; a text needs no connection, and the answer may still come.
            assert_eq!(world.closed(0), None);
        } else {
            compare(&world, 1, 0, row, &expected(row));
        }
    }
}

#[test]
fn the_sender_of_a_file_stands_odd_messages() {
    for row in vectors("capture_odd_messages.json")["to_file_sender"].as_array().unwrap() {
        let file = Offer::File { name: "f".into(), size: 5, attributes: None };
        let mut world = World::new(vec![sender(lonely(), file), double(script(row, 2))]);
        world.finish();
        compare(&world, 1, 0, row, &expected(row));
    }
}

#[test]
fn what_is_no_object_ends_the_transfer_and_is_said() {
    for odd in ["not json", "[1]", "1", "null", "{\"offer\":3}", "{\"offer\":{\"file\":{\"filename\":1}}}"] {
        let mut world = World::new(vec![double(vec![(0, odd.into())]), receiver(config())]);
        world.finish();
        let fault = PeerFault::Malformed("a message");
        assert_eq!(world.closed(1), Some(&Err(fault.clone().into())), "{odd}");
        let last: Value = serde_json::from_slice(world.heard(0).last().unwrap()).unwrap();
        assert_eq!(last, json!({"error": fault.to_string()}), "{odd}");
    }
}

#[test]
fn a_second_offer_is_an_error() {
    let offer = json!({"offer": {"message": "t"}}).to_string().into_bytes();
    let mut world = World::new(vec![double(vec![(0, offer.clone()), (0, offer)]), receiver(config())]);
    world.finish();
    let fault = PeerFault::Malformed("a second offer");
    assert_eq!(world.closed(1), Some(&Err(fault.into())));
}

#[test]
fn an_answer_other_than_yes_is_a_failure_that_shows_it() {
    let answer = json!({"answer": {"file_ack": "later\u{1b}"}}).to_string().into_bytes();
    let file = Offer::File { name: "f".into(), size: 5, attributes: None };
    let mut world = World::new(vec![sender(config(), file), double(vec![(2, answer)])]);
    world.finish();
    let refused = TransitFault::Refused(Text::from("later\u{1b}"));
    assert_eq!(world.closed(0), Some(&Err(refused.into())));
}

#[test]
fn a_name_that_is_no_unicode_is_taken() {
    let transit = br#"{"transit": {"abilities-v1": [], "hints-v1": []}}"#.to_vec();
    let offer = br#"{"offer": {"file": {"filename": "\udcff.bin", "filesize": 5}}}"#.to_vec();
    let mut world = World::new(vec![double(vec![(0, transit), (0, offer)]), receiver(config())]);
    world.rest();
    assert!(world.offered(1).is_some());
}

#[test]
fn a_peer_cannot_fill_our_memory_while_verifiers_are_compared() {
    let mut verified = config();
    verified.verify = true;
    let transit = br#"{"transit": {"abilities-v1": [], "hints-v1": []}}"#.to_vec();
    let mut world = World::new(vec![double(vec![(0, transit); 17]), receiver(verified)]);
    world.finish();
    assert_eq!(world.closed(1), Some(&Err(PeerFault::TooMuch.into())));
}

/// Hints, and the abilities before them, are replaced by nothing.
pub(crate) fn without_hints(mut message: Value) -> Value {
    if let Some(transit) = message.get_mut("transit") {
        *transit = json!({});
    }
    message
}

const BOTH: fn() -> Value = || json!([{"type": "direct-tcp-v1"}, {"type": "relay-v1"}]);

/// As in the recordings, nobody can be reached.
fn lonely() -> Config {
    let mut config = config();
    (config.listen, config.relays) = (false, Vec::new());
    config
}

/// What the peer sends, after so many messages of ours.
fn script(row: &Value, after: usize) -> Vec<(usize, Vec<u8>)> {
    let lines = row["peer_sends"].as_array().unwrap().iter();
    let plain = |line: &Value| {
        let raw = line.as_str().map(str::to_owned);
        raw.unwrap_or_else(|| line.to_string()).into_bytes()
    };
    lines.map(|line| (after, plain(line))).collect()
}

fn expected(row: &Value) -> Vec<Value> {
    row["replies"].as_array().unwrap().iter().cloned().map(without_hints).collect()
}

/// The peer heard what the reference said, and at the end one word about a failure that it would not know of
/// otherwise.
fn compare(world: &World, peer: usize, ours: usize, row: &Value, expected: &[Value]) {
    let said = world.heard(peer).iter().map(|plain| serde_json::from_slice(plain).unwrap());
    let said: Vec<Value> = said.map(without_hints).collect();
    let (same, more) = said.split_at_checked(expected.len()).unwrap_or((&said, &[]));
    assert_eq!(same, expected, "{row}");
    let is_ok = row["result"] == "ok";
    assert_eq!(world.closed(ours).unwrap().is_ok(), is_ok, "{row}");
    let is_told = expected.last().is_some_and(|last| last.get("error").is_some());
    let peer_knows = row["peer_sends"].as_array().unwrap().iter().any(|line| line.get("error").is_some());
    match more {
        [] => assert!(is_ok || is_told || peer_knows, "{row}: the peer is not told"),
        [error] => assert!(!is_ok && !is_told && !peer_knows && error["error"].is_string(), "{row}"),
        _ => panic!("{row}: said {more:?}"),
    }
}
