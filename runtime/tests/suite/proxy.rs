//! A SOCKS5 and HTTP proxy that knows who may use it, and resolves every name to this computer.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use wormhole_core::driver::{Address, Conn, Input, Listen, Op, Target, Terms};
use wormhole_runtime::Runtime;

const LISTENER: Conn = Conn(0);

/// The proxy and the runtime that it alone uses.
pub(crate) struct ProxyDouble<R> {
    pub(crate) runtime: R,
    /// Who may use it, as `name:password`.
    pub(crate) login: Option<&'static str>,
    /// Where its clients wanted to go.
    pub(crate) asked: Vec<String>,
    callers: BTreeMap<Conn, Caller>,
    next: u64,
}

#[derive(Default)]
struct Caller {
    came: Vec<u8>,
    stage: Stage,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Begin,
    Login,
    Request,
    Socks,
    Http,
}

impl<R: Runtime> ProxyDouble<R> {
    /// Begins to listen on loopback.
    pub(crate) fn new(mut runtime: R) -> Self {
        runtime.start(Op::Listen { conn: LISTENER, on: Listen::Relay(Address::new("127.0.0.1", 0)) });
        runtime.start(Op::Accept { at: LISTENER, conn: Conn(1) });
        Self { runtime, login: None, asked: Vec::new(), callers: BTreeMap::new(), next: 1 }
    }

    /// Takes in what happened; answers the port once it can be reached.
    pub(crate) fn handle(&mut self, input: Option<Input>) -> Option<u16> {
        match input? {
            Input::Listening { at, .. } => return Some(at[0].port),
            Input::Opened { conn, .. } if conn.0 % 2 == 1 => {
                self.callers.insert(conn, Caller::default());
                self.runtime.start(Op::Read { conn });
                self.next += 2;
                self.runtime.start(Op::Accept { at: LISTENER, conn: Conn(self.next) });
            }
            Input::Opened { conn, .. } => self.connected(Conn(conn.0 - 1)),
            Input::Received { conn, bytes } => {
                self.callers.get_mut(&conn).unwrap().came.extend(bytes);
                self.step(conn);
            }
            Input::Closed { conn, .. } if conn.0 % 2 == 0 => self.refuse(Conn(conn.0 - 1)),
            Input::Closed { conn, .. } => drop(self.callers.remove(&conn)),
            Input::Sent { .. } | Input::Stored(_) | Input::Tick => {}
        }
        None
    }

    fn step(&mut self, conn: Conn) {
        let caller = self.callers.get_mut(&conn).unwrap();
        let came = caller.came.clone();
        match (caller.stage, came.as_slice()) {
            (Stage::Begin, [b'C', ..]) if came.ends_with(b"\r\n\r\n") => {
                caller.stage = Stage::Http;
                let head = String::from_utf8(came).unwrap();
                let place = head.split(' ').nth(1).unwrap().to_owned();
                // Of `user:pass`, which is all that these tests use.
                let login = self.login.map(|_| "Proxy-Authorization: Basic dXNlcjpwYXNz\r\n");
                if login.is_none_or(|login| head.contains(login)) {
                    self.open(conn, place);
                } else {
                    self.say(conn, b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
                }
            }
            (Stage::Begin, [5, count, methods @ ..]) if methods.len() == usize::from(*count) => {
                let method = if self.login.is_some() { 2 } else { 0 };
                caller.stage = if method == 2 { Stage::Login } else { Stage::Request };
                caller.came.clear();
                self.say(conn, &[5, if methods.contains(&method) { method } else { 255 }]);
            }
            (Stage::Login, [1, rest @ ..]) => {
                caller.stage = Stage::Request;
                caller.came.clear();
                let (user, password) = rest[1..].split_at(rest[0].into());
                let said =
                    [user, &password[1..]].map(|part| String::from_utf8(part.to_vec()).unwrap()).join(":");
                self.say(conn, &[1, u8::from(Some(said.as_str()) != self.login)]);
            }
            (Stage::Request, [5, 1, 0, kind, rest @ ..]) => {
                caller.stage = Stage::Socks;
                let (host, port) = rest.split_at(rest.len() - 2);
                let host = match kind {
                    1 => host.iter().map(u8::to_string).collect::<Vec<_>>().join("."),
                    3 => String::from_utf8(host[1..].to_vec()).unwrap(),
                    4 => format!("[{}]", Ipv6Addr::from(<[u8; 16]>::try_from(host).unwrap())),
                    other => panic!("no use for {other}"),
                };
                self.open(conn, format!("{host}:{}", u16::from_be_bytes([port[0], port[1]])));
            }
            _ => self.runtime.start(Op::Read { conn }),
        }
    }

    fn open(&mut self, conn: Conn, place: String) {
        let (_, port) = place.rsplit_once(':').unwrap();
        let target = Target::Peer(Address::new("127.0.0.1", port.parse().unwrap()));
        self.runtime.start(Op::Open { conn: Conn(conn.0 + 1), target });
        self.asked.push(place);
    }

    fn connected(&mut self, conn: Conn) {
        match self.callers.remove(&conn).map(|caller| caller.stage) {
            Some(Stage::Http) => self.write(conn, b"HTTP/1.1 200 Connection established\r\n\r\n"),
            Some(_) => self.write(conn, &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
            None => {}
        }
        self.runtime.start(Op::Join { a: conn, b: Conn(conn.0 + 1), terms: Terms::default() });
    }

    fn refuse(&mut self, conn: Conn) {
        match self.callers.remove(&conn).map(|caller| caller.stage) {
            Some(Stage::Http) => self.write(conn, b"HTTP/1.1 502 Bad Gateway\r\n\r\n"),
            Some(_) => self.write(conn, &[5, 5, 0, 1, 0, 0, 0, 0, 0, 0]),
            None => {}
        }
    }

    fn say(&mut self, conn: Conn, bytes: &[u8]) {
        self.write(conn, bytes);
        self.runtime.start(Op::Read { conn });
    }

    fn write(&mut self, conn: Conn, bytes: &[u8]) {
        self.runtime.start(Op::Write { conn, bytes: bytes.to_vec() });
    }
}
