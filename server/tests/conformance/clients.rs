//! Real clients through the real program: the reference's, and others where the environment says where they are.

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;
use wormhole_tests::{Channel, Kind, Peers, Program, Sample, quiet};

use crate::running::{Running, soon};
use crate::talk::{bound, list};

/// How long a transfer may take, with Python's start and a reconnection.
const LIMIT: Duration = Duration::from_secs(60);
/// Under which clients send files.
const FILES: &str = "lothar.com/wormhole/text-or-file-xfer";

/// Where `wormhole-rs` and `wormhole-william` are, which no package index installs for us.
const OTHERS: [(&str, Other); 2] = [("WORMHOLE_TEST_RUST", Make::Rust), ("WORMHOLE_TEST_GO", Make::Go)];

/// Makes one of where it is.
type Other = fn(String) -> Make;

/// A client of one make.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Make {
    Python,
    Rust(String),
    Go(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Direct,
    Relay,
}

/// The program, and where it keeps everything.
struct Servers {
    dir: TempDir,
    program: Running,
}

#[test]
fn m114_clients_of_every_make_meet_through_the_program() {
    let Some(peers) = Peers::find() else { return };
    let servers = Servers::start();
    let makes = makes();
    for (sender, receiver) in makes.iter().flat_map(|one| makes.iter().map(move |other| (one, other))) {
        for kind in [Kind::Text, Kind::File(300_000), Kind::Directory] {
            for route in [Route::Direct, Route::Relay] {
                if sender.knows(kind) && receiver.knows(kind) && sender.goes(route) && receiver.goes(route) {
                    servers.exchange(peers, [sender, receiver], kind, route);
                }
            }
        }
        servers.fail(peers, [sender, receiver]);
    }
    servers.cancel(peers);
    // Some of the others leave theirs behind where the code was wrong.
    if makes.len() == 1 {
        soon("a nameplate is left", || servers.nameplates().is_empty().then_some(()));
    }
}

#[test]
fn m98_a_sender_that_waits_survives_a_server_that_is_killed() {
    let Some(peers) = Peers::find() else { return };
    let mut servers = Servers::start();
    for route in [Route::Direct, Route::Relay] {
        for kind in [Kind::Text, Kind::File(300_000), Kind::Directory] {
            let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
            let sample = Sample::make(kind, from.path());
            let mut sending = Make::Python.command(peers, &servers, "send", route);
            sending.args(sample.arguments()).current_dir(from.path());
            let sending = Program::start("send", sending);
            // The code has been told, so the server has said that the nameplate is kept.
            let code = sending.line_after(Channel::Error, "Wormhole code is: ", LIMIT);
            servers.kill_and_restart();
            let mut receiving = Make::Python.command(peers, &servers, "receive", route);
            receiving.args(["--accept-file", &code]).current_dir(to.path());
            let received = Program::start("receive", receiving).succeed(LIMIT);
            sending.succeed(LIMIT);
            sample.expect_in(to.path(), &received.output);
        }
    }
    soon("a nameplate is left", || servers.nameplates().is_empty().then_some(()));
}

#[test]
fn m98_two_that_have_met_survive_a_server_that_is_killed() {
    let Some(peers) = Peers::find() else { return };
    let mut servers = Servers::start();
    for route in [Route::Direct, Route::Relay] {
        let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let sample = Sample::make(Kind::File(300_000), from.path());
        let code = new_code();
        let mut sending = Make::Python.command(peers, &servers, "send", route);
        sending.args(["--verify", "--code", &code]).args(sample.arguments()).current_dir(from.path());
        let mut receiving = Make::Python.command(peers, &servers, "receive", route);
        receiving.args(["--verify", "--accept-file", &code]).current_dir(to.path());
        let mut sending = Program::start("send", sending);
        let receiving = Program::start("receive", receiving);
        // They know each other's key; the sender asks before it offers anything.
        sending.wait_for(Channel::Output, "Verifier ", LIMIT);
        receiving.wait_for(Channel::Error, "Verifier ", LIMIT);
        servers.kill_and_restart();
        sending.type_in("yes\n");
        let received = receiving.succeed(LIMIT);
        sending.succeed(LIMIT);
        sample.expect_in(to.path(), &received.output);
    }
    soon("a nameplate is left", || servers.nameplates().is_empty().then_some(()));
}

