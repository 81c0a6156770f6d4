//! The mailbox server, with several clients that say what they please, and its store in memory.

mod watch;

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use serde_json::{Value, json};
use wormhole_core::driver::{Address, Conn, Input, Why};
use wormhole_core::rng::Rng;
use wormhole_core::wire::server::FromServer;
use wormhole_server::limits::{Bounds, PerAddress};
use wormhole_server::mailbox::{Guard, Mailbox, Options, Work};
use wormhole_server::store::{Memory, Store};

use self::watch::Watch;
use crate::script::Script;
use crate::world::World;

const LISTENER: Conn = Conn(0);
/// More clients show nothing new.
const CLIENTS: usize = 6;

/// What an address may do where it is limited.
const FEW: PerAddress =
    PerAddress { connections: 3, connects: 2, allocates: 2, claims: 2, joins: 3, lists: 2 };

/// How the server is set up, and what happens.
pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let mut server = Server::new(script.byte());
    while !script.is_empty() {
        match script.below(15) {
            0 => server.call(),
            1..=6 => server.command(&mut script),
            7 => server.world.happen(&mut script),
            8 => server.world.pass_some(&mut script),
            9 => server.holds = script.byte() & 1 == 0,
            10 => server.hang_up(&mut script),
            12 => server.submit(&mut script),
            13 => server.guard(script.byte()),
            _ => server.take_writes(),
        }
        server.settle();
    }
    server.end();
}

/// The server, its store and what reached its clients.
#[derive(Debug)]
pub struct Server {
    /// The machine.
    pub world: World<Mailbox>,
    store: Memory,
    /// Whether the store's answers are held back.
    holds: bool,
    watch: Watch,
}

impl Server {
    /// A server that listens; each bit of the kind is an option.
    pub fn new(kind: u8) -> Self {
        let mut options = Options::new(Address::new("h", 1), 1.7e9);
        options.allow_list = kind & 1 == 0;
        options.motd = (kind & 2 != 0).then(|| "hello".into());
        options.error = (kind & 4 != 0).then(|| "go away".into());
        options.guard = guard(kind);
        if kind & 0x20 != 0 {
            options.bounds = Bounds {
                command_bytes: 200,
                name_bytes: 8,
                id_bytes: 4,
                nesting: 4,
                orig_bytes: 40,
                queue_bytes: 2000,
                ..options.bounds
            };
        }
        let watch = Watch::new(&options);
        let mut world = World::new(Mailbox::new(options));
        world.listen(LISTENER);
        Self { world, store: Memory::new([4; 32]), holds: false, watch }
    }

    /// A client calls from one of three addresses, if there are not too many.
    pub fn call(&mut self) {
        if self.world.machine.clients() < CLIENTS
            && let [conn] = self.world.awaited()[..]
        {
            self.world.open(conn);
        }
    }

    /// Other rules for all who come from now on.
    fn guard(&mut self, kind: u8) {
        let guard = guard(kind);
        self.watch.guards(&guard);
        self.world.machine.guard(guard);
    }

    /// A stamp for what was asked of one of the clients, from this or another one.
    fn submit(&mut self, script: &mut Script<'_>) {
        let reading = self.world.reading();
        let (Some(from), Some(of)) = (script.pick(&reading).copied(), script.pick(&reading).copied()) else {
            return;
        };
        let Some(stamp) = self.watch.stamp(of, script.byte()) else { return };
        let submit = json!({"type": "submit-permissions", "method": "hashcash", "stamp": stamp});
        self.watch.submits(from, &stamp);
        self.world.receive(from, submit.to_string().as_bytes());
    }

    fn command(&mut self, script: &mut Script<'_>) {
        let reading = self.world.reading();
        let Some(conn) = script.pick(&reading).copied() else { return };
        let bytes = command(script);
        self.world.receive(conn, &bytes);
    }

