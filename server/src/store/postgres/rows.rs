//! The rows as PostgreSQL keeps them. Whatever is read to be changed is locked first, nameplates before mailboxes.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::ops::RangeInclusive;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row, Statement, Transaction};
use wormhole_core::rng::Rng;

use crate::json::Json;
use crate::stamp::Stamp;
use crate::store::listeners::Place;
use crate::store::resting::Resting;
use crate::store::rows::Rows;
pub(super) use crate::store::rows::Totals;
use crate::store::rules::{Claim, Mailbox, Nameplate, Opening};
use crate::store::{Limits, Message};

/// The time of the database.
pub(super) const NOW: &str = "select (extract(epoch from clock_timestamp()) * 1e6)::bigint";
const NAME: &str = "select mailbox, crowded from nameplate where app = $1 and name = $2 for update";
const NAME_SIDES: &str =
    "select side, held, added from nameplate_side where app = $1 and name = $2 order by added, side";
const UPDATE_NAME: &str = "update nameplate set crowded = $3 where app = $1 and name = $2";
/// Of two that make the same nameplate or mailbox at once, one is told so by an error, and begins again.
const INSERT_NAME: &str = "insert into nameplate(app, name, mailbox, crowded) values($1, $2, $3, $4)";
const PUT_NAME_SIDE: &str = "insert into nameplate_side(app, name, side, held, added) values($1, $2, $3, $4, $5) \
    on conflict (app, name, side) do update set held = excluded.held";
const MAILBOX: &str = "select for_nameplate, crowded, touched, count, bytes from mailbox \
    where app = $1 and id = $2 for update";
const MAILBOX_SIDES: &str =
    "select side, open, added, mood from mailbox_side where app = $1 and id = $2 order by added, side";
const NAME_OF: &str = "select name from nameplate where app = $1 and mailbox = $2";
const UPDATE_MAILBOX: &str = "update mailbox set for_nameplate = $3, crowded = $4, touched = $5, count = $6, bytes = $7 \
    where app = $1 and id = $2";
const INSERT_MAILBOX: &str = "insert into mailbox(app, id, for_nameplate, crowded, touched, count, bytes) \
    values($1, $2, $3, $4, $5, $6, $7)";
const PUT_MAILBOX_SIDE: &str = "insert into mailbox_side(app, id, side, open, added, mood) values($1, $2, $3, $4, $5, $6) \
    on conflict (app, id, side) do update set open = excluded.open, mood = excluded.mood";
const MESSAGES: &str = "select seq, side, phase, body, msg_id, received from message \
    where app = $1 and id = $2 and seq > $3 order by seq";
const ADD: &str = "insert into message(app, id, seq, side, phase, body, msg_id, received) \
    values($1, $2, $3, $4, $5, $6, $7, $8)";

/// Statements that a connection has ready.
#[derive(Default)]
pub(super) struct Statements(RefCell<BTreeMap<&'static str, Statement>>);

impl Statements {
    pub(super) async fn of(&self, client: &Client, text: &'static str) -> Result<Statement, Error> {
        let known = self.0.borrow().get(text).cloned();
        match known {
            Some(statement) => Ok(statement),
            None => {
                let statement = client.prepare(text).await?;
                self.0.borrow_mut().insert(text, statement.clone());
                Ok(statement)
            }
        }
    }

    async fn within(&self, work: &Transaction<'_>, text: &'static str) -> Result<Statement, Error> {
        self.of(work.client(), text).await
    }
}

/// One transaction.
pub(super) struct Turn<'t> {
    pub(super) work: Transaction<'t>,
    pub(super) statements: &'t Statements,
    pub(super) limits: &'t Limits,
    pub(super) now: Stamp,
    pub(super) rng: Rng,
    /// What all mailboxes hold, as far as this node knows.
    pub(super) totals: &'t Cell<Totals>,
    pub(super) resting: &'t RefCell<Resting>,
    /// Rows that were found or made, and are locked. A row that was not found is made: if somebody else made it
    /// meanwhile, that fails, and changes nothing of theirs.
    pub(super) locked: BTreeSet<Key>,
}

/// The name of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Nameplate(String, String),
    Mailbox(String, String),
}

impl Turn<'_> {
    pub(super) async fn query(
        &self,
        text: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let statement = self.statements.within(&self.work, text).await?;
        self.work.query(&statement, values).await
    }

    pub(super) async fn execute(
        &self,
        text: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, Error> {
        let statement = self.statements.within(&self.work, text).await?;
        self.work.execute(&statement, values).await
    }

    fn count(&self, mailboxes: isize, bytes: isize) {
        let Totals { mailboxes: had, bytes: held } = self.totals.get();
        self.totals.set(Totals {
            mailboxes: had.saturating_add_signed(mailboxes),
            bytes: held.saturating_add_signed(bytes),
        });
    }
}

