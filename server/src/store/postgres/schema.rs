//! The tables in PostgreSQL.

use alloc::string::{String, ToString};
use core::fmt;

use tokio_postgres::{Client, Error};

/// The version of the tables below.
const VERSION: i32 = 1;
/// Whoever makes the tables holds this lock, so that several nodes may begin at once.
const LOCK: i64 = 0x776f_726d_686f_6c65;

/// Names of clients are bytes, since a text of PostgreSQL holds no NUL. Times are microseconds of Unix time, and always
/// the database's.
const TABLES: &str = "\
create table mailbox(
    app bytea, id bytea, touched bigint not null, for_nameplate bool not null, crowded bool not null,
    count bigint not null, bytes bigint not null, primary key(app, id));
create index on mailbox(touched);
create table mailbox_side(
    app bytea, id bytea, side bytea, open bool not null, added bigint not null, mood bytea,
    primary key(app, id, side), foreign key(app, id) references mailbox on delete cascade);
create table message(
    app bytea, id bytea, seq bigint, side bytea not null, phase bytea not null, body bytea not null, msg_id bytea,
    received bigint not null,
    primary key(app, id, seq), foreign key(app, id) references mailbox on delete cascade);
create table nameplate(
    app bytea, name bytea, mailbox bytea not null, crowded bool not null,
    primary key(app, name), unique(app, mailbox),
    foreign key(app, mailbox) references mailbox(app, id) on delete cascade);
create table nameplate_side(
    app bytea, name bytea, side bytea, held bool not null, added bigint not null,
    primary key(app, name, side), foreign key(app, name) references nameplate on delete cascade);
create table node(id int generated always as identity primary key, beat bigint not null);
create table listener(
    app bytea, id bytea, node int references node on delete cascade,
    primary key(app, id, node), foreign key(app, id) references mailbox on delete cascade);
create index on listener(node);
create table version(version int not null);
";

/// Why a database cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenPostgresError {
    /// The URL is none.
    Url(String),
    /// It was made by a later version of this program.
    Newer(i32),
    /// It cannot be reached, or does not let us in.
    Failed(String),
}

impl fmt::Display for OpenPostgresError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(why) => write!(f, "the URL of the database is not sound: {why}"),
            Self::Newer(version) => write!(
                f,
                "the tables have version {version}, and this program knows no later than {VERSION}: update it"
            ),
            Self::Failed(why) => write!(f, "the database cannot be used: {why}"),
        }
    }
}

impl core::error::Error for OpenPostgresError {}

impl From<Error> for OpenPostgresError {
    fn from(error: Error) -> Self {
        Self::Failed(reason(&error))
    }
}

/// What is wrong, with the cause, which the error itself does not say.
pub(super) fn reason(error: &Error) -> String {
    match (error.as_db_error(), core::error::Error::source(error)) {
        (Some(db), _) => db.message().into(),
        (None, Some(source)) => alloc::format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}

/// Makes sure that the tables are there.
pub(super) async fn prepare(client: &mut Client) -> Result<(), OpenPostgresError> {
    let work = client.transaction().await?;
    work.execute("select pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    work.batch_execute("create schema if not exists wormhole; set local search_path to wormhole").await?;
    let made: bool =
        work.query_one("select to_regclass('wormhole.version') is not null", &[]).await?.try_get(0)?;
    if made {
        let version: i32 = work.query_one("select version from version", &[]).await?.try_get(0)?;
        if version != VERSION {
            return Err(OpenPostgresError::Newer(version));
        }
    } else {
        work.batch_execute(TABLES).await?;
        work.execute("insert into version values($1)", &[&VERSION]).await?;
    }
    work.commit().await?;
    Ok(())
}
