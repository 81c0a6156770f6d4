//! A wormhole that is written down and gone on with elsewhere, at every point of a session.

use serde_json::Value;
use wormhole_core::code::{Code, Nameplate};
use wormhole_core::defaults::CLOSE_LIMIT;
use wormhole_core::driver::Conns;
use wormhole_core::error::{Error, SnapshotFault};
use wormhole_core::rng::Seed;
use wormhole_core::wormhole::{Config, Event, Snapshot, Wormhole};

use crate::network::{App, World};

#[test]
fn a_session_goes_on_from_every_event_on_either_side() {
    let mut whole = met(Way::Allocated);
    whole.run();
    for side in 0..2 {
        for at in 1..=whole.apps[side].events.len() {
            for way in [Way::Given, Way::Allocated, Way::Typed] {
                let mut world = begun(way);
                world.apps[side].moves = Some((at, elsewhere));
                meet(&mut world, way);
                world.run();
                let when = format!("event {at} of side {side}");
                content(&world, &when);
                assert!(world.server.holds_nothing(), "{when}");
            }
        }
    }
}

#[test]
fn a_session_goes_on_from_every_frame_with_both_sides_at_once() {
    let mut whole = met(Way::Given);
    whole.run();
    for at in 0..whole.frames {
        let mut world = met(Way::Given);
        let mut is_moved = false;
        world.run_with(|world| {
            if !is_moved && world.frames >= at {
                is_moved = true;
                world.go_on_elsewhere(0, elsewhere);
                world.go_on_elsewhere(1, elsewhere);
            }
        });
        content(&world, &format!("frame {at}"));
        assert!(world.server.holds_nothing(), "frame {at}");
    }
}

#[test]
fn a_process_may_stop_after_the_code_was_shown_and_another_go_on_much_later() {
    let mut world = begun(Way::Allocated);
    world.apps[0].moves = Some((3, elsewhere));
    world.run_now();
    assert!(code(&world).is_some());
    world.wait(std::time::Duration::from_secs(86_400));
    meet(&mut world, Way::Allocated);
    world.run();
    content(&world, "a day later");
}

#[test]
fn who_closes_elsewhere_gives_back_what_it_holds() {
    let mut whole = begun(Way::Given);
    let lonely = |world: &mut World| {
        world.run_now();
        world.apps[0].wormhole.close();
    };
    lonely(&mut whole);
    whole.run();
    let events = whole.apps[0].events.len();
    for at in 1..=events {
        let mut world = begun(Way::Given);
        world.apps[0].moves = Some((at, elsewhere));
        lonely(&mut world);
        world.run();
        assert_eq!(world.apps[0].result(), Some(Err(Error::Lonely)));
        assert!(world.server.holds_nothing(), "event {at}");
        assert!(world.now.since_start() <= CLOSE_LIMIT);
    }
}

#[test]
fn an_end_stays_an_end() {
    let mut world = World::new(vec![talker(0), talker(1)]);
    world.apps[0].wormhole.set_code(Code::parse("4-purple-sausages").unwrap()).unwrap();
    world.apps[1].wormhole.set_code(Code::parse("4-purple-rhinos").unwrap()).unwrap();
    for side in 0..2 {
        world.apps[side].moves = Some((4, elsewhere));
    }
    world.run();
    for app in &world.apps {
        assert_eq!(app.result(), Some(Err(Error::WrongCode)));
    }
    let told = &mut elsewhere(&world.apps[0].wormhole);
    assert_eq!(told.send(b"late"), Err(wormhole_core::error::Misuse::Closed));
}

#[test]
fn a_snapshot_for_another_purpose_is_refused_and_nothing_of_it_is_printed() {
    let wormhole = talker(0).wormhole;
    let other = |config: Config| Wormhole::restore(config, wormhole.snapshot(), [9; 32], Conns::all());
    let app = Config::new("example.com/other").unwrap().mailbox("ws://example.com/v1");
    assert_eq!(other(app).unwrap_err(), SnapshotFault::Config);
    assert_eq!(other(config().mailbox("ws://other/v1")).unwrap_err(), SnapshotFault::Config);
    assert_eq!(format!("{:?}", wormhole.snapshot()), "Snapshot(..)");
}

