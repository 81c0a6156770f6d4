//! The user's wormhole: every future is dropped again and again, and nothing is lost.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use wormhole_core::defaults::KEY_LIMIT;
use wormhole_core::error::{Awaited, Error, Misuse, Mood, PeerFault};
use wormhole_core::wormhole::{Event, RECORD_BYTES};
use wormhole_runtime::transcribe::{Initiator, Receiver};
use wormhole_runtime::{
    CodeStatus, Config, Exchange, InFlight, KeyStatus, Layered, LinkStatus, Runtime, Wormhole,
};

use crate::double::Double;
use crate::net::{Net, in_flight, run};

type Simulated = Layered<InFlight<Net>>;

/// Makes the future anew for each few polls, while the others of this world go on.
macro_rules! dropping {
    ($world:ident, $future:expr) => {{
        let mut found = None;
        for polls in (1..=3).cycle().take(100_000) {
            let mut future = pin!($future);
            for _ in 0..polls {
                if let Poll::Ready(outcome) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    found = Some(outcome);
                    break;
                }
            }
            if found.is_some() {
                break;
            }
            $world.serve();
        }
        found.expect("it ends some time")
    }};
    ($world:ident, $first:expr, $second:expr) => {{
        let (mut first, mut second) = (None, None);
        for _ in 0..100_000 {
            if first.is_none() {
                first = once($first);
            }
            if second.is_none() {
                second = once($second);
            }
            if first.is_some() && second.is_some() {
                break;
            }
            $world.serve();
        }
        (first.expect("the first ends some time"), second.expect("the second ends some time"))
    }};
}

#[test]
fn a_whole_conversation_survives_that_every_future_is_dropped_half_way() {
    let mut world = World::new();
    let (mut alice, mut bob) = (world.wormhole(), world.wormhole());

    dropping!(world, alice.allocate_code(2)).unwrap();
    let code = dropping!(world, alice.code()).unwrap();
    assert_eq!(dropping!(world, alice.welcome()).unwrap().motd.unwrap().to_string(), "hello");
    dropping!(world, bob.set_code(code.as_str())).unwrap();
    let (theirs, ours) = dropping!(world, alice.verifier(), bob.verifier());
    assert_eq!(theirs.unwrap(), ours.unwrap());
    assert_eq!(dropping!(world, bob.code()).unwrap(), code);
    let (theirs, ours) = dropping!(world, alice.versions(), bob.versions());
    assert_eq!(theirs.unwrap(), ours.unwrap());

    for number in 0..300_u32 {
        let (there, back) = (number.to_be_bytes(), [7; 5]);
        let (sent, came) = dropping!(world, alice.send(&there), bob.receive());
        sent.unwrap();
        assert_eq!(came.unwrap(), there);
        let (sent, came) = dropping!(world, bob.send(&back), alice.receive());
        sent.unwrap();
        assert_eq!(came.unwrap(), back);
    }
    let (a, b) = (alice.derive_key("purpose", 32).unwrap(), bob.derive_key("purpose", 32).unwrap());
    assert_eq!(a.as_bytes(), b.as_bytes());

    dropping!(world, alice.send(b"goodbye")).unwrap();
    dropping!(world, alice.stored()).unwrap();
    assert_eq!(dropping!(world, alice.close()), Ok(()));
    assert_eq!(dropping!(world, bob.receive()).unwrap(), b"goodbye");
    assert_eq!(dropping!(world, bob.close()), Ok(()));
    // And what is over stays over.
    assert_eq!(dropping!(world, bob.close()), Ok(()));
    assert_eq!(dropping!(world, bob.receive()), Err(Error::Misuse(Misuse::Closed)));
    assert_eq!(dropping!(world, bob.send(b"late")), Err(Error::Misuse(Misuse::Closed)));
    assert!(dropping!(world, bob.verifier()).is_ok(), "a fact stays a fact");
}

