//! Taking over what Python's servers have kept.
//!
//! Both run on new files only, so that nothing is ever taken over twice. Python's files are only read.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row};

use crate::json::Json;
use crate::limits;
use crate::stamp::Stamp;
use crate::store::{Message, OpenError, Taken};
use crate::usage::{self, Part};

/// The versions of Python's channel database that are known.
const CHANNEL_VERSIONS: [i64; 2] = [1, 2];

/// Why nothing was taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportError {
    /// The file is no database of Python's server.
    Foreign,
    /// It has a version that this program does not know.
    Version(i64),
    /// There is something already where it should go.
    NotEmpty,
    /// The database to write cannot be used.
    Open(OpenError),
    /// The system or a file says no.
    Failed(String),
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("the file to import is no database of Python's server"),
            Self::Version(version) => {
                write!(f, "the file to import has version {version}, which this program does not know")
            }
            Self::NotEmpty => f.write_str(
                "there is something in the database already: import into a new file, and once only",
            ),
            Self::Open(error) => write!(f, "{error}"),
            Self::Failed(why) => write!(f, "the import has failed, and nothing was changed: {why}"),
        }
    }
}

impl core::error::Error for ImportError {}

impl From<rusqlite::Error> for ImportError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<OpenError> for ImportError {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

/// What was taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Nameplates.
    pub nameplates: usize,
    /// Mailboxes.
    pub mailboxes: usize,
    /// Messages.
    pub messages: usize,
    /// Rows that make no sense, and were left behind.
    pub skipped: usize,
}

/// Takes a channel database of Python's mailbox server over into a new one of ours. The other server must have ended.
///
/// # Errors
///
/// The files are not what they should be, or there is something in ours already. Then nothing is changed.
pub fn channel(from: &Path, to: &Path, now: Stamp) -> Result<Imported, ImportError> {
    let from = read_only(from)?;
    let version = version(&from)?;
    if from.prepare("select 1 from nameplate_sides").is_err() {
        return Err(ImportError::Foreign);
    }
    if !CHANNEL_VERSIONS.contains(&version) {
        return Err(ImportError::Version(version));
    }
    let mut taken = Taken::begin(to, now)?;
    if !taken.is_empty()? {
        return Err(ImportError::NotEmpty);
    }
    let mut imported = Imported::default();
    mailboxes(&from, &mut taken, &mut imported)?;
    nameplates(&from, &mut taken, &mut imported)?;
    messages(&from, &mut taken, &mut imported)?;
    taken.finish()?;
    Ok(imported)
}

/// Takes a usage database of one of Python's servers over into a new file, and brings it to the version that ours writes.
///
/// # Errors
///
/// The file is no usage database of that server, or there is a file already where it should go.
pub fn usage(from: &Path, to: &Path, part: Part) -> Result<(), ImportError> {
    if to.exists() {
        return Err(ImportError::NotEmpty);
    }
    let from = read_only(from)?;
    version(&from)?;
    let Some(name) = to.to_str() else {
        return Err(ImportError::Failed("the name of the new file must be UTF-8".into()));
    };
    from.execute("vacuum into ?1", [name])?;
    let prepared = Connection::open(to).map_err(OpenError::from).and_then(|db| usage::prepare(&db, part));
    if let Err(error) = prepared {
        // It was made just now.
        let _ = std::fs::remove_file(to);
        return Err(error.into());
    }
    Ok(())
}

fn read_only(path: &Path) -> Result<Connection, ImportError> {
    Ok(Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?)
}

fn version(from: &Connection) -> Result<i64, ImportError> {
    let version = from.query_row("select version from version", [], |row| row.get(0)).optional();
    version.ok().flatten().ok_or(ImportError::Foreign)
}

