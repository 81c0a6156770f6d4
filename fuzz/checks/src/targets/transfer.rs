//! The conversation about a text, a file or a directory, with its session and its race, in both roles.

use std::sync::OnceLock;

use wormhole_core::code::Code;
use wormhole_core::defaults::{TRANSFER_APPID, TRANSFER_TRANSIT_PURPOSE};
use wormhole_core::driver::Machine;
use wormhole_core::error::{Error, Misuse, TransitFault};
use wormhole_core::transfer::{Config, Event, Offer, Receiver, Sender};

use super::race::{say_on_wire, wire};
use crate::peer::{CODE, Met, Peer, meet};
use crate::script::Script;
use crate::world::{World, misdrive};

/// Deadlines until a transfer that was cancelled is closed.
const DEADLINES: usize = 20;

/// What each side may say.
const PLAINS: [&str; 14] = [
    r#"{"transit": {"abilities-v1": [{"type": "direct-tcp-v1"}], "hints-v1": [{"type": "direct-tcp-v1", "hostname": "h", "port": 1}]}}"#,
    r#"{"transit": {"hints-v1": [{"type": "relay-v1", "hints": [{"type": "direct-tcp-v1", "hostname": "r", "port": 1}]}]}}"#,
    r#"{"transit": {}}"#,
    r#"{"offer": {"message": "hello"}}"#,
    r#"{"offer": {"file": {"filename": "a", "filesize": 3}}}"#,
    r#"{"offer": {"directory": {"mode": "zipfile/deflated", "dirname": "d", "zipsize": 22, "numbytes": 0, "numfiles": 0}}}"#,
    r#"{"answer": {"message_ack": "ok"}}"#,
    r#"{"answer": {"file_ack": "ok"}}"#,
    r#"{"answer": {"file_ack": "no"}}"#,
    r#"{"error": "transfer rejected"}"#,
    r#"{"answer": {}, "offer": {}, "transit": {}}"#,
    r#"{"offer": {"directory": {"mode": "tar"}}}"#,
    r#"{"offer": {"stream": {"filename": "s"}}}"#,
    r#"{"offer": {"several": {"items": [{"filename": "a"}, {"dirname": "d"}], "zipsize": 22, "numbytes": 0, "numfiles": 1}}}"#,
];

/// Whose part it is and how far it has come, and what happens then.
pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let kind = script.byte();
    let begun = begun();
    if kind >= 0xfe {
        return misdrive(&mut receiver(kind & 1 == 0), &mut script);
    }
    if kind >= 0xfc {
        return misdrive(&mut sender(Offer::Text("text".into()), kind & 1 == 0), &mut script);
    }
    let index = usize::from(kind >> 1);
    if kind & 1 == 0 {
        let (world, peer) = choose(&begun.0, index);
        go_on(world, peer, &mut script);
    } else {
        let (world, peer) = choose(&begun.1, index);
        go_on(world, peer, &mut script);
    }
}

type Begun<M> = Vec<(World<M>, Peer)>;

fn choose<M: Machine + Clone>(begun: &Begun<M>, index: usize) -> (World<M>, Peer)
where
    World<M>: Clone,
{
    match begun.get(index.checked_rem(begun.len()).unwrap_or(0)) {
        Some(chosen) => chosen.clone(),
        None => unreachable!("there are several"),
    }
}

fn go_on<M: Side>(mut world: World<M>, mut peer: Peer, script: &mut Script<'_>) {
    let lines = wire(&peer.key().transit_key(TRANSFER_TRANSIT_PURPOSE));
    while !script.is_empty() {
        match script.below(16) {
            0..=4 => peer.say(&mut world, script, &PLAINS),
            5 => peer.say(&mut world, script, &[]),
            6 | 7 => world.happen(script),
            8..=10 => say_on_wire(&mut world, script, &lines),
            11 => world.pass_some(script),
            12 => {
                let polls = script.byte() & 1 == 0;
                world.polls(polls);
            }
            _ => {
                let kind = script.byte();
                // Whether it is taken depends on the state.
                let _ = world.machine_mut().command(kind);
            }
        }
        if script.byte() & 3 != 0 {
            world.poll();
        }
    }
    world.polls(true);
    world.machine_mut().finish(Err(Error::Cancelled));
    world.poll();
    for _ in 0..DEADLINES {
        world.settle_closing();
        world.pass_to_deadline();
    }
    assert!(world.is_over(), "it does not close");
    assert_eq!(world.live(), [], "something is left open");
}