#[test]
fn what_is_damaged_is_refused_or_harmless() {
    let mut world = met(Way::Given);
    world.run_now();
    let text = serde_json::to_string(&world.apps[0].wormhole.snapshot()).unwrap();
    let ids: Value = serde_json::from_str(&text).unwrap();
    assert!(ids["key"].is_object());
    for at in (0..text.len()).step_by(7) {
        assert!(serde_json::from_str::<Snapshot>(&text[..at]).is_err());
        let mut damaged = text.clone().into_bytes();
        damaged[at] ^= 1;
        let Ok(snapshot) = serde_json::from_slice::<Snapshot>(&damaged) else { continue };
        if let Ok(mut wormhole) = Wormhole::restore(config(), snapshot, [9; 32], Conns::all()) {
            wormhole.close();
        }
    }
}

/// How the second side comes to the code; the first has it allocated, or has it, too.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Given,
    Allocated,
    Typed,
}

fn met(way: Way) -> World {
    let mut world = begun(way);
    meet(&mut world, way);
    world
}

fn begun(way: Way) -> World {
    let mut world = World::new(vec![talker(0), talker(1)]);
    let first = &mut world.apps[0].wormhole;
    match way {
        Way::Allocated => first.allocate_code(2).unwrap(),
        Way::Given | Way::Typed => first.set_code(Code::parse("4-purple-sausages").unwrap()).unwrap(),
    }
    world
}

fn meet(world: &mut World, way: Way) {
    world.run_now();
    let code = code(world).unwrap();
    match way {
        Way::Given | Way::Allocated => world.apps[1].wormhole.set_code(code).unwrap(),
        Way::Typed => {
            world.apps[1].wormhole.input_code().unwrap();
            world.run_now();
            world.apps[1].wormhole.choose_nameplate(Nameplate::parse("4").unwrap()).unwrap();
            world.run_now();
            world.apps[1].wormhole.choose_words("purple-sausages").unwrap();
        }
    }
}

fn code(world: &World) -> Option<Code> {
    world.apps[0].events.iter().find_map(|event| match event {
        Event::Code(code) => Some(code.clone()),
        Event::LinkUp
        | Event::LinkDown { .. }
        | Event::Welcome(_)
        | Event::Nameplates(_)
        | Event::WordsWanted
        | Event::PeerHeard
        | Event::UnverifiedKey
        | Event::Verifier(_)
        | Event::Versions(_)
        | Event::Record(_)
        | Event::CodeConsumed
        | Event::Closed(_) => None,
    })
}

/// Nothing but a text comes from the one process to the other.
#[test]
fn secrets_are_written_in_digits_that_are_read_where_they_stand() {
    let mut wormhole = Wormhole::new(config(), [1; 32], Conns::all());
    wormhole.set_code(Code::parse("4-\"so\"\\").unwrap()).unwrap();
    wormhole.send(b"so \"\0\"").unwrap();
    let text = serde_json::to_string(&wormhole.snapshot()).unwrap();
    assert!(text.contains("\"342d22736f225c\"") && text.contains("[\"736f20220022\"]"), "{text}");
    assert_eq!(serde_json::to_string(&elsewhere(&wormhole).snapshot()).unwrap(), text);
}

fn elsewhere(wormhole: &Wormhole) -> Wormhole {
    let text = serde_json::to_string(&wormhole.snapshot()).unwrap();
    let mut seed: Seed = [8; 32];
    seed[0] = text.len() as u8;
    let snapshot = serde_json::from_str(&text).unwrap();
    Wormhole::restore(config(), snapshot, seed, Conns::all()).unwrap()
}

fn talker(number: u8) -> App {
    let mut app = App::new(Wormhole::new(config(), [number; 32], Conns::all()));
    app.to_send = [b"first".to_vec(), b"second".to_vec(), b"third".to_vec()].into();
    app.closes_after = Some(3);
    app
}

fn config() -> Config {
    Config::new("example.com/app").unwrap().mailbox("ws://example.com/v1")
}

fn content(world: &World, when: &str) {
    for app in &world.apps {
        assert_eq!(app.result(), Some(Ok(())), "{when}: {:?}", app.events);
        assert_eq!(app.records(), [b"first".to_vec(), b"second".to_vec(), b"third".to_vec()], "{when}");
    }
}
