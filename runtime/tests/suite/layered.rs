//! WebSockets in both roles, and what strangers do to them.

use std::time::Duration;

use wormhole_core::defaults::MESSAGE_LIMIT;
use wormhole_core::driver::{Conn, Input, Listen, Op, Target, Terms, Why};
use wormhole_runtime::{InFlight, Layered, Runtime};

use crate::net::{Caller, Net, WINDOW, in_flight, listen, peer, settle};

const LISTENER: Conn = Conn(0);
const CLIENT: Conn = Conn(1);
const SERVER: Conn = Conn(2);

/// A client whose WebSocket this test writes by hand, after the head of its request.
pub(crate) const UPGRADE: &str = "GET /v1 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[test]
fn whole_messages_go_both_ways() {
    let (_net, mut runtime) = connected();
    for (from, to, message) in
        [(CLIENT, SERVER, vec![b'x'; 300_000]), (SERVER, CLIENT, b"{}".to_vec()), (SERVER, CLIENT, vec![])]
    {
        runtime.start(Op::Read { conn: to });
        runtime.start(Op::Write { conn: from, bytes: message.clone() });
        let mut seen = settle(&mut runtime);
        seen.sort_by_key(|input| matches!(input, Input::Received { .. }));
        assert_eq!(seen, [Input::Sent { conn: from }, Input::Received { conn: to, bytes: message }]);
    }
}

#[test]
fn each_read_is_one_message_however_they_came() {
    let (_net, mut runtime) = connected();
    for number in b'0'..b'3' {
        runtime.start(Op::Write { conn: CLIENT, bytes: vec![number] });
    }
    settle(&mut runtime);
    for number in b'0'..b'3' {
        runtime.start(Op::Read { conn: SERVER });
        assert_eq!(settle(&mut runtime), [Input::Received { conn: SERVER, bytes: vec![number] }]);
    }
    runtime.start(Op::Read { conn: SERVER });
    assert_eq!(settle(&mut runtime), []);
}

