//! The loop in flight.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use wormhole_core::driver::{Address, Conn, Input, Instant, Listen, Op, Target, Terms, Why};
use wormhole_runtime::{InFlight, Runtime};

use crate::net::{Net, WINDOW, in_flight, listen, peer, run, settle};

const LISTENER: Conn = Conn(0);
const A: Conn = Conn(1);
const B: Conn = Conn(2);

#[test]
fn bytes_go_both_ways_and_only_to_those_who_read() {
    let (net, mut runtime) = pair();
    runtime.start(Op::Write { conn: A, bytes: b"hello".to_vec() });
    assert_eq!(settle(&mut runtime), [Input::Sent { conn: A }]);
    runtime.start(Op::Read { conn: B });
    assert_eq!(settle(&mut runtime), [Input::Received { conn: B, bytes: b"hello".to_vec() }]);
    runtime.start(Op::Read { conn: A });
    runtime.start(Op::Write { conn: B, bytes: b"good day".to_vec() });
    let mut came = settle(&mut runtime);
    came.sort_by_key(|input| matches!(input, Input::Received { .. }));
    assert_eq!(came, [Input::Sent { conn: B }, Input::Received { conn: A, bytes: b"good day".to_vec() }]);
    drop(net);
}

#[test]
fn what_was_written_in_one_turn_leaves_at_once() {
    let (net, mut runtime) = pair();
    net.polls();
    for word in ["one ", "two ", "", "three"] {
        runtime.start(Op::Write { conn: A, bytes: word.into() });
    }
    assert_eq!(net.polls(), 0, "starting does nothing");
    assert_eq!(settle(&mut runtime), vec![Input::Sent { conn: A }; 4]);
    assert_eq!(net.polls(), 1);
    runtime.start(Op::Read { conn: B });
    assert_eq!(settle(&mut runtime), [Input::Received { conn: B, bytes: b"one two three".to_vec() }]);
}

#[test]
fn one_message_among_5000_idle_connections_costs_no_more_than_among_50() {
    let cost = |count: u64| {
        let net = Net::default();
        let mut runtime = in_flight(&net);
        let port = listen(&mut runtime, LISTENER, Listen::Relay);
        for number in 0..count {
            let (near, far) = (Conn(10 + 2 * number), Conn(11 + 2 * number));
            runtime.start(Op::Open { conn: near, target: peer(port) });
            runtime.start(Op::Accept { at: LISTENER, conn: far });
            settle(&mut runtime);
            runtime.start(Op::Read { conn: near });
            runtime.start(Op::Read { conn: far });
        }
        settle(&mut runtime);
        net.polls();
        runtime.start(Op::Write { conn: Conn(10), bytes: b"one message".to_vec() });
        assert_eq!(settle(&mut runtime).len(), 2);
        net.polls()
    };
    let few = cost(50);
    assert_eq!(cost(5000), few);
    assert!(few <= 6, "{few}");
}

#[test]
fn a_slow_reader_holds_up_the_writer() {
    let (_net, mut runtime) = pair();
    runtime.start(Op::Write { conn: A, bytes: vec![1; WINDOW] });
    runtime.start(Op::Write { conn: A, bytes: vec![2; 10] });
    assert_eq!(settle(&mut runtime), [Input::Sent { conn: A }]);
    let mut got = 0;
    while got < WINDOW + 10 {
        runtime.start(Op::Read { conn: B });
        for input in settle(&mut runtime) {
            if let Input::Received { conn: B, bytes } = input {
                got += bytes.len();
            } else {
                assert_eq!(input, Input::Sent { conn: A });
            }
        }
    }
    assert_eq!(got, WINDOW + 10);
}

#[test]
fn closing_lets_written_bytes_leave() {
    let (net, mut runtime) = pair();
    let long = WINDOW + 1000;
    runtime.start(Op::Write { conn: A, bytes: vec![7; long] });
    runtime.start(Op::Close { conn: A });
    assert_eq!(settle(&mut runtime), [], "the window is full");
    let (got, mut seen) = read_all(&mut runtime, B);
    assert_eq!(got, long);
    seen.sort_by_key(|input| format!("{input:?}"));
    assert_eq!(
        seen,
        [Input::Closed { conn: A, why: Why::Asked }, Input::Closed { conn: B, why: Why::Ended }]
    );
    // A second word never comes, whatever is asked.
    runtime.start(Op::Read { conn: A });
    runtime.start(Op::Close { conn: A });
    net.advance(Duration::from_secs(10));
    assert_eq!(settle(&mut runtime), []);
}

