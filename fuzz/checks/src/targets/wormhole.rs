//! The session with the mailbox server, and with the other side through it.

use std::sync::OnceLock;

use wormhole_core::code::{Code, Nameplate};
use wormhole_core::driver::{Conns, Machine, Output};
use wormhole_core::error::Error;
use wormhole_core::wormhole::{Config, Event, Snapshot, UNTAKEN_RECORDS, Wormhole};

use crate::peer::{CODE, Met, Peer, meet};
use crate::script::Script;
use crate::world::{World, misdrive};

const APPID: &str = "example.com/fuzz";
/// Deadlines until a session that closes is closed.
const DEADLINES: usize = 20;

/// How far the session has come, and what happens then.
pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let kind = script.byte();
    if kind == 0xff {
        return misdrive(&mut fresh(false), &mut script);
    }
    let (mut world, mut peer) = begin(kind);
    let mut told = 0_usize;
    while !script.is_empty() {
        step(&mut world, &mut peer, &mut script);
        let records: Vec<Vec<u8>> = world.events.drain(..).filter_map(record).collect();
        assert!(records.iter().eq(peer.records().skip(told).take(records.len())), "records out of order");
        told = told.saturating_add(records.len());
    }
    world.polls(true);
    world.poll();
    world.machine_mut().close();
    end(&mut world);
    assert!(world.machine.mood().is_some(), "it has closed in no mood");
}

/// Whatever is open closes within a bounded time, if the system closes what it is asked to.
pub(crate) fn end(world: &mut World<Wormhole>) {
    world.poll();
    for _ in 0..DEADLINES {
        world.settle_closing();
        world.pass_to_deadline();
    }
    assert!(world.is_over(), "it does not close");
    assert_eq!(world.live(), [], "something is left open");
}

fn step(world: &mut World<Wormhole>, peer: &mut Peer, script: &mut Script<'_>) {
    match script.below(16) {
        0..=6 => peer.say(world, script, &[]),
        7 | 8 => world.happen(script),
        9 => world.pass_some(script),
        10..=12 => command(world.machine_mut(), script),
        13 => {
            let polls = script.byte() & 1 == 0;
            world.polls(polls);
        }
        14 => (0..UNTAKEN_RECORDS).for_each(|_| world.machine_mut().taken(script.byte().into())),
        _ => move_on(world),
    }
    if script.byte() & 3 != 0 {
        world.poll();
    }
}

fn command(wormhole: &mut Wormhole, script: &mut Script<'_>) {
    let kind = script.below(16);
    let text = String::from_utf8_lossy(script.chunk());
    // Whether it is taken depends on the state; that it is refused at the right time is tested elsewhere.
    let _ = match kind {
        0 => wormhole.allocate_code(text.len()),
        1 => Code::parse(CODE).map_err(Into::into).and_then(|code| wormhole.set_code(code)),
        2 => Code::parse(&text).map_err(Into::into).and_then(|code| wormhole.set_code(code)),
        3 => wormhole.input_code(),
        4 => wormhole.refresh_nameplates(),
        5 => Nameplate::parse("4").map_err(Into::into).and_then(|it| wormhole.choose_nameplate(it)),
        6 => wormhole.choose_words(&text),
        7 => wormhole.complete_nameplate(&text).map(drop),
        8 => wormhole.complete_words(&text).map(drop),
        9..=11 => wormhole.send(text.as_bytes()),
        12 => wormhole.derive_key(&text, text.len() * 40).map(drop),
        13 => wormhole.transit_key(&text).map(drop),
        14 => {
            wormhole.fail(Error::Cancelled);
            Ok(())
        }
        _ => {
            wormhole.close();
            Ok(())
        }
    };
}

/// Another process goes on with it.
fn move_on(world: &mut World<Wormhole>) {
    world.poll();
    let snapshot = serde_json::to_vec(&world.machine.snapshot()).unwrap_or_default();
    let Ok(snapshot) = serde_json::from_slice::<Snapshot>(&snapshot) else {
        unreachable!("what was written cannot be read");
    };
    let Some(config) = config() else { return };
    let Ok(restored) = Wormhole::restore(config, snapshot, [2; 32], Conns::all()) else {
        unreachable!("it is the same configuration");
    };
    if !world.is_over() {
        let events = std::mem::take(&mut world.events);
        *world = World::new(restored);
        world.events.splice(..0, events);
    }
}

fn record(event: Event) -> Option<Vec<u8>> {
    if let Event::Record(record) = event { Some(record) } else { None }
}

fn begin(kind: u8) -> (World<Wormhole>, Peer) {
    static BEGUN: OnceLock<Vec<(World<Wormhole>, Peer)>> = OnceLock::new();
    let begun = BEGUN.get_or_init(|| Met::ALL.map(|met| meet(fresh(true), APPID, met)).to_vec());
    let chosen = begun.get(usize::from(kind) % 4).cloned();
    // The last kind has no code yet.
    let new = || (World::new(fresh(false)), begun.first().map(|(_, peer)| peer.clone()));
    match chosen.map_or_else(new, |(world, peer)| (world, Some(peer))) {
        (world, Some(peer)) => (world, peer),
        (_, None) => unreachable!("there are three"),
    }
}

fn fresh(with_code: bool) -> Wormhole {
    let (Some(config), Ok(code)) = (config(), Code::parse(CODE)) else { unreachable!("both are sound") };
    let mut wormhole = Wormhole::new(config, [1; 32], Conns::all());
    if with_code {
        assert_eq!(wormhole.set_code(code), Ok(()));
    }
    assert!(!matches!(wormhole.clone().poll(), Output::Wait(_)), "it connects at once");
    wormhole
}

pub(crate) fn config() -> Option<Config> {
    Config::new(APPID).ok()
}