#[test]
fn a_send_that_waits_for_room_has_sent_nothing_when_it_is_dropped() {
    let mut world = World::new();
    let mut alice = world.wormhole();
    dropping!(world, alice.set_code("4-purple-sausages")).unwrap();
    let mut sent = 0_u32;
    // The server confirms the first message on the way, which makes room once more.
    for _ in 0..10 {
        while once(alice.send(&sent.to_be_bytes())).is_some() {
            sent += 1;
            assert!(sent < 10_000, "there must be an end of room");
        }
        world.serve();
    }
    for _ in 0..10 {
        assert!(once(alice.send(b"never")).is_none());
        world.serve();
    }
    let mut bob = world.wormhole();
    dropping!(world, bob.set_code("4-purple-sausages")).unwrap();
    for number in 0..sent {
        let (_, came) = dropping!(world, alice.stored(), bob.receive());
        assert_eq!(came.unwrap(), number.to_be_bytes());
    }
    dropping!(world, alice.send(b"now")).unwrap();
    let (_, came) = dropping!(world, alice.stored(), bob.receive());
    assert_eq!(came.unwrap(), b"now");
}

#[test]
fn two_who_have_much_to_say_at_once_exchange_all_of_it_in_order() {
    const MANY: u32 = 3000;
    let mut world = World::new();
    let (mut alice, mut bob) = world.pair();
    let (mut a, mut b) = (Talk::default(), Talk::default());
    while a.heard < MANY || b.heard < MANY {
        // A call that waits is dropped, and takes nothing with it.
        while a.go_on(&mut alice, MANY) {}
        while b.go_on(&mut bob, MANY) {}
        world.serve();
    }
    assert_eq!((a.said, b.said), (MANY, MANY));
    let (a, b) = dropping!(world, alice.stored(), bob.stored());
    assert_eq!((a, b), (Ok(()), Ok(())));
}

#[test]
fn who_has_no_room_to_send_receives_meanwhile() {
    let mut world = World::new();
    let (mut alice, mut bob) = world.pair();
    dropping!(world, bob.send(b"theirs")).unwrap();
    dropping!(world, bob.stored()).unwrap();
    // Nothing is confirmed while the server does nothing.
    let mut sent = 0;
    while once(alice.send(b"ours")).is_some() {
        sent += 1;
        assert!(sent < 1000, "there must be an end of room");
    }
    assert_eq!(once(alice.exchange(Some(b"more"))), Some(Ok(Exchange::Received(b"theirs".to_vec()))));
    assert_eq!(once(alice.exchange(Some(b"more"))), None, "neither is possible");
    assert_eq!(dropping!(world, alice.exchange(Some(b"more"))), Ok(Exchange::Sent));
}

#[test]
fn an_exchange_gives_what_has_come_before_the_end_and_then_the_end() {
    let mut world = World::new();
    let (mut alice, mut bob) = world.pair();
    assert_eq!(dropping!(world, bob.exchange(Some(b"last words"))), Ok(Exchange::Sent));
    assert_eq!(dropping!(world, bob.stored()), Ok(()));
    // It comes before anybody asks for it.
    for _ in 0..10 {
        assert!(once(alice.code()).is_some());
        world.serve();
    }
    assert_eq!(dropping!(world, alice.close()), Ok(()));
    let heard = Exchange::Received(b"last words".to_vec());
    assert_eq!(dropping!(world, alice.exchange(Some(b"too late"))), Ok(heard));
    for ours in [Some(&b"too late"[..]), None] {
        assert_eq!(dropping!(world, alice.exchange(ours)), Err(Error::Misuse(Misuse::Closed)));
    }
}

#[test]
fn a_sent_record_leaves_before_the_next_call() {
    let mut world = World::new();
    let (mut alice, mut bob) = (world.wormhole(), world.wormhole());
    dropping!(world, alice.set_code("4-purple-sausages")).unwrap();
    dropping!(world, bob.set_code("4-purple-sausages")).unwrap();
    let (a, b) = dropping!(world, alice.versions(), bob.versions());
    assert_eq!(a.unwrap(), b.unwrap());
    once(alice.send(b"alone")).unwrap().unwrap();
    // Nobody asks anything of alice any more.
    assert_eq!(dropping!(world, bob.receive()).unwrap(), b"alone");
}

