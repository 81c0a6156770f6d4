//! The store in one file of SQLite.
//!
//! One thread writes. What has come while it was busy with a transaction goes into the next, up to a limit, and is
//! answered when that is on the disk; so many clients share one wait for the disk, and a lone one never waits for company.
//! What was answered is there after any end of the process, and with `Synchronous::Full` after the end of the power.

use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::task::{Context, Poll};
use std::path::Path;
use std::thread::{self, JoinHandle};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use wormhole_core::driver::{Conn, Instant};
use wormhole_core::rng::{Rng, Seed};

use super::commands::{self, Effects};
use super::desk::Replies;
use super::listeners::{Listeners, Place};
use super::rows::at_once;
use super::{Ask, Done, Limits, Member, Note, Refusal, Reply, Request, Store};
use crate::limits;
use crate::stamp::Stamp;

mod requests;
mod rows;
mod schema;
mod taken;

use requests::Requests;
use rows::Tables;
pub use schema::OpenError;
pub(crate) use taken::Taken;

/// How many statements are kept ready.
const STATEMENTS: usize = 64;
/// Memory for pages of the file, in KiB, and the size that the log goes back to after a flood, in bytes.
const SETTINGS: &str = "\
pragma auto_vacuum = incremental;
pragma journal_mode = wal;
pragma journal_size_limit = 16777216;
pragma cache_size = -8192;
pragma temp_store = memory;
";

/// What a commit outlives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// The end of the power.
    #[default]
    Full,
    /// The end of the process. The last seconds may be gone after the end of the power.
    Normal,
}

/// Nameplates and mailboxes in a file.
#[derive(Debug)]
pub struct Sqlite {
    requests: Requests,
    replies: Replies,
    writer: Option<JoinHandle<()>>,
}

impl Sqlite {
    /// Opens the database, which is made if there is none, and keeps all others out of it.
    ///
    /// `started` is the time at the driver's start.
    ///
    /// # Errors
    ///
    /// The file is not ours alone to use, or is no database of this program.
    pub fn open(
        path: &Path,
        synchronous: Synchronous,
        seed: Seed,
        started: Stamp,
        limits: Limits,
    ) -> Result<Self, OpenError> {
        let db = connect(path, synchronous)?;
        let tables = Tables::new(db, limits, started, Rng::new(seed))?;
        tables.mend_times()?;
        let (requests, replies) = (Requests::default(), Replies::default());
        let writer = Writer {
            tables,
            listeners: Listeners::default(),
            started,
            requests: requests.clone(),
            replies: replies.clone(),
            sweep: None,
            failing: false,
        };
        let spawned = thread::Builder::new().name("store".into()).spawn(move || writer.run());
        let writer = spawned.map_err(|error| OpenError::Failed(error.to_string()))?;
        Ok(Self { requests, replies, writer: Some(writer) })
    }
}

impl Store for Sqlite {
    fn start(&mut self, request: Request, now: Instant) {
        self.replies.extend(self.requests.push(request, now));
    }

    fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Reply> {
        self.replies.poll(cx)
    }
}

impl Drop for Sqlite {
    /// Waits for what it was asked.
    fn drop(&mut self) {
        self.requests.close();
        if let Some(writer) = self.writer.take() {
            // Its end is what matters, not how it came.
            let _ = writer.join();
        }
    }
}

fn connect(path: &Path, synchronous: Synchronous) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE;
    let db = Connection::open_with_flags(path, flags)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    // Before the journal, or it would be shared with other processes first.
    db.execute_batch("pragma locking_mode = exclusive;")?;
    db.execute_batch(SETTINGS)?;
    db.execute_batch(match synchronous {
        Synchronous::Full => "pragma synchronous = full;",
        Synchronous::Normal => "pragma synchronous = normal;",
    })?;
    schema::prepare(&db)?;
    // Takes the lock, which is kept from now on.
    db.execute_batch("begin exclusive; commit;")?;
    Ok(db)
}

struct Writer {
    tables: Tables,
    listeners: Listeners,
    started: Stamp,
    requests: Requests,
    replies: Replies,
    /// A sweep that has begun, and the mailbox that it has come to.
    sweep: Option<Sweep>,
    /// Whether the operator was told that nothing can be stored.
    failing: bool,
}

