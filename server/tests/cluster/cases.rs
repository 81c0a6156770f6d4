//! What only several nodes can get wrong.

use std::collections::BTreeSet;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};
use std::{io, thread};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use wormhole_tests::{Channel, Kind, Peers, Program, Sample};

use crate::client::{Client, tcp};
use crate::database::Database;
use crate::running::{LIMIT, start};
use crate::single::{Running, soon};
use crate::talk::{APP, answer, read};

const MAILBOX: [&str; 3] = ["mailbox", "--mailbox", "127.0.0.1:0"];

#[test]
#[expect(clippy::disallowed_methods, reason = "this case is about time")]
fn c2_messages_arrive_although_no_node_is_told() {
    let Some((database, url, nodes)) = nodes(2, &[]) else { return };
    let mut listener = opened(&nodes[1], "b", "m");
    let mut talker = opened(&nodes[0], "a", "m");
    // Nobody is known to listen, so nobody is told.
    let deaf = "create rule deaf as on insert to wormhole.listener do instead nothing; delete from wormhole.listener";
    assert!(database.psql(name(&url), deaf));
    let begun = Instant::now();
    assert_eq!(add(&mut talker, "hello"), "hello");
    assert_eq!(listener.hear()["body"], "hello");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[test]
fn c3_what_a_node_is_told_twice_is_passed_on_once() {
    let Some((database, url, nodes)) = nodes(2, &[]) else { return };
    let mut listener = opened(&nodes[1], "b", "m");
    let mut talker = opened(&nodes[0], "a", "m");
    let again = format!("select pg_notify('wh_node_' || id, '[\"{APP}\",\"m\"]') from wormhole.node");
    for round in 0..10 {
        let body = round.to_string();
        assert_eq!(add(&mut talker, &body), body);
        assert!(database.psql(name(&url), &again));
    }
    let heard: Vec<String> = (0..10).map(|_| text(&listener.hear(), "body")).collect();
    assert_eq!(heard, (0..10).map(|round| round.to_string()).collect::<Vec<_>>());
    // Nothing else comes before the next answer.
    assert_eq!(answer(&mut listener, json!({"type": "ping", "ping": 1}))["type"], "pong");
}

#[test]
fn c4_a_transfer_goes_on_through_another_node_when_one_is_killed() {
    let Some(peers) = Peers::find() else { return };
    let Some((_, _, mut nodes)) = nodes(2, &[]) else { return };
    let balancer = Balancer::start(nodes[0].at("mailbox"));
    let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let sample = Sample::make(Kind::File(300_000), from.path());
    let code = "4-guitarist-revenge";
    let client = |at: SocketAddr, command: &str, more: &[&str]| {
        let mut line = peers.wormhole();
        line.args([
            "--relay-url",
            &format!("ws://{at}/v1"),
            "--transit-helper",
            "",
            command,
            "--hide-progress",
        ]);
        line.arg("--verify").args(more);
        line
    };
    let mut sending = client(balancer.at, "send", &["--code", code]);
    sending.args(sample.arguments()).current_dir(from.path());
    let mut receiving = client(nodes[1].at("mailbox"), "receive", &["--accept-file", code]);
    receiving.current_dir(to.path());
    let mut sending = Program::start("send", sending);
    let receiving = Program::start("receive", receiving);
    // They know each other's key; the sender asks before it offers anything.
    sending.wait_for(Channel::Output, "Verifier ", LIMIT);
    receiving.wait_for(Channel::Error, "Verifier ", LIMIT);
    balancer.turn_to(nodes[1].at("mailbox"));
    nodes[0].signal(Signal::KILL);
    nodes[0].end();
    sending.type_in("yes\n");
    let received = receiving.succeed(Duration::from_secs(60));
    sending.succeed(Duration::from_secs(60));
    sample.expect_in(to.path(), &received.output);
}

#[test]
fn c5_commands_are_held_while_the_database_restarts_and_nothing_is_answered_before() {
    let Some(mut database) = Database::start() else { return };
    let nodes = start(2, &database.make(), &MAILBOX);
    let mut listener = opened(&nodes[1], "b", "m");
    let stream = tcp(nodes[0].at("mailbox"));
    let beside = stream.try_clone().unwrap();
    let mut talker = opened_over(stream, "a", "m");
    database.stop();
    talker.tell(json!({"type": "add", "phase": "p", "body": "held"}));
    // A second client is served what needs no database, and hears nothing of the first.
    let mut other = bound(&nodes[0], "c");
    assert_eq!(answer(&mut other, json!({"type": "ping", "ping": 1}))["type"], "pong");
    beside.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert_eq!(beside.peek(&mut [0]).map_err(|error| error.kind()), Err(io::ErrorKind::WouldBlock));
    beside.set_read_timeout(Some(LIMIT)).unwrap();
    database.run();
    assert_eq!(talker.hear()["body"], "held");
    assert_eq!(listener.hear()["body"], "held");
}

#[test]
fn c8_sixteen_clients_of_three_nodes_get_distinct_names_the_shortest_first() {
    let Some((_, _, nodes)) = nodes(3, &[]) else { return };
    let barrier = Barrier::new(16);
    let names: Vec<String> = thread::scope(|scope| {
        let allocating: Vec<_> = (0..16)
            .map(|number| {
                let (node, barrier) = (&nodes[number % 3], &barrier);
                scope.spawn(move || {
                    let mut client = bound(node, &number.to_string());
                    barrier.wait();
                    text(&answer(&mut client, json!({"type": "allocate"})), "nameplate")
                })
            })
            .collect();
        allocating.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 16, "{names:?}");
    let of_length = |length| names.iter().filter(|name| name.len() == length).count();
    assert_eq!((of_length(1), of_length(2)), (9, 7), "{names:?}");
}

#[test]
fn c9_of_many_sides_at_once_on_three_nodes_two_are_admitted() {
    let Some((_, _, nodes)) = nodes(3, &[]) else { return };
    for round in 0..10 {
        let barrier = Barrier::new(9);
        let answers: Vec<Value> = thread::scope(|scope| {
            let claiming: Vec<_> = (0..9)
                .map(|number| {
                    let (node, barrier) = (&nodes[number % 3], &barrier);
                    scope.spawn(move || {
                        let mut client = bound(node, &number.to_string());
                        barrier.wait();
                        answer(&mut client, json!({"type": "claim", "nameplate": round.to_string()}))
                    })
                })
                .collect();
            claiming.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let admitted: Vec<&Value> = answers.iter().filter_map(|answer| answer.get("mailbox")).collect();
        assert_eq!(admitted.len(), 2, "{answers:?}");
        assert_eq!(admitted[0], admitted[1]);
        assert!(answers.iter().all(|answer| answer["type"] == "claimed" || answer["error"] == "crowded"));
    }
}

#[test]
fn c11_two_that_prune_at_once_count_everything_once() {
    let Some(database) = Database::shared() else { return };
    let dir = TempDir::new().unwrap();
    let url = database.make();
    let paths = ["one", "two"].map(|name| dir.path().join(name));
    let pruning = ["--mailbox-expiry", "0.5", "--prune-interval", "0.05"];
    let nodes = paths.each_ref().map(|path| {
        let usage = ["--usage-db", path.to_str().unwrap()];
        start(1, &url, &[&MAILBOX[..], &pruning, &usage].concat()).pop().unwrap()
    });
    for number in 0..20 {
        let claim = json!({"type": "claim", "nameplate": number.to_string()});
        let mut client = bound(&nodes[number % 2], "a");
        assert_eq!(answer(&mut client, claim)["type"], "claimed");
    }
    for table in ["nameplates", "mailboxes"] {
        let select = format!("select result from {table}");
        let rows = || {
            let rows: Vec<_> = paths.iter().filter_map(|path| read(path, &select)).flatten().collect();
            assert!(rows.len() <= 20, "{}", rows.len());
            (rows.len() == 20).then_some(rows)
        };
        let rows = soon("not everything is counted", rows);
        assert!(rows.iter().all(|row| row[0] == rusqlite::types::Value::Text("pruney".into())), "{rows:?}");
    }
}

/// New nodes on a new database, whose URL is told.
fn nodes(count: usize, more: &[&str]) -> Option<(&'static Database, String, Vec<Running>)> {
    let database = Database::shared()?;
    let url = database.make();
    let nodes = start(count, &url, &[&MAILBOX[..], more].concat());
    Some((database, url, nodes))
}

/// The name of a database in its URL.
fn name(url: &str) -> &str {
    url.rsplit('/').next().unwrap()
}

fn bound(node: &Running, side: &str) -> Client {
    bound_over(tcp(node.at("mailbox")), side)
}

fn bound_over(stream: TcpStream, side: &str) -> Client {
    let mut client = Client::over(stream, &[]);
    client.hear();
    client.tell(json!({"type": "bind", "appid": APP, "side": side}));
    client
}

fn opened(node: &Running, side: &str, mailbox: &str) -> Client {
    opened_over(tcp(node.at("mailbox")), side, mailbox)
}

fn opened_over(stream: TcpStream, side: &str, mailbox: &str) -> Client {
    let mut client = bound_over(stream, side);
    client.tell(json!({"type": "open", "mailbox": mailbox}));
    // It has been opened when this is answered.
    assert_eq!(answer(&mut client, json!({"type": "list"}))["type"], "nameplates");
    client
}

/// Adds a message; what comes back of it is its receipt.
fn add(client: &mut Client, body: &str) -> String {
    text(&answer(client, json!({"type": "add", "phase": "p", "body": body})), "body")
}

fn text(message: &Value, key: &str) -> String {
    message[key].as_str().unwrap_or_else(|| panic!("{message}")).into()
}

/// One address for all nodes, as a balancer has it.
struct Balancer {
    at: SocketAddr,
    to: Arc<Mutex<SocketAddr>>,
}

impl Balancer {
    #[expect(clippy::disallowed_methods, reason = "a wire of its own carries each connection")]
    fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let to = Arc::new(Mutex::new(to));
        let target = Arc::clone(&to);
        thread::spawn(move || {
            for near in listener.incoming() {
                let to = *target.lock().unwrap();
                let (Ok(near), Ok(far)) = (near, TcpStream::connect(to)) else { continue };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    thread::spawn(move || {
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Self { at, to }
    }

    /// Whoever comes from now on gets there.
    fn turn_to(&self, node: SocketAddr) {
        *self.to.lock().unwrap() = node;
    }
}
