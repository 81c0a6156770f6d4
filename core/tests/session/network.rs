//! A mailbox server in memory, and a network that moves one frame at a time and can be cut between any two.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};
use wormhole_core::driver::{Conn, Input, Instant, Machine, Op, Output, Why};
use wormhole_core::error::Error;
use wormhole_core::transcribe::{self, Initiator, Receiver};
use wormhole_core::wormhole::{Event, Wormhole};

/// A connection of one client: which client, and its number there.
type Caller = (usize, Conn);

/// The rules of `docs/server-protocol.md`, "Nameplates and mailboxes", without limits and times.
#[derive(Default)]
pub(crate) struct Server {
    pub(crate) welcome: Value,
    /// Refuses every dial.
    pub(crate) gone: bool,
    /// Never answers.
    pub(crate) mute: bool,
    /// Loses the records of this client, and only these.
    pub(crate) swallows: Option<usize>,
    /// Sends each message twice, and stored ones in the wrong order.
    pub(crate) mischief: bool,
    /// What clients said: side and command.
    pub(crate) heard: Vec<(String, Value)>,
    nameplates: BTreeMap<String, Nameplate>,
    mailboxes: BTreeMap<String, Mailbox>,
    clients: BTreeMap<Caller, Client>,
    /// How many mailboxes were ever made.
    made: usize,
}

#[derive(Default)]
struct Nameplate {
    mailbox: String,
    holders: BTreeSet<String>,
}

#[derive(Default)]
struct Mailbox {
    messages: Vec<Value>,
    sides: BTreeSet<String>,
    open: BTreeSet<String>,
}

#[derive(Default)]
struct Client {
    side: String,
    nameplate: String,
    subscribed: Option<String>,
}

impl Server {
    pub(crate) fn holds_nothing(&self) -> bool {
        self.nameplates.is_empty() && self.mailboxes.is_empty()
    }

    pub(crate) fn holds_nameplate(&self, name: &str) -> bool {
        self.nameplates.contains_key(name)
    }

    /// Loses its memory and every connection.
    fn forget(&mut self) {
        self.nameplates.clear();
        self.mailboxes.clear();
        self.clients.clear();
    }

    fn hear(&mut self, from: Caller, command: &Value) -> Vec<(Caller, Value)> {
        let side = self.clients.get(&from).map(|client| client.side.clone()).unwrap_or_default();
        self.heard.push((side.clone(), command.clone()));
        if self.mute {
            return Vec::new();
        }
        let mut out = vec![(from, json!({"type": "ack", "id": command["id"]}))];
        let text = |key: &str| command[key].as_str().unwrap_or_default().to_owned();
        match text("type").as_str() {
            "bind" => self.client(from).side = text("side"),
            "list" => {
                let ids: Vec<_> = self.nameplates.keys().map(|id| json!({"id": id})).collect();
                out.push((from, json!({"type": "nameplates", "nameplates": ids})));
            }
            "allocate" => {
                let free = (1..).map(|n: u32| n.to_string()).find(|name| !self.nameplates.contains_key(name));
                let name = free.unwrap();
                self.claim(&name, &side);
                out.push((from, json!({"type": "allocated", "nameplate": name})));
            }
            "claim" => {
                self.client(from).nameplate = text("nameplate");
                out.push(match self.claim(&text("nameplate"), &side) {
                    Some(mailbox) => (from, json!({"type": "claimed", "mailbox": mailbox})),
                    None => (from, json!({"type": "error", "error": "crowded", "orig": command})),
                });
            }
            "release" => {
                if let Some(nameplate) = self.nameplates.get_mut(&text("nameplate")) {
                    nameplate.holders.remove(&side);
                }
                self.nameplates.retain(|_, nameplate| !nameplate.holders.is_empty());
                out.push((from, json!({"type": "released"})));
            }
            "open" => self.open(from, &text("mailbox"), &side, &mut out),
            "add" => self.add(from, command, &side, &mut out),
            "close" => {
                self.client(from).subscribed = None;
                if let Some(mailbox) = self.mailboxes.get_mut(&text("mailbox")) {
                    mailbox.open.remove(&side);
                }
                self.mailboxes.retain(|_, mailbox| !mailbox.open.is_empty());
                let known = &self.mailboxes;
                self.nameplates.retain(|_, nameplate| known.contains_key(&nameplate.mailbox));
                out.push((from, json!({"type": "closed"})));
            }
            other => panic!("no such command: {other}"),
        }
        out
    }

    fn client(&mut self, caller: Caller) -> &mut Client {
        self.clients.entry(caller).or_default()
    }