#[test]
fn commands_take_effect_once_and_say_so() {
    let mut world = World::new();
    let mut alice = world.wormhole();
    assert!(matches!(dropping!(world, alice.set_code("no code")), Err(Error::Misuse(Misuse::Code(_)))));
    dropping!(world, alice.input_code()).unwrap();
    assert_eq!(dropping!(world, alice.nameplates()).unwrap(), [plate("4")]);
    let early = dropping!(world, alice.word_list());
    assert_eq!(early, Err(Error::Misuse(Misuse::ChooseNameplateFirst)));
    assert_eq!(alice.complete_nameplate("").unwrap(), ["4-"]);
    let wrong = dropping!(world, alice.choose_nameplate("four"));
    assert!(matches!(wrong, Err(Error::Misuse(Misuse::Code(_)))));
    dropping!(world, alice.choose_nameplate("4")).unwrap();
    dropping!(world, alice.word_list()).unwrap();
    assert!(alice.complete_words("purp").unwrap().iter().all(|word| word.starts_with("purple")));
    dropping!(world, alice.choose_words("purple-sausages")).unwrap();
    assert_eq!(dropping!(world, alice.code()).unwrap().as_str(), "4-purple-sausages");
    assert_eq!(dropping!(world, alice.allocate_code(2)), Err(Error::Misuse(Misuse::CodeAlreadyChosen)));
    assert_eq!(alice.derive_key("purpose", 32).unwrap_err(), Error::Misuse(Misuse::NoKeyYet));
    assert_eq!(dropping!(world, alice.close()), Err(Error::Lonely));
    assert_eq!(dropping!(world, alice.code()).unwrap().as_str(), "4-purple-sausages");
    assert_eq!(dropping!(world, alice.verifier()), Err(Error::Lonely));
    let mut last = dropping!(world, alice.next_event());
    while last != Event::Closed(Err(Error::Lonely)) {
        last = dropping!(world, alice.next_event());
    }
    assert_eq!(dropping!(world, alice.next_event()), last, "told again");
}

#[test]
fn a_status_follows_what_happens() {
    let mut world = World::new();
    let (mut alice, mut bob) = (world.wormhole(), world.wormhole());
    assert_eq!(alice.status().link, LinkStatus::Connecting);
    dropping!(world, alice.set_code("4-purple-sausages")).unwrap();
    dropping!(world, alice.welcome()).unwrap();
    let status = alice.status();
    assert_eq!((status.link, status.code, status.key), (LinkStatus::Up, CodeStatus::Known, KeyStatus::None));
    dropping!(world, bob.set_code("4-purple-sausages")).unwrap();
    let (ours, theirs) = dropping!(world, alice.unverified_key(), bob.unverified_key());
    assert_eq!(ours.unwrap(), theirs.unwrap());
    let (ours, theirs) = dropping!(world, alice.versions(), bob.versions());
    assert_eq!(ours.unwrap(), theirs.unwrap());
    let status = alice.status();
    assert_eq!((status.code, status.key), (CodeStatus::Consumed, KeyStatus::Confirmed));
    assert_eq!((status.peer_heard, alice.mood(), status.end), (true, None, None));
    assert_eq!(dropping!(world, alice.close()), Ok(()));
    let status = alice.status();
    assert_eq!((status.link, status.mood, status.end), (LinkStatus::Closed, Some(Mood::Happy), Some(Ok(()))));
}

#[test]
fn a_wait_ends_at_its_limit_and_loses_nothing() {
    let mut world = World::new();
    let config = world.config().wait_limit(Duration::from_secs(10));
    let mut alice = Wormhole::on(Layered::new(in_flight(&world.net)), config).unwrap();
    dropping!(world, alice.set_code("4-purple-sausages")).unwrap();
    for _ in 0..2 {
        {
            let mut waiting = pin!(alice.receive());
            assert_eq!(run(waiting.as_mut()), None);
            world.net.advance(Duration::from_secs(9));
            world.serve();
            assert_eq!(run(waiting.as_mut()), None);
            world.net.advance(Duration::from_secs(1));
            assert_eq!(run(waiting.as_mut()), Some(Err(Error::TimedOut)));
        }
        world.serve();
    }
    let mut bob = world.wormhole();
    dropping!(world, bob.set_code("4-purple-sausages")).unwrap();
    dropping!(world, bob.send(b"late")).unwrap();
    let (_, came) = dropping!(world, bob.stored(), alice.receive());
    assert_eq!(came.unwrap(), b"late");
}

