//! The race: listen, dial, shake hands on every connection that comes to be, and settle on one.
//!
//! Whoever drives it gives it the transit key when there is one, the peer's hints as they come, and the word to
//! [start](Race::start). It tells our own [hints](Event::Hints) first, and ends with [`Event::Settled`] or
//! [`Event::Failed`]. Callers are heard from the beginning; dialling begins with the start:
//!
//! - every direct hint at once, also those that come late;
//! - the relays [`RELAY_DELAY`] later, or at once where there is no direct hint, highest priority first, each further
//!   group as much later again;
//! - each connection has [`HANDSHAKE_LIMIT`] for its handshake, and the whole has [`TRANSIT_LIMIT`].
//!
//! A sender chooses the first connection that completes its handshake and says `go` on it. Until that has left, those
//! that complete as well hear `nevermind`; then all others are closed without a word. Should the chosen one break
//! before its `go` has left, nobody has heard it, and the choice is open again. A receiver obeys: the connection on
//! which it hears `go` is the one.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::mem;
use core::net::SocketAddr;
use core::time::Duration;

use data_encoding::HEXLOWER;

use super::expect::Expect;
use super::handshake::{self, Handshake};
use super::hints::{self, Candidates};
use super::listener::{self, Listener};
use super::relay::{self, Relay};
use super::{Path, RecordKeys, Role, Settled};
use crate::crypto::TransitKey;
use crate::defaults::{HANDSHAKE_LIMIT, RELAY_DELAY, TRANSIT_LIMIT};
use crate::driver::{Address, Conn, Conns, Input, Instant, Listen, Machine, Op, Output, Target};
use crate::error::TransitFault;
use crate::rng::{Rng, Seed};
use crate::wire::hints::{DirectHint, TransitInfo};

/// Callers that may be in their handshake at a time.
const CALLERS: usize = 32;

/// What the race tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// What the peer is to know about us; told once, as soon as it is known where we listen.
    Hints(TransitInfo),
    /// One connection is chosen, and the race is over.
    Settled(Settled),
    /// There will be none, and the race is over.
    Failed(TransitFault),
}

/// The race for one connection to the peer.
#[derive(Clone, Debug)]
pub struct Race {
    role: Role,
    /// What tells us from our partner at a relay: 16 hex digits.
    side: String,
    relays: Vec<DirectHint>,
    conns: Conns,
    lines: Option<Lines>,
    listener: Listener,
    candidates: Candidates,
    contenders: BTreeMap<Conn, Contender>,
    state: State,
    now: Instant,
    out: VecDeque<Output<Event>>,
}

/// How far the race has come.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is chosen.
    Open(Timing),
    /// This connection is chosen; the rest of what we say on it has still to leave.
    Choosing { conn: Conn, read: Vec<u8>, timing: Timing },
    /// Settled, failed or stopped.
    Over,
}

/// Whether we dial, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timing {
    /// Only callers are heard.
    Before,
    /// The word was given; the next input brings the time, and the key may still be missing.
    Called,
    /// We dial until then; the next group of relays has its turn at `relays_at`.
    Running { until: Instant, relays_at: Instant },
}

/// What is said and expected, once the key is there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Lines {
    ours: Vec<u8>,
    theirs: Expect,
    relay: Vec<u8>,
    keys: RecordKeys,
}

/// One connection, from its dial or call on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Contender {
    path: Path,
    stage: Stage,
    /// When its handshake must be complete; `None` while it is dialled.
    until: Option<Instant>,
    /// Writes that have not left.
    unsent: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    AtRelay(Relay),
    WithPeer(Handshake),
}

impl Race {
    /// A race over these relays of ours and, if we `listen`, whoever calls. Listening begins with the first poll.
    pub fn new(role: Role, relays: Vec<DirectHint>, listen: bool, seed: Seed, mut conns: Conns) -> Self {
        let side = HEXLOWER.encode(&Rng::new(seed).bytes::<8>());
        let mut out = VecDeque::new();
        let listener = if listen {
            let conn = conns.draw();
            out.push_back(Output::Do(Op::Listen { conn, on: Listen::Transit }));
            Listener::Starting { conn }
        } else {
            out.push_back(Output::Tell(Event::Hints(hints::ours(&[], &relays))));
            Listener::Off
        };
        Self {
            role,
            side,
            candidates: Candidates::new(&relays),
            relays,
            conns,
            lines: None,
            listener,
            contenders: BTreeMap::new(),
            state: State::Open(Timing::Before),
            now: Instant::START,
            out,
        }
    }

