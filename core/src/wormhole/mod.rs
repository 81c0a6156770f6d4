//! The session: from a code to an authenticated, ordered channel of records through the mailbox server.
//!
//! [`Wormhole`] is a [`Machine`] made of small ones, a file each. `route.rs` says who hears whom.
//!
//! ```
//! use wormhole_core::driver::{Conns, Input, Instant, Machine, Op, Output};
//! use wormhole_core::wormhole::{Config, Event, Wormhole};
//!
//! let config = Config::new("example.com/app")?;
//! let mut wormhole = Wormhole::new(config, [7; 32], Conns::all());
//! wormhole.allocate_code(2)?;
//! // A driver starts what is asked for, and reports how it went.
//! let Output::Do(Op::Open { conn, .. }) = wormhole.poll() else { panic!("it connects at once") };
//! wormhole.handle(Input::Opened { conn, peer: None }, Instant::START);
//! assert_eq!(wormhole.poll(), Output::Tell(Event::LinkUp));
//! # Ok::<(), wormhole_core::error::Misuse>(())
//! ```

mod allocator;
#[cfg(test)]
mod captures;
mod code;
mod input;
mod key;
mod link;
mod lister;
mod mailbox;
mod nameplate;
mod order;
mod permission;
mod receive;
mod route;
#[cfg(test)]
mod samples;
mod send;
#[cfg(feature = "serde")]
mod snapshot;
mod terminator;
mod trace;

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::fmt;
use core::time::Duration;

use zeroize::Zeroizing;

use crate::code::{Code, Nameplate};
use crate::crypto::{Secret, SessionKey, TransitKey, Verifier};
use crate::defaults::{Limits, MAILBOX, MESSAGE_LIMIT};
use crate::driver::{Conns, Input, Instant, Machine, Output, Why};
use crate::error::{Awaited, Error, Misuse, Mood, PeerFault, ServerFault};
use crate::rng::{Rng, Seed};
use crate::vigil::Vigil;
use crate::wire::peer::Versions;
use crate::wire::server::Welcome;
use crate::wire::{AppId, ID_BYTES, RawJson, Side};

pub(crate) use self::key::Scalar;
use self::route::Task;
#[cfg(feature = "serde")]
pub use self::snapshot::{SNAPSHOT_VERSION, Snapshot};
pub use self::trace::Transition;

/// The longest record. Sealed and in hex it fits into a command with all that surrounds it, and what the server makes of the
/// command for the other side still fits into a message: 4096 bytes for each.
pub const RECORD_BYTES: usize = (MESSAGE_LIMIT - 2 * 4096) / 2 - 40;
/// Records that may wait to be sent, or for the server to confirm that it has them.
pub const QUEUE_RECORDS: usize = 256;
/// The bytes of the records that may wait; the last one may exceed it.
pub const QUEUE_BYTES: usize = 4 << 20;
/// Told and not [`taken`](Wormhole::taken) records, from when on no more is read.
pub const UNTAKEN_RECORDS: usize = 64;
/// The same while there is no room to send: what would make room comes behind the records of the other side.
pub const UNTAKEN_RECORDS_WITHOUT_ROOM: usize = 16_384;
/// Their bytes, from when on no more is read.
pub const UNTAKEN_BYTES: usize = 4 << 20;

/// What a wormhole is made from, besides a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    appid: AppId,
    mailbox: String,
    versions: Versions,
    client_version: (String, String),
    limits: Limits,
}

impl Config {
    /// For this application, with the public server. Both sides must name the same application.
    ///
    /// # Errors
    ///
    /// The name is longer than [`ID_BYTES`].
    pub fn new(appid: &str) -> Result<Self, Misuse> {
        Ok(Self {
            appid: AppId::parse(appid).ok_or(Misuse::TooLong { limit_bytes: ID_BYTES })?,
            mailbox: MAILBOX.into(),
            versions: Versions { app_versions: raw_json("{}")? },
            client_version: ("wormhole-core".into(), env!("CARGO_PKG_VERSION").into()),
            limits: Limits::default(),
        })
    }

    /// Another mailbox server, by its URL.
    #[must_use]
    pub fn mailbox(self, url: &str) -> Self {
        Self { mailbox: url.into(), ..self }
    }