    fn hang_up(&mut self, script: &mut Script<'_>) {
        let live: Vec<Conn> = self.world.live().into_iter().filter(|conn| *conn != LISTENER).collect();
        if let Some(conn) = script.pick(&live).copied() {
            self.world.close(conn, Why::Reset);
        }
    }

    /// The system takes all that was written.
    pub fn take_writes(&mut self) {
        for conn in self.world.live() {
            while self.world.sent(conn) {}
        }
    }

    /// Asks the store, hands its answers in, and answers what clients were told.
    pub fn settle(&mut self) -> Vec<FromServer> {
        loop {
            for request in std::mem::take(&mut self.world.requests) {
                self.watch.asked(&request, self.world.now());
                self.store.start(request, self.world.now());
            }
            if self.holds {
                break;
            }
            let Poll::Ready(reply) = self.store.poll_reply(&mut Context::from_waker(Waker::noop())) else {
                break;
            };
            self.world.handle(Input::Stored(reply));
        }
        assert_eq!(self.world.machine.clients(), self.world.count_open());
        self.watch.inside(&self.world);
        let said = std::mem::take(&mut self.world.said).into_iter().map(|(conn, said)| {
            let message = FromServer::decode(&said).unwrap_or(FromServer::Unknown);
            // What a client has added is passed on as it is, whatever it is.
            let is_known = message != FromServer::Unknown || is_message(&said);
            assert!(is_known, "{}", String::from_utf8_lossy(&said));
            self.watch.said(conn, &message, &said);
            message
        });
        said.collect()
    }

    /// All leave, and in time nothing is kept.
    fn end(mut self) {
        self.holds = false;
        for conn in self.world.live() {
            self.world.close(conn, Why::Reset);
        }
        self.settle();
        for _ in 0..2 {
            self.world.pass(Duration::from_hours(1));
            self.settle();
        }
        assert_eq!(self.world.machine.clients(), 0);
        // At the end of all clocks nothing gets older.
        let is_aging = self.world.now().since_start() < Duration::from_hours(1 << 20);
        assert!(!is_aging || self.store.is_empty(), "something is kept for nobody: {:?}", self.store);
    }
}

/// Who is let in: each bit is a rule.
fn guard(kind: u8) -> Guard {
    let work = (kind & 8 != 0).then(|| Work { bits: u32::from(kind >> 6), chance: Rng::new([kind; 32]) });
    let addresses = if kind & 0x10 == 0 { PerAddress::default() } else { FEW };
    Guard { addresses, work }
}

fn is_message(said: &[u8]) -> bool {
    let said: Value = serde_json::from_slice(said).unwrap_or_default();
    said.get("type").is_some_and(|kind| kind == "message")
}

/// One of the commands, with few names so that they meet, or anything.
fn command(script: &mut Script<'_>) -> Vec<u8> {
    let (kind, names) = (script.below(16), script.byte());
    let name = |shift: u8, all: [&'static str; 4]| all.into_iter().nth(usize::from(names >> shift & 3));
    let side = name(0, ["a", "b", "c", "d"]);
    let nameplate = name(2, ["4", "5", "04", "x"]);
    let mailbox = name(4, ["m", "n", "", "o"]);
    let phase = name(6, ["pake", "0", "1", "version"]);
    let command = match kind {
        0 | 1 => json!({"type": "bind", "appid": mailbox, "side": side}),
        2 => json!({"type": "list"}),
        3 => json!({"type": "allocate"}),
        4 | 5 => json!({"type": "claim", "nameplate": nameplate}),
        6 => json!({"type": "release", "nameplate": nameplate}),
        7 => json!({"type": "release"}),
        8 | 9 => json!({"type": "open", "mailbox": mailbox}),
        10 | 11 => json!({"type": "add", "phase": phase, "body": "00ff", "id": names}),
        12 => json!({"type": "close", "mailbox": mailbox, "mood": "happy"}),
        13 => json!({"type": "close"}),
        14 => json!({"type": "ping", "ping": names}),
        _ => Value::Null,
    };
    if command.is_null() { script.chunk().to_vec() } else { command.to_string().into_bytes() }
}