#[test]
fn closing_does_not_wait_for_ever() {
    let (net, mut runtime) = pair();
    runtime.start(Op::Write { conn: A, bytes: vec![7; WINDOW + 1] });
    runtime.start(Op::Close { conn: A });
    assert_eq!(settle(&mut runtime), []);
    net.advance(Duration::from_secs(2));
    assert_eq!(settle(&mut runtime), [Input::Closed { conn: A, why: Why::Asked }]);
}

#[test]
fn unread_bytes_do_not_cost_the_other_side_our_last_line() {
    let (_net, mut runtime) = pair();
    runtime.start(Op::Write { conn: B, bytes: b"what nobody reads".to_vec() });
    runtime.start(Op::Write { conn: A, bytes: b"the last line".to_vec() });
    runtime.start(Op::Close { conn: A });
    settle(&mut runtime);
    runtime.start(Op::Write { conn: B, bytes: b"and more of it".to_vec() });
    assert_eq!(settle(&mut runtime), [Input::Sent { conn: B }], "somebody still discards it");
    let (got, seen) = read_all(&mut runtime, B);
    assert_eq!((got, seen.as_slice()), (13, &[Input::Closed { conn: B, why: Why::Ended }][..]));
}

#[test]
fn what_was_said_before_the_end_is_read_though_writing_fails() {
    let (net, mut runtime) = pair();
    let mut caller = {
        let port = port_of(&mut runtime);
        runtime.start(Op::Accept { at: LISTENER, conn: Conn(9) });
        let caller = net.call(port);
        settle(&mut runtime);
        caller
    };
    caller.write(b"last words");
    drop(caller);
    runtime.start(Op::Read { conn: Conn(9) });
    runtime.start(Op::Write { conn: Conn(9), bytes: b"too late".to_vec() });
    let received = Input::Received { conn: Conn(9), bytes: b"last words".to_vec() };
    let nobody_waits_for_it = Input::Sent { conn: Conn(9) };
    assert_eq!(settle(&mut runtime), [received, nobody_waits_for_it]);
    runtime.start(Op::Read { conn: Conn(9) });
    assert_eq!(settle(&mut runtime), [Input::Closed { conn: Conn(9), why: Why::Reset }]);
}

#[test]
fn nobody_there_is_refused() {
    let net = Net::default();
    let mut runtime = in_flight(&net);
    runtime.start(Op::Open { conn: A, target: peer(9) });
    assert_eq!(settle(&mut runtime), [Input::Closed { conn: A, why: Why::Refused }]);
}

#[test]
fn a_silent_address_is_given_up_in_time() {
    let net = Net::default();
    net.silence("127.0.0.1:9");
    let mut runtime = in_flight(&net);
    runtime.start(Op::Open { conn: A, target: peer(9) });
    assert_eq!(settle(&mut runtime), []);
    net.advance(Duration::from_secs(10));
    assert_eq!(settle(&mut runtime), [Input::Closed { conn: A, why: Why::TimedOut }]);
}

#[test]
fn a_dial_is_given_up_when_asked() {
    let net = Net::default();
    net.silence("127.0.0.1:9");
    let mut runtime = in_flight(&net);
    runtime.start(Op::Open { conn: A, target: peer(9) });
    settle(&mut runtime);
    runtime.start(Op::Close { conn: A });
    assert_eq!(settle(&mut runtime), [Input::Closed { conn: A, why: Why::Asked }]);
    net.advance(Duration::from_secs(60));
    assert_eq!(settle(&mut runtime), []);
}

#[test]
fn a_mailbox_is_no_matter_of_bytes() {
    let mut runtime = in_flight(&Net::default());
    runtime.start(Op::Open { conn: A, target: Target::Mailbox("ws://127.0.0.1/v1".into()) });
    assert!(matches!(settle(&mut runtime).as_slice(), [Input::Closed { conn: A, why: Why::BadUrl(_) }]));
}

