//! The servers of these cases, and what clients say to the mailbox server.

use std::net::TcpStream;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::Value as Cell;
use serde_json::{Value, json};
use wormhole_server::limits;

use crate::client::{Client, tcp};
use crate::running::{LIMIT, Running, soon};

pub(crate) const APP: &str = "test.example/app";

/// A mailbox server with these settings.
pub(crate) fn mailbox(more: &[&str]) -> Running {
    Running::start(&[&["mailbox", "--mailbox", "127.0.0.1:0"], more].concat())
}

/// A relay over TCP and over WebSocket, with these settings.
pub(crate) fn relay(more: &[&str]) -> Running {
    let places = ["relay", "--relay", "127.0.0.1:0", "--relay-websocket", "127.0.0.1:0"];
    Running::start(&[&places, more].concat())
}

/// A client that has heard its welcome.
pub(crate) fn greeted(server: &Running) -> Client {
    let mut client = Client::connect(server.at("mailbox"));
    assert_eq!(client.hear()["type"], "welcome");
    client
}

/// A client that has said who it is.
pub(crate) fn bound(server: &Running, app: &str, side: &str) -> Client {
    let mut client = greeted(server);
    client.tell(json!({"type": "bind", "appid": app, "side": side}));
    client
}

/// A bound client with a mailbox open in which there is nothing.
pub(crate) fn opened(server: &Running, side: &str, mailbox: &str) -> Client {
    let (client, there) = reopened(server, side, mailbox);
    assert_eq!(there, [""; 0]);
    client
}

/// A bound client with a mailbox open, and the phases of what was in it.
pub(crate) fn reopened(server: &Running, side: &str, mailbox: &str) -> (Client, Vec<String>) {
    let mut client = bound(server, APP, side);
    client.tell(json!({"type": "open", "mailbox": mailbox}));
    let phases = heard(&mut client);
    (client, phases)
}

/// A client that has claimed a nameplate, and the mailbox.
pub(crate) fn claimed(server: &Running, app: &str, side: &str, nameplate: &str) -> (Client, String) {
    let mut client = bound(server, app, side);
    let answer = answer(&mut client, json!({"type": "claim", "nameplate": nameplate}));
    let mailbox = answer["mailbox"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    (client, mailbox)
}

/// A nameplate for a new client, which then leaves.
pub(crate) fn allocated(server: &Running, app: &str) -> String {
    let mut client = bound(server, app, "a");
    answer(&mut client, json!({"type": "allocate"}))["nameplate"].as_str().unwrap().to_owned()
}

/// The nameplates that are listed.
pub(crate) fn list(client: &mut Client) -> Vec<String> {
    let answer = answer(client, json!({"type": "list"}));
    let names = answer["nameplates"].as_array().unwrap().iter();
    names.map(|listed| listed["id"].as_str().unwrap().to_owned()).collect()
}

/// Says a command, and hears its ack and its answer, which has the time at which it was sent.
pub(crate) fn answer(client: &mut Client, command: Value) -> Value {
    let id = command.get("id").cloned().unwrap_or_default();
    client.say(command);
    let ack = timed(client);
    assert_eq!(ack, json!({"type": "ack", "id": id}));
    timed(client)
}

/// The next message without its time, which it must have.
pub(crate) fn timed(client: &mut Client) -> Value {
    let mut message = client.hear();
    let time = message.as_object_mut().unwrap().remove("server_tx");
    assert!(time.is_some_and(|time| time.as_f64().is_some_and(|time| time > 1.0e9)), "{message}");
    message
}

/// Says a command that is refused, with the command as it was; the connection stays.
pub(crate) fn error(client: &mut Client, command: Value) -> String {
    let answer = answer(client, command.clone());
    assert_eq!(answer["type"], "error", "{answer}");
    if command.to_string().len() < limits::ORIG_BYTES {
        assert_eq!(answer["orig"], command);
    }
    answer["error"].as_str().unwrap().to_owned()
}

/// Adds a message, and hears it come back.
pub(crate) fn add(client: &mut Client, phase: &str) -> Value {
    let echo = answer(client, json!({"type": "add", "phase": phase, "body": "00"}));
    assert_eq!((&echo["type"], &echo["phase"]), (&json!("message"), &json!(phase)));
    echo
}

/// Waits until messages of these phases have come, and makes sure that no more have.
pub(crate) fn hears(client: &mut Client, phases: &[&str]) {
    for phase in phases {
        assert_eq!(client.hear()["phase"], *phase);
    }
    assert_eq!(heard(client), [""; 0]);
}

/// The phases of all messages that have come until the server answers once more.
pub(crate) fn heard(client: &mut Client) -> Vec<String> {
    client.say(json!({"type": "ping", "ping": "until here"}));
    let mut phases = Vec::new();
    loop {
        let message = client.hear();
        match message["type"].as_str().unwrap() {
            "message" => phases.push(message["phase"].as_str().unwrap().to_owned()),
            "ack" => {}
            "pong" => return phases,
            _ => panic!("{message}"),
        }
    }
}

/// Closes the mailbox that is open, in this mood.
pub(crate) fn close(client: &mut Client, mood: &str) {
    assert_eq!(answer(client, json!({"type": "close", "mood": mood}))["type"], "closed");
}

/// A connection to the relay that has said this.
pub(crate) fn asking(server: &Running, said: impl AsRef<[u8]>) -> TcpStream {
    use std::io::Write as _;
    let mut stream = tcp(server.at("relay"));
    stream.write_all(said.as_ref()).unwrap();
    stream
}

/// Waits until so many rows can be read, and answers them.
pub(crate) fn rows(path: &Path, select: &str, count: usize) -> Vec<Vec<Cell>> {
    soon(select, || {
        let rows = read(path, select)?;
        assert!(rows.len() <= count, "{rows:?}");
        (rows.len() == count).then_some(rows)
    })
}

/// The rows that there are; none where the database is in the middle of something.
pub(crate) fn read(path: &Path, select: &str) -> Option<Vec<Vec<Cell>>> {
    let db = Connection::open(path).unwrap();
    db.busy_timeout(LIMIT).unwrap();
    let mut select = db.prepare(select).ok()?;
    let columns = select.column_count();
    let rows = select.query_map([], |row| (0..columns).map(|at| row.get(at)).collect()).ok()?;
    rows.collect::<Result<_, _>>().ok()
}

/// A number of a row.
pub(crate) fn number(cell: &Cell) -> f64 {
    match cell {
        Cell::Integer(number) => i32::try_from(*number).map_or(f64::NAN, f64::from),
        Cell::Real(number) => *number,
        Cell::Null | Cell::Text(_) | Cell::Blob(_) => panic!("{cell:?}"),
    }
}

/// A text of a row.
pub(crate) fn text(cell: &Cell) -> &str {
    match cell {
        Cell::Text(text) => text,
        Cell::Integer(_) | Cell::Real(_) | Cell::Null | Cell::Blob(_) => panic!("{cell:?}"),
    }
}

/// A line of the status of the process, in KiB: `VmRSS` for what it holds, `VmHWM` for the most that it held.
pub(crate) fn kibibytes(server: &Running, line: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let of = status.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':')).unwrap();
    of.trim().trim_end_matches(" kB").parse().unwrap()
}
