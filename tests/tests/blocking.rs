//! What only the blocking adapter has to show: its calls end when they are told to, and its threads with them.
#![cfg(test)]

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use wormhole_blocking::transfer::{Content, Destination, Error, Event, Receiver, Sender};
use wormhole_blocking::{Canceller, Config, Wormhole};
use wormhole_core::code::Code;
use wormhole_core::error::Error as CoreError;
use wormhole_tests::{Executor, Servers, new_code};

/// How soon a cancelled call ends, and the threads of a dropped value.
const SOON: Duration = Duration::from_secs(1);
/// How long a test waits for what should happen.
const LIMIT: Duration = Duration::from_secs(30);
/// Much more than two sockets hold.
const FILE: u64 = 256 << 20;

#[test]
fn a_dial_without_an_answer_is_cancelled() {
    let _alone = alone();
    let (_listener, _callers, at) = full_queue();
    let mut wormhole = wormhole(&format!("ws://{at}/v1"));
    wormhole.allocate_code(2).unwrap();
    // A thread has its name only when it runs.
    until(|| threads() > 0);
    let canceller = wormhole.canceller();
    ends_soon([canceller], move || {
        assert_eq!(wormhole.code(), Err(CoreError::Cancelled));
        assert_eq!(wormhole.close(), Err(CoreError::Cancelled));
    });
    expect_no_threads();
}

#[test]
fn a_server_that_says_nothing_is_cancelled() {
    let _alone = alone();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut wormhole = wormhole(&format!("ws://{}/v1", silent.local_addr().unwrap()));
    let canceller = wormhole.canceller();
    ends_soon([canceller], move || assert_eq!(wormhole.welcome(), Err(CoreError::Cancelled)));
    expect_no_threads();
}

#[test]
fn a_wait_for_the_other_side_is_cancelled_and_the_server_is_told() {
    let _alone = alone();
    let mut wormhole = wormhole(&Servers::ours().mailbox_url());
    wormhole.allocate_code(2).unwrap();
    let code = wormhole.code().unwrap();
    let canceller = wormhole.canceller();
    ends_soon([canceller.clone(), canceller], move || {
        assert_eq!(wormhole.receive(), Err(CoreError::Cancelled));
        assert_eq!(wormhole.close(), Err(CoreError::Cancelled));
    });
    assert!(!Servers::ours().nameplates().contains(&code.nameplate().to_string()));
    expect_no_threads();
}

#[test]
fn a_call_that_was_cancelled_before_ends_at_once() {
    let _alone = alone();
    let mut wormhole = wormhole(&Servers::ours().mailbox_url());
    wormhole.canceller().cancel();
    ends_soon([], move || assert_eq!(wormhole.code(), Err(CoreError::Cancelled)));
    expect_no_threads();
}

#[test]
fn a_file_that_flows_to_a_peer_that_reads_nothing_is_cancelled_and_the_peer_told() {
    let _alone = alone();
    let world = World::new();
    let code = code();
    let (at, told, peer) = world.idle_receiver(code.clone());
    let mut sender = world.sender(code);
    let (canceller, progress) = (sender.canceller(), sender.progress());
    let sending = thread::spawn(move || (sender.finish(), Instant::now()));
    at.recv_timeout(LIMIT).unwrap();
    // It flows until the sockets are full. Only the system knows when that is: where nothing has moved for a moment without
    // their being full, the call ends as it should all the same, and the test has only shown less.
    until(|| {
        let before = progress.done();
        thread::sleep(Duration::from_millis(100));
        before > 0 && progress.done() == before
    });
    let asked = Instant::now();
    canceller.cancel();
    let (outcome, ended) = sending.join().unwrap();
    assert_eq!(outcome, Err(Error::Wormhole(CoreError::Cancelled)));
    assert!(ended - asked < SOON, "{:?}", ended - asked);
    expect_no_threads();
    told.send(()).unwrap();
    let end = peer.join().unwrap();
    assert!(matches!(end, Err(Error::Wormhole(CoreError::Peer(_)))), "{end:?}");
}

#[test]
fn a_file_of_which_nothing_comes_is_cancelled() {
    let _alone = alone();
    let world = World::new();
    let code = code();
    let (at, told, peer) = world.idle_sender(code.clone());
    let mut receiver = world.receiver(code);
    let canceller = receiver.canceller();
    receiver.offer().unwrap();
    receiver.accept(&Destination::Into(world.to.path().into())).unwrap();
    until_connected(&mut || receiver.next_event());
    at.recv_timeout(LIMIT).unwrap();
    ends_soon([canceller], move || {
        assert_eq!(receiver.finish(), Err(Error::Wormhole(CoreError::Cancelled)));
    });
    expect_no_threads();
    assert_eq!(fs::read_dir(world.to.path()).unwrap().count(), 0);
    told.send(()).unwrap();
    assert!(peer.join().unwrap().is_err());
}

