//! The mailbox server: all connections and their sessions, one machine (`docs/server-protocol.md`).
//!
//! A driver feeds it with what happens to connections, and the store with its replies. It ends with its listener.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::mem;
use core::net::SocketAddr;
use core::ops::ControlFlow;
use core::time::Duration;

use data_encoding::BASE64;
use wormhole_core::driver::{Address, Conn, Input, Instant, Listen, Machine, Op, Output, Why};
use wormhole_core::rng::Rng;

use crate::answer::{Answer, Demand, Welcome};
use crate::callers::{Callers, Origin, Use};
use crate::counters::MailboxCounts;
use crate::door::{Door, Drain, Event, Step};
use crate::limits::{self, Bounds, PerAddress};
use crate::outbox::Outbox;
use crate::session::{self, Rules, Session, TRY_LATER};
use crate::stamp::Stamp;
use crate::store::{Ask, Done, Found, Member, Refusal, Reply, Request};
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
    /// What one connection may cost.
    pub bounds: Bounds,
    /// Who is let in, and how much of it.
    pub guard: Guard,
}

/// Who is let in, and how much of it. It can change while the server runs; the default lets everybody in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Guard {
    /// What all connections from one address may do together.
    pub addresses: PerAddress,
    /// What every client has to do before it may bind.
    pub work: Option<Work>,
}

/// Work that is asked of clients: a stamp of hashcash (`docs/server-protocol.md`, "Permission").
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// Each bit more doubles the work.
    pub bits: u32,
    /// From which it is drawn what the stamps are for, anew for each connection.
    pub chance: Rng,
}

impl Work {
    fn demand(&mut self) -> Demand {
        Demand { bits: self.bits, resource: BASE64.encode(&self.chance.bytes::<8>()) }
    }
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
            bounds: Bounds::default(),
            guard: Guard::default(),
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
            self.finish(conn, None);
        }
    }
}

/// The mailbox server.
#[derive(Debug)]
pub struct Mailbox {
    options: Options,
    door: Door,
    clients: BTreeMap<Conn, Client>,
    rules: Rules,
    callers: Callers,
    work: Option<Work>,
    /// Lists that are asked for too soon after the last one, and when they are answered.
    held: BTreeMap<(Instant, Conn), Arc<Member>>,
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
    /// Where it is counted.
    origin: Option<Origin>,
    /// The nameplate that was chosen for it.
    allocated: Option<String>,
    /// A claim is under way, which counts; and whether it may make the nameplate.
    claiming: Option<bool>,
    /// When its last list was asked for.
    listed: Option<Instant>,
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
            Input::Stored(Reply::Done { conn, done }) => self.answered(conn, done),
            Input::Stored(Reply::Message { conn, message }) => {
                self.step(conn, session::Input::Added(message));
            }
            Input::Stored(Reply::Used(usage)) => self.out.push_back(Output::Tell(Event::Used(usage))),
            Input::Stored(Reply::Note(note)) => self.out.push_back(Output::Tell(Event::Store(note))),
            Input::Tick => {}
        }
        let steps = self.door.tick(self.now);
        self.follow(steps);
        self.answer_held();
        if self.prune_at <= self.now {
            self.prune_at = self.now.plus(self.options.prune_every);
            self.start(Op::Store(Request::Prune));
        }
    }

    fn poll(&mut self) -> Output<Event, Request> {
        let held = self.held.first_key_value().map(|((at, _), _)| *at);
        let deadline = self.door.deadline().into_iter().chain(held).fold(self.prune_at, Instant::min);
        self.out.pop_front().unwrap_or(Output::Wait(Some(deadline)))
    }
}

