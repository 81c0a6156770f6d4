//! The network: hosts, what flows between them, and what is to happen when. All of it is data; a world steps it.
//!
//! Time is that of the earliest event. Whoever waits is woken by what happens to it, through the waker that it left.

mod dial;
mod link;
mod sniff;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use wormhole_core::driver::{Conn, Input, Instant, Why};
use wormhole_core::rng::Seed;

pub(crate) use self::link::{EndId, Link};
use crate::chance::Chance;
use crate::fault::{Fault, Kind};

/// Number of a host. The first is the mailbox server, the second the relay, all others are clients.
pub(crate) type HostId = usize;

pub(crate) const MAILBOX: HostId = 0;
pub(crate) const RELAY: HostId = 1;
/// The most inputs that wait for one host. Nobody has more connections and writes under way than that.
const INBOX_LIMIT: usize = 1000;

/// The network, shared by all that are on it.
#[derive(Clone, Debug)]
pub(crate) struct Net(Arc<Mutex<State>>);

impl Net {
    pub(crate) fn new(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    /// One world is one thread, so nobody ever waits here.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) now: Instant,
    pub(crate) chance: Chance,
    pub(crate) hosts: Vec<Host>,
    pub(crate) links: Vec<Link>,
    pub(crate) faults: Vec<Fault>,
    /// When the last fault struck, or ended.
    pub(crate) struck: Option<Instant>,
    /// The first invariant that did not hold.
    pub(crate) broken: Option<String>,
    /// What is to happen, and when; what is at the same time happens in the order in which it was noted.
    events: BTreeMap<(Instant, u64), Event>,
    sequence: u64,
    /// How many links there were of each kind.
    opened: BTreeMap<Kind, u64>,
    trace: Option<Vec<String>>,
}

/// One computer.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) name: String,
    /// It answers no dial of a peer.
    pub(crate) firewalled: bool,
    pub(crate) life: Life,
    /// When it was last let go on.
    pub(crate) resumed: Instant,
    /// How far its clock is ahead.
    pub(crate) ahead: Duration,
    pub(crate) inbox: VecDeque<Input>,
    pub(crate) slots: BTreeMap<Conn, Slot>,
    pub(crate) waker: Option<Waker>,
    /// The timer that is set, so that it is not set twice.
    timer: Option<Instant>,
    next_port: u16,
    pub(crate) sniffed: sniff::Sniffed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Runs,
    /// It stands still until somebody lets it go on.
    Suspended,
    /// It will never do anything again; its connections stand, and its system takes what fits.
    Frozen,
    /// It will never do anything again, and nothing comes or goes.
    Vanished,
    /// It was ended, and its system has closed its connections.
    Dead,
}

/// What a number of a connection stands for.
#[derive(Debug)]
pub(crate) enum Slot {
    Dialling,
    Listening(Listening),
    Awaited { at: Conn },
    Open(EndId),
}

#[derive(Debug)]
pub(crate) struct Listening {
    port: u16,
    waiting: VecDeque<Conn>,
    callers: VecDeque<EndId>,
}

/// What is to happen.
#[derive(Debug)]
pub(crate) enum Event {
    Wake(HostId),
    Dialled {
        host: HostId,
        conn: Conn,
        to: dial::To,
    },
    Failed {
        host: HostId,
        conn: Conn,
        why: Why,
    },
    Connected {
        host: HostId,
        conn: Conn,
        end: EndId,
    },
    Arrived {
        at: EndId,
        bytes: Vec<u8>,
        late: bool,
    },
    Ended(EndId),
    Broken(EndId, Why),
    /// What could not leave in time is lost.
    Left(EndId),
    /// Not the network's: the world is to see to it.
    Strike(Strike),
}

/// What happens to a host as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strike {
    Stop(HostId, Life),
    GoOn(HostId),
    Jump(HostId, Duration),
    /// Those who have heard nothing from it for long believe it gone.
    Silent(HostId),
    Down(HostId),
    Up {
        host: HostId,
        keep: bool,
    },
}

impl State {
    pub(crate) fn new(chance: Chance, faults: Vec<Fault>, traced: bool) -> Self {
        Self {
            now: Instant::START,
            chance,
            hosts: Vec::new(),
            links: Vec::new(),
            faults,
            struck: None,
            broken: None,
            events: BTreeMap::new(),
            sequence: 0,
            opened: BTreeMap::new(),
            trace: traced.then(Vec::new),
        }
    }

