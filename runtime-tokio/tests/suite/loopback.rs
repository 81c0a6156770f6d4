//! Raw connections.

use std::future::poll_fn;
use std::net::TcpListener;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wormhole_core::driver::{Address, Conn, Input, Listen, Op, Target, Terms, Why};
use wormhole_runtime::{InFlight, Runtime, Stream};
use wormhole_tokio::{Network, Tokio};

use crate::soon;

const LISTENER: Conn = Conn(0);
const A: Conn = Conn(1);
const B: Conn = Conn(2);

#[tokio::test]
async fn a_transit_listener_is_reached_in_both_families() {
    let mut runtime = InFlight::new(Tokio::new());
    runtime.start(Op::Listen { conn: LISTENER, on: Listen::Transit });
    let Input::Listening { at, .. } = next(&mut runtime).await else { panic!("deaf") };
    assert!(!at.is_empty());
    let port = at[0].port;
    let mut hosts = vec!["127.0.0.1"];
    if TcpListener::bind("[::1]:0").is_ok() {
        hosts.push("::1");
    }
    for (number, host) in (10..).step_by(2).zip(hosts) {
        runtime.start(Op::Accept { at: LISTENER, conn: Conn(number) });
        runtime.start(Op::Open { conn: Conn(number + 1), target: Target::Peer(Address::new(host, port)) });
        for _ in 0..2 {
            let Input::Opened { peer: Some(peer), .. } = next(&mut runtime).await else { panic!("refused") };
            assert_eq!(peer.is_ipv6(), host.contains(':'), "no family comes in disguise");
        }
    }
}

#[tokio::test]
async fn peers_are_heard_at_a_port_of_those_that_may_be_used() {
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let first = taken.local_addr().unwrap().port();
    let last = first.saturating_add(200);
    let mut runtime =
        wormhole_tokio::runtime_on(&Network { ports: Some(first..=last), ..Network::default() });
    runtime.start(Op::Listen { conn: LISTENER, on: Listen::Transit });
    let Some(Input::Listening { at, .. }) = soon(runtime.next(None)).await else { panic!("deaf") };
    assert!(at.iter().all(|at| (first + 1..=last).contains(&at.port)), "{at:?}");
}

#[tokio::test]
async fn a_name_is_looked_up_for_a_dial_and_for_a_listener() {
    let mut runtime = InFlight::new(Tokio::new());
    runtime.start(Op::Listen { conn: LISTENER, on: Listen::Relay(Address::new("localhost", 0)) });
    let Input::Listening { at, .. } = next(&mut runtime).await else { panic!("deaf") };
    runtime.start(Op::Accept { at: LISTENER, conn: B });
    let target = Target::Relay(Address::new("localhost", at[0].port));
    runtime.start(Op::Open { conn: A, target });
    for _ in 0..2 {
        assert!(matches!(next(&mut runtime).await, Input::Opened { .. }));
    }
    let target = Target::Peer(Address::new("no-such-name.invalid", 1));
    runtime.start(Op::Open { conn: Conn(9), target });
    assert_eq!(next(&mut runtime).await, Input::Closed { conn: Conn(9), why: Why::NoSuchName });
}

#[tokio::test]
async fn a_port_where_nobody_listens_refuses() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut runtime = InFlight::new(Tokio::new());
    runtime.start(Op::Open { conn: A, target: Target::Peer(free.into()) });
    assert_eq!(next(&mut runtime).await, Input::Closed { conn: A, why: Why::Refused });
}

#[tokio::test]
async fn the_last_line_arrives_though_much_was_not_read() {
    let mut runtime = pair().await;
    // B talks, and A leaves without having read a byte of it.
    runtime.start(Op::Write { conn: B, bytes: vec![1; 100_000] });
    assert_eq!(next(&mut runtime).await, Input::Sent { conn: B });
    let line = [vec![2; 1_000_000], b"the last line".to_vec()].concat();
    runtime.start(Op::Write { conn: A, bytes: line.clone() });
    runtime.start(Op::Close { conn: A });
    let mut got = Vec::new();
    loop {
        runtime.start(Op::Read { conn: B });
        let input = next(&mut runtime).await;
        if input == (Input::Closed { conn: B, why: Why::Ended }) {
            break;
        }
        if let Input::Received { conn: B, bytes } = input {
            got.extend(bytes);
        } else {
            assert_eq!(input, Input::Closed { conn: A, why: Why::Asked });
        }
    }
    assert_eq!(got.len(), line.len());
    assert!(got == line);
}

#[tokio::test]
async fn a_job_carries_on_with_a_connection_that_was_taken_out() {
    let mut runtime = pair().await;
    runtime.start(Op::Write { conn: A, bytes: b"go\n".to_vec() });
    let mut taken = runtime.take(A).unwrap();
    let content = vec![7; 3_000_000];
    let expected = content.len();
    let job = runtime.beside(async move {
        let mut rest = content.as_slice();
        while !rest.is_empty() {
            let count = poll_fn(|cx| taken.poll_write(cx, rest)).await.unwrap();
            rest = &rest[count..];
        }
        poll_fn(|cx| taken.poll_shutdown(cx)).await.unwrap();
    });
    let (mut got, mut ended) = (Vec::new(), false);
    loop {
        runtime.start(Op::Read { conn: B });
        let input = next(&mut runtime).await;
        if let Input::Received { conn: B, bytes } = input {
            got.extend(bytes);
        } else if input == Input::Tick {
            ended = true;
        } else {
            assert_eq!(input, Input::Closed { conn: B, why: Why::Ended });
            break;
        }
    }
    assert!(ended, "the end of the job was told");
    drop(job);
    assert!(got.starts_with(b"go\n"));
    assert_eq!(got.len(), expected + 3);
}