#[test]
fn one_message_among_2000_idle_websockets_costs_no_more_than_among_50() {
    let cost = |count: u64| {
        let net = Net::default();
        let mut runtime = layered(&net);
        let port = listen(&mut runtime, LISTENER, Listen::Mailbox);
        for number in 0..count {
            let (near, far) = (Conn(10 + 2 * number), Conn(11 + 2 * number));
            runtime.start(Op::Open { conn: near, target: url(port) });
            runtime.start(Op::Accept { at: LISTENER, conn: far });
            assert_eq!(settle(&mut runtime).len(), 2);
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
    assert_eq!(cost(2000), few);
    assert!(few <= 6, "{few}");
}

#[test]
fn closing_says_goodbye_and_the_other_side_hears_the_end() {
    let (_net, mut runtime) = connected();
    runtime.start(Op::Read { conn: SERVER });
    runtime.start(Op::Write { conn: CLIENT, bytes: b"last".to_vec() });
    runtime.start(Op::Close { conn: CLIENT });
    let seen = settle(&mut runtime);
    assert!(seen.contains(&Input::Received { conn: SERVER, bytes: b"last".to_vec() }));
    assert!(seen.contains(&Input::Closed { conn: CLIENT, why: Why::Asked }));
    runtime.start(Op::Read { conn: SERVER });
    assert_eq!(settle(&mut runtime), [Input::Closed { conn: SERVER, why: Why::Ended }]);
    for op in [Op::Read { conn: SERVER }, Op::Close { conn: SERVER }, Op::Close { conn: CLIENT }] {
        runtime.start(op);
    }
    assert_eq!(settle(&mut runtime), [], "there is only one last word");
}

#[test]
fn a_sudden_end_is_an_end_after_all_that_came_before() {
    let net = Net::default();
    let (mut runtime, mut caller) = accepted(&net);
    caller.write(&[masked(0x81, b"one"), masked(0x81, b"two")].concat());
    runtime.start(Op::Read { conn: SERVER });
    assert_eq!(settle(&mut runtime), [Input::Received { conn: SERVER, bytes: b"one".to_vec() }]);
    drop(caller);
    for _ in 0..2 {
        runtime.start(Op::Write { conn: SERVER, bytes: b"into the void".to_vec() });
        assert_eq!(
            settle(&mut runtime),
            [Input::Sent { conn: SERVER }],
            "nobody waits for it instead of reading"
        );
    }
    runtime.start(Op::Read { conn: SERVER });
    assert_eq!(settle(&mut runtime), [Input::Received { conn: SERVER, bytes: b"two".to_vec() }]);
    runtime.start(Op::Read { conn: SERVER });
    assert_eq!(settle(&mut runtime), [Input::Closed { conn: SERVER, why: Why::Reset }]);
}

#[test]
fn raw_connections_pass_through() {
    let net = Net::default();
    let mut runtime = layered(&net);
    let port = listen(&mut runtime, Conn(5), Listen::Relay);
    runtime.start(Op::Accept { at: Conn(5), conn: Conn(6) });
    runtime.start(Op::Accept { at: Conn(5), conn: Conn(8) });
    runtime.start(Op::Open { conn: Conn(7), target: peer(port) });
    let mut caller = net.call(port);
    assert_eq!(settle(&mut runtime).len(), 3);
    runtime.start(Op::Write { conn: Conn(7), bytes: b"bytes".to_vec() });
    runtime.start(Op::Join { a: Conn(6), b: Conn(8), terms: Terms::default() });
    assert_eq!(settle(&mut runtime), [Input::Sent { conn: Conn(7) }]);
    assert_eq!(caller.read(), (b"bytes".to_vec(), false));
    assert!(runtime.take(Conn(7)).is_some());
}

#[test]
fn a_websocket_is_neither_taken_nor_joined() {
    let (_net, mut runtime) = connected();
    assert!(runtime.take(CLIENT).is_none());
    runtime.start(Op::Join { a: CLIENT, b: SERVER, terms: Terms::default() });
    let seen = settle(&mut runtime);
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|input| matches!(input, Input::Closed { why: Why::Asked, .. })));
}

#[test]
fn a_url_that_cannot_be_used_is_told() {
    let mut runtime = layered(&Net::default());
    runtime.start(Op::Open { conn: CLIENT, target: Target::Mailbox("http://relay/v1".into()) });
    assert!(matches!(settle(&mut runtime).as_slice(), [Input::Closed { conn: CLIENT, why: Why::BadUrl(_) }]));
}

#[test]
fn a_server_that_is_none_is_told_with_what_it_said() {
    let why = |answer: &[u8], end: bool| {
        let net = Net::default();
        let mut runtime = layered(&net);
        let port = listen(&mut runtime, Conn(5), Listen::Relay);
        runtime.start(Op::Accept { at: Conn(5), conn: Conn(6) });
        runtime.start(Op::Open { conn: CLIENT, target: url(port) });
        settle(&mut runtime);
        runtime.start(Op::Write { conn: Conn(6), bytes: answer.to_vec() });
        if end {
            runtime.start(Op::Close { conn: Conn(6) });
        }
        let closed = settle(&mut runtime)
            .into_iter()
            .find_map(|input| if let Input::Closed { conn: CLIENT, why } = input { Some(why) } else { None });
        closed.map(|why| why.to_string())
    };
    let not = |text: &str| Some(format!("not a usable WebSocket: {text}"));
    assert_eq!(why(b"HTTP/1.1 404 x\r\n\r\n", false), not("the server answered 404 Not Found"));
    assert_eq!(why(b"HTTP/1.1 200 OK\r\n\r\nhi", false), not("the server answered 200 OK"));
    assert_eq!(why(b"please wait\n", false), not("the server does not answer in HTTP"));
    assert_eq!(why(b"HTTP/1.1 101 ", true), not("the server closed instead of answering"));
    assert_eq!(why(b"HTTP/1.1 101 ", false), None);
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let net = Net::default();
    let mut runtime = layered(&net);
    let port = listen(&mut runtime, Conn(5), Listen::Relay);
    runtime.start(Op::Open { conn: CLIENT, target: url(port) });
    assert_eq!(settle(&mut runtime), []);
    net.advance(Duration::from_secs(10));
    assert_eq!(settle(&mut runtime), [Input::Closed { conn: CLIENT, why: Why::TimedOut }]);
}

