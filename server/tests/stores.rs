//! Every store passes one suite, and what only some of them can do is tested beside it.
#![cfg(test)]

#[expect(clippy::disallowed_methods, reason = "a store on a thread of its own answers when it can")]
mod bench;

mod memory {
    use wormhole_server::Stamp;
    use wormhole_server::store::{Limits, Memory};

    use super::bench::Bench;
    use super::bench::suite::suite;

    suite!(make);

    #[expect(clippy::unnecessary_wraps, reason = "other stores may be missing")]
    fn make(limits: Limits) -> Option<Bench> {
        Some(Bench::new(Memory::with([7; 32], Stamp::at(1_700_000_000.5), limits)))
    }
}

#[cfg(feature = "sqlite")]
#[path = "stores/import.rs"]
mod import;
#[cfg(feature = "sqlite")]
#[path = "stores/ledger.rs"]
mod ledger;
#[cfg(feature = "sqlite")]
#[path = "stores/sqlite.rs"]
mod sqlite;

#[cfg(feature = "postgres")]
#[expect(clippy::disallowed_methods, reason = "another program starts when it can")]
#[path = "stores/database.rs"]
mod database;
#[cfg(feature = "postgres")]
#[expect(clippy::disallowed_methods, reason = "time is the database's")]
#[path = "stores/postgres.rs"]
mod postgres;
