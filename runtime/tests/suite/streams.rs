//! A relay's clients over WebSocket: streams of bytes, joined with each other and with raw connections.

use std::time::Duration;

use wormhole_core::driver::{Conn, Input, Listen, Op, Terms, Why};
use wormhole_runtime::{InFlight, Layered, Runtime};

use crate::layered::UPGRADE;
use crate::net::{Caller, Net, WINDOW, in_flight, listen, settle};

const PLAIN: Conn = Conn(0);
const FRAMED: Conn = Conn(1);
const A: Conn = Conn(2);
const B: Conn = Conn(3);

/// How a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Plain,
    Framed,
}

const ALL: [(How, How); 4] = [
    (How::Plain, How::Plain),
    (How::Plain, How::Framed),
    (How::Framed, How::Plain),
    (How::Framed, How::Framed),
];

#[test]
fn any_path_is_granted_and_messages_are_a_stream() {
    for path in ["/", "/v1", "/some/where?x=1"] {
        let mut world = World::new();
        let mut caller = world.accept(A, How::Framed, path);
        for message in [&b"pl"[..], b"", b"ease"] {
            caller.say(message);
        }
        assert_eq!(world.read(A), b"please");
        world.runtime.start(Op::Write { conn: A, bytes: b"ok\n".to_vec() });
        settle(&mut world.runtime);
        assert_eq!(caller.raw.read().0, b"\x82\x03ok\n", "{path}");
    }
}

#[test]
fn a_last_word_leaves_before_the_goodbye() {
    let mut world = World::new();
    let mut caller = world.accept(A, How::Framed, "/");
    world.runtime.start(Op::Write { conn: A, bytes: b"bad handshake\n".to_vec() });
    world.runtime.start(Op::Close { conn: A });
    settle(&mut world.runtime);
    assert_eq!(caller.raw.read(), (b"\x82\x0ebad handshake\n\x88\x02\x03\xe8".to_vec(), true));
}

#[test]
fn a_request_without_a_websocket_is_told_so() {
    let mut world = World::new();
    world.runtime.start(Op::Accept { at: FRAMED, conn: A });
    let mut caller = world.net.call(world.framed);
    caller.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    settle(&mut world.runtime);
    assert!(caller.read().0.starts_with(b"HTTP/1.1 426 "));
}

#[test]
fn bytes_go_both_ways_between_all_kinds_and_frames_are_binary_only() {
    let content: Vec<u8> = (0..200_000_u32).map(|at| (at.wrapping_mul(at) >> 5) as u8).collect();
    for (a, b) in ALL {
        let (mut world, mut near, mut far) = World::joined(a, b);
        for (from, to) in [(0, 1), (1, 0)] {
            let mut got = Vec::new();
            for piece in content.chunks(50_000) {
                [&mut near, &mut far][from].say(piece);
                assert_eq!(settle(&mut world.runtime), []);
                got.extend([&mut near, &mut far][to].hear().0);
            }
            assert!(got == content, "{a:?} {b:?}");
        }
        drop(near);
        let total = u64::try_from(content.len()).unwrap();
        let joined = |conn| Input::Closed { conn, why: Why::Joined { bytes: total } };
        let mut seen = settle(&mut world.runtime);
        seen.sort_by_key(|input| *input == joined(B));
        assert_eq!(seen, [joined(A), joined(B)], "{a:?} {b:?}");
        let (bytes, ended) = far.raw.read();
        let goodbye: &[u8] = if b == How::Framed { b"\x88\x02\x03\xe8" } else { b"" };
        assert_eq!((&bytes[..], ended), (goodbye, true), "{a:?} {b:?}");
    }
}

#[test]
fn what_was_said_before_the_end_is_delivered() {
    for (a, b) in ALL {
        let (mut world, mut near, mut far) = World::joined(a, b);
        near.say(&[7; 60_000]);
        if a == How::Framed {
            near.raw.write(&[0x88, 0x80, 0, 0, 0, 0]);
        }
        drop(near);
        assert_eq!(settle(&mut world.runtime).len(), 2, "{a:?} {b:?}");
        assert_eq!(far.hear(), (vec![7; 60_000], true), "{a:?} {b:?}");
    }
}

