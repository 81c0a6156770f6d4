//! Hints: what we say about where we can be reached, and what is still to be tried of what the peer said.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::defaults::{DIRECT_HINTS, RELAY_HINTS};
use crate::driver::Address;
use crate::wire::hints::{Ability, DirectHint, Hint, Priority, TransitInfo};

/// Relay endpoints tried in one race, ours and the peer's together.
const RELAY_ENDPOINTS: usize = 32;

/// What we tell the peer: both abilities, the addresses at which we listen, and our relays.
///
/// Only IP literals that somebody else can dial go out: one program refuses a whole message for one bad port, and
/// dials no names (`docs/transit.md`, "Hints").
pub(crate) fn ours(listening: &[Address], relays: &[DirectHint]) -> TransitInfo {
    let direct = listening
        .iter()
        .filter(|at| is_dialable(at))
        .take(DIRECT_HINTS)
        .map(|at| Hint::Direct(DirectHint { address: at.clone(), priority: Priority::default() }));
    let relays = relays.iter().take(RELAY_HINTS).map(|relay| Hint::Relay(Vec::from([relay.clone()])));
    TransitInfo {
        abilities: Vec::from([Ability::DirectTcp, Ability::Relay]),
        hints: direct.chain(relays).collect(),
    }
}

fn is_dialable(at: &Address) -> bool {
    let is_literal = match at.host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => !ip.is_unspecified(),
        // A link-local address means nothing without the scope, which is ours and not the peer's.
        Ok(IpAddr::V6(ip)) => !ip.is_unspecified() && !ip.is_unicast_link_local(),
        Err(_) => false,
    };
    is_literal && at.port != 0
}

/// What is to be dialled, each address once and no more than the limits allow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Candidates {
    direct: Vec<Address>,
    relays: Vec<DirectHint>,
    known_direct: BTreeSet<Address>,
    known_relays: BTreeSet<Address>,
    /// Relay hints believed from the peer so far.
    believed: usize,
    /// Tor dials for us.
    tor: bool,
    /// The peer has said something, if only that it cannot be reached.
    pub(crate) heard: bool,
}

impl Candidates {
    /// Our own relays, to begin with.
    pub(crate) fn new(relays: &[DirectHint]) -> Self {
        let mut candidates = Self::default();
        for relay in relays {
            candidates.add_relay(relay);
        }
        candidates
    }

    /// Tor dials for us: these relays of ours may have been left out.
    pub(crate) fn go_through_tor(&mut self, relays: &[DirectHint]) {
        self.tor = true;
        for relay in relays {
            self.add_relay(relay);
        }
    }

    /// Adds what the peer says; what it repeats is known already, what is beyond the limits is not believed.
    pub(crate) fn add(&mut self, theirs: &TransitInfo) {
        self.heard = true;
        for hint in &theirs.hints {
            match hint {
                Hint::Direct(direct) => self.add_direct(&direct.address),
                Hint::Relay(endpoints) if self.believed < RELAY_HINTS => {
                    self.believed = self.believed.saturating_add(1);
                    for endpoint in endpoints {
                        self.add_relay(endpoint);
                    }
                }
                Hint::Tor(direct) if self.tor => self.add_direct(&direct.address),
                // Without Tor its address may lead nowhere.
                Hint::Tor(_) | Hint::Relay(_) => {}
            }
        }
    }

    /// The direct addresses not yet handed out.
    pub(crate) fn take_direct(&mut self) -> Vec<Address> {
        core::mem::take(&mut self.direct)
    }

    /// The relays not yet handed out that share the highest priority among these.
    pub(crate) fn take_relays(&mut self) -> Vec<Address> {
        let Some(best) = self.relays.iter().map(|relay| relay.priority).max() else { return Vec::new() };
        let (group, lower) = self.relays.drain(..).partition::<Vec<_>, _>(|relay| relay.priority == best);
        self.relays = lower;
        group.into_iter().map(|relay| relay.address).collect()
    }

    /// Whether a direct address waits to be dialled.
    pub(crate) fn has_direct(&self) -> bool {
        !self.direct.is_empty()
    }

    /// Whether a relay waits for its turn.
    pub(crate) fn has_relays(&self) -> bool {
        !self.relays.is_empty()
    }

    /// Whether nothing waits to be tried.
    pub(crate) fn is_empty(&self) -> bool {
        self.direct.is_empty() && self.relays.is_empty()
    }

    fn add_direct(&mut self, address: &Address) {
        let is_new = self.can_be_dialled(address) && self.known_direct.len() < DIRECT_HINTS;
        if is_new && self.known_direct.insert(address.clone()) {
            self.direct.push(address.clone());
        }
    }

    fn add_relay(&mut self, relay: &DirectHint) {
        let is_new = self.can_be_dialled(&relay.address) && self.known_relays.len() < RELAY_ENDPOINTS;
        if is_new && self.known_relays.insert(relay.address.clone()) {
            self.relays.push(relay.clone());
        }
    }

