//! The mailbox server: all connections and their sessions, one machine (`docs/server-protocol.md`).
//!
//! A driver feeds it with what happens to connections, and the store with its replies. It ends with its listener.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use wormhole_core::driver::{Address, Conn, Input, Instant, Listen, Machine, Op, Output, Why};

use crate::answer::{Answer, Welcome};
use crate::counters::MailboxCounts;
use crate::door::{Door, Drain, Event, Step};
use crate::limits;
use crate::outbox::Outbox;
use crate::session::{self, Session};
use crate::stamp::Stamp;
use crate::store::{Ask, Done, Member, Reply, Request};
use crate::usage::Usage;

/// How a mailbox server is set up.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Where to listen; all listeners share the clients.
    pub listen: Vec<Listen>,
    /// Unix seconds at the driver's start, for the times that clients are told.
    pub started: f64,
    /// A message of the day for every client.
    pub motd: Option<String>,
    /// Asks every client to leave, and says why.
    pub error: Option<String>,
    /// The version that clients are told to be current.
    pub advertise_version: Option<String>,
    /// Whether clients may see the nameplates in use.
    pub allow_list: bool,
    /// How often the store looks for what has expired.
    pub prune_every: Duration,
}

impl Options {
    /// A server without messages, where nameplates may be listed.
    pub fn new(listen: Address, started: f64) -> Self {
        let listen = vec![Listen::Mailbox(listen)];
        Self {
            listen,
            started,
            motd: None,
            error: None,
            advertise_version: None,
            allow_list: true,
            prune_every: limits::PRUNE_EVERY,
        }
    }
}

impl Drain for Mailbox {
    fn shut(&mut self) {
        let step = self.door.shut();
        self.follow(step);
    }

    fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    fn is_gone(&self) -> bool {
        self.clients.is_empty()
    }

    fn end(&mut self) {
        let clients: Vec<Conn> = self.clients.keys().copied().collect();
        for conn in clients {
            self.finish(conn);
        }
    }
}

/// The mailbox server.
#[derive(Debug)]
pub struct Mailbox {
    options: Options,
    door: Door,
    clients: BTreeMap<Conn, Client>,
    counts: Arc<MailboxCounts>,
    prune_at: Instant,
    now: Instant,
    out: VecDeque<Output<Event, Request>>,
}

#[derive(Debug)]
struct Client {
    session: Session,
    outbox: Outbox,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing is asked of the client at the moment.
    Idle,
    Reading,
    Closing,
}

impl Machine for Mailbox {
    type Event = Event;
    type Request = Request;
    type Reply = Reply;

    fn handle(&mut self, input: Input<Reply>, now: Instant) {
        self.now = self.now.max(now);
        match input {
            Input::Listening { conn, at } => {
                let steps = self.door.listening(conn, at);
                self.follow(steps);
            }
            Input::Opened { conn, peer } => self.opened(conn, peer),
            Input::Received { conn, bytes } => self.received(conn, bytes),
            Input::Sent { conn } => {
                if let Some(client) = self.clients.get_mut(&conn) {
                    client.outbox.sent();
                    self.pump(conn);
                }
            }
            Input::Closed { conn, why } => self.closed(conn, why),
            Input::Stored(Reply::Done { conn, done }) => {
                match &done {
                    Ok(Done::Allocated(nameplate)) => self.counts.allocated(nameplate),
                    Ok(Done::Added) => self.counts.messages.one(),
                    Ok(_) | Err(_) => {}
                }
                self.step(conn, session::Input::Done(done));
            }
            Input::Stored(Reply::Message { conn, message }) => {
                self.step(conn, session::Input::Added(message));
            }
            Input::Stored(Reply::Used(usage)) => self.out.push_back(Output::Tell(Event::Used(usage))),
            Input::Stored(Reply::Note(note)) => self.out.push_back(Output::Tell(Event::Store(note))),
            Input::Tick => {}
        }
        let steps = self.door.tick(self.now);
        self.follow(steps);
        if self.prune_at <= self.now {
            self.prune_at = self.now.plus(self.options.prune_every);
            self.start(Op::Store(Request::Prune));
        }
    }

    fn poll(&mut self) -> Output<Event, Request> {
        let deadline = self.door.deadline().map_or(self.prune_at, |at| at.min(self.prune_at));
        self.out.pop_front().unwrap_or(Output::Wait(Some(deadline)))
    }
}

impl Mailbox {
    /// A server that begins to listen as soon as it is polled.
    pub fn new(options: Options) -> Self {
        let (door, listen) = Door::open(options.listen.clone());
        let prune_at = Instant::START.plus(options.prune_every);
        Self {
            options,
            door,
            clients: BTreeMap::new(),
            counts: Arc::default(),
            prune_at,
            now: Instant::START,
            out: listen.into_iter().map(Output::Do).collect(),
        }
    }