impl Rows for Turn<'_> {
    type Fault = Error;

    fn now(&self) -> Stamp {
        self.now
    }
    fn limits(&self) -> &Limits {
        self.limits
    }
    fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }
    fn resting<T>(&mut self, with: impl FnOnce(&mut Resting) -> T) -> T {
        with(&mut self.resting.borrow_mut())
    }

    async fn totals(&mut self) -> Result<Totals, Error> {
        Ok(self.totals.get())
    }
    async fn names(&mut self, app: &str) -> Result<Vec<String>, Error> {
        let names = "select name from nameplate where app = $1 order by name";
        self.query(names, &[&app.as_bytes()]).await?.iter().map(|row| text(row, 0)).collect()
    }
    async fn count_names(&mut self, app: &str) -> Result<usize, Error> {
        let most = i64::try_from(self.limits.nameplates).unwrap_or(i64::MAX);
        let count = "select count(*) from (select from nameplate where app = $1 limit $2) as few";
        let rows = self.query(count, &[&app.as_bytes(), &most]).await?;
        rows.first().map_or(Ok(0), |row| number(row, 0))
    }
    async fn names_among(&mut self, app: &str, range: RangeInclusive<u64>) -> Result<Vec<String>, Error> {
        // Whoever allocates for the application holds this until the end, so that no two choose the same.
        self.execute(
            "select pg_advisory_xact_lock(hashtextextended(encode($1, 'hex'), 0))",
            &[&app.as_bytes()],
        )
        .await?;
        let (first, last) = (range.start().to_string(), range.end().to_string());
        let names = "select name from nameplate \
             where app = $1 and name between $2 and $3 and length(name) = length($2)";
        let values: [&(dyn ToSql + Sync); 3] = [&app.as_bytes(), &first.as_bytes(), &last.as_bytes()];
        self.query(names, &values).await?.iter().map(|row| text(row, 0)).collect()
    }

    async fn nameplate(&mut self, app: &str, name: &str) -> Result<Option<Nameplate>, Error> {
        let key: [&(dyn ToSql + Sync); 2] = [&app.as_bytes(), &name.as_bytes()];
        let rows = self.query(NAME, &key).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        self.locked.insert(Key::Nameplate(app.into(), name.into()));
        // What others have changed until the lock was had is seen by a statement of its own.
        let sides = self.query(NAME_SIDES, &key).await?;
        let side =
            |row: &Row| Ok(Claim { side: text(row, 0)?, held: row.try_get(1)?, added: stamp(row, 2)? });
        Ok(Some(Nameplate {
            mailbox: text(row, 0)?,
            sides: sides.iter().map(side).collect::<Result<_, Error>>()?,
            crowded: row.try_get(1)?,
        }))
    }
    async fn put_nameplate(&mut self, app: &str, name: &str, nameplate: &Nameplate) -> Result<(), Error> {
        let is_new = self.locked.insert(Key::Nameplate(app.into(), name.into()));
        let (app, name) = (app.as_bytes(), name.as_bytes());
        let Nameplate { mailbox, sides, crowded } = nameplate;
        if is_new {
            self.execute(INSERT_NAME, &[&app, &name, &mailbox.as_bytes(), crowded]).await?;
        } else {
            self.execute(UPDATE_NAME, &[&app, &name, crowded]).await?;
        }
        for Claim { side, held, added } in sides {
            self.execute(PUT_NAME_SIDE, &[&app, &name, &side.as_bytes(), held, &micros(*added)]).await?;
        }
        Ok(())
    }
    async fn remove_nameplate(&mut self, app: &str, name: &str) -> Result<(), Error> {
        let delete = "delete from nameplate where app = $1 and name = $2";
        self.execute(delete, &[&app.as_bytes(), &name.as_bytes()]).await?;
        self.locked.remove(&Key::Nameplate(app.into(), name.into()));
        Ok(())
    }

    async fn mailbox(&mut self, app: &str, id: &str) -> Result<Option<Mailbox>, Error> {
        let key: [&(dyn ToSql + Sync); 2] = [&app.as_bytes(), &id.as_bytes()];
        let rows = self.query(MAILBOX, &key).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        self.locked.insert(Key::Mailbox(app.into(), id.into()));
        let sides = self.query(MAILBOX_SIDES, &key).await?;
        let name = self.query(NAME_OF, &key).await?;
        let side = |row: &Row| {
            let mood: Option<Vec<u8>> = row.try_get(3)?;
            let mood = mood.map(|mood| String::from_utf8_lossy(&mood).into_owned());
            Ok(Opening { side: text(row, 0)?, open: row.try_get(1)?, added: stamp(row, 2)?, mood })
        };
        Ok(Some(Mailbox {
            nameplate: name.first().map(|row| text(row, 0)).transpose()?,
            for_nameplate: row.try_get(0)?,
            sides: sides.iter().map(side).collect::<Result<_, Error>>()?,
            crowded: row.try_get(1)?,
            touched: stamp(row, 2)?,
            count: u64::try_from(row.try_get::<_, i64>(3)?).unwrap_or(0),
            bytes: number(row, 4)?,
        }))
    }
    async fn put_mailbox(&mut self, app: &str, id: &str, mailbox: &Mailbox) -> Result<(), Error> {
        let is_new = self.locked.insert(Key::Mailbox(app.into(), id.into()));
        let (app, id) = (app.as_bytes(), id.as_bytes());
        let (count, bytes) =
            (integer(mailbox.count), integer(u64::try_from(mailbox.bytes).unwrap_or(u64::MAX)));
        let touched = micros(mailbox.touched);
        let values: [&(dyn ToSql + Sync); 7] =
            [&app, &id, &mailbox.for_nameplate, &mailbox.crowded, &touched, &count, &bytes];
        if is_new {
            self.execute(INSERT_MAILBOX, &values).await?;
            self.count(1, 0);
        } else {
            self.execute(UPDATE_MAILBOX, &values).await?;
        }
        for Opening { side, open, added, mood } in &mailbox.sides {
            let mood = mood.as_ref().map(String::as_bytes);
            let values: [&(dyn ToSql + Sync); 6] =
                [&app, &id, &side.as_bytes(), open, &micros(*added), &mood];
            self.execute(PUT_MAILBOX_SIDE, &values).await?;
        }
        Ok(())
    }
    async fn remove_mailbox(&mut self, app: &str, id: &str, mailbox: &Mailbox) -> Result<(), Error> {
        let delete = "delete from mailbox where app = $1 and id = $2";
        self.locked.remove(&Key::Mailbox(app.into(), id.into()));
        if self.execute(delete, &[&app.as_bytes(), &id.as_bytes()]).await? > 0 {
            self.count(-1, isize::try_from(mailbox.bytes).map_or(isize::MIN, |bytes| -bytes));
        }
        Ok(())
    }

    async fn messages(&mut self, app: &str, id: &str) -> Result<Vec<Arc<Message>>, Error> {
        let rows = self.query(MESSAGES, &[&app.as_bytes(), &id.as_bytes(), &0_i64]).await?;
        rows.iter().map(|row| message(row).map(|(_, message)| message)).collect()
    }
    async fn add(&mut self, app: &str, id: &str, seq: u64, message: &Arc<Message>) -> Result<(), Error> {
        let Message { side, phase, body, id: msg_id, received } = &**message;
        let msg_id = msg_id.as_ref().map(|id| id.as_str().as_bytes());
        let values: [&(dyn ToSql + Sync); 8] = [
            &app.as_bytes(),
            &id.as_bytes(),
            &integer(seq),
            &side.as_bytes(),
            &phase.as_bytes(),
            &body.as_bytes(),
            &msg_id,
            &micros(*received),
        ];
        self.execute(ADD, &values).await?;
        self.count(0, isize::try_from(message.weight()).unwrap_or(isize::MAX));
        Ok(())
    }
}

