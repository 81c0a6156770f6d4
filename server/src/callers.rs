//! What each address has used up: its connections at present, and what they have asked for in the running minute.

use alloc::collections::{BTreeMap, BTreeSet};
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use wormhole_core::driver::Instant;

use crate::limits::{self, PerAddress};

/// Whose connections are counted together: an address of IPv4, or a network of 64 bits of IPv6, of which one customer
/// has at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    V4(u32),
    V6(u64),
}

impl Origin {
    /// Where a caller comes from. One without an address came through a Unix socket, which belongs to whoever runs the
    /// server: it is not counted.
    pub(crate) fn of(peer: Option<SocketAddr>) -> Option<Self> {
        let address = peer?.ip().to_canonical();
        if address.is_unspecified() {
            return None;
        }
        Some(match address {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6(u64::try_from(address.to_bits() >> 64).unwrap_or(u64::MAX)),
        })
    }
}

/// Why a connection is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unentered {
    TooMany,
    TooFast,
}

impl Unentered {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::TooMany => "too many connections from one address",
            Self::TooFast => "too many new connections from one address",
        }
    }

    /// What the client is told. One that comes too fast hears nothing: it comes again by itself, and a word would end it.
    pub(crate) const fn word(self) -> Option<&'static str> {
        match self {
            Self::TooMany => Some("there are too many connections from your address; try again later"),
            Self::TooFast => None,
        }
    }
}

/// What is counted in a window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Connect,
    Allocate,
    /// Of a nameplate that nobody has.
    Claim,
    /// Of a nameplate that somebody has.
    Join,
    List,
}

impl Use {
    const fn window(self) -> Duration {
        match self {
            Self::Connect => Duration::from_secs(1),
            Self::Allocate | Self::Claim | Self::Join | Self::List => LONGEST,
        }
    }

    const fn limit(self, limits: &PerAddress) -> u32 {
        match self {
            Self::Connect => limits.connects,
            Self::Allocate => limits.allocates,
            Self::Claim => limits.claims,
            Self::Join => limits.joins,
            Self::List => limits.lists,
        }
    }
}

/// The longest window: whoever has been gone for so long has nothing left that counts.
const LONGEST: Duration = Duration::from_secs(60);

/// All addresses that have connections, or had some a moment ago.
#[derive(Debug)]
pub(crate) struct Callers {
    limits: PerAddress,
    known: BTreeMap<Origin, Caller>,
    /// Those without a connection, by when their last one has ended.
    gone: BTreeSet<(Instant, Origin)>,
}

#[derive(Debug, Default)]
struct Caller {
    connections: u32,
    /// When the last of them has ended, where there is none.
    gone: Instant,
    connects: Window,
    allocates: Window,
    claims: Window,
    joins: Window,
    lists: Window,
}

/// How often since a moment.
#[derive(Debug, Default)]
struct Window {
    since: Instant,
    count: u32,
}

impl Window {
    fn take(&mut self, limit: u32, length: Duration, now: Instant) -> bool {
        if self.count == 0 || self.since.plus(length) <= now {
            *self = Self { since: now, count: 0 };
        }
        if self.count >= limit {
            return false;
        }
        self.count = self.count.saturating_add(1);
        true
    }
}

impl Caller {
    const fn window(&mut self, of: Use) -> &mut Window {
        match of {
            Use::Connect => &mut self.connects,
            Use::Allocate => &mut self.allocates,
            Use::Claim => &mut self.claims,
            Use::Join => &mut self.joins,
            Use::List => &mut self.lists,
        }
    }
}

impl Callers {
    pub(crate) const fn new(limits: PerAddress) -> Self {
        Self { limits, known: BTreeMap::new(), gone: BTreeSet::new() }
    }

    /// Other limits from now on. What was used up stays so.
    pub(crate) fn limit(&mut self, limits: PerAddress) {
        self.limits = limits;
    }

    /// One more connection, or why not.
    pub(crate) fn enter(&mut self, origin: Origin, now: Instant) -> Result<(), Unentered> {
        self.forget(now);
        let caller = self.known.entry(origin).or_default();
        if caller.connections >= self.limits.connections {
            return Err(Unentered::TooMany);
        }
        if !caller.connects.take(self.limits.connects, Use::Connect.window(), now) {
            return Err(Unentered::TooFast);
        }
        if caller.connections == 0 {
            self.gone.remove(&(caller.gone, origin));
        }
        caller.connections = caller.connections.saturating_add(1);
        Ok(())
    }

    /// One connection less, of those that have entered.
    pub(crate) fn leave(&mut self, origin: Origin, now: Instant) {
        let Some(caller) = self.known.get_mut(&origin) else { return };
        caller.connections = caller.connections.saturating_sub(1);
        if caller.connections == 0 {
            caller.gone = now;
            self.gone.insert((now, origin));
        }
    }

