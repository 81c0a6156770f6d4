//! What it keeps survives what happens to programs: a sudden end, a full disk, a second one beside it.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::running::{LIMIT, PROGRAM, Running, program, soon};

const KILLS: usize = 8;
const WORKERS: usize = 4;
/// Answers between two kills, at least.
const ANSWERS: usize = 60;
const MESSAGES: usize = 6;
/// How long a mailbox lives without a touch here, which is longer than the program is ever away.
const LIFE: Duration = Duration::from_secs(3);
/// How long it is used in earnest.
const SOAK: Duration = Duration::from_secs(5 * 60);
/// What the program may hold in the end beside what it held after the first of so many parts, in KiB.
const GROWTH: (u32, u64) = (10, 4096);

#[test]
#[expect(clippy::disallowed_methods, reason = "a life is real time")]
fn whatever_was_answered_is_there_after_it_was_killed_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("channel.sqlite");
    let world = World::default();
    let mut server = start(&path);
    *world.at.write().unwrap() = Some(server.at("mailbox"));
    let begun = Instant::now();
    thread::scope(|scope| {
        world.begin(scope);
        let mut chance = 7_usize;
        let mut kills = 0;
        while kills < KILLS || begun.elapsed() < 2 * LIFE {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let until = world.answers.load(Ordering::Relaxed) + ANSWERS + (chance >> 40) % 100;
            soon("no answers", || (world.answers.load(Ordering::Relaxed) >= until).then_some(()));
            server.signal(Signal::KILL);
            server.end();
            server = start(&path);
            *world.at.write().unwrap() = Some(server.at("mailbox"));
            kills += 1;
        }
        world.stop.store(true, Ordering::Relaxed);
    });
    let (rounds, answers) = (world.rounds.load(Ordering::Relaxed), world.answers.load(Ordering::Relaxed));
    assert!(rounds >= KILLS, "{rounds} rounds, {answers} answers");
}

#[test]
#[ignore = "five minutes are too long for every change"]
#[expect(clippy::disallowed_methods, reason = "it is about time")]
fn nothing_is_lost_and_nothing_grows_in_a_soak() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::default();
    let server = start(&dir.path().join("channel.sqlite"));
    *world.at.write().unwrap() = Some(server.at("mailbox"));
    let begun = Instant::now();
    let (parts, growth) = GROWTH;
    let held = thread::scope(|scope| {
        world.begin(scope);
        let held: Vec<u64> = (1..=parts)
            .map(|part| {
                while begun.elapsed() < SOAK / parts * part {
                    thread::park_timeout(Duration::from_millis(100));
                }
                resident(&server)
            })
            .collect();
        world.stop.store(true, Ordering::Relaxed);
        held
    });
    let rounds = world.rounds.load(Ordering::Relaxed);
    eprintln!("{rounds} rounds in {SOAK:?}; resident KiB after each part: {held:?}");
    assert!(held.last() <= held.first().map(|first| first + growth).as_ref(), "{held:?}");
    assert!(rounds > 100, "{rounds}");
    assert!(world.live.lock().unwrap().is_empty());
    let mut side = Side::new(&world, "who asks");
    soon("a nameplate is left", || {
        (side.ask(&json!({"type": "list"}))["nameplates"] == json!([])).then_some(())
    });
}

#[test]
fn m98_whatever_was_answered_is_there_after_it_was_ended() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("channel.sqlite");
    let world = World::default();
    let mut server = start(&path);
    *world.at.write().unwrap() = Some(server.at("mailbox"));
    let mut side = Side::new(&world, "a");
    let mailbox = side.text(json!({"type": "claim", "nameplate": "7"}), "mailbox");
    side.open(&mailbox);
    side.add("one");
    server.signal(Signal::TERM);
    server.signal(Signal::TERM);
    server.end();
    let server = start(&path);
    *world.at.write().unwrap() = Some(server.at("mailbox"));
    let mut peer = Side::new(&world, "b");
    assert_eq!(peer.text(json!({"type": "claim", "nameplate": "7"}), "mailbox"), mailbox);
    assert_eq!(peer.open(&mailbox), ["one"]);
}