#[test]
fn who_cancels_is_told_so_by_every_wait() {
    let mut world = World::new();
    let mut alice = world.wormhole();
    dropping!(world, alice.set_code("4-purple-sausages")).unwrap();
    dropping!(world, alice.welcome()).unwrap();
    alice.cancel();
    assert_eq!(dropping!(world, alice.verifier()), Err(Error::Cancelled));
    assert_eq!(dropping!(world, alice.send(b"x")), Err(Error::Cancelled));
    assert_eq!(dropping!(world, alice.close()), Err(Error::Cancelled));
    assert_eq!(alice.mood(), Some(Mood::Lonely));
}

#[test]
fn two_sides_swap_a_blob_each_though_every_future_is_dropped() {
    let mut world = World::new();
    let runtime = || Layered::new(in_flight(&world.net));
    let mut initiator = Initiator::on(runtime(), world.config(), b"ours").unwrap();
    let code = dropping!(world, initiator.start()).unwrap();
    let plain = Config::new("example.com/app");
    let runtime = Layered::new(in_flight(&world.net));
    let mut receiver = Receiver::on(runtime, plain, code, b"theirs").unwrap().rendezvous(&world.url);
    let (theirs, ours) = dropping!(world, initiator.finish(), receiver.finish());
    assert_eq!((theirs.unwrap(), ours.unwrap()), (b"theirs".to_vec(), b"ours".to_vec()));
    assert_eq!(dropping!(world, receiver.finish()).unwrap(), b"ours", "told again");
    assert!(dropping!(world, initiator.start()).is_ok());
}

#[test]
fn a_swap_that_cannot_be_says_so() {
    let mut world = World::new();
    let runtime = || Layered::new(in_flight(&world.net));
    let wrong = Receiver::on(runtime(), world.config(), "no code", b"").unwrap_err();
    assert!(matches!(wrong, Error::Misuse(Misuse::Code(_))));
    let long = Initiator::on(runtime(), world.config(), &vec![0; RECORD_BYTES + 1]).unwrap_err();
    assert!(matches!(long, Error::Misuse(Misuse::TooLong { .. })));

    let away = || Initiator::on(runtime(), world.config(), b"").unwrap().rendezvous("ws://127.0.0.1:1/v1");
    let mut initiator = away();
    assert!(matches!(run(initiator.start()), Some(Err(Error::Server(_)))));
    assert!(matches!(run(initiator.finish()), Some(Err(Error::Server(_)))));
    let mut initiator = away();
    initiator.cancel();
    assert_eq!(run(initiator.start()), Some(Err(Error::Cancelled)));

    let mut initiator = Initiator::on(runtime(), world.config(), b"").unwrap();
    dropping!(world, initiator.start()).unwrap();
    initiator.cancel();
    assert_eq!(dropping!(world, initiator.finish()), Err(Error::Cancelled));
}

#[cfg(feature = "serde")]
#[test]
fn another_process_goes_on_at_every_step_of_a_conversation() {
    for at in 0..10 {
        let mut world = World::new();
        let (mut alice, mut bob) = (world.wormhole(), world.wormhole());
        let mut step = 0;
        let mut next = |alice: &mut Wormhole<Simulated>, bob: &mut Wormhole<Simulated>, world: &World| {
            if step == at {
                world.move_on(alice);
                world.move_on(bob);
            }
            step += 1;
        };
        next(&mut alice, &mut bob, &world);
        dropping!(world, alice.allocate_code(2)).unwrap();
        next(&mut alice, &mut bob, &world);
        let code = dropping!(world, alice.code()).unwrap();
        next(&mut alice, &mut bob, &world);
        dropping!(world, bob.set_code(code.as_str())).unwrap();
        dropping!(world, alice.send(b"early")).unwrap();
        next(&mut alice, &mut bob, &world);
        let (theirs, ours) = dropping!(world, alice.verifier(), bob.verifier());
        next(&mut alice, &mut bob, &world);
        assert_eq!(theirs.unwrap(), dropping!(world, bob.verifier()).unwrap());
        assert_eq!(ours.unwrap(), dropping!(world, alice.verifier()).unwrap(), "it is still known");
        dropping!(world, alice.send(b"late")).unwrap();
        next(&mut alice, &mut bob, &world);
        let (_, came) = dropping!(world, alice.stored(), bob.receive());
        assert_eq!(came.unwrap(), b"early");
        next(&mut alice, &mut bob, &world);
        let (_, came) = dropping!(world, alice.stored(), bob.receive());
        assert_eq!(came.unwrap(), b"late");
        next(&mut alice, &mut bob, &world);
        assert_eq!(dropping!(world, alice.welcome()).unwrap().motd.unwrap().to_string(), "hello");
        assert_eq!(dropping!(world, bob.code()).unwrap(), code);
        assert_eq!(dropping!(world, bob.close()), Ok(()));
        next(&mut alice, &mut bob, &world);
        assert_eq!(dropping!(world, alice.close()), Ok(()));
        next(&mut alice, &mut bob, &world);
        assert_eq!(dropping!(world, alice.close()), Ok(()), "it stays over");
    }
}

