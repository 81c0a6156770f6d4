//! One small message each way.

use std::sync::OnceLock;

use wormhole_core::code::Code;
use wormhole_core::driver::Machine;
use wormhole_core::transcribe::{Event, Initiator, Receiver};
use wormhole_core::wormhole::Config;

use crate::peer::{CODE, Met, Peer, meet};
use crate::script::Script;
use crate::world::{Told, World, misdrive};

const APPID: &str = "example.com/fuzz";
/// Deadlines until an exchange that was cancelled has finished.
const DEADLINES: usize = 20;

/// Whose part it is and how far it has come, and what happens then.
pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let kind = script.byte();
    let (Ok(config), Ok(code)) = (Config::new(APPID), Code::parse(CODE)) else {
        unreachable!("both are sound")
    };
    let Ok(initiator) = Initiator::new(config.clone(), 2, b"ours", [1; 32]) else { unreachable!("it is") };
    let Ok(receiver) = Receiver::new(config, code, b"ours", [1; 32]) else { unreachable!("it is") };
    let begun = begun(&receiver);
    match (kind % 6, begun.get(usize::from(kind % 6))) {
        (4, _) => misdrive(&mut { initiator }, &mut script),
        (5, _) => misdrive(&mut { receiver }, &mut script),
        (_, Some((world, peer))) => go_on(world.clone(), peer.clone(), &mut script, Receiver::cancel),
        (_, None) => {
            let peer = begun.first().map(|(_, peer)| peer.clone());
            if let Some(peer) = peer {
                go_on(World::new(initiator), peer, &mut script, Initiator::cancel);
            }
        }
    }
}

fn go_on<M>(mut world: World<M>, mut peer: Peer, script: &mut Script<'_>, cancel: fn(&mut M))
where
    M: Machine<Event = Event>,
{
    while !script.is_empty() {
        match script.below(12) {
            0..=6 => peer.say(&mut world, script, &["theirs"]),
            7 | 8 => world.happen(script),
            9 => world.pass_some(script),
            10 => {
                let polls = script.byte() & 1 == 0;
                world.polls(polls);
            }
            _ if script.byte() == 0 => cancel(world.machine_mut()),
            _ => {}
        }
        world.poll();
    }
    world.polls(true);
    cancel(world.machine_mut());
    world.poll();
    for _ in 0..DEADLINES {
        world.settle_closing();
        world.pass_to_deadline();
    }
    assert!(world.is_over(), "it does not finish");
    assert_eq!(world.live(), [], "something is left open");
    for event in &world.events {
        if let Event::Finished(Ok(blob)) = event {
            assert!(peer.records().take(1).any(|record| record == blob), "nobody has said that");
        }
    }
}

fn begun(receiver: &Receiver) -> &'static [(World<Receiver>, Peer)] {
    static BEGUN: OnceLock<Vec<(World<Receiver>, Peer)>> = OnceLock::new();
    BEGUN.get_or_init(|| Met::ALL.map(|met| meet(receiver.clone(), APPID, met)).to_vec())
}

impl Told for Event {
    const QUIET_AT_LAST: bool = true;

    fn is_last(&self) -> bool {
        match self {
            Self::Finished(_) => true,
            Self::Session(_) => false,
        }
    }
}
