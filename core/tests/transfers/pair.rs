//! Two sides of ours, from the code to the end.

use std::time::Duration;

use serde_json::Value;
use wormhole_core::defaults::{
    CANCEL_LIMIT, CLOSE_LIMIT, LAST_WORDS_LIMIT, RELAY_DELAY, STORE_LIMIT, TRANSIT_LIMIT,
};
use wormhole_core::driver::Target;
use wormhole_core::error::{Error, Misuse, PeerFault, ServerFault, TransitFault};
use wormhole_core::transfer::{Event, Offer};
use wormhole_core::transit::Path;
use wormhole_core::untrusted::Text;
use wormhole_core::wire::peer;

use super::world::{World, config, double, file, receiver, sender};

#[test]
fn a_file_goes_by_the_direct_way() {
    let mut world = accepted(file(7), |_| {});
    assert!(matches!(world.offered(1), Some(peer::Offer::File { size: 7, .. })));
    assert!(world.events[0].contains(&Event::Answered));
    let (ours, theirs) = (world.settled(0).unwrap(), world.settled(1).unwrap());
    let is_direct = |path: &Path| matches!(path, Path::Direct { .. });
    assert!(is_direct(&ours.path) && is_direct(&theirs.path));
    end_well(&mut world);
    let phases: Vec<&str> = world.net.server.added.iter().map(|(_, phase)| phase.as_str()).collect();
    assert_eq!(phases.iter().filter(|phase| **phase == "0").count(), 2, "each side says `transit` once");
    assert_eq!(
        world.net.server.moods.iter().map(|(_, mood)| mood.as_str()).collect::<Vec<_>>(),
        ["happy"; 2]
    );
}

#[test]
fn a_directory_goes_by_the_relay_where_nobody_can_call() {
    let offer = Offer::Directory { name: "d".into(), zip_size: 7, bytes: 3, files: 1 };
    let mut world = accepted(offer, |world| world.net.direct_up = false);
    assert_eq!(world.settled(0), None, "the relay has its turn later");
    world.run(RELAY_DELAY);
    assert_eq!(world.settled(0).unwrap().path.to_string(), "->relay:tcp:relay.example:4001");
    end_well(&mut world);
}

#[test]
fn who_does_not_listen_is_met_at_the_relay_at_once() {
    let mut config = config();
    config.listen = false;
    let mut world = World::new(vec![sender(config.clone(), file(7)), receiver(config)]);
    world.rest();
    world.receiver().accept().unwrap();
    world.rest();
    assert!(matches!(world.settled(1).unwrap().path, Path::Relay { .. }));
    end_well(&mut world);
}

#[test]
fn bytes_may_come_one_by_one() {
    for direct_up in [true, false] {
        let mut world = accepted(file(7), |world| {
            world.net.in_bytes = true;
            world.net.direct_up = direct_up;
        });
        world.run(RELAY_DELAY);
        end_well(&mut world);
    }
}

#[test]
fn a_text_needs_no_connection() {
    let text = "zeile\n\u{1b}[31m \u{1f600}";
    let mut world = World::new(vec![sender(config(), Offer::Text(text.into())), receiver(config())]);
    world.rest();
    assert_eq!(world.offered(1), Some(&peer::Offer::Text(Text::from(text))));
    assert_eq!(world.closed(0), None);
    world.receiver().accept().unwrap();
    world.finish();
    assert_eq!((world.closed(0), world.closed(1)), (Some(&Ok(())), Some(&Ok(()))));
    assert!(world.net.dialled.iter().all(|(_, target)| matches!(target, Target::Mailbox(_))));
    assert_eq!(world.now, Duration::ZERO, "nothing in it takes time");
}