    /// The URL of the mailbox server.
    pub fn mailbox_url(&self) -> &str {
        &self.mailbox
    }

    /// What the peer is told as `app_versions`, a JSON text.
    ///
    /// # Errors
    ///
    /// It is not JSON, or too long for a record.
    pub fn app_versions(self, json: &str) -> Result<Self, Misuse> {
        if json.len() > RECORD_BYTES / 2 {
            return Err(Misuse::TooLong { limit_bytes: RECORD_BYTES / 2 });
        }
        Ok(Self { versions: Versions { app_versions: raw_json(json)? }, ..self })
    }

    /// What the peer is told.
    pub const fn told(&self) -> &Versions {
        &self.versions
    }

    /// Which program, and which version of it, the server is told.
    #[must_use]
    pub fn client_version(self, program: &str, version: &str) -> Self {
        Self { client_version: (program.into(), version.into()), ..self }
    }

    /// How long each wait may take.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// How long each wait may take.
    pub const fn time_limits(&self) -> &Limits {
        &self.limits
    }
}

fn raw_json(json: &str) -> Result<RawJson, Misuse> {
    RawJson::parse(json).map_err(|_| Misuse::NotJson)
}

/// What the application is told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Event {
    /// The server is connected, for the first time or again.
    LinkUp,
    /// The connection to the server was lost, and will be mended.
    LinkDown {
        /// What happened to it.
        why: Why,
    },
    /// The server's first word on each connection.
    Welcome(Welcome),
    /// The nameplates in use, to complete a typed one from.
    Nameplates(Vec<Nameplate>),
    /// The chosen nameplate is ours: from now on words complete.
    WordsWanted,
    /// The code is known.
    Code(Code),
    /// The first message of the peer has come, whatever it may be.
    PeerHeard,
    /// There is a key, which the peer has not confirmed: keys can be derived from it, and it may be an attacker's.
    UnverifiedKey,
    /// The peer has the same key. Two users who compare this know that nobody is between them.
    Verifier(Verifier),
    /// What the peer tells of itself.
    Versions(Versions),
    /// The next record of the peer, in its order. To be answered by [`Wormhole::taken`] once it is used.
    Record(#[cfg_attr(feature = "serde", serde(with = "crate::saved::record"))] Vec<u8>),
    /// The nameplate is given back: the code cannot be used again.
    CodeConsumed,
    /// The last event.
    Closed(Result<(), Error>),
}

/// One side of a conversation through the mailbox server.
///
/// It connects as soon as it is polled. A code is chosen once, in one of three ways. Records may be sent at any time, and
/// leave when the peer has proved that it knows the code.
#[derive(Clone, PartialEq, Eq)]
pub struct Wormhole {
    config: Config,
    side: Side,
    rng: Rng,
    conns: Conns,
    now: Instant,
    link: link::Link,
    permission: permission::Permission,
    code: code::Code,
    allocator: allocator::Allocator,
    lister: lister::Lister,
    typing: input::Typing,
    nameplate: nameplate::Nameplate,
    mailbox: mailbox::Mailbox,
    order: order::Order,
    key: key::Key,
    send: send::Send,
    receive: receive::Receive,
    terminator: terminator::Terminator,
    /// In which it closes, from when on it does.
    mood: Option<Mood>,
    tasks: VecDeque<Task>,
    outputs: VecDeque<Output<Event>>,
    untaken: Untaken,
    /// For the server, or for the peer once it was heard.
    vigil: Vigil<Wait>,
    /// For anybody to come.
    lonely: Vigil<()>,
    /// Why the command that is being worked off is refused.
    refused: Option<Misuse>,
    /// What the machines did, where somebody wants to know.
    trace: Option<trace::Trace>,
}

/// For whom a wormhole waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Server,
    Peer,
}

/// Records that were told and are not yet used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Untaken {
    records: usize,
    bytes: usize,
}

impl Wormhole {
    /// A new wormhole. Everything random in it follows from the seed, which must not be used twice.
    pub fn new(config: Config, seed: Seed, conns: Conns) -> Self {
        let mut rng = Rng::new(seed);
        let side = Side::draw(&mut rng);
        let scalar = Scalar::new(rng.bytes());
        // What is drawn from later cannot tell what the key was made from.
        let rng = Rng::new(rng.bytes());
        Self::assemble(config, side, scalar, rng, conns)
    }