#[derive(Default)]
struct Sweep {
    after: Option<Place>,
    pruned: usize,
    skipped: usize,
    why: String,
}

/// A command, and what has come of it.
struct Step {
    conn: Conn,
    place: Option<Place>,
    done: Result<Done, Refusal>,
    effects: Effects,
}

impl Writer {
    fn run(mut self) {
        while let Some(batch) = self.requests.take(limits::STORE_BATCH, self.sweep.is_none()) {
            self.serve(batch);
            if let Some(sweep) = self.sweep.take() {
                self.go_on(sweep);
            }
        }
    }

    fn serve(&mut self, batch: VecDeque<(Request, Instant)>) {
        let Some((_, now)) = batch.back() else { return };
        self.tables.now = self.started.plus(*now);
        let mut replies = Vec::new();
        let steps = match self.transact(batch.iter().map(|(request, _)| request)) {
            Ok(steps) => {
                self.recovered(batch.iter().map(|(request, _)| request), &mut replies);
                steps
            }
            // One of them is to blame: the others must not suffer for it.
            Err(_) => batch.iter().flat_map(|(request, _)| self.alone(request, &mut replies)).collect(),
        };
        for step in steps {
            self.conclude(step, &mut replies);
        }
        for (request, _) in batch {
            match request {
                Request::Do { .. } => {}
                Request::Leave { conn } => self.listeners.leave(conn),
                Request::Prune if self.sweep.is_none() => self.sweep = self.begin_sweep(),
                Request::Prune => {}
            }
        }
        self.replies.extend(replies);
    }

