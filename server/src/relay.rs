//! The transit relay: all connections and who waits for whom, one machine (`docs/transit.md`, "The relay").
//!
//! A driver feeds it with what happens to connections. A client says its line, waits for a partner with the same token,
//! and leaves the machine with it by [`Op::Join`]. The relay ends with its listener.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::net::SocketAddr;
use core::time::Duration;

use wormhole_core::driver::{Address, Conn, Input, Instant, Listen, Machine, Op, Output, Terms, Why};

use crate::callers::{Callers, Origin};
use crate::counters::RelayCounts;
use crate::door::{Door, Drain, Event, Step};
use crate::limits::{self, PerAddress};
use crate::line::{self, Line, Side, Token};
use crate::session::TRY_LATER;
use crate::stamp::Stamp;
use crate::usage::{Mood, Span, Usage};

const OK: &[u8] = b"ok\n";
const BAD_HANDSHAKE: &[u8] = b"bad handshake\n";
const IMPATIENT: &[u8] = b"impatient\n";

/// How a relay is set up.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Where to listen: all listeners of one relay share its clients, so that a client over TCP meets one over
    /// WebSocket.
    pub listen: Vec<Listen>,
    /// What a pair is granted. The default is to end when nothing has come for [`limits::PAIR_IDLE`].
    pub terms: Terms,
    /// How long a client may take for its line.
    pub line_time: Duration,
    /// How long a client waits for its partner.
    pub wait_time: Duration,
    /// How many clients of one side may wait with one token; beyond them, the oldest give way.
    pub waiters: usize,
    /// What all connections from one address may do together.
    pub addresses: PerAddress,
    /// Unix seconds at the driver's start, for the statistics.
    pub started: f64,
}

impl Options {
    /// Listens for clients over TCP; port 0 takes any that is free.
    pub fn new(listen: Address) -> Self {
        let terms = Terms { idle: Some(limits::PAIR_IDLE), ..Terms::default() };
        let (line_time, wait_time) = (limits::LINE_TIME, limits::WAIT_TIME);
        Self {
            listen: vec![Listen::Relay(listen)],
            terms,
            line_time,
            wait_time,
            waiters: limits::WAITERS,
            addresses: PerAddress::default(),
            started: 0.0,
        }
    }

    /// Listens for clients over WebSocket, too.
    #[must_use]
    pub fn web_socket(mut self, listen: Address) -> Self {
        self.listen.push(Listen::RelayWebSocket(listen));
        self
    }
}

/// The transit relay.
#[derive(Debug)]
pub struct Relay {
    door: Door,
    /// Of each listener whether its clients speak in messages, where the end of one may be that of a line.
    framed: Vec<bool>,
    terms: Terms,
    line_time: Duration,
    wait_time: Duration,
    waiters: usize,
    callers: Callers,
    /// Where clients are counted.
    origins: BTreeMap<Conn, Origin>,
    clients: BTreeMap<Conn, Client>,
    /// When each came of whom it is not yet told how it ended.
    came: BTreeMap<Conn, Instant>,
    /// Of pairs of which one is gone, what was carried for it, under the number of the other.
    pairs: BTreeMap<Conn, (Instant, u64)>,
    /// Who waits under a token, in the order of arrival. All are of one side, or they would be partners.
    waiting: BTreeMap<Token, VecDeque<(Conn, Option<Side>)>>,
    deadlines: BTreeSet<(Instant, Conn)>,
    counts: Arc<RelayCounts>,
    started: Stamp,
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
        framed: bool,
        until: Instant,
    },
    /// It waits for a partner and is read from meanwhile, since it must be silent.
    Waiting {
        token: Token,
        /// The end of its line may still come.
        unended: bool,
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
                let steps = self.door.listening(conn, at);
                self.follow(steps);
            }
            Input::Opened { conn, peer } => self.opened(conn, peer),
            Input::Received { conn, bytes } => self.received(conn, bytes),
            Input::Closed { conn, why } => self.closed(conn, why),
            Input::Stored(never) => match never {},
            Input::Sent { conn: _ } | Input::Tick => {}
        }
        let steps = self.door.tick(self.now);
        self.follow(steps);
        while let Some((at, conn)) = self.deadlines.first().copied()
            && at <= self.now
        {
            let mood = self.mood(conn);
            self.close(conn, &[], mood);
        }
    }

    fn poll(&mut self) -> Output<Event> {
        if let Some(output) = self.out.pop_front() {
            return output;
        }
        if let Some((a, b)) = self.joins.pop_front() {
            return Output::Do(Op::Join { a, b, terms: self.terms });
        }
        let first = self.deadlines.first().map(|(at, _)| *at);
        Output::Wait(first.into_iter().chain(self.door.deadline()).min())
    }
}