    fn assemble(config: Config, side: Side, scalar: Scalar, rng: Rng, conns: Conns) -> Self {
        let terminator = terminator::Terminator::new(config.limits.close);
        let mut wormhole = Self {
            config,
            side,
            rng,
            conns,
            now: Instant::START,
            link: link::Link::default(),
            permission: permission::Permission::default(),
            code: code::Code::default(),
            allocator: allocator::Allocator::default(),
            lister: lister::Lister::default(),
            typing: input::Typing::default(),
            nameplate: nameplate::Nameplate::default(),
            mailbox: mailbox::Mailbox::default(),
            order: order::Order::default(),
            key: key::Key::new(scalar),
            send: send::Send::default(),
            receive: receive::Receive::default(),
            terminator,
            mood: None,
            tasks: VecDeque::new(),
            outputs: VecDeque::new(),
            untaken: Untaken::default(),
            vigil: Vigil::default(),
            lonely: Vigil::default(),
            refused: None,
            trace: None,
        };
        wormhole.then(Task::Link(link::Input::Dial));
        wormhole.settle();
        wormhole
    }

    /// Has the server choose a nameplate, and adds so many random words to it.
    ///
    /// # Errors
    ///
    /// A code was chosen before, so many words cannot be made, or the wormhole is closed.
    pub fn allocate_code(&mut self, words: usize) -> Result<(), Misuse> {
        self.command(Task::Code(code::Input::Allocate { words }))
    }

    /// Takes this code.
    ///
    /// # Errors
    ///
    /// A code was chosen before, or the wormhole is closed.
    pub fn set_code(&mut self, code: Code) -> Result<(), Misuse> {
        self.command(Task::Code(code::Input::Set(code)))
    }

    /// Begins a code that is typed: [`choose_nameplate`](Self::choose_nameplate), then
    /// [`choose_words`](Self::choose_words).
    ///
    /// # Errors
    ///
    /// A code was chosen before, or the wormhole is closed.
    pub fn input_code(&mut self) -> Result<(), Misuse> {
        self.command(Task::Code(code::Input::Type))
    }

    /// Asks again for the nameplates in use.
    ///
    /// # Errors
    ///
    /// No code is being typed, the nameplate was chosen before, or the wormhole is closed.
    pub fn refresh_nameplates(&mut self) -> Result<(), Misuse> {
        self.command(Task::Typing(input::Input::Refresh))
    }

    /// What the typed beginning of a nameplate can be completed to, each with a dash.
    ///
    /// # Errors
    ///
    /// No code is being typed, or the nameplate was chosen before.
    pub fn complete_nameplate(&self, typed: &str) -> Result<Vec<String>, Misuse> {
        self.typing.complete_nameplate(typed)
    }

    /// Commits to this nameplate, which is claimed at once.
    ///
    /// # Errors
    ///
    /// No code is being typed, the nameplate was chosen before, or the wormhole is closed.
    pub fn choose_nameplate(&mut self, nameplate: Nameplate) -> Result<(), Misuse> {
        self.command(Task::Typing(input::Input::Nameplate(nameplate)))
    }

    /// What the typed beginning of the words can be completed to; nothing before [`Event::WordsWanted`].
    ///
    /// # Errors
    ///
    /// The nameplate is not yet chosen, or the words are.
    pub fn complete_words(&self, typed: &str) -> Result<Vec<String>, Misuse> {
        self.typing.complete_words(typed)
    }

    /// Completes the code with these words, all that follows the first dash.
    ///
    /// # Errors
    ///
    /// The words are no part of a code, the nameplate is not yet chosen, the words are, or the wormhole is closed.
    pub fn choose_words(&mut self, words: &str) -> Result<(), Misuse> {
        self.command(Task::Typing(input::Input::Words(Zeroizing::new(words.into()))))
    }

