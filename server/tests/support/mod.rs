//! A world of one server and its clients, in memory and in virtual time: every operation is carried out at once, and
//! every rule of the border is checked on the way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use serde_json::Value;
use wormhole_core::driver::{Address, Conn, Input, Instant, Machine, Op, Output, Why};
use wormhole_server::store::{Memory, Reply, Request, Store};
use wormhole_server::{Event, mailbox, relay};

/// Unix seconds at the start of every world, as in the recordings.
pub(crate) const STARTED: f64 = 1_700_000_000.5;

pub(crate) type MailboxWorld = World<mailbox::Mailbox, Memory>;
pub(crate) type RelayWorld = World<relay::Relay, ()>;

/// What answers the requests of a machine.
pub(crate) trait Shelf<Q, A> {
    fn ask(&mut self, request: Q, now: Instant) -> Vec<A>;
}

impl Shelf<Infallible, Infallible> for () {
    fn ask(&mut self, request: Infallible, _: Instant) -> Vec<Infallible> {
        match request {}
    }
}

impl Shelf<Request, Reply> for Memory {
    fn ask(&mut self, request: Request, now: Instant) -> Vec<Reply> {
        self.start(request, now);
        let mut cx = Context::from_waker(Waker::noop());
        std::iter::from_fn(|| match self.poll_reply(&mut cx) {
            Poll::Ready(reply) => Some(reply),
            Poll::Pending => None,
        })
        .collect()
    }
}

pub(crate) struct World<M: Machine, S> {
    pub(crate) machine: M,
    pub(crate) store: S,
    pub(crate) now: Instant,
    pub(crate) events: Vec<Event>,
    pub(crate) lines: BTreeMap<Conn, Line>,
    /// The listener, and the number that the next caller gets.
    pub(crate) accepting: Option<(Conn, Conn)>,
    inputs: VecDeque<Input<M::Reply>>,
    /// Who may have something to be read.
    ready: BTreeSet<Conn>,
    deadline: Option<Instant>,
}

/// One connection, seen from the client.
#[derive(Default)]
pub(crate) struct Line {
    /// What the server has written since it was last looked at.
    pub(crate) heard: Vec<Vec<u8>>,
    /// The server has closed it.
    pub(crate) ended: bool,
    /// What it said then.
    pub(crate) code: Option<u16>,
    /// The client takes nothing more from the system.
    pub(crate) stalled: bool,
    said: VecDeque<Vec<u8>>,
    reading: bool,
    partner: Option<Conn>,
}

impl MailboxWorld {
    pub(crate) fn mailbox() -> Self {
        Self::mailbox_with(|_| {})
    }

    pub(crate) fn mailbox_with(change: impl FnOnce(&mut mailbox::Options)) -> Self {
        Self::mailbox_seeded(7, change)
    }

    pub(crate) fn mailbox_seeded(seed: u8, change: impl FnOnce(&mut mailbox::Options)) -> Self {
        let mut options = mailbox::Options::new(Address::new("127.0.0.1", 4000), STARTED);
        change(&mut options);
        Self::new(mailbox::Mailbox::new(options), Memory::new([seed; 32]))
    }

    /// Says one message, and answers with what this client hears upon it.
    pub(crate) fn say(&mut self, conn: Conn, message: Value) -> Vec<Value> {
        self.send(conn, message.to_string().as_bytes());
        self.hear(conn)
    }

    /// What a client has heard since it was last asked, without `server_tx`.
    pub(crate) fn hear(&mut self, conn: Conn) -> Vec<Value> {
        let heard = std::mem::take(&mut self.line(conn).heard);
        heard
            .iter()
            .map(|bytes| {
                let mut message: Value = serde_json::from_slice(bytes).unwrap();
                let sent = message.as_object_mut().unwrap().remove("server_tx").unwrap();
                assert!(sent.as_f64().unwrap() >= STARTED);
                message
            })
            .collect()
    }

    /// A new connection that has read its welcome.
    pub(crate) fn greeted(&mut self) -> Conn {
        let conn = self.connect("127.0.0.1:50000");
        assert_eq!(self.hear(conn).len(), 1);
        conn
    }
}

impl RelayWorld {
    pub(crate) fn relay() -> Self {
        Self::relay_with(|_| {})
    }

    pub(crate) fn relay_with(change: impl FnOnce(&mut relay::Options)) -> Self {
        let mut options = relay::Options::new(Address::new("127.0.0.1", 4001));
        change(&mut options);
        Self::new(relay::Relay::new(options), ())
    }

    /// All bytes that a client has heard since it was last asked.
    pub(crate) fn hear(&mut self, conn: Conn) -> Vec<u8> {
        std::mem::take(&mut self.line(conn).heard).concat()
    }
}

impl<M: Machine<Event = Event>, S: Shelf<M::Request, M::Reply>> World<M, S> {
    fn new(machine: M, store: S) -> Self {
        let mut world = Self {
            machine,
            store,
            now: Instant::START,
            events: Vec::new(),
            lines: BTreeMap::new(),
            accepting: None,
            inputs: VecDeque::new(),
            ready: BTreeSet::new(),
            deadline: None,
        };
        world.settle();
        world
    }

    pub(crate) fn connect(&mut self, peer: &str) -> Conn {
        let (_, conn) = self.accepting.take().unwrap();
        let peer: SocketAddr = peer.parse().unwrap();
        self.lines.insert(conn, Line::default());
        self.put(Input::Opened { conn, peer: Some(peer) });
        conn
    }

