//! The usage databases have the tables and the words of Python's servers.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;
use wormhole_server::Stamp;
use wormhole_server::store::OpenError;
use wormhole_server::usage::{Current, Ledger, Manner, Mood, Outcome, Part, Span, Usage};

const SPAN: Span = Span {
    started: Stamp::from_micros(1_700_000_123_250_000),
    waiting: Some(Duration::from_millis(1500)),
    total: Duration::from_millis(7250),
};

#[test]
fn m103_m104_m106_m107_the_mailbox_server_writes_rows_as_pythons_does() {
    for (blur, started) in [(None, 1_700_000_123.25), (Some(3600), 1_699_999_200.0)] {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("usage.sqlite");
        let ledger = open(&path, Part::Mailbox, blur);
        let app = || "x".to_owned();
        ledger.note(Usage::Nameplate { app: app(), span: SPAN, result: Outcome::Happy });
        ledger.note(Usage::Mailbox { app: app(), for_nameplate: true, span: SPAN, result: Outcome::Scary });
        ledger.note(Usage::Client {
            app: app(),
            side: "s".into(),
            at: SPAN.started,
            implementation: Some("python".into()),
            version: None,
        });
        assert_eq!(ledger.dropped(), 0);
        drop(ledger);
        let db = Connection::open(&path).unwrap();
        let nameplate = "select app_id, started, waiting_time, total_time, result from nameplates";
        let row: (String, f64, f64, f64, String) = one(&db, nameplate);
        assert_eq!(row, ("x".into(), started, 1.5, 7.25, "happy".into()));
        let mailbox = "select for_nameplate, started, waiting_time, total_time, result from mailboxes";
        let row: (bool, f64, f64, f64, String) = one(&db, mailbox);
        assert_eq!(row, (true, started, 1.5, 7.25, "scary".into()));
        let client = "select side, connect_time, implementation, version, app_id from client_versions";
        let row: (String, f64, String, Option<String>, String) = one(&db, client);
        assert_eq!(row, ("s".into(), started, "python".into(), None, "x".into()));
        let current = "select connections_websocket, rebooted, updated, blur_time, 0 from current";
        let row: (i64, f64, f64, Option<u64>, i64) = one(&db, current);
        assert_eq!(row, (3, 1_700_000_000.5, 1_700_000_000.5, blur, 0));
    }
}

#[test]
fn r35_r38_the_relay_writes_rows_as_pythons_does() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("usage.sqlite");
    let ledger = open(&path, Part::Relay, Some(60));
    let span = Span { waiting: None, ..SPAN };
    ledger.note(Usage::Transit { span, bytes: 10_001, mood: Mood::Lonely });
    drop(ledger);
    let db = Connection::open(&path).unwrap();
    let usage = "select started, waiting_time, total_time, total_bytes, result from usage";
    let row: (f64, Option<f64>, f64, i64, String) = one(&db, usage);
    assert_eq!(row, (1_700_000_100.0, None, 7.25, 20_000, "lonely".into()));
    let current = "select connected, waiting, incomplete_bytes, rebooted, updated from current";
    let row: (i64, i64, i64, i64, i64) = one(&db, current);
    assert_eq!(row, (3, 2, 9, 1_700_000_000, 1_700_000_000));
}

#[test]
fn a_database_is_gone_on_with_and_that_of_another_server_is_not() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("usage.sqlite");
    for _ in 0..2 {
        let ledger = open(&path, Part::Relay, None);
        ledger.note(Usage::Transit { span: SPAN, bytes: 0, mood: Mood::Happy });
    }
    let db = Connection::open(&path).unwrap();
    let count: i64 = db.query_row("select count(*) from usage", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 2);
    let other = Ledger::open(&path, Part::Mailbox, Manner::default(), look).unwrap_err();
    assert_eq!(other, OpenError::Foreign);
}

#[test]
fn rows_that_cannot_be_written_are_counted() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("usage.sqlite");
    drop(open(&path, Part::Relay, None));
    Connection::open(&path)
        .unwrap()
        .execute_batch("create trigger no before insert on usage begin select raise(abort, 'no'); end")
        .unwrap();
    let ledger = open(&path, Part::Relay, None);
    ledger.note(Usage::Transit { span: SPAN, bytes: 0, mood: Mood::Happy });
    while ledger.dropped() == 0 {
        std::thread::yield_now();
    }
    assert_eq!(ledger.dropped(), 1);
}

fn open(path: &Path, part: Part, blur: Option<u64>) -> Ledger {
    let manner = Manner { blur: blur.unwrap_or(0), ..Manner::default() };
    Ledger::open(path, part, manner, look).unwrap()
}

fn look() -> (Stamp, Current) {
    (Stamp::at(1_700_000_000.5), Current { connected: 3, waiting: 2, incomplete_bytes: 9 })
}

type Row<A, B, C, D, E> = (A, B, C, D, E);

fn one<A, B, C, D, E>(db: &Connection, select: &str) -> Row<A, B, C, D, E>
where
    A: rusqlite::types::FromSql,
    B: rusqlite::types::FromSql,
    C: rusqlite::types::FromSql,
    D: rusqlite::types::FromSql,
    E: rusqlite::types::FromSql,
{
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?));
    db.query_row(select, [], row).unwrap()
}
