//! What is dropped, on any adapter, closes its sockets at once and waits for nothing.
#![cfg(test)]

use std::fs::{self, File};
use std::io::Read;
use std::net::TcpListener;
use std::sync::mpsc::{self, Sender as Tell};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use wormhole_core::code::Code;
use wormhole_core::error::{Error as CoreError, TransitFault};
use wormhole_runtime::{Config, OnNetwork};
use wormhole_tests::{Adapter, Executor, Gate, Servers, Side};
use wormhole_transfer::{Content, Error, Event, Sender};

/// How long a drop may take on a computer that is busy, and the other end may take to see it.
const SOON: Duration = Duration::from_secs(5);
/// Much more than sockets hold.
const FILE: u64 = 1 << 30;

#[test]
fn a_server_that_says_nothing_sees_the_end_at_once() {
    for adapter in Adapter::ALL {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/v1", silent.local_addr().unwrap());
        let config = config(&url).wait_limit(Duration::from_millis(20));
        let mut side = adapter.wormhole(config).unwrap();
        let accepting = thread::spawn(move || silent.accept().unwrap().0);
        while !accepting.is_finished() {
            assert_eq!(side.welcome(), Err(CoreError::TimedOut));
        }
        let mut server = accepting.join().unwrap();
        drop_quickly(adapter, side);
        server.set_read_timeout(Some(SOON)).unwrap();
        let mut request = Vec::new();
        // A reset is an end, too; a wait that is over is none.
        let end = server.read_to_end(&mut request);
        assert!(end.is_ok() || end.unwrap_err().kind() == std::io::ErrorKind::ConnectionReset);
    }
}

#[test]
fn a_server_sees_the_end_of_a_conversation_at_once() {
    for adapter in Adapter::ALL {
        let gate = Gate::before(Servers::ours().ports()[0]);
        let config = config(&url(&gate));
        let mut sides = [(); 2].map(|()| adapter.wormhole(config.clone()).unwrap());
        sides[0].allocate_code(2).unwrap();
        let code = sides[0].code().unwrap();
        sides[1].set_code(code.as_str()).unwrap();
        let verified = sides.map(|mut side| {
            thread::spawn(move || {
                side.verifier().unwrap();
                side
            })
        });
        for side in verified {
            let mut side = side.join().unwrap();
            // This may still have to leave when it is dropped.
            side.send(&[7; 100_000]).unwrap();
            drop_quickly(adapter, side);
        }
        assert_eq!(gate.came(), 2);
        gate.expect_nobody(SOON);
    }
}

#[test]
fn a_relay_and_the_other_side_see_the_end_of_a_file_at_once() {
    // At the same time, since a receiver waits for a reason for two seconds.
    let lost = Adapter::ALL.map(|adapter| thread::spawn(move || lose_a_file(adapter)));
    for lost in lost {
        lost.join().unwrap();
    }
}

fn lose_a_file(adapter: Adapter) {
    let work = TempDir::new().unwrap();
    let (file, to) = (work.path().join("file"), work.path().join("to"));
    File::create(&file).unwrap().set_len(FILE).unwrap();
    fs::create_dir(&to).unwrap();
    let [mailbox, relay] = Servers::ours().ports().map(Gate::before);
    let config = config(&url(&mailbox)).relays([format!("tcp:127.0.0.1:{}", relay.port())]).listen(false);
    let (tell, told) = mpsc::channel();
    let (ours, content) = (config.clone(), Content::open(&file).unwrap());
    let sending = thread::spawn(move || vanish(adapter, ours, content, tell));
    let received = adapter.receive(config, told.recv().unwrap(), to.clone());
    assert!(sending.join().unwrap() < SOON);
    let lost = matches!(received, Err(Error::Wormhole(CoreError::Transit(TransitFault::Lost { .. }))));
    assert!(lost, "{adapter:?} {received:?}");
    assert_eq!(fs::read_dir(&to).unwrap().count(), 0);
    mailbox.expect_nobody(SOON);
    relay.expect_nobody(SOON);
}

/// A sender that is dropped as soon as content flows: how long that took.
fn vanish(adapter: Adapter, config: Config, content: Content, tell: Tell<Code>) -> Duration {
    match adapter {
        Adapter::Tokio => Executor::tokio().run(vanishing::<wormhole_tokio::Runtime>(config, content, tell)),
        Adapter::AsyncStd => {
            Executor::AsyncStd.run(vanishing::<wormhole_async_std::Runtime>(config, content, tell))
        }
        Adapter::Smol => Executor::Smol.run(vanishing::<wormhole_smol::Runtime>(config, content, tell)),
        Adapter::Blocking => {
            let mut sender = wormhole_blocking::transfer::Sender::new(config, content).unwrap();
            sender.allocate_code(2).unwrap();
            tell.send(sender.code().unwrap()).unwrap();
            while !matches!(sender.next_event(), Event::Connected(_)) {}
            timed(sender)
        }
    }
}

async fn vanishing<R: OnNetwork>(config: Config, content: Content, tell: Tell<Code>) -> Duration {
    let mut sender = Sender::<R>::new(config, content).unwrap();
    sender.allocate_code(2).unwrap();
    tell.send(sender.code().await.unwrap()).unwrap();
    while !matches!(sender.next_event().await, Event::Connected(_)) {}
    timed(sender)
}

fn drop_quickly(adapter: Adapter, side: Box<dyn Side>) {
    let took = timed(side);
    println!("{adapter:?}: dropped in {took:?}");
    assert!(took < SOON, "{took:?}");
}

fn timed<T>(value: T) -> Duration {
    let asked = Instant::now();
    drop(value);
    asked.elapsed()
}

fn url(gate: &Gate) -> String {
    format!("ws://127.0.0.1:{}/v1", gate.port())
}

fn config(url: &str) -> Config {
    Config::new("example.com/drops").mailbox(url)
}