#[test]
fn the_receiver_of_a_text_leaves_only_when_its_answer_is_stored() {
    let mut world = World::new(vec![sender(config(), Offer::Text("hi".into())), receiver(config())]);
    world.rest();
    world.net.server.is_deaf = true;
    world.receiver().accept().unwrap();
    world.run(STORE_LIMIT / 2);
    assert_eq!(world.closed(1), None);
    world.run(STORE_LIMIT);
    assert_eq!(world.closed(1), Some(&Err(ServerFault::Untold.into())), "but not for ever");
}

#[test]
fn who_waits_for_an_answer_to_be_stored_may_leave_at_once() {
    let mut world = World::new(vec![sender(config(), Offer::Text("hi".into())), receiver(config())]);
    world.rest();
    world.net.server.is_deaf = true;
    world.receiver().accept().unwrap();
    world.run(Duration::from_secs(1));
    world.receiver().cancel();
    world.run(CANCEL_LIMIT);
    assert_eq!(world.closed(1), Some(&Err(Error::Cancelled)));
}

#[test]
fn the_receiver_of_an_empty_file_leaves_only_when_its_answer_is_stored() {
    let mut world = offered(file(0));
    let lost = world.net.cut_server();
    world.tell(lost);
    world.receiver().accept().unwrap();
    world.run(TRANSIT_LIMIT / 4);
    world.receiver().finish(Ok(()));
    world.run(CLOSE_LIMIT);
    assert_eq!((world.closed(0), world.closed(1)), (None, None));
    world.net.server_up = true;
    world.run(TRANSIT_LIMIT / 4);
    assert_eq!(world.closed(1), Some(&Ok(())));
}

#[test]
fn a_refusal_is_said_and_is_the_result_on_both_sides() {
    let mut world = offered(file(7));
    world.receiver().refuse(Error::Rejected).unwrap();
    world.finish();
    assert_eq!(world.closed(1), Some(&Err(Error::Rejected)));
    assert_eq!(world.closed(0), Some(&said("transfer rejected")));
    assert_eq!(world.receiver().accept(), Err(Misuse::Closed));
    assert_eq!(
        world.net.server.moods.iter().map(|(_, mood)| mood.as_str()).collect::<Vec<_>>(),
        ["happy"; 2]
    );
    assert_eq!(world.net.left_open(), []);
}

#[test]
fn our_own_failure_is_said_in_its_words() {
    let mut world = offered(file(7));
    world.receiver().refuse(Error::Failed("no space is left".into())).unwrap();
    world.finish();
    assert_eq!(world.closed(1), Some(&Err(Error::Failed("no space is left".into()))));
    assert_eq!(world.closed(0), Some(&said("no space is left")));
}

#[test]
fn either_side_may_cancel_at_any_time() {
    for cancels in [0, 1] {
        for stage in 0..4 {
            let mut world = World::new(vec![sender(config(), file(7)), receiver(config())]);
            if stage > 0 {
                world.rest();
            }
            if stage > 1 {
                world.net.direct_up = false;
                world.receiver().accept().unwrap();
                world.rest();
            }
            if stage > 2 {
                world.run(RELAY_DELAY);
                assert!(world.settled(0).is_some());
            }
            match cancels {
                0 => world.sender().cancel(),
                _ => world.receiver().cancel(),
            }
            world.run(CANCEL_LIMIT);
            assert_eq!(world.closed(cancels), Some(&Err(Error::Cancelled)), "side {cancels}, stage {stage}");
            if stage > 0 {
                assert_eq!(world.closed(1 - cancels), Some(&said("transfer cancelled")));
                assert_eq!(world.net.left_open(), []);
            }
        }
    }
}

#[test]
fn a_cancellation_does_not_wait_for_a_server_that_is_away() {
    let mut world = offered(file(7));
    let lost = world.net.cut_server();
    world.tell(lost);
    world.rest();
    world.sender().cancel();
    world.run(CANCEL_LIMIT);
    assert_eq!(world.closed(0), Some(&Err(Error::Cancelled)));
}