/// What both roles have.
trait Side: Machine<Event = Event> {
    fn command(&mut self, kind: u8) -> Result<(), Misuse>;
    fn finish(&mut self, outcome: Result<(), Error>);
}

impl Side for Sender {
    fn command(&mut self, kind: u8) -> Result<(), Misuse> {
        match kind % 8 {
            0 => self.allocate_code(2),
            1 => self.set_code(Code::parse(CODE)?),
            2..=4 => self.confirm_verifier(kind & 0x80 == 0),
            5 => {
                self.finish(Ok(()));
                Ok(())
            }
            6 => {
                self.finish(Err(TransitFault::Lost { got: 0, want: 3 }.into()));
                Ok(())
            }
            _ => {
                self.cancel();
                Ok(())
            }
        }
    }

    fn finish(&mut self, outcome: Result<(), Error>) {
        Self::finish(self, outcome);
    }
}

impl Side for Receiver {
    fn command(&mut self, kind: u8) -> Result<(), Misuse> {
        match kind % 16 {
            0 => self.allocate_code(2),
            1 => self.set_code(Code::parse(CODE)?),
            2 => self.input_code(),
            3 => self.refresh_nameplates(),
            4 => self.choose_nameplate(Code::parse(CODE)?.nameplate()),
            5 => self.choose_words("purple-sausages"),
            6 => self.complete_nameplate("4").and_then(|_| self.complete_words("p")).map(drop),
            7 => self.confirm_verifier(kind & 0x80 == 0),
            8 => self.refuse(if kind & 0x80 == 0 { Error::Rejected } else { Error::Cancelled }),
            9..=12 => self.accept(),
            13 => {
                self.finish(Ok(()));
                Ok(())
            }
            14 => {
                self.finish(Err(TransitFault::Lost { got: 0, want: 3 }.into()));
                Ok(())
            }
            _ => {
                self.cancel();
                Ok(())
            }
        }
    }

    fn finish(&mut self, outcome: Result<(), Error>) {
        Self::finish(self, outcome);
    }
}

fn begun() -> &'static (Begun<Sender>, Begun<Receiver>) {
    static BEGUN: OnceLock<(Begun<Sender>, Begun<Receiver>)> = OnceLock::new();
    BEGUN.get_or_init(|| {
        let file = || Offer::File { name: "a".into(), size: 3, attributes: None };
        let directory = || Offer::Directory { name: "d".into(), zip_size: 22, bytes: 0, files: 0 };
        let mut senders = Vec::new();
        for (offer, verify) in [(file(), false), (Offer::Text("text".into()), false), (directory(), true)] {
            for met in [Met::Peer, Met::Server] {
                senders.push(meet(sender(offer.clone(), verify), TRANSFER_APPID, met));
            }
        }
        let mut receivers = Vec::new();
        for verify in [false, true] {
            receivers.extend(Met::ALL.map(|met| meet(receiver(verify), TRANSFER_APPID, met)));
        }
        (senders, receivers)
    })
}

fn sender(offer: Offer, verify: bool) -> Sender {
    let sender = config(verify).and_then(|config| Sender::new(config, offer, [1; 32]));
    let sender = sender.and_then(|mut sender| {
        sender.set_code(Code::parse(CODE)?)?;
        Ok(sender)
    });
    let Ok(sender) = sender else { unreachable!("all of it is sound") };
    sender
}

fn receiver(verify: bool) -> Receiver {
    let receiver = config(verify).and_then(|config| Receiver::new(config, [1; 32]));
    let receiver = receiver.and_then(|mut receiver| {
        receiver.set_code(Code::parse(CODE)?)?;
        Ok(receiver)
    });
    let Ok(receiver) = receiver else { unreachable!("all of it is sound") };
    receiver
}

/// With a relay and a listener; who verifies has neither.
fn config(verify: bool) -> Result<Config, Misuse> {
    let config = Config::new()?;
    Ok(if verify { Config { verify, listen: false, relays: Vec::new(), ..config } } else { config })
}
