//! The transit relay, with several clients over TCP and WebSocket, from few addresses, that say what they please.

use std::collections::BTreeMap;
use std::time::Duration;

use wormhole_core::driver::{Address, Conn, Why};
use wormhole_server::limits::PerAddress;
use wormhole_server::relay::{Options, Relay};

use crate::script::Script;
use crate::world::{World, host};

const TCP: Conn = Conn(0);
const WEB_SOCKET: Conn = Conn(1);
const CLIENTS: usize = 10;
/// What an address may do, once it is limited.
const FEW: PerAddress = PerAddress {
    connections: 3,
    connects: 2,
    allocates: u32::MAX,
    claims: u32::MAX,
    joins: u32::MAX,
    lists: u32::MAX,
};

/// What happens.
pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let mut world = world();
    let mut inside = Inside::default();
    while !script.is_empty() {
        match script.below(8) {
            at @ (0 | 1) => inside.call(&mut world, at),
            2..=4 => say(&mut world, &mut script),
            5 => world.happen(&mut script),
            6 => world.pass_some(&mut script),
            _ => {
                let set = script.byte();
                world.polls(set & 1 == 0);
                if set & 0xc0 == 0xc0 {
                    world.machine.limit(FEW);
                    inside.limited = true;
                }
            }
        }
        if script.byte() & 3 != 0 {
            world.poll();
        }
    }
    world.polls(true);
    world.poll();
    inside.check(&world);
    check_said(&world);
    end(&mut world);
}

/// A relay that listens for both kinds of clients.
pub(crate) fn world() -> World<Relay> {
    let options = Options::new(Address::new("h", 1)).web_socket(Address::new("h", 2));
    let mut world = World::new(Relay::new(options));
    world.listen(TCP);
    world.listen(WEB_SOCKET);
    world
}

/// The next client calls one of the listeners, if there are not too many. Answers who that is.
pub(crate) fn call(world: &mut World<Relay>, at: usize) -> Option<Conn> {
    let conn = world.awaited().get(at).copied().filter(|_| world.machine.clients() < CLIENTS)?;
    world.open(conn).then_some(conn)
}

/// Who came once each address was limited.
#[derive(Debug, Default)]
struct Inside {
    limited: bool,
    came: Vec<Conn>,
}

impl Inside {
    fn call(&mut self, world: &mut World<Relay>, at: usize) {
        self.came.extend(call(world, at).filter(|_| self.limited));
        self.check(world);
    }

    /// None of the addresses has more connections that are served than it may have. Where nobody polls, who is not
    /// served is not known yet.
    fn check(&self, world: &World<Relay>) {
        let served = self.came.iter().filter(|conn| world.is_served(**conn));
        let served: Vec<u8> = served.map(|conn| host(*conn)).collect();
        for host in served.iter().filter(|_| world.is_polled()) {
            let count = served.iter().filter(|other| *other == host).count();
            assert!(count <= usize::try_from(FEW.connections).unwrap_or(0), "{count} of {host} are inside");
        }
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
