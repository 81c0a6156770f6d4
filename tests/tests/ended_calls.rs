//! A blocking call can be ended from another thread, and by a time limit, at every stage; no thread is left behind.
#![cfg(test)]

use std::fmt::Debug;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use wormhole_blocking::transcribe;
use wormhole_blocking::transfer::{self, Content, Destination, Event, Receiver, Sender};
use wormhole_blocking::{Canceller, Wormhole};
use wormhole_core::code::Code;
use wormhole_core::driver::{Address, Conn, Input, Listen, Op};
use wormhole_core::error::Error;
use wormhole_runtime::{Config, Runtime};
use wormhole_tests::{Executor, Servers, new_code};

/// How soon a call should end. The test fails only where it takes much longer, on a computer that is busy.
const SOON: Duration = Duration::from_secs(5);
/// How long a call may wait where a limit ends it.
const WAIT: Duration = Duration::from_millis(150);
/// Long enough for a call to be where it waits. A call that is ended before that ends at once, too.
const SETTLED: Duration = Duration::from_millis(60);
/// More than two sockets hold.
const LARGE: u64 = 256 << 20;
/// Less than they hold, so that all of it leaves.
const SMALL: u64 = 1000;

/// A call that waits, and what ends it.
struct Stage {
    name: &'static str,
    canceller: Canceller,
    call: Box<dyn FnOnce() -> Error + Send>,
}

#[test]
fn a_call_is_ended_from_another_thread_at_every_stage_and_leaves_no_thread() {
    let (_alone, world) = (alone(), World::new());
    for make in STAGES {
        assert_eq!(threads(), 0);
        let stage = make(&world, &plain());
        let (name, canceller) = (stage.name, stage.canceller.clone());
        let (begin, begun) = mpsc::channel();
        let calling = thread::spawn(move || {
            begin.send(()).unwrap();
            ((stage.call)(), Instant::now())
        });
        begun.recv().unwrap();
        thread::sleep(SETTLED);
        assert!(!calling.is_finished(), "{name} does not wait");
        let during = threads();
        let asked = Instant::now();
        canceller.cancel();
        let (error, ended) = calling.join().unwrap();
        let took = ended.saturating_duration_since(asked);
        assert_eq!(error, Error::Cancelled, "{name}");
        assert!(took < SOON, "{name} took {took:?}");
        expect_no_threads(name);
        println!("{name}: cancelled in {took:?}; {during} threads before, none after");
    }
}

#[test]
fn a_call_is_ended_by_its_limit_at_every_stage_and_leaves_no_thread() {
    let (_alone, world) = (alone(), World::new());
    for make in STAGES {
        let stage = make(&world, &plain().wait_limit(WAIT));
        let name = stage.name;
        let asked = Instant::now();
        assert_eq!((stage.call)(), Error::TimedOut, "{name}");
        let took = asked.elapsed();
        assert!(took < WAIT + SOON, "{name} took {took:?}");
        expect_no_threads(name);
        println!("{name}: ended after {took:?} by a limit of {WAIT:?}; no thread after");
    }
}

const STAGES: [fn(&World, &Config) -> Stage; 17] = [
    silent_server,
    code,
    nameplates,
    word_list,
    peer,
    versions,
    record,
    room,
    stored,
    swap_code,
    swap_blob,
    swap_answer,
    sender_without_peer,
    receiver_without_peer,
    content_to_idle_peer,
    content_from_idle_peer,
    ack,
];

fn silent_server(world: &World, config: &Config) -> Stage {
    wormhole(
        "a server that says nothing",
        config.clone().mailbox(&world.silent),
        |_| (),
        |side| side.welcome(),
    )
}

fn code(world: &World, config: &Config) -> Stage {
    let begin = |side: &mut Wormhole| side.allocate_code(2).unwrap();
    wormhole("a code", config.clone().mailbox(&world.mute), begin, |side| side.code())
}

fn nameplates(world: &World, config: &Config) -> Stage {
    let begin = |side: &mut Wormhole| side.input_code().unwrap();
    wormhole("the nameplates", config.clone().mailbox(&world.mute), begin, |side| side.nameplates())
}

fn word_list(world: &World, config: &Config) -> Stage {
    let begin = |side: &mut Wormhole| {
        side.input_code().unwrap();
        side.choose_nameplate("4").unwrap();
    };
    wormhole("the word list", config.clone().mailbox(&world.mute), begin, |side| side.word_list())
}

fn peer(_: &World, config: &Config) -> Stage {
    wormhole("the peer", config.clone(), |side| side.set_code(&new_code()).unwrap(), |side| side.verifier())
}

/// The other side has said who it is, and makes no further call.
fn versions(_: &World, config: &Config) -> Stage {
    let begin = |side: &mut Wormhole| {
        let code = new_code();
        let mut peer = Wormhole::new(plain()).unwrap();
        peer.set_code(&code).unwrap();
        peer.stored().unwrap();
        drop(peer);
        side.set_code(&code).unwrap();
        patient(|| side.unverified_key());
    };
    wormhole("the peer's versions", config.clone(), begin, |side| side.versions())
}