#[tokio::test]
async fn a_joined_pair_carries_megabytes_and_counts_them() {
    carry_megabytes().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_joined_pair_carries_megabytes_on_another_thread() {
    carry_megabytes().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pair_on_another_thread_ends_when_it_is_idle_closed_or_dropped() {
    let idle = Terms { idle: Some(Duration::from_millis(40)), ..Terms::default() };
    let (mut runtime, mut near, _far) = outside(idle).await;
    for _ in 0..2 {
        assert!(matches!(next(&mut runtime).await, Input::Closed { why: Why::Joined { bytes: 0 }, .. }));
    }
    assert_ended(&mut near).await;

    let (mut runtime, mut near, _far) = outside(Terms::default()).await;
    runtime.start(Op::Close { conn: B });
    for _ in 0..2 {
        assert!(matches!(next(&mut runtime).await, Input::Closed { why: Why::Joined { bytes: 0 }, .. }));
    }
    assert_ended(&mut near).await;

    let (runtime, mut near, _far) = outside(Terms::default()).await;
    drop(runtime);
    assert_ended(&mut near).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pair_on_another_thread_moves_no_more_than_it_is_granted() {
    let slow = Terms { bytes_per_second: Some(1 << 20), bytes: Some(1 << 18), ..Terms::default() };
    let (mut runtime, mut near, mut far) = outside(slow).await;
    let begun = std::time::Instant::now();
    let written = tokio::spawn(async move { near.write_all(&[7; 1 << 20]).await.map(|()| near) });
    let mut got = Vec::new();
    let copied = soon(async {
        let (read, first) = tokio::join!(far.read_to_end(&mut got), next(&mut runtime));
        // What was not read at the end comes as a reset.
        drop(read);
        first
    });
    assert!(matches!(copied.await, Input::Closed { why: Why::Joined { .. }, .. }));
    drop(written);
    assert!((1 << 18..1 << 20).contains(&got.len()), "{}", got.len());
    assert!(begun.elapsed() >= Duration::from_millis(100), "{:?}", begun.elapsed());
}

async fn carry_megabytes() {
    let mut runtime = InFlight::new(Tokio::new());
    runtime.start(Op::Listen { conn: LISTENER, on: Listen::Relay(Address::new("127.0.0.1", 0)) });
    let Input::Listening { at, .. } = next(&mut runtime).await else { panic!("deaf") };
    for (near, far) in [(A, B), (Conn(3), Conn(4))] {
        runtime.start(Op::Accept { at: LISTENER, conn: far });
        runtime.start(Op::Open { conn: near, target: Target::Relay(at[0].clone()) });
        next(&mut runtime).await;
        next(&mut runtime).await;
    }
    runtime.start(Op::Join { a: B, b: Conn(4), terms: Terms::default() });
    runtime.start(Op::Write { conn: A, bytes: vec![7; 5_000_000] });
    runtime.start(Op::Close { conn: A });
    let (mut got, mut joined) = (0, Vec::new());
    loop {
        runtime.start(Op::Read { conn: Conn(3) });
        let input = next(&mut runtime).await;
        if input == (Input::Closed { conn: Conn(3), why: Why::Ended }) {
            break;
        }
        if let Input::Received { conn: Conn(3), bytes } = input {
            got += bytes.len();
        } else if let Input::Closed { conn, why: Why::Joined { bytes } } = input {
            joined.push((conn, bytes));
        } else {
            assert_eq!(input, Input::Closed { conn: A, why: Why::Asked });
        }
    }
    assert_eq!(got, 5_000_000);
    while joined.len() < 2 {
        let Input::Closed { conn, why: Why::Joined { bytes } } = next(&mut runtime).await else { panic!() };
        joined.push((conn, bytes));
    }
    joined.sort_unstable();
    assert_eq!(joined, [(B, 5_000_000), (Conn(4), 0)]);
}

/// Two connections from outside that are joined.
async fn outside(terms: Terms) -> (InFlight<Tokio>, TcpStream, TcpStream) {
    let mut runtime = InFlight::new(Tokio::new());
    runtime.start(Op::Listen { conn: LISTENER, on: Listen::Relay(Address::new("127.0.0.1", 0)) });
    let Input::Listening { at, .. } = next(&mut runtime).await else { panic!("deaf") };
    let mut callers = Vec::new();
    for conn in [A, B] {
        runtime.start(Op::Accept { at: LISTENER, conn });
        callers.push(TcpStream::connect(at[0].to_string()).await.unwrap());
        assert!(matches!(next(&mut runtime).await, Input::Opened { .. }));
    }
    runtime.start(Op::Join { a: A, b: B, terms });
    let (far, near) = (callers.pop().unwrap(), callers.pop().unwrap());
    (runtime, near, far)
}

async fn assert_ended(near: &mut TcpStream) {
    assert_eq!(soon(near.read(&mut [0])).await.unwrap(), 0);
}

async fn pair() -> InFlight<Tokio> {
    let mut runtime = InFlight::new(Tokio::new());
    runtime.start(Op::Listen { conn: LISTENER, on: Listen::Relay(Address::new("127.0.0.1", 0)) });
    let Input::Listening { at, .. } = next(&mut runtime).await else { panic!("deaf") };
    runtime.start(Op::Accept { at: LISTENER, conn: B });
    runtime.start(Op::Open { conn: A, target: Target::Peer(at[0].clone()) });
    for _ in 0..2 {
        assert!(matches!(next(&mut runtime).await, Input::Opened { .. }));
    }
    runtime
}

async fn next(runtime: &mut InFlight<Tokio>) -> Input {
    soon(runtime.next(None)).await.unwrap()
}