#[test]
fn whoever_does_not_read_holds_the_other_up_and_loses_nothing() {
    for (a, b) in ALL {
        let (mut world, mut near, mut far) = World::joined(a, b);
        let mut sent = 0;
        while near.try_say(&[1; 8 << 10]) {
            sent += 8 << 10;
            assert_eq!(settle(&mut world.runtime), []);
        }
        // What the network holds on both ways, and what one read brings.
        assert!(sent <= 2 * WINDOW + (64 << 10), "{a:?} {b:?}: {sent}");
        let mut got = 0;
        for _ in 0..100 {
            got += far.hear().0.len();
            settle(&mut world.runtime);
        }
        assert!(got >= sent, "{a:?} {b:?}: {got} of {sent}");
    }
}

#[test]
fn text_ends_it_for_both() {
    let (mut world, mut near, mut far) = World::joined(How::Framed, How::Plain);
    near.raw.write(&[0x81, 0x81, 0, 0, 0, 0, b'x']);
    assert_eq!(settle(&mut world.runtime).len(), 2);
    assert_eq!(near.raw.read(), (b"\x88\x02\x03\xeb".to_vec(), true));
    assert_eq!(far.raw.read(), (Vec::new(), true));
}

#[test]
fn a_huge_message_is_passed_on_as_it_comes() {
    let (mut world, mut near, mut far) = World::joined(How::Framed, How::Plain);
    near.raw.write(&[&[0x82, 0xff][..], &(4_u64 << 30).to_be_bytes(), &[0; 4]].concat());
    for _ in 0..20 {
        near.raw.write(&[3; 50_000]);
        assert_eq!(settle(&mut world.runtime), []);
        assert_eq!(far.hear().0.len(), 50_000);
    }
}

#[test]
fn pairs_are_pinged_and_those_who_are_silent_end() {
    let (mut world, mut near, mut far) = World::joined(How::Framed, How::Framed);
    for _ in 0..100 {
        world.net.advance(Duration::from_secs(5));
        settle(&mut world.runtime);
        if near.raw.read().0.starts_with(&[0x89, 0]) {
            near.raw.write(&[0x8a, 0x80, 0, 0, 0, 0]);
        }
    }
    assert!(far.raw.read().0.starts_with(&[0x89, 0]));
    for _ in 0..60 {
        world.net.advance(Duration::from_secs(5));
        if near.raw.read().0.starts_with(&[0x89, 0]) {
            near.raw.write(&[0x8a, 0x80, 0, 0, 0, 0]);
        }
        if settle(&mut world.runtime).len() == 2 {
            return;
        }
    }
    panic!("a dead client was kept");
}

#[test]
fn who_ended_before_the_join_takes_the_other_along() {
    for (a, b) in ALL {
        let mut world = World::new();
        let near = world.accept(A, a, "/");
        let mut far = world.accept(B, b, "/");
        drop(near);
        world.runtime.start(Op::Join { a: A, b: B, terms: Terms::default() });
        assert_eq!(settle(&mut world.runtime).len(), 2, "{a:?} {b:?}");
        assert!(far.raw.read().1);
    }
}

#[test]
fn a_pair_that_is_idle_ends_and_one_that_moves_does_not() {
    for (a, b) in ALL {
        let terms = Terms { idle: Some(Duration::from_secs(40)), ..Terms::default() };
        let (mut world, mut near, mut far) = World::joined_on(a, b, terms);
        for _ in 0..20 {
            world.net.advance(Duration::from_secs(10));
            near.say(b"alive");
            assert_eq!(settle(&mut world.runtime), [], "{a:?} {b:?}");
            assert_eq!(far.hear().0, b"alive");
        }
        for _ in 0..3 {
            world.net.advance(Duration::from_secs(10));
            assert_eq!(settle(&mut world.runtime), [], "{a:?} {b:?}");
        }
        world.net.advance(Duration::from_secs(21));
        settle(&mut world.runtime);
        world.net.advance(Duration::from_secs(10));
        settle(&mut world.runtime);
        near.raw.read();
        assert!(near.raw.read().1 && far.hear().1, "{a:?} {b:?}");
    }
}