    /// The key that both sides share. Callers that were quicker are held until it is given.
    pub fn set_key(&mut self, key: &TransitKey) {
        let (sender, receiver) = (handshake::sender_line(key), handshake::receiver_line(key));
        let (send, receive) = (key.sender_record_key(), key.receiver_record_key());
        self.lines = Some(match self.role {
            Role::Sender => Lines {
                ours: sender,
                theirs: Expect::new(receiver),
                relay: relay::line(key, &self.side),
                keys: RecordKeys { send, receive },
            },
            Role::Receiver => Lines {
                ours: receiver,
                theirs: Expect::new([sender.as_slice(), handshake::GO].concat()),
                relay: relay::line(key, &self.side),
                keys: RecordKeys { send: receive, receive: send },
            },
        });
        let held: Vec<Conn> = self.contenders.keys().copied().collect();
        for conn in held {
            self.begin(conn, Vec::new());
        }
    }

    /// What the peer says about itself; as often and as late as it says something.
    pub fn add_hints(&mut self, theirs: &TransitInfo) {
        self.candidates.add(theirs);
        self.dial_direct();
        self.give_up_if_hopeless();
    }

    /// Begins to dial, and the time to run, with the next input.
    pub fn start(&mut self) {
        if let State::Open(timing @ Timing::Before)
        | State::Choosing { timing: timing @ Timing::Before, .. } = &mut self.state
        {
            *timing = Timing::Called;
        }
    }

    /// Closes everything, unless it was settled: then the connection is not ours.
    pub fn stop(&mut self) {
        self.state = State::Over;
        self.close_all();
    }

    fn timing(&self) -> Option<Timing> {
        match &self.state {
            State::Open(timing) | State::Choosing { timing, .. } => Some(*timing),
            State::Over => None,
        }
    }

    fn set_timing(&mut self, new: Timing) {
        match &mut self.state {
            State::Open(timing) | State::Choosing { timing, .. } => *timing = new,
            State::Over => {}
        }
    }

    /// Everything that depends on the time.
    fn pass_time(&mut self) {
        match self.timing() {
            Some(Timing::Called) if self.lines.is_some() => {
                let delay = if self.candidates.has_direct() { RELAY_DELAY } else { Duration::ZERO };
                let (until, relays_at) = (self.now.plus(TRANSIT_LIMIT), self.now.plus(delay));
                self.set_timing(Timing::Running { until, relays_at });
                self.dial_direct();
            }
            Some(Timing::Running { until, .. }) if until <= self.now => {
                return self.fail(TransitFault::TimedOut);
            }
            Some(Timing::Before | Timing::Called | Timing::Running { .. }) | None => {}
        }
        self.dial_relays();
        let late = |contender: &Contender| contender.until.is_some_and(|until| until <= self.now);
        let expired: Vec<Conn> =
            self.contenders.iter().filter(|(_, contender)| late(contender)).map(|(conn, _)| *conn).collect();
        for conn in expired {
            self.drop_contender(conn);
        }
        self.give_up_if_hopeless();
    }

    fn dial_direct(&mut self) {
        let Some(Timing::Running { .. }) = self.timing() else { return };
        for address in self.candidates.take_direct() {
            let path = Path::Direct { peer: address.clone(), inbound: false };
            self.dial(Target::Peer(address), path, Stage::WithPeer(Handshake::default()));
        }
    }

    fn dial_relays(&mut self) {
        let Some(Timing::Running { until, relays_at }) = self.timing() else { return };
        if relays_at > self.now || !self.candidates.has_relays() {
            return;
        }
        for relay in self.candidates.take_relays() {
            let path = Path::Relay { relay: relay.clone() };
            self.dial(Target::Relay(relay), path, Stage::AtRelay(Relay::default()));
        }
        self.set_timing(Timing::Running { until, relays_at: self.now.plus(RELAY_DELAY) });
    }

    fn dial(&mut self, target: Target, path: Path, stage: Stage) {
        let conn = self.conns.draw();
        self.contenders.insert(conn, Contender { path, stage, until: None, unsent: 0 });
        self.ask(Op::Open { conn, target });
    }

