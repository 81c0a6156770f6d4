//! Races and transfers under any sequence of inputs, possible or not: they ask only for what can be, and end once.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use wormhole_core::crypto::TransitKey;
use wormhole_core::defaults::{CLOSE_LIMIT, ERROR_LIMIT};
use wormhole_core::driver::{Address, Conn, Conns, Input, Instant, Machine, Op, Output, Why};
use wormhole_core::error::Error;
use wormhole_core::transfer::Offer;
use wormhole_core::transit::race::Event;
use wormhole_core::transit::{Race, Role};
use wormhole_core::wire::hints::{DirectHint, Hint, Priority, TransitInfo};

use super::world::{World, config, double, file, receiver, sender};

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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// With a peer that says anything and a network that does anything, a cancellation is the end for us.
    #[test]
    fn a_transfer_ends_and_leaves_nothing_behind(
        role in 0..4_usize,
        script in vec((0..4_usize, 0..SAYINGS.len()), 0..6),
        steps in vec((0..10_u8, 0..3000_u64), 0..30),
    ) {
        let script = script.into_iter().map(|(after, saying)| (after, SAYINGS[saying].into())).collect();
        let mut config = config();
        config.verify = role == 3;
        let (ours, sides) = match role {
            0 => (0, vec![sender(config, file(7)), double(script)]),
            1 => (0, vec![sender(config, Offer::Text("text".into())), double(script)]),
            _ => (1, vec![double(script), receiver(config)]),
        };
        let mut world = World::new(sides);
        for (step, time) in steps {
            suffer(&mut world, ours, step, Duration::from_millis(time));
        }
        match ours {
            0 => world.sender().cancel(),
            _ => world.receiver().cancel(),
        }
        // Whatever ended it before may have had more to say.
        world.run(ERROR_LIMIT + CLOSE_LIMIT);
        prop_assert!(world.closed(ours).is_some());
        prop_assert!(world.net.left_open().iter().all(|(node, _)| *node != ours));
        prop_assert!(!world.net.is_at_server(ours));
    }
}

fn suffer(world: &mut World, ours: usize, step: u8, time: Duration) {
    match step {
        0 => {
            let lost = world.net.cut_server();
            world.tell(lost);
        }
        1 => world.net.server_up = true,
        2 => world.net.server.is_deaf = !world.net.server.is_deaf,
        3 => world.net.direct_up = !world.net.direct_up,
        4 => {
            for client in world.net.left_open() {
                let told = world.net.break_connection(client);
                world.tell(told);
            }
        }
        5 if ours == 1 => world.receiver().accept().unwrap_or_default(),
        6 if ours == 1 => world.receiver().refuse(Error::Rejected).unwrap_or_default(),
        5 | 6 => world.sender().confirm_verifier(true).unwrap_or_default(),
        7 if ours == 1 => world.receiver().confirm_verifier(time.as_millis() > 100).unwrap_or_default(),
        7 => world.sender().finish(Ok(())),
        8 => world.turns(time.as_millis() as usize % 7),
        _ => world.run(time),
    }
}

/// What a peer says, in its turn or out of it.
const SAYINGS: [&str; 14] = [
    r#"{"transit": {"abilities-v1": [], "hints-v1": []}}"#,
    r#"{"transit": {"hints-v1": [{"type": "direct-tcp-v1", "hostname": "10.0.0.9", "port": 9}]}}"#,
    r#"{"offer": {"file": {"filename": "f", "filesize": 18446744073709551615}}}"#,
    r#"{"offer": {"message": "hello"}}"#,
    r#"{"offer": {"directory": {"mode": "zipfile", "dirname": "d", "zipsize": 1, "numbytes": 1, "numfiles": 1}}}"#,
    r#"{"offer": {}}"#,
    r#"{"answer": {"file_ack": "ok"}}"#,
    r#"{"answer": {"message_ack": "ok"}}"#,
    r#"{"answer": {"file_ack": "no"}}"#,
    r#"{"error": "failed"}"#,
    r#"{"error": "failed", "offer": null}"#,
    r#"{"banana": 1}"#,
    "no JSON",
    "",
];

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
                Output::Do(Op::Join { .. } | Op::Dismiss { .. }) => panic!("a race joins nothing"),
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
