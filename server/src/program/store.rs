//! Where the mailbox server keeps what its clients share.

use std::path::PathBuf;
use std::str::FromStr;
use std::task::{Context, Poll};

use wormhole_core::driver::Instant;
use wormhole_core::rng::Seed;
use wormhole_server::Stamp;
#[cfg(feature = "postgres")]
use wormhole_server::store::Postgres;
use wormhole_server::store::{Limits, Memory, Reply, Request, Sqlite, Store, Synchronous};

/// Which store is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Memory,
    File(PathBuf),
    #[cfg(feature = "postgres")]
    Postgres(String),
}

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "" => Err("it must be a path, or :memory:"),
            ":memory:" | "memory" => Ok(Self::Memory),
            url if url.starts_with("postgres://") || url.starts_with("postgresql://") => postgres(url),
            path => Ok(Self::File(path.strip_prefix("sqlite:").unwrap_or(path).into())),
        }
    }
}

#[cfg(feature = "postgres")]
fn postgres(url: &str) -> Result<Place, &'static str> {
    Ok(Place::Postgres(url.into()))
}

#[cfg(not(feature = "postgres"))]
const fn postgres(_: &str) -> Result<Place, &'static str> {
    Err("this program was built without PostgreSQL")
}

/// How safe a commit is, as the configuration says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Safety(Synchronous);

impl FromStr for Safety {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "full" => Ok(Self(Synchronous::Full)),
            "normal" => Ok(Self(Synchronous::Normal)),
            _ => Err("it is neither full nor normal"),
        }
    }
}

/// The store that was asked for.
#[derive(Debug)]
pub(crate) enum Kept {
    Memory(Box<Memory>),
    Sqlite(Sqlite),
    #[cfg(feature = "postgres")]
    Postgres(Postgres),
}

impl Kept {
    /// Opens it.
    pub(crate) fn open(
        place: &Place,
        Safety(synchronous): Safety,
        seed: Seed,
        started: Stamp,
        limits: Limits,
    ) -> Result<Self, String> {
        match place {
            Place::Memory => Ok(Self::Memory(Box::new(Memory::with(seed, started, limits)))),
            Place::File(path) => Sqlite::open(path, synchronous, seed, started, limits)
                .map(Self::Sqlite)
                .map_err(|error| error.to_string()),
            #[cfg(feature = "postgres")]
            Place::Postgres(url) => {
                Postgres::open(url, seed, limits).map(Self::Postgres).map_err(|error| error.to_string())
            }
        }
    }
}

impl Store for Kept {
    fn start(&mut self, request: Request, now: Instant) {
        match self {
            Self::Memory(store) => store.start(request, now),
            Self::Sqlite(store) => store.start(request, now),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.start(request, now),
        }
    }

    fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Reply> {
        match self {
            Self::Memory(store) => store.poll_reply(cx),
            Self::Sqlite(store) => store.poll_reply(cx),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.poll_reply(cx),
        }
    }
}