    /// What the listener has to say to this.
    fn listener(&mut self, input: listener::Input) {
        let mut outputs = Vec::new();
        self.listener = mem::take(&mut self.listener).step(input, &mut self.conns, &mut outputs);
        for output in outputs {
            match output {
                listener::Output::Reachable(at) => self.tell(Event::Hints(hints::ours(&at, &self.relays))),
                listener::Output::Accept { at, conn } => self.ask(Op::Accept { at, conn }),
                listener::Output::Caller(conn) => {
                    let path = Path::Direct { peer: Address::new("unknown", 0), inbound: true };
                    let stage = Stage::WithPeer(Handshake::default());
                    self.contenders.insert(conn, Contender { path, stage, until: None, unsent: 0 });
                }
                listener::Output::Close(conn) => self.ask(Op::Close { conn }),
            }
        }
    }

    /// Waits for the next caller, where there is room for one.
    fn accept(&mut self) {
        if self.contenders.values().filter(|contender| contender.is_caller()).count() < CALLERS {
            self.listener(listener::Input::Room);
        }
    }

    fn opened(&mut self, conn: Conn, peer: Option<SocketAddr>) {
        self.listener(listener::Input::Opened(conn));
        let until = self.now.plus(HANDSHAKE_LIMIT);
        let Some(contender) = self.contenders.get_mut(&conn) else {
            // Given up meanwhile.
            return self.ask(Op::Close { conn });
        };
        contender.until = Some(until);
        if let (Path::Direct { peer: caller, inbound: true }, Some(peer)) = (&mut contender.path, peer) {
            *caller = peer.into();
        }
        match &contender.stage {
            Stage::AtRelay(_) => self.at_relay(conn, relay::Input::Opened),
            Stage::WithPeer(_) if self.lines.is_some() => self.begin(conn, Vec::new()),
            Stage::WithPeer(_) => self.with_peer(conn, handshake::Input::OpenedEarly),
        }
    }

    fn received(&mut self, conn: Conn, bytes: Vec<u8>) {
        match self.contenders.get(&conn).map(|contender| &contender.stage) {
            Some(Stage::AtRelay(_)) => self.at_relay(conn, relay::Input::Received(bytes)),
            Some(Stage::WithPeer(_)) => self.with_peer(conn, handshake::Input::Received(bytes)),
            None => {}
        }
    }

    /// The connection leads to the peer, and the key is there.
    fn begin(&mut self, conn: Conn, read: Vec<u8>) {
        if let Some(lines) = &self.lines {
            let expect = lines.theirs.clone();
            self.with_peer(conn, handshake::Input::Begin { expect, read });
        }
    }

    fn at_relay(&mut self, conn: Conn, input: relay::Input) {
        let Some(Contender { stage: Stage::AtRelay(relay), .. }) = self.contenders.get_mut(&conn) else {
            return;
        };
        let mut outputs = Vec::new();
        *relay = mem::take(relay).step(input, &mut outputs);
        for output in outputs {
            match output {
                relay::Output::Greet => {
                    let line = self.lines.as_ref().map(|lines| lines.relay.clone()).unwrap_or_default();
                    self.write(conn, line);
                }
                relay::Output::Read => self.ask(Op::Read { conn }),
                relay::Output::Paired(read) => {
                    if let Some(contender) = self.contenders.get_mut(&conn) {
                        contender.stage = Stage::WithPeer(Handshake::default());
                    }
                    self.begin(conn, read);
                }
                relay::Output::Foreign => self.drop_contender(conn),
            }
        }
    }

    fn with_peer(&mut self, conn: Conn, input: handshake::Input) {
        let Some(Contender { stage: Stage::WithPeer(handshake), .. }) = self.contenders.get_mut(&conn) else {
            return;
        };
        let mut outputs = Vec::new();
        *handshake = mem::take(handshake).step(input, &mut outputs);
        for output in outputs {
            match output {
                handshake::Output::Greet => {
                    let line = self.lines.as_ref().map(|lines| lines.ours.clone()).unwrap_or_default();
                    self.write(conn, line);
                }
                handshake::Output::Read => self.ask(Op::Read { conn }),
                handshake::Output::Complete(read) => self.complete(conn, read),
                handshake::Output::Foreign => self.drop_contender(conn),
            }
        }
    }

    /// This connection leads to the peer for certain. The sender decides; the receiver has been told.
    fn complete(&mut self, conn: Conn, read: Vec<u8>) {
        match &self.state {
            State::Open(timing) => {
                self.state = State::Choosing { conn, read, timing: *timing };
                match self.role {
                    Role::Sender => self.write(conn, handshake::GO.to_vec()),
                    Role::Receiver => self.settle_once_sent(),
                }
            }
            State::Choosing { .. } => {
                match self.role {
                    Role::Sender => self.write(conn, handshake::NEVERMIND.to_vec()),
                    // Only a sender that breaks the rules says `go` twice.
                    Role::Receiver => {}
                }
                self.drop_contender(conn);
            }
            State::Over => self.drop_contender(conn),
        }
    }