#[cfg(feature = "serde")]
#[test]
fn a_snapshot_of_another_version_or_purpose_is_refused() {
    use wormhole_core::error::SnapshotFault as Fault;
    let world = World::new();
    let alice = world.wormhole();
    let snapshot = alice.snapshot().unwrap();
    let text = std::str::from_utf8(snapshot.as_bytes()).unwrap();
    let restored = |config: Config, text: &str| {
        let runtime = Layered::new(in_flight(&world.net));
        match Wormhole::restore_on(runtime, config, text.as_bytes()) {
            Err(Error::Misuse(Misuse::Snapshot(fault))) => Some(fault),
            Ok(_) => None,
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(restored(world.config(), text), None);
    let newer = text.replacen("\"version\":1,", "\"version\":2,", 1);
    assert_eq!(restored(world.config(), &newer), Some(Fault::Version { found: 2, known: 1 }));
    assert_eq!(restored(world.config(), "{\"version\":7}"), Some(Fault::Version { found: 7, known: 1 }));
    assert_eq!(restored(world.config(), &text[1..]), Some(Fault::Malformed));
    assert_eq!(restored(world.config(), "{\"version\":1}"), Some(Fault::Malformed));
    assert_eq!(restored(Config::new("other").mailbox(&world.url), text), Some(Fault::Config));
    let shown = format!("{snapshot:?}");
    assert!(shown.starts_with("Snapshot(") && shown.len() < 30, "{shown}");
}

#[test]
fn a_wrong_code_is_told_to_both() {
    let mut world = World::new();
    let (mut alice, mut bob) = (world.wormhole(), world.wormhole());
    dropping!(world, alice.set_code("4-purple-sausages")).unwrap();
    dropping!(world, bob.set_code("4-purple-rhinos")).unwrap();
    let (a, b) = dropping!(world, alice.verifier(), bob.verifier());
    assert_eq!((a.unwrap_err(), b.unwrap_err()), (Error::WrongCode, Error::WrongCode));
}

#[test]
fn a_server_that_is_away_is_told_and_closing_does_not_hang() {
    let world = World::new();
    let config = Config::new("example.com/app").mailbox("ws://127.0.0.1:1/v1");
    let mut alice = Wormhole::on(Layered::new(in_flight(&world.net)), config).unwrap();
    let error = run(alice.code()).unwrap().unwrap_err();
    assert!(matches!(error, Error::Server(_)), "{error}");
    assert_eq!(run(alice.close()).unwrap().unwrap_err(), error);

    // One that goes silent after the beginning.
    let mut world = World::new();
    let mut bob = world.wormhole();
    dropping!(world, bob.set_code("4-purple-sausages")).unwrap();
    dropping!(world, bob.welcome()).unwrap();
    assert_eq!(run(bob.close()), None, "it waits");
    world.net.advance(Duration::from_secs(5));
    assert_eq!(run(bob.close()), Some(Err(Error::Lonely)));
}

#[test]
fn the_sleep_of_the_computer_counts_for_no_limit() {
    let hours = Duration::from_secs(5 * 60 * 60);
    // Bob has said his half, and no more.
    let begun = || {
        let mut world = World::new();
        let (mut alice, mut bob) = (world.wormhole(), world.wormhole());
        dropping!(world, bob.set_code("4-purple-sausages")).unwrap();
        dropping!(world, bob.welcome()).unwrap();
        for _ in 0..5 {
            assert_eq!(once(bob.verifier()), None);
            world.serve();
        }
        dropping!(world, alice.set_code("4-purple-sausages")).unwrap();
        for _ in 0..20 {
            assert_eq!(once(alice.verifier()), None);
            world.serve();
        }
        assert_eq!(alice.status().key, KeyStatus::Unverified);
        (world, alice, bob)
    };
    let (mut world, mut alice, mut bob) = begun();
    world.net.advance(hours);
    assert_eq!(once(alice.verifier()), None, "it goes on waiting");
    let (ours, theirs) = dropping!(world, alice.verifier(), bob.verifier());
    assert_eq!(ours.unwrap(), theirs.unwrap());

    let (mut world, mut alice, bob) = begun();
    world.net.advance(hours);
    for _ in 0..KEY_LIMIT.as_secs() / 20 + 1 {
        assert_eq!(once(alice.verifier()), None);
        world.serve();
        world.net.advance(Duration::from_secs(20));
    }
    let silent = PeerFault::Silent(Awaited::Key);
    assert_eq!(dropping!(world, alice.verifier()), Err(silent.into()), "whoever is awake waits no longer");
    drop(bob);
}

/// A server in memory.
struct World {
    net: Net,
    server: Double<Simulated>,
    url: String,
}

impl World {
    fn new() -> Self {
        let net = Net::default();
        let mut server = Double::new(Layered::new(in_flight(&net)));
        let listening = run(server.runtime.next(None)).unwrap();
        let url = server.handle(listening).unwrap();
        Self { net, server, url }
    }

    /// The server works off what has come.
    fn serve(&mut self) {
        while let Some(input) = run(self.server.runtime.next(None)) {
            self.server.handle(input);
        }
    }

    fn wormhole(&self) -> Wormhole<Simulated> {
        Wormhole::on(Layered::new(in_flight(&self.net)), self.config()).unwrap()
    }

    /// Nothing but bytes comes from the one process to the other.
    #[cfg(feature = "serde")]
    fn move_on(&self, wormhole: &mut Wormhole<Simulated>) {
        let bytes = wormhole.snapshot().unwrap().as_bytes().to_vec();
        let runtime = Layered::new(in_flight(&self.net));
        *wormhole = Wormhole::restore_on(runtime, self.config(), &bytes).unwrap();
    }

    /// Two who have proved to each other that they know the code.
    fn pair(&mut self) -> (Wormhole<Simulated>, Wormhole<Simulated>) {
        let (mut alice, mut bob) = (self.wormhole(), self.wormhole());
        dropping!(self, alice.set_code("4-purple-sausages")).unwrap();
        dropping!(self, bob.set_code("4-purple-sausages")).unwrap();
        let (a, b) = dropping!(self, alice.verifier(), bob.verifier());
        assert_eq!(a.unwrap(), b.unwrap());
        (alice, bob)
    }

    fn config(&self) -> Config {
        Config::new("example.com/app").mailbox(&self.url)
    }
}

/// How many numbers one side has said, and heard.
#[derive(Default)]
struct Talk {
    said: u32,
    heard: u32,
}

impl Talk {
    /// One call, which is dropped where it would wait; whether it did not.
    fn go_on(&mut self, wormhole: &mut Wormhole<Simulated>, last: u32) -> bool {
        let ours = self.said.to_be_bytes();
        match once(wormhole.exchange((self.said < last).then_some(&ours))) {
            Some(Ok(Exchange::Sent)) => self.said += 1,
            Some(Ok(Exchange::Received(record))) => {
                assert_eq!(record, self.heard.to_be_bytes());
                self.heard += 1;
            }
            Some(Err(error)) => panic!("{error}"),
            None => return false,
        }
        true
    }
}

/// Polls once, and drops.
fn once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
}

fn plate(text: &str) -> wormhole_core::code::Nameplate {
    wormhole_core::code::Nameplate::parse(text).unwrap()
}
