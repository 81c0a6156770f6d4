//! A runtime in flight: one value holds every connection and polls those whose waker has called. No task is spawned.

mod dial;
mod flow;
mod given;
mod job;
mod join;
mod kit;
mod listen;
mod names;
mod ready;
mod work;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use wormhole_core::driver::{Conn, Input, Instant, Listen, Op, Target, Terms, Why};
use wormhole_core::rng::Seed;

pub use self::given::Given;
pub use self::listen::bind;

use self::dial::Dial;
use self::flow::{Flow, Leaving, Out};
use self::job::Running;
use self::join::{Joined, Pair, Side};
use self::kit::Kits;
use self::listen::Listening;
use self::names::Names;
use self::ready::{Call, Key, Ready};
use self::work::{After, Entry, Naming, Shared, Work};
use crate::driver::{Job, Runtime, Sockets};
use crate::meter::{Carried, Meter};
use crate::network::{Network, OnNetwork};
use crate::why::why;

/// The buffer that all reads share.
const SCRATCH: usize = 64 << 10;
/// How long written bytes may take to leave after [`Op::Close`].
const LEAVE_LIMIT: Duration = Duration::from_secs(2);
/// How long we then discard what the other end still says.
const LINGER_LIMIT: Duration = Duration::from_secs(1);
/// The most connections that linger at a time.
const LINGERING: usize = 1024;

/// A [`Runtime`] of raw bytes over the sockets of one executor.
///
/// A mailbox server is not reached with it: that takes the layers of [`crate::Layered`].
pub struct InFlight<S: Sockets> {
    sockets: S,
    /// Of which one is taken to listen for peers.
    ports: Option<RangeInclusive<u16>>,
    names: Names,
    ready: Arc<Ready>,
    /// Those who have called, while they are polled.
    called: Vec<Key>,
    conns: HashMap<Conn, Entry<S>>,
    jobs: HashMap<u64, Running>,
    next_job: u64,
    /// Who wants to be polled at what time.
    dues: BTreeSet<(Instant, Conn)>,
    lingering: usize,
    kits: Kits,
    carried: Carried,
    done: VecDeque<Input>,
    scratch: Box<[u8]>,
    timer: Option<Timer>,
}

/// A sleep under way, and its end.
struct Timer {
    at: Instant,
    sleep: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl<S: Sockets> InFlight<S> {
    /// A runtime without any connection.
    pub fn new(sockets: S) -> Self {
        Self {
            sockets,
            ports: None,
            names: Names::default(),
            ready: Arc::default(),
            called: Vec::new(),
            conns: HashMap::new(),
            jobs: HashMap::new(),
            next_job: 0,
            dues: BTreeSet::new(),
            lingering: 0,
            kits: Kits::default(),
            carried: Carried::default(),
            done: VecDeque::new(),
            scratch: vec![0; SCRATCH].into_boxed_slice(),
            timer: None,
        }
    }

    /// Counts here what its joins carry.
    #[must_use]
    pub fn counting(self, carried: &Carried) -> Self {
        Self { carried: carried.clone(), ..self }
    }
}

impl<S: Sockets + Default> OnNetwork for InFlight<S> {
    fn on_network(network: &Network) -> Self {
        Self { ports: network.ports.clone(), ..Self::default() }
    }
}

impl<S: Sockets> Runtime for InFlight<S> {
    type Stream = Given<S::Stream>;

    fn seed(&mut self) -> Seed {
        let mut seed = Seed::default();
        #[expect(
            clippy::expect_used,
            reason = "a seed that could be guessed would be worse than no program"
        )]
        getrandom::fill(&mut seed).expect("the system gives no randomness");
        seed
    }

    fn now(&self) -> Instant {
        self.sockets.now()
    }

    fn start(&mut self, op: Op) {
        match op {
            Op::Open { conn, target } => self.open(conn, target),
            Op::Listen { conn, on } => self.listen(conn, on),
            Op::Accept { at, conn } => self.accept(at, conn),
            Op::Read { conn } => self.on_flow(conn, |flow| flow.reading = true),
            Op::Write { conn, bytes } => self.on_flow(conn, |flow| flow.out.push(bytes)),
            Op::Join { a, b, terms } => self.join(a, b, terms),
            Op::Close { conn } | Op::Dismiss { conn, code: _ } => self.close(conn, Why::Asked),
            Op::Store(never) => match never {},
        }
    }

    fn next(&mut self, deadline: Option<Instant>) -> impl Future<Output = Option<Input>> {
        poll_fn(move |cx| self.poll_next(cx, deadline))
    }

    fn take(&mut self, conn: Conn) -> Option<Self::Stream> {
        let (stream, out, unread) = self.take_flow(conn)?;
        let mut given = Given::new(stream, out, unread);
        // What cannot leave at once leaves when the pipe first polls.
        let _ = given.poll_unsent(&mut Context::from_waker(Waker::noop()));
        Some(given)
    }

    fn beside(&mut self, job: impl Future<Output = ()> + Send + 'static) -> Job {
        let id = self.next_job;
        self.next_job += 1;
        let (running, handle) = Running::new(job, Call::new(Key::Job(id), &self.ready));
        self.jobs.insert(id, running);
        handle
    }
}

