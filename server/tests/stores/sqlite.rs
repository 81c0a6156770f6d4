use std::path::Path;

use tempfile::TempDir;
use wormhole_server::Stamp;
use wormhole_server::store::{Limits, Sqlite, Synchronous};

use super::bench::Bench;
use super::bench::suite::suite;

suite!(make);

fn make(limits: Limits) -> Option<Bench> {
    let directory = TempDir::new().unwrap();
    let bench = open(&directory.path().join("channel.sqlite"), limits);
    // On Linux a file that was removed is there as long as it is open.
    Some(bench)
}

fn open(path: &Path, limits: Limits) -> Bench {
    Bench::new(Sqlite::open(path, Synchronous::Normal, [7; 32], Stamp::at(1_700_000_000.5), limits).unwrap())
}