#[test]
fn callers_may_be_wanted_before_there_can_be_any() {
    let net = Net::default();
    let mut runtime = in_flight(&net);
    runtime.start(Op::Listen { conn: LISTENER, on: Listen::Relay(crate::net::loopback(0)) });
    runtime.start(Op::Accept { at: LISTENER, conn: B });
    let [Input::Listening { at, .. }] = &settle(&mut runtime)[..] else { panic!("deaf") };
    runtime.start(Op::Open { conn: A, target: Target::Peer(at[0].clone()) });
    assert_eq!(settle(&mut runtime).len(), 2);
}

#[test]
fn a_closed_listener_answers_those_who_wait() {
    let net = Net::default();
    let mut runtime = in_flight(&net);
    listen(&mut runtime, LISTENER, Listen::Relay);
    runtime.start(Op::Accept { at: LISTENER, conn: A });
    runtime.start(Op::Accept { at: LISTENER, conn: B });
    runtime.start(Op::Close { conn: A });
    runtime.start(Op::Close { conn: LISTENER });
    let closed = |conn| Input::Closed { conn, why: Why::Asked };
    assert_eq!(settle(&mut runtime), [closed(A), closed(B), closed(LISTENER)]);
    runtime.start(Op::Accept { at: LISTENER, conn: Conn(8) });
    assert_eq!(settle(&mut runtime), [closed(Conn(8))]);
}

#[test]
fn a_port_in_use_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = Address::from(taken.local_addr().unwrap());
    let mut runtime = in_flight(&Net::default());
    runtime.start(Op::Listen { conn: LISTENER, on: Listen::Mailbox(at) });
    assert!(matches!(
        settle(&mut runtime).as_slice(),
        [Input::Closed { conn: LISTENER, why: Why::Other(_) }]
    ));
}

#[test]
fn without_descriptors_accepting_pauses_and_does_not_spin() {
    let net = Net::default();
    let mut runtime = in_flight(&net);
    let port = listen(&mut runtime, LISTENER, Listen::Relay);
    net.fail_accepts(1);
    runtime.start(Op::Accept { at: LISTENER, conn: B });
    net.polls();
    assert_eq!(settle(&mut runtime), []);
    assert_eq!(net.polls(), 1);
    let _caller = net.call(port);
    assert_eq!(settle(&mut runtime), []);
    net.advance(Duration::from_millis(100));
    assert!(matches!(settle(&mut runtime).as_slice(), [Input::Opened { conn: B, peer: Some(_) }]));
}

#[test]
fn joined_connections_carry_each_others_bytes_and_both_ends_are_told() {
    let (_net, mut runtime, mut near, mut far) = joined();
    near.write(b"request");
    far.write(b"answer");
    assert_eq!(settle(&mut runtime), []);
    assert_eq!(near.read(), (b"ok\nanswer".to_vec(), false));
    assert_eq!(far.read(), (b"ok\nearlyrequest".to_vec(), false));
    near.write(b"!");
    drop(near);
    assert_eq!(
        settle(&mut runtime),
        [
            Input::Closed { conn: A, why: Why::Joined { bytes: 13 } },
            Input::Closed { conn: B, why: Why::Joined { bytes: 6 } }
        ]
    );
    assert_eq!(far.read(), (b"!".to_vec(), true));
}

#[test]
fn a_join_holds_no_more_than_one_read_for_a_side_that_does_not_read() {
    let (net, mut runtime, mut near, mut far) = joined();
    let mut sent = 0;
    // Both windows fill up, and a part of one read has no place.
    while sent < 2 * WINDOW {
        near.write(&[7; 16 << 10]);
        sent += 16 << 10;
        settle(&mut runtime);
    }
    net.polls();
    settle(&mut runtime);
    assert_eq!(net.polls(), 0, "nothing moves");
    let mut got = 0;
    while got < sent {
        let (bytes, end) = far.read();
        assert!(!end && !bytes.is_empty());
        got += bytes.iter().filter(|byte| **byte == 7).count();
        settle(&mut runtime);
    }
}

#[test]
fn a_join_with_what_has_ended_closes_the_other() {
    let (net, mut runtime) = pair();
    let port = port_of(&mut runtime);
    runtime.start(Op::Accept { at: LISTENER, conn: Conn(9) });
    let caller = net.call(port);
    settle(&mut runtime);
    drop(caller);
    runtime.start(Op::Read { conn: Conn(9) });
    assert_eq!(settle(&mut runtime), [Input::Closed { conn: Conn(9), why: Why::Ended }]);
    runtime.start(Op::Join { a: Conn(9), b: A, terms: Terms::default() });
    assert_eq!(settle(&mut runtime), [Input::Closed { conn: A, why: Why::Joined { bytes: 0 } }]);
}

