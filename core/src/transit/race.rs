//! The race: listen, dial, shake hands on every connection that comes to be, and settle on one.
//!
//! Whoever drives it gives it the transit key when there is one, the peer's hints as they come, and the word to
//! [start](Race::start). It tells our own [hints](Event::Hints) first, and ends with [`Event::Settled`] or
//! [`Event::Failed`]. Callers are heard from the beginning; dialling begins with the start:
//!
//! - every direct hint at once, also those that come late;
//! - the relays [`RELAY_DELAY`] later, or at once where there is no direct hint, highest priority first, each further
//!   group as much later again; one that cannot be reached, or is lost, a few times more;
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
use core::fmt;
use core::mem;
use core::net::SocketAddr;
use core::time::Duration;

use data_encoding::HEXLOWER;

use super::again::Again;
use super::contender::{self, Contender};
use super::handshake::{GO, NEVERMIND};
use super::hints::{self, Candidates};
use super::lines::Lines;
use super::listener::{self, Listener};
use super::{Path, Role, Settled};
use crate::crypto::TransitKey;
use crate::defaults::{HANDSHAKE_LIMIT, RELAY_DELAY, TRANSIT_LIMIT};
use crate::driver::{Conn, Conns, Input, Instant, Listen, Machine, Op, Output, Target};
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
#[derive(Clone, PartialEq, Eq)]
pub struct Race {
    role: Role,
    /// What tells us from our partner at a relay: 16 hex digits.
    side: String,
    relays: Vec<DirectHint>,
    conns: Conns,
    lines: Option<Lines>,
    listener: Listener,
    /// How long all of it may take.
    limit: Duration,
    candidates: Candidates,
    again: Again,
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
            limit: TRANSIT_LIMIT,
            candidates: Candidates::new(&relays),
            again: Again::default(),
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

    /// How long all of it may take from its start on, instead of [`TRANSIT_LIMIT`].
    pub const fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Whoever dials for us goes through Tor: what leads nowhere else is tried, too. To be said before the hints come.
    pub fn go_through_tor(&mut self) {
        self.candidates.go_through_tor(&self.relays);
    }

    /// The key that both sides share. Callers that were quicker are held until it is given; the first counts.
    pub fn set_key(&mut self, key: &TransitKey) {
        if self.lines.is_some() {
            return;
        }
        self.lines = Some(Lines::new(self.role, key, &self.side));
        let held: Vec<Conn> = self.contenders.keys().copied().collect();
        for conn in held {
            self.contend(conn, contender::Input::Key);
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
                let (until, relays_at) = (self.now.plus(self.limit), self.now.plus(delay));
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
            self.dial(Target::Peer(address.clone()), Contender::direct(address));
        }
    }

    fn dial_relays(&mut self) {
        let Some(Timing::Running { until, relays_at }) = self.timing() else { return };
        for relay in self.again.take_due(self.now) {
            self.dial(Target::Relay(relay.clone()), Contender::by_relay(relay));
        }
        if relays_at > self.now || !self.candidates.has_relays() {
            return;
        }
        for relay in self.candidates.take_relays() {
            self.dial(Target::Relay(relay.clone()), Contender::by_relay(relay));
        }
        self.set_timing(Timing::Running { until, relays_at: self.now.plus(RELAY_DELAY) });
    }