#[test]
fn a_second_one_on_the_same_database_says_so_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("channel.sqlite");
    let _first = start(&path);
    let path = path.to_str().unwrap();
    let second = program(&["mailbox", "--mailbox", "127.0.0.1:0", "--channel-db", path]).output().unwrap();
    assert!(!second.status.success());
    let log = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(log.contains("the database is in use by another process: stop that first"), "{log}");
}

#[test]
fn when_nothing_more_can_be_written_it_refuses_and_goes_on_when_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("channel.sqlite");
    let world = World::default();
    let shell = "trap '' XFSZ; ulimit -S -f 2000; exec \"$0\" \"$@\"";
    let arguments =
        ["-c", shell, PROGRAM, "mailbox", "--mailbox", "127.0.0.1:0", "--channel-db", path.to_str().unwrap()];
    let server = Running::start_as("/bin/sh", &arguments, |_: &mut Command| {});
    *world.at.write().unwrap() = Some(server.at("mailbox"));
    let mut side = Side::new(&world, "a");
    side.open("m");
    let body = "0".repeat(100_000);
    let mut stored = 0;
    while side.try_add(&format!("{stored}-{body}")).is_some() {
        stored += 1;
        assert!(stored < 60, "the limit is never reached");
    }
    assert!(stored > 1);
    server.wait_for_log("nothing can be stored");
    let all = Rlimit { current: None, maximum: None };
    prlimit(Pid::from_raw(i32::try_from(server.pid()).unwrap()), Resource::Fsize, all).unwrap();
    let mut side = Side::new(&world, "a");
    assert!(side.open("m").len() >= stored);
    side.add("more");
    server.wait_for_log("the store works again");
}

fn start(path: &Path) -> Running {
    let life = LIFE.as_secs().to_string();
    let place = ["mailbox", "--mailbox", "127.0.0.1:0", "--channel-db", path.to_str().unwrap()];
    Running::start(
        &[&place[..], &["--drain-limit", "0", "--mailbox-expiry", &life, "--prune-interval", "0.2"]].concat(),
    )
}

