//! The race for a transit connection.

use wormhole_core::crypto::TransitKey;
use wormhole_core::driver::Conns;
use wormhole_core::transit::{Race, Role};
use wormhole_core::wire::hints::parse_relay_argument;

use super::handshake::{lines, read_hints};
use crate::script::Script;
use crate::world::{World, misdrive};

/// Deadlines until it must have come to an end: each relay and each caller may have one.
const DEADLINES: usize = 1000;

/// Hints of the other side, of every kind.
const HINTS: [&str; 3] = [
    r#"{"transit": {"hints-v1": [{"type": "direct-tcp-v1", "hostname": "h", "port": 1}]}}"#,
    r#"{"transit": {"hints-v1": [{"type": "relay-v1", "hints": [
        {"type": "direct-tcp-v1", "hostname": "r", "port": 1, "priority": 2},
        {"type": "direct-tcp-v1", "hostname": "s", "port": 1, "priority": 1}]}]}}"#,
    r#"{"transit": {"hints-v1": [{"type": "tor-tcp-v1", "hostname": "h.onion", "port": 1}]}}"#,
];

/// How it begins, and what happens.
pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let kind = script.byte();
    let role = if kind & 1 == 0 { Role::Sender } else { Role::Receiver };
    let relay = parse_relay_argument("tcp:relay:4001").ok().flatten().filter(|_| kind & 2 != 0);
    let race = Race::new(role, relay.into_iter().collect(), kind & 4 != 0, [1; 32], Conns::every(2, 1));
    let key = TransitKey::from_bytes([3; 32]);
    if kind & 8 != 0 {
        let mut race = race;
        race.set_key(&key);
        race.start();
        return misdrive(&mut race, &mut script);
    }
    let mut world = World::new(race);
    let lines = wire(&key);
    while !script.is_empty() {
        step(&mut world, &mut script, &key, &lines);
    }
    world.polls(true);
    world.poll();
    if kind & 16 != 0 {
        world.machine_mut().set_key(&key);
        world.machine_mut().start();
        for _ in 0..DEADLINES {
            world.pass_to_deadline();
            world.settle_closing();
        }
        assert!(world.is_over(), "it goes on for ever");
    } else {
        world.machine_mut().stop();
        world.poll();
    }
    world.settle_closing();
    assert_eq!(world.live(), [], "something is left open");
}

fn step(world: &mut World<Race>, script: &mut Script<'_>, key: &TransitKey, lines: &[Vec<u8>]) {
    match script.below(12) {
        0..=3 => world.happen(script),
        4..=6 => say_on_wire(world, script, lines),
        7 => world.machine_mut().set_key(key),
        8 => {
            let hints = script.pick(&HINTS).map(|hints| hints.as_bytes()).filter(|_| !script.is_empty());
            world.machine_mut().add_hints(&read_hints(hints.unwrap_or_else(|| script.chunk())));
        }
        9 => world.machine_mut().start(),
        10 => world.pass_some(script),
        _ => {
            let polls = script.byte() & 1 == 0;
            world.polls(polls);
        }
    }
    if script.byte() & 1 == 0 {
        world.poll();
    }
}

/// All that is ever said on a connection before content.
pub(crate) fn wire(key: &TransitKey) -> Vec<Vec<u8>> {
    let [sender, receiver] = lines(key);
    let chosen = [sender.as_slice(), b"go\n"].concat();
    let left = [sender.as_slice(), b"nevermind\n"].concat();
    vec![sender, receiver, chosen, left, b"go\n".to_vec(), b"ok\n".to_vec()]
}

/// One of the lines comes, or the beginning of one, or something else.
pub(crate) fn say_on_wire<M>(world: &mut World<M>, script: &mut Script<'_>, lines: &[Vec<u8>])
where
    M: wormhole_core::driver::Machine,
    M::Event: crate::world::Told,
{
    let reading: Vec<_> = world.reading().into_iter().filter(|conn| !world.is_mailbox(*conn)).collect();
    let Some(conn) = script.pick(&reading).copied() else { return };
    let (how, line) = (script.below(4), script.pick(lines).map(Vec::as_slice).unwrap_or_default());
    match how {
        0 | 1 => world.receive(conn, line),
        2 => {
            let part = line.get(..script.byte().into()).unwrap_or(line).to_vec();
            world.receive(conn, &part)
        }
        _ => world.receive(conn, script.chunk()),
    };
}