impl Mailbox {
    /// A server that begins to listen as soon as it is polled.
    pub fn new(mut options: Options) -> Self {
        let (door, listen) = Door::open(options.listen.clone());
        let prune_at = Instant::START.plus(options.prune_every);
        let Guard { addresses, work } = mem::take(&mut options.guard);
        Self {
            rules: Rules { allow_list: options.allow_list, bounds: options.bounds.clone() },
            options,
            door,
            clients: BTreeMap::new(),
            callers: Callers::new(addresses),
            work,
            held: BTreeMap::new(),
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

    /// Who is let in from now on. Those who are inside stay, and count.
    pub fn guard(&mut self, Guard { addresses, work }: Guard) {
        self.callers.limit(addresses);
        self.work = work;
    }

    fn opened(&mut self, conn: Conn, peer: Option<SocketAddr>) {
        let Some((_, accept)) = self.door.admit(conn) else { return };
        self.follow(accept);
        self.counts.connections.came.one();
        let mut origin = Origin::of(peer);
        let entered = origin.map_or(Ok(()), |origin| self.callers.enter(origin, self.now));
        let demand = self.work.as_mut().filter(|_| entered.is_ok()).map(Work::demand);
        let mut welcome = Welcome {
            motd: self.options.motd.clone(),
            current_cli_version: self.options.advertise_version.clone(),
            error: self.options.error.clone(),
            permission: demand.clone().map(Into::into),
            your_address: peer.map(Into::into),
        };
        if let Err(refusal) = entered {
            self.counts.refusals.one(refusal.as_str());
            welcome.error = refusal.word().map(Into::into);
            origin = None;
        }
        let mut outbox = Outbox::default();
        if entered.is_ok() || welcome.error.is_some() {
            // An empty outbox has room for it.
            let _ = outbox.push(Answer::Welcome(welcome), usize::MAX);
        }
        let client = Client {
            session: Session::new(demand),
            outbox,
            stage: Stage::Idle,
            origin,
            allocated: None,
            claiming: None,
            listed: None,
        };
        self.clients.insert(conn, client);
        match entered {
            Ok(()) => self.pump(conn),
            Err(_) => self.finish(conn, Some(TRY_LATER)),
        }
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
        if let Some(client) = self.clients.remove(&conn) {
            if let Some(origin) = client.origin {
                self.callers.leave(origin, self.now);
            }
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
        let Some(client) = self.clients.get_mut(&conn) else { return };
        if client.stage == Stage::Closing {
            return;
        }
        for output in client.session.handle(input, &self.rules) {
            if self.carry_out(conn, output).is_break() {
                return;
            }
        }
        self.pump(conn);
    }

    /// Carries out what a session wants, as long as the client stays.
    fn carry_out(&mut self, conn: Conn, output: session::Output) -> ControlFlow<()> {
        let now = self.stamp();
        let Some(client) = self.clients.get_mut(&conn) else { return ControlFlow::Break(()) };
        match output {
            session::Output::Say(answer) => {
                if let Answer::Error { error, orig: _ } = &answer {
                    self.counts.refusals.one(error);
                }
                if !client.outbox.push(answer, self.rules.bounds.queue_bytes) {
                    // A client that does not read must not cost the others.
                    client.stage = Stage::Closing;
                    self.counts.refusals.one("does not read");
                    self.start(Op::Dismiss { conn, code: TRY_LATER });
                    return ControlFlow::Break(());
                }
            }
            session::Output::Replay(messages) => client.outbox.replay(messages),
            session::Output::Ask(member, ask) => self.ask(conn, member, ask),
            session::Output::Bound(member, [implementation, version]) => {
                let Member { app, side } = (*member).clone();
                let usage = Usage::Client { app, side, at: now, implementation, version };
                self.out.push_back(Output::Tell(Event::Used(usage)));
            }
            session::Output::Finish(code) => {
                self.finish(conn, Some(code));
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    /// Asks the store, unless it is too much for one address.
    fn ask(&mut self, conn: Conn, member: Arc<Member>, ask: Ask) {
        let ask = match self.permit(conn, ask) {
            Ok(ask) => ask,
            Err(error) => return self.step(conn, session::Input::Refused(error)),
        };
        if ask == Ask::List
            && let Some(client) = self.clients.get_mut(&conn)
        {
            let free_at = client.listed.map_or(self.now, |last| last.plus(self.rules.bounds.list_pause));
            client.listed = Some(free_at.max(self.now));
            if free_at > self.now {
                // An `error` would end a client whose user has only pressed a key twice.
                self.held.insert((free_at, conn), member);
                return;
            }
        }
        if let Ask::Add { message, mailbox: _ } = &ask {
            self.counts.bytes.add(u64::try_from(message.body.len()).unwrap_or(u64::MAX));
        }
        self.start(Op::Store(Request::Do { conn, member, ask }));
    }

    /// What may be asked of the store for this client, or the text of the `error`.
    fn permit(&mut self, conn: Conn, ask: Ask) -> Result<Ask, &'static str> {
        let Some(client) = self.clients.get_mut(&conn) else { return Ok(ask) };
        let origin = client.origin;
        match ask {
            Ask::List if !self.callers.take(origin, Use::List, self.now) => {
                Err("too many lists for one address; try again in a minute")
            }
            Ask::Allocate if !self.callers.take(origin, Use::Allocate, self.now) => {
                Err("too many nameplates for one address; try again in a minute")
            }
            // Its own one is claimed, too.
            Ask::Claim { nameplate, make } if client.allocated.as_ref() != Some(&nameplate) => {
                if !self.callers.take(origin, Use::Join, self.now) {
                    return Err("too many claims from one address; try again in a minute");
                }
                let make = make && self.callers.take(origin, Use::Claim, self.now);
                client.claiming = Some(make);
                Ok(Ask::Claim { nameplate, make })
            }
            Ask::List
            | Ask::Allocate
            | Ask::Claim { .. }
            | Ask::Release { .. }
            | Ask::Open { .. }
            | Ask::Add { .. }
            | Ask::Close { .. } => Ok(ask),
        }
    }

    /// The store has answered a client.
    fn answered(&mut self, conn: Conn, done: Result<Done, Refusal>) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        match &done {
            Ok(Done::Allocated(nameplate)) => {
                self.counts.allocated(nameplate);
                client.allocated = Some(nameplate.clone());
            }
            Ok(Done::Added) => self.counts.messages.one(),
            Ok(_) | Err(_) => {}
        }
        let (origin, claiming) = (client.origin, client.claiming.take());
        if let Some(might_make) = claiming {
            // Both were taken: nobody knew what would be there.
            let found = if let Ok(Done::Claimed { found, mailbox: _ }) = &done { Some(*found) } else { None };
            if might_make && found != Some(Found::Free) {
                self.callers.give_back(origin, Use::Claim);
            }
            if matches!(found, Some(Found::Free | Found::Own)) {
                self.callers.give_back(origin, Use::Join);
            }
            if done == Err(Refusal::Unallocated) {
                let error = "too many claims of free nameplates from one address; try again in a minute";
                return self.step(conn, session::Input::Refused(error));
            }
        }
        self.step(conn, session::Input::Done(done));
    }

    /// Asks for the lists that had to wait until now.
    fn answer_held(&mut self) {
        while let Some(entry) = self.held.first_entry()
            && entry.key().0 <= self.now
        {
            let ((_, conn), member) = entry.remove_entry();
            let client = self.clients.get_mut(&conn).filter(|client| client.stage != Stage::Closing);
            if let Some(client) = client {
                client.listed = Some(self.now);
                self.start(Op::Store(Request::Do { conn, member, ask: Ask::List }));
            }
        }
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

    /// Leaves a client, once it has been told everything; with this code where there is one.
    fn finish(&mut self, conn: Conn, code: Option<u16>) {
        let now = self.stamp();
        let Some(client) = self.clients.get_mut(&conn) else { return };
        client.stage = Stage::Closing;
        while let Some(bytes) = client.outbox.take(now) {
            self.out.push_back(Output::Do(Op::Write { conn, bytes }));
        }
        self.start(code.map_or(Op::Close { conn }, |code| Op::Dismiss { conn, code }));
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
