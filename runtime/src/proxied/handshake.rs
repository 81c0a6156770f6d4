//! What is said to a proxy before it connects us, and what it answers.

use std::net::IpAddr;

use data_encoding::BASE64;
use tungstenite::handshake::client::Response;
use tungstenite::handshake::machine::TryParse;
use wormhole_core::driver::{Address, Why};
use zeroize::Zeroizing;

use super::proxy::{Kind, Login, Proxy};

/// The longest answer of an HTTP proxy that we read.
const ANSWER_LIMIT: usize = 16 << 10;

/// A handshake under way.
pub(super) struct Handshake {
    stage: Stage,
    login: Option<Login>,
    to: Address,
    /// What has come and is not yet understood.
    came: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Socks: which method of logging in it chooses.
    Method,
    /// Socks: whether it lets us in.
    Login,
    /// Socks: whether it has connected us.
    Connect,
    /// HTTP: its answer.
    Answer,
}

/// What a step came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Now {
    /// Say this, which may be nothing, and read on.
    Say(Vec<u8>),
    /// Connected, once this is said, which is mostly nothing; this much has come already from the other end.
    Done { say: Vec<u8>, rest: Vec<u8> },
}

impl Handshake {
    /// A handshake, and the first thing to say.
    pub(super) fn begin(proxy: &Proxy, to: Address) -> (Self, Vec<u8>) {
        let login = proxy.login.clone();
        let (stage, say) = match proxy.kind {
            Kind::Socks5 if login.is_some() => (Stage::Method, vec![5, 2, 0, 2]),
            Kind::Socks5 => (Stage::Method, vec![5, 1, 0]),
            Kind::Http => (Stage::Answer, connect(&to, login.as_ref())),
        };
        (Self { stage, login, to, came: Vec::new() }, say)
    }

    /// Takes in what the proxy said.
    pub(super) fn take_in(&mut self, bytes: &[u8]) -> Result<Now, Why> {
        self.came.extend_from_slice(bytes);
        let mut say = Vec::new();
        loop {
            let now = match self.stage {
                Stage::Method => self.method(),
                Stage::Login => self.let_in(),
                Stage::Connect => self.connected(),
                Stage::Answer => self.answered(),
            };
            match now? {
                Now::Done { rest, .. } => return Ok(Now::Done { say, rest }),
                Now::Say(more) if more.is_empty() => return Ok(Now::Say(say)),
                // A proxy that has answered before it is asked has answered all the same.
                Now::Say(more) => say.extend_from_slice(&more),
            }
        }
    }

    fn method(&mut self) -> Result<Now, Why> {
        let Some(answer) = self.first::<2>() else { return Ok(Now::Say(Vec::new())) };
        match (answer, &self.login) {
            ([5, 0], _) => Ok(self.request()),
            ([5, 2], Some(login)) => {
                self.stage = Stage::Login;
                Ok(Now::Say(introduction(login)))
            }
            ([5, _], Some(_)) => fault("it takes no name and password"),
            ([5, _], None) => fault("it wants a name and a password"),
            _ => fault("it does not speak SOCKS5"),
        }
    }

    fn let_in(&mut self) -> Result<Now, Why> {
        match self.first::<2>() {
            None => Ok(Now::Say(Vec::new())),
            Some([_, 0]) => Ok(self.request()),
            Some(_) => fault("it does not take this name and password"),
        }
    }

    fn request(&mut self) -> Now {
        self.stage = Stage::Connect;
        let mut say = vec![5, 1, 0];
        match self.to.host.parse() {
            Ok(IpAddr::V4(four)) => {
                say.push(1);
                say.extend_from_slice(&four.octets());
            }
            Ok(IpAddr::V6(six)) => {
                say.push(4);
                say.extend_from_slice(&six.octets());
            }
            // A name is for the proxy to resolve. One that is too long for it has no address anywhere.
            Err(_) => {
                let length = u8::try_from(self.to.host.len()).unwrap_or(u8::MAX);
                say.extend_from_slice(&[3, length]);
                say.extend(self.to.host.bytes().take(length.into()));
            }
        }
        say.extend_from_slice(&self.to.port.to_be_bytes());
        Now::Say(say)
    }