impl Drain for Relay {
    fn shut(&mut self) {
        let step = self.door.shut();
        self.follow(step);
    }

    /// Nobody will come any more for those who wait.
    fn is_empty(&self) -> bool {
        self.clients.values().all(|client| match client {
            Client::Waiting { .. } => true,
            Client::Speaking { .. } | Client::Paired { .. } | Client::Closing => false,
        })
    }

    fn is_gone(&self) -> bool {
        self.clients.is_empty()
    }

    fn end(&mut self) {
        let clients: Vec<Conn> = self.clients.keys().copied().collect();
        for conn in clients {
            let mood = self.mood(conn);
            self.close(conn, &[], mood);
        }
    }
}

impl Relay {
    /// A relay that begins to listen as soon as it is polled.
    pub fn new(options: Options) -> Self {
        let is_framed = |on: &Listen| matches!(on, Listen::RelayWebSocket(_));
        let framed = options.listen.iter().map(is_framed).collect();
        let (door, listen) = Door::open(options.listen);
        Self {
            door,
            framed,
            terms: options.terms,
            line_time: options.line_time,
            wait_time: options.wait_time,
            waiters: options.waiters,
            callers: Callers::new(options.addresses),
            origins: BTreeMap::new(),
            clients: BTreeMap::new(),
            came: BTreeMap::new(),
            pairs: BTreeMap::new(),
            waiting: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            counts: Arc::default(),
            started: Stamp::at(options.started),
            now: Instant::START,
            out: listen.into_iter().map(Output::Do).collect(),
            joins: VecDeque::new(),
        }
    }

    /// What the relay counts.
    pub fn counts(&self) -> Arc<RelayCounts> {
        Arc::clone(&self.counts)
    }

    /// How many clients are connected, pairs included.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// What all connections from one address may do together from now on. Those who are inside stay, and count.
    pub fn limit(&mut self, addresses: PerAddress) {
        self.callers.limit(addresses);
    }

    fn opened(&mut self, conn: Conn, peer: Option<SocketAddr>) {
        let Some((at, accept)) = self.door.admit(conn) else { return };
        self.follow(accept);
        if let Some(origin) = Origin::of(peer) {
            if let Err(refusal) = self.callers.enter(origin, self.now) {
                self.counts.connections.came.one();
                self.counts.refusals.one(refusal.as_str());
                self.clients.insert(conn, Client::Closing);
                return self.start(Op::Dismiss { conn, code: TRY_LATER });
            }
            self.origins.insert(conn, origin);
        }
        let until = self.now.plus(self.line_time);
        self.deadlines.insert((until, conn));
        let framed = self.framed.get(at).copied().unwrap_or_default();
        self.clients.insert(conn, Client::Speaking { said: Vec::new(), framed, until });
        self.came.insert(conn, self.now);
        self.counts.connections.came.one();
        self.start(Op::Read { conn });
    }