#[test]
fn a_connection_taken_out_loses_nothing_in_either_direction() {
    let (_net, mut runtime) = pair();
    runtime.start(Op::Write { conn: B, bytes: b"already read".to_vec() });
    settle(&mut runtime);
    runtime.start(Op::Read { conn: A });
    // Two things have happened, and only one was told: the other is what was read.
    runtime.start(Op::Write { conn: A, bytes: b"".to_vec() });
    assert_eq!(run(runtime.next(None)), Some(Some(Input::Sent { conn: A })));
    runtime.start(Op::Write { conn: A, bytes: b"go\n".to_vec() });
    let mut taken = runtime.take(A).unwrap();
    assert!(runtime.take(A).is_none());
    runtime.start(Op::Read { conn: B });
    assert_eq!(settle(&mut runtime), [Input::Received { conn: B, bytes: b"go\n".to_vec() }]);
    let mut buf = [0; 100];
    assert_eq!(poll_read(&mut taken, &mut buf[..7]), 7);
    assert_eq!(poll_read(&mut taken, &mut buf[7..]), 5);
    assert_eq!(&buf[..12], b"already read");
}

#[test]
fn what_cannot_leave_at_once_leaves_before_what_the_pipe_writes() {
    let (_net, mut runtime) = pair();
    runtime.start(Op::Write { conn: A, bytes: vec![1; WINDOW + 5] });
    let mut taken = runtime.take(A).unwrap();
    let mut cx = std::task::Context::from_waker(Waker::noop());
    use wormhole_runtime::Stream;
    assert!(taken.poll_write(&mut cx, b"later").is_pending());
    let mut all = Vec::new();
    while all.len() < WINDOW + 10 {
        runtime.start(Op::Read { conn: B });
        for input in settle(&mut runtime) {
            let Input::Received { bytes, .. } = input else { panic!("{input:?}") };
            all.extend(bytes);
        }
        if all.len() < WINDOW + 10 {
            let _ = taken.poll_write(&mut cx, b"later");
        }
    }
    assert_eq!(&all[..WINDOW + 5], vec![1; WINDOW + 5]);
    assert!(all[WINDOW + 5..].starts_with(b"later"));
}

#[test]
fn the_end_of_a_job_is_told_and_its_drop_ends_it() {
    let mut runtime = in_flight(&Net::default());
    let (polled, gone) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let waker = Arc::new(Mutex::new(None::<Waker>));
    let job = |rounds: usize| {
        let (polled, waker) = (polled.clone(), waker.clone());
        let gone = Gone(gone.clone());
        std::future::poll_fn(move |cx| {
            let _held = &gone;
            *waker.lock().unwrap() = Some(cx.waker().clone());
            if polled.fetch_add(1, Ordering::Relaxed) + 1 < rounds { Poll::Pending } else { Poll::Ready(()) }
        })
    };
    let _first = runtime.beside(job(2));
    assert_eq!(settle(&mut runtime), []);
    assert_eq!(polled.load(Ordering::Relaxed), 1);
    waker.lock().unwrap().take().unwrap().wake();
    assert_eq!(settle(&mut runtime), [Input::Tick]);
    assert_eq!(gone.load(Ordering::Relaxed), 1);

    let second = runtime.beside(job(100));
    assert_eq!(settle(&mut runtime), []);
    drop(second);
    assert_eq!(gone.load(Ordering::Relaxed), 2, "gone at once");
    assert_eq!(settle(&mut runtime), [Input::Tick]);

    let third = runtime.beside(job(100));
    drop(runtime);
    assert_eq!(gone.load(Ordering::Relaxed), 3, "a job does not outlive its loop");
    drop(third);
}

#[test]
fn a_deadline_that_has_passed_is_told_and_one_that_has_not_is_not() {
    let (net, mut runtime) = pair();
    let at = Instant::START.plus(Duration::from_secs(5));
    assert_eq!(run(runtime.next(Some(Instant::START))), Some(None));
    assert_eq!(run(runtime.next(Some(at))), None, "it waits");
    net.advance(Duration::from_secs(4));
    assert_eq!(run(runtime.next(Some(at))), None);
    net.advance(Duration::from_secs(1));
    assert_eq!(run(runtime.next(Some(at))), Some(None));
}

