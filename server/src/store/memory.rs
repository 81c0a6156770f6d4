//! The store that forgets everything at its end: for tests, for the demo and for whoever embeds a server.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::{Context, Poll, Waker};

use wormhole_core::driver::{Conn, Instant};
use wormhole_core::rng::{Rng, Seed};

use super::rules::{self, Mailbox, Nameplate};
use super::{Ask, Done, Member, Message, Refusal, Reply, Request, Store};
use crate::limits;

/// Nameplates and mailboxes in memory. It keeps no usage records, so that moods go unread.
#[derive(Debug)]
pub struct Memory {
    apps: BTreeMap<String, App>,
    /// Which mailbox a connection has open.
    listening: BTreeMap<Conn, Place>,
    mailboxes: usize,
    bytes: usize,
    rng: Rng,
    replies: VecDeque<Reply>,
    waker: Option<Waker>,
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
    listeners: BTreeSet<Conn>,
}

#[derive(Clone, Debug)]
struct Place {
    app: String,
    mailbox: String,
}

impl Store for Memory {
    fn start(&mut self, request: Request, now: Instant) {
        match request {
            Request::Do { conn, member, ask } => {
                let done = self.answer(conn, &member, ask, now);
                self.reply(Reply::Done { conn, done });
            }
            Request::Leave { conn } => self.unsubscribe(conn),
            Request::Prune => self.prune(now),
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
        Self {
            apps: BTreeMap::new(),
            listening: BTreeMap::new(),
            mailboxes: 0,
            bytes: 0,
            rng: Rng::new(seed),
            replies: VecDeque::new(),
            waker: None,
        }
    }

    /// Whether nothing at all is kept.
    pub fn is_empty(&self) -> bool {
        self.apps.is_empty() && self.listening.is_empty() && self.mailboxes == 0 && self.bytes == 0
    }

    fn reply(&mut self, reply: Reply) {
        self.replies.push_back(reply);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn answer(&mut self, conn: Conn, member: &Member, ask: Ask, now: Instant) -> Result<Done, Refusal> {
        match ask {
            Ask::List => Ok(Done::Listed(self.list(&member.app))),
            Ask::Allocate => self.allocate(member, now).map(Done::Allocated),
            Ask::Claim { nameplate } => self.claim(member, nameplate, now).map(Done::Claimed),
            Ask::Release { nameplate } => {
                self.release(member, &nameplate);
                Ok(Done::Released)
            }
            Ask::Open { mailbox } => {
                let room = self.enter(conn, member, &mailbox, now)?;
                let messages = room.mailbox.messages.clone();
                Ok(Done::Opened { mailbox, messages })
            }
            Ask::Add { mailbox, message } => {
                self.add(conn, member, &mailbox, message, now)?;
                Ok(Done::Added)
            }
            Ask::Close { mailbox, mood: _ } => {
                self.unsubscribe(conn);
                self.close(member, &mailbox);
                Ok(Done::Closed)
            }
        }
    }

    fn list(&self, app: &str) -> Vec<String> {
        self.apps.get(app).map(|app| app.nameplates.keys().cloned().collect()).unwrap_or_default()
    }

    fn allocate(&mut self, member: &Member, now: Instant) -> Result<String, Refusal> {
        let app = self.apps.get(&member.app);
        let is_taken = |name: &str| app.is_some_and(|app| app.nameplates.contains_key(name));
        let name = rules::allocate(is_taken, &mut self.rng)?;
        self.claim(member, name.clone(), now)?;
        Ok(name)
    }

    fn claim(&mut self, member: &Member, name: String, now: Instant) -> Result<String, Refusal> {
        let app = self.apps.get(&member.app);
        let Some(nameplate) = app.and_then(|app| app.nameplates.get(&name)) else {
            return self.create(member, name, now);
        };
        nameplate.admits(&member.side)?;
        let mailbox = nameplate.mailbox.clone();
        self.room(member, &mailbox, now)?;
        if let Some(app) = self.apps.get_mut(&member.app)
            && let Some(nameplate) = app.nameplates.get_mut(&name)
        {
            nameplate.claim(&member.side);
        }
        Ok(mailbox)
    }

    /// A new nameplate with a new mailbox.
    fn create(&mut self, member: &Member, name: String, now: Instant) -> Result<String, Refusal> {
        let count = self.apps.get(&member.app).map_or(0, |app| app.nameplates.len());
        if count >= limits::NAMEPLATES {
            return Err(Refusal::NoNameplate);
        }
        let mailbox = rules::mailbox_id(&mut self.rng);
        self.room(member, &mailbox, now)?.mailbox.nameplate = Some(name.clone());
        let mut nameplate = Nameplate::new(mailbox.clone());
        nameplate.claim(&member.side);
        self.apps.entry(member.app.clone()).or_default().nameplates.insert(name, nameplate);
        Ok(mailbox)
    }

    fn release(&mut self, member: &Member, name: &str) {
        let Some(app) = self.apps.get_mut(&member.app) else { return };
        if let Some(nameplate) = app.nameplates.get_mut(name)
            && nameplate.release(&member.side)
            && let Some(nameplate) = app.nameplates.remove(name)
            && let Some(room) = app.mailboxes.get_mut(&nameplate.mailbox)
        {
            room.mailbox.nameplate = None;
        }
    }

    /// The mailbox, made if it is unknown and opened by the side; no connection listens by this.
    fn room(&mut self, member: &Member, id: &str, now: Instant) -> Result<&mut Room, Refusal> {
        let known = self.apps.get(&member.app).and_then(|app| app.mailboxes.get(id));
        match known {
            Some(room) => room.mailbox.admits(&member.side)?,
            None if self.mailboxes >= limits::MAILBOXES => return Err(Refusal::StoreFull),
            None => self.mailboxes = self.mailboxes.saturating_add(1),
        }
        let app = self.apps.entry(member.app.clone()).or_default();
        let room = app.mailboxes.entry(id.into()).or_insert_with(|| Room::new(now));
        room.mailbox.open(&member.side, now);
        Ok(room)
    }

    /// The mailbox, opened by the side and listened to by the connection.
    fn enter(&mut self, conn: Conn, member: &Member, id: &str, now: Instant) -> Result<&mut Room, Refusal> {
        // Refused before anything is noted.
        self.room(member, id, now)?;
        self.unsubscribe(conn);
        self.listening.insert(conn, Place { app: member.app.clone(), mailbox: id.into() });
        let room = self.room(member, id, now)?;
        room.listeners.insert(conn);
        Ok(room)
    }

    fn add(
        &mut self,
        conn: Conn,
        member: &Member,
        id: &str,
        message: Message,
        now: Instant,
    ) -> Result<(), Refusal> {
        let weight = message.weight();
        if self.bytes.saturating_add(weight) > limits::STORE_BYTES {
            return Err(Refusal::StoreFull);
        }
        let app = self.apps.get_mut(&member.app);
        let room = match app.and_then(|app| app.mailboxes.get_mut(id)) {
            Some(room) if room.listeners.contains(&conn) => room,
            // All sides closed the mailbox under a connection that still has it open: it begins anew.
            Some(_) | None => self.enter(conn, member, id, now)?,
        };
        room.mailbox.has_room(&message)?;
        let message = Arc::new(message);
        room.mailbox.add(Arc::clone(&message), now);
        let listeners = room.listeners.clone();
        self.bytes = self.bytes.saturating_add(weight);
        for conn in listeners {
            self.reply(Reply::Message { conn, message: Arc::clone(&message) });
        }
        Ok(())
    }

    fn close(&mut self, member: &Member, id: &str) {
        let Some(app) = self.apps.get_mut(&member.app) else { return };
        if app.mailboxes.get_mut(id).is_some_and(|room| room.mailbox.close(&member.side)) {
            self.delete(&member.app, id);
        }
        self.forget_if_empty(&member.app);
    }

    /// Deletes a mailbox with everything that hangs on it.
    fn delete(&mut self, app_id: &str, id: &str) {
        let Some(app) = self.apps.get_mut(app_id) else { return };
        let Some(room) = app.mailboxes.remove(id) else { return };
        if let Some(name) = room.mailbox.nameplate.as_ref() {
            app.nameplates.remove(name);
        }
        for conn in &room.listeners {
            self.listening.remove(conn);
        }
        self.mailboxes = self.mailboxes.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(room.mailbox.bytes());
    }

    fn forget_if_empty(&mut self, app_id: &str) {
        if self.apps.get(app_id).is_some_and(|app| app.nameplates.is_empty() && app.mailboxes.is_empty()) {
            self.apps.remove(app_id);
        }
    }

    fn unsubscribe(&mut self, conn: Conn) {
        let Some(place) = self.listening.remove(&conn) else { return };
        let app = self.apps.get_mut(&place.app);
        if let Some(room) = app.and_then(|app| app.mailboxes.get_mut(&place.mailbox)) {
            room.listeners.remove(&conn);
        }
    }

    /// One sweep over everything, every few minutes.
    fn prune(&mut self, now: Instant) {
        let mut expired = Vec::new();
        for (app_id, app) in &mut self.apps {
            for (id, room) in &mut app.mailboxes {
                if !room.listeners.is_empty() {
                    room.mailbox.touch(now);
                } else if room.mailbox.is_expired(now) {
                    expired.push(Place { app: app_id.clone(), mailbox: id.clone() });
                }
            }
        }
        for place in expired {
            self.delete(&place.app, &place.mailbox);
            self.forget_if_empty(&place.app);
        }
    }
}

impl Room {
    const fn new(now: Instant) -> Self {
        Self { mailbox: Mailbox::new(now), listeners: BTreeSet::new() }
    }
}