    /// Names below `onion` lead nowhere without Tor, and whoever asks a resolver for one tells who is visited (RFC 7686).
    fn can_be_dialled(&self, address: &Address) -> bool {
        let last = address.host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
        address.port != 0 && (self.tor || !last.eq_ignore_ascii_case("onion"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_others_can_dial_is_said() {
        let listening = ["10.1.2.3", "2001:db8::7", "fe80::1", "0.0.0.0", "::", "host.example"];
        let listening: Vec<Address> = listening.iter().map(|host| Address::new(*host, 7)).collect();
        let mut listening_at = listening;
        listening_at.push(Address::new("10.1.2.3", 0));
        let info = ours(&listening_at, &[relay("r", 4001, 2.0)]);
        assert_eq!(info.abilities, [Ability::DirectTcp, Ability::Relay]);
        let direct = |host: &str| {
            Hint::Direct(DirectHint { address: Address::new(host, 7), priority: Priority::default() })
        };
        let expected =
            [direct("10.1.2.3"), direct("2001:db8::7"), Hint::Relay(Vec::from([relay("r", 4001, 2.0)]))];
        assert_eq!(info.hints, expected);
    }

    #[test]
    fn each_address_is_tried_once_whoever_names_it() {
        let mut candidates = Candidates::new(&[relay("ours", 1, 0.0)]);
        let theirs = TransitInfo {
            abilities: Vec::new(),
            hints: Vec::from([
                direct("10.0.0.1", 5),
                direct("10.0.0.1", 5),
                direct("10.0.0.1", 6),
                direct("10.0.0.1", 0),
                Hint::Tor(relay("x.onion", 1, 0.0)),
                direct("x.Onion.", 1),
                Hint::Relay(Vec::from([relay("x.onion", 1, 0.0)])),
                Hint::Relay(Vec::from([relay("ours", 1, 0.0), relay("theirs", 2, 0.0)])),
            ]),
        };
        candidates.add(&theirs);
        candidates.add(&theirs);
        assert_eq!(candidates.take_direct(), [Address::new("10.0.0.1", 5), Address::new("10.0.0.1", 6)]);
        assert_eq!(candidates.take_relays(), [Address::new("ours", 1), Address::new("theirs", 2)]);
        assert!(candidates.is_empty());
        candidates.add(&theirs);
        assert!(candidates.is_empty());
    }

    #[test]
    fn through_tor_its_own_names_are_tried_too() {
        let own = [relay("ours.onion", 1, 0.0), relay("ours", 1, 0.0)];
        let mut candidates = Candidates::new(&own);
        candidates.go_through_tor(&own);
        candidates.add(&TransitInfo {
            abilities: Vec::new(),
            hints: Vec::from([Hint::Tor(relay("x.onion", 1, 0.0)), direct("y.onion", 1)]),
        });
        assert_eq!(candidates.take_direct(), [Address::new("x.onion", 1), Address::new("y.onion", 1)]);
        assert_eq!(candidates.take_relays(), [Address::new("ours", 1), Address::new("ours.onion", 1)]);
    }

    #[test]
    fn relays_come_by_priority() {
        let mut candidates = Candidates::new(&[relay("low", 1, -1.0), relay("high", 1, 2.5)]);
        candidates.add(&TransitInfo {
            abilities: Vec::new(),
            hints: Vec::from([Hint::Relay(Vec::from([relay("high too", 1, 2.5)]))]),
        });
        assert_eq!(candidates.take_relays(), [Address::new("high", 1), Address::new("high too", 1)]);
        assert_eq!(candidates.take_relays(), [Address::new("low", 1)]);
        assert!(candidates.take_relays().is_empty());
    }

    #[test]
    fn a_peer_is_believed_only_so_much_however_often_it_speaks() {
        let mut candidates = Candidates::default();
        for round in 0..100_u16 {
            let many = |port| direct("10.0.0.1", 1 + round * 10 + port);
            let mut hints: Vec<Hint> = (0..10).map(many).collect();
            let endpoints = (0..8).map(|port| relay("r", 1 + round * 10 + port, 0.0));
            hints.push(Hint::Relay(endpoints.collect()));
            candidates.add(&TransitInfo { abilities: Vec::new(), hints });
        }
        assert_eq!(candidates.take_direct().len(), DIRECT_HINTS);
        assert_eq!(candidates.take_relays().len(), RELAY_HINTS * 8);
    }

    fn direct(host: &str, port: u16) -> Hint {
        Hint::Direct(relay(host, port, 0.0))
    }

    fn relay(host: &str, port: u16, priority: f64) -> DirectHint {
        DirectHint { address: Address::new(host, port), priority: Priority::new(priority).unwrap() }
    }
}
