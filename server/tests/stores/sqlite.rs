use std::fs;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;
use wormhole_server::Stamp;
use wormhole_server::store::{Ask, Limits, Note, OpenError, Refusal, Sqlite, Synchronous};

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

#[test]
fn what_was_answered_is_there_when_it_is_opened_again() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("channel.sqlite");
    let mut bench = open(&path, Limits::default());
    let mailbox = bench.claim(1, "a", "4").unwrap();
    bench.open(1, "a", &mailbox).unwrap();
    bench.add(1, "a", &mailbox, "one").unwrap();
    drop(bench);
    let mut bench = open(&path, Limits::default());
    assert_eq!(bench.claim(1, "b", "4").unwrap(), mailbox);
    assert_eq!(bench.open(1, "b", &mailbox).unwrap(), ["one"]);
    assert_eq!(bench.claim(2, "c", "4"), Err(Refusal::Crowded));
}

#[test]
fn a_database_that_is_open_is_opened_by_nobody_else() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("channel.sqlite");
    let _bench = open(&path, Limits::default());
    assert_eq!(try_open(&path, START).unwrap_err(), OpenError::Locked);
}

#[test]
fn what_is_no_database_of_ours_is_left_alone() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("channel.sqlite");
    fs::write(&path, "not a database, but long enough to be none").unwrap();
    assert!(matches!(try_open(&path, START), Err(OpenError::Failed(_))));
    fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("create table other(x)").unwrap();
    assert_eq!(try_open(&path, START).unwrap_err(), OpenError::Foreign);
    let path = dir.path().join("newer.sqlite");
    drop(open(&path, Limits::default()));
    Connection::open(&path).unwrap().execute_batch("pragma user_version = 2").unwrap();
    assert_eq!(try_open(&path, START).unwrap_err(), OpenError::Newer(2));
    let missing = dir.path().join("no such directory").join("channel.sqlite");
    assert!(matches!(try_open(&missing, START), Err(OpenError::Failed(_))));
}

#[test]
fn a_clock_that_was_set_back_keeps_nothing_alive_and_ends_nothing_early() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("channel.sqlite");
    let mut bench = open(&path, Limits::default());
    let mailbox = bench.claim(1, "a", "4").unwrap();
    bench.open(1, "a", &mailbox).unwrap();
    bench.add(1, "a", &mailbox, "one").unwrap();
    drop(bench);
    let mut bench = Bench::new(try_open(&path, START - 86_400.0).unwrap());
    assert_eq!(bench.open(1, "b", &mailbox).unwrap(), ["one"]);
    bench.add(1, "b", &mailbox, "two").unwrap();
    assert_eq!(bench.open(2, "a", &mailbox).unwrap(), ["one", "two"]);
    bench.leave(1);
    bench.leave(2);
    bench.pass(Duration::from_secs(11 * 60));
    bench.only_prune();
    assert_eq!(bench.list(super::bench::APP), ["4"]);
    bench.pass(Duration::from_secs(1));
    bench.prune(1);
    assert_eq!(bench.list(super::bench::APP), [""; 0]);
}

#[test]
fn m102_rows_that_make_no_sense_do_not_stop_a_sweep() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("channel.sqlite");
    let mut bench = open(&path, Limits::default());
    for name in 1..=5 {
        bench.claim(name, "a", &name.to_string()).unwrap();
    }
    drop(bench);
    let damage = "update mailbox set sides = 'nonsense' where nameplate = '2';
         update nameplate set sides = '{' where name = '3';
         insert into nameplate values('x', '9', 'nowhere', '[]', 0);
         insert into message values('x', 'nowhere', 1, 's', 'p', 'b', null, 0);";
    Connection::open(&path).unwrap().execute_batch(damage).unwrap();
    let mut bench = open(&path, Limits::default());
    bench.pass(Duration::from_secs(12 * 60));
    bench.prune(3);
    let skipped = |bench: &mut Bench| {
        bench.notes.iter().find_map(|note| match note {
            Note::Skipped(count, why) => Some((*count, why.clone())),
            Note::Failing(_) | Note::Recovered | Note::Pruned(_) => None,
        })
    };
    let (count, why) = bench.until(skipped);
    assert_eq!(count, 2, "{why}");
    assert_eq!(bench.list(super::bench::APP), ["2", "3"]);
    assert_eq!(bench.list("x"), [""; 0]);
}

#[test]
fn m108_a_flood_of_applications_leaves_nothing_behind() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("channel.sqlite");
    let mut bench = open(&path, Limits::default());
    for app in 0..3000 {
        bench.start(app, &format!("{app}{}", "x".repeat(200)), "a", Ask::Allocate);
    }
    for app in 0..3000 {
        bench.answer(app).unwrap();
    }
    bench.pass(Duration::from_secs(12 * 60));
    bench.prune(3000);
    drop(bench);
    assert!(fs::metadata(&path).unwrap().len() < 200_000, "{}", fs::metadata(&path).unwrap().len());
    let db = Connection::open(&path).unwrap();
    let left: i64 = db
        .query_row("select (select count(*) from mailbox) + (select count(*) from nameplate)", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(left, 0);
}

const START: f64 = 1_700_000_000.5;

fn try_open(path: &Path, started: f64) -> Result<Sqlite, OpenError> {
    Sqlite::open(path, Synchronous::Full, [7; 32], Stamp::at(started), Limits::default())
}