    /// Sends a record. What waits for the peer or for the server is kept, up to [`QUEUE_RECORDS`] and [`QUEUE_BYTES`].
    ///
    /// # Errors
    ///
    /// The record is longer than [`RECORD_BYTES`], there is no [room](Self::has_room), or the wormhole is closed.
    pub fn send(&mut self, record: &[u8]) -> Result<(), Misuse> {
        if record.len() > RECORD_BYTES {
            return Err(Misuse::TooLong { limit_bytes: RECORD_BYTES });
        }
        if !self.has_room() && self.terminator.is_open() {
            return Err(Misuse::QueueFull);
        }
        self.command(Task::Send(send::Input::Send(Zeroizing::new(record.into()))))
    }

    /// Whether a record would be taken by [`send`](Self::send) now. Room comes back when the server confirms.
    pub fn has_room(&self) -> bool {
        let bytes = self.send.waiting_bytes().saturating_add(self.mailbox.waiting_bytes());
        self.send.waiting().saturating_add(self.mailbox.waiting()) < QUEUE_RECORDS && bytes < QUEUE_BYTES
    }

    /// Whether the server has everything that was sent, so that closing loses nothing.
    pub fn all_stored(&self) -> bool {
        self.send.waiting() == 0 && self.mailbox.waiting() == 0
    }

    /// The mood in which it closes, as told to the server; nothing before it closes.
    pub const fn mood(&self) -> Option<Mood> {
        self.mood
    }

    /// Whether nothing waits here beyond what is allowed: our records and what comes before them, and records that were
    /// not taken, of which one message may set free all that had come too early.
    fn is_within_limits(&self) -> bool {
        const BEFORE_RECORDS: usize = 2;
        let waiting = self.send.waiting().saturating_add(self.mailbox.waiting());
        let early = usize::try_from(mailbox::EARLY_PHASES).unwrap_or(usize::MAX);
        waiting <= QUEUE_RECORDS.saturating_add(BEFORE_RECORDS)
            && self.untaken.records <= UNTAKEN_RECORDS_WITHOUT_ROOM.saturating_add(early)
    }

    /// Whether the peer has proved that it knows the code, so that it can be told things.
    pub(crate) const fn is_confirmed(&self) -> bool {
        self.receive.is_confirmed()
    }

    /// Whether the server can hear us.
    pub(crate) const fn is_linked(&self) -> bool {
        match self.link.line() {
            link::Line::Up => true,
            link::Line::Down => false,
        }
    }

    /// The application has used a record of this length. Nothing more is read from the server while too many told
    /// records are unused.
    pub fn taken(&mut self, len: usize) {
        self.untaken.records = self.untaken.records.saturating_sub(1);
        self.untaken.bytes = self.untaken.bytes.saturating_sub(len);
        self.settle();
    }

    /// A key for this purpose, the same on both sides; from [`Event::UnverifiedKey`] on.
    ///
    /// # Errors
    ///
    /// There is no key yet, or so many bytes cannot be derived.
    pub fn derive_key(&self, purpose: &str, len: usize) -> Result<Secret, Misuse> {
        self.session_key()?.derive(purpose, len)
    }

    /// The session key itself; from [`Event::UnverifiedKey`] on, and the peer need not have confirmed it. Keys for any
    /// purpose are better [derived](Self::derive_key).
    ///
    /// # Errors
    ///
    /// There is no key yet.
    pub fn unverified_key(&self) -> Result<Secret, Misuse> {
        Ok(self.session_key()?.to_secret())
    }

    /// The key of a transit connection for this purpose; from [`Event::UnverifiedKey`] on.
    ///
    /// # Errors
    ///
    /// There is no key yet.
    pub fn transit_key(&self, purpose: &str) -> Result<TransitKey, Misuse> {
        Ok(self.session_key()?.transit_key(purpose))
    }

    /// Closes in order. What was not [stored](Self::all_stored) by the server is lost. The result is a success if the
    /// peer was heard and knows the code.
    pub fn close(&mut self) {
        self.then(Task::Terminator(terminator::Input::Close));
        self.settle();
    }

    /// Closes with this error, unless it is closing already.
    pub fn fail(&mut self, error: Error) {
        self.then(Task::Terminator(terminator::Input::Fail(error)));
        self.settle();
    }

    /// Waits for no answer of the server any longer, where it is closing.
    pub(crate) fn give_up(&mut self) {
        self.then(Task::Terminator(terminator::Input::GiveUp));
        self.settle();
    }