    fn received(&mut self, conn: Conn, bytes: Vec<u8>) {
        match self.clients.get_mut(&conn) {
            Some(Client::Speaking { said, framed, until: _ }) => {
                said.extend_from_slice(&bytes);
                match said.iter().position(|byte| *byte == b'\n') {
                    Some(end) if end <= limits::LINE_BYTES => {
                        let rest = said.split_off(end.saturating_add(1));
                        let line = Line::parse(said.get(..end).unwrap_or_default());
                        self.asked(conn, line, false, &rest);
                    }
                    None if *framed && let Some(line) = Line::parse(said) => {
                        self.asked(conn, Some(line), true, &[]);
                    }
                    None if said.len() <= limits::LINE_BYTES => self.start(Op::Read { conn }),
                    Some(_) | None => self.close(conn, &[], Mood::Empty),
                }
            }
            Some(Client::Waiting { unended: unended @ true, .. }) if bytes == b"\n" => {
                *unended = false;
                self.start(Op::Read { conn });
            }
            Some(Client::Waiting { .. }) => self.close(conn, IMPATIENT, Mood::Impatient),
            // It came before the join was begun, and belongs to the partner like all that follows.
            Some(Client::Paired { partner }) => {
                let conn = *partner;
                self.start(Op::Write { conn, bytes });
            }
            Some(Client::Closing) | None => {}
        }
    }

    /// A client has said its line, which may lack its end, and `rest` in the same breath.
    fn asked(&mut self, conn: Conn, line: Option<Line>, unended: bool, rest: &[u8]) {
        let Some(Line { token, side }) = line else {
            return self.close(conn, BAD_HANDSHAKE, Mood::Errory);
        };
        let queue = self.waiting.get(&token);
        // The newest is the likeliest to be alive still.
        let partner =
            queue.and_then(|queue| queue.iter().rev().find(|(_, other)| line::is_pair(side, *other)));
        match partner.map(|(partner, _)| *partner) {
            Some(partner) => self.pair(partner, conn, &token, rest),
            None if rest.is_empty() => self.wait(conn, token, unended, side),
            None => self.close(conn, IMPATIENT, Mood::Impatient),
        }
    }

    fn wait(&mut self, conn: Conn, token: Token, unended: bool, side: Option<Side>) {
        self.forget_deadline(conn);
        let until = self.now.plus(self.wait_time);
        self.deadlines.insert((until, conn));
        self.clients.insert(conn, Client::Waiting { token, unended, until });
        self.counts.waits.came.one();
        let queue = self.waiting.entry(token).or_default();
        if queue.is_empty() {
            self.counts.tokens.came.one();
        }
        queue.push_back((conn, side));
        let surplus = if queue.len() > self.waiters { queue.front().copied() } else { None };
        if let Some((oldest, _)) = surplus {
            self.close(oldest, &[], Mood::Redundant);
        }
        self.start(Op::Read { conn });
    }

    /// Two partners have met. All others who wait under the token are left over.
    fn pair(&mut self, first: Conn, second: Conn, token: &Token, rest: &[u8]) {
        for (conn, _) in self.waiting.remove(token).unwrap_or_default() {
            if conn != first {
                self.close(conn, &[], Mood::Redundant);
            }
        }
        self.counts.pairs.one();
        self.counts.paired.came.add(2);
        self.counts.waits.went.one();
        self.counts.tokens.went.one();
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
        let carried = if let Why::Joined { bytes } = why { bytes } else { 0 };
        self.counts.bytes.add(carried);
        match partner {
            Some(partner) => self.half_ended(conn, partner, carried),
            None => self.ended(conn, self.mood(conn)),
        }
        self.forget_deadline(conn);
        self.forget_waiting(conn);
        self.clients.remove(&conn);
        if let Some(origin) = self.origins.remove(&conn) {
            self.callers.leave(origin, self.now);
        }
        self.counts.connections.went.one();
        // Where the join was not yet begun, there is nothing left to join.
        let waiting = self.joins.len();
        self.joins.retain(|(a, b)| *a != conn && *b != conn);
        if let Some(partner) = partner
            && self.joins.len() < waiting
        {
            self.close(partner, &[], Mood::Happy);
        }
        let steps = self.door.leave();
        self.follow(steps);
    }

    /// How a client that is alone ends, where nobody but itself is to blame.
    fn mood(&self, conn: Conn) -> Mood {
        match self.clients.get(&conn) {
            Some(Client::Waiting { .. }) => Mood::Lonely,
            Some(Client::Paired { .. }) => Mood::Happy,
            Some(Client::Speaking { .. } | Client::Closing) | None => Mood::Empty,
        }
    }