/// The messages of a mailbox behind a number, outside of a transaction.
pub(super) async fn messages_after(
    client: &Client,
    statements: &Statements,
    place: &Place,
    last: u64,
) -> Result<Vec<(u64, Arc<Message>)>, Error> {
    let statement = statements.of(client, MESSAGES).await?;
    let values: [&(dyn ToSql + Sync); 3] = [&place.app.as_bytes(), &place.mailbox.as_bytes(), &integer(last)];
    client.query(&statement, &values).await?.iter().map(message).collect()
}

fn message(row: &Row) -> Result<(u64, Arc<Message>), Error> {
    let id: Option<Vec<u8>> = row.try_get(4)?;
    let message = Message {
        side: text(row, 1)?,
        phase: text(row, 2)?,
        body: text(row, 3)?,
        id: id.and_then(|id| Json::parse(&String::from_utf8_lossy(&id))),
        received: stamp(row, 5)?,
    };
    Ok((u64::try_from(row.try_get::<_, i64>(0)?).unwrap_or(0), Arc::new(message)))
}

/// Bytes that were a text of ours.
fn text(row: &Row, column: usize) -> Result<String, Error> {
    let bytes: Vec<u8> = row.try_get(column)?;
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

pub(super) fn stamp(row: &Row, column: usize) -> Result<Stamp, Error> {
    Ok(Stamp::from_micros(u64::try_from(row.try_get::<_, i64>(column)?).unwrap_or(0)))
}

fn number(row: &Row, column: usize) -> Result<usize, Error> {
    Ok(usize::try_from(row.try_get::<_, i64>(column)?).unwrap_or(0))
}

pub(super) fn micros(stamp: Stamp) -> i64 {
    integer(stamp.micros())
}

fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
