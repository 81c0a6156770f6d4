//! What can go wrong: the faults of TCP, of names and of hosts, each drawn with its moment and its place.

use std::time::Duration;

use wormhole_core::driver::Instant;

use crate::chance::Chance;
use crate::net::{HostId, Life, MAILBOX, RELAY, Strike};

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

/// A span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    from: Duration,
    lasts: Duration,
}

impl Span {
    fn holds(self, now: Instant) -> bool {
        let now = now.since_start();
        self.from <= now && now < self.from.saturating_add(self.lasts)
    }
}

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Dials are refused.
    Refuse { kind: Kind, span: Span },
    /// The name has no address.
    NoName { kind: Kind, span: Span },
    /// Something happens to the n-th connection of its kind.
    Link { kind: Kind, nth: u64, what: OnLink },
    /// The mailbox server is ended, and starts again with what it knew, or without.
    Restart { at: Duration, lasts: Duration, keep: bool },
    /// The relay is ended.
    RelayGone { at: Duration },
    /// A client does nothing more.
    Stop { host: HostId, at: Duration, life: Life },
    /// A client stands still for a while.
    Suspend { host: HostId, at: Duration, lasts: Duration },
    /// The clock of a client jumps ahead.
    Jump { host: HostId, at: Duration, by: Duration },
    /// The server says messages again, and out of order.
    OddServer,
    /// A client vanishes while the mailbox server is away, which comes back with what it knew.
    VanishUnseen { host: HostId, at: Duration, lasts: Duration },
}

/// What happens to a connection once so many bytes have gone in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnLink {
    /// It is cut; each end sees it after a time of its own.
    Cut { side: usize, after: u64, seen: [Duration; 2] },
    /// Nothing moves for a while.
    Stall { side: usize, after: u64, lasts: Duration },
    /// The other end hears that nothing more will come.
    HalfClose { side: usize, after: u64 },
}

impl OnLink {
    pub(crate) const fn side(self) -> usize {
        match self {
            Self::Cut { side, .. } | Self::Stall { side, .. } | Self::HalfClose { side, .. } => side,
        }
    }

    pub(crate) const fn after(self) -> u64 {
        match self {
            Self::Cut { after, .. } | Self::Stall { after, .. } | Self::HalfClose { after, .. } => after,
        }
    }
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
        let span = |chance: &mut Chance| {
            let bound = chance.pick(3_000, &[30_000]);
            Span { from: at, lasts: chance.millis(bound) }
        };
        match self {
            Self::Refuse(kind) => Fault::Refuse { kind, span: span(chance) },
            Self::NoName(kind) => Fault::NoName { kind, span: span(chance) },
            Self::Cut(kind) => {
                let (nth, side, after) = place(chance, kind, talks);
                let seen = [chance.millis(5_000), chance.millis(5_000)];
                Fault::Link { kind, nth, what: OnLink::Cut { side, after, seen } }
            }
            Self::Stall(kind) => {
                let (nth, side, after) = place(chance, kind, talks);
                let lasts = span(chance).lasts;
                Fault::Link { kind, nth, what: OnLink::Stall { side, after, lasts } }
            }
            Self::HalfClose(kind) => {
                let (nth, side, after) = place(chance, kind, talks);
                Fault::Link { kind, nth, what: OnLink::HalfClose { side, after } }
            }
            Self::Restart | Self::Amnesia => {
                Fault::Restart { at, lasts: span(chance).lasts, keep: self == Self::Restart }
            }
            Self::RelayGone => Fault::RelayGone { at },
            Self::Die => Fault::Stop { host, at, life: Life::Dead },
            Self::Freeze => Fault::Stop { host, at, life: Life::Frozen },
            Self::Vanish => Fault::Stop { host, at, life: Life::Vanished },
            Self::Suspend => {
                let bound = chance.pick(60_000, &[3_600_000]);
                Fault::Suspend { host, at, lasts: chance.millis(bound) }
            }
            Self::Jump => {
                let bound = chance.pick(60_000, &[86_400_000]);
                Fault::Jump { host, at, by: chance.millis(bound) }
            }
            Self::OddServer => Fault::OddServer,
            Self::VanishUnseen => Fault::VanishUnseen { host, at, lasts: span(chance).lasts },
        }
    }
}

impl Fault {
    pub(crate) fn refuses(&self, kind: Kind, now: Instant) -> bool {
        matches!(self, Self::Refuse { kind: of, span } if *of == kind && span.holds(now))
    }

    pub(crate) fn hides_name(&self, kind: Kind, now: Instant) -> bool {
        matches!(self, Self::NoName { kind: of, span } if *of == kind && span.holds(now))
    }

    pub(crate) fn on_link(&self, kind: Kind, nth: u64) -> Option<OnLink> {
        match self {
            Self::Link { kind: of, nth: number, what } if *of == kind && *number == nth => Some(*what),
            Self::Link { .. }
            | Self::Refuse { .. }
            | Self::NoName { .. }
            | Self::Restart { .. }
            | Self::RelayGone { .. }
            | Self::Stop { .. }
            | Self::Suspend { .. }
            | Self::Jump { .. }
            | Self::OddServer
            | Self::VanishUnseen { .. } => None,
        }
    }

    pub(crate) const fn is_odd_server(&self) -> bool {
        matches!(self, Self::OddServer)
    }

    /// What it does to hosts, and when.
    pub(crate) fn strikes(&self) -> Vec<(Duration, Strike)> {
        match *self {
            Self::Restart { at, lasts, keep } => {
                let up = Strike::Up { host: MAILBOX, keep };
                vec![(at, Strike::Down(MAILBOX)), (at.saturating_add(lasts), up)]
            }
            Self::VanishUnseen { host, at, lasts } => {
                let up = Strike::Up { host: MAILBOX, keep: true };
                let gone = Strike::Stop(host, Life::Vanished);
                vec![
                    (at, Strike::Down(MAILBOX)),
                    (at.saturating_add(lasts / 2), gone),
                    (at.saturating_add(lasts), up),
                ]
            }
            Self::RelayGone { at } => vec![(at, Strike::Down(RELAY))],
            Self::Stop { host, at, life } => vec![(at, Strike::Stop(host, life))],
            Self::Suspend { host, at, lasts } => {
                let until = at.saturating_add(lasts);
                let mut strikes =
                    vec![(at, Strike::Stop(host, Life::Suspended)), (until, Strike::GoOn(host))];
                if lasts > SERVER_PATIENCE {
                    strikes.push((at.saturating_add(SERVER_PATIENCE), Strike::Silent(host)));
                }
                strikes
            }
            Self::Jump { host, at, by } => vec![(at, Strike::Jump(host, by))],
            Self::Refuse { .. } | Self::NoName { .. } | Self::Link { .. } | Self::OddServer => Vec::new(),
        }
    }
}

/// Which connection, in which direction, after how many bytes.
fn place(chance: &mut Chance, kind: Kind, talks: u64) -> (u64, usize, u64) {
    let bound = match kind {
        // A session says about two thousand bytes.
        Kind::Mailbox => 4_000,
        // The handshake, and then the content.
        Kind::Relay | Kind::Peer => chance.pick(300, &[10_000, 100_000]),
    };
    (chance.below(talks.saturating_mul(3)), usize::from(chance.one_in(2)), chance.below(bound))
}

const fn of(kind: Kind) -> &'static str {
    match kind {
        Kind::Mailbox => "mailbox server",
        Kind::Relay => "relay",
        Kind::Peer => "peer",
    }
}