#[test]
fn an_error_of_the_peer_ends_it_while_content_flows() {
    let mut world = accepted(file(7), |_| {});
    world.receiver().finish(Err(Error::Failed("the disk is full".into())));
    world.rest();
    assert_eq!(world.closed(0), Some(&said("the disk is full")));
    // What the driver finds out afterwards changes nothing.
    world.sender().finish(Err(TransitFault::Unconfirmed("reset".into()).into()));
    world.finish();
    assert_eq!(world.events[0].iter().filter(|event| matches!(event, Event::Closed(_))).count(), 1);
}

#[test]
fn content_goes_on_without_the_server() {
    let mut world = accepted(file(7), |_| {});
    let lost = world.net.cut_server();
    world.tell(lost);
    world.run(Duration::from_secs(30));
    assert_eq!((world.closed(0), world.closed(1)), (None, None));
    end_well(&mut world);
    assert!(world.now < Duration::from_secs(30) + 2 * CLOSE_LIMIT, "{:?}", world.now);
}

#[test]
fn content_goes_on_when_the_server_fails_for_good() {
    let mut world = accepted(file(7), |_| {});
    let told = world.net.server_says(SERVER_ERROR);
    world.tell(told);
    world.run(Duration::from_secs(30));
    assert_eq!((world.closed(0), world.closed(1)), (None, None));
    end_well(&mut world);
}

#[test]
fn before_that_a_server_that_fails_ends_it() {
    let mut world = offered(file(7));
    let told = world.net.server_says(SERVER_ERROR);
    world.tell(told);
    world.finish();
    let failed = Err(ServerFault::Said(Text::from("out of order")).into());
    assert_eq!((world.closed(0), world.closed(1)), (Some(&failed), Some(&failed)));
    assert_eq!(world.net.left_open(), []);
}

#[test]
fn what_our_user_does_meanwhile_does_not_hide_why_the_session_failed() {
    let mut world = offered(file(7));
    let told = world.net.server_says(SERVER_ERROR);
    let inputs = told.len();
    world.tell(told);
    for _ in 0..inputs {
        world.turn();
    }
    world.receiver().accept().unwrap();
    world.finish();
    assert_eq!(world.closed(1), Some(&Err(ServerFault::Said(Text::from("out of order")).into())));
}

#[test]
fn who_has_nothing_to_say_does_not_wait_for_the_server() {
    let mut world = World::new(vec![sender(config(), file(7))]);
    world.net.server.is_deaf = true;
    world.rest();
    world.sender().finish(Err(Error::Failed("the disk is gone".into())));
    world.rest();
    assert_eq!(world.closed(0), Some(&Err(Error::Failed("the disk is gone".into()))));
}

#[test]
fn a_failure_of_the_content_is_said() {
    let mut world = accepted(file(7), |_| {});
    world.sender().finish(Err(TransitFault::WrongHash.into()));
    world.finish();
    assert_eq!(world.closed(0), Some(&Err(TransitFault::WrongHash.into())));
    assert_eq!(world.closed(1), Some(&said(&TransitFault::WrongHash.to_string())));
}