    pub(crate) fn add_host(&mut self, name: &str, firewalled: bool) -> HostId {
        self.hosts.push(Host {
            name: name.into(),
            firewalled,
            life: Life::Runs,
            resumed: Instant::START,
            ahead: Duration::ZERO,
            inbox: VecDeque::new(),
            slots: BTreeMap::new(),
            waker: None,
            timer: None,
            next_port: 40_000,
            sniffed: sniff::Sniffed::default(),
        });
        self.hosts.len().saturating_sub(1)
    }

    pub(crate) fn seed(&mut self) -> Seed {
        self.chance.seed()
    }

    /// The time as this host sees it.
    pub(crate) fn clock(&self, host: HostId) -> Instant {
        let ahead = self.hosts.get(host).map_or(Duration::ZERO, |host| host.ahead);
        self.now.plus(ahead)
    }

    /// Has the waker called at this moment of the host's clock, or when anything happens to it.
    pub(crate) fn wait(&mut self, host: HostId, cx: &Context<'_>, until: Option<Instant>) {
        let Some(waiting) = self.hosts.get_mut(host) else { return };
        match &mut waiting.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        let Some(until) = until else { return };
        let at = self.now.plus(until.saturating_since(self.now.plus(waiting.ahead)));
        if waiting.timer.is_none_or(|timer| timer <= self.now || at < timer) {
            waiting.timer = Some(at);
            self.at(at, Event::Wake(host));
        }
    }

    pub(crate) fn at(&mut self, at: Instant, event: Event) {
        self.sequence = self.sequence.saturating_add(1);
        self.events.insert((at, self.sequence), event);
    }

    pub(crate) fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.now.plus(delay), event);
    }

    /// The next thing happens, if it does before `limit`. What is the world's to do is given out.
    pub(crate) fn step(&mut self, limit: Instant) -> Option<Option<Strike>> {
        let next = self.events.first_entry().filter(|next| next.key().0 <= limit)?;
        let ((at, _), event) = next.remove_entry();
        self.now = self.now.max(at);
        match event {
            Event::Wake(host) => self.wake(host),
            Event::Dialled { host, conn, to } => self.dialled(host, conn, to),
            Event::Failed { host, conn, why } => self.closed(host, conn, why),
            Event::Connected { host, conn, end } => self.connected(host, conn, end),
            Event::Arrived { at, bytes, late } => self.arrived(at, bytes, late),
            Event::Ended(end) => self.ended(end, Why::Ended),
            Event::Broken(end, why) => self.broke(end, why),
            Event::Left(end) => self.left(end),
            Event::Strike(strike) => return Some(Some(strike)),
        }
        Some(None)
    }

    pub(crate) fn tell(&mut self, host: HostId, input: Input) {
        let Some(told) = self.hosts.get_mut(host) else { return };
        told.inbox.push_back(input);
        if told.inbox.len() > INBOX_LIMIT && told.life == Life::Runs {
            self.fail(format!("{} has more than {INBOX_LIMIT} inputs waiting", self.name(host)));
        }
        self.wake(host);
    }

    pub(crate) fn wake(&mut self, host: HostId) {
        if let Some(waker) = self.hosts.get_mut(host).and_then(|host| host.waker.take()) {
            waker.wake();
        }
    }

    /// The connection or dial is over, and this is why.
    pub(crate) fn closed(&mut self, host: HostId, conn: Conn, why: Why) {
        let known = self.hosts.get_mut(host).and_then(|host| host.slots.remove(&conn));
        if known.is_some() {
            self.note(|state| format!("{}: {} closed: {why}", state.name(host), conn.0));
            self.tell(host, Input::Closed { conn, why });
        }
    }

    pub(crate) fn name(&self, host: HostId) -> &str {
        self.hosts.get(host).map_or("?", |host| &host.name)
    }

    /// A fault has struck, or has ended.
    pub(crate) fn strikes(&mut self, what: impl FnOnce() -> String) {
        self.struck = Some(self.now);
        self.note(|_| format!("fault: {}", what()));
    }

    pub(crate) fn fail(&mut self, what: String) {
        self.note(|_| format!("broken: {what}"));
        self.broken.get_or_insert(what);
    }

    pub(crate) fn note(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.trace.is_some() {
            let line = format!("{:10.3}  {}", self.now.since_start().as_secs_f64(), line(self));
            self.trace.as_mut().into_iter().for_each(|trace| trace.push(line.clone()));
        }
    }

    pub(crate) fn take_trace(&mut self) -> Vec<String> {
        self.trace.take().unwrap_or_default()
    }
}
