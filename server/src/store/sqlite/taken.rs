//! A new database that takes over what another program has kept.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use std::path::Path;

use rusqlite::Error;
use wormhole_core::rng::Rng;

use super::rows::Tables;
use super::{OpenError, Synchronous, connect};
use crate::limits;
use crate::stamp::Stamp;
use crate::store::rows::{Rows, at_once};
use crate::store::rules::{Claim, Mailbox, Nameplate, Opening};
use crate::store::{Limits, Message};

/// The database while it is filled: everything or nothing.
pub(crate) struct Taken {
    tables: Tables,
}

impl Taken {
    pub(crate) fn begin(path: &Path, now: Stamp) -> Result<Self, OpenError> {
        let db = connect(path, Synchronous::Full)?;
        // Nothing is drawn here.
        let tables = Tables::new(db, Limits::default(), now, Rng::new([0; 32]))?;
        tables.db.execute_batch("begin immediate")?;
        Ok(Self { tables })
    }

    pub(crate) fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.tables.is_empty())
    }

    /// Sides beyond the first two were refused, there as here.
    pub(crate) fn mailbox(
        &mut self,
        app: &str,
        id: &str,
        touched: Stamp,
        for_nameplate: bool,
        mut sides: Vec<(String, bool, Stamp, Option<String>)>,
    ) -> Result<(), Error> {
        let crowded = sides.len() > limits::MAILBOX_SIDES;
        sides.truncate(limits::MAILBOX_SIDES);
        let opening = |(side, open, added, mood)| Opening { side, open, added, mood };
        let sides = sides.into_iter().map(opening).collect();
        // A clock that was ahead must not keep it for ever.
        let touched = touched.min(self.tables.now);
        let mailbox = Mailbox { for_nameplate, sides, crowded, ..Mailbox::new(touched) };
        at_once(self.tables.put_mailbox(app, id, &mailbox)).unwrap_or(Ok(()))
    }

    /// Says whether there was a mailbox for it, and no other nameplate of that name.
    pub(crate) fn nameplate(
        &mut self,
        app: &str,
        name: &str,
        mailbox: &str,
        mut sides: Vec<(String, bool, Stamp)>,
    ) -> Result<bool, Error> {
        if at_once(self.tables.nameplate(app, name)).transpose()?.flatten().is_some() {
            return Ok(false);
        }
        let Some(mut room) = at_once(self.tables.mailbox(app, mailbox)).transpose()?.flatten() else {
            return Ok(false);
        };
        room.nameplate = Some(name.into());
        at_once(self.tables.put_mailbox(app, mailbox, &room)).transpose()?;
        let crowded = sides.len() > limits::MAILBOX_SIDES;
        sides.truncate(limits::MAILBOX_SIDES);
        let sides = sides.into_iter().map(|(side, held, added)| Claim { side, held, added }).collect();
        let nameplate = Nameplate { sides, crowded, ..Nameplate::new(mailbox.into()) };
        at_once(self.tables.put_nameplate(app, name, &nameplate)).transpose()?;
        Ok(true)
    }

    /// Says whether there was a mailbox for it. Messages are given in their order.
    pub(crate) fn message(&mut self, app: &str, id: &str, message: &Arc<Message>) -> Result<bool, Error> {
        let Some(mut room) = at_once(self.tables.mailbox(app, id)).transpose()?.flatten() else {
            return Ok(false);
        };
        let touched = room.touched;
        let seq = room.add(message, touched);
        at_once(self.tables.put_mailbox(app, id, &room)).transpose()?;
        at_once(self.tables.add(app, id, seq, message)).transpose()?;
        Ok(true)
    }

    pub(crate) fn finish(self) -> Result<(), Error> {
        self.tables.db.execute_batch("commit")
    }
}