#[test]
fn dropping_next_again_and_again_loses_nothing() {
    let (_net, mut runtime) = pair();
    for number in 0..100_u8 {
        runtime.start(Op::Write { conn: A, bytes: vec![number] });
        runtime.start(Op::Read { conn: B });
        let mut seen = Vec::new();
        while seen.len() < 2 {
            // Each future is polled once at most.
            let mut next = std::pin::pin!(runtime.next(None));
            if let Poll::Ready(input) = next.as_mut().poll(&mut std::task::Context::from_waker(Waker::noop()))
            {
                seen.extend(input);
            }
        }
        assert!(seen.contains(&Input::Received { conn: B, bytes: vec![number] }));
    }
}

/// Two ends of one connection, in one runtime.
#[test]
fn what_is_left_of_a_join_waits_for_a_slow_reader() {
    let (net, mut runtime, mut near, mut far) = joined();
    let mut sent = 0;
    while near.try_write(&[7; 1 << 10]) {
        sent += 1 << 10;
        settle(&mut runtime);
    }
    drop(near);
    settle(&mut runtime);
    // A disk may take its time.
    for _ in 0..20 {
        net.advance(Duration::from_secs(1));
        settle(&mut runtime);
    }
    let mut got = 0;
    loop {
        let (bytes, ended) = far.read();
        got += bytes.iter().filter(|byte| **byte == 7).count();
        if ended {
            break;
        }
        settle(&mut runtime);
    }
    assert!(got >= sent, "{got} of {sent}");
}

#[test]
fn who_speaks_to_a_side_that_has_left_still_hears_all_it_said() {
    let (_net, mut runtime, mut near, mut far) = joined();
    let mut sent = 0;
    while far.try_write(&[7; 1 << 10]) {
        sent += 1 << 10;
        settle(&mut runtime);
    }
    drop(far);
    near.write(b"are you there?");
    settle(&mut runtime);
    let mut got = 0;
    loop {
        let (bytes, ended) = near.read();
        got += bytes.iter().filter(|byte| **byte == 7).count();
        if ended {
            break;
        }
        settle(&mut runtime);
    }
    assert!(got >= sent, "{got} of {sent}");
}

#[test]
fn each_of_a_thousand_joins_carries_its_own() {
    const PAIRS: u64 = 1000;
    let net = Net::default();
    let mut runtime = in_flight(&net);
    let port = listen(&mut runtime, LISTENER, Listen::Relay);
    let mut callers = Vec::new();
    for number in 0..2 * PAIRS {
        runtime.start(Op::Accept { at: LISTENER, conn: Conn(100 + number) });
        callers.push(net.call(port));
    }
    assert_eq!(settle(&mut runtime).len(), callers.len());
    for pair in 0..PAIRS {
        runtime.start(Op::Join { a: Conn(100 + 2 * pair), b: Conn(101 + 2 * pair), terms: Terms::default() });
    }
    settle(&mut runtime);
    for (number, caller) in callers.iter_mut().enumerate() {
        caller.write(number.to_string().as_bytes());
    }
    settle(&mut runtime);
    for (number, caller) in callers.iter_mut().enumerate() {
        assert_eq!(caller.read(), ((number ^ 1).to_string().into_bytes(), false));
    }
    net.polls();
    callers[0].write(b"x");
    settle(&mut runtime);
    assert!(net.polls() <= 8, "the others are not touched");
    callers.truncate(1);
    let told = settle(&mut runtime);
    assert_eq!(told.len() as u64, 2 * PAIRS);
    assert!(told.iter().all(|input| matches!(input, Input::Closed { why: Why::Joined { .. }, .. })));
}

#[test]
fn what_the_other_side_said_is_read_from_what_was_taken_out_though_writing_fails() {
    let (_net, mut runtime) = pair();
    runtime.start(Op::Write { conn: B, bytes: b"an error".to_vec() });
    settle(&mut runtime);
    runtime.start(Op::Write { conn: A, bytes: vec![1; WINDOW + 5] });
    let mut taken = runtime.take(A).unwrap();
    drop(runtime);
    let mut buf = [0; 100];
    assert_eq!(poll_read(&mut taken, &mut buf), 8);
    assert_eq!(&buf[..8], b"an error");
    let mut cx = std::task::Context::from_waker(Waker::noop());
    let wrote = wormhole_runtime::Stream::poll_write(&mut taken, &mut cx, b"x");
    assert!(matches!(wrote, Poll::Ready(Err(_))));
}

