//! Every wait of a transfer ends: for the offer, for the answer to it, for a connection. Our own user is never hurried.

use std::time::Duration;

use wormhole_core::defaults::{DECISION_LIMIT, Limits, OFFER_LIMIT, TRANSIT_LIMIT};
use wormhole_core::error::{Awaited, Error, PeerFault, ServerFault, TransitFault};
use wormhole_core::transfer::{Config, Offer};

use super::world::{Side, World, config, double, file, receiver, sender};

const MOMENT: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn a_sender_that_offers_nothing_is_given_up() {
    let transit = br#"{"transit": {}}"#.to_vec();
    for script in [vec![], vec![(0, transit)]] {
        let world = World::new(vec![double(script), receiver(config())]);
        gives_up(world, 1, OFFER_LIMIT, PeerFault::Silent(Awaited::Offer).into());
    }
}

#[test]
fn a_receiver_that_decides_nothing_is_given_up() {
    for offer in [file(7), Offer::Text("t".into())] {
        let world = World::new(vec![sender(config(), offer), double(vec![])]);
        gives_up(world, 0, DECISION_LIMIT, PeerFault::Silent(Awaited::Decision).into());
    }
}

#[test]
fn who_cannot_be_heard_because_the_server_is_away_is_not_blamed() {
    let mut world = World::new(vec![sender(config(), file(7)), double(vec![])]);
    world.rest();
    let told = world.net.cut_server();
    world.tell(told);
    gives_up(world, 0, DECISION_LIMIT, ServerFault::Gone.into());
}

#[test]
fn a_connection_that_nobody_makes_is_given_up() {
    let mut world = World::new(vec![sender(config(), file(7)), receiver(config())]);
    (world.net.direct_up, world.net.relay_up) = (false, false);
    world.rest();
    world.receiver().accept().unwrap();
    gives_up(world, 0, TRANSIT_LIMIT, TransitFault::TimedOut.into());
}

#[test]
fn limits_are_those_of_the_configuration() {
    let limits = Limits { offer: 5 * MOMENT, decision: 6 * MOMENT, transit: 7 * MOMENT, ..Limits::default() };
    let config = || {
        let config = config();
        Config { session: config.session.limits(limits), ..config }
    };
    let world = World::new(vec![double(vec![]), receiver(config())]);
    gives_up(world, 1, limits.offer, PeerFault::Silent(Awaited::Offer).into());
    let world = World::new(vec![sender(config(), file(7)), double(vec![])]);
    gives_up(world, 0, limits.decision, PeerFault::Silent(Awaited::Decision).into());
    let mut world = World::new(vec![sender(config(), file(7)), receiver(config())]);
    (world.net.direct_up, world.net.relay_up) = (false, false);
    world.rest();
    world.receiver().accept().unwrap();
    gives_up(world, 1, limits.transit, TransitFault::TimedOut.into());
}

#[test]
fn our_own_user_decides_and_compares_for_as_long_as_it_takes() {
    let mut world =
        World::new(vec![double(vec![(0, br#"{"offer": {"message": "t"}}"#.to_vec())]), receiver(config())]);
    world.run(DAY);
    assert_eq!(world.closed(1), None);
    world.receiver().accept().unwrap();
    world.rest();
    assert_eq!(world.closed(1), Some(&Ok(())));

    let verified = || Config { verify: true, ..config() };
    for sides in
        [vec![sender(verified(), file(7)), double(vec![])], vec![double(vec![]), receiver(verified())]]
    {
        let ours = usize::from(matches!(sides[0], Side::Double(_)));
        let mut world = World::new(sides);
        world.run(DAY);
        assert_eq!(world.closed(ours), None);
    }
}

/// It still waits a moment before the limit, and has ended soon after.
#[track_caller]
fn gives_up(mut world: World, node: usize, limit: Duration, error: Error) {
    world.run(limit - MOMENT);
    assert_eq!(world.closed(node), None);
    // The words to the peer, and the goodbye.
    world.run(MOMENT + Duration::from_secs(10));
    assert_eq!(world.closed(node), Some(&Err(error)));
}
