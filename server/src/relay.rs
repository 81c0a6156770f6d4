//! The transit relay: all connections and who waits for whom, one machine (`transit.md`, section 4).
//!
//! A driver feeds it with what happens to connections. A client says its line, waits for a partner with the same token,
//! and leaves the machine with it by [`Op::Join`]. The relay ends with its listener.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::convert::Infallible;

use wormhole_core::driver::{Address, Conn, Input, Instant, Listen, Machine, Op, Output, Why};

use crate::door::{Door, Event, Step};
use crate::limits;
use crate::line::{self, Line, Side, Token};

const OK: &[u8] = b"ok\n";
const BAD_HANDSHAKE: &[u8] = b"bad handshake\n";
const IMPATIENT: &[u8] = b"impatient\n";

/// How a relay is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where to listen; port 0 takes any that is free.
    pub listen: Address,
}

/// The transit relay.
#[derive(Debug)]
pub struct Relay {
    door: Door,
    clients: BTreeMap<Conn, Client>,
    /// Who waits under a token, in the order of arrival. All are of one side, or they would be partners.
    waiting: BTreeMap<Token, VecDeque<(Conn, Option<Side>)>>,
    deadlines: BTreeSet<(Instant, Conn)>,
    now: Instant,
    out: VecDeque<Output<Event>>,
    /// Pairs that are to leave the machine, once everything in `out` is on its way.
    joins: VecDeque<(Conn, Conn)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Client {
    /// It is saying its line.
    Speaking {
        said: Vec<u8>,
        until: Instant,
    },
    /// It waits for a partner and is read from meanwhile, since it must be silent.
    Waiting {
        token: Token,
        until: Instant,
    },
    Paired {
        partner: Conn,
    },
    Closing,
}

impl Machine for Relay {
    type Event = Event;
    type Request = Infallible;
    type Reply = Infallible;

    fn handle(&mut self, input: Input, now: Instant) {
        self.now = self.now.max(now);
        match input {
            Input::Listening { conn, at } => {
                let (tell, accept) = self.door.listening(conn, at);
                self.follow(tell);
                self.follow(accept);
            }
            Input::Opened { conn, peer: _ } => self.opened(conn),
            Input::Received { conn, bytes } => self.received(conn, bytes),
            Input::Closed { conn, why } => self.closed(conn, why),
            Input::Stored(never) => match never {},
            Input::Sent { conn: _ } | Input::Tick => {}
        }
        let step = self.door.tick(self.now);
        self.follow(step);
        while let Some((at, conn)) = self.deadlines.first().copied()
            && at <= self.now
        {
            self.close(conn, &[]);
        }
    }

    fn poll(&mut self) -> Output<Event> {
        if let Some(output) = self.out.pop_front() {
            return output;
        }
        if let Some((a, b)) = self.joins.pop_front() {
            return Output::Do(Op::Join { a, b });
        }
        let first = self.deadlines.first().map(|(at, _)| *at);
        Output::Wait(first.into_iter().chain(self.door.deadline()).min())
    }
}

impl Relay {
    /// A relay that begins to listen as soon as it is polled.
    pub fn new(options: Options) -> Self {
        let (door, listen) = Door::open(Listen::Relay(options.listen));
        Self {
            door,
            clients: BTreeMap::new(),
            waiting: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            now: Instant::START,
            out: VecDeque::from([Output::Do(listen)]),
            joins: VecDeque::new(),
        }
    }

    /// How many clients are connected, pairs included.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    fn opened(&mut self, conn: Conn) {
        let Some(accept) = self.door.admit(conn) else { return };
        self.follow(accept);
        let until = self.now.plus(limits::LINE_TIME);
        self.deadlines.insert((until, conn));
        self.clients.insert(conn, Client::Speaking { said: Vec::new(), until });
        self.start(Op::Read { conn });
    }

    fn received(&mut self, conn: Conn, bytes: Vec<u8>) {
        match self.clients.get_mut(&conn) {
            Some(Client::Speaking { said, until: _ }) => {
                said.extend_from_slice(&bytes);
                match said.iter().position(|byte| *byte == b'\n') {
                    Some(end) if end <= limits::LINE_BYTES => {
                        let rest = said.split_off(end.saturating_add(1));
                        let line = Line::parse(said.get(..end).unwrap_or_default());
                        self.asked(conn, line, &rest);
                    }
                    None if said.len() <= limits::LINE_BYTES => self.start(Op::Read { conn }),
                    Some(_) | None => self.close(conn, &[]),
                }
            }
            Some(Client::Waiting { .. }) => self.close(conn, IMPATIENT),
            // It came before the join was begun, and belongs to the partner like all that follows.
            Some(Client::Paired { partner }) => {
                let conn = *partner;
                self.start(Op::Write { conn, bytes });
            }
            Some(Client::Closing) | None => {}
        }
    }

