//! A pair of the relay over TCP and WebSocket, in any combination: what one says the other hears, whole and in order.

use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Waker};

use wormhole_core::driver::{Address, Conn, Input, Why};
use wormhole_runtime::Layered;
use wormhole_server::Server;
use wormhole_server::relay::{Options, Relay};

use super::relay_server::line;
use super::websocket::REQUEST;
use crate::below::Below;
use crate::script::Script;

const TCP: Conn = Conn(0);
const WEB_SOCKET: Conn = Conn(1);
const OK: &[u8] = b"ok\n";
/// The end of the answer to a request.
const HEAD: &[u8] = b"\r\n\r\n";

/// Of which kind each of the two is, what they say, and in which pieces it comes.
pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let kind = script.byte();
    let mut pair = Pair::new();
    let contents = [script.chunk(), script.long_chunk()];
    let clients = [kind, kind >> 1].map(|kind| pair.call(kind & 1 != 0, kind & 4 != 0, &mut script));
    for client in &clients {
        pair.all(client.conn, &client.line, &mut script);
    }
    if pair.below.is_joined() {
        // What is copied below does not come through here.
        assert!(clients.iter().all(|client| !client.web), "messages are copied as they are");
    } else {
        pair.exchange(&clients, contents, &mut script);
    }
    let contents = if pair.below.is_joined() { [&[][..]; 2] } else { contents };
    for (client, content) in clients.iter().zip(contents.iter().rev()) {
        let heard = client.heard(&pair.below);
        assert!(heard == [OK, content].concat(), "{} instead of {}", heard.len(), content.len());
    }
}

struct Pair {
    server: Server<Relay, Layered<Below>>,
    below: Below,
    /// How many reads were asked for before the last one that was answered, and how many writes were taken.
    done: Vec<(Conn, usize, usize)>,
}

struct Client {
    conn: Conn,
    web: bool,
    /// What it says at first.
    line: Vec<u8>,
}

impl Pair {
    fn new() -> Self {
        let below = Below::default();
        let options = Options::new(Address::new("h", 1)).web_socket(Address::new("h", 2));
        let server = Server::relay(options, Layered::new(below.clone()));
        let mut pair = Self { server, below, done: Vec::new() };
        pair.turn();
        for conn in [TCP, WEB_SOCKET] {
            pair.happen(Input::Listening { conn, at: vec![Address::new("h", 1)] });
        }
        pair
    }

    /// Serves until nothing more can be done.
    fn turn(&mut self) {
        let ended = pin!(self.server.run()).poll(&mut Context::from_waker(Waker::noop()));
        assert!(ended.is_pending(), "{ended:?}");
    }

    fn happen(&mut self, input: Input) {
        self.below.happen(input);
        self.turn();
    }

    fn call(&mut self, web: bool, unended: bool, script: &mut Script<'_>) -> Client {
        let Some(conn) = self.below.awaited(if web { WEB_SOCKET } else { TCP }) else {
            unreachable!("both listeners wait for callers")
        };
        self.done.push((conn, 0, 0));
        self.happen(Input::Opened { conn, peer: None });
        // Without a side, anybody is a partner.
        let line = line(0);
        let said = line.get(..line.len() - usize::from(unended)).unwrap_or_default();
        let line = if web { [REQUEST.as_bytes(), &frames(said, true, script)].concat() } else { line };
        Client { conn, web, line }
    }

    /// Says all of this, in pieces.
    fn all(&mut self, conn: Conn, mut bytes: &[u8], script: &mut Script<'_>) {
        while !bytes.is_empty() {
            bytes = self.some(conn, bytes, script);
            self.take(conn);
        }
    }

    /// Says a piece if it is read; answers the rest.
    fn some<'a>(&mut self, of: Conn, bytes: &'a [u8], script: &mut Script<'_>) -> &'a [u8] {
        let Some((_, read, _)) = self.done.iter_mut().find(|(conn, ..)| *conn == of) else { return bytes };
        // With a join one may be asked for where one is under way.
        let asked = self.below.reads(of);
        if asked == *read || bytes.is_empty() {
            return bytes;
        }
        *read = asked;
        let (piece, rest) = bytes.split_at(usize::from(script.byte()).clamp(1, bytes.len()));
        self.happen(Input::Received { conn: of, bytes: piece.to_vec() });
        rest
    }