    fn connected(&mut self) -> Result<Now, Why> {
        let more = Ok(Now::Say(Vec::new()));
        let Some([version, reply, _, kind, first]) = self.came.first_chunk::<5>().copied() else {
            return more;
        };
        match (version, reply) {
            (5, 0) => {}
            (5, 2) => return fault("it does not allow this connection"),
            (5, 3 | 4) => return Err(Why::Unreachable),
            (5, 5) => return Err(Why::Refused),
            (5, 6) => return Err(Why::TimedOut),
            (5, _) => return fault("it could not connect"),
            _ => return fault("it does not speak SOCKS5"),
        }
        // Where it has bound is nobody's business, but its length tells where the connection begins.
        let length = match kind {
            1 => 4 + 6,
            3 => 4 + 1 + usize::from(first) + 2,
            4 => 4 + 18,
            _ => return fault("it does not speak SOCKS5"),
        };
        if self.came.len() < length {
            return more;
        }
        Ok(done(self.came.split_off(length)))
    }

    fn answered(&mut self) -> Result<Now, Why> {
        match Response::try_parse(&self.came) {
            Ok(Some((length, answer))) if answer.status().is_success() => {
                Ok(done(self.came.split_off(length)))
            }
            Ok(Some((_, answer))) => match answer.status().as_u16() {
                407 if self.login.is_some() => fault("it does not take this name and password"),
                407 => fault("it wants a name and a password"),
                _ => Err(Why::Proxy(format!("it answered {}", answer.status()))),
            },
            Ok(None) if self.came.len() < ANSWER_LIMIT => Ok(Now::Say(Vec::new())),
            Ok(None) => fault("its answer is too long"),
            Err(_) => fault("it does not answer in HTTP"),
        }
    }

    /// Takes so many bytes off, once they are there.
    fn first<const N: usize>(&mut self) -> Option<[u8; N]> {
        let first = self.came.first_chunk::<N>().copied()?;
        let rest = self.came.split_off(N);
        self.came = rest;
        Some(first)
    }
}

const fn done(rest: Vec<u8>) -> Now {
    Now::Done { say: Vec::new(), rest }
}

fn introduction(login: &Login) -> Vec<u8> {
    let mut say = vec![1];
    for text in [&login.user, &*login.password] {
        // Their lengths were bounded when they were given.
        say.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        say.extend_from_slice(text.as_bytes());
    }
    say
}

fn connect(to: &Address, login: Option<&Login>) -> Vec<u8> {
    let mut head = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n");
    if let Some(login) = login {
        let plain = Zeroizing::new(format!("{}:{}", login.user, *login.password));
        head += &format!("Proxy-Authorization: Basic {}\r\n", BASE64.encode(plain.as_bytes()));
    }
    head += "\r\n";
    head.into_bytes()
}

