//! The usage database: one row for everything that has ended, in the tables of Python's servers, so that what reads
//! those reads these.
//!
//! A thread of its own writes. Nobody waits for it: what comes while its queue is full is dropped, and counted.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Span, Usage};
use crate::limits;
use crate::stamp::Stamp;
use crate::store::OpenError;

/// Whose statistics a database holds. Each server has one of its own, as their tables have the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The mailbox server's.
    Mailbox,
    /// The relay's.
    Relay,
}

/// How many are there at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Current {
    /// Connections; of a relay, only those of pairs.
    pub connected: u64,
    /// Tokens under which connections wait for their partner.
    pub waiting: u64,
    /// Bytes that pairs have carried which are still there.
    pub incomplete_bytes: u64,
}

/// A usage database.
#[derive(Debug)]
pub struct Ledger {
    queue: Option<SyncSender<Usage>>,
    dropped: Arc<AtomicU64>,
    writer: Option<JoinHandle<()>>,
}

/// How a database is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Moments are rounded down to a multiple of so many seconds; none where it is zero.
    pub blur: u64,
    /// How often it is told how things are.
    pub every: Duration,
}

impl Default for Manner {
    fn default() -> Self {
        Self { blur: 0, every: limits::LEDGER_EVERY }
    }
}

impl Ledger {
    /// Opens a database, which is made if there is none.
    ///
    /// `look` says what time it is and how many are there.
    ///
    /// # Errors
    ///
    /// The file cannot be used, or is no usage database of this server.
    pub fn open(
        path: &Path,
        part: Part,
        Manner { blur, every }: Manner,
        look: impl Fn() -> (Stamp, Current) + Send + 'static,
    ) -> Result<Self, OpenError> {
        let db = Connection::open(path)?;
        db.busy_timeout(limits::LEDGER_BUSY)?;
        prepare(&db, part)?;
        let (queue, entries) = sync_channel(limits::LEDGER_QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let rebooted = look().0;
        let blur = Some(blur).filter(|blur| *blur > 0);
        let mut writer = Writer { db, part, blur, every, rebooted, dropped: Arc::clone(&dropped) };
        let run = move || writer.run(&entries, look);
        let spawned = thread::Builder::new().name("usage".into()).spawn(run);
        let writer = Some(spawned.map_err(|error| OpenError::Failed(error.to_string()))?);
        Ok(Self { queue: Some(queue), dropped, writer })
    }

    /// Takes something down, or drops it where too much waits already.
    pub fn note(&self, usage: Usage) {
        let taken = self.queue.as_ref().is_some_and(|queue| queue.try_send(usage).is_ok());
        if !taken {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many rows were lost, because the disk was too slow or full.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Ledger {
    /// Waits until everything is written.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            // Its end is what matters, not how it came.
            let _ = writer.join();
        }
    }
}

/// Makes the tables, or those that an earlier version lacks.
pub(crate) fn prepare(db: &Connection, part: Part) -> Result<(), OpenError> {
    let known: Option<i64> =
        db.query_row("select 1 from sqlite_schema where type = 'table'", [], |row| row.get(0)).optional()?;
    if known.is_none() {
        return make(db, part);
    }
    let version: Option<i64> =
        db.query_row("select version from version", [], |row| row.get(0)).optional().unwrap_or(None);
    let own = match part {
        Part::Mailbox => "nameplates",
        Part::Relay => "usage",
    };
    let is_ours = db.prepare(&alloc::format!("select result from {own}")).is_ok();
    let is_channel = db.prepare("select 1 from nameplate_sides").is_ok();
    match (part, version) {
        _ if is_channel => Err(OpenError::Python),
        _ if !is_ours => Err(OpenError::Foreign),
        (Part::Mailbox, Some(2)) | (Part::Relay, Some(1)) => Ok(()),
        (Part::Mailbox, Some(1)) => {
            let upgrade = alloc::format!("begin; {CLIENTS} update version set version = 2; commit;");
            db.execute_batch(&upgrade).map_err(Into::into)
        }
        (_, Some(version)) => Err(OpenError::Newer(version)),
        (_, None) => Err(OpenError::Foreign),
    }
}

const CLIENTS: &str = "\
create table client_versions(
    app_id varchar, side varchar, connect_time integer, implementation varchar, version varchar);
create index client_versions_time_idx on client_versions(connect_time);
create index client_versions_appid_time_idx on client_versions(app_id, connect_time);
";

fn make(db: &Connection, part: Part) -> Result<(), OpenError> {
    let tables = match part {
        Part::Mailbox => alloc::format!(
            "create table current(
                rebooted integer, updated integer, blur_time integer, connections_websocket integer);
             create table nameplates(
                app_id varchar, started integer, waiting_time integer, total_time integer, result varchar);
             create index nameplates_idx on nameplates(app_id, started);
             create table mailboxes(
                app_id varchar, for_nameplate boolean, started integer, total_time integer, waiting_time integer,
                result varchar);
             create index mailboxes_idx on mailboxes(app_id, started);
             create index mailboxes_result_idx on mailboxes(result);
             {CLIENTS} insert into version values(2);"
        ),
        Part::Relay => "create table current(
                rebooted integer, updated integer, connected integer, waiting integer, incomplete_bytes integer);
             create table usage(
                started integer, total_time integer, waiting_time integer, total_bytes integer, result varchar);
             create index usage_started_index on usage(started);
             create index usage_result_index on usage(result);
             insert into version values(1);"
            .into(),
    };
    db.execute_batch(&alloc::format!("begin; create table version(version integer); {tables} commit;"))
        .map_err(Into::into)
}

