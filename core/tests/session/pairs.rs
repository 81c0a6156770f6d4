//! Two wormholes and a server in memory: each flow of the API, and the connection cut or the server restarted at every
//! point of it.

use std::time::Duration;

use serde_json::json;
use wormhole_core::code::{Code, Nameplate};
use wormhole_core::defaults::CLOSE_LIMIT;
use wormhole_core::driver::{Conns, Instant, Why};
use wormhole_core::error::{Error, Misuse, Mood, ServerFault};
use wormhole_core::rng::Rng;
use wormhole_core::untrusted::Text;
use wormhole_core::wormhole::{Config, Event, QUEUE_RECORDS, RECORD_BYTES, UNTAKEN_RECORDS, Wormhole};

use crate::network::{App, World};

const CODE: &str = "4-armistice-baboon";

#[test]
fn two_sides_with_the_same_code_exchange_records() {
    let mut world = given();
    world.run();
    both_are_content(&world);
    assert!(world.server.holds_nothing());
}

#[test]
fn an_allocated_code_is_given_to_the_other_side() {
    let mut world = World::new(vec![talker(0), talker(1)]);
    world.apps[0].wormhole.allocate_code(2).unwrap();
    world.run_now();
    let found = world.apps[0].events.iter().find(|event| matches!(event, Event::Code(_)));
    let Some(Event::Code(code)) = found.cloned() else { panic!("no code") };
    world.apps[1].wormhole.set_code(code).unwrap();
    world.run();
    both_are_content(&world);
    assert!(world.server.holds_nothing());
}

#[test]
fn a_code_is_typed_with_completion_against_the_server() {
    let mut world = World::new(vec![talker(0), talker(1)]);
    world.apps[0].wormhole.set_code(code(CODE)).unwrap();
    world.run_now();

    world.apps[1].wormhole.input_code().unwrap();
    world.run_now();
    let four = Nameplate::parse("4").unwrap();
    assert!(world.apps[1].saw(&Event::Nameplates(vec![four.clone()])));
    let typing = &mut world.apps[1].wormhole;
    assert_eq!(typing.complete_nameplate(""), Ok(vec!["4-".into()]));
    assert_eq!(typing.choose_words("armistice-baboon"), Err(Misuse::ChooseNameplateFirst));
    typing.refresh_nameplates().unwrap();
    typing.choose_nameplate(four.clone()).unwrap();
    assert_eq!(typing.choose_nameplate(four), Err(Misuse::NameplateAlreadyChosen));
    world.run_now();

    // The other side's first messages have come, and wait for our words.
    assert!(world.apps[1].saw(&Event::WordsWanted) && world.apps[1].saw(&Event::PeerHeard));
    assert!(!world.apps[1].saw(&Event::UnverifiedKey));
    let typing = &mut world.apps[1].wormhole;
    assert_eq!(typing.complete_words("armistice-bab"), Ok(vec!["armistice-baboon".into()]));
    typing.choose_words("armistice-baboon").unwrap();
    world.run();
    both_are_content(&world);
}

#[test]
fn events_come_in_the_order_of_what_happens() {
    let mut world = given();
    world.run();
    let order =
        [Event::LinkUp, Event::PeerHeard, Event::UnverifiedKey, verifier(&world, 0), Event::Closed(Ok(()))];
    for app in &world.apps {
        let mut events = app.events.iter();
        for event in &order {
            assert!(events.any(|it| it == event), "{event:?} is missing or early in {:?}", app.events);
        }
    }
    assert_eq!(verifier(&world, 0), verifier(&world, 1));
    assert!(world.apps.iter().all(|app| app.saw(&Event::CodeConsumed)));
}