    /// A client has said its line, and `rest` in the same breath.
    fn asked(&mut self, conn: Conn, line: Option<Line>, rest: &[u8]) {
        let Some(Line { token, side }) = line else {
            return self.close(conn, BAD_HANDSHAKE);
        };
        let queue = self.waiting.get(&token);
        // The newest is the likeliest to be alive still.
        let partner =
            queue.and_then(|queue| queue.iter().rev().find(|(_, other)| line::is_pair(side, *other)));
        match partner.map(|(partner, _)| *partner) {
            Some(partner) => self.pair(partner, conn, &token, rest),
            None if rest.is_empty() => self.wait(conn, token, side),
            None => self.close(conn, IMPATIENT),
        }
    }

    fn wait(&mut self, conn: Conn, token: Token, side: Option<Side>) {
        self.forget_deadline(conn);
        let until = self.now.plus(limits::WAIT_TIME);
        self.deadlines.insert((until, conn));
        self.clients.insert(conn, Client::Waiting { token, until });
        let queue = self.waiting.entry(token).or_default();
        queue.push_back((conn, side));
        let surplus = if queue.len() > limits::WAITERS { queue.front().copied() } else { None };
        if let Some((oldest, _)) = surplus {
            self.close(oldest, &[]);
        }
        self.start(Op::Read { conn });
    }

    /// Two partners have met. All others who wait under the token are left over.
    fn pair(&mut self, first: Conn, second: Conn, token: &Token, rest: &[u8]) {
        for (conn, _) in self.waiting.remove(token).unwrap_or_default() {
            if conn != first {
                self.close(conn, &[]);
            }
        }
        for (conn, partner) in [(first, second), (second, first)] {
            self.forget_deadline(conn);
            self.clients.insert(conn, Client::Paired { partner });
        }
        self.start(Op::Write { conn: first, bytes: [OK, rest].concat() });
        self.start(Op::Write { conn: second, bytes: OK.to_vec() });
        self.joins.push_back((first, second));
    }

    fn closed(&mut self, conn: Conn, why: Why) {
        let partner = match self.clients.get(&conn) {
            Some(Client::Paired { partner }) => Some(*partner),
            Some(Client::Speaking { .. } | Client::Waiting { .. } | Client::Closing) => None,
            None => {
                let step = self.door.closed(conn, why, self.now);
                return self.follow(step);
            }
        };
        self.forget_deadline(conn);
        self.forget_waiting(conn);
        self.clients.remove(&conn);
        // Where the join was not yet begun, there is nothing left to join.
        let waiting = self.joins.len();
        self.joins.retain(|(a, b)| *a != conn && *b != conn);
        if let Some(partner) = partner
            && self.joins.len() < waiting
        {
            self.close(partner, &[]);
        }
        let step = self.door.leave();
        self.follow(step);
    }

    /// Ends a connection with a last word.
    fn close(&mut self, conn: Conn, word: &[u8]) {
        self.forget_deadline(conn);
        self.forget_waiting(conn);
        self.clients.insert(conn, Client::Closing);
        if !word.is_empty() {
            self.start(Op::Write { conn, bytes: word.to_vec() });
        }
        self.start(Op::Close { conn });
    }

    fn forget_deadline(&mut self, conn: Conn) {
        match self.clients.get(&conn) {
            Some(Client::Speaking { until, .. } | Client::Waiting { until, .. }) => {
                self.deadlines.remove(&(*until, conn));
            }
            Some(Client::Paired { .. } | Client::Closing) | None => {}
        }
    }

    fn forget_waiting(&mut self, conn: Conn) {
        let Some(Client::Waiting { token, .. }) = self.clients.get(&conn) else { return };
        let Some(queue) = self.waiting.get_mut(token) else { return };
        queue.retain(|(waiter, _)| *waiter != conn);
        if queue.is_empty() {
            self.waiting.remove(token);
        }
    }

    fn follow(&mut self, step: Step<Infallible>) {
        match step {
            Step::Do(op) => self.start(op),
            Step::Tell(event) => self.out.push_back(Output::Tell(event)),
            Step::Nothing => {}
        }
    }

    fn start(&mut self, op: Op) {
        self.out.push_back(Output::Do(op));
    }
}