    fn sent(&mut self, conn: Conn) {
        if let Some(contender) = self.contenders.get_mut(&conn) {
            contender.unsent = contender.unsent.saturating_sub(1);
            self.settle_once_sent();
        }
    }

    /// The connection changes hands only when all that we said on it has left.
    fn settle_once_sent(&mut self) {
        let State::Choosing { conn, read, .. } = &mut self.state else { return };
        let (conn, Some(lines)) = (*conn, &self.lines) else { return };
        if self.contenders.get(&conn).is_none_or(|contender| contender.unsent > 0) {
            return;
        }
        if let Some(Contender { path, .. }) = self.contenders.remove(&conn) {
            let (read, keys) = (mem::take(read), lines.keys.clone());
            self.state = State::Over;
            self.tell(Event::Settled(Settled { conn, path, keys, read }));
            self.close_all();
        }
    }

    /// Ends one connection without a further word.
    fn drop_contender(&mut self, conn: Conn) {
        if self.contenders.contains_key(&conn) {
            self.ask(Op::Close { conn });
            self.forget(conn);
        }
    }

    fn forget(&mut self, conn: Conn) {
        self.contenders.remove(&conn);
        match self.state {
            // Its `go` has not left, so the peer has not heard it.
            State::Choosing { conn: chosen, timing, .. } if chosen == conn => {
                self.state = State::Open(timing)
            }
            State::Choosing { .. } | State::Open(_) | State::Over => {}
        }
    }

    /// Fails at once where nothing is under way, nothing left to try and nobody can call.
    fn give_up_if_hopeless(&mut self) {
        let Some(Timing::Running { .. }) = self.timing() else { return };
        let is_alone = self.contenders.is_empty() && self.candidates.is_empty() && self.candidates.heard;
        if is_alone && self.listener == Listener::Off {
            self.fail(TransitFault::NoContact);
        }
    }

    fn fail(&mut self, fault: TransitFault) {
        self.state = State::Over;
        self.tell(Event::Failed(fault));
        self.close_all();
    }

    fn close_all(&mut self) {
        self.listener(listener::Input::Stop);
        for conn in mem::take(&mut self.contenders).into_keys() {
            self.ask(Op::Close { conn });
        }
    }

    fn write(&mut self, conn: Conn, bytes: Vec<u8>) {
        if let Some(contender) = self.contenders.get_mut(&conn) {
            contender.unsent = contender.unsent.saturating_add(1);
            self.ask(Op::Write { conn, bytes });
        }
    }

    fn ask(&mut self, op: Op) {
        self.out.push_back(Output::Do(op));
    }

    fn tell(&mut self, event: Event) {
        self.out.push_back(Output::Tell(event));
    }

    /// When the next thing happens without an input.
    fn deadline(&self) -> Option<Instant> {
        let own = match self.timing()? {
            Timing::Before => None,
            Timing::Called => self.lines.is_some().then_some(self.now),
            Timing::Running { until, relays_at } if self.candidates.has_relays() => {
                Some(until.min(relays_at))
            }
            Timing::Running { until, .. } => Some(until),
        };
        self.contenders.values().filter_map(|contender| contender.until).chain(own).min()
    }
}

impl Machine for Race {
    type Event = Event;
    type Request = Infallible;
    type Reply = Infallible;

    fn handle(&mut self, input: Input, now: Instant) {
        self.now = self.now.max(now);
        match input {
            Input::Opened { conn, peer } => self.opened(conn, peer),
            Input::Listening { conn, at } => self.listener(listener::Input::Listening { conn, at }),
            Input::Received { conn, bytes } => self.received(conn, bytes),
            Input::Sent { conn } => self.sent(conn),
            Input::Closed { conn, .. } => {
                self.listener(listener::Input::Closed(conn));
                self.forget(conn);
            }
            Input::Stored(never) => match never {},
            Input::Tick => {}
        }
        self.pass_time();
        self.accept();
    }

    fn poll(&mut self) -> Output<Event> {
        self.out.pop_front().unwrap_or_else(|| Output::Wait(self.deadline()))
    }
}

impl Contender {
    const fn is_caller(&self) -> bool {
        matches!(self.path, Path::Direct { inbound: true, .. })
    }
}
