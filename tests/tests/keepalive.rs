//! Every connection of every adapter has TCP's keep-alive: a path that is dead for minutes is noticed although nothing is said.
#![cfg(test)]
#![cfg(target_os = "linux")]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use wormhole_core::driver::{Address, Conn, Input, Listen, Op, Target};
use wormhole_runtime::Runtime;
use wormhole_tests::Executor;

const DIALLED: Conn = Conn(1);
const LISTENER: Conn = Conn(2);
const ACCEPTED: Conn = Conn(3);
/// After how long a silent connection is probed.
const PROBED_AFTER: Duration = Duration::from_secs(120);

#[test]
fn tokio_probes_silent_connections() {
    Executor::tokio().run(async { check(wormhole_tokio::runtime()).await });
}

#[test]
fn async_std_probes_silent_connections() {
    Executor::AsyncStd.run(async { check(wormhole_async_std::runtime()).await });
}

#[test]
fn smol_probes_silent_connections() {
    Executor::Smol.run(async { check(wormhole_smol::runtime()).await });
}

#[test]
fn threads_probe_silent_connections() {
    Executor::Smol.run(async { check(wormhole_blocking::runtime()).await });
}

/// One connection that the runtime dials, and one that it accepts.
async fn check(mut runtime: impl Runtime) {
    let theirs = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = theirs.local_addr().unwrap().port();
    runtime.start(Op::Open { conn: DIALLED, target: Target::Peer(Address::new("127.0.0.1", port)) });
    let opened = runtime.next(None).await;
    assert!(matches!(opened, Some(Input::Opened { conn: DIALLED, .. })), "{opened:?}");
    let (_dialled, from) = theirs.accept().unwrap();
    expect_probes(from.port(), port);

    runtime.start(Op::Listen { conn: LISTENER, on: Listen::Relay(Address::new("127.0.0.1", 0)) });
    let Some(Input::Listening { at, .. }) = runtime.next(None).await else { panic!("it does not listen") };
    let port = at[0].port;
    runtime.start(Op::Accept { at: LISTENER, conn: ACCEPTED });
    let caller = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let opened = runtime.next(None).await;
    assert!(matches!(opened, Some(Input::Opened { conn: ACCEPTED, .. })), "{opened:?}");
    expect_probes(port, caller.local_addr().unwrap().port());
    // Ours has none, so the system does not give it to everybody.
    assert_eq!(next_probe(caller.local_addr().unwrap().port(), port), None);
}

#[track_caller]
fn expect_probes(local: u16, remote: u16) {
    let next = next_probe(local, remote).expect("nothing is probed");
    assert!(next <= PROBED_AFTER && next > PROBED_AFTER / 2, "after {next:?}");
}

/// When the system probes a connection, which it tells in `/proc/net/tcp`: a timer of kind 2, and its hundredths of a second.
#[track_caller]
fn next_probe(local: u16, remote: u16) -> Option<Duration> {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let is_port = |at: &str, port: u16| at.ends_with(&format!(":{port:04X}"));
    let row = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut row = row.filter(|row| is_port(row[1], local) && is_port(row[2], remote));
    let (kind, when) = row.next().expect("there is no such connection")[5].split_once(':').unwrap();
    let hundredths = u64::from_str_radix(when, 16).unwrap();
    (kind == "02").then(|| Duration::from_millis(hundredths * 10))
}