/// The other side has proved itself, and says nothing.
fn record(_: &World, config: &Config) -> Stage {
    let begin = |side: &mut Wormhole| {
        let code = new_code();
        side.set_code(&code).unwrap();
        let peer = thread::spawn(move || {
            let mut peer = Wormhole::new(plain()).unwrap();
            peer.set_code(&code).unwrap();
            peer.versions().unwrap();
            peer.stored().unwrap();
        });
        patient(|| side.versions());
        peer.join().unwrap();
    };
    wormhole("a record", config.clone(), begin, |side| side.receive())
}

fn room(_: &World, config: &Config) -> Stage {
    let begin = |side: &mut Wormhole| {
        side.set_code(&new_code()).unwrap();
        // The server confirms the first message on the way, which makes room once more.
        patient(|| side.welcome());
        for _ in 0..255 {
            patient(|| side.send(b"one of many"));
        }
    };
    wormhole("room to send", config.clone(), begin, |side| -> Result<(), _> {
        loop {
            side.send(b"one more")?;
        }
    })
}

fn stored(_: &World, config: &Config) -> Stage {
    let begin = |side: &mut Wormhole| {
        side.set_code(&new_code()).unwrap();
        patient(|| side.send(b"for nobody"));
    };
    wormhole("what was sent to be stored", config.clone(), begin, |side| side.stored())
}

fn swap_code(world: &World, config: &Config) -> Stage {
    let mut side = transcribe::Initiator::with(config.clone().mailbox(&world.mute), b"blob").unwrap();
    stage("an introduction's code", side.canceller(), move || side.start().unwrap_err())
}

fn swap_blob(_: &World, config: &Config) -> Stage {
    let mut side = transcribe::Initiator::with(config.clone(), b"blob").unwrap();
    stage("an introduction's blob", side.canceller(), move || side.finish().unwrap_err())
}

fn swap_answer(_: &World, config: &Config) -> Stage {
    let mut side = transcribe::Receiver::with(config.clone(), new_code(), b"blob").unwrap();
    stage("an introduction's answer", side.canceller(), move || side.finish().unwrap_err())
}

fn sender_without_peer(world: &World, config: &Config) -> Stage {
    let mut sender = Sender::new(config.clone(), Content::open(&world.file(SMALL)).unwrap()).unwrap();
    sender.set_code(fresh()).unwrap();
    stage("a receiver", sender.canceller(), move || why(sender.finish()))
}

fn receiver_without_peer(_: &World, config: &Config) -> Stage {
    let mut receiver = Receiver::new(config.clone()).unwrap();
    receiver.set_code(fresh()).unwrap();
    stage("an offer", receiver.canceller(), move || why(receiver.offer()))
}

fn content_to_idle_peer(world: &World, config: &Config) -> Stage {
    let sender = world.connected_sender(config, LARGE);
    finish("a peer that reads nothing", sender)
}

fn content_from_idle_peer(world: &World, config: &Config) -> Stage {
    let (code, file) = (fresh(), world.file(LARGE));
    let mut receiver = Receiver::new(config.clone()).unwrap();
    receiver.set_code(code.clone()).unwrap();
    thread::spawn(move || idle_sender(code, &file));
    patient_transfer(|| receiver.offer());
    receiver.accept(&Destination::Into(world.to())).unwrap();
    until(|| receiver.next_event(), |event| matches!(event, Event::Connected(_)));
    let canceller = receiver.canceller();
    stage("a peer that says nothing", canceller, move || why(receiver.finish()))
}

fn ack(world: &World, config: &Config) -> Stage {
    let mut sender = world.connected_sender(config, SMALL);
    until(|| sender.next_event(), |event| matches!(event, Event::Sent));
    finish("a peer's confirmation", sender)
}

fn finish(name: &'static str, mut sender: Sender) -> Stage {
    stage(name, sender.canceller(), move || why(sender.finish()))
}

/// A wormhole that has come to where it waits.
fn wormhole<T: Debug + 'static>(
    name: &'static str,
    config: Config,
    begin: impl FnOnce(&mut Wormhole),
    call: impl FnOnce(&mut Wormhole) -> Result<T, Error> + Send + 'static,
) -> Stage {
    let mut side = Wormhole::new(config).unwrap();
    begin(&mut side);
    stage(name, side.canceller(), move || call(&mut side).unwrap_err())
}

fn stage(name: &'static str, canceller: Canceller, call: impl FnOnce() -> Error + Send + 'static) -> Stage {
    Stage { name, canceller, call: Box::new(call) }
}

