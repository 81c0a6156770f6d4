//! The transit relay, with several clients that say what they please.

use std::collections::BTreeMap;
use std::time::Duration;

use wormhole_core::driver::{Address, Conn, Why};
use wormhole_server::relay::{Options, Relay};

use crate::script::Script;
use crate::world::World;

const LISTENER: Conn = Conn(0);
const CLIENTS: usize = 10;

/// What happens.
pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let mut world = world();
    while !script.is_empty() {
        match script.below(8) {
            0 | 1 => call(&mut world),
            2..=4 => say(&mut world, &mut script),
            5 => world.happen(&mut script),
            6 => world.pass_some(&mut script),
            _ => {
                let polls = script.byte() & 1 == 0;
                world.polls(polls);
            }
        }
        if script.byte() & 3 != 0 {
            world.poll();
        }
    }
    world.polls(true);
    world.poll();
    check_said(&world);
    end(&mut world);
}

/// A relay that listens.
pub(crate) fn world() -> World<Relay> {
    let mut world = World::new(Relay::new(Options::new(Address::new("h", 1))));
    world.listen(LISTENER);
    world
}

/// The next client calls, if there are not too many.
pub(crate) fn call(world: &mut World<Relay>) {
    if world.machine.clients() < CLIENTS {
        let awaited = world.live().into_iter().next_back();
        awaited.map(|conn| world.open(conn));
    }
}

/// A line of few tokens and sides, so that they meet; a part of one, or more than one, or anything.
fn say(world: &mut World<Relay>, script: &mut Script<'_>) {
    let reading = world.reading();
    let Some(conn) = script.pick(&reading).copied() else { return };
    let kind = script.byte();
    let line = line(kind);
    let bytes = match kind >> 5 {
        0..=3 => line,
        4 => line.get(..script.byte().into()).unwrap_or(&line).to_vec(),
        5 => [line.as_slice(), script.chunk()].concat(),
        _ => script.chunk().to_vec(),
    };
    world.receive(conn, &bytes);
}

/// One of the lines that are good.
pub(crate) fn line(kind: u8) -> Vec<u8> {
    let token = if kind & 1 == 0 { "a" } else { "b" }.repeat(64);
    let side = match kind >> 1 & 3 {
        0 => String::new(),
        side => format!(" for side {side:016}"),
    };
    format!("please relay {token}{side}\n").into_bytes()
}

/// A client hears nothing but the four things that a relay says, and what its partner said too early.
fn check_said(world: &World<Relay>) {
    let mut heard: BTreeMap<Conn, Vec<u8>> = BTreeMap::new();
    for (conn, bytes) in &world.said {
        heard.entry(*conn).or_default().extend_from_slice(bytes);
    }
    for heard in heard.values() {
        let is_known = heard.starts_with(b"ok\n") || heard == b"bad handshake\n" || heard == b"impatient\n";
        assert!(is_known, "{}", String::from_utf8_lossy(heard));
    }
}

/// Who is not paired must go in time, and when all are gone nobody is counted.
fn end(world: &mut World<Relay>) {
    for _ in 0..CLIENTS * 3 {
        world.pass_to_deadline();
        world.settle_closing();
    }
    world.pass(Duration::from_hours(1));
    world.settle_closing();
    assert_eq!(world.reading().len(), 0, "somebody waits for ever");
    for conn in world.live() {
        world.close(conn, Why::Reset);
        world.settle_closing();
    }
    assert_eq!(world.machine.clients(), 0);
}