    fn session_key(&self) -> Result<&SessionKey, Misuse> {
        self.key.session().ok_or(Misuse::NoKeyYet)
    }

    fn command(&mut self, task: Task) -> Result<(), Misuse> {
        if !self.terminator.is_open() {
            return Err(Misuse::Closed);
        }
        self.then(task);
        self.settle();
        self.refused.take().map_or(Ok(()), Err)
    }
}

impl Machine for Wormhole {
    type Event = Event;
    type Request = Infallible;
    type Reply = Infallible;

    fn handle(&mut self, input: Input, now: Instant) {
        self.now = self.now.max(now);
        let (conn, input) = match input {
            Input::Opened { conn, .. } => (Some(conn), link::Input::Opened),
            Input::Received { conn, bytes } => (Some(conn), link::Input::Received(bytes)),
            Input::Closed { conn, why } => (Some(conn), link::Input::Closed(why)),
            Input::Tick | Input::Sent { .. } | Input::Listening { .. } => (None, link::Input::Tick),
            Input::Stored(never) => match never {},
        };
        // What comes late, from a connection that was given up, concerns nobody.
        if conn.is_none() || conn == self.link.conn() {
            self.then(Task::Link(input));
        }
        self.then(Task::Link(link::Input::Tick));
        self.then(Task::Permission(permission::Input::Tick));
        self.then(Task::Terminator(terminator::Input::Tick(self.now)));
        self.settle();
        if let Some(wait) = self.vigil.pass(self.now) {
            self.fail(self.waited_for(wait));
        }
        if self.lonely.pass(self.now).is_some() {
            self.fail(PeerFault::Silent(Awaited::Coming).into());
        }
        debug_assert!(self.is_within_limits(), "a queue is longer than it may be");
    }

    fn poll(&mut self) -> Output<Event> {
        self.outputs.pop_front().unwrap_or_else(|| Output::Wait(self.deadline()))
    }
}

impl fmt::Debug for Wormhole {
    /// How it stands, without what is said in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wormhole")
            .field("side", &self.side)
            .field("now", &self.now)
            .field("link", &self.link)
            .field("code", &self.code)
            .field("nameplate", &self.nameplate)
            .field("terminator", &self.terminator)
            .finish_non_exhaustive()
    }
}

impl Wormhole {
    fn deadline(&self) -> Option<Instant> {
        let closing = self.terminator.deadline().map(|limit| match limit {
            // A tick, as soon as can be, tells from when on to count.
            terminator::Limit::FromNextTick => self.now,
            terminator::Limit::Until(until) => until,
        });
        let (vigil, lonely) = (self.vigil.deadline(self.now), self.lonely.deadline(self.now));
        [self.link.deadline(), self.permission.deadline(), vigil, lonely, closing].into_iter().flatten().min()
    }

    /// For whom we wait now.
    fn watch(&mut self) {
        self.vigil.set(self.waits());
        let is_open = self.terminator.is_open() && self.key.has_code() && !self.mailbox.is_met();
        self.lonely.set(self.config.limits.peer.filter(|_| is_open).map(|limit| ((), limit)));
    }

    /// For whom we wait who should not take long.
    fn waits(&self) -> Option<(Wait, Duration)> {
        let limits = &self.config.limits;
        // Once the mailbox was named, being out of the server's reach is part of waiting for the peer.
        let asks = self.allocator.is_waiting() || self.nameplate.is_claiming();
        let may_ask = self.mailbox.is_unknown() || self.is_linked();
        let is_at_work = self.permission.deadline().is_some();
        if !self.terminator.is_open() || self.is_confirmed() || is_at_work {
            None
        } else if asks && may_ask && !self.mailbox.is_met() {
            Some((Wait::Server, limits.server))
        } else {
            // A prompt for the code is our user's own time.
            (self.mailbox.is_met() && self.key.has_code()).then_some((Wait::Peer, limits.key))
        }
    }

    /// What it means that this took too long.
    fn waited_for(&self, wait: Wait) -> Error {
        match wait {
            Wait::Server | Wait::Peer if !self.is_linked() => ServerFault::Gone.into(),
            Wait::Server => ServerFault::Silent.into(),
            Wait::Peer => PeerFault::Silent(Awaited::Key).into(),
        }
    }
}
