//! How many conversations a second a store stands by itself: `cargo bench -p wormhole-server --bench stores`.
//!
//! Each is what two clients ask of it, fifteen commands, sixteen conversations at a time. Beside it stands how many
//! commits a second the disk takes from one writer.
#![expect(clippy::disallowed_methods, reason = "it measures time")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark ends where it cannot go on")]
#![expect(clippy::print_stdout, reason = "that is its output")]

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};
use std::time::{Duration, Instant as Clock};

use wormhole_core::driver::{Conn, Instant};
use wormhole_server::Stamp;
use wormhole_server::store::{
    Ask, Done, Limits, Member, Memory, Message, Reply, Request, Sqlite, Store, Synchronous,
};

const AT_ONCE: u64 = 16;
const TIME: Duration = Duration::from_secs(3);

fn main() {
    let directory = tempfile::tempdir_in(".").expect("a directory on the disk");
    println!("disk: {:.0} commits a second", commits(&directory.path().join("commits")));
    println!("memory: {:.0} conversations a second", run(Memory::new([1; 32])));
    for synchronous in [Synchronous::Full, Synchronous::Normal] {
        let path = directory.path().join(format!("{synchronous:?}.sqlite"));
        let store = Sqlite::open(&path, synchronous, [1; 32], Stamp::default(), Limits::default());
        println!("SQLite, {synchronous:?}: {:.0} conversations a second", run(store.expect("a database")));
    }
}

fn commits(path: &std::path::Path) -> f64 {
    let mut file = File::create(path).unwrap();
    let begun = Clock::now();
    let mut count = 0.0;
    while begun.elapsed() < TIME / 3 {
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
        count += 1.0;
    }
    count / begun.elapsed().as_secs_f64()
}

/// Two clients on two connections.
struct Pair {
    number: u64,
    mailbox: String,
    nameplate: String,
    asks: VecDeque<u8>,
}

fn run(mut store: impl Store) -> f64 {
    let begun = Clock::now();
    let now = || Instant::after_start(begun.elapsed());
    let mut pairs: BTreeMap<u64, Pair> = BTreeMap::new();
    for number in 0..AT_ONCE {
        let pair = Pair::new(number);
        store.start(pair.next(), now());
        pairs.insert(number, pair);
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut done = 0.0;
    while begun.elapsed() < TIME {
        let Poll::Ready(reply) = store.poll_reply(&mut Context::from_waker(&waker)) else {
            thread::park();
            continue;
        };
        let Reply::Done { conn, done: answer } = reply else { continue };
        let pair = pairs.get_mut(&(conn.0 / 2 % AT_ONCE)).expect("it has asked");
        match answer.expect("nothing is refused") {
            Done::Allocated(nameplate) => pair.nameplate = nameplate,
            Done::Claimed { mailbox, .. } => pair.mailbox = mailbox,
            Done::Listed(_) | Done::Released | Done::Opened { .. } | Done::Added | Done::Closed => {}
        }
        pair.asks.pop_front();
        if pair.asks.is_empty() {
            done += 1.0;
            for side in 0..2 {
                store.start(Request::Leave { conn: Conn(pair.number * 2 + side) }, now());
            }
            *pair = Pair::new(pair.number + AT_ONCE);
        }
        store.start(pair.next(), now());
    }
    done / begun.elapsed().as_secs_f64()
}

impl Pair {
    fn new(number: u64) -> Self {
        let asks = (0..15).collect();
        Self { number, mailbox: String::new(), nameplate: String::new(), asks }
    }

    fn next(&self) -> Request {
        let step = self.asks.front().copied().unwrap_or_default();
        // Three messages of each side, and everything else of both.
        let (side, ask) = match step {
            0 => (0, Ask::Allocate),
            1 | 4 => (step / 4, Ask::Claim { nameplate: self.nameplate.clone(), make: true }),
            2 | 5 => (step / 5, Ask::Open { mailbox: self.mailbox.clone() }),
            3 | 6..=10 => (step % 2, Ask::Add { mailbox: self.mailbox.clone(), message: message(step) }),
            11 | 12 => (step - 11, Ask::Release { nameplate: self.nameplate.clone() }),
            _ => (step - 13, Ask::Close { mailbox: self.mailbox.clone(), mood: Some("happy".into()) }),
        };
        // The third step is the first side's.
        let side = u64::from(if step == 3 { 0 } else { side });
        let member = Arc::new(Member { app: "app".into(), side: format!("{}-{side}", self.number) });
        Request::Do { conn: Conn(self.number * 2 + side), member, ask }
    }
}

fn message(step: u8) -> Message {
    Message {
        side: "s".into(),
        phase: step.to_string(),
        body: "00".repeat(100),
        id: None,
        received: Stamp::default(),
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