    fn claim(&mut self, name: &str, side: &str) -> Option<String> {
        let mailbox = match self.nameplates.get_mut(name) {
            Some(nameplate) => {
                nameplate.holders.insert(side.to_owned());
                nameplate.mailbox.clone()
            }
            None => {
                self.made += 1;
                let mailbox = format!("mailbox-{}", self.made);
                let holders = BTreeSet::from([side.to_owned()]);
                self.nameplates.insert(name.to_owned(), Nameplate { mailbox: mailbox.clone(), holders });
                mailbox
            }
        };
        self.enter(&mailbox, side).then_some(mailbox)
    }

    fn enter(&mut self, mailbox: &str, side: &str) -> bool {
        let mailbox = self.mailboxes.entry(mailbox.to_owned()).or_default();
        if mailbox.sides.len() >= 2 && !mailbox.sides.contains(side) {
            return false;
        }
        mailbox.sides.insert(side.to_owned());
        mailbox.open.insert(side.to_owned());
        true
    }

    fn open(&mut self, from: Caller, id: &str, side: &str, out: &mut Vec<(Caller, Value)>) {
        assert!(self.client(from).subscribed.is_none(), "only one open per connection");
        self.client(from).subscribed = Some(id.to_owned());
        if !self.enter(id, side) {
            out.push((from, json!({"type": "error", "error": "crowded"})));
            return;
        }
        let mut stored = self.mailboxes[id].messages.clone();
        if self.mischief {
            stored.reverse();
        }
        for message in stored {
            self.tell(from, &message, out);
        }
    }

    fn add(&mut self, from: Caller, command: &Value, side: &str, out: &mut Vec<(Caller, Value)>) {
        let is_record = command["phase"].as_str().is_some_and(|phase| phase.parse::<u64>().is_ok());
        if is_record && self.swallows == Some(from.0) {
            return;
        }
        let id = self.client(from).subscribed.clone().expect("must open mailbox before adding");
        let message = json!({
            "type": "message", "side": side, "phase": command["phase"], "body": command["body"],
            "id": command["id"], "server_rx": 1.5, "server_tx": 2.5,
        });
        self.mailboxes.get_mut(&id).unwrap().messages.push(message.clone());
        let subscribed = self.clients.iter().filter(|(_, client)| client.subscribed.as_ref() == Some(&id));
        let callers: Vec<_> = subscribed.map(|(caller, _)| *caller).collect();
        for caller in callers {
            self.tell(caller, &message, out);
        }
    }

    fn tell(&self, to: Caller, message: &Value, out: &mut Vec<(Caller, Value)>) {
        for _ in 0..if self.mischief { 2 } else { 1 } {
            out.push((to, message.clone()));
        }
    }
}

/// A machine that meets another one at the server.
pub(crate) trait Side:
    Machine<Request = Infallible, Reply = Infallible, Event: Clone + PartialEq + fmt::Debug> + Sized
{
    /// Whether nothing may come after this.
    fn is_last(event: &Self::Event) -> bool;

    /// What the application does when it was told something, or nothing is to be told.
    fn act(app: &mut App<Self>, told: Option<&Self::Event>);
}

/// A wormhole, or what is like it, as another process goes on with it.
pub(crate) type Elsewhere<M> = fn(&M) -> M;

/// What an application does in these tests: it sends, and closes when it has what it waits for.
pub(crate) struct App<M: Side = Wormhole> {
    pub(crate) wormhole: M,
    pub(crate) events: Vec<M::Event>,
    /// Closes as soon as so many records have come, and everything of its own is stored.
    pub(crate) closes_after: Option<usize>,
    /// Uses records at once.
    pub(crate) takes: bool,
    pub(crate) to_send: VecDeque<Vec<u8>>,
    /// After so many events another process goes on.
    pub(crate) moves: Option<(usize, Elsewhere<M>)>,
    reading: bool,
    up: bool,
    conn: Option<Conn>,
    /// On their way to the server, and from there.
    to_server: VecDeque<Vec<u8>>,
    from_server: VecDeque<Vec<u8>>,
}

impl<M: Side> App<M> {
    pub(crate) fn new(wormhole: M) -> Self {
        Self {
            wormhole,
            events: Vec::new(),
            closes_after: None,
            takes: true,
            to_send: VecDeque::new(),
            moves: None,
            reading: false,
            up: false,
            conn: None,
            to_server: VecDeque::new(),
            from_server: VecDeque::new(),
        }
    }

    pub(crate) fn saw(&self, event: &M::Event) -> bool {
        self.events.contains(event)
    }
}