    fn dial(&mut self, target: Target, contender: Contender) {
        let conn = self.conns.draw();
        self.contenders.insert(conn, contender);
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
                    self.make_room();
                    self.contenders.insert(conn, Contender::caller());
                }
                listener::Output::Close(conn) => self.ask(Op::Close { conn }),
            }
        }
    }

    /// A caller too many takes the place of the one that called first: the peer is quick, and whoever keeps silent
    /// must not keep it out.
    fn make_room(&mut self) {
        let callers = || self.contenders.iter().filter(|(_, contender)| contender.is_caller());
        if callers().count() < CALLERS {
            return;
        }
        let first = callers().map(|(conn, _)| *conn).find(|conn| !self.is_chosen(*conn));
        if let Some(conn) = first {
            self.drop_contender(conn);
        }
    }

    fn is_chosen(&self, conn: Conn) -> bool {
        matches!(self.state, State::Choosing { conn: chosen, .. } if chosen == conn)
    }

    fn opened(&mut self, conn: Conn, from: Option<SocketAddr>) {
        self.listener(listener::Input::Opened(conn));
        if self.contenders.contains_key(&conn) {
            let until = self.now.plus(HANDSHAKE_LIMIT);
            self.contend(conn, contender::Input::Opened { from, until });
        } else {
            // Given up meanwhile.
            self.ask(Op::Close { conn });
        }
    }

    /// What has happened on one connection, and what comes of it.
    fn contend(&mut self, conn: Conn, input: contender::Input) {
        let Some(contender) = self.contenders.get_mut(&conn) else { return };
        for output in contender.handle(input, self.lines.as_ref()) {
            match output {
                contender::Output::Write(bytes) => self.write(conn, bytes),
                contender::Output::Read => self.ask(Op::Read { conn }),
                contender::Output::Complete(read) => self.complete(conn, read),
                contender::Output::Foreign => self.drop_contender(conn),
            }
        }
    }

    /// This connection leads to the peer for certain. The sender decides; the receiver has been told.
    fn complete(&mut self, conn: Conn, read: Vec<u8>) {
        match &self.state {
            State::Open(timing) => {
                self.state = State::Choosing { conn, read, timing: *timing };
                match self.role {
                    Role::Sender => self.write(conn, GO.to_vec()),
                    Role::Receiver => self.settle_once_sent(),
                }
            }
            State::Choosing { .. } => {
                match self.role {
                    Role::Sender => self.write(conn, NEVERMIND.to_vec()),
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

    /// A connection has ended without our doing. A relay may be there again soon.
    fn lost(&mut self, conn: Conn) {
        if let Some(Contender { path: Path::Relay { relay }, until, .. }) = self.contenders.get(&conn) {
            self.again.failed(relay.clone(), until.is_some(), self.now);
        }
        self.forget(conn);
    }

    fn forget(&mut self, conn: Conn) {
        self.contenders.remove(&conn);
        if self.is_chosen(conn)
            && let Some(timing) = self.timing()
        {
            // Its `go` has not left, so the peer has not heard it.
            self.state = State::Open(timing);
        }
    }

    /// Fails at once where nothing is under way, nothing left to try and nobody can call.
    fn give_up_if_hopeless(&mut self) {
        let Some(Timing::Running { .. }) = self.timing() else { return };
        let is_tried = self.candidates.is_empty() && self.again.next().is_none();
        let is_alone = self.contenders.is_empty() && is_tried && self.candidates.heard;
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
            Timing::Running { until, relays_at } => {
                let turn = self.candidates.has_relays().then_some(relays_at);
                self.again.next().into_iter().chain(turn).chain([until]).min()
            }
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
            Input::Received { conn, bytes } => self.contend(conn, contender::Input::Received(bytes)),
            Input::Sent { conn } => self.sent(conn),
            Input::Closed { conn, .. } => {
                self.listener(listener::Input::Closed(conn));
                self.lost(conn);
            }
            Input::Stored(never) => match never {},
            Input::Tick => {}
        }
        self.pass_time();
        self.listener(listener::Input::Room);
    }

    fn poll(&mut self) -> Output<Event> {
        self.out.pop_front().unwrap_or_else(|| Output::Wait(self.deadline()))
    }
}

/// What is said on connections is a secret until it is said.
impl fmt::Debug for Race {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Race")
            .field("role", &self.role)
            .field("state", &self.state)
            .field("listener", &self.listener)
            .field("candidates", &self.candidates)
            .field("contenders", &self.contenders)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use super::super::{Path, lines};
    use super::*;
    use crate::driver::{Address, Why};
    use crate::wire::hints::{Hint, Priority};

    #[test]
    fn hints_are_told_once_it_is_known_where_we_listen() {
        let mut race = race(Role::Sender, true);
        assert_eq!(ops(&mut race), [Op::Listen { conn: Conn(0), on: Listen::Transit }]);
        assert_eq!(race.poll(), Output::Wait(None));
        race.handle(Input::Listening { conn: Conn(0), at: vec![Address::new("10.0.0.1", 7)] }, at(0));
        let hints = vec![direct("10.0.0.1"), Hint::Relay(vec![relay_hint("ours", 0.0)])];
        let Output::Tell(Event::Hints(ours)) = race.poll() else { panic!("no hints") };
        assert_eq!(ours.hints, hints);
        assert_eq!(ops(&mut race), [Op::Accept { at: Conn(0), conn: Conn(1) }]);
    }

    #[test]
    fn who_may_not_or_cannot_listen_names_its_relay_all_the_same() {
        let mut mute = race(Role::Sender, false);
        let Output::Tell(Event::Hints(ours)) = mute.poll() else { panic!("no hints") };
        assert_eq!(ours.hints, [Hint::Relay(vec![relay_hint("ours", 0.0)])]);

        let mut broken = race(Role::Sender, true);
        ops(&mut broken);
        closed(&mut broken, 0, 0);
        assert_eq!(broken.poll(), Output::Tell(Event::Hints(ours)));
        assert_eq!(ops(&mut broken), []);
    }

    #[test]
    fn direct_hints_are_dialled_at_once_and_relays_in_turn() {
        let mut race = race(Role::Receiver, false);
        race.add_hints(&info(vec![
            direct("a"),
            Hint::Relay(vec![relay_hint("low", -1.0)]),
            direct("b"),
            Hint::Relay(vec![relay_hint("high", 0.0)]),
        ]));
        race.start();
        events(&mut race);
        assert_eq!(race.poll(), Output::Wait(Some(at(0))), "the clock has to be read first");
        race.handle(Input::Tick, at(100));
        assert_eq!(dialled(&mut race), ["a", "b"]);
        assert_eq!(race.poll(), Output::Wait(Some(at(102))));
        race.handle(Input::Tick, at(101));
        assert_eq!(dialled(&mut race), [""; 0]);
        race.handle(Input::Tick, at(102));
        assert_eq!(dialled(&mut race), ["ours", "high"]);
        assert_eq!(race.poll(), Output::Wait(Some(at(104))));
        race.handle(Input::Tick, at(104));
        assert_eq!(dialled(&mut race), ["low"]);
        assert_eq!(race.poll(), Output::Wait(Some(at(220))));
    }

    #[test]
    fn relays_are_tried_at_once_where_there_is_no_direct_hint() {
        let mut race = started(Role::Sender, false, vec![]);
        assert_eq!(dialled(&mut race), ["ours"]);
    }

    #[test]
    fn a_relay_that_is_away_for_a_while_is_tried_again_and_not_for_ever() {
        let mut race = started(Role::Sender, false, vec![]);
        assert_eq!(dialled(&mut race), ["ours"]);
        for (conn, failed, due) in [(0, 0, 1), (1, 1, 3), (2, 3, 7), (3, 7, 15), (4, 15, 31)] {
            closed(&mut race, conn, failed);
            assert_eq!(race.poll(), Output::Wait(Some(at(due))));
            race.handle(Input::Tick, at(due));
            assert_eq!(dialled(&mut race), ["ours"]);
        }
        closed(&mut race, 5, 31);
        assert_eq!(race.poll(), Output::Tell(Event::Failed(TransitFault::NoContact)));
    }

    #[test]
    fn late_hints_are_tried_too() {
        let mut race = started(Role::Receiver, false, vec![]);
        assert_eq!(dialled(&mut race), ["ours"]);
        race.add_hints(&info(vec![direct("late"), Hint::Relay(vec![relay_hint("later", 0.0)])]));
        race.handle(Input::Tick, at(1));
        assert_eq!(dialled(&mut race), ["late"]);
        race.handle(Input::Tick, at(2));
        assert_eq!(dialled(&mut race), ["later"]);
    }

    #[test]
    fn the_sender_chooses_the_first_and_tells_the_second_so() {
        let mut race = started(Role::Sender, false, vec![direct("a"), direct("b"), direct("c")]);
        dialled(&mut race);
        for conn in 0..3 {
            opened(&mut race, conn, 0);
        }
        assert_eq!(said(&mut race), [line(&sender(), 0), line(&sender(), 1), line(&sender(), 2)]);
        for conn in 0..3 {
            race.handle(Input::Sent { conn: Conn(conn) }, at(0));
        }
        received(&mut race, 1, &[receiver().as_slice(), b"early"].concat());
        assert_eq!(said(&mut race), [line(b"go\n", 1)]);
        received(&mut race, 2, &receiver());
        let nevermind = Op::Write { conn: Conn(2), bytes: b"nevermind\n".to_vec() };
        assert_eq!(ops(&mut race), [nevermind, Op::Close { conn: Conn(2) }]);
        // It changes hands only when `go` has left; the one that has not completed ends without a word.
        race.handle(Input::Sent { conn: Conn(1) }, at(0));
        let settled = settled(&mut race);
        assert_eq!((settled.conn, settled.read.as_slice()), (Conn(1), b"early".as_slice()));
        assert_eq!(settled.path, Path::Direct { peer: Address::new("b", 7), inbound: false });
        assert_eq!(settled.keys.send, key().sender_record_key());
        assert_eq!(settled.keys.receive, key().receiver_record_key());
        assert_eq!(ops(&mut race), [Op::Close { conn: Conn(0) }]);
        assert_eq!(race.poll(), Output::Wait(None));
    }

    #[test]
    fn a_choice_that_nobody_heard_of_is_open_again() {
        let mut race = started(Role::Sender, false, vec![direct("a"), direct("b")]);
        dialled(&mut race);
        for conn in 0..2 {
            opened(&mut race, conn, 0);
            race.handle(Input::Sent { conn: Conn(conn) }, at(0));
        }
        received(&mut race, 0, &receiver());
        closed(&mut race, 0, 0);
        said(&mut race);
        received(&mut race, 1, &receiver());
        assert_eq!(said(&mut race), [line(b"go\n", 1)]);
        race.handle(Input::Sent { conn: Conn(1) }, at(0));
        assert_eq!(settled(&mut race).conn, Conn(1));
    }

    #[test]
    fn the_receiver_obeys() {
        let mut race = started(Role::Receiver, false, vec![direct("a"), direct("b")]);
        dialled(&mut race);
        for conn in 0..2 {
            opened(&mut race, conn, 0);
            race.handle(Input::Sent { conn: Conn(conn) }, at(0));
        }
        assert_eq!(said(&mut race), [line(&receiver(), 0), line(&receiver(), 1)]);
        received(&mut race, 0, &sender());
        received(&mut race, 1, &[sender().as_slice(), b"g"].concat());
        assert_eq!(said(&mut race), []);
        received(&mut race, 1, b"o\nrecords");
        let settled = settled(&mut race);
        assert_eq!((settled.conn, settled.read.as_slice()), (Conn(1), b"records".as_slice()));
        assert_eq!(settled.keys.send, key().receiver_record_key());
        assert_eq!(ops(&mut race), [Op::Close { conn: Conn(0) }]);
    }

    #[test]
    fn nevermind_ends_a_connection_and_not_the_race() {
        let mut race = started(Role::Receiver, true, vec![direct("a")]);
        dialled(&mut race);
        opened(&mut race, 2, 0);
        said(&mut race);
        received(&mut race, 2, &[sender().as_slice(), b"nevermind\n"].concat());
        assert_eq!(ops(&mut race), [Op::Close { conn: Conn(2) }]);
    }

    #[test]
    fn whoever_else_answers_is_left() {
        for stranger in [sender(), b"SSH-2.0-OpenSSH\r\n".to_vec()] {
            let mut race = started(Role::Sender, true, vec![direct("a")]);
            dialled(&mut race);
            opened(&mut race, 2, 0);
            said(&mut race);
            received(&mut race, 2, &stranger);
            assert_eq!(ops(&mut race), [Op::Close { conn: Conn(2) }]);
        }
    }

    #[test]
    fn at_a_relay_nothing_is_said_before_its_ok() {
        let mut race = started(Role::Sender, false, vec![]);
        dialled(&mut race);
        opened(&mut race, 0, 0);
        let relay_line = lines::relay_line(&key(), &race.side);
        assert_eq!(relay_line.len(), 104);
        assert_eq!(said(&mut race), [line(&relay_line, 0)]);
        received(&mut race, 0, b"ok\n");
        assert_eq!(said(&mut race), [line(&sender(), 0)]);
        received(&mut race, 0, &receiver());
        assert_eq!(said(&mut race), [line(b"go\n", 0)]);
        for _ in 0..3 {
            race.handle(Input::Sent { conn: Conn(0) }, at(0));
        }
        assert_eq!(settled(&mut race).path, Path::Relay { relay: Address::new("ours", 7) });
    }

    #[test]
    fn a_caller_is_held_until_the_key_is_known() {
        let mut race = Race::new(Role::Receiver, vec![], true, [1; 32], Conns::all());
        race.handle(Input::Listening { conn: Conn(0), at: vec![] }, at(0));
        opened(&mut race, 1, 0);
        let expected = [Op::Accept { at: Conn(0), conn: Conn(1) }, Op::Accept { at: Conn(0), conn: Conn(2) }];
        assert_eq!(outputs(&mut race).0[1..], expected);
        race.set_key(&key());
        assert_eq!(said(&mut race), [line(&receiver(), 1)]);
        race.handle(Input::Sent { conn: Conn(1) }, at(0));
        received(&mut race, 1, &[sender().as_slice(), b"go\n"].concat());
        let settled = settled(&mut race);
        assert_eq!(settled.path.to_string(), "<-[::1]:9");
    }

    #[test]
    fn a_caller_too_many_takes_the_place_of_the_first_and_silence_keeps_nobody_out() {
        let mut race = race(Role::Sender, true);
        race.handle(Input::Listening { conn: Conn(0), at: vec![] }, at(0));
        for caller in 1..=CALLERS as u64 {
            assert_eq!(accepting(&mut race), Some(Conn(caller)));
            opened(&mut race, caller, 0);
        }
        outputs(&mut race);
        let peer = CALLERS as u64 + 1;
        opened(&mut race, peer, 1);
        let (asked, _) = outputs(&mut race);
        assert_eq!(asked[0], Op::Close { conn: Conn(1) });
        assert_eq!(asked[1], line(&sender(), peer));
        received(&mut race, peer, &receiver());
        assert_eq!(said(&mut race), [line(b"go\n", peer)]);
        // The chosen one stays, however many call.
        for caller in peer + 1..peer + 100 {
            opened(&mut race, caller, 1);
        }
        let is_chosen = |op: &Op| *op == Op::Close { conn: Conn(peer) };
        assert!(!outputs(&mut race).0.iter().any(is_chosen));
        for _ in 0..2 {
            race.handle(Input::Sent { conn: Conn(peer) }, at(1));
        }
        assert_eq!(settled(&mut race).conn, Conn(peer));
    }

    #[test]
    fn a_caller_has_a_minute_for_its_handshake() {
        let mut race = race(Role::Sender, true);
        race.handle(Input::Listening { conn: Conn(0), at: vec![] }, at(0));
        opened(&mut race, 1, 0);
        outputs(&mut race);
        race.handle(Input::Tick, at(59));
        assert_eq!(ops(&mut race), []);
        race.handle(Input::Tick, at(60));
        assert_eq!(ops(&mut race), [Op::Close { conn: Conn(1) }]);
    }

    #[test]
    fn a_second_key_changes_nothing() {
        let mut race = started(Role::Sender, false, vec![direct("a")]);
        outputs(&mut race);
        let before = race.clone();
        race.set_key(&TransitKey::from_bytes([8; 32]));
        assert_eq!(race, before);
    }

    #[test]
    fn the_race_ends_when_its_time_is_over() {
        let mut race = started(Role::Sender, true, vec![direct("a")]);
        race.handle(Input::Tick, at(119));
        assert_eq!(failed(&mut race), None);
        race.handle(Input::Tick, at(120));
        assert_eq!(failed(&mut race), Some(TransitFault::TimedOut));
        assert_eq!(race.poll(), Output::Wait(None));
    }

    #[test]
    fn it_ends_at_once_where_nothing_can_come_of_it() {
        let mut race = Race::new(Role::Sender, vec![], false, [1; 32], Conns::all());
        race.set_key(&key());
        race.start();
        race.handle(Input::Tick, at(0));
        assert_eq!(failed(&mut race), None, "the peer may still say where it is");
        race.add_hints(&info(vec![direct("a")]));
        race.handle(Input::Tick, at(0));
        assert_eq!(failed(&mut race), None);
        closed(&mut race, 0, 1);
        assert_eq!(failed(&mut race), Some(TransitFault::NoContact));
    }

    #[test]
    fn while_it_listens_a_caller_may_still_come() {
        let mut race = started(Role::Sender, true, vec![direct("a")]);
        race.handle(Input::Tick, at(2));
        events(&mut race);
        closed(&mut race, 2, 2);
        closed(&mut race, 3, 2);
        assert_eq!(failed(&mut race), None);
        opened(&mut race, 1, 100);
        assert_eq!(said(&mut race), [line(&sender(), 1)]);
    }

    #[test]
    fn what_comes_after_a_stop_is_closed() {
        let mut race = started(Role::Sender, true, vec![direct("a")]);
        dialled(&mut race);
        race.stop();
        assert_eq!(ops(&mut race), [Op::Close { conn: Conn(0) }, Op::Close { conn: Conn(2) }]);
        for late in [1, 2] {
            opened(&mut race, late, 1);
            assert_eq!(ops(&mut race), [Op::Close { conn: Conn(late) }]);
            received(&mut race, late, b"x");
            closed(&mut race, late, 1);
        }
        assert_eq!(race.poll(), Output::Wait(None));
    }

    fn key() -> TransitKey {
        TransitKey::from_bytes([7; 32])
    }

    fn sender() -> Vec<u8> {
        lines::sender_line(&key())
    }

    fn receiver() -> Vec<u8> {
        lines::receiver_line(&key())
    }

    fn at(seconds: u64) -> Instant {
        Instant::after_start(Duration::from_secs(seconds))
    }

    fn relay_hint(host: &str, priority: f64) -> DirectHint {
        DirectHint { address: Address::new(host, 7), priority: Priority::new(priority).unwrap() }
    }

    fn direct(host: &str) -> Hint {
        Hint::Direct(relay_hint(host, 0.0))
    }

    fn info(hints: Vec<Hint>) -> TransitInfo {
        TransitInfo { abilities: Vec::new(), hints }
    }

    fn race(role: Role, listen: bool) -> Race {
        let mut race = Race::new(role, vec![relay_hint("ours", 0.0)], listen, [1; 32], Conns::all());
        race.set_key(&key());
        race
    }

    /// A race that has begun at 0; if it listens, its listener is 0 and waits for caller 1.
    fn started(role: Role, listen: bool, hints: Vec<Hint>) -> Race {
        let mut race = race(role, listen);
        if listen {
            race.handle(Input::Listening { conn: Conn(0), at: vec![] }, at(0));
        }
        race.add_hints(&info(hints));
        race.start();
        race.handle(Input::Tick, at(0));
        race
    }

    fn opened(race: &mut Race, conn: u64, now: u64) {
        let peer = Some("[::1]:9".parse().unwrap());
        race.handle(Input::Opened { conn: Conn(conn), peer }, at(now));
    }

    fn received(race: &mut Race, conn: u64, bytes: &[u8]) {
        race.handle(Input::Received { conn: Conn(conn), bytes: bytes.to_vec() }, at(0));
    }

    fn closed(race: &mut Race, conn: u64, now: u64) {
        race.handle(Input::Closed { conn: Conn(conn), why: Why::Refused }, at(now));
    }

    fn line(bytes: &[u8], conn: u64) -> Op {
        Op::Write { conn: Conn(conn), bytes: bytes.to_vec() }
    }

    /// All that is wanted now, in order.
    fn outputs(race: &mut Race) -> (Vec<Op>, Vec<Event>) {
        let (mut ops, mut events) = (Vec::new(), Vec::new());
        loop {
            match race.poll() {
                Output::Do(op) => ops.push(op),
                Output::Tell(event) => events.push(event),
                Output::Wait(_) => return (ops, events),
            }
        }
    }

    /// What is wanted before the next event.
    fn ops(race: &mut Race) -> Vec<Op> {
        let mut ops = Vec::new();
        while let Some(Output::Do(_)) = race.out.front() {
            if let Output::Do(op) = race.poll() {
                ops.push(op);
            }
        }
        ops
    }

    fn events(race: &mut Race) -> Vec<Event> {
        outputs(race).1
    }

    fn dialled(race: &mut Race) -> Vec<String> {
        let target = |op: &Op| {
            let Op::Open { target: Target::Peer(to) | Target::Relay(to), .. } = op else { return None };
            Some(to.host.clone())
        };
        outputs(race).0.iter().filter_map(target).collect()
    }

    fn said(race: &mut Race) -> Vec<Op> {
        let (mut ops, _) = outputs(race);
        ops.retain(|op| matches!(op, Op::Write { .. }));
        ops
    }

    fn accepting(race: &mut Race) -> Option<Conn> {
        outputs(race)
            .0
            .iter()
            .find_map(|op| if let Op::Accept { conn, .. } = op { Some(*conn) } else { None })
    }

    fn settled(race: &mut Race) -> Settled {
        loop {
            match race.poll() {
                Output::Tell(Event::Settled(settled)) => return settled,
                Output::Wait(_) => panic!("it has not settled"),
                Output::Do(_) | Output::Tell(_) => {}
            }
        }
    }

    fn failed(race: &mut Race) -> Option<TransitFault> {
        events(race).into_iter().find_map(|event| match event {
            Event::Failed(fault) => Some(fault),
            Event::Hints(_) | Event::Settled(_) => None,
        })
    }
}