fn mailboxes(from: &Connection, taken: &mut Taken, imported: &mut Imported) -> Result<(), ImportError> {
    let mut sides = from.prepare(
        "select side, opened, added, mood from mailbox_sides where mailbox_id = ?1 order by added, rowid",
    )?;
    let mut select = from.prepare("select app_id, id, updated, for_nameplate from mailboxes")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (Some(app), Some(id)) = (name(row, 0), name(row, 1)) else {
            imported.skipped = imported.skipped.saturating_add(1);
            continue;
        };
        let mut opened = Vec::new();
        let mut openings = sides.query([&id])?;
        while let Some(side) = openings.next()? {
            match name(side, 0) {
                Some(name) => opened.push((name, is_true(side, 1), stamp(side, 2), text(side, 3))),
                None => imported.skipped = imported.skipped.saturating_add(1),
            }
        }
        taken.mailbox(&app, &id, stamp(row, 2), is_true(row, 3), opened)?;
        imported.mailboxes = imported.mailboxes.saturating_add(1);
    }
    Ok(())
}

fn nameplates(from: &Connection, taken: &mut Taken, imported: &mut Imported) -> Result<(), ImportError> {
    let mut sides = from.prepare(
        "select side, claimed, added from nameplate_sides where nameplates_id = ?1 order by added, rowid",
    )?;
    let mut select = from.prepare("select app_id, name, mailbox_id, id from nameplates order by id")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let found = (name(row, 0), name(row, 1).filter(|name| is_nameplate(name)), name(row, 2));
        let (Some(app), Some(nameplate), Some(mailbox)) = found else {
            imported.skipped = imported.skipped.saturating_add(1);
            continue;
        };
        let mut claims = Vec::new();
        let number: i64 = row.get(3)?;
        let mut claimed = sides.query([number])?;
        while let Some(side) = claimed.next()? {
            match name(side, 0) {
                Some(name) => claims.push((name, is_true(side, 1), stamp(side, 2))),
                None => imported.skipped = imported.skipped.saturating_add(1),
            }
        }
        // Of two with one name, which Python's tables allow, the first counts; one without its mailbox is none.
        if taken.nameplate(&app, &nameplate, &mailbox, claims)? {
            imported.nameplates = imported.nameplates.saturating_add(1);
        } else {
            imported.skipped = imported.skipped.saturating_add(1);
        }
    }
    Ok(())
}

fn messages(from: &Connection, taken: &mut Taken, imported: &mut Imported) -> Result<(), ImportError> {
    let mut select = from.prepare(
        "select app_id, mailbox_id, side, phase, body, server_rx, msg_id from messages order by server_rx, rowid",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let found = (name(row, 0), name(row, 1), name(row, 2), name(row, 3), text(row, 4));
        let (Some(app), Some(id), Some(side), Some(phase), Some(body)) = found else {
            imported.skipped = imported.skipped.saturating_add(1);
            continue;
        };
        let id_of_command =
            text(row, 6).and_then(|id| serde_json::to_string(&id).ok()).and_then(|id| Json::parse(&id));
        let message = Arc::new(Message { side, phase, body, id: id_of_command, received: stamp(row, 5) });
        if taken.message(&app, &id, &message)? {
            imported.messages = imported.messages.saturating_add(1);
        } else {
            imported.skipped = imported.skipped.saturating_add(1);
        }
    }
    Ok(())
}

/// A column as text, also where Python's server has put a number there.
fn text(row: &Row<'_>, column: usize) -> Option<String> {
    match row.get_ref(column).ok()? {
        ValueRef::Text(text) => core::str::from_utf8(text).ok().map(Into::into),
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Null | ValueRef::Blob(_) => None,
    }
}

/// A name of bounded length.
fn name(row: &Row<'_>, column: usize) -> Option<String> {
    text(row, column).filter(|name| name.len() <= limits::NAME_BYTES)
}

fn is_nameplate(name: &str) -> bool {
    (1..=limits::NAMEPLATE_DIGITS).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_true(row: &Row<'_>, column: usize) -> bool {
    row.get::<_, Option<bool>>(column).ok().flatten().unwrap_or(false)
}

fn stamp(row: &Row<'_>, column: usize) -> Stamp {
    row.get::<_, Option<f64>>(column).ok().flatten().map_or_else(Stamp::default, Stamp::at)
}
