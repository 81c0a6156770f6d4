//! Two sides that swap a blob each, with a server in memory.

use std::time::Duration;

use wormhole_core::code::Code;
use wormhole_core::defaults::{CLOSE_LIMIT, OFFER_LIMIT, STORE_LIMIT};
use wormhole_core::driver::{Instant, Why};
use wormhole_core::error::{Awaited, Error, Misuse, PeerFault, ServerFault};
use wormhole_core::transcribe::{Event, Initiator, Receiver};
use wormhole_core::wormhole::{self, Config, RECORD_BYTES};

use crate::network::{App, Swapper, World};

const URL: &str = "ws://example.com/v1";

#[test]
fn both_sides_have_the_blob_of_the_other_and_leave_nothing_behind() {
    let mut world = met(&[0; 1000], b"");
    world.run();
    assert_eq!(world.now, Instant::START, "nobody waits for a time to pass");
    content(&world, &[0; 1000], b"");
}

#[test]
fn a_cut_at_any_point_loses_nothing() {
    let mut whole = met(b"ours", b"theirs");
    whole.run();
    for at in 0..=whole.frames {
        for side in 0..2 {
            let mut world = met(b"ours", b"theirs");
            let mut is_cut = false;
            world.run_with(|world| {
                if !is_cut && world.frames >= at {
                    is_cut = true;
                    world.cut(side);
                }
            });
            content(&world, b"ours", b"theirs");
        }
    }
}

#[test]
fn a_wrong_code_is_told_to_both() {
    let mut world = World::new(vec![initiator(b"ours")]);
    world.run_now();
    world.apps.push(receiver("1-wrong-words", b"theirs"));
    world.run();
    for app in &world.apps {
        assert_eq!(app.events.last(), Some(&Event::Finished(Err(Error::WrongCode))));
    }
    assert!(world.server.holds_nothing());
}

#[test]
fn a_user_may_end_it_before_anybody_has_come() {
    let mut world = World::new(vec![initiator(b"ours")]);
    world.run_now();
    let Swapper::Initiator(initiator) = &mut world.apps[0].wormhole else { panic!("it is one") };
    initiator.cancel();
    world.run();
    assert_eq!(world.apps[0].events.last(), Some(&Event::Finished(Err(Error::Cancelled))));
    assert!(world.server.holds_nothing());
}

#[test]
fn who_has_theirs_but_cannot_give_ours_fails_in_the_end() {
    let mut world = met(b"ours", b"theirs");
    // The server gives out what it has, and confirms nothing that the first side says.
    world.server.swallows = Some(0);
    world.wait(STORE_LIMIT + CLOSE_LIMIT + Duration::from_secs(1));
    let lost = ServerFault::Unreachable { url: URL.into(), why: Why::TimedOut };
    assert_eq!(world.apps[0].events.last(), Some(&Event::Finished(Err(lost.into()))));
    // And the other side does not wait for ever for what never comes.
    world.run();
    let silent = PeerFault::Silent(Awaited::Offer);
    assert_eq!(world.apps[1].events.last(), Some(&Event::Finished(Err(silent.into()))));
    assert!(world.now.since_start() <= OFFER_LIMIT + CLOSE_LIMIT + Duration::from_secs(1));
}

#[test]
fn what_cannot_be_is_refused_at_once() {
    let long = vec![0; RECORD_BYTES + 1];
    let refused = Initiator::new(config(), 2, &long, [1; 32]).unwrap_err();
    assert_eq!(refused, Misuse::TooLong { limit_bytes: RECORD_BYTES });
    assert!(matches!(Initiator::new(config(), 0, b"", [1; 32]), Err(Misuse::Code(_))));
}

#[test]
fn nothing_of_a_blob_is_printed() {
    let shown = format!("{:?}", Initiator::new(config(), 2, b"secret", [1; 32]).unwrap());
    assert!(!shown.contains("secret") && !shown.contains("115, 101"), "{shown}");
}

fn content(world: &World<Swapper>, ours: &[u8], theirs: &[u8]) {
    for (app, blob) in world.apps.iter().zip([theirs, ours]) {
        assert_eq!(app.events.last(), Some(&Event::Finished(Ok(blob.to_vec()))));
    }
    assert!(world.server.holds_nothing());
}

/// An initiator, and a receiver that was told its code.
fn met(ours: &[u8], theirs: &[u8]) -> World<Swapper> {
    let mut world = World::new(vec![initiator(ours)]);
    world.run_now();
    let found = world.apps[0].events.iter().find_map(|event| match event {
        Event::Session(wormhole::Event::Code(code)) => Some(code.as_str().to_owned()),
        Event::Session(_) | Event::Finished(_) => None,
    });
    world.apps.push(receiver(&found.unwrap(), theirs));
    world.frames = 0;
    world
}

fn initiator(blob: &[u8]) -> App<Swapper> {
    App::new(Swapper::Initiator(Initiator::new(config(), 2, blob, [1; 32]).unwrap()))
}

fn receiver(code: &str, blob: &[u8]) -> App<Swapper> {
    let code = Code::parse(code).unwrap();
    App::new(Swapper::Receiver(Receiver::new(config(), code, blob, [2; 32]).unwrap()))
}

fn config() -> Config {
    Config::new("example.com/app").unwrap().mailbox(URL)
}