#[test]
fn what_is_dropped_while_a_file_flows_does_not_wait_and_leaves_no_thread() {
    let _alone = alone();
    let world = World::new();
    let code = code();
    let (_at, told, peer) = world.idle_receiver(code.clone());
    let mut sender = world.sender(code);
    until_connected(&mut || sender.next_event());
    let progress = sender.progress();
    let canceller = sender.canceller();
    let flowing = thread::spawn(move || {
        // It moves as long as somebody waits: until it is cancelled here.
        sender.next_event();
        let asked = Instant::now();
        drop(sender);
        asked.elapsed()
    });
    until(|| progress.done() > 0);
    canceller.cancel();
    assert!(flowing.join().unwrap() < Duration::from_millis(200));
    expect_no_threads();
    told.send(()).unwrap();
    assert!(peer.join().unwrap().is_err());
}

#[test]
fn a_transfer_that_is_dropped_half_way_leaves_no_thread() {
    let _alone = alone();
    let world = World::new();
    let code = code();
    let (at, told, peer) = world.idle_receiver(code.clone());
    let mut sender = world.sender(code);
    until_connected(&mut || sender.next_event());
    at.recv_timeout(LIMIT).unwrap();
    assert!(threads() > 0);
    let asked = Instant::now();
    drop(sender);
    assert!(asked.elapsed() < Duration::from_millis(200));
    expect_no_threads();
    told.send(()).unwrap();
    assert!(peer.join().unwrap().is_err());
}

#[test]
fn a_listener_leaves_no_thread() {
    let _alone = alone();
    let world = World::new();
    let code = code();
    // Both sides listen once they know of each other, and wait for the other's answer.
    let mut sender = world.sender(code.clone());
    let mut receiver = world.receiver(code);
    let canceller = sender.canceller();
    let waiting = thread::spawn(move || sender.finish());
    receiver.offer().unwrap();
    canceller.cancel();
    assert_eq!(waiting.join().unwrap(), Err(Error::Wormhole(CoreError::Cancelled)));
    drop(receiver);
    expect_no_threads();
}

#[test]
fn it_works_in_the_pools_of_all_executors_at_once() {
    let _alone = alone();
    let talk = |code: Code| {
        let mut wormhole = wormhole(&Servers::ours().mailbox_url());
        wormhole.set_code(code.as_str()).unwrap();
        wormhole.send(b"hello").unwrap();
        let heard = wormhole.receive().unwrap();
        wormhole.stored().unwrap();
        wormhole.close().unwrap();
        heard
    };
    let (one, two) = (code(), code());
    let smol = (
        smol::unblock({
            let one = one.clone();
            move || talk(one)
        }),
        smol::unblock(move || talk(one)),
    );
    let async_std = async_std::task::spawn_blocking({
        let two = two.clone();
        move || talk(two)
    });
    let heard = Executor::tokio().run(async move {
        let tokio = tokio::task::spawn_blocking(move || talk(two));
        [smol.0.await, smol.1.await, async_std.await, tokio.await.unwrap()]
    });
    assert!(heard.iter().all(|heard| heard == b"hello"));
    expect_no_threads();
}

/// Threads are counted, so one test runs at a time.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // Beforehand, since asking for it may start it.
    Servers::ours();
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wormhole(url: &str) -> Wormhole {
    let config = Config::new("example.com/blocking").mailbox(url);
    Wormhole::new(config).unwrap()
}

fn code() -> Code {
    Code::parse(&new_code()).unwrap()
}

/// Does what waits, cancels it once it does, and finds that it ends.
fn ends_soon<const N: usize>(cancellers: [Canceller; N], call: impl FnOnce() + Send + 'static) {
    let (begins, begun) = mpsc::channel();
    let calling = thread::spawn(move || {
        begins.send(()).unwrap();
        call();
        Instant::now()
    });
    begun.recv_timeout(LIMIT).unwrap();
    let asked = Instant::now();
    for canceller in cancellers {
        canceller.cancel();
    }
    let took = calling.join().unwrap() - asked;
    assert!(took < SOON, "{took:?}");
}