impl App {
    pub(crate) fn records(&self) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        for event in &self.events {
            if let Event::Record(record) = event {
                records.push(record.clone());
            }
        }
        records
    }

    pub(crate) fn result(&self) -> Option<Result<(), Error>> {
        let Some(Event::Closed(result)) = self.events.last() else { return None };
        Some(result.clone())
    }

    /// Whether the network has something for it that it does not read.
    pub(crate) fn holds_back(&self) -> bool {
        !self.reading && !self.from_server.is_empty()
    }

    fn go_on(&mut self) {
        while self.to_send.front().is_some() && self.wormhole.has_room() {
            let record = self.to_send.pop_front().unwrap();
            if self.wormhole.send(&record).is_err() {
                self.to_send.clear();
            }
        }
        let records = self.records().len();
        if self.closes_after.is_some_and(|wanted| records >= wanted)
            && self.to_send.is_empty()
            && self.wormhole.all_stored()
        {
            self.wormhole.close();
        }
    }
}

impl Side for Wormhole {
    fn is_last(event: &Event) -> bool {
        matches!(event, Event::Closed(_))
    }

    fn act(app: &mut App, told: Option<&Event>) {
        if let Some(Event::Record(record)) = told
            && app.takes
        {
            app.wormhole.taken(record.len());
        }
        app.go_on();
    }
}

/// One of the two sides of a swap.
pub(crate) enum Swapper {
    Initiator(Initiator),
    Receiver(Receiver),
}

impl Side for Swapper {
    fn is_last(event: &transcribe::Event) -> bool {
        matches!(event, transcribe::Event::Finished(_))
    }

    fn act(_: &mut App<Self>, _: Option<&transcribe::Event>) {}
}

impl Machine for Swapper {
    type Event = transcribe::Event;
    type Request = Infallible;
    type Reply = Infallible;

    fn handle(&mut self, input: Input, now: Instant) {
        match self {
            Self::Initiator(initiator) => initiator.handle(input, now),
            Self::Receiver(receiver) => receiver.handle(input, now),
        }
    }

    fn poll(&mut self) -> Output<transcribe::Event> {
        match self {
            Self::Initiator(initiator) => initiator.poll(),
            Self::Receiver(receiver) => receiver.poll(),
        }
    }
}

/// Some applications and one server.
pub(crate) struct World<M: Side = Wormhole> {
    pub(crate) server: Server,
    pub(crate) apps: Vec<App<M>>,
    pub(crate) now: Instant,
    /// Frames moved so far.
    pub(crate) frames: usize,
}

impl<M: Side> World<M> {
    pub(crate) fn new(apps: Vec<App<M>>) -> Self {
        let server = Server { welcome: json!({}), ..Server::default() };
        Self { server, apps, now: Instant::START, frames: 0 }
    }

    /// Runs until nothing moves any more, however much time that takes.
    pub(crate) fn run(&mut self) {
        self.run_with(|_| {});
    }

    /// Runs, and calls `between` before each frame.
    pub(crate) fn run_with(&mut self, mut between: impl FnMut(&mut Self)) {
        for _ in 0..200_000 {
            self.poll_all();
            between(self);
            if !self.step() && !self.advance() {
                return;
            }
        }
        panic!("no end in sight");
    }

    /// Runs as long as frames move, without letting time pass.
    pub(crate) fn run_now(&mut self) {
        while self.step() {}
    }

    /// Moves one frame, if there is one.
    pub(crate) fn step(&mut self) -> bool {
        self.poll_all();
        for index in 0..self.apps.len() {
            let app = &mut self.apps[index];
            let Some(conn) = app.conn.filter(|_| app.up) else { continue };
            if let Some(bytes) = app.to_server.pop_front() {
                self.frames += 1;
                let command = serde_json::from_slice(&bytes).unwrap();
                let answers = self.server.hear((index, conn), &command);
                self.deliver(answers);
                return true;
            }
            if app.reading
                && let Some(bytes) = app.from_server.pop_front()
            {
                self.frames += 1;
                app.reading = false;
                app.wormhole.handle(Input::Received { conn, bytes }, self.now);
                return true;
            }
        }
        false
    }

    /// Cuts the connection of one application: what was on the way is lost.
    pub(crate) fn cut(&mut self, index: usize) {
        let app = &mut self.apps[index];
        let Some(conn) = app.conn.take() else { return };
        app.up = false;
        app.reading = false;
        app.to_server.clear();
        app.from_server.clear();
        app.wormhole.handle(Input::Closed { conn, why: Why::Reset }, self.now);
        self.server.clients.remove(&(index, conn));
    }