#[test]
fn strangers_get_an_answer_and_are_shown_out() {
    let net = Net::default();
    let mut runtime = layered(&net);
    let port = listen(&mut runtime, LISTENER, Listen::Mailbox);
    runtime.start(Op::Accept { at: LISTENER, conn: SERVER });
    settle(&mut runtime);
    let mut answer = |request: &[u8]| {
        let mut caller = net.call(port);
        caller.write(request);
        assert_eq!(settle(&mut runtime), [], "the machine hears nothing of it");
        let (answer, ended) = caller.read();
        assert!(ended);
        String::from_utf8(answer).unwrap()
    };
    let hello = answer(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(hello.starts_with("HTTP/1.1 200 OK\r\n") && hello.ends_with("\r\n\r\nWormhole Relay\n"));
    assert!(hello.contains("Content-Type: text/plain"));
    assert!(answer(b"HEAD / HTTP/1.1\r\n\r\n").ends_with("\r\n\r\n"));
    assert!(answer(b"POST / HTTP/1.1\r\n\r\n").contains("Allow: HEAD, GET\r\n"));
    assert!(answer(b"GET /v1 HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 426 "));
    assert!(answer(b"\x16\x03\x01\x00\x05hello").starts_with("HTTP/1.1 400 "));
    assert!(
        answer(format!("GET /v1 HTTP/1.1\r\nX: {}", "y".repeat(5 << 10)).as_bytes())
            .starts_with("HTTP/1.1 431 ")
    );
    assert!(answer(UPGRADE.replace("13", "12").as_bytes()).contains("Sec-WebSocket-Version: 13"));

    // All that time somebody was wanted, and now comes.
    let mut caller = net.call(port);
    caller.write(UPGRADE.as_bytes());
    assert!(matches!(settle(&mut runtime).as_slice(), [Input::Opened { conn: SERVER, .. }]));
    assert!(caller.read().0.starts_with(b"HTTP/1.1 101 "));
}

#[test]
fn slow_callers_do_not_keep_others_waiting_and_are_shown_out_in_time() {
    let net = Net::default();
    let mut runtime = layered(&net);
    let port = listen(&mut runtime, LISTENER, Listen::Mailbox);
    runtime.start(Op::Accept { at: LISTENER, conn: SERVER });
    settle(&mut runtime);
    let mut slow: Vec<_> = (0..100).map(|_| net.call(port)).collect();
    for caller in &mut slow {
        caller.write(b"GET /v1 HT");
    }
    assert_eq!(settle(&mut runtime), []);
    net.advance(Duration::from_secs(9));
    slow[0].write(b"TP/1.1\r\n");
    assert_eq!(settle(&mut runtime), []);
    let mut quick = net.call(port);
    quick.write(UPGRADE.as_bytes());
    assert!(matches!(settle(&mut runtime).as_slice(), [Input::Opened { conn: SERVER, .. }]));
    net.advance(Duration::from_secs(1));
    assert_eq!(settle(&mut runtime), []);
    assert!(slow.iter_mut().all(|caller| caller.read().1), "each was shown out");
    assert!(!quick.read().1);
}

#[test]
fn too_many_callers_cost_the_oldest_its_place() {
    let net = Net::default();
    let mut runtime = layered(&net);
    let port = listen(&mut runtime, LISTENER, Listen::Mailbox);
    runtime.start(Op::Accept { at: LISTENER, conn: SERVER });
    settle(&mut runtime);
    let mut callers: Vec<_> = (0..4097).map(|_| net.call(port)).collect();
    assert_eq!(settle(&mut runtime), []);
    let shown_out: Vec<_> = callers.iter_mut().map(|caller| caller.read().1).collect();
    assert!(shown_out[0]);
    assert!(shown_out[1..].iter().all(|out| !out));
}

#[test]
fn too_many_callers_do_not_make_a_dial_wait_for_ever() {
    let net = Net::default();
    let mut runtime = layered(&net);
    let silent = listen(&mut runtime, Conn(5), Listen::Relay);
    let port = listen(&mut runtime, LISTENER, Listen::Mailbox);
    runtime.start(Op::Open { conn: CLIENT, target: url(silent) });
    runtime.start(Op::Accept { at: LISTENER, conn: SERVER });
    settle(&mut runtime);
    let _callers: Vec<_> = (0..4097).map(|_| net.call(port)).collect();
    assert_eq!(settle(&mut runtime), []);
    net.advance(Duration::from_secs(10));
    assert_eq!(settle(&mut runtime), [Input::Closed { conn: CLIENT, why: Why::TimedOut }]);
}

#[test]
fn callers_who_came_together_are_accepted_one_after_another() {
    let net = Net::default();
    let mut runtime = layered(&net);
    let port = listen(&mut runtime, LISTENER, Listen::Mailbox);
    runtime.start(Op::Accept { at: LISTENER, conn: Conn(10) });
    settle(&mut runtime);
    let mut callers: Vec<_> = (0..3).map(|_| net.call(port)).collect();
    settle(&mut runtime);
    for caller in &mut callers {
        caller.write(UPGRADE.as_bytes());
    }
    for number in 10..13 {
        assert!(matches!(settle(&mut runtime).as_slice(), [Input::Opened { conn, .. }] if conn.0 == number));
        runtime.start(Op::Accept { at: LISTENER, conn: Conn(number + 1) });
    }
    assert_eq!(settle(&mut runtime), []);
    runtime.start(Op::Close { conn: LISTENER });
    let closed = |conn| Input::Closed { conn, why: Why::Asked };
    assert_eq!(settle(&mut runtime), [closed(Conn(13)), closed(LISTENER)]);
    // Those who were accepted go on.
    runtime.start(Op::Read { conn: Conn(10) });
    callers[0].write(&masked(0x81, b"still here"));
    assert_eq!(settle(&mut runtime).len(), 1);
}

#[test]
fn broken_frames_end_a_connection_with_a_word() {
    let end = |frame: &[u8]| {
        let net = Net::default();
        let (mut runtime, mut caller) = accepted(&net);
        runtime.start(Op::Read { conn: SERVER });
        caller.write(frame);
        let seen = settle(&mut runtime);
        let (goodbye, ended) = caller.read();
        assert!(ended);
        let [Input::Closed { conn: SERVER, why }] = &seen[..] else { panic!("{seen:?}") };
        (why.clone(), goodbye)
    };
    let (why, goodbye) = end(&[0x81, 1, b'x']);
    assert!(matches!(why, Why::WebSocket(_)), "unmasked");
    assert_eq!(goodbye, [0x88, 2, 0x03, 0xea]);
    let mut long = vec![0x82, 0xff];
    long.extend_from_slice(&u64::try_from(MESSAGE_LIMIT + 1).unwrap().to_be_bytes());
    long.extend_from_slice(&[0; 4]);
    assert_eq!(end(&long), (Why::TooLong, vec![0x88, 2, 0x03, 0xf1]));
    assert_eq!(end(&masked(0x88, &[0x0b, 0xb8])), (Why::Ended, vec![0x88, 2, 0x0b, 0xb8]), "a goodbye");
}

#[test]
fn pings_are_answered_between_fragments_and_a_flood_of_them_is_held_up() {
    let net = Net::default();
    let (mut runtime, mut caller) = accepted(&net);
    runtime.start(Op::Read { conn: SERVER });
    caller.write(&[masked(0x01, b"a"), masked(0x89, b"hi"), masked(0x80, b"b")].concat());
    assert_eq!(settle(&mut runtime), [Input::Received { conn: SERVER, bytes: b"ab".to_vec() }]);
    assert_eq!(caller.read().0, [0x8a, 2, b'h', b'i']);

    runtime.start(Op::Read { conn: SERVER });
    let ping = masked(0x89, &[0; 125]).repeat(100);
    let mut held_up = false;
    for _ in 0..200 {
        held_up = held_up || !caller.try_write(&ping);
        settle(&mut runtime);
    }
    assert!(held_up, "it must read the answers before it may go on");
    assert!(caller.read().0.len() > 100_000);
}

#[test]
fn a_client_pings_and_gives_up_a_silent_server() {
    let (net, mut runtime) = connected();
    runtime.start(Op::Read { conn: CLIENT });
    runtime.start(Op::Read { conn: SERVER });
    for _ in 0..100 {
        net.advance(Duration::from_secs(5));
        assert_eq!(settle(&mut runtime), [], "both answer");
    }

    let net = Net::default();
    let mut client = layered(&net);
    let mut server = layered(&net);
    let port = listen(&mut server, LISTENER, Listen::Mailbox);
    server.start(Op::Accept { at: LISTENER, conn: SERVER });
    client.start(Op::Open { conn: CLIENT, target: url(port) });
    settle(&mut client);
    settle(&mut server);
    settle(&mut server);
    assert_eq!(settle(&mut client).len(), 1);
    client.start(Op::Read { conn: CLIENT });
    let mut waited = 0;
    loop {
        waited += 5;
        assert!(waited < 1000, "it never gives up");
        net.advance(Duration::from_secs(5));
        if let [Input::Closed { conn: CLIENT, why: Why::TimedOut }] = &settle(&mut client)[..] {
            break;
        }
    }
    assert!((90..=100).contains(&waited), "{waited}");
}

#[test]
fn a_server_pings_and_gives_up_a_silent_client() {
    let net = Net::default();
    let (mut runtime, mut caller) = accepted(&net);
    runtime.start(Op::Read { conn: SERVER });
    let mut pings = Vec::new();
    for waited in (5..=1000).step_by(5) {
        net.advance(Duration::from_secs(5));
        match &settle(&mut runtime)[..] {
            [] => {}
            [Input::Closed { conn: SERVER, why: Why::TimedOut }] => {
                assert!((660..=670).contains(&waited), "{waited}");
                assert!(pings.len() >= 10 && pings[0] == 60, "{pings:?}");
                return;
            }
            other => panic!("{other:?}"),
        }
        if !caller.read().0.is_empty() {
            pings.push(waited);
        }
    }
    panic!("it never gives up");
}

#[test]
fn a_loop_that_slept_does_not_blame_the_other_side() {
    let (net, mut runtime) = connected();
    runtime.start(Op::Read { conn: CLIENT });
    runtime.start(Op::Read { conn: SERVER });
    net.advance(Duration::from_secs(30));
    settle(&mut runtime);
    net.advance(Duration::from_secs(100_000));
    assert_eq!(settle(&mut runtime), []);
}

#[test]
fn closing_what_has_ended_with_messages_unread_has_a_last_word_too() {
    let net = Net::default();
    let (mut runtime, mut caller) = accepted(&net);
    caller.write(&[masked(0x81, b"one"), masked(0x81, b"two")].concat());
    runtime.start(Op::Read { conn: SERVER });
    assert_eq!(settle(&mut runtime), [Input::Received { conn: SERVER, bytes: b"one".to_vec() }]);
    drop(caller);
    runtime.start(Op::Write { conn: SERVER, bytes: b"into the void".to_vec() });
    assert_eq!(settle(&mut runtime), [Input::Sent { conn: SERVER }]);
    runtime.start(Op::Close { conn: SERVER });
    assert_eq!(settle(&mut runtime), [Input::Closed { conn: SERVER, why: Why::Asked }]);
}

#[test]
fn a_client_that_never_reads_is_given_up_and_one_that_reads_slowly_is_not() {
    for reads in [false, true] {
        let net = Net::default();
        let (mut runtime, mut caller) = accepted(&net);
        // More than the network holds, so that it is waited for; and nothing is read, as a server does then.
        for _ in 0..40 {
            runtime.start(Op::Write { conn: SERVER, bytes: vec![b'x'; WINDOW / 10] });
        }
        settle(&mut runtime);
        let mut given_up = None;
        for waited in (5..=1000).step_by(5) {
            net.advance(Duration::from_secs(5));
            if reads && waited % 500 == 0 {
                assert!(caller.read_some(WINDOW / 5) > 0);
            }
            for input in settle(&mut runtime) {
                if input == (Input::Closed { conn: SERVER, why: Why::TimedOut }) {
                    given_up = Some(waited);
                } else {
                    assert_eq!(input, Input::Sent { conn: SERVER });
                }
            }
        }
        assert_eq!(given_up.is_none(), reads, "{given_up:?}");
        assert!(given_up.is_none_or(|waited| (655..=670).contains(&waited)), "{given_up:?}");
    }
}

#[test]
fn thousands_who_never_ask_for_a_websocket_cost_no_more_than_their_places() {
    let net = Net::default();
    let mut runtime = layered(&net);
    let port = listen(&mut runtime, LISTENER, Listen::Mailbox);
    runtime.start(Op::Accept { at: LISTENER, conn: SERVER });
    let mut silent: Vec<_> = (0..10_000).map(|_| net.call(port)).collect();
    assert_eq!(settle(&mut runtime), []);
    let mut caller = net.call(port);
    caller.write(UPGRADE.as_bytes());
    assert!(matches!(settle(&mut runtime)[..], [Input::Opened { conn: SERVER, .. }]));
    net.advance(Duration::from_secs(11));
    assert_eq!(settle(&mut runtime), []);
    assert!(silent.iter_mut().all(|caller| caller.read().1), "all were shown out");
}

#[test]
fn a_request_and_frames_may_come_a_byte_at_a_time() {
    let net = Net::default();
    let mut runtime = layered(&net);
    let port = listen(&mut runtime, LISTENER, Listen::Mailbox);
    runtime.start(Op::Accept { at: LISTENER, conn: SERVER });
    let mut caller = net.call(port);
    let mut seen = Vec::new();
    for byte in [UPGRADE.as_bytes(), &masked(0x01, b"one"), &masked(0x80, b"")].concat() {
        caller.write(&[byte]);
        for input in settle(&mut runtime) {
            runtime.start(Op::Read { conn: SERVER });
            seen.push(input);
        }
    }
    seen.extend(settle(&mut runtime));
    let message = Input::Received { conn: SERVER, bytes: b"one".to_vec() };
    assert!(matches!(&seen[..], [Input::Opened { conn: SERVER, .. }, last] if *last == message), "{seen:?}");
}

#[test]
fn a_client_that_is_not_read_from_is_held_up() {
    let net = Net::default();
    let (mut runtime, mut caller) = accepted(&net);
    let frame = masked(0x81, &[b'x'; 100]);
    let mut sent = 0;
    while caller.try_write(&frame) {
        sent += frame.len();
        settle(&mut runtime);
    }
    assert!(sent <= WINDOW, "{sent} bytes were taken from somebody to whom nobody listens");
}

#[test]
fn a_goodbye_with_or_without_a_reason_is_answered_and_is_the_end() {
    for payload in [&b""[..], &[0x03, 0xe8], &[0x0b, 0xb8, b'o', b'k']] {
        let net = Net::default();
        let (mut runtime, mut caller) = accepted(&net);
        caller.write(&masked(0x88, payload));
        runtime.start(Op::Read { conn: SERVER });
        assert_eq!(settle(&mut runtime), [Input::Closed { conn: SERVER, why: Why::Ended }]);
        let (answer, ended) = caller.read();
        assert_eq!((answer[0], ended), (0x88, true), "{payload:?}");
    }
}

#[test]
fn those_who_never_end_their_messages_cannot_fill_the_memory_together() {
    const EACH: usize = 3 << 20;
    const PIECE: usize = 128 << 10;
    let net = Net::default();
    let mut runtime = layered(&net);
    let port = listen(&mut runtime, LISTENER, Listen::Mailbox);
    let mut callers = Vec::new();
    for number in 0..30 {
        runtime.start(Op::Accept { at: LISTENER, conn: Conn(10 + number) });
        let mut caller = net.call(port);
        caller.write(UPGRADE.as_bytes());
        assert_eq!(settle(&mut runtime).len(), 1);
        caller.read();
        runtime.start(Op::Read { conn: Conn(10 + number) });
        callers.push(caller);
    }
    let mut ended = Vec::new();
    for caller in &mut callers {
        caller.write(&[&[0x82, 0xff][..], &u64::try_from(EACH + 1).unwrap().to_be_bytes(), &[0; 4]].concat());
        for _ in 0..EACH / PIECE {
            if caller.try_write(&[0; PIECE]) {
                ended.extend(settle(&mut runtime));
            }
        }
    }
    // Of 90 MiB, 64 are kept: who held the most was told that it is too much.
    assert!((8..=12).contains(&ended.len()), "{}", ended.len());
    assert!(ended.iter().all(|input| matches!(input, Input::Closed { why: Why::TooLong, .. })));
    let refused = callers.iter_mut().filter_map(|caller| caller.read().0.get(..4).map(<[u8]>::to_vec));
    assert!(refused.into_iter().all(|word| word == [0x88, 2, 0x03, 0xf1]));
}

fn layered(net: &Net) -> Layered<InFlight<Net>> {
    Layered::new(in_flight(net))
}

fn url(port: u16) -> Target {
    Target::Mailbox(format!("ws://127.0.0.1:{port}/v1"))
}

/// A client and a server, in one runtime.
fn connected() -> (Net, Layered<InFlight<Net>>) {
    let net = Net::default();
    let mut runtime = layered(&net);
    let port = listen(&mut runtime, LISTENER, Listen::Mailbox);
    runtime.start(Op::Accept { at: LISTENER, conn: SERVER });
    runtime.start(Op::Open { conn: CLIENT, target: url(port) });
    let mut opened: Vec<_> = settle(&mut runtime)
        .into_iter()
        .map(|input| {
            let Input::Opened { conn, peer: Some(_) } = input else { panic!("{input:?}") };
            conn
        })
        .collect();
    opened.sort();
    assert_eq!(opened, [CLIENT, SERVER]);
    (net, runtime)
}

/// A server with one client that is written by hand.
fn accepted(net: &Net) -> (Layered<InFlight<Net>>, Caller) {
    let mut runtime = layered(net);
    let port = listen(&mut runtime, LISTENER, Listen::Mailbox);
    runtime.start(Op::Accept { at: LISTENER, conn: SERVER });
    settle(&mut runtime);
    let mut caller = net.call(port);
    caller.write(UPGRADE.as_bytes());
    assert_eq!(settle(&mut runtime).len(), 1);
    caller.read();
    (runtime, caller)
}

/// A short frame as a client sends it, with a mask of zeros.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}
