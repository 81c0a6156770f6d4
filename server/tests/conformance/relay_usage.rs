//! Relay: what is written down of its clients.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::thread;

use rusqlite::types::Value as Cell;
use serde_json::Value;

use crate::client::rest;
use crate::pairing::{is_silent, new, old, pair, read};
use crate::relay_websocket::saying;
use crate::running::{LIMIT, Running, soon};
use crate::talk::{asking, number, relay, rows, text};

#[test]
fn r35_a_pair_is_one_row_with_the_bytes_of_both() {
    let (dir, path) = file();
    let server = relay(&["--relay-usage-db", path.to_str().unwrap()]);
    let [mut a, mut b] = pair(&server, &new('1', 'a'), &new('1', 'b'));
    a.write_all(b"seven..").unwrap();
    b.write_all(b"five.").unwrap();
    assert_eq!((read(&mut a, 5), read(&mut b, 7)), (b"five.".to_vec(), b"seven..".to_vec()));
    drop(a);
    assert_eq!(rest(&mut b, LIMIT), b"");
    let row = &rows(&path, "select result, total_bytes, waiting_time, total_time from usage", 1)[0];
    assert_eq!((text(&row[0]), &row[1]), ("happy", &Cell::Integer(12)));
    assert!(0.0 <= number(&row[2]) && number(&row[2]) <= number(&row[3]), "{row:?}");
    drop(dir);
}

#[test]
fn r36_each_other_end_has_its_word() {
    let (dir, path) = file();
    let server = relay(&["--relay-usage-db", path.to_str().unwrap()]);
    let select = "select total_bytes, waiting_time from usage where result = ";
    let one = |mood: &str| {
        let found = rows(&path, &format!("{select}'{mood}'"), 1);
        assert_eq!(found[0], [Cell::Integer(0), Cell::Null], "{mood}");
    };
    let mut alone = asking(&server, old('2'));
    assert!(is_silent(&mut alone));
    drop(alone);
    one("lonely");
    assert_eq!(rest(&mut asking(&server, "hello\n"), LIMIT), b"bad handshake\n");
    one("errory");
    assert_eq!(rest(&mut asking(&server, old('3') + "data"), LIMIT), b"impatient\n");
    one("impatient");
    drop(asking(&server, "please"));
    one("empty");
    let mut waiters = [0, 1].map(|_| asking(&server, new('4', 'a')));
    for waiter in &mut waiters {
        assert!(is_silent(waiter));
    }
    let mut partner = asking(&server, new('4', 'b'));
    assert_eq!(read(&mut partner, 3), b"ok\n");
    one("redundant");
    drop((waiters, partner));
    rows(&path, "select * from usage where result = 'happy'", 1);
    drop(dir);
}

#[test]
fn r37_blurred_sizes_are_rounded_up() {
    let (dir, path) = file();
    let server = relay(&["--relay-usage-db", path.to_str().unwrap(), "--blur-usage", "60"]);
    let select = "select total_bytes, started from usage";
    for (count, (bytes, blurred)) in
        [(0, 0), (1, 10_000), (10_001, 20_000), (1_000_001, 2_000_000), (1_000_000_001, 1_100_000_000)]
            .into_iter()
            .enumerate()
    {
        let [mut a, b] = pair(&server, &old('5'), &old('5'));
        thread::scope(|scope| {
            scope.spawn(move || send(&mut a, bytes));
            assert_eq!(drain(b), bytes);
        });
        let found = rows(&path, select, count + 1);
        assert!(found.iter().any(|row| row[0] == Cell::Integer(blurred)), "{bytes}: {found:?}");
        assert!(found.iter().all(|row| number(&row[1]) % 60.0 == 0.0), "{found:?}");
    }
    drop(dir);
}