/// What the machine asks for: noted here, begun in `next`.
impl<S: Sockets> InFlight<S> {
    fn open(&mut self, conn: Conn, target: Target) {
        match target {
            Target::Peer(address) | Target::Relay(address) => {
                let now = self.sockets.now();
                self.enter(conn, |names, waker| Work::Dial(Box::new(Dial::new(address, names, waker, now))));
            }
            Target::Mailbox(_) => {
                let why = Why::BadUrl("this runtime carries bytes, not messages".into());
                self.done.push_back(Input::Closed { conn, why });
            }
        }
    }

    fn listen(&mut self, conn: Conn, on: Listen) {
        match self.sockets.opened(&on) {
            Some(Ok(sockets)) => {
                self.done.push_back(Input::Listening { conn, at: Vec::new() });
                self.enter(conn, |_, _| Work::Listen(Listening::new(sockets, VecDeque::new())));
            }
            Some(Err(error)) => self.done.push_back(Input::Closed { conn, why: why(&error) }),
            None => {
                let now = self.sockets.now();
                let ports = self.ports.clone();
                let naming = |names: &_, waker: &_| Naming::new(on, ports.as_ref(), names, waker, now);
                self.enter(conn, |names, waker| Work::Naming(naming(names, waker)));
            }
        }
    }

    fn accept(&mut self, at: Conn, conn: Conn) {
        match self.waiting(at) {
            Some(waiting) => {
                waiting.push_back(conn);
                self.enter(conn, |_, _| Work::Awaited { at });
            }
            None => self.done.push_back(Input::Closed { conn, why: Why::Asked }),
        }
    }

    fn on_flow(&mut self, conn: Conn, change: impl FnOnce(&mut Flow<S::Stream>)) {
        // Any other connection has been closed, and its last word is on the way.
        if let Some(Entry { work: Work::Flow(flow), call, .. }) = self.conns.get_mut(&conn) {
            change(flow);
            call.note();
        }
    }

    fn join(&mut self, a: Conn, b: Conn, terms: Terms) {
        let (left, right) = (self.take_flow(a), self.take_flow(b));
        let (left, right) = match (left, right) {
            (Some(left), Some(right)) => (left, right),
            // One of them has ended meanwhile, and its last word is on the way.
            (Some((stream, out, _)), None) => {
                return self.leave(a, stream, out, Some(Why::Joined { bytes: 0 }));
            }
            (None, Some((stream, out, _))) => {
                return self.leave(b, stream, out, Some(Why::Joined { bytes: 0 }));
            }
            (None, None) => return,
        };
        let (mut a_side, mut b_side) = (Side::new(left.0, left.1), Side::new(right.0, right.1));
        // What a read has brought is for the other side.
        a_side.came = u64::try_from(left.2.len()).unwrap_or(u64::MAX);
        b_side.came = u64::try_from(right.2.len()).unwrap_or(u64::MAX);
        b_side.out.append(left.2);
        a_side.out.append(right.2);
        self.enter(b, |_, _| Work::Partner(a));
        let pair = Pair { a: a_side, b: b_side };
        let meter = Meter::new(terms, self.sockets.now(), &self.carried);
        let call = Call::new(Key::Conn(a), &self.ready);
        let waker = Waker::from(Arc::clone(&call));
        let joined = Joined::new(pair, meter, &self.kits, &waker, |job| self.sockets.spawn(job));
        call.note();
        self.conns.insert(a, Entry { call, waker, due: None, work: Work::Joined(joined, b) });
    }