    /// Uses something up, if there is some left.
    pub(crate) fn take(&mut self, origin: Option<Origin>, of: Use, now: Instant) -> bool {
        let limit = of.limit(&self.limits);
        match origin.and_then(|origin| self.known.get_mut(&origin)) {
            Some(caller) => caller.window(of).take(limit, of.window(), now),
            None => true,
        }
    }

    /// It was not needed after all.
    pub(crate) fn give_back(&mut self, origin: Option<Origin>, of: Use) {
        if let Some(caller) = origin.and_then(|origin| self.known.get_mut(&origin)) {
            let window = caller.window(of);
            window.count = window.count.saturating_sub(1);
        }
    }

    /// Forgets whoever has been gone for a window, and of too many those who have been gone the longest.
    fn forget(&mut self, now: Instant) {
        while let Some((gone, origin)) = self.gone.first().copied()
            && (gone.plus(LONGEST) <= now || self.known.len() >= limits::ADDRESSES)
        {
            self.gone.pop_first();
            self.known.remove(&origin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_64_bits_is_one_address() {
        let origin = |text: &str| Origin::of(Some(text.parse().unwrap()));
        assert_eq!(origin("[2001:db8:1:2::3]:5"), origin("[2001:db8:1:2:ffff::9]:6"));
        assert_ne!(origin("[2001:db8:1:2::3]:5"), origin("[2001:db8:1:3::3]:5"));
        assert_eq!(origin("[::ffff:10.0.0.1]:5"), origin("10.0.0.1:6"));
        assert_ne!(origin("10.0.0.1:5"), origin("10.0.0.2:5"));
        assert_eq!((Origin::of(None), origin("0.0.0.0:0"), origin("[::]:0")), (None, None, None));
    }

    #[test]
    fn connections_are_counted_at_a_time_and_by_the_second() {
        let limits = PerAddress { connections: 3, connects: 2, ..PerAddress::default() };
        let mut callers = Callers::new(limits);
        let enter = |callers: &mut Callers, now| callers.enter(A, at(now)).is_ok();
        assert_eq!([(); 3].map(|()| enter(&mut callers, 0)), [true, true, false]);
        assert_eq!([(); 2].map(|()| enter(&mut callers, 1000)), [true, false], "the fourth at a time");
        assert_eq!(callers.enter(B, at(1000)), Ok(()));
        callers.leave(A, at(2000));
        assert_eq!([(); 2].map(|()| enter(&mut callers, 2000)), [true, false]);
    }

    #[test]
    fn a_window_is_over_after_its_length_and_what_is_given_back_counts_no_more() {
        let mut callers = Callers::new(PerAddress { lists: 2, ..PerAddress::default() });
        callers.enter(A, at(0)).unwrap();
        let take = |callers: &mut Callers, now| callers.take(Some(A), Use::List, at(now));
        assert_eq!([5, 30_000, 60_004].map(|now| take(&mut callers, now)), [true, true, false]);
        assert_eq!([60_005, 60_006, 60_007].map(|now| take(&mut callers, now)), [true, true, false]);
        callers.give_back(Some(A), Use::List);
        assert!(take(&mut callers, 60_008));
        assert!(callers.take(None, Use::List, at(60_009)), "a caller without an address");
        assert!(callers.take(Some(A), Use::Claim, at(60_009)), "another use");
    }

    #[test]
    fn who_is_gone_is_forgotten_but_not_before_its_windows_are_over() {
        let mut callers = Callers::new(PerAddress { allocates: 1, ..PerAddress::default() });
        for moment in [0, 1000] {
            callers.enter(A, at(moment)).unwrap();
            assert_eq!(callers.take(Some(A), Use::Allocate, at(moment)), moment == 0);
            callers.leave(A, at(moment));
        }
        callers.enter(B, at(60_999)).unwrap();
        assert_eq!((callers.known.len(), callers.gone.len()), (2, 1));
        callers.enter(B, at(61_000)).unwrap();
        assert_eq!((callers.known.len(), callers.gone.len()), (1, 0));
    }

    #[test]
    fn a_flood_of_addresses_is_forgotten_from_its_beginning_and_who_is_connected_never() {
        let mut callers = Callers::new(PerAddress::default());
        callers.enter(A, at(0)).unwrap();
        for number in 0..u64::try_from(limits::ADDRESSES).unwrap() + 500 {
            let origin = Origin::V6(number);
            callers.enter(origin, at(number)).unwrap();
            callers.leave(origin, at(number));
            assert!(callers.known.len() <= limits::ADDRESSES);
        }
        assert!(callers.known.contains_key(&A) && !callers.known.contains_key(&Origin::V6(400)));
    }

    const A: Origin = Origin::V4(1);
    const B: Origin = Origin::V4(2);

    fn at(millis: u64) -> Instant {
        Instant::after_start(Duration::from_millis(millis))
    }
}