    /// What the server counts.
    pub fn counts(&self) -> Arc<MailboxCounts> {
        Arc::clone(&self.counts)
    }

    /// How many clients are connected.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// What clients are told from now on when they come.
    pub fn say(&mut self, motd: Option<String>, error: Option<String>, advertise_version: Option<String>) {
        self.options = Options { motd, error, advertise_version, ..self.options.clone() };
    }

    fn opened(&mut self, conn: Conn, peer: Option<SocketAddr>) {
        let Some((_, accept)) = self.door.admit(conn) else { return };
        self.follow(accept);
        let mut outbox = Outbox::default();
        let welcome = Welcome {
            motd: self.options.motd.clone(),
            current_cli_version: self.options.advertise_version.clone(),
            error: self.options.error.clone(),
            your_address: peer.map(Into::into),
        };
        // An empty outbox has room for it.
        let _ = outbox.push(Answer::Welcome(welcome));
        let session = Session::new(self.options.allow_list);
        self.counts.connections.came.one();
        self.clients.insert(conn, Client { session, outbox, stage: Stage::Idle });
        self.pump(conn);
    }

    fn received(&mut self, conn: Conn, bytes: Vec<u8>) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        if client.stage == Stage::Reading {
            client.stage = Stage::Idle;
        }
        let now = self.stamp();
        self.step(conn, session::Input::Said(bytes, now));
    }

    fn closed(&mut self, conn: Conn, why: Why) {
        if self.clients.remove(&conn).is_some() {
            self.counts.connections.went.one();
            self.start(Op::Store(Request::Leave { conn }));
            let steps = self.door.leave();
            self.follow(steps);
        } else {
            let step = self.door.closed(conn, why, self.now);
            self.follow(step);
        }
    }

    /// Lets the session of a client take a step, and carries out what it wants.
    fn step(&mut self, conn: Conn, input: session::Input) {
        let now = self.stamp();
        let Some(client) = self.clients.get_mut(&conn) else { return };
        if client.stage == Stage::Closing {
            return;
        }
        for output in client.session.handle(input) {
            match output {
                session::Output::Say(answer) => {
                    if let Answer::Error { error, orig: _ } = &answer {
                        self.counts.refusals.one(error);
                    }
                    if !client.outbox.push(answer) {
                        // A client that does not read must not cost the others.
                        client.stage = Stage::Closing;
                        self.counts.refusals.one("does not read");
                        self.out.push_back(Output::Do(Op::Close { conn }));
                        return;
                    }
                }
                session::Output::Replay(messages) => client.outbox.replay(messages),
                session::Output::Ask(member, ask) => {
                    if let Ask::Add { message, mailbox: _ } = &ask {
                        self.counts.bytes.add(u64::try_from(message.body.len()).unwrap_or(u64::MAX));
                    }
                    self.out.push_back(Output::Do(Op::Store(Request::Do { conn, member, ask })));
                }
                session::Output::Bound(member, [implementation, version]) => {
                    let Member { app, side } = (*member).clone();
                    let usage = Usage::Client { app, side, at: now, implementation, version };
                    self.out.push_back(Output::Tell(Event::Used(usage)));
                }
                session::Output::Finish => return self.finish(conn),
            }
        }
        self.pump(conn);
    }

    /// Writes what the window has room for, and reads when there is nothing else to do.
    fn pump(&mut self, conn: Conn) {
        let now = self.stamp();
        let Some(client) = self.clients.get_mut(&conn) else { return };
        if client.stage == Stage::Closing {
            return;
        }
        while let Some(bytes) = client.outbox.next(now) {
            self.out.push_back(Output::Do(Op::Write { conn, bytes }));
        }
        if client.stage == Stage::Idle && client.session.is_listening() && client.outbox.is_flowing() {
            client.stage = Stage::Reading;
            self.out.push_back(Output::Do(Op::Read { conn }));
        }
    }

    fn finish(&mut self, conn: Conn) {
        let now = self.stamp();
        let Some(client) = self.clients.get_mut(&conn) else { return };
        client.stage = Stage::Closing;
        while let Some(bytes) = client.outbox.take(now) {
            self.out.push_back(Output::Do(Op::Write { conn, bytes }));
        }
        self.out.push_back(Output::Do(Op::Close { conn }));
    }

    fn stamp(&self) -> Stamp {
        Stamp::at(self.options.started).plus(self.now)
    }

    fn follow(&mut self, steps: impl IntoIterator<Item = Step<Request>>) {
        for step in steps {
            self.out.push_back(match step {
                Step::Do(op) => Output::Do(op),
                Step::Tell(event) => Output::Tell(event),
            });
        }
    }

    fn start(&mut self, op: Op<Request>) {
        self.out.push_back(Output::Do(op));
    }
}