#[test]
fn both_sides_derive_the_same_keys_and_learn_versions() {
    let mut world = given();
    world.apps[0].wormhole = wormhole(0, config().app_versions(r#"{"hello": [1.50, "a"]}"#).unwrap());
    world.apps[0].wormhole.set_code(code(CODE)).unwrap();
    assert_eq!(world.apps[0].wormhole.derive_key("purpose", 32), Err(Misuse::NoKeyYet));
    world.run();
    let found = world.apps[1].events.iter().find(|event| matches!(event, Event::Versions(_)));
    let Some(Event::Versions(versions)) = found else { panic!("no versions") };
    assert_eq!(versions.app_versions.as_str(), r#"{"hello": [1.50, "a"]}"#);
    let keys: Vec<_> = world.apps.iter().map(|app| app.wormhole.derive_key("purpose", 40).unwrap()).collect();
    assert_eq!(keys[0], keys[1]);
    let keys: Vec<_> = world.apps.iter().map(|app| app.wormhole.transit_key("transit").unwrap()).collect();
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn a_wrong_code_is_told_to_both_sides_and_nothing_is_delivered() {
    let mut world = World::new(vec![talker(0), talker(1)]);
    world.apps[0].wormhole.set_code(code(CODE)).unwrap();
    world.apps[1].wormhole.set_code(code("4-wrong-words")).unwrap();
    world.run();
    for app in &world.apps {
        assert_eq!(app.result(), Some(Err(Error::WrongCode)));
        assert!(app.records().is_empty());
    }
    assert_eq!(moods(&world), ["scary", "scary"]);
    assert!(world.server.holds_nothing());
}

#[test]
fn who_closes_alone_is_lonely_and_leaves_nothing_behind() {
    let mut world = World::new(vec![talker(0)]);
    world.apps[0].wormhole.set_code(code(CODE)).unwrap();
    world.run_now();
    world.apps[0].wormhole.close();
    world.apps[0].wormhole.close();
    assert_eq!(world.apps[0].wormhole.send(b"late"), Err(Misuse::Closed));
    world.run();
    assert_eq!(world.apps[0].result(), Some(Err(Error::Lonely)));
    assert_eq!(moods(&world), ["lonely"]);
    assert_eq!(world.apps[0].wormhole.mood(), Some(Mood::Lonely));
    assert!(world.server.holds_nothing());
    assert_eq!(world.now, Instant::START);
}

#[test]
fn a_close_before_the_link_came_up_ends_at_once() {
    let mut world = World::new(vec![talker(0)]);
    world.apps[0].wormhole.set_code(code(CODE)).unwrap();
    world.apps[0].wormhole.close();
    world.run();
    assert_eq!(world.apps[0].result(), Some(Err(Error::Lonely)));
    assert_eq!(world.now, Instant::START);
}

#[test]
fn a_nameplate_that_is_allocated_too_late_is_given_back() {
    let mut world = World::new(vec![talker(0)]);
    world.apps[0].wormhole.allocate_code(2).unwrap();
    // The welcome, `bind` and `allocate` have moved, not the answer.
    while !world.server.holds_nameplate("1") {
        assert!(world.step());
    }
    world.apps[0].wormhole.close();
    world.run();
    assert_eq!(world.apps[0].result(), Some(Err(Error::Lonely)));
    assert!(!world.server.holds_nameplate("1"));
    assert_eq!(world.now, Instant::START);
}

#[test]
fn a_server_that_cannot_be_reached_at_first_is_an_error() {
    let mut world = World::new(vec![talker(0)]);
    world.server.gone = true;
    world.run();
    let fault = ServerFault::Unreachable { url: "ws://example.com/v1".into(), why: Why::Refused };
    assert_eq!(world.apps[0].result(), Some(Err(fault.into())));
}

#[test]
fn a_third_side_is_told_that_it_is_crowded() {
    let mut world = World::new(vec![talker(0), talker(1), talker(2)]);
    for app in &mut world.apps[..2] {
        app.wormhole.input_code().unwrap();
        app.wormhole.choose_nameplate(Nameplate::parse("4").unwrap()).unwrap();
    }
    world.run_now();
    world.apps[2].wormhole.set_code(code(CODE)).unwrap();
    world.run_now();
    let third = world.apps.pop().unwrap();
    assert_eq!(third.result(), Some(Err(Error::Crowded)));

    for app in &mut world.apps {
        app.wormhole.choose_words("armistice-baboon").unwrap();
    }
    world.run();
    both_are_content(&world);
}

#[test]
fn an_unwelcome_client_leaves_with_the_servers_reason() {
    let mut world = World::new(vec![talker(0)]);
    world.server.welcome = json!({"error": "please upgrade", "motd": "hello"});
    world.apps[0].wormhole.set_code(code(CODE)).unwrap();
    world.run();
    assert_eq!(world.apps[0].result(), Some(Err(Error::Unwelcome(Text::from("please upgrade")))));
    assert!(!world.server.holds_nameplate("4"));
}

#[test]
fn repeated_and_reordered_messages_change_nothing() {
    let mut world = given();
    world.server.mischief = true;
    world.run();
    both_are_content(&world);
}

#[test]
fn a_cut_at_any_point_loses_and_doubles_nothing() {
    let frames = frames_of_a_whole_session();
    for at in 0..frames {
        for side in 0..2 {
            let mut world = given();
            world.run_with(|world| {
                if world.frames == at && world.apps[side].events.iter().all(|it| !is_down(it)) {
                    world.cut(side);
                }
            });
            both_are_content(&world);
            assert!(world.server.holds_nothing(), "cut of side {side} after {at} frames");
        }
    }
}

#[test]
fn several_cuts_of_both_sides_lose_and_double_nothing() {
    let frames = frames_of_a_whole_session();
    for seed in 0..200_u8 {
        let mut rng = Rng::new([seed; 32]);
        let mut cuts: Vec<_> =
            (0..4).map(|_| (rng.below(frames as u64 * 2) as usize, rng.below(2) as usize)).collect();
        cuts.sort_unstable();
        let mut cuts = cuts.into_iter().peekable();
        let mut world = given();
        world.server.mischief = seed % 2 == 0;
        world.run_with(|world| {
            while let Some((_, side)) = cuts.next_if(|(at, _)| *at <= world.frames) {
                world.cut(side);
            }
        });
        both_are_content(&world);
        assert!(world.server.holds_nothing(), "seed {seed}");
    }
}

#[test]
fn while_both_hold_the_nameplate_the_server_may_restart_empty() {
    let mut restarts = 0;
    for at in 0..frames_of_a_whole_session() {
        let mut world = given();
        let mut held = true;
        let mut done = false;
        world.run_with(|world| {
            if world.frames == at && !done {
                done = true;
                held = !world.apps.iter().any(|app| app.saw(&Event::PeerHeard));
                world.restart();
            }
        });
        if held {
            restarts += 1;
            both_are_content(&world);
        }
        // Where one side had let go of it they may wait for ever, but not longer than they want.
        let before = world.now;
        for app in &mut world.apps {
            app.wormhole.close();
        }
        world.run();
        assert!(world.apps.iter().all(|app| app.result().is_some()));
        assert!(world.now.saturating_since(before) <= CLOSE_LIMIT);
    }
    assert!(restarts > 5, "the exchange begins later than thought");
}

#[test]
fn a_lonely_side_survives_any_number_of_empty_restarts() {
    let mut world = World::new(vec![talker(0)]);
    world.apps[0].wormhole.set_code(code(CODE)).unwrap();
    for _ in 0..5 {
        world.wait(Duration::from_secs(70));
        world.restart();
    }
    world.apps.push(talker(1));
    world.apps[1].wormhole.set_code(code(CODE)).unwrap();
    world.run();
    both_are_content(&world);
}

#[test]
fn a_close_is_bounded_when_the_server_is_gone_or_mute() {
    for mute in [false, true] {
        let mut world = given();
        for app in &mut world.apps {
            app.closes_after = None;
        }
        world.run();
        world.server.mute = mute;
        world.server.gone = !mute;
        if !mute {
            world.cut(0);
            world.cut(1);
        }
        world.wait(Duration::from_secs(1000));
        let before = world.now;
        world.apps[0].wormhole.close();
        world.apps[1].wormhole.fail(Error::Cancelled);
        world.run();
        assert_eq!(world.now.saturating_since(before), CLOSE_LIMIT);
        assert_eq!(world.apps[0].result(), Some(Ok(())));
        assert_eq!(world.apps[1].result(), Some(Err(Error::Cancelled)));
    }
}

#[test]
fn a_closing_side_mends_its_link_at_once_to_give_back_what_it_holds() {
    let mut world = World::new(vec![talker(0)]);
    world.apps[0].wormhole.set_code(code(CODE)).unwrap();
    world.run_now();
    world.server.gone = true;
    world.cut(0);
    world.wait(Duration::from_secs(500));
    world.server.gone = false;
    let before = world.now;
    world.apps[0].wormhole.close();
    world.run();
    assert_eq!(world.apps[0].result(), Some(Err(Error::Lonely)));
    assert_eq!(world.now, before);
    assert!(world.server.holds_nothing());
}

#[test]
fn nothing_more_is_read_than_the_application_takes() {
    let mut world = given();
    let count = 5 * UNTAKEN_RECORDS;
    world.apps[0].to_send = (0..count).map(|number| number.to_string().into_bytes()).collect();
    world.apps[0].closes_after = None;
    world.apps[1].closes_after = None;
    world.apps[1].takes = false;
    world.run();
    assert_eq!(world.apps[1].records().len(), UNTAKEN_RECORDS);
    assert!(world.apps[1].holds_back());

    world.apps[1].wormhole.taken(1);
    world.run();
    assert_eq!(world.apps[1].records().len(), UNTAKEN_RECORDS + 1);

    for _ in 0..UNTAKEN_RECORDS {
        world.apps[1].wormhole.taken(1);
    }
    world.apps[1].takes = true;
    world.run();
    let expected: Vec<_> = (0..count).map(|number| number.to_string().into_bytes()).collect();
    assert_eq!(world.apps[1].records(), expected);
}

#[test]
fn who_waits_for_room_to_send_is_not_held_up_by_what_it_cannot_take_meanwhile() {
    let mut world = given();
    let count = 5 * QUEUE_RECORDS;
    for app in &mut world.apps {
        app.to_send = (0..count).map(|number| number.to_string().into_bytes()).collect();
        app.closes_after = None;
        app.takes = false;
    }
    world.run();
    assert!(world.apps.iter().all(|app| app.to_send.is_empty()));
}

#[test]
fn a_side_that_takes_nothing_can_still_close() {
    let mut world = given();
    world.apps[0].to_send = (0..100).map(|_| b"record".to_vec()).collect();
    world.apps[1].takes = false;
    world.apps[1].closes_after = None;
    world.run();
    world.apps[1].wormhole.close();
    world.run();
    assert_eq!(world.apps[1].result(), Some(Ok(())));
}

#[test]
fn what_waits_to_be_sent_is_bounded() {
    let mut wormhole = wormhole(0, config());
    for _ in 0..QUEUE_RECORDS {
        wormhole.send(b"record").unwrap();
    }
    assert!(!wormhole.has_room() && !wormhole.all_stored());
    assert_eq!(wormhole.send(b"record"), Err(Misuse::QueueFull));

    let mut wormhole = self::wormhole(0, config());
    let long = vec![0; RECORD_BYTES + 1];
    assert_eq!(wormhole.send(&long), Err(Misuse::TooLong { limit_bytes: RECORD_BYTES }));
    while wormhole.has_room() {
        wormhole.send(&long[1..]).unwrap();
    }
    assert_eq!(wormhole.send(b"record"), Err(Misuse::QueueFull));
}

#[test]
fn the_longest_record_arrives() {
    let mut world = given();
    let long = vec![7; RECORD_BYTES];
    world.apps[0].to_send = [long.clone()].into();
    world.apps[1].closes_after = Some(1);
    world.run();
    assert_eq!(world.apps[1].records(), [long]);
}

#[test]
fn only_one_code_is_taken_and_none_when_closed() {
    let mut wormhole = wormhole(0, config());
    wormhole.set_code(code(CODE)).unwrap();
    assert_eq!(wormhole.allocate_code(2), Err(Misuse::CodeAlreadyChosen));
    assert_eq!(wormhole.input_code(), Err(Misuse::CodeAlreadyChosen));
    let mut wormhole = self::wormhole(0, config());
    wormhole.close();
    assert_eq!(wormhole.set_code(code(CODE)), Err(Misuse::Closed));
}

#[test]
fn the_same_seed_and_inputs_give_the_same_run() {
    let run = || {
        let mut world = given();
        world.run();
        (world.server.heard, world.apps.remove(0).wormhole)
    };
    assert_eq!(run(), run());
}

#[test]
fn a_wormhole_prints_no_secret() {
    let mut world = given();
    world.run_with(|world| {
        let text = format!("{:?}", world.apps[0].wormhole);
        assert!(!text.contains("armistice") && !text.contains("first"), "{text}");
    });
}

fn given() -> World {
    let mut world = World::new(vec![talker(0), talker(1)]);
    for app in &mut world.apps {
        app.wormhole.set_code(code(CODE)).unwrap();
    }
    world
}

fn frames_of_a_whole_session() -> usize {
    let mut world = given();
    world.run();
    world.frames
}

/// Sends three records and wants three.
fn talker(number: u8) -> App {
    let mut app = App::new(wormhole(number, config()));
    app.to_send = [b"first".to_vec(), b"second".to_vec(), b"third".to_vec()].into();
    app.closes_after = Some(3);
    app
}

fn wormhole(number: u8, config: Config) -> Wormhole {
    Wormhole::new(config, [number; 32], Conns::every(2, 0))
}

fn config() -> Config {
    Config::new("example.com/app").unwrap().mailbox("ws://example.com/v1")
}

fn code(text: &str) -> Code {
    Code::parse(text).unwrap()
}

fn both_are_content(world: &World) {
    for app in &world.apps {
        assert_eq!(app.result(), Some(Ok(())), "{:?}", app.events);
        assert_eq!(app.records(), [b"first".to_vec(), b"second".to_vec(), b"third".to_vec()]);
    }
}

fn verifier(world: &World, index: usize) -> Event {
    let found = world.apps[index].events.iter().find(|event| matches!(event, Event::Verifier(_)));
    found.cloned().unwrap()
}

fn is_down(event: &Event) -> bool {
    matches!(event, Event::LinkDown { .. })
}

fn moods(world: &World) -> Vec<String> {
    let closes = world.server.heard.iter().filter(|(_, command)| command["type"] == "close");
    closes.map(|(_, command)| command["mood"].as_str().unwrap().to_owned()).collect()
}
