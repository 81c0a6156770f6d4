//! The rows as SQLite keeps them.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use rusqlite::types::Type;
use rusqlite::{Connection, Error, OptionalExtension as _, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wormhole_core::rng::Rng;

use crate::json::Json;
use crate::stamp::Stamp;
use crate::store::listeners::Place;
use crate::store::resting::Resting;
use crate::store::rows::{Rows, Totals};
use crate::store::rules::{Mailbox, Nameplate};
use crate::store::{Limits, Message};

/// The tables of an open database, and what would take long to count.
pub(super) struct Tables {
    pub(super) db: Connection,
    pub(super) limits: Limits,
    pub(super) now: Stamp,
    rng: Rng,
    resting: Resting,
    totals: Totals,
    /// How many nameplates each application has, if it has any.
    names: BTreeMap<String, usize>,
}

impl Tables {
    pub(super) fn new(db: Connection, limits: Limits, now: Stamp, rng: Rng) -> Result<Self, Error> {
        let (resting, totals) = (Resting::default(), Totals::default());
        let mut tables = Self { db, limits, now, rng, resting, totals, names: BTreeMap::new() };
        tables.count()?;
        Ok(tables)
    }

    /// Counts everything anew, as after a transaction that was undone.
    pub(super) fn count(&mut self) -> Result<(), Error> {
        let totals = |row: &Row<'_>| Ok(Totals { mailboxes: row.get(0)?, bytes: row.get(1)? });
        self.totals = self.db.query_row("select count(*), ifnull(sum(bytes), 0) from mailbox", [], totals)?;
        let mut names = self.db.prepare_cached("select app, count(*) from nameplate group by app")?;
        self.names = names.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Whether the database has nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.totals == Totals::default() && self.names.is_empty()
    }

    pub(super) fn touch(&self, place: &Place) -> Result<(), Error> {
        let touch = "update mailbox set touched = ?3 where app = ?1 and id = ?2";
        let touched = integer(self.now.micros())?;
        self.db.prepare_cached(touch)?.execute(params![place.app, place.mailbox, touched])?;
        Ok(())
    }

    /// So many of the mailboxes that have expired, from one on.
    pub(super) fn expired(&self, after: Option<&Place>, limit: usize) -> Result<Vec<Place>, Error> {
        let before = self
            .now
            .micros()
            .saturating_sub(u64::try_from(self.limits.expiry.as_micros()).unwrap_or(u64::MAX));
        let read = |row: &Row<'_>| Ok(Place { app: row.get(0)?, mailbox: row.get(1)? });
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let before = integer(before)?;
        match after {
            None => {
                let select = "select app, id from mailbox where touched < ?1 order by app, id limit ?2";
                self.db.prepare_cached(select)?.query_map(params![before, limit], read)?.collect()
            }
            Some(Place { app, mailbox }) => {
                let select = "select app, id from mailbox where touched < ?1 and (app, id) > (?3, ?4) \
                     order by app, id limit ?2";
                self.db
                    .prepare_cached(select)?
                    .query_map(params![before, limit, app, mailbox], read)?
                    .collect()
            }
        }
    }

    /// Deletes what belongs to no mailbox, which only somebody else can have put here.
    pub(super) fn remove_orphans(&self) -> Result<usize, Error> {
        let nameplates = "delete from nameplate where not exists \
             (select 1 from mailbox where mailbox.app = nameplate.app and mailbox.id = nameplate.mailbox)";
        let messages = "delete from message where not exists \
             (select 1 from mailbox where mailbox.app = message.app and mailbox.id = message.mailbox)";
        let gone = self.db.prepare_cached(nameplates)?.execute([])?;
        Ok(gone.saturating_add(self.db.prepare_cached(messages)?.execute([])?))
    }

    /// Gives some of the pages that hold nothing back to the system.
    pub(super) fn shrink(&self) -> Result<(), Error> {
        let mut vacuum = self.db.prepare_cached("pragma incremental_vacuum(10000)")?;
        // Each step frees a page.
        let mut freed = vacuum.query([])?;
        while freed.next()?.is_some() {}
        Ok(())
    }

    /// What was touched in the future, as it seems after a clock was set back, was touched now.
    pub(super) fn mend_times(&self) -> Result<(), Error> {
        let mend = "update mailbox set touched = ?1 where touched > ?1";
        self.db.prepare_cached(mend)?.execute([integer(self.now.micros())?])?;
        Ok(())
    }
}

impl Rows for Tables {
    type Fault = Error;

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

    async fn totals(&mut self) -> Result<Totals, Error> {
        Ok(self.totals)
    }
    async fn names(&mut self, app: &str) -> Result<Vec<String>, Error> {
        let mut select = self.db.prepare_cached("select name from nameplate where app = ?1 order by name")?;
        select.query_map([app], |row| row.get(0))?.collect()
    }
    async fn count_names(&mut self, app: &str) -> Result<usize, Error> {
        Ok(self.names.get(app).copied().unwrap_or(0))
    }
    async fn names_among(&mut self, app: &str, range: RangeInclusive<u64>) -> Result<Vec<String>, Error> {
        // Texts between two of the same length begin with the digits between; those of other lengths are sorted out.
        let select =
            "select name from nameplate where app = ?1 and name between ?2 and ?3 and length(name) = ?4";
        let (first, last) = (range.start().to_string(), range.end().to_string());
        let mut select = self.db.prepare_cached(select)?;
        select.query_map(params![app, first, last, first.len()], |row| row.get(0))?.collect()
    }

    async fn nameplate(&mut self, app: &str, name: &str) -> Result<Option<Nameplate>, Error> {
        let select = "select mailbox, sides, crowded from nameplate where app = ?1 and name = ?2";
        let read = |row: &Row<'_>| {
            Ok(Nameplate { mailbox: row.get(0)?, sides: sides(row, 1)?, crowded: row.get(2)? })
        };
        self.db.prepare_cached(select)?.query_row([app, name], read).optional()
    }
    async fn put_nameplate(&mut self, app: &str, name: &str, nameplate: &Nameplate) -> Result<(), Error> {
        let Nameplate { mailbox, sides, crowded } = nameplate;
        let update = "update nameplate set sides = ?3, crowded = ?4 where app = ?1 and name = ?2";
        let sides = text(sides)?;
        if self.db.prepare_cached(update)?.execute(params![app, name, sides, crowded])? == 0 {
            let insert =
                "insert into nameplate(app, name, mailbox, sides, crowded) values(?1, ?2, ?3, ?4, ?5)";
            self.db.prepare_cached(insert)?.execute(params![app, name, mailbox, sides, crowded])?;
            let count = self.names.entry(app.into()).or_default();
            *count = count.saturating_add(1);
        }
        Ok(())
    }
    async fn remove_nameplate(&mut self, app: &str, name: &str) -> Result<(), Error> {
        let delete = "delete from nameplate where app = ?1 and name = ?2";
        let gone = self.db.prepare_cached(delete)?.execute([app, name])?;
        if let Some(count) = self.names.get_mut(app) {
            *count = count.saturating_sub(gone);
            if *count == 0 {
                self.names.remove(app);
            }
        }
        Ok(())
    }

    async fn mailbox(&mut self, app: &str, id: &str) -> Result<Option<Mailbox>, Error> {
        let select = "select nameplate, for_nameplate, sides, crowded, touched, count, bytes from mailbox \
             where app = ?1 and id = ?2";
        let read = |row: &Row<'_>| {
            Ok(Mailbox {
                nameplate: row.get(0)?,
                for_nameplate: row.get(1)?,
                sides: sides(row, 2)?,
                crowded: row.get(3)?,
                touched: stamp(row, 4)?,
                count: row.get(5)?,
                bytes: row.get(6)?,
            })
        };
        self.db.prepare_cached(select)?.query_row([app, id], read).optional()
    }
    async fn put_mailbox(&mut self, app: &str, id: &str, mailbox: &Mailbox) -> Result<(), Error> {
        let Mailbox { nameplate, for_nameplate, sides, crowded, touched, count, bytes } = mailbox;
        let (sides, touched) = (text(sides)?, integer(touched.micros())?);
        let values = params![app, id, nameplate, for_nameplate, sides, crowded, touched, count, bytes];
        let update = "update mailbox set nameplate = ?3, for_nameplate = ?4, sides = ?5, crowded = ?6, touched = ?7, \
             count = ?8, bytes = ?9 where app = ?1 and id = ?2";
        if self.db.prepare_cached(update)?.execute(values)? == 0 {
            let insert = "insert into mailbox(app, id, nameplate, for_nameplate, sides, crowded, touched, count, bytes) \
                 values(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
            self.db.prepare_cached(insert)?.execute(values)?;
            self.totals.mailboxes = self.totals.mailboxes.saturating_add(1);
        }
        Ok(())
    }
    async fn remove_mailbox(&mut self, app: &str, id: &str, mailbox: &Mailbox) -> Result<(), Error> {
        let gone =
            self.db.prepare_cached("delete from mailbox where app = ?1 and id = ?2")?.execute([app, id])?;
        if mailbox.count > 0 {
            self.db
                .prepare_cached("delete from message where app = ?1 and mailbox = ?2")?
                .execute([app, id])?;
        }
        if gone > 0 {
            self.totals.mailboxes = self.totals.mailboxes.saturating_sub(gone);
            self.totals.bytes = self.totals.bytes.saturating_sub(mailbox.bytes);
        }
        Ok(())
    }

    async fn messages(&mut self, app: &str, id: &str) -> Result<Vec<Arc<Message>>, Error> {
        let select = "select side, phase, body, msg_id, received from message where app = ?1 and mailbox = ?2 order by seq";
        let read = |row: &Row<'_>| {
            let id: Option<String> = row.get(3)?;
            let received = stamp(row, 4)?;
            Ok(Arc::new(Message {
                side: row.get(0)?,
                phase: row.get(1)?,
                body: row.get(2)?,
                id: id.and_then(|id| Json::parse(&id)),
                received,
            }))
        };
        self.db.prepare_cached(select)?.query_map([app, id], read)?.collect()
    }
    async fn add(&mut self, app: &str, id: &str, seq: u64, message: &Arc<Message>) -> Result<(), Error> {
        let Message { side, phase, body, id: msg_id, received } = &**message;
        let insert = "insert into message(app, mailbox, seq, side, phase, body, msg_id, received) \
             values(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let msg_id = msg_id.as_ref().map(Json::as_str);
        let received = integer(received.micros())?;
        self.db
            .prepare_cached(insert)?
            .execute(params![app, id, seq, side, phase, body, msg_id, received])?;
        self.totals.bytes = self.totals.bytes.saturating_add(message.weight());
        Ok(())
    }
}

fn sides<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<Vec<T>, Error> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text)
        .map_err(|error| Error::FromSqlConversionFailure(column, Type::Text, error.into()))
}

fn text<T: Serialize>(sides: &[T]) -> Result<String, Error> {
    serde_json::to_string(sides).map_err(|error| Error::ToSqlConversionFailure(error.into()))
}

fn stamp(row: &Row<'_>, column: usize) -> Result<Stamp, Error> {
    Ok(Stamp::from_micros(row.get(column)?))
}

fn integer(micros: u64) -> Result<i64, Error> {
    i64::try_from(micros).map_err(|error| Error::ToSqlConversionFailure(error.into()))
}