struct Writer {
    db: Connection,
    part: Part,
    blur: Option<u64>,
    every: Duration,
    rebooted: Stamp,
    dropped: Arc<AtomicU64>,
}

impl Writer {
    fn run(&mut self, entries: &Receiver<Usage>, look: impl Fn() -> (Stamp, Current)) {
        let mut shown = self.show(look());
        loop {
            match entries.recv_timeout(self.every) {
                Ok(first) => {
                    let mut batch = Vec::from([first]);
                    batch.extend(entries.try_iter().take(limits::STORE_BATCH));
                    self.write(&batch);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let (now, current) = look();
            if now.saturating_since(shown) >= self.every {
                shown = self.show((now, current));
            }
        }
    }

    /// All of them, or none, which is counted.
    fn write(&mut self, batch: &[Usage]) {
        let written = self.db.execute_batch("begin immediate").and_then(|()| {
            batch.iter().try_for_each(|usage| self.insert(usage))?;
            self.db.execute_batch("commit")
        });
        if written.is_err() {
            if !self.db.is_autocommit() {
                // What is wrong with the disk shows again with the next rows.
                let _ = self.db.execute_batch("rollback");
            }
            self.dropped.fetch_add(u64::try_from(batch.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    fn insert(&self, usage: &Usage) -> rusqlite::Result<()> {
        match usage {
            Usage::Client { app, side, at, implementation, version } => self
                .db
                .prepare_cached("insert into client_versions values(?1, ?2, ?3, ?4, ?5)")?
                .execute(params![app, side, self.moment(*at), implementation, version]),
            Usage::Nameplate { app, span, result } => {
                let (started, waiting, total) = self.times(span);
                let insert = "insert into nameplates(app_id, started, waiting_time, total_time, result) \
                     values(?1, ?2, ?3, ?4, ?5)";
                let values = params![app, started, waiting, total, result.as_str()];
                self.db.prepare_cached(insert)?.execute(values)
            }
            Usage::Mailbox { app, for_nameplate, span, result } => {
                let (started, waiting, total) = self.times(span);
                let insert = "insert into mailboxes(app_id, started, waiting_time, total_time, result, for_nameplate) \
                     values(?1, ?2, ?3, ?4, ?5, ?6)";
                let values = params![app, started, waiting, total, result.as_str(), for_nameplate];
                self.db.prepare_cached(insert)?.execute(values)
            }
            Usage::Transit { span, bytes, mood } => {
                let (started, waiting, total) = self.times(span);
                let insert = "insert into usage(started, waiting_time, total_time, total_bytes, result) \
                     values(?1, ?2, ?3, ?4, ?5)";
                let bytes = if self.blur.is_some() { blurred(*bytes) } else { *bytes };
                let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
                self.db.prepare_cached(insert)?.execute(params![started, waiting, total, bytes, mood.as_str()])
            }
        }
        .map(|_| ())
    }

    /// Rewrites the one row that says how things are. Failing is no matter: it is tried again.
    fn show(&self, (now, current): (Stamp, Current)) -> Stamp {
        let Current { connected, waiting, incomplete_bytes } = current;
        let count = |count| i64::try_from(count).unwrap_or(i64::MAX);
        let (rebooted, updated) = (self.rebooted.seconds(), now.seconds());
        let row = match self.part {
            Part::Mailbox => {
                let blur = self.blur.map(count);
                self.db.prepare_cached("insert into current values(?1, ?2, ?3, ?4)").and_then(|mut insert| {
                    self.db.execute_batch("begin immediate; delete from current")?;
                    insert.execute(params![rebooted, updated, blur, count(connected)])
                })
            }
            Part::Relay => self.db.prepare_cached("insert into current values(?1, ?2, ?3, ?4, ?5)").and_then(
                |mut insert| {
                    self.db.execute_batch("begin immediate; delete from current")?;
                    insert.execute(params![
                        rebooted.floor(),
                        updated.floor(),
                        count(connected),
                        count(waiting),
                        count(incomplete_bytes)
                    ])
                },
            ),
        };
        let end = if row.is_ok() { "commit" } else { "rollback" };
        if !self.db.is_autocommit() {
            let _ = self.db.execute_batch(end);
        }
        now
    }

    /// A moment, rounded as the operator wants it.
    fn moment(&self, at: Stamp) -> f64 {
        match self.blur {
            Some(blur) => {
                let blur = Duration::from_secs(blur).as_secs_f64();
                (at.seconds() / blur).floor() * blur
            }
            None => at.seconds(),
        }
    }

    fn times(&self, span: &Span) -> (f64, Option<f64>, f64) {
        let waiting = span.waiting.map(|waiting| waiting.as_secs_f64());
        (self.moment(span.started), waiting, span.total.as_secs_f64())
    }
}

/// A number of bytes that says little about what was sent, rounded up.
pub const fn blurred(bytes: u64) -> u64 {
    let step = match bytes {
        0..1_000_000 => 10_000,
        1_000_000..1_000_000_000 => 1_000_000,
        _ => 100_000_000,
    };
    bytes.div_ceil(step).saturating_mul(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r37_bytes_are_blurred_upwards() {
        let cases = [
            (0, 0),
            (1, 10_000),
            (10_000, 10_000),
            (10_001, 20_000),
            (1_000_001, 2_000_000),
            (1_000_000_001, 1_100_000_000),
        ];
        for (bytes, shown) in cases {
            assert_eq!(blurred(bytes), shown, "{bytes}");
        }
    }
}