/// The threads of the blocking adapter in this process.
fn threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    // One may end while we look.
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim_end() == "wormhole").count()
}

fn expect_no_threads() {
    let asked = Instant::now();
    while threads() > 0 {
        assert!(asked.elapsed() < SOON, "{} threads are left", threads());
        thread::sleep(Duration::from_millis(10));
    }
}

fn until(mut is_so: impl FnMut() -> bool) {
    let asked = Instant::now();
    while !is_so() {
        assert!(asked.elapsed() < LIMIT);
        thread::sleep(Duration::from_millis(10));
    }
}

fn until_connected(next: &mut dyn FnMut() -> Event) {
    loop {
        match next() {
            Event::Connected(_) => return,
            Event::Closed(end) => panic!("it ended: {end:?}"),
            Event::Session(_)
            | Event::Offered(_)
            | Event::Answered
            | Event::OurHints(_)
            | Event::TheirHints(_)
            | Event::Spooling
            | Event::Sent
            | Event::Stored(_)
            | Event::Complete => {}
        }
    }
}

/// An address where a dial is not answered: nobody accepts, and the queue is full.
fn full_queue() -> (socket2::Socket, Vec<TcpStream>, SocketAddr) {
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let at = listener.local_addr().unwrap().as_socket().unwrap();
    let brief = Duration::from_millis(200);
    let callers = (0..8).map_while(|_| TcpStream::connect_timeout(&at, brief).ok()).collect();
    (listener, callers, at)
}

/// Where files go from and to.
struct World {
    from: TempDir,
    to: TempDir,
}

/// A peer that stops as soon as there is a connection, until it is told to go on: when it stops, how it is told, and how
/// it ends.
type Peer = (mpsc::Receiver<()>, mpsc::Sender<()>, thread::JoinHandle<Result<(), Error>>);

impl World {
    fn new() -> Self {
        let world = Self { from: TempDir::new().unwrap(), to: TempDir::new().unwrap() };
        File::create(world.file()).unwrap().set_len(FILE).unwrap();
        world
    }

    fn file(&self) -> std::path::PathBuf {
        self.from.path().join("file")
    }

    fn sender(&self, code: Code) -> Sender {
        let content = Content::open(&self.file()).unwrap();
        let mut sender = Sender::new(config(), content).unwrap();
        sender.set_code(code).unwrap();
        sender
    }

    fn receiver(&self, code: Code) -> Receiver {
        let mut receiver = Receiver::new(config()).unwrap();
        receiver.set_code(code).unwrap();
        receiver
    }

    fn idle_receiver(&self, code: Code) -> Peer {
        let to = self.to.path().to_path_buf();
        peer(move |stop| idle_receiver(code, to.as_path(), stop))
    }

    fn idle_sender(&self, code: Code) -> Peer {
        let file = self.file();
        peer(move |stop| idle_sender(code, &file, stop))
    }
}

fn peer(run: impl FnOnce(&mut dyn FnMut()) -> Result<(), Error> + Send + 'static) -> Peer {
    let ((stops, stopped), (tell, told)) = (mpsc::channel(), mpsc::channel());
    let thread = thread::spawn(move || {
        run(&mut || {
            stops.send(()).unwrap();
            told.recv_timeout(LIMIT).unwrap();
        })
    });
    (stopped, tell, thread)
}

fn idle_receiver(code: Code, to: &Path, stop: &mut dyn FnMut()) -> Result<(), Error> {
    Executor::tokio().run(async {
        let mut receiver = wormhole_tokio::transfer::Receiver::new(config()).unwrap();
        receiver.set_code(code).unwrap();
        receiver.offer().await?;
        receiver.accept(&Destination::Into(to.into()))?;
        while !matches!(receiver.next_event().await, Event::Connected(_) | Event::Closed(_)) {}
        stop();
        receiver.finish().await.map(drop)
    })
}

fn idle_sender(code: Code, file: &Path, stop: &mut dyn FnMut()) -> Result<(), Error> {
    Executor::tokio().run(async {
        let content = Content::open(file)?;
        let mut sender = wormhole_tokio::transfer::Sender::new(config(), content).unwrap();
        sender.set_code(code).unwrap();
        while !matches!(sender.next_event().await, Event::Connected(_) | Event::Closed(_)) {}
        stop();
        sender.finish().await
    })
}

fn config() -> Config {
    Config::default().mailbox(&Servers::ours().mailbox_url()).relays::<String>([])
}
