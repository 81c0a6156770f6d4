//! The store that forgets everything at its end: for tests, for the demo and for whoever embeds a server.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::ops::RangeInclusive;
use core::task::{Context, Poll, Waker};

use wormhole_core::driver::{Conn, Instant};
use wormhole_core::rng::{Rng, Seed};

use super::commands::{self, Effects};
use super::listeners::{Listeners, Place};
use super::resting::Resting;
use super::rows::{Rows, Totals, at_once};
use super::rules::{Mailbox, Nameplate};
use super::{Ask, Limits, Member, Message, Note, Refusal, Reply, Request, Store};
use crate::stamp::Stamp;

/// Nameplates and mailboxes in memory.
#[derive(Debug)]
pub struct Memory {
    tables: Tables,
    listeners: Listeners,
    started: Stamp,
    replies: VecDeque<Reply>,
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Tables {
    apps: BTreeMap<String, App>,
    totals: Totals,
    limits: Limits,
    now: Stamp,
    rng: Rng,
    resting: Resting,
}

/// What belongs to one application; there only as long as there is anything.
#[derive(Debug, Default)]
struct App {
    nameplates: BTreeMap<String, Nameplate>,
    mailboxes: BTreeMap<String, Room>,
}

#[derive(Debug)]
struct Room {
    mailbox: Mailbox,
    messages: Vec<Arc<Message>>,
}

impl Store for Memory {
    fn start(&mut self, request: Request, now: Instant) {
        self.tables.now = self.started.plus(now);
        match request {
            Request::Do { conn, member, ask } => self.answer(conn, &member, &ask),
            Request::Leave { conn } => self.listeners.leave(conn),
            Request::Prune => self.prune(),
        }
        if !self.replies.is_empty()
            && let Some(waker) = self.waker.take()
        {
            waker.wake();
        }
    }

    fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Reply> {
        if let Some(reply) = self.replies.pop_front() {
            return Poll::Ready(reply);
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Memory {
    /// An empty store; names and mailbox ids are drawn from the seed.
    pub fn new(seed: Seed) -> Self {
        Self::with(seed, Stamp::default(), Limits::default())
    }

    /// An empty store that knows the time at the driver's start, for the statistics, and holds no more than the limits.
    pub fn with(seed: Seed, started: Stamp, limits: Limits) -> Self {
        let tables = Tables {
            apps: BTreeMap::new(),
            totals: Totals::default(),
            limits,
            now: started,
            rng: Rng::new(seed),
            resting: Resting::default(),
        };
        Self { tables, listeners: Listeners::default(), started, replies: VecDeque::new(), waker: None }
    }

    /// Whether nothing at all is kept.
    pub fn is_empty(&self) -> bool {
        self.tables.apps.is_empty() && self.tables.totals == Totals::default() && self.listeners.is_empty()
    }

    fn answer(&mut self, conn: Conn, member: &Member, ask: &Ask) {
        let place = Place::of(&member.app, ask);
        let listens = place.as_ref().is_some_and(|place| self.listeners.listens(conn, place));
        let command = at_once(commands::carry_out(&mut self.tables, member, ask, listens));
        let Some(Ok((done, effects))) = command else {
            return self.replies.push_back(Reply::Done { conn, done: Err(Refusal::Unavailable) });
        };
        self.tables.forget_if_empty(&member.app);
        let done = Reply::Done { conn, done };
        self.replies.push_back(done);
        for (conn, message) in self.listeners.follow(conn, place.as_ref(), &effects) {
            self.replies.push_back(Reply::Message { conn, message });
        }
        self.replies.extend(effects.used.into_iter().map(Reply::Used));
    }

    /// One sweep over everything, every few minutes.
    fn prune(&mut self) {
        let Tables { now, limits, .. } = &self.tables;
        let (now, limits) = (*now, limits.clone());
        for place in self.listeners.places() {
            let app = self.tables.apps.get_mut(&place.app);
            if let Some(room) = app.and_then(|app| app.mailboxes.get_mut(&place.mailbox)) {
                room.mailbox.touch(now);
            }
        }
        let mut expired = Vec::new();
        for (app_id, app) in &self.tables.apps {
            for (id, room) in &app.mailboxes {
                if room.mailbox.is_expired(now, &limits) {
                    expired.push(Place { app: app_id.clone(), mailbox: id.clone() });
                }
            }
        }
        let mut count = 0_usize;
        for Place { app, mailbox } in expired {
            let Some(Ok(Some(Effects { used, .. }))) =
                at_once(commands::expire(&mut self.tables, &app, &mailbox))
            else {
                continue;
            };
            self.tables.forget_if_empty(&app);
            count = count.saturating_add(1);
            self.replies.extend(used.into_iter().map(Reply::Used));
        }
        if count > 0 {
            self.replies.push_back(Reply::Note(Note::Pruned(count)));
        }
    }
}

impl Tables {
    fn forget_if_empty(&mut self, app_id: &str) {
        if self.apps.get(app_id).is_some_and(|app| app.nameplates.is_empty() && app.mailboxes.is_empty()) {
            self.apps.remove(app_id);
        }
    }
}

impl Rows for Tables {
    type Fault = Infallible;

    fn now(&self) -> Stamp {
        self.now
    }
    fn limits(&self) -> &Limits {
        &self.limits
    }
    fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }
    fn resting<T>(&mut self, with: impl FnOnce(&mut Resting) -> T) -> T {
        with(&mut self.resting)
    }

    async fn totals(&mut self) -> Result<Totals, Infallible> {
        Ok(self.totals)
    }
    async fn names(&mut self, app: &str) -> Result<Vec<String>, Infallible> {
        Ok(self.apps.get(app).map(|app| app.nameplates.keys().cloned().collect()).unwrap_or_default())
    }
    async fn count_names(&mut self, app: &str) -> Result<usize, Infallible> {
        Ok(self.apps.get(app).map_or(0, |app| app.nameplates.len()))
    }
    async fn names_among(
        &mut self,
        app: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Vec<String>, Infallible> {
        let Some(app) = self.apps.get(app) else { return Ok(Vec::new()) };
        let is_taken = |name: &String| app.nameplates.contains_key(name);
        Ok(range.map(|number| number.to_string()).filter(is_taken).collect())
    }

    async fn nameplate(&mut self, app: &str, name: &str) -> Result<Option<Nameplate>, Infallible> {
        Ok(self.apps.get(app).and_then(|app| app.nameplates.get(name)).cloned())
    }
    async fn put_nameplate(
        &mut self,
        app: &str,
        name: &str,
        nameplate: &Nameplate,
    ) -> Result<(), Infallible> {
        let app = self.apps.entry(app.into()).or_default();
        app.nameplates.insert(name.into(), nameplate.clone());
        Ok(())
    }
    async fn remove_nameplate(&mut self, app: &str, name: &str) -> Result<(), Infallible> {
        if let Some(app) = self.apps.get_mut(app) {
            app.nameplates.remove(name);
        }
        Ok(())
    }

    async fn mailbox(&mut self, app: &str, id: &str) -> Result<Option<Mailbox>, Infallible> {
        let app = self.apps.get(app);
        Ok(app.and_then(|app| app.mailboxes.get(id)).map(|room| room.mailbox.clone()))
    }
    async fn put_mailbox(&mut self, app: &str, id: &str, mailbox: &Mailbox) -> Result<(), Infallible> {
        let app = self.apps.entry(app.into()).or_default();
        match app.mailboxes.get_mut(id) {
            Some(room) => room.mailbox = mailbox.clone(),
            None => {
                self.totals.mailboxes = self.totals.mailboxes.saturating_add(1);
                app.mailboxes.insert(id.into(), Room { mailbox: mailbox.clone(), messages: Vec::new() });
            }
        }
        Ok(())
    }
    async fn remove_mailbox(&mut self, app: &str, id: &str, mailbox: &Mailbox) -> Result<(), Infallible> {
        if let Some(app) = self.apps.get_mut(app)
            && app.mailboxes.remove(id).is_some()
        {
            self.totals.mailboxes = self.totals.mailboxes.saturating_sub(1);
            self.totals.bytes = self.totals.bytes.saturating_sub(mailbox.bytes);
        }
        Ok(())
    }

    async fn messages(&mut self, app: &str, id: &str) -> Result<Vec<Arc<Message>>, Infallible> {
        let app = self.apps.get(app);
        Ok(app.and_then(|app| app.mailboxes.get(id)).map(|room| room.messages.clone()).unwrap_or_default())
    }
    async fn add(&mut self, app: &str, id: &str, _: u64, message: &Arc<Message>) -> Result<(), Infallible> {
        if let Some(app) = self.apps.get_mut(app)
            && let Some(room) = app.mailboxes.get_mut(id)
        {
            room.messages.push(Arc::clone(message));
            self.totals.bytes = self.totals.bytes.saturating_add(message.weight());
        }
        Ok(())
    }
}
