//! A race under any sequence of inputs, possible or not: it asks only for what can be, and ends at most once.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use wormhole_core::crypto::TransitKey;
use wormhole_core::driver::{Address, Conn, Conns, Input, Instant, Machine, Op, Output, Why};
use wormhole_core::transit::race::Event;
use wormhole_core::transit::{Race, Role};
use wormhole_core::wire::hints::{DirectHint, Hint, Priority, TransitInfo};

proptest! {
    #[test]
    fn a_race_asks_only_for_what_can_be(is_sender: bool, steps in vec((0..9_u8, 0..8_u64, 0..6_usize), 0..120)) {
        let role = if is_sender { Role::Sender } else { Role::Receiver };
        let key = TransitKey::from_bytes([7; 32]);
        let words = words(&key);
        let mut race = Race::new(role, vec![hint("relay")], true, [1; 32], Conns::all());
        let mut watch = Watch::default();
        let mut now = Duration::ZERO;
        for (kind, conn, word) in steps {
            now += Duration::from_millis(700);
            let at = Instant::after_start(now);
            let conn = Conn(conn);
            match kind {
                0 => race.set_key(&key),
                1 => race.start(),
                2 => {
                    let hints = vec![Hint::Direct(hint(&format!("h{word}"))), Hint::Relay(vec![hint("other")])];
                    race.add_hints(&TransitInfo { abilities: vec![], hints });
                }
                3 => race.handle(Input::Listening { conn, at: vec![] }, at),
                4 => race.handle(Input::Opened { conn, peer: None }, at),
                5 | 6 => race.handle(Input::Received { conn, bytes: words[word].clone() }, at),
                7 => race.handle(Input::Sent { conn }, at),
                _ if word == 0 => race.handle(Input::Closed { conn, why: Why::Reset }, at),
                _ => race.handle(Input::Tick, at),
            }
            watch.look(&mut race);
        }
        race.stop();
        watch.look(&mut race);
        prop_assert_eq!(race.poll(), Output::Wait(None));
    }
}

/// What was asked for so far.
#[derive(Default)]
struct Watch {
    asked: BTreeSet<Conn>,
    closed: BTreeSet<Conn>,
    hints: usize,
    ends: usize,
}

impl Watch {
    fn look(&mut self, race: &mut Race) {
        loop {
            match race.poll() {
                Output::Do(Op::Open { conn, .. } | Op::Listen { conn, .. } | Op::Accept { conn, .. }) => {
                    assert!(self.asked.insert(conn), "no number comes twice");
                }
                Output::Do(Op::Read { conn } | Op::Write { conn, .. }) => {
                    assert!(self.asked.contains(&conn) && !self.closed.contains(&conn));
                }
                // What opened unasked is closed; its number may still come.
                Output::Do(Op::Close { conn }) if !self.asked.contains(&conn) => {}
                Output::Do(Op::Close { conn }) => {
                    self.closed.insert(conn);
                }
                Output::Do(Op::Join { .. }) => panic!("a race joins nothing"),
                Output::Do(Op::Store(never)) => match never {},
                Output::Tell(Event::Hints(_)) => self.hints += 1,
                Output::Tell(Event::Settled(settled)) => {
                    assert!(!self.closed.contains(&settled.conn));
                    self.ends += 1;
                }
                Output::Tell(Event::Failed(_)) => self.ends += 1,
                Output::Wait(_) => break,
            }
        }
        assert!(self.hints <= 1 && self.ends <= 1);
    }
}

/// What peers, relays and strangers say, whole or cut.
fn words(key: &TransitKey) -> Vec<Vec<u8>> {
    let hex = |id: [u8; 32]| data_encoding::HEXLOWER.encode(&id);
    let sender = format!("transit sender {} ready\n\ngo\n", hex(key.sender_id())).into_bytes();
    let receiver = format!("transit receiver {} ready\n\n", hex(key.receiver_id())).into_bytes();
    vec![
        b"ok\n".to_vec(),
        sender,
        receiver.clone(),
        receiver[..9].to_vec(),
        receiver[9..].to_vec(),
        b"x".to_vec(),
    ]
}

fn hint(host: &str) -> DirectHint {
    DirectHint { address: Address::new(host, 7), priority: Priority::default() }
}