    fn close(&mut self, conn: Conn, why: Why) {
        let Some(entry) = self.forget(conn) else { return };
        match entry.work {
            Work::Dial(_) => self.done.push_back(Input::Closed { conn, why }),
            Work::Naming(naming) => self.stop_listening(conn, naming.waiting, why),
            Work::Listen(listening) => self.stop_listening(conn, listening.waiting, why),
            Work::Awaited { at } => {
                if let Some(waiting) = self.waiting(at) {
                    waiting.retain(|waiting| *waiting != conn);
                }
                self.done.push_back(Input::Closed { conn, why });
            }
            Work::Flow(flow) => self.leave(conn, flow.stream, flow.out, Some(why)),
            Work::Joined(joined, b) => self.part(conn, b, &joined),
            Work::Partner(a) => {
                if let Some(Entry { work: Work::Joined(joined, _), .. }) = self.forget(a) {
                    self.part(a, conn, &joined);
                }
            }
            Work::Leaving(leaving) => {
                self.enter(conn, |_, _| Work::Leaving(leaving));
            }
        }
    }
}

/// What the parts above are made of.
impl<S: Sockets> InFlight<S> {
    /// Enters work, to be polled in the coming `next`.
    fn enter(&mut self, conn: Conn, work: impl FnOnce(&Names, &Waker) -> Work<S>) {
        let call = Call::new(Key::Conn(conn), &self.ready);
        let waker = Waker::from(Arc::clone(&call));
        let work = work(&self.names, &waker);
        call.note();
        self.conns.insert(conn, Entry { call, waker, due: None, work });
    }

    fn forget(&mut self, conn: Conn) -> Option<Entry<S>> {
        let entry = self.conns.remove(&conn)?;
        if let Some(due) = entry.due {
            self.dues.remove(&(due, conn));
        }
        Some(entry)
    }

    /// Those for whom a caller at this listener is wanted.
    fn waiting(&mut self, at: Conn) -> Option<&mut VecDeque<Conn>> {
        let entry = self.conns.get_mut(&at)?;
        entry.call.note();
        match &mut entry.work {
            Work::Naming(naming) => Some(&mut naming.waiting),
            Work::Listen(listening) => Some(&mut listening.waiting),
            Work::Dial(_)
            | Work::Awaited { .. }
            | Work::Flow(_)
            | Work::Joined(..)
            | Work::Partner(_)
            | Work::Leaving(_) => None,
        }
    }

    fn stop_listening(&mut self, conn: Conn, waiting: VecDeque<Conn>, why: Why) {
        for conn in waiting {
            self.forget(conn);
            self.done.push_back(Input::Closed { conn, why: why.clone() });
        }
        self.done.push_back(Input::Closed { conn, why });
    }

    /// Takes an open connection out, with what was not written and what was read but not told.
    fn take_flow(&mut self, conn: Conn) -> Option<(S::Stream, Out, Vec<u8>)> {
        if !matches!(self.conns.get(&conn)?.work, Work::Flow(_)) {
            return None;
        }
        let Work::Flow(flow) = self.forget(conn)?.work else { return None };
        let mut unread = Vec::new();
        self.done.retain_mut(|input| match input {
            Input::Received { conn: of, bytes } if *of == conn => {
                unread.append(bytes);
                false
            }
            Input::Sent { conn: of } => *of != conn,
            Input::Opened { .. }
            | Input::Listening { .. }
            | Input::Received { .. }
            | Input::Closed { .. }
            | Input::Stored(_)
            | Input::Tick => true,
        });
        Some((flow.stream, flow.out, unread))
    }

    fn leave(&mut self, conn: Conn, stream: S::Stream, out: Out, why: Option<Why>) {
        let until = self.sockets.now().plus(LEAVE_LIMIT);
        self.enter(conn, |_, _| Work::Leaving(Leaving::new(stream, out, why, until)));
    }