#[test]
fn r38_the_row_of_how_things_are_counts_sockets_of_pairs_and_tokens_of_waiters() {
    let (dir, path) = file();
    let server = relay(&[
        "--relay-usage-db",
        path.to_str().unwrap(),
        "--relay-wait-timeout",
        "60",
        "--usage-interval",
        "0.1",
    ]);
    let current = |connected: i64, waiting: i64| current(&path, connected, waiting);
    current(0, 0);
    let pairs = [pair(&server, &old('6'), &old('6')), pair(&server, &old('7'), &old('7'))];
    current(4, 0);
    // Two connections of one side wait under one token, and one under another.
    let waiters = [asking(&server, new('8', 'a')), asking(&server, new('8', 'a')), asking(&server, old('9'))];
    let speaking = asking(&server, "please");
    current(4, 2);
    drop((pairs, speaking));
    current(0, 2);
    let [first, second, _third] = waiters;
    drop(first);
    // Over WebSocket they count just the same.
    let _web = [saying(&server, &old('a')), saying(&server, &old('b')), saying(&server, &old('b'))];
    current(2, 3);
    drop(second);
    current(2, 2);
    drop(dir);
}

#[test]
fn r39_the_log_has_a_line_of_json_for_each_end() {
    let (dir, path) = file();
    // A descriptor that is open in the program.
    let open = format!(r#"exec 9>>'{}'; exec "$0" "$@""#, path.display());
    let server = Running::start_as(
        "sh",
        &[
            "-c",
            &open,
            crate::running::PROGRAM,
            "relay",
            "--relay",
            "127.0.0.1:0",
            "--relay-usage-log",
            "/dev/fd/9",
        ],
        |_| {},
    );
    drop(pair(&server, &old('a'), &old('a')));
    assert_eq!(rest(&mut asking(&server, "hello\n"), LIMIT), b"bad handshake\n");
    let lines: Vec<Value> = soon("two lines", || {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>();
        (lines.len() == 2).then_some(lines)
    });
    for line in &lines {
        let keys: Vec<&String> = line.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["mood", "started", "total_bytes", "total_time", "waiting_time"]);
    }
    let mut moods: Vec<&str> = lines.iter().map(|line| line["mood"].as_str().unwrap()).collect();
    moods.sort_unstable();
    assert_eq!(moods, ["errory", "happy"]);
    drop(dir);
}

fn file() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage");
    (dir, path)
}

#[test]
fn r38_bytes_of_pairs_are_in_the_row_until_the_pair_ends() {
    let (_dir, path) = file();
    let settings = ["--relay-usage-db", path.to_str().unwrap(), "--usage-interval", "0.1"];
    let server = relay(&settings);
    let [mut a, mut b] = pair(&server, &old('6'), &old('6'));
    let bytes = |count: i64| {
        soon("the row", || {
            let row = rows(&path, "select incomplete_bytes from current", 1);
            (row == [[Cell::Integer(count)]]).then_some(())
        });
    };
    bytes(0);
    a.write_all(&[7; 1000]).unwrap();
    assert_eq!(read(&mut b, 1000), [7; 1000]);
    b.write_all(&[7; 10]).unwrap();
    assert_eq!(read(&mut a, 10), [7; 10]);
    bytes(1010);
    // Of a pair that is not of TCP alone, too.
    let _web = saying(&server, &old('a'));
    let mut plain = asking(&server, old('a'));
    assert_eq!(read(&mut plain, 3), b"ok\n");
    plain.write_all(b"word").unwrap();
    bytes(1014);
    drop((a, b));
    bytes(4);
}

/// Waits until the row says this.
fn current(path: &Path, connected: i64, waiting: i64) {
    let row = [Cell::Integer(connected), Cell::Integer(waiting)];
    soon("the row", || {
        (rows(path, "select connected, waiting from current", 1) == [row.clone()]).then_some(())
    });
}

fn send(stream: &mut TcpStream, count: usize) {
    let piece = vec![7; 1 << 20];
    let mut left = count;
    while left > 0 {
        left -= stream.write(&piece[..left.min(piece.len())]).unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();
    rest(stream, LIMIT);
}

fn drain(mut stream: TcpStream) -> usize {
    use std::io::Read as _;
    let (mut buffer, mut seen) = (vec![0; 1 << 20], 0);
    loop {
        match stream.read(&mut buffer).unwrap() {
            0 => return seen,
            count => seen += count,
        }
    }
}