    /// One of two partners is gone. The pair is told when both are.
    fn half_ended(&mut self, conn: Conn, partner: Conn, carried: u64) {
        let Some(came) = self.came.remove(&conn) else { return };
        self.counts.paired.went.one();
        match self.pairs.remove(&conn) {
            Some((other, bytes)) => self.used(came, Some(other), carried.saturating_add(bytes), Mood::Happy),
            None => {
                self.pairs.insert(partner, (came, carried));
            }
        }
    }

    /// A client that has no partner is gone, or is sent away. It is told once.
    fn ended(&mut self, conn: Conn, mood: Mood) {
        if let Some(came) = self.came.remove(&conn) {
            self.used(came, None, 0, mood);
        }
    }

    fn used(&mut self, came: Instant, other: Option<Instant>, bytes: u64, mood: Mood) {
        let at = |moment| self.started.plus(moment);
        let span = Span::of(core::iter::once(came).chain(other).map(at), at(self.now));
        self.out.push_back(Output::Tell(Event::Used(Usage::Transit { span, bytes, mood })));
    }

    /// Ends a connection with a last word.
    fn close(&mut self, conn: Conn, word: &[u8], mood: Mood) {
        // Partners are told together, when both are gone.
        match self.clients.get(&conn) {
            Some(Client::Paired { partner }) => {
                let partner = *partner;
                self.half_ended(conn, partner, 0);
            }
            Some(Client::Speaking { .. } | Client::Waiting { .. } | Client::Closing) | None => {
                self.ended(conn, mood);
            }
        }
        self.forget_deadline(conn);
        self.forget_waiting(conn);
        self.clients.insert(conn, Client::Closing);
        if !word.is_empty() {
            self.counts.refusals.one(if word == IMPATIENT { "impatient" } else { "bad handshake" });
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
        self.counts.waits.went.one();
        let Some(queue) = self.waiting.get_mut(token) else { return };
        queue.retain(|(waiter, _)| *waiter != conn);
        if queue.is_empty() {
            self.counts.tokens.went.one();
            self.waiting.remove(token);
        }
    }

    fn follow(&mut self, steps: impl IntoIterator<Item = Step<Infallible>>) {
        for step in steps {
            self.out.push_back(match step {
                Step::Do(op) => Output::Do(op),
                Step::Tell(event) => Output::Tell(event),
            });
        }
    }

    fn start(&mut self, op: Op) {
        self.out.push_back(Output::Do(op));
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::{String, ToString};
    use std::path::Path;
    use std::{env, fs};

    use super::*;

    /// The file that the table is kept in, below the root of the workspace.
    const TABLE: &str = "docs/machines/server-relay.md";
    /// Waits under token `b`, in all samples.
    const OTHER: Conn = Conn(1);
    /// The client that the samples are about.
    const CLIENT: Conn = Conn(2);

    #[test]
    fn the_table_of_transitions_is_the_one_in_the_docs() {
        let mut text = String::from("# relay (one of its clients)\n\n");
        text += "Another client waits under token b. What is done to it is said with its name.\n\n";
        text += "Written by a test of `server/src/relay.rs`.\n\n";
        text += "| state | input | output | next |\n| --- | --- | --- | --- |\n";
        for (state, inputs, outputs, next) in rows() {
            text += &format!("| {state} | {} | {outputs} | {next} |\n", inputs.join(", "));
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(TABLE);
        if env::var_os("REGENERATE_TABLES").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == text, "{TABLE} differs; REGENERATE_TABLES=1 writes it anew");
    }

    /// Inputs that do the same in one state share a row.
    fn rows() -> Vec<(String, Vec<String>, String, String)> {
        let mut rows: Vec<(String, Vec<String>, String, String)> = Vec::new();
        for said in [None, Some(line('a')), Some(line('b')), Some("nonsense\n".into())] {
            for (name, input, after) in inputs() {
                let mut relay = relay(said.as_deref());
                let before = show_state(&relay);
                relay.handle(input, Instant::after_start(after));
                let outputs: Vec<String> = outputs(&mut relay).iter().filter_map(show_output).collect();
                let (outputs, next) = (outputs.join(", "), show_state(&relay));
                let next = if next == before { "same".to_string() } else { next };
                match rows.iter_mut().find(|row| row.0 == before && row.2 == outputs && row.3 == next) {
                    Some(row) => row.1.push(name.into()),
                    None => rows.push((before, vec![name.into()], outputs, next)),
                }
            }
        }
        rows
    }

    fn inputs() -> Vec<(&'static str, Input, Duration)> {
        let said = |text: &str| Input::Received { conn: CLIENT, bytes: text.as_bytes().to_vec() };
        let closed = |conn| Input::Closed { conn, why: Why::Ended };
        vec![
            ("a part of a line", said("please"), Duration::ZERO),
            ("a line with token a", said(&line('a')), Duration::ZERO),
            ("a line with token a and more", said(&format!("{}!", line('a'))), Duration::ZERO),
            ("a line with token b", said(&line('b')), Duration::ZERO),
            ("a line with token b and more", said(&format!("{}!", line('b'))), Duration::ZERO),
            ("another line", said("nonsense\n"), Duration::ZERO),
            ("too much", said(&"x".repeat(limits::LINE_BYTES + 1)), Duration::ZERO),
            ("its end", closed(CLIENT), Duration::ZERO),
            ("the end of the other", closed(OTHER), Duration::ZERO),
            ("the time for a line is over", Input::Tick, limits::LINE_TIME),
            ("the time to wait is over", Input::Tick, limits::WAIT_TIME),
        ]
    }

    /// A relay with the client that waits, and one that has said this.
    fn relay(said: Option<&str>) -> Relay {
        let mut relay = Relay::new(Options::new(Address::new("127.0.0.1", 1)));
        let mut inputs = vec![
            Input::Listening { conn: Conn(0), at: Vec::new() },
            Input::Opened { conn: OTHER, peer: None },
            Input::Received { conn: OTHER, bytes: line('b').replace('1', "2").into_bytes() },
            Input::Opened { conn: CLIENT, peer: None },
        ];
        inputs.extend(said.map(|text| Input::Received { conn: CLIENT, bytes: text.as_bytes().to_vec() }));
        for input in inputs {
            relay.handle(input, Instant::START);
            outputs(&mut relay);
        }
        relay
    }

    fn line(token: char) -> String {
        format!("please relay {} for side {}\n", token.to_string().repeat(64), "1".repeat(16))
    }

    fn outputs(relay: &mut Relay) -> Vec<Output<Event>> {
        let poll = || match relay.poll() {
            Output::Wait(_) => None,
            output @ (Output::Do(_) | Output::Tell(_)) => Some(output),
        };
        core::iter::from_fn(poll).collect()
    }

    fn show_state(relay: &Relay) -> String {
        match relay.clients.get(&CLIENT) {
            None => "Gone",
            Some(Client::Speaking { .. }) => "Speaking",
            Some(Client::Waiting { .. }) => "Waiting",
            Some(Client::Paired { .. }) => "Paired",
            Some(Client::Closing) => "Closing",
        }
        .into()
    }

    fn show_output(output: &Output<Event>) -> Option<String> {
        let (what, conn) = match output {
            Output::Do(Op::Read { conn }) => ("read", *conn),
            Output::Do(Op::Write { conn, bytes }) => {
                let what = match bytes.as_slice() {
                    OK => "write `ok`",
                    BAD_HANDSHAKE => "write `bad handshake`",
                    IMPATIENT => "write `impatient`",
                    bytes if bytes.starts_with(OK) => "write `ok` and the rest",
                    _ => "write what came",
                };
                (what, *conn)
            }
            Output::Do(Op::Close { conn } | Op::Dismiss { conn, .. }) => ("close", *conn),
            Output::Do(Op::Join { .. }) => ("join", CLIENT),
            // The door's, as in every state.
            Output::Do(Op::Open { .. } | Op::Listen { .. } | Op::Accept { .. } | Op::Store(_)) => {
                return None;
            }
            Output::Tell(_) | Output::Wait(_) => return None,
        };
        Some(if conn == OTHER { format!("other: {what}") } else { what.into() })
    }
}