    /// Ends a join: what has come still goes, and each side hears how much came from it.
    fn part(&mut self, a: Conn, b: Conn, joined: &Joined<S::Stream>) {
        self.forget(b);
        let Some(Pair { a: a_side, b: b_side }) = joined.part() else { return };
        for (conn, side) in [(a, a_side), (b, b_side)] {
            let why = Why::Joined { bytes: side.came };
            if side.is_over() {
                self.done.push_back(Input::Closed { conn, why });
            } else {
                self.leave(conn, side.stream, side.out, Some(why));
            }
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<Option<Input>> {
        loop {
            if let Some(input) = self.done.pop_front() {
                return Poll::Ready(Some(input));
            }
            self.ready.wait(cx.waker());
            let now = self.sockets.now();
            self.poll_due(now);
            self.poll_called(now);
            if !self.done.is_empty() || self.ready.is_noted() {
                continue;
            }
            if deadline.is_some_and(|at| at <= now) {
                return Poll::Ready(None);
            }
            let first = self.dues.first().map(|(at, _)| *at);
            let at = deadline.into_iter().chain(first).min();
            if self.poll_timer(cx, at).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn poll_due(&mut self, now: Instant) {
        while let Some((at, conn)) = self.dues.first().copied()
            && at <= now
        {
            self.dues.pop_first();
            if let Some(entry) = self.conns.get_mut(&conn) {
                entry.due = None;
            }
            self.poll_conn(conn, now);
        }
    }

    fn poll_called(&mut self, now: Instant) {
        let mut called = mem::take(&mut self.called);
        self.ready.swap(&mut called);
        for key in called.drain(..) {
            match key {
                Key::Conn(conn) => self.poll_conn(conn, now),
                Key::Job(id) => {
                    if self.jobs.get(&id).is_some_and(|job| job.poll().is_ready()) {
                        self.jobs.remove(&id);
                        self.done.push_back(Input::Tick);
                    }
                }
            }
        }
        self.called = called;
    }

    fn poll_conn(&mut self, conn: Conn, now: Instant) {
        let Some(entry) = self.conns.get_mut(&conn) else { return };
        let mut shared =
            Shared { sockets: &self.sockets, scratch: &mut self.scratch, done: &mut self.done, now };
        let after = entry.poll(conn, &mut shared);
        match after {
            After::Stay { due } => self.set_due(conn, due),
            After::Accepted { callers, due } => {
                self.set_due(conn, due);
                for (caller, stream, peer) in callers {
                    self.opened(caller, stream, peer);
                }
            }
            After::Dialled { stream, peer } => self.opened(conn, stream, peer),
            After::Closed(why) => self.closed(conn, why),
            After::Parted => self.close(conn, Why::Ended),
            After::Written { told } => self.linger(conn, told, now),
            After::Gone { told, lingered } => {
                self.lingering -= usize::from(lingered);
                self.forget(conn);
                self.done.extend(told.map(|why| Input::Closed { conn, why }));
            }
        }
    }

    fn opened(&mut self, conn: Conn, stream: S::Stream, peer: SocketAddr) {
        // The waker goes on: it is known to nobody but the dial, and that is over.
        if let Some(entry) = self.forget(conn) {
            self.conns.insert(conn, Entry { due: None, work: Work::Flow(Flow::new(stream)), ..entry });
            let peer = Some(peer).filter(|peer| !peer.ip().is_unspecified());
            self.done.push_back(Input::Opened { conn, peer });
        }
    }

    /// The connection, dial or listener has ended by itself.
    fn closed(&mut self, conn: Conn, why: Why) {
        let ended = why == Why::Ended;
        match self.forget(conn) {
            // The other end will say no more, but it may still listen.
            Some(Entry { work: Work::Flow(flow), .. }) if ended && !flow.out.is_empty() => {
                self.leave(conn, flow.stream, flow.out, None);
            }
            Some(Entry { work: Work::Naming(naming), .. }) => {
                return self.stop_listening(conn, naming.waiting, why);
            }
            Some(_) | None => {}
        }
        self.done.push_back(Input::Closed { conn, why });
    }

    fn linger(&mut self, conn: Conn, told: Option<Why>, now: Instant) {
        self.done.extend(told.map(|why| Input::Closed { conn, why }));
        if self.lingering >= LINGERING {
            self.forget(conn);
            return;
        }
        self.lingering += 1;
        if let Some(Entry { work: Work::Leaving(leaving), .. }) = self.conns.get_mut(&conn) {
            leaving.until = now.plus(LINGER_LIMIT);
        }
        // What has come already is read away before anybody can drop this runtime.
        self.poll_conn(conn, now);
    }

    fn set_due(&mut self, conn: Conn, due: Option<Instant>) {
        let Some(entry) = self.conns.get_mut(&conn) else { return };
        if entry.due == due {
            return;
        }
        if let Some(old) = mem::replace(&mut entry.due, due) {
            self.dues.remove(&(old, conn));
        }
        self.dues.extend(due.map(|at| (at, conn)));
    }

    /// Sleeps until `at`; a sleep that ends earlier is kept, since most deadlines only move on.
    fn poll_timer(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> Poll<()> {
        let Some(at) = at else { return Poll::Pending };
        let timer = match self.timer.take() {
            Some(timer) if timer.at <= at => timer,
            Some(_) | None => Timer { at, sleep: Box::pin(self.sockets.sleep_until(at)) },
        };
        let timer = self.timer.insert(timer);
        let slept = timer.sleep.as_mut().poll(cx);
        if slept.is_ready() {
            self.timer = None;
        }
        slept
    }
}

impl<S: Sockets + Default> Default for InFlight<S> {
    fn default() -> Self {
        Self::new(S::default())
    }
}

impl<S: Sockets> fmt::Debug for InFlight<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight")
            .field("conns", &self.conns.len())
            .field("jobs", &self.jobs.len())
            .finish_non_exhaustive()
    }
}
