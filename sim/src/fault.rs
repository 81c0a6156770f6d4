//! What can go wrong: the faults of TCP, of names and of hosts, each drawn with its moment and its place.

use std::time::Duration;

use wormhole_core::driver::{Instant, Why};

use crate::chance::Chance;
use crate::net::{Life, MAILBOX, RELAY, Strike};

/// How long a mailbox server waits for a sign of life.
pub(crate) const SERVER_PATIENCE: Duration = Duration::from_secs(660);
/// After what time a system gives up a connection whose other end does not answer.
pub(crate) const KEEPALIVE: Duration = Duration::from_secs(390);

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Mailbox,
    Relay,
    Peer,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Dials fail for a while, and this is why.
    Dial { kind: Kind, why: Why, from: Instant, until: Instant },
    /// Something happens to a connection.
    Link(OnLink),
    /// Something happens to hosts.
    Host(Vec<(Duration, Strike)>),
    /// The server says messages again, and out of order.
    OddServer,
}

/// What happens to the n-th connection of its kind once so many bytes have gone in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OnLink {
    kind: Kind,
    nth: u64,
    pub(crate) side: usize,
    pub(crate) after: u64,
    pub(crate) what: What,
}

/// What can happen to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// It is cut; each end sees it after a time of its own.
    Cut([Duration; 2]),
    /// Nothing moves for a while.
    Stall(Duration),
    /// The other end hears that nothing more will come.
    HalfClose,
}

/// A sort of fault: the rows of the recovery table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sort {
    Refuse(Kind),
    NoName(Kind),
    Cut(Kind),
    Stall(Kind),
    HalfClose(Kind),
    Restart,
    Amnesia,
    RelayGone,
    Die,
    Freeze,
    Vanish,
    Suspend,
    Jump,
    OddServer,
    VanishUnseen,
}

impl Sort {
    /// All but those that are several faults at once.
    pub(crate) const ALONE: [Self; 23] = [
        Self::Refuse(Kind::Mailbox),
        Self::Refuse(Kind::Relay),
        Self::Refuse(Kind::Peer),
        Self::NoName(Kind::Mailbox),
        Self::NoName(Kind::Relay),
        Self::Cut(Kind::Mailbox),
        Self::Cut(Kind::Relay),
        Self::Cut(Kind::Peer),
        Self::Stall(Kind::Mailbox),
        Self::Stall(Kind::Relay),
        Self::Stall(Kind::Peer),
        Self::HalfClose(Kind::Mailbox),
        Self::HalfClose(Kind::Relay),
        Self::HalfClose(Kind::Peer),
        Self::Restart,
        Self::Amnesia,
        Self::RelayGone,
        Self::Die,
        Self::Freeze,
        Self::Vanish,
        Self::Suspend,
        Self::Jump,
        Self::OddServer,
    ];