#[test]
#[ignore = "a gibibyte for each pair of clients takes its time"]
fn r42_clients_of_every_make_send_a_gibibyte_over_the_relay() {
    let Some(peers) = Peers::find() else { return };
    let servers = Servers::start();
    let makes: Vec<Make> = makes().into_iter().filter(|make| make.goes(Route::Relay)).collect();
    for (sender, receiver) in makes.iter().flat_map(|one| makes.iter().map(move |other| (one, other))) {
        servers.exchange(peers, [sender, receiver], Kind::File(1 << 30), Route::Relay);
    }
}

impl Servers {
    fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let program = run(dir.path(), any, any);
        Self { dir, program }
    }

    /// Ends it without a warning, and starts it again at the same places with what it has written down.
    fn kill_and_restart(&mut self) {
        let (mailbox, relay) = (self.program.at("mailbox"), self.program.at("relay"));
        self.program.signal(Signal::KILL);
        self.program.end();
        self.program = run(self.dir.path(), mailbox, relay);
    }

    fn nameplates(&self) -> Vec<String> {
        list(&mut bound(&self.program, FILES, "who asks"))
    }

    /// One sends, the other receives, and has what was sent.
    fn exchange(&self, peers: &Peers, [sender, receiver]: [&Make; 2], kind: Kind, route: Route) {
        let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let sample = Sample::make(kind, from.path());
        let name = format!("{kind:?} from {sender:?} to {receiver:?}, {route:?}");
        let [sending, receiving] =
            self.meet(peers, [sender, receiver], route, &sample, &to, [&new_code(); 2]);
        let received = receiving.finish(LIMIT).expect_code(&name, 0);
        sending.finish(LIMIT).expect_code(&name, 0);
        let is_go = |make: &Make| matches!(make, Make::Go(_));
        match kind {
            // It says more than the text.
            Kind::Text if is_go(receiver) => {
                assert!(received.output.contains(&sample.arguments()[1]), "{name}")
            }
            // It leaves out empty directories, or makes files of them.
            Kind::Directory if is_go(sender) || is_go(receiver) => {
                for path in ["directory/a.txt", "directory/sub/run.sh"] {
                    let [sent, arrived] = [&from, &to].map(|dir| fs::read(dir.path().join(path)).unwrap());
                    assert!(sent == arrived, "{name}: {path}");
                }
            }
            Kind::Text | Kind::File(_) | Kind::OddFile | Kind::Directory | Kind::OddDirectory => {
                sample.expect_in(to.path(), &received.output);
            }
        }
    }

    /// One of them has misheard the code: both end and say so.
    fn fail(&self, peers: &Peers, [sender, receiver]: [&Make; 2]) {
        let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let sample = Sample::make(Kind::File(1000), from.path());
        let code = new_code();
        let wrong = format!("{code}-not");
        let both = self.meet(peers, [sender, receiver], Route::Direct, &sample, &to, [&code, &wrong]);
        for one in both {
            let outcome = one.finish(LIMIT);
            assert!(outcome.code != Some(0), "{sender:?} {receiver:?}: {outcome:?}");
        }
        assert_eq!(fs::read_dir(to.path()).unwrap().count(), 0);
    }

    /// The receiver does not want it: both end and say so.
    fn cancel(&self, peers: &Peers) {
        let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let sample = Sample::make(Kind::File(1000), from.path());
        let code = new_code();
        let mut sending = Make::Python.command(peers, self, "send", Route::Direct);
        sending.args(["--code", &code]).args(sample.arguments());
        let mut receiving = Make::Python.command(peers, self, "receive", Route::Direct);
        receiving.arg(&code).current_dir(to.path());
        let (sending, mut receiving) =
            (Program::start("send", sending), Program::start("receive", receiving));
        receiving.type_in("n\n");
        for one in [sending, receiving] {
            let outcome = one.finish(LIMIT);
            assert!(outcome.code != Some(0), "{outcome:?}");
        }
        assert_eq!(fs::read_dir(to.path()).unwrap().count(), 0);
    }

    fn meet(
        &self,
        peers: &Peers,
        [sender, receiver]: [&Make; 2],
        route: Route,
        sample: &Sample,
        to: &TempDir,
        [ours, theirs]: [&String; 2],
    ) -> [Program; 2] {
        let mut sending = sender.command(peers, self, "send", route);
        sending.args(["--code", ours]).args(sample.arguments());
        let mut receiving = receiver.command(peers, self, "receive", route);
        receiving.args(receiver.accepting()).arg(theirs).current_dir(to.path());
        let sending = Program::start("send", sending);
        // Of some, the receiver gives up where nobody has claimed the nameplate.
        soon("the sender claims nothing", || {
            let name = ours.split('-').next();
            self.nameplates().iter().any(|found| Some(&**found) == name).then_some(())
        });
        let mut receiving = Program::start("receive", receiving);
        if let Make::Go(_) = receiver {
            receiving.type_in("y\n");
        }
        [sending, receiving]
    }
}