    /// Carries out all commands, or none.
    fn transact<'a>(&mut self, batch: impl Iterator<Item = &'a Request>) -> rusqlite::Result<Vec<Step>> {
        self.tables.db.prepare_cached("begin immediate")?.execute([])?;
        let steps = self.carry_out(batch);
        match steps.and_then(|steps| self.tables.db.prepare_cached("commit")?.execute([]).map(|_| steps)) {
            Ok(steps) => Ok(steps),
            Err(error) => {
                self.undo();
                Err(error)
            }
        }
    }

    fn carry_out<'a>(&mut self, batch: impl Iterator<Item = &'a Request>) -> rusqlite::Result<Vec<Step>> {
        let mut steps: Vec<Step> = Vec::new();
        for request in batch {
            let Request::Do { conn, member, ask } = request else { continue };
            let place = Place::of(&member.app, ask);
            // Whoever has listened listens no more if the mailbox has ended in this batch.
            let listens = place.as_ref().is_some_and(|place| {
                self.listeners.listens(*conn, place)
                    && !steps.iter().any(|step| step.effects.ended && step.place.as_ref() == Some(place))
            });
            let (done, effects) = self.command(member, ask, listens)?;
            steps.push(Step { conn: *conn, place, done, effects });
        }
        Ok(steps)
    }

    fn command(
        &mut self,
        member: &Member,
        ask: &Ask,
        listens: bool,
    ) -> rusqlite::Result<(Result<Done, Refusal>, Effects)> {
        at_once(commands::carry_out(&mut self.tables, member, ask, listens))
            .unwrap_or_else(|| Ok((Err(Refusal::Unavailable), Effects::default())))
    }

    /// One command in a transaction of its own. If it fails, it is refused.
    fn alone(&mut self, request: &Request, replies: &mut Vec<Reply>) -> Vec<Step> {
        match self.transact(core::iter::once(request)) {
            Ok(steps) => {
                self.recovered(core::iter::once(request), replies);
                steps
            }
            Err(error) => {
                if !self.failing {
                    self.failing = true;
                    replies.push(Reply::Note(Note::Failing(error.to_string())));
                }
                let refusal = match error.sqlite_error_code() {
                    Some(ErrorCode::DiskFull) => Refusal::StoreFull,
                    Some(_) | None => Refusal::Unavailable,
                };
                if let Request::Do { conn, .. } = request {
                    replies.push(Reply::Done { conn: *conn, done: Err(refusal) });
                }
                Vec::new()
            }
        }
    }

    /// Something could be stored.
    fn recovered<'a>(&mut self, mut done: impl Iterator<Item = &'a Request>, replies: &mut Vec<Reply>) {
        // To read shows nothing.
        let writes = |request: &Request| matches!(request, Request::Do { ask, .. } if *ask != Ask::List);
        if self.failing && done.any(writes) {
            self.failing = false;
            replies.push(Reply::Note(Note::Recovered));
        }
    }

    fn conclude(&mut self, step: Step, replies: &mut Vec<Reply>) {
        let Step { conn, place, done, effects } = step;
        replies.push(Reply::Done { conn, done });
        for (conn, message) in self.listeners.follow(conn, place.as_ref(), &effects) {
            replies.push(Reply::Message { conn, message });
        }
        replies.extend(effects.used.into_iter().map(Reply::Used));
    }

    /// Forgets a transaction that has failed, which may have ended by itself.
    fn undo(&mut self) {
        if !self.tables.db.is_autocommit() {
            // What is wrong with the disk shows again with the next transaction.
            let _ = self.tables.db.execute_batch("rollback");
        }
        let _ = self.tables.count();
    }

    /// What is listened to does not expire.
    fn begin_sweep(&mut self) -> Option<Sweep> {
        let touch = |writer: &Self| {
            writer.tables.db.execute_batch("begin immediate")?;
            writer.tables.mend_times()?;
            for place in writer.listeners.places() {
                writer.tables.touch(place)?;
            }
            writer.tables.db.execute_batch("commit")
        };
        match touch(self) {
            Ok(()) => Some(Sweep::default()),
            Err(error) => {
                self.undo();
                // Without it nothing may be deleted.
                self.end_sweep(Sweep { skipped: 1, why: error.to_string(), ..Sweep::default() });
                None
            }
        }
    }

    /// Deletes some more of what has expired.
    fn go_on(&mut self, mut sweep: Sweep) {
        match self.delete_some(&mut sweep) {
            Ok(true) => self.sweep = Some(sweep),
            Ok(false) => self.end_sweep(sweep),
            Err(error) => {
                self.undo();
                sweep.skipped = sweep.skipped.saturating_add(1);
                sweep.why = error.to_string();
                self.end_sweep(sweep);
            }
        }
    }

    fn end_sweep(&self, sweep: Sweep) {
        let pruned = (sweep.pruned > 0).then_some(Note::Pruned(sweep.pruned));
        let skipped = (sweep.skipped > 0).then_some(Note::Skipped(sweep.skipped, sweep.why));
        self.replies.extend(pruned.into_iter().chain(skipped).map(Reply::Note));
    }

    /// Says whether there may be more.
    fn delete_some(&mut self, sweep: &mut Sweep) -> rusqlite::Result<bool> {
        let places = self.tables.expired(sweep.after.as_ref(), limits::PRUNE_BATCH)?;
        let mut replies = Vec::new();
        let mut pruned = 0_usize;
        self.tables.db.execute_batch("begin immediate")?;
        for place in &places {
            self.tables.db.execute_batch("savepoint one")?;
            match at_once(commands::expire(&mut self.tables, &place.app, &place.mailbox)) {
                Some(Ok(Some(effects))) => {
                    pruned = pruned.saturating_add(1);
                    replies.extend(effects.used.into_iter().map(Reply::Used));
                }
                Some(Ok(None)) | None => {}
                Some(Err(error)) => {
                    self.tables.db.execute_batch("rollback to one")?;
                    sweep.skipped = sweep.skipped.saturating_add(1);
                    sweep.why = error.to_string();
                }
            }
            self.tables.db.execute_batch("release one")?;
        }
        let is_last = places.len() < limits::PRUNE_BATCH;
        let orphans = if is_last { self.tables.remove_orphans()? } else { 0 };
        self.tables.db.execute_batch("commit")?;
        if orphans > 0 || sweep.skipped > 0 {
            self.tables.count()?;
        }
        if is_last {
            self.tables.shrink()?;
        }
        sweep.pruned = sweep.pruned.saturating_add(pruned);
        sweep.after = places.into_iter().next_back();
        self.replies.extend(replies);
        Ok(!is_last)
    }
}
