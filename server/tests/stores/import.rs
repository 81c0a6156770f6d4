//! A database of Python's server, version 1 and 2, goes over into one of ours.

use std::path::Path;

use rusqlite::Connection;
use tempfile::TempDir;
use wormhole_server::Stamp;
use wormhole_server::import::{self, ImportError, Imported};
use wormhole_server::store::{Limits, OpenError, Refusal, Sqlite, Synchronous};
use wormhole_server::usage::Part;

use super::bench::Bench;

const NOW: f64 = 1_700_000_100.0;

/// The tables of version 1, as Python's server makes them.
const CHANNEL: &str = "
create table version(version integer);
create table nameplates(id integer primary key autoincrement, app_id varchar, name varchar, mailbox_id varchar references mailboxes(id), request_id varchar);
create table nameplate_sides(nameplates_id references nameplates(id), claimed boolean, side varchar, added integer);
create table mailboxes(app_id varchar, id varchar primary key, updated integer, for_nameplate boolean);
create table mailbox_sides(mailbox_id references mailboxes(id), opened boolean, side varchar, added integer, mood varchar);
create table messages(app_id varchar, mailbox_id varchar, side varchar, phase varchar, body varchar, server_rx integer, msg_id varchar);
insert into version values(1);
insert into mailboxes values('test.example/app', 'm4', 1700000050.5, 1), ('test.example/app', 'alone', 1700000099, 0);
insert into mailbox_sides values('m4', 1, 'a', 1700000000.5, null), ('m4', 0, 'b', 1700000001, 'happy'),
    ('alone', 1, 'a', 1700000000, null), ('alone', 1, 'b', 1700000001, null), ('alone', 1, 'c', 1700000002, null);
insert into nameplates(app_id, name, mailbox_id) values('test.example/app', '4', 'm4'), ('test.example/app', '4', 'alone'), ('test.example/app', 'x', 'alone'), ('test.example/app', '5', 'nowhere');
insert into nameplate_sides values(1, 1, 'a', 1700000000.5), (1, 0, 'b', 1700000001);
insert into messages values('test.example/app', 'm4', 'b', 'pake', '02', 1700000002.5, 'id2'), ('test.example/app', 'm4', 'a', 'pake', '01', 1700000001.5, 'id1'),
    ('test.example/app', 'm4', 'a', 0, 3, 1700000003, null), ('test.example/app', 'm4', 'a', '1', x'00ff', 1700000004, null), ('test.example/app', 'nowhere', 'a', '1', '00', 1700000004, null);
";
const TO_2: &str = "
update version set version = 2;
create table addrid_generation(generation integer, started integer);
create table connections(id integer primary key, addrid_generation integer, addrid_counter integer, connected integer, side varchar, implementation varchar, version varchar, active boolean);
create table connection_messages(id integer references connections(id), `when` integer, name varchar);
";

#[test]
fn a_channel_database_of_either_version_is_taken_over_once() {
    for version_2 in [false, true] {
        let dir = TempDir::new().unwrap();
        let (from, to) = (dir.path().join("python.sqlite"), dir.path().join("ours.sqlite"));
        make(&from, CHANNEL);
        if version_2 {
            make(&from, TO_2);
        }
        let imported = import::channel(&from, &to, Stamp::at(NOW)).unwrap();
        assert_eq!(imported, Imported { nameplates: 1, mailboxes: 2, messages: 3, skipped: 5 });
        let again = import::channel(&from, &to, Stamp::at(NOW));
        assert_eq!(again, Err(ImportError::NotEmpty));
        let mut bench = open(&to);
        assert_eq!(bench.list(super::bench::APP), ["4"]);
        assert_eq!(bench.claim(1, "a", "4").unwrap(), "m4");
        assert_eq!(bench.claim(2, "b", "4"), Err(Refusal::Reclaimed));
        assert_eq!(bench.open(3, "b", "m4").unwrap(), ["01", "02", "3"]);
        bench.open(4, "a", "alone").unwrap();
        assert_eq!(bench.open(5, "c", "alone"), Err(Refusal::Crowded));
    }
}

#[test]
fn what_is_no_channel_database_is_not_taken_over() {
    let dir = TempDir::new().unwrap();
    let (from, to) = (dir.path().join("python.sqlite"), dir.path().join("ours.sqlite"));
    assert!(matches!(import::channel(&from, &to, Stamp::at(NOW)), Err(ImportError::Failed(_))));
    make(&from, "create table other(x)");
    assert_eq!(import::channel(&from, &to, Stamp::at(NOW)), Err(ImportError::Foreign));
    make(&from, &format!("{CHANNEL} update version set version = 3;"));
    assert_eq!(import::channel(&from, &to, Stamp::at(NOW)), Err(ImportError::Version(3)));
    assert!(!to.exists(), "nothing was made");
    // Nor is it opened as if it were ours.
    let opened = Sqlite::open(&from, Synchronous::Full, [1; 32], Stamp::at(NOW), Limits::default());
    assert_eq!(opened.unwrap_err(), OpenError::Python);
}

#[test]
fn a_usage_database_is_taken_over_with_the_table_that_it_lacks() {
    let dir = TempDir::new().unwrap();
    let (from, to) = (dir.path().join("python.sqlite"), dir.path().join("ours.sqlite"));
    make(
        &from,
        "create table version(version integer); insert into version values(1);
         create table current(rebooted integer, updated integer, blur_time integer, connections_websocket integer);
         create table nameplates(app_id varchar, started integer, waiting_time integer, total_time integer, result varchar);
         create table mailboxes(app_id varchar, for_nameplate boolean, started integer, total_time integer, waiting_time integer, result varchar);
         insert into nameplates values('x', 1, 2, 3, 'happy');",
    );
    assert_eq!(
        import::usage(&from, &to, Part::Relay),
        Err(ImportError::Open(OpenError::Foreign)),
        "it is another server's"
    );
    import::usage(&from, &to, Part::Mailbox).unwrap();
    assert_eq!(import::usage(&from, &to, Part::Mailbox), Err(ImportError::NotEmpty));
    let db = Connection::open(&to).unwrap();
    let found: (i64, i64, i64) = db
        .query_row(
            "select (select version from version), (select count(*) from nameplates), (select count(*) from client_versions)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .unwrap();
    assert_eq!(found, (2, 1, 0));
}

fn make(path: &Path, statements: &str) {
    // Python's tables refer to each other, which is checked for whoever asks.
    let unchecked = format!("pragma foreign_keys = off; {statements}");
    Connection::open(path).unwrap().execute_batch(&unchecked).unwrap();
}

fn open(path: &Path) -> Bench {
    let store = Sqlite::open(path, Synchronous::Full, [7; 32], Stamp::at(NOW), Limits::default());
    Bench::new(store.unwrap())
}
