//! A store on a bench: it is asked directly, and everything that it says is sorted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};
use std::time::{Duration, Instant as Clock};

use wormhole_core::driver::{Conn, Instant};
use wormhole_server::Stamp;
use wormhole_server::store::{Ask, Done, Limits, Member, Message, Note, Refusal, Reply, Request, Store};
use wormhole_server::usage::{Outcome, Usage};

pub(crate) mod suite;

/// No test waits for longer than this.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const APP: &str = "test.example/app";

pub(crate) struct Bench {
    store: Box<dyn Store + Send>,
    pub(crate) now: Instant,
    done: BTreeMap<Conn, Result<Done, Refusal>>,
    heard: BTreeMap<Conn, Vec<Arc<Message>>>,
    pub(crate) used: Vec<Usage>,
    pub(crate) notes: Vec<Note>,
}

impl Bench {
    pub(crate) fn new(store: impl Store + Send + 'static) -> Self {
        Self {
            store: Box::new(store),
            now: Instant::START,
            done: BTreeMap::new(),
            heard: BTreeMap::new(),
            used: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = self.now.plus(time);
    }

    /// Asks for an application's side, and waits for the answer.
    pub(crate) fn ask_as(&mut self, conn: u64, app: &str, side: &str, ask: Ask) -> Result<Done, Refusal> {
        self.start(conn, app, side, ask);
        self.answer(conn)
    }

    pub(crate) fn ask(&mut self, conn: u64, side: &str, ask: Ask) -> Result<Done, Refusal> {
        self.ask_as(conn, APP, side, ask)
    }

    pub(crate) fn start(&mut self, conn: u64, app: &str, side: &str, ask: Ask) {
        let member = Arc::new(Member { app: app.into(), side: side.into() });
        self.store.start(Request::Do { conn: Conn(conn), member, ask }, self.now);
    }

    pub(crate) fn answer(&mut self, conn: u64) -> Result<Done, Refusal> {
        let conn = Conn(conn);
        self.until(|bench| bench.done.remove(&conn))
    }

    pub(crate) fn leave(&mut self, conn: u64) {
        self.store.start(Request::Leave { conn: Conn(conn) }, self.now);
    }

    /// Sweeps, and waits until so many mailboxes are gone.
    pub(crate) fn prune(&mut self, count: usize) {
        self.store.start(Request::Prune, self.now);
        let gone = |bench: &Self| {
            let pruned = bench.notes.iter().map(|note| match note {
                Note::Pruned(count) => *count,
                Note::Failing(_) | Note::Recovered | Note::Skipped(..) => 0,
            });
            pruned.sum::<usize>()
        };
        let wanted = gone(self) + count;
        self.until(|bench| (gone(bench) >= wanted).then_some(()));
    }

    pub(crate) fn only_prune(&mut self) {
        self.store.start(Request::Prune, self.now);
    }

    /// The bodies that a connection has heard since it was last asked, of which there must be that many.
    pub(crate) fn hear(&mut self, conn: u64, count: usize) -> Vec<String> {
        let conn = Conn(conn);
        self.until(|bench| (bench.heard.get(&conn).map_or(0, Vec::len) >= count).then_some(()));
        // Whatever else is on its way comes before the answer to this.
        self.list("barrier");
        let heard = self.heard.remove(&conn).unwrap_or_default();
        assert_eq!(heard.len(), count);
        heard.iter().map(|message| message.body.clone()).collect()
    }

    pub(crate) fn claim(&mut self, conn: u64, side: &str, nameplate: &str) -> Result<String, Refusal> {
        let done = self.ask(conn, side, Ask::Claim { nameplate: nameplate.into(), make: true })?;
        let Done::Claimed { mailbox, .. } = done else { panic!("{done:?}") };
        Ok(mailbox)
    }

    pub(crate) fn allocate(&mut self, conn: u64, app: &str, side: &str) -> Result<String, Refusal> {
        let done = self.ask_as(conn, app, side, Ask::Allocate)?;
        let Done::Allocated(nameplate) = done else { panic!("{done:?}") };
        Ok(nameplate)
    }

    pub(crate) fn release(&mut self, conn: u64, side: &str, nameplate: &str) {
        let done = self.ask(conn, side, Ask::Release { nameplate: nameplate.into() });
        assert_eq!(done, Ok(Done::Released));
    }

    /// Opens a mailbox, and says which bodies are in it.
    pub(crate) fn open(&mut self, conn: u64, side: &str, mailbox: &str) -> Result<Vec<String>, Refusal> {
        let done = self.ask(conn, side, Ask::Open { mailbox: mailbox.into() })?;
        let Done::Opened { mailbox: opened, messages } = done else { panic!("{done:?}") };
        assert_eq!(opened, mailbox);
        Ok(messages.iter().map(|message| message.body.clone()).collect())
    }

    pub(crate) fn add(&mut self, conn: u64, side: &str, mailbox: &str, body: &str) -> Result<Done, Refusal> {
        let message = message(side, body);
        self.ask(conn, side, Ask::Add { mailbox: mailbox.into(), message })
    }

    pub(crate) fn close(&mut self, conn: u64, side: &str, mailbox: &str, mood: Option<&str>) {
        let ask = Ask::Close { mailbox: mailbox.into(), mood: mood.map(Into::into) };
        assert_eq!(self.ask(conn, side, ask), Ok(Done::Closed));
    }

    pub(crate) fn list(&mut self, app: &str) -> Vec<String> {
        let done = self.ask_as(u64::MAX, app, "lister", Ask::List);
        let Ok(Done::Listed(names)) = done else { panic!("{done:?}") };
        names
    }

    /// Of the nameplates and mailboxes that have ended, how.
    pub(crate) fn results(&mut self) -> (Vec<Outcome>, Vec<Outcome>) {
        self.list("barrier");
        let (mut nameplates, mut mailboxes) = (Vec::new(), Vec::new());
        for usage in self.used.drain(..) {
            match usage {
                Usage::Nameplate { result, .. } => nameplates.push(result),
                Usage::Mailbox { result, .. } => mailboxes.push(result),
                Usage::Client { .. } | Usage::Transit { .. } => panic!("a store knows no clients"),
            }
        }
        (nameplates, mailboxes)
    }

    /// Waits until something is found in what the store says.
    pub(crate) fn until<T>(&mut self, mut found: impl FnMut(&mut Self) -> Option<T>) -> T {
        let waker = Arc::new(Unpark(thread::current())).into();
        let begun = Clock::now();
        loop {
            while let Poll::Ready(reply) = self.store.poll_reply(&mut Context::from_waker(&waker)) {
                self.sort(reply);
            }
            if let Some(found) = found(self) {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "it takes too long");
            thread::park_timeout(PATIENCE);
        }
    }

    fn sort(&mut self, reply: Reply) {
        match reply {
            Reply::Done { conn, done } => assert!(self.done.insert(conn, done).is_none(), "one answer each"),
            Reply::Message { conn, message } => self.heard.entry(conn).or_default().push(message),
            Reply::Used(usage) => self.used.push(usage),
            Reply::Note(note) => self.notes.push(note),
        }
    }
}

pub(crate) fn message(side: &str, body: &str) -> Message {
    Message {
        side: side.into(),
        phase: "p".into(),
        body: body.into(),
        id: None,
        received: Stamp::at(1_700_000_000.25),
    }
}

/// Limits that a test reaches.
pub(crate) fn narrow() -> Limits {
    Limits { mailbox_messages: 4, mailbox_bytes: 2000, ..Limits::default() }
}

/// All of them differ.
pub(crate) fn are_distinct(names: &[String]) -> bool {
    names.iter().collect::<BTreeSet<_>>().len() == names.len()
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
