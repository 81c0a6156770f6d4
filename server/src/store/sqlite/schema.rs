//! The tables of the channel database, and how a file becomes one.

use alloc::string::{String, ToString};
use core::fmt;

use rusqlite::{Connection, ErrorCode, OptionalExtension as _};

/// Marks a file as ours: "worm" in ASCII.
const APPLICATION: i64 = 0x776f_726d;
/// The version of the tables below.
const VERSION: i64 = 1;

/// Times are microseconds of Unix time; sides are JSON, since they are read and written with what they belong to.
const TABLES: &str = "\
create table mailbox(
    app text not null, id text not null, nameplate text, for_nameplate integer not null, sides text not null,
    crowded integer not null, touched integer not null, count integer not null, bytes integer not null,
    primary key(app, id)) without rowid, strict;
create table nameplate(
    app text not null, name text not null, mailbox text not null, sides text not null, crowded integer not null,
    primary key(app, name)) without rowid, strict;
create table message(
    app text not null, mailbox text not null, seq integer not null, side text not null, phase text not null,
    body text not null, msg_id text, received integer not null,
    primary key(app, mailbox, seq)) without rowid, strict;
";

/// Why a database cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// Another process has it open.
    Locked,
    /// It is the channel database of Python's server.
    Python,
    /// It is some other database.
    Foreign,
    /// It was written by a later version of this program.
    Newer(i64),
    /// The system or the file says no.
    Failed(String),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked => f.write_str("the database is in use by another process: stop that first"),
            Self::Python => f.write_str(
                "the database is one of Python's server: take it over with `wormhole-server import` into a new file",
            ),
            Self::Foreign => f.write_str("the file is a database, but none of this program: choose another file"),
            Self::Newer(version) => {
                write!(f, "the database has version {version}, and this program knows no later than {VERSION}: update it")
            }
            Self::Failed(why) => write!(f, "the database cannot be opened: {why}"),
        }
    }
}

impl core::error::Error for OpenError {}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked,
            Some(_) | None => Self::Failed(error.to_string()),
        }
    }
}

/// Makes sure that the tables are there, and that they are ours.
pub(super) fn prepare(db: &Connection) -> Result<(), OpenError> {
    let application: i64 = db.query_row("pragma application_id", [], |row| row.get(0))?;
    let version: i64 = db.query_row("pragma user_version", [], |row| row.get(0))?;
    let table: Option<String> = db
        .query_row(
            "select name from sqlite_schema where type = 'table' order by name = 'nameplate_sides' desc",
            [],
            |row| row.get(0),
        )
        .optional()?;
    match (application, table.as_deref()) {
        (APPLICATION, _) if version == VERSION => Ok(()),
        (APPLICATION, _) => Err(OpenError::Newer(version)),
        (0, None) => {
            let make = alloc::format!(
                "begin immediate; {TABLES} pragma application_id = {APPLICATION}; pragma user_version = {VERSION}; commit;"
            );
            db.execute_batch(&make).map_err(Into::into)
        }
        (_, Some("nameplate_sides")) => Err(OpenError::Python),
        (_, _) => Err(OpenError::Foreign),
    }
}