fn why<T: Debug>(outcome: Result<T, transfer::Error>) -> Error {
    match outcome {
        Err(transfer::Error::Wormhole(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// Threads are counted, so one test runs at a time.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Servers that do not do their part, and a place for files.
struct World {
    silent: String,
    mute: String,
    work: TempDir,
    _silent: TcpListener,
}

impl World {
    fn new() -> Self {
        // Beforehand, since asking for them starts them.
        Servers::ours();
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let work = TempDir::new().unwrap();
        Self {
            mute: mute_server(),
            silent: format!("ws://{}/v1", silent.local_addr().unwrap()),
            work,
            _silent: silent,
        }
    }

    fn file(&self, len: u64) -> PathBuf {
        let path = self.work.path().join(format!("file-{len}"));
        File::create(&path).unwrap().set_len(len).unwrap();
        path
    }

    fn to(&self) -> PathBuf {
        let to = self.work.path().join(new_code());
        fs::create_dir(&to).unwrap();
        to
    }

    /// A sender from which content flows to a peer that reads nothing.
    fn connected_sender(&self, config: &Config, len: u64) -> Sender {
        let (code, to) = (fresh(), self.to());
        let mut sender = Sender::new(config.clone(), Content::open(&self.file(len)).unwrap()).unwrap();
        sender.set_code(code.clone()).unwrap();
        thread::spawn(move || idle_receiver(code, &to));
        until(|| sender.next_event(), |event| matches!(event, Event::Connected(_)));
        sender
    }
}

fn plain() -> Config {
    Config::new("example.com/ended").mailbox(&Servers::ours().mailbox_url()).relays::<&str>([])
}

fn fresh() -> Code {
    Code::parse(&new_code()).unwrap()
}

/// A peer that makes no call once there is a connection, for as long as the test runs.
fn idle_receiver(code: Code, to: &Path) {
    Executor::tokio().run(async {
        let mut receiver = wormhole_tokio::transfer::Receiver::new(plain()).unwrap();
        receiver.set_code(code).unwrap();
        receiver.offer().await.unwrap();
        receiver.accept(&Destination::Into(to.into())).unwrap();
        while !matches!(receiver.next_event().await, Event::Connected(_) | Event::Closed(_)) {}
        thread::park_timeout(Duration::from_secs(60));
    });
}

fn idle_sender(code: Code, file: &Path) {
    Executor::tokio().run(async {
        let content = Content::open(file).unwrap();
        let mut sender = wormhole_tokio::transfer::Sender::new(plain(), content).unwrap();
        sender.set_code(code).unwrap();
        while !matches!(sender.next_event().await, Event::Connected(_) | Event::Closed(_)) {}
        thread::park_timeout(Duration::from_secs(60));
    });
}

/// A mailbox server that says hello and nothing else.
fn mute_server() -> String {
    const LISTENER: Conn = Conn(0);
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        Executor::tokio().run(async move {
            let mut runtime = wormhole_tokio::runtime();
            let on = Listen::Mailbox(Address::new("127.0.0.1", 0));
            runtime.start(Op::Listen { conn: LISTENER, on });
            let mut next = Conn(1);
            loop {
                match runtime.next(None).await {
                    Some(Input::Listening { at, .. }) => {
                        tell.send(format!("ws://{}/v1", at[0])).unwrap();
                        runtime.start(Op::Accept { at: LISTENER, conn: next });
                    }
                    Some(Input::Opened { conn, .. }) => {
                        let hello = br#"{"type": "welcome", "welcome": {}}"#.to_vec();
                        runtime.start(Op::Write { conn, bytes: hello });
                        runtime.start(Op::Read { conn });
                        next = Conn(next.0 + 1);
                        runtime.start(Op::Accept { at: LISTENER, conn: next });
                    }
                    Some(Input::Received { conn, .. }) => runtime.start(Op::Read { conn }),
                    Some(Input::Sent { .. } | Input::Closed { .. } | Input::Stored(_) | Input::Tick)
                    | None => {}
                }
            }
        });
    });
    told.recv().unwrap()
}

fn until(mut next: impl FnMut() -> Event, is_it: impl Fn(&Event) -> bool) {
    loop {
        let event = next();
        if is_it(&event) {
            return;
        }
        assert!(!matches!(event, Event::Closed(_)), "{event:?}");
    }
}

/// Repeats a wait until it is not over too early.
fn patient<T: Debug>(mut wait: impl FnMut() -> Result<T, Error>) -> T {
    loop {
        match wait() {
            Err(Error::TimedOut) => {}
            outcome => return outcome.unwrap(),
        }
    }
}

fn patient_transfer<T: Debug>(mut wait: impl FnMut() -> Result<T, transfer::Error>) -> T {
    patient(|| wait().map_err(|error| why::<T>(Err(error))))
}

/// The threads of the blocking adapter in this process.
fn threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    // One may end while we look.
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim_end() == "wormhole").count()
}

fn expect_no_threads(name: &str) {
    let asked = Instant::now();
    while threads() > 0 {
        assert!(asked.elapsed() < SOON, "{} threads are left after {name}", threads());
        thread::sleep(Duration::from_millis(5));
    }
}