#[test]
fn a_job_that_is_over_at_once_is_told_once() {
    let mut runtime = in_flight(&Net::default());
    let job = runtime.beside(async {});
    assert_eq!(settle(&mut runtime), [Input::Tick]);
    drop(job);
    assert_eq!(settle(&mut runtime), []);
}

#[test]
fn a_clock_that_goes_back_harms_nobody() {
    let (net, mut runtime) = pair();
    net.silence("127.0.0.1:9");
    net.advance(Duration::from_secs(50));
    runtime.start(Op::Open { conn: Conn(9), target: peer(9) });
    assert_eq!(settle(&mut runtime), []);
    net.set(Duration::from_secs(5));
    runtime.start(Op::Write { conn: A, bytes: b"x".to_vec() });
    assert_eq!(settle(&mut runtime), [Input::Sent { conn: A }]);
    net.set(Duration::from_secs(61));
    assert_eq!(settle(&mut runtime), [Input::Closed { conn: Conn(9), why: Why::TimedOut }]);
}

fn pair() -> (Net, InFlight<Net>) {
    let net = Net::default();
    let mut runtime = in_flight(&net);
    let port = listen(&mut runtime, LISTENER, Listen::Relay);
    runtime.start(Op::Accept { at: LISTENER, conn: B });
    runtime.start(Op::Open { conn: A, target: peer(port) });
    let mut opened = settle(&mut runtime);
    opened.sort_by_key(|input| {
        let Input::Opened { conn, peer: Some(SocketAddr::V4(_)) } = input else { panic!("{input:?}") };
        conn.0
    });
    assert_eq!(opened.len(), 2);
    (net, runtime)
}

/// Another listener in place of the first, whose number is free again.
fn port_of(runtime: &mut InFlight<Net>) -> u16 {
    runtime.start(Op::Close { conn: LISTENER });
    settle(runtime);
    listen(runtime, LISTENER, Listen::Relay)
}

/// Two callers that are joined, after each was told `ok` and one has said something early.
fn joined() -> (Net, InFlight<Net>, crate::net::Caller, crate::net::Caller) {
    let net = Net::default();
    let mut runtime = in_flight(&net);
    let port = listen(&mut runtime, LISTENER, Listen::Relay);
    runtime.start(Op::Accept { at: LISTENER, conn: A });
    runtime.start(Op::Accept { at: LISTENER, conn: B });
    let (mut near, far) = (net.call(port), net.call(port));
    assert_eq!(settle(&mut runtime).len(), 2);
    near.write(b"early");
    runtime.start(Op::Read { conn: A });
    runtime.start(Op::Write { conn: A, bytes: b"ok\n".to_vec() });
    runtime.start(Op::Write { conn: B, bytes: b"ok\n".to_vec() });
    // The read is still under way for the machine when it asks for the join.
    assert_eq!(run(runtime.next(None)), Some(Some(Input::Sent { conn: A })));
    runtime.start(Op::Join { a: A, b: B, terms: Terms::default() });
    assert_eq!(settle(&mut runtime), []);
    (net, runtime, near, far)
}

fn read_all(runtime: &mut InFlight<Net>, conn: Conn) -> (usize, Vec<Input>) {
    let (mut got, mut seen) = (0, Vec::new());
    while !seen.iter().any(|input| matches!(input, Input::Closed { conn: of, .. } if *of == conn)) {
        runtime.start(Op::Read { conn });
        for input in settle(runtime) {
            if let Input::Received { bytes, .. } = input {
                got += bytes.len();
            } else if !matches!(input, Input::Sent { .. }) {
                seen.push(input);
            }
        }
    }
    (got, seen)
}

fn poll_read(stream: &mut impl wormhole_runtime::Stream, buf: &mut [u8]) -> usize {
    let read = stream.poll_read(&mut std::task::Context::from_waker(Waker::noop()), buf);
    let Poll::Ready(Ok(count)) = read else { panic!("{read:?}") };
    count
}

struct Gone(Arc<AtomicUsize>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