/// What the process holds, in KiB.
fn resident(server: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Many pairs of clients, and what they know.
#[derive(Default)]
struct World {
    at: RwLock<Option<SocketAddr>>,
    /// Nameplates that are allocated and not released.
    live: Mutex<BTreeSet<String>>,
    answers: AtomicUsize,
    rounds: AtomicUsize,
    stop: AtomicBool,
}

impl World {
    /// Begins to use it, until it is to stop.
    fn begin<'s, 'w: 's>(&'w self, scope: &'s thread::Scope<'s, 'w>) {
        for worker in 0..WORKERS {
            scope.spawn(move || self.work(worker));
        }
        scope.spawn(|| self.listen());
    }

    /// Listens to one mailbox, in which nobody says anything any more.
    fn listen(&self) {
        let mut side = Side::new(self, "listener");
        assert_eq!(side.open("heard"), [""; 0]);
        side.add("kept");
        while !self.stop.load(Ordering::Relaxed) {
            if side.try_ask(&json!({"type": "ping", "ping": 1})).is_none() {
                // I6: it outlives its life as long as there is somebody who listens.
                assert_eq!(side.open("heard"), ["kept"]);
            }
            thread::park_timeout(Duration::from_millis(20));
        }
        assert_eq!(side.open("heard"), ["kept"]);
        side.ask(&json!({"type": "close"}));
    }

    /// Two sides meet, again and again, and a third tries to.
    fn work(&self, worker: usize) {
        let mut round = 0;
        while !self.stop.load(Ordering::Relaxed) {
            round += 1;
            let names = ["a", "b", "c"].map(|name| format!("{name}-{worker}-{round}"));
            let [mut ours, mut theirs, mut third] = names.each_ref().map(|name| Side::new(self, name));
            let nameplate = ours.text(json!({"type": "allocate"}), "nameplate");
            // I2: nobody else has it.
            assert!(self.live.lock().unwrap().insert(nameplate.clone()), "{nameplate} was given out twice");
            let claim = json!({"type": "claim", "nameplate": nameplate});
            let mailbox = ours.text(claim.clone(), "mailbox");
            assert_eq!(ours.open(&mailbox), [""; 0]);
            let said: Vec<String> = (0..MESSAGES).map(|number| number.to_string()).collect();
            for body in &said {
                ours.add(body);
            }
            // I1, also after the server was killed.
            assert_eq!(theirs.text(claim.clone(), "mailbox"), mailbox);
            // I4 and I5: everything that was echoed, once said or twice, in order.
            let mut heard = theirs.open(&mailbox);
            heard.dedup();
            assert_eq!(heard, said);
            // I3.
            assert_eq!(third.text(claim, "error"), "crowded");
            self.live.lock().unwrap().remove(&nameplate);
            let release = json!({"type": "release", "nameplate": nameplate});
            let close = json!({"type": "close", "mailbox": mailbox, "mood": "happy"});
            for side in [&mut ours, &mut theirs] {
                side.ask(&release);
                side.ask(&close);
            }
            self.rounds.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A side that comes back until it is answered.
struct Side<'w> {
    world: &'w World,
    name: String,
    socket: Option<WebSocket<TcpStream>>,
    mailbox: Option<String>,
}

impl<'w> Side<'w> {
    fn new(world: &'w World, name: &str) -> Self {
        Self { world, name: name.into(), socket: None, mailbox: None }
    }

    fn text(&mut self, command: Value, key: &str) -> String {
        let answer = self.ask(&command);
        answer[key].as_str().unwrap_or_else(|| panic!("{command}: {answer}")).into()
    }

    /// Says it until it is answered. A repeated command has the same effect as one.
    fn ask(&mut self, command: &Value) -> Value {
        soon("no answer", || {
            let answer = self.try_ask(command);
            if answer.is_none() {
                self.socket = None;
            }
            answer
        })
    }

    fn try_ask(&mut self, command: &Value) -> Option<Value> {
        self.connect()?;
        let socket = self.socket.as_mut()?;
        socket.send(Message::text(command.to_string())).ok()?;
        loop {
            let answer = hear(socket)?;
            // Some of these are of the mailbox that is open.
            if answer["type"] != "ack" && (answer["type"] != "message" || command["type"] == "add") {
                self.world.answers.fetch_add(1, Ordering::Relaxed);
                return Some(answer);
            }
        }
    }

    /// Opens the mailbox on a connection of its own, and says what is in it.
    fn open(&mut self, mailbox: &str) -> Vec<String> {
        self.mailbox = Some(mailbox.into());
        soon("no mailbox", || {
            self.socket = None;
            self.connect()
        })
    }

    /// Adds until the echo has come. What was there without one is not added again.
    fn add(&mut self, body: &str) {
        soon("no echo", || {
            if self.socket.is_none() {
                let there = self.connect()?;
                if there.last().is_some_and(|last| last == body) {
                    return Some(());
                }
            }
            self.try_add(body)
        });
    }

    fn try_add(&mut self, body: &str) -> Option<()> {
        let echo = self.try_ask(&json!({"type": "add", "phase": "p", "body": body}));
        match echo {
            Some(echo) if echo["type"] == "message" => Some(()),
            Some(_) | None => {
                self.socket = None;
                None
            }
        }
    }

    /// Connects, if there is no connection, and opens the mailbox there if there is one; says what is in that.
    fn connect(&mut self) -> Option<Vec<String>> {
        if self.socket.is_some() {
            return Some(Vec::new());
        }
        let at = (*self.world.at.read().unwrap())?;
        let stream = TcpStream::connect(at).ok()?;
        stream.set_read_timeout(Some(LIMIT)).ok()?;
        stream.set_nodelay(true).ok()?;
        let (mut socket, _) = tungstenite::client("ws://localhost/v1", stream).ok()?;
        let mut say = |message: Value| socket.send(Message::text(message.to_string())).ok();
        say(json!({"type": "bind", "appid": "app", "side": self.name}))?;
        if let Some(mailbox) = &self.mailbox {
            say(json!({"type": "open", "mailbox": mailbox}))?;
        }
        say(json!({"type": "ping", "ping": 1}))?;
        let mut there = Vec::new();
        loop {
            let heard = hear(&mut socket)?;
            match heard["type"].as_str()? {
                "message" => there.push(heard["body"].as_str()?.to_owned()),
                "pong" => {
                    self.socket = Some(socket);
                    return Some(there);
                }
                "error" => panic!("{heard}"),
                _ => {}
            }
        }
    }
}

fn hear(socket: &mut WebSocket<TcpStream>) -> Option<Value> {
    loop {
        match socket.read().ok()? {
            Message::Text(text) => return serde_json::from_str(&text).ok(),
            Message::Close(_) => return None,
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}