    /// A client sends bytes: one message to a mailbox server, one segment to a relay.
    pub(crate) fn send(&mut self, conn: Conn, bytes: &[u8]) {
        match self.line(conn).partner {
            Some(partner) => self.line(partner).heard.push(bytes.to_vec()),
            None => self.line(conn).said.push_back(bytes.to_vec()),
        }
        self.ready.insert(conn);
        self.settle();
    }

    /// A client sends bytes that travel with what it sends next.
    pub(crate) fn queue(&mut self, conn: Conn, message: String) {
        self.line(conn).said.push_back(message.into_bytes());
        self.ready.insert(conn);
    }

    /// Hands the machine an input without letting it act upon it.
    pub(crate) fn only_handle(&mut self, input: Input<M::Reply>) {
        if let Input::Received { conn, .. } = &input {
            assert!(std::mem::take(&mut self.line(*conn).reading), "nobody reads from {conn:?}");
        }
        self.machine.handle(input, self.now);
    }

    /// A client goes away: in order, or by a reset.
    pub(crate) fn hang_up(&mut self, conn: Conn, why: Why) {
        if let Some(partner) = self.line(conn).partner {
            self.line(partner).ended = true;
            self.lines.remove(&conn);
            self.inputs.push_back(Input::Closed { conn, why: Why::Joined { bytes: 0 } });
            return self.put(Input::Closed { conn: partner, why: Why::Joined { bytes: 0 } });
        }
        self.lines.remove(&conn);
        self.put(Input::Closed { conn, why });
    }

    pub(crate) fn put(&mut self, input: Input<M::Reply>) {
        self.inputs.push_back(input);
        self.settle();
    }

    /// Lets time pass; the machine is called whenever it wanted to be.
    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.now.plus(time);
        while let Some(at) = self.deadline.filter(|at| *at <= until) {
            assert!(at > self.now, "a deadline was not used up");
            self.now = at;
            self.put(Input::Tick);
        }
        self.now = until;
        self.put(Input::Tick);
    }

    /// The system takes what a stalled client has not, and the client reads again.
    pub(crate) fn unstall(&mut self, conn: Conn, writes: usize) {
        self.line(conn).stalled = false;
        for _ in 0..writes {
            self.put(Input::Sent { conn });
        }
    }

    pub(crate) fn line(&mut self, conn: Conn) -> &mut Line {
        self.lines.get_mut(&conn).unwrap()
    }

    pub(crate) fn is_open(&mut self, conn: Conn) -> bool {
        !self.line(conn).ended
    }

    pub(crate) fn settle(&mut self) {
        loop {
            match self.machine.poll() {
                Output::Do(op) => self.carry_out(op),
                Output::Tell(event) => self.events.push(event),
                Output::Wait(deadline) => {
                    self.deadline = deadline;
                    let Some(input) = self.inputs.pop_front().or_else(|| self.next_read()) else { return };
                    self.machine.handle(input, self.now);
                }
            }
        }
    }

    fn next_read(&mut self) -> Option<Input<M::Reply>> {
        while let Some(conn) = self.ready.pop_first() {
            if let Some(line) = self.lines.get_mut(&conn).filter(|line| line.reading)
                && let Some(bytes) = line.said.pop_front()
            {
                line.reading = false;
                return Some(Input::Received { conn, bytes });
            }
        }
        None
    }

    fn end(&mut self, conn: Conn, code: Option<u16>) {
        let line = self.line(conn);
        assert!(!line.ended, "a connection is closed once");
        (line.ended, line.code) = (true, code);
        self.inputs.push_back(Input::Closed { conn, why: Why::Asked });
    }

    fn carry_out(&mut self, op: Op<M::Request>) {
        match op {
            Op::Open { .. } => panic!("a server dials nobody"),
            Op::Listen { conn, on: _ } => {
                self.inputs.push_back(Input::Listening { conn, at: vec![Address::new("127.0.0.1", 9)] });
            }
            Op::Accept { at, conn } => {
                assert!(self.accepting.replace((at, conn)).is_none(), "one caller at a time");
            }
            // The client is gone, which the machine may not have known.
            Op::Read { conn } | Op::Write { conn, .. } | Op::Close { conn } | Op::Dismiss { conn, .. }
                if !self.lines.contains_key(&conn) => {}
            Op::Read { conn } => {
                let line = self.line(conn);
                assert!(!line.reading && !line.ended, "one read at a time, and none after the end");
                line.reading = true;
                self.ready.insert(conn);
            }
            Op::Write { conn, bytes } => {
                let line = self.line(conn);
                assert!(!line.ended && line.partner.is_none() && !bytes.is_empty());
                line.heard.push(bytes);
                if !line.stalled {
                    self.inputs.push_back(Input::Sent { conn });
                }
            }
            Op::Join { a, b, terms: _ } => {
                for (conn, partner) in [(a, b), (b, a)] {
                    let line = self.line(conn);
                    assert!(!line.ended && line.partner.is_none());
                    line.partner = Some(partner);
                    let said = std::mem::take(&mut line.said);
                    self.line(partner).heard.extend(said);
                }
            }
            Op::Close { conn } => self.end(conn, None),
            Op::Dismiss { conn, code } => self.end(conn, Some(code)),
            Op::Store(request) => {
                let replies = self.store.ask(request, self.now);
                self.inputs.extend(replies.into_iter().map(Input::Stored));
            }
        }
    }
}