impl Make {
    /// A command with what it needs to find the servers.
    fn command(&self, peers: &Peers, servers: &Servers, command: &str, route: Route) -> Command {
        let url = format!("ws://{}/v1", servers.program.at("mailbox"));
        let relay = servers.program.at("relay");
        match self {
            Self::Python => {
                let mut line = peers.wormhole();
                let helper = if route == Route::Relay { format!("tcp:{relay}") } else { String::new() };
                line.args(["--relay-url", &url, "--transit-helper", &helper, command, "--hide-progress"]);
                if route == Route::Relay {
                    line.arg("--no-listen");
                }
                line
            }
            Self::Rust(path) => {
                let mut line = quiet(Command::new(path));
                line.args([command, "--rendezvous-server", &url, "--no-color"]);
                match route {
                    Route::Direct => line.arg("--force-direct"),
                    Route::Relay => line.args(["--force-relay", "--relay-server", &format!("tcp://{relay}")]),
                };
                line
            }
            Self::Go(path) => {
                let mut line = quiet(Command::new(path));
                line.args(["--relay-url", &url, command, "--hide-progress"]);
                line
            }
        }
    }

    /// What makes a receiver take whatever is offered.
    const fn accepting(&self) -> &'static [&'static str] {
        match self {
            Self::Python => &["--accept-file"],
            Self::Rust(_) => &["--noconfirm"],
            Self::Go(_) => &[],
        }
    }

    /// The one in Rust sends no texts, and makes an archive of a directory that it leaves as it is.
    const fn knows(&self, kind: Kind) -> bool {
        !matches!((self, kind), (Self::Rust(_), Kind::Text | Kind::Directory))
    }

    /// The relay of the one in Go cannot be chosen.
    const fn goes(&self, route: Route) -> bool {
        !matches!((self, route), (Self::Go(_), Route::Relay))
    }
}

fn makes() -> Vec<Make> {
    let others = OTHERS.into_iter().filter_map(|(variable, make)| env::var(variable).ok().map(make));
    [Make::Python].into_iter().chain(others).collect()
}

fn run(dir: &Path, mailbox: SocketAddr, relay: SocketAddr) -> Running {
    let path = dir.join("channels");
    let arguments = ["all", "--channel-db", path.to_str().unwrap()];
    let places = ["--mailbox", &mailbox.to_string(), "--relay", &relay.to_string()];
    Running::start(&[&arguments[..], &places].concat())
}

/// A code that no other exchange has.
fn new_code() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1000);
    format!("{}-guitarist-revenge", NEXT.fetch_add(1, Ordering::Relaxed))
}