    /// What the recovery table calls it.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Refuse(kind) => format!("{} refuses for a while", of(kind)),
            Self::NoName(kind) => format!("no name for the {} for a while", of(kind)),
            Self::Cut(kind) => format!("connection to the {} cut", of(kind)),
            Self::Stall(kind) => format!("connection to the {} stalls", of(kind)),
            Self::HalfClose(kind) => format!("connection to the {} half closed", of(kind)),
            Self::Restart => "mailbox server restarts with its store".into(),
            Self::Amnesia => "mailbox server restarts without its store".into(),
            Self::RelayGone => "relay gone".into(),
            Self::Die => "a client is killed".into(),
            Self::Freeze => "a client stops for ever".into(),
            Self::Vanish => "a client vanishes".into(),
            Self::Suspend => "a client is suspended".into(),
            Self::Jump => "a clock jumps".into(),
            Self::OddServer => "messages repeated and reordered".into(),
            Self::VanishUnseen => "a client vanishes while the mailbox server restarts".into(),
        }
    }

    /// Whether both sides have to succeed all the same: it passes, and touches nothing that cannot be had again.
    pub(crate) const fn is_mended(self) -> bool {
        match self {
            Self::Cut(Kind::Mailbox)
            | Self::Stall(Kind::Mailbox)
            | Self::HalfClose(Kind::Mailbox)
            | Self::Restart
            | Self::OddServer
            | Self::Refuse(Kind::Peer | Kind::Relay)
            | Self::NoName(Kind::Peer | Kind::Relay)
            | Self::Stall(Kind::Peer | Kind::Relay) => true,
            Self::Refuse(Kind::Mailbox)
            | Self::NoName(Kind::Mailbox)
            | Self::Cut(Kind::Relay | Kind::Peer)
            | Self::HalfClose(Kind::Relay | Kind::Peer)
            | Self::Amnesia
            | Self::RelayGone
            | Self::Die
            | Self::Freeze
            | Self::Vanish
            | Self::Suspend
            | Self::Jump
            | Self::VanishUnseen => false,
        }
    }

    /// Whether it leaves the way to the mailbox server alone, so that whoever closes is heard.
    pub(crate) const fn spares_mailbox(self) -> bool {
        match self {
            Self::Refuse(kind)
            | Self::NoName(kind)
            | Self::Cut(kind)
            | Self::Stall(kind)
            | Self::HalfClose(kind) => !matches!(kind, Kind::Mailbox),
            Self::RelayGone | Self::OddServer => true,
            Self::Restart
            | Self::Amnesia
            | Self::Die
            | Self::Freeze
            | Self::Vanish
            | Self::Suspend
            | Self::Jump
            | Self::VanishUnseen => false,
        }
    }

    /// One of this sort.
    pub(crate) fn draw(self, chance: &mut Chance, clients: u64, talks: u64) -> Fault {
        // Most of a world happens in its first seconds.
        let bound = chance.pick(4_000, &[1_000, 20_000]);
        let at = chance.millis(bound);
        let host = RELAY + 1 + usize::try_from(chance.below(clients)).unwrap_or(0);
        let lasts = |chance: &mut Chance| {
            let bound = chance.pick(3_000, &[30_000]);
            chance.millis(bound)
        };
        let dial = |kind, why, chance: &mut Chance| {
            let from = Instant::after_start(at);
            Fault::Dial { kind, why, from, until: from.plus(lasts(chance)) }
        };
        let then = |time| at.saturating_add(time);
        let up = |keep| Strike::Up { host: MAILBOX, keep };
        Fault::Host(match self {
            Self::Refuse(kind) => return dial(kind, Why::Refused, chance),
            Self::NoName(kind) => return dial(kind, Why::NoSuchName, chance),
            Self::Cut(kind) => {
                let place = OnLink::draw(kind, talks, chance);
                let seen = [chance.millis(5_000), chance.millis(5_000)];
                return Fault::Link(OnLink { what: What::Cut(seen), ..place });
            }
            Self::Stall(kind) => {
                let place = OnLink::draw(kind, talks, chance);
                return Fault::Link(OnLink { what: What::Stall(lasts(chance)), ..place });
            }
            Self::HalfClose(kind) => return Fault::Link(OnLink::draw(kind, talks, chance)),
            Self::OddServer => return Fault::OddServer,
            Self::Restart | Self::Amnesia => {
                vec![(at, Strike::Down(MAILBOX)), (then(lasts(chance)), up(self == Self::Restart))]
            }
            Self::VanishUnseen => {
                let lasts = lasts(chance);
                let gone = (then(lasts / 2), Strike::Stop(host, Life::Vanished));
                vec![(at, Strike::Down(MAILBOX)), gone, (then(lasts), up(true))]
            }
            Self::RelayGone => vec![(at, Strike::Down(RELAY))],
            Self::Die => vec![(at, Strike::Stop(host, Life::Dead))],
            Self::Freeze => vec![(at, Strike::Stop(host, Life::Frozen))],
            Self::Vanish => vec![(at, Strike::Stop(host, Life::Vanished))],
            Self::Suspend => {
                let bound = chance.pick(60_000, &[3_600_000]);
                let lasts = chance.millis(bound);
                let mut strikes =
                    vec![(at, Strike::Stop(host, Life::Suspended)), (then(lasts), Strike::GoOn(host))];
                if lasts > SERVER_PATIENCE {
                    strikes.push((then(SERVER_PATIENCE), Strike::Silent(host)));
                }
                strikes
            }
            Self::Jump => {
                let bound = chance.pick(60_000, &[86_400_000]);
                vec![(at, Strike::Jump(host, chance.millis(bound)))]
            }
        })
    }
}

impl Fault {
    /// Whether it has a dial that is made now fail so.
    pub(crate) fn fails(&self, dial: Kind, so: &Why, now: Instant) -> bool {
        matches!(self, Self::Dial { kind, why, from, until } if *kind == dial && why == so && (*from..*until).contains(&now))
    }

    /// From when until when it has dials of this kind fail, if it does.
    pub(crate) fn away(&self, dial: Kind) -> Option<(Instant, Instant)> {
        match self {
            Self::Dial { kind, from, until, .. } => (*kind == dial).then_some((*from, *until)),
            Self::Link(_) | Self::Host(_) | Self::OddServer => None,
        }
    }

    /// What it does to the n-th connection of this kind.
    pub(crate) fn on_link(&self, kind: Kind, nth: u64) -> Option<OnLink> {
        match self {
            Self::Link(on) => Some(*on).filter(|on| on.kind == kind && on.nth == nth),
            Self::Dial { .. } | Self::Host(_) | Self::OddServer => None,
        }
    }

    /// What it does to hosts, and when.
    pub(crate) fn strikes(&self) -> &[(Duration, Strike)] {
        match self {
            Self::Host(strikes) => strikes,
            Self::Dial { .. } | Self::Link(_) | Self::OddServer => &[],
        }
    }
}

impl OnLink {
    /// A connection, a direction in which it is half closed, and after how many bytes.
    fn draw(kind: Kind, talks: u64, chance: &mut Chance) -> Self {
        let bound = match kind {
            // A session says about two thousand bytes.
            Kind::Mailbox => 4_000,
            // The handshake, and then the content.
            Kind::Relay | Kind::Peer => chance.pick(300, &[10_000, 100_000]),
        };
        let nth = chance.below(talks.saturating_mul(3));
        let side = usize::from(chance.one_in(2));
        Self { kind, nth, side, after: chance.below(bound), what: What::HalfClose }
    }
}

const fn of(kind: Kind) -> &'static str {
    match kind {
        Kind::Mailbox => "mailbox server",
        Kind::Relay => "relay",
        Kind::Peer => "peer",
    }
}