#[test]
fn the_peers_own_words_say_more_than_a_lost_connection() {
    let lost = TransitFault::Unconfirmed("reset".into());
    let mut world = accepted(file(7), |_| {});
    // The connection is gone before the peer's message has come by way of the server.
    world.sender().finish(Err(lost.clone().into()));
    world.receiver().finish(Err(Error::Failed("the disk is full".into())));
    world.finish();
    assert_eq!(world.closed(0), Some(&said("the disk is full")));

    // A peer that is silent is not waited for long.
    let script = vec![(2, TRANSIT.into()), (2, br#"{"answer":{"file_ack":"ok"}}"#.to_vec())];
    let mut world = World::new(vec![sender(config(), file(7)), double(script)]);
    world.rest();
    world.sender().finish(Err(lost.clone().into()));
    world.run(LAST_WORDS_LIMIT / 2);
    assert_eq!(world.closed(0), None);
    world.run(LAST_WORDS_LIMIT);
    assert_eq!(world.closed(0), Some(&Err(lost.into())));
}

#[test]
fn no_way_to_each_other_is_a_failure_of_both() {
    let mut world = accepted(file(7), |world| {
        world.net.direct_up = false;
        world.net.relay_up = false;
    });
    world.run(TRANSIT_LIMIT);
    for node in [0, 1] {
        let timed_out = Err(TransitFault::TimedOut.into());
        let told = said(&TransitFault::TimedOut.to_string());
        assert!([&timed_out, &told].contains(&world.closed(node).unwrap()), "{:?}", world.closed(node));
    }
}

#[test]
fn nothing_to_try_is_known_at_once() {
    let mut config = config();
    config.listen = false;
    config.relays = Vec::new();
    let mut world = World::new(vec![sender(config.clone(), file(7)), receiver(config)]);
    world.rest();
    world.receiver().accept().unwrap();
    world.finish();
    assert_eq!(world.now, Duration::ZERO);
    assert_eq!(world.closed(1), Some(&Err(TransitFault::NoContact.into())));
}

#[test]
fn nothing_is_offered_before_the_verifiers_are_compared() {
    let mut verified = config();
    verified.verify = true;
    let mut world = World::new(vec![sender(verified.clone(), file(7)), receiver(verified)]);
    world.finish();
    assert_eq!(world.verifier(0), world.verifier(1));
    assert_eq!(world.offered(1), None);
    assert!(world.receiver().accept().is_err());
    world.sender().confirm_verifier(true).unwrap();
    world.finish();
    assert_eq!(world.offered(1), None, "the receiver compares too");
    world.receiver().confirm_verifier(true).unwrap();
    world.rest();
    assert!(world.offered(1).is_some());
    assert!(world.receiver().confirm_verifier(true).is_err());
    world.receiver().accept().unwrap();
    world.rest();
    end_well(&mut world);
}

#[test]
fn verifiers_that_differ_end_it_in_the_known_words() {
    let words = [
        "sender rejected verification check, abandoned transfer",
        "receiver rejected verification check, abandoned transfer",
    ];
    for (refuses, words) in words.into_iter().enumerate() {
        let mut verified = config();
        verified.verify = true;
        let mut world = World::new(vec![sender(verified.clone(), file(7)), receiver(verified)]);
        world.rest();
        match refuses {
            0 => world.sender().confirm_verifier(false).unwrap(),
            _ => world.receiver().confirm_verifier(false).unwrap(),
        }
        world.finish();
        assert_eq!(world.closed(refuses), Some(&Err(Error::VerifierRefused)));
        assert_eq!(world.closed(1 - refuses), Some(&said(words)));
        // An answer that comes too late is nobody's fault.
        let late = match refuses {
            0 => world.receiver().confirm_verifier(true),
            _ => world.sender().confirm_verifier(true),
        };
        assert_eq!(late, Err(Misuse::Closed));
    }
}

#[test]
fn two_senders_find_out() {
    let mut world = World::new(vec![sender(config(), file(7)), double(vec![(1, OFFER.into())])]);
    world.finish();
    assert_eq!(world.closed(0), Some(&Err(PeerFault::SameRole.into())));
    let words = PeerFault::SameRole.to_string();
    let last: Value = serde_json::from_slice(world.heard(1).last().unwrap()).unwrap();
    assert_eq!(last, serde_json::json!({ "error": words }));
}

#[test]
fn a_connection_before_the_answer_is_held_until_it() {
    // The peer dials as soon as it has our hints, and we are connected before its user decides.
    let mut world = offered(file(7));
    world.net.server.is_deaf = true;
    world.receiver().accept().unwrap();
    world.rest();
    assert!(world.settled(1).is_some(), "the sender has said `go`");
    assert_eq!(world.settled(0), None, "but has no answer");
    world.sender().cancel();
    world.finish();
    assert_eq!(world.closed(0), Some(&Err(Error::Cancelled)));
    assert_eq!(world.net.partner((1, world.settled(1).unwrap().conn.0)), None, "it was let go");
}

#[test]
fn a_peer_without_hints_must_be_able_to_call() {
    // As wormhole-william receives: no hints, and it dials.
    let answer = br#"{"answer":{"file_ack":"ok"}}"#;
    let script = vec![(2, TRANSIT.into()), (2, answer.to_vec())];
    let mut world = World::new(vec![sender(config(), file(7)), double(script)]);
    world.rest();
    assert_eq!(world.closed(0), None);
    assert!(world.net.dialled.iter().any(|(node, target)| *node == 0 && matches!(target, Target::Relay(_))));
    world.finish();
    assert_eq!(world.closed(0), Some(&Err(TransitFault::TimedOut.into())));
}

#[test]
fn a_server_that_goes_and_comes_back_at_any_moment_is_only_a_delay() {
    for turns in 0..70 {
        let mut world = World::new(vec![sender(config(), file(7)), receiver(config())]);
        // The first dial decides whether the server can be used at all.
        while world.net.dialled.len() < 2 {
            world.turn();
        }
        world.turns(10 + turns);
        let lost = world.net.cut_server();
        world.tell(lost);
        world.net.server_up = true;
        world.run_accepting(Duration::from_secs(30));
        assert!(world.settled(0).is_some() && world.settled(1).is_some(), "after {turns} turns");
        end_well(&mut world);
    }
}

#[test]
fn a_connection_that_breaks_at_any_moment_leaves_nobody_waiting() {
    for turns in 0..120 {
        let mut world = World::new(vec![sender(config(), file(7)), receiver(config())]);
        world.turns(turns);
        for client in world.net.left_open() {
            let told = world.net.break_connection(client);
            world.tell(told);
        }
        world.run_accepting(2 * TRANSIT_LIMIT);
        if world.is_connected() {
            end_well(&mut world);
        } else {
            // Where a connection broke that was settled on, its driver notices.
            for node in [0, 1] {
                if world.closed(node).is_none() {
                    let lost = Err(TransitFault::Lost { got: 0, want: 7 }.into());
                    match node {
                        0 => world.sender().finish(lost),
                        _ => world.receiver().finish(lost),
                    }
                }
            }
            world.finish();
            assert!(world.closed(0).is_some() && world.closed(1).is_some(), "after {turns} turns");
        }
    }
}

const TRANSIT: &str =
    r#"{"transit":{"abilities-v1":[{"type":"direct-tcp-v1"},{"type":"relay-v1"}],"hints-v1":[]}}"#;
const OFFER: &str = r#"{"offer":{"file":{"filename":"a","filesize":1}}}"#;
const SERVER_ERROR: &str = r#"{"type":"error","error":"out of order","orig":{}}"#;

fn said(text: &str) -> Result<(), Error> {
    Err(PeerFault::Said(Text::from(text)).into())
}

/// Up to the receiver's question.
fn offered(offer: Offer) -> World {
    let mut world = World::new(vec![sender(config(), offer), receiver(config())]);
    world.rest();
    assert!(world.offered(1).is_some());
    world
}

/// Up to its answer, with what happens to the network before it.
fn accepted(offer: Offer, before: impl FnOnce(&mut World)) -> World {
    let mut world = offered(offer);
    before(&mut world);
    world.receiver().accept().unwrap();
    world.rest();
    world
}

/// The content flows, both sides find it good, and nothing is left behind.
fn end_well(world: &mut World) {
    world.exchange_content();
    world.receiver().finish(Ok(()));
    world.rest();
    world.sender().finish(Ok(()));
    world.finish();
    assert_eq!((world.closed(0), world.closed(1)), (Some(&Ok(())), Some(&Ok(()))));
    assert_eq!(world.net.left_open(), []);
}