#[test]
fn a_pair_moves_no_faster_and_no_more_than_it_is_granted() {
    for (a, b) in ALL {
        let terms = Terms { bytes_per_second: Some(10_000), bytes: Some(4_000), ..Terms::default() };
        let (mut world, mut near, mut far) = World::joined_on(a, b, terms);
        let mut seen = Vec::new();
        for _ in 0..4 {
            near.say(&[1; 1_000]);
            seen.extend(settle(&mut world.runtime));
        }
        assert!(far.hear().0.len() < 4_000, "{a:?} {b:?}");
        for _ in 0..20 {
            world.net.advance(Duration::from_millis(100));
            seen.extend(settle(&mut world.runtime));
        }
        assert_eq!(seen.len(), 2, "{a:?} {b:?}");
        assert!(far.hear().1, "{a:?} {b:?}");
    }
}

/// A relay's two listeners on one runtime.
struct World {
    net: Net,
    runtime: Layered<InFlight<Net>>,
    plain: u16,
    framed: u16,
}

/// A client that is written by hand.
struct Client {
    how: How,
    raw: Caller,
    /// What came and is no whole frame yet.
    came: Vec<u8>,
}

impl World {
    fn new() -> Self {
        let net = Net::default();
        let mut runtime = Layered::new(in_flight(&net));
        let plain = listen(&mut runtime, PLAIN, Listen::Relay);
        let framed = listen(&mut runtime, FRAMED, Listen::RelayWebSocket);
        Self { net, runtime, plain, framed }
    }

    /// Two that are joined.
    fn joined(a: How, b: How) -> (Self, Client, Client) {
        Self::joined_on(a, b, Terms::default())
    }

    fn joined_on(a: How, b: How, terms: Terms) -> (Self, Client, Client) {
        let mut world = Self::new();
        let (near, far) = (world.accept(A, a, "/"), world.accept(B, b, "/"));
        // Whoever waits for a partner is read from.
        world.runtime.start(Op::Read { conn: A });
        assert_eq!(settle(&mut world.runtime), []);
        world.runtime.start(Op::Join { a: A, b: B, terms });
        assert_eq!(settle(&mut world.runtime), []);
        (world, near, far)
    }

    fn accept(&mut self, conn: Conn, how: How, path: &str) -> Client {
        let (at, port) = if how == How::Plain { (PLAIN, self.plain) } else { (FRAMED, self.framed) };
        self.runtime.start(Op::Accept { at, conn });
        let mut raw = self.net.call(port);
        if how == How::Framed {
            raw.write(UPGRADE.replace("/v1", path).as_bytes());
        }
        assert!(matches!(settle(&mut self.runtime)[..], [Input::Opened { .. }]));
        raw.read();
        Client { how, raw, came: Vec::new() }
    }

    fn read(&mut self, conn: Conn) -> Vec<u8> {
        self.runtime.start(Op::Read { conn });
        match settle(&mut self.runtime).as_slice() {
            [Input::Received { bytes, .. }] => bytes.clone(),
            other => panic!("{other:?}"),
        }
    }
}

impl Client {
    fn say(&mut self, bytes: &[u8]) {
        assert!(self.try_say(bytes));
    }

    fn try_say(&mut self, bytes: &[u8]) -> bool {
        if self.how == How::Plain {
            return self.raw.try_write(bytes);
        }
        let length = u64::try_from(bytes.len()).unwrap().to_be_bytes();
        let masked: Vec<u8> =
            bytes.iter().zip([9, 8, 7, 6].iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        self.raw.try_write(&[&[0x82, 0xff][..], &length, &[9, 8, 7, 6], &masked].concat())
    }

    /// What came, without its frames, and whether that was all.
    fn hear(&mut self) -> (Vec<u8>, bool) {
        let (came, mut ended) = self.raw.read();
        if self.how == How::Plain {
            return (came, ended);
        }
        self.came.extend(came);
        let mut bytes = Vec::new();
        while let [first, second, ..] = self.came[..] {
            let wide = usize::from(second >= 126) * if second == 127 { 8 } else { 2 };
            let Some(length) = self.came.get(2..2 + wide) else { break };
            let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            let length = if wide == 0 { usize::from(second) } else { length };
            if self.came.len() < 2 + wide + length {
                break;
            }
            let frame: Vec<u8> = self.came.drain(..2 + wide + length).collect();
            match first {
                0x82 => bytes.extend_from_slice(&frame[2 + wide..]),
                0x88 => ended = true,
                0x89 => {}
                other => panic!("{other:#x}"),
            }
        }
        (bytes, ended)
    }
}