    /// Another process goes on with one application: nothing is left of the connection.
    pub(crate) fn go_on_elsewhere(&mut self, index: usize, elsewhere: Elsewhere<M>) {
        let app = &mut self.apps[index];
        app.wormhole = elsewhere(&app.wormhole);
        app.up = false;
        app.reading = false;
        app.to_server.clear();
        app.from_server.clear();
        if let Some(conn) = app.conn.take() {
            self.server.clients.remove(&(index, conn));
        }
    }

    /// The server starts anew without its memory.
    pub(crate) fn restart(&mut self) {
        for index in 0..self.apps.len() {
            self.cut(index);
        }
        self.server.forget();
    }

    fn deliver(&mut self, answers: Vec<((usize, Conn), Value)>) {
        for ((index, conn), answer) in answers {
            let app = &mut self.apps[index];
            if app.conn == Some(conn) {
                app.from_server.push_back(answer.to_string().into_bytes());
            }
        }
    }

    fn poll_all(&mut self) {
        for index in 0..self.apps.len() {
            self.poll(index);
        }
    }

    fn poll(&mut self, index: usize) {
        loop {
            let app = &mut self.apps[index];
            match app.wormhole.poll() {
                Output::Do(op) => self.start(index, op),
                Output::Tell(event) => {
                    assert!(!app.events.last().is_some_and(M::is_last), "an event after the last: {event:?}");
                    app.events.push(event.clone());
                    M::act(app, Some(&event));
                    if let Some((at, elsewhere)) = app.moves
                        && app.events.len() == at
                    {
                        app.moves = None;
                        self.go_on_elsewhere(index, elsewhere);
                    }
                }
                Output::Wait(_) => {
                    M::act(app, None);
                    match app.wormhole.poll() {
                        Output::Wait(_) => return,
                        Output::Do(op) => self.start(index, op),
                        Output::Tell(event) => app.events.push(event),
                    }
                }
            }
        }
    }

    fn start(&mut self, index: usize, op: Op) {
        let now = self.now;
        let app = &mut self.apps[index];
        match op {
            Op::Open { conn, .. } if self.server.gone => {
                app.wormhole.handle(Input::Closed { conn, why: Why::Refused }, now);
            }
            Op::Open { conn, .. } => {
                app.conn = Some(conn);
                app.up = true;
                app.wormhole.handle(Input::Opened { conn, peer: None }, now);
                self.server.clients.insert((index, conn), Client::default());
                let welcome = json!({"type": "welcome", "welcome": self.server.welcome});
                app.from_server.push_back(welcome.to_string().into_bytes());
            }
            // What is asked of a lost connection was answered by its loss.
            Op::Read { conn } | Op::Write { conn, .. } | Op::Close { conn } if app.conn != Some(conn) => {}
            Op::Read { .. } => {
                assert!(!app.reading, "one read at a time");
                app.reading = true;
            }
            Op::Write { conn, bytes } => {
                app.wormhole.handle(Input::Sent { conn }, now);
                app.to_server.push_back(bytes);
            }
            Op::Close { conn } => {
                // What was written still leaves.
                while let Some(bytes) = self.apps[index].to_server.pop_front() {
                    let answers = self.server.hear((index, conn), &serde_json::from_slice(&bytes).unwrap());
                    self.deliver(answers);
                }
                let app = &mut self.apps[index];
                app.conn = None;
                app.up = false;
                app.wormhole.handle(Input::Closed { conn, why: Why::Asked }, now);
                self.server.clients.remove(&(index, conn));
            }
            Op::Listen { .. } | Op::Accept { .. } | Op::Join { .. } | Op::Dismiss { .. } | Op::Store(_) => {
                panic!("a session does not ask for {op:?}")
            }
        }
    }

    /// Lets time pass until the next deadline.
    fn advance(&mut self) -> bool {
        let Some(next) = self.deadline() else { return false };
        self.now = self.now.max(next);
        for app in &mut self.apps {
            app.wormhole.handle(Input::Tick, self.now);
        }
        true
    }

    /// Lets so much time pass.
    pub(crate) fn wait(&mut self, time: Duration) {
        let end = self.now.plus(time);
        self.run_now();
        while self.deadline().is_some_and(|next| next <= end) {
            self.advance();
            self.run_now();
        }
        self.now = end;
    }

    fn deadline(&mut self) -> Option<Instant> {
        let deadline = |app: &mut App<M>| {
            let Output::Wait(deadline) = app.wormhole.poll() else { panic!("it was polled to the end") };
            deadline
        };
        self.apps.iter_mut().filter_map(deadline).min()
    }
}