    /// The system takes one write, if there is one. Answers whether there was.
    fn take(&mut self, of: Conn) -> bool {
        let Some((_, _, taken)) = self.done.iter_mut().find(|(conn, ..)| *conn == of) else { return false };
        let there = self.below.count_writes(of) > *taken;
        if there {
            *taken += 1;
            self.happen(Input::Sent { conn: of });
        }
        there
    }

    /// Both say their content and one leaves; its partner hears all of it first.
    fn exchange(&mut self, clients: &[Client; 2], contents: [&[u8]; 2], script: &mut Script<'_>) {
        let [a, b] = clients;
        let said = [(a, contents[0]), (b, contents[1])].map(|(client, content)| client.says(content, script));
        let mut left = [(a.conn, said[0].as_slice()), (b.conn, said[1].as_slice())];
        while !script.is_empty() {
            let [one, other] = &mut left;
            let (conn, bytes) = if script.byte() & 1 == 0 { one } else { other };
            if script.byte() & 1 == 0 {
                *bytes = self.some(*conn, bytes, script);
            } else {
                self.take(*conn);
            }
        }
        let mut moves = true;
        while moves {
            moves = false;
            for (conn, bytes) in &mut left {
                let rest = self.some(*conn, bytes, script);
                moves |= rest.len() < bytes.len();
                *bytes = rest;
                moves |= self.take(*conn);
            }
        }
        assert!(left.iter().all(|(_, bytes)| bytes.is_empty()), "nobody reads {left:?}");
        self.happen(Input::Closed { conn: a.conn, why: Why::Ended });
        while self.take(b.conn) {}
        assert!(self.below.closes(b.conn), "it is left open without its partner");
    }
}

impl Client {
    fn says(&self, content: &[u8], script: &mut Script<'_>) -> Vec<u8> {
        if self.web { frames(content, false, script) } else { content.to_vec() }
    }

    /// What was written to it, without what is not content.
    fn heard(&self, below: &Below) -> Vec<u8> {
        let written = below.writes(self.conn).concat();
        if !self.web {
            return written;
        }
        let head = written.windows(HEAD.len()).position(|end| end == HEAD).map_or(0, |at| at + HEAD.len());
        let mut frames = written.get(head..).unwrap_or_default();
        let mut heard = Vec::new();
        while let [first, len, rest @ ..] = frames {
            let (len, rest) = match (*len, rest) {
                (126, [high, low, rest @ ..]) => (u16::from_be_bytes([*high, *low]), rest),
                (len, rest) => (u16::from(len), rest),
            };
            let (payload, rest) = rest.split_at(len.into());
            // The others are pongs and goodbyes.
            heard.extend_from_slice(if *first == 0x82 { payload } else { &[] });
            frames = rest;
        }
        heard
    }
}

/// Bytes as one message of a client or as several, in parts, with pings between them.
fn frames(mut bytes: &[u8], whole: bool, script: &mut Script<'_>) -> Vec<u8> {
    const NO_MASK: [u8; 4] = [0; 4];
    let mut frames = Vec::new();
    let mut is_first = true;
    while !bytes.is_empty() {
        let kind = script.byte();
        let (payload, rest) = bytes.split_at(usize::from(kind >> 1).clamp(1, bytes.len().min(125)));
        let is_last = kind & 1 == 0 && !whole || rest.is_empty();
        frames.push(if is_first { 2 } else { 0 } | if is_last { 0x80 } else { 0 });
        frames.push(u8::try_from(payload.len()).unwrap_or(0) | 0x80);
        frames.extend_from_slice(&NO_MASK);
        frames.extend_from_slice(payload);
        if kind & 6 == 6 {
            frames.extend_from_slice(&[0x89, 0x80, 0, 0, 0, 0]);
        }
        is_first = is_last;
        bytes = rest;
    }
    frames
}