fn fault<T>(how: &str) -> Result<T, Why> {
    Err(Why::Proxy(how.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socks_resolves_names_and_lets_in_who_has_a_password() {
        let proxy = Proxy::socks5("p", 1).login("user", "pass").unwrap();
        let (mut handshake, say) = Handshake::begin(&proxy, Address::new("relay.example", 4001));
        assert_eq!(say, [5, 2, 0, 2]);
        assert_eq!(handshake.take_in(&[5, 2]), Ok(Now::Say(b"\x01\x04user\x04pass".to_vec())));
        assert_eq!(
            handshake.take_in(&[1, 0]),
            Ok(Now::Say(b"\x05\x01\x00\x03\x0drelay.example\x0f\xa1".to_vec()))
        );
        let answer = handshake.take_in(b"\x05\x00\x00\x01\x01\x02\x03\x04\x00\x07first");
        assert_eq!(answer, Ok(done(b"first".to_vec())));
    }

    #[test]
    fn answers_may_all_come_at_once() {
        let proxy = Proxy::socks5("p", 1).login("user", "pass").unwrap();
        let (mut handshake, _) = Handshake::begin(&proxy, Address::new("r", 1));
        let answers = b"\x05\x02\x01\x00\x05\x00\x00\x01\x01\x02\x03\x04\x00\x07first";
        let say = b"\x01\x04user\x04pass\x05\x01\x00\x03\x01r\x00\x01".to_vec();
        assert_eq!(handshake.take_in(answers), Ok(Now::Done { say, rest: b"first".to_vec() }));
    }

    #[test]
    fn an_answer_may_come_in_any_pieces() {
        let (_, after) = ask("[::1]:7");
        for answer in [&b"\x05\x00\x00\x04ssssssssssssssssppREST"[..], b"\x05\x00\x00\x03\x03abcppREST"] {
            for cut in 0..answer.len() - 4 {
                let (mut handshake, _) = ask("[::1]:7");
                assert_eq!(handshake.take_in(&answer[..cut]), Ok(Now::Say(Vec::new())), "{cut}");
                assert_eq!(handshake.take_in(&answer[cut..]), Ok(done(b"REST".to_vec())));
            }
        }
        assert_eq!(after[..4], [5, 1, 0, 4]);
    }

    #[test]
    fn what_socks_refuses_is_told_apart() {
        let of = |code: u8| ask("h:1").0.take_in(&[5, code, 0, 1, 0]).unwrap_err();
        assert_eq!(
            [of(3), of(4), of(5), of(6)],
            [Why::Unreachable, Why::Unreachable, Why::Refused, Why::TimedOut]
        );
        assert!(matches!(of(1), Why::Proxy(_)) && matches!(of(2), Why::Proxy(_)));
        let begin = || Handshake::begin(&Proxy::socks5("p", 1), Address::new("h", 1)).0;
        let refused = begin().take_in(&[5, 255]).unwrap_err();
        assert_eq!(refused, Why::Proxy("it wants a name and a password".into()));
        assert!(matches!(begin().take_in(b"HTTP/1.1"), Err(Why::Proxy(_))));
    }

    #[test]
    fn http_connects_by_name_and_password() {
        let proxy = Proxy::http("p", 1).login("Aladdin", "open sesame").unwrap();
        let (mut handshake, say) = Handshake::begin(&proxy, Address::new("::1", 4001));
        let wanted = "CONNECT [::1]:4001 HTTP/1.1\r\nHost: [::1]:4001\r\n\
                      Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n";
        assert_eq!(String::from_utf8(say).unwrap(), wanted);
        assert_eq!(handshake.take_in(b"HTTP/1.1 200 Connection established\r\n"), Ok(Now::Say(Vec::new())));
        assert_eq!(handshake.take_in(b"Via: x\r\n\r\nfirst"), Ok(done(b"first".to_vec())));
    }

    #[test]
    fn what_http_refuses_is_told() {
        let of = |answer: &[u8]| {
            let (mut handshake, _) = Handshake::begin(&Proxy::http("p", 1), Address::new("h", 1));
            match handshake.take_in(answer) {
                Err(Why::Proxy(how)) => how,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(of(b"HTTP/1.1 403 Forbidden\r\n\r\n"), "it answered 403 Forbidden");
        assert_eq!(of(b"HTTP/1.1 407 x\r\n\r\n"), "it wants a name and a password");
        assert_eq!(of(b"\x05\x00"), "it does not answer in HTTP");
        assert_eq!(
            of(format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(ANSWER_LIMIT)).as_bytes()),
            "its answer is too long"
        );
    }

    /// A SOCKS handshake at its last step, and what it asked for.
    fn ask(place: &str) -> (Handshake, Vec<u8>) {
        let (host, port) = place.rsplit_once(':').unwrap();
        let to = Address::new(host.trim_matches(['[', ']']), port.parse().unwrap());
        let (mut handshake, _) = Handshake::begin(&Proxy::socks5("p", 1), to);
        let Ok(Now::Say(say)) = handshake.take_in(&[5, 0]) else { panic!("it goes on") };
        (handshake, say)
    }
}
