//! One connection of the race, from its dial or call on: the relay's greeting where it leads to one, then the
//! handshake with the peer.
//!
//! The race feeds it what happens on the connection, and the lines of its role once there is a key. It ends with
//! [`Output::Complete`], or with [`Output::Foreign`].

use alloc::vec::Vec;
use core::mem;
use core::net::SocketAddr;

use super::Path;
use super::handshake::{self, Handshake};
use super::lines::Lines;
use super::relay::{self, Relay};
use crate::driver::{Address, Instant};

/// What happened to the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// It has come to be; its handshake must be complete in time.
    Opened { from: Option<SocketAddr>, until: Instant },
    /// The key is there, and with it the lines.
    Key,
    /// Bytes from the other end.
    Received(Vec<u8>),
}

/// What the race is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Say this.
    Write(Vec<u8>),
    /// Read on.
    Read,
    /// It leads to the peer; the bytes are what came after the handshake.
    Complete(Vec<u8>),
    /// It does not.
    Foreign,
}

/// A connection that may be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contender {
    pub(crate) path: Path,
    /// When its handshake must be complete; `None` while it is dialled.
    pub(crate) until: Option<Instant>,
    /// Writes that have not left.
    pub(crate) unsent: usize,
    stage: Stage,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    AtRelay(Relay),
    WithPeer(Handshake),
}

impl Contender {
    /// We dial the peer.
    pub(crate) fn direct(peer: Address) -> Self {
        Self::new(Path::Direct { peer, inbound: false }, Stage::WithPeer(Handshake::default()))
    }

    /// We dial a relay.
    pub(crate) fn by_relay(relay: Address) -> Self {
        Self::new(Path::Relay { relay }, Stage::AtRelay(Relay::default()))
    }

    /// Somebody calls us.
    pub(crate) fn caller() -> Self {
        let peer = Address::new("unknown", 0);
        Self::new(Path::Direct { peer, inbound: true }, Stage::WithPeer(Handshake::default()))
    }

    const fn new(path: Path, stage: Stage) -> Self {
        Self { path, until: None, unsent: 0, stage }
    }

    pub(crate) const fn is_caller(&self) -> bool {
        matches!(self.path, Path::Direct { inbound: true, .. })
    }

    /// One input; `lines` are there once the key is.
    pub(crate) fn handle(&mut self, input: Input, lines: Option<&Lines>) -> Vec<Output> {
        let mut out = Vec::new();
        match input {
            Input::Opened { from, until } => {
                self.until = Some(until);
                if let (Path::Direct { peer, inbound: true }, Some(from)) = (&mut self.path, from) {
                    *peer = from.into();
                }
                match self.stage {
                    Stage::AtRelay(_) => self.at_relay(relay::Input::Opened, lines, &mut out),
                    Stage::WithPeer(_) => self.begin(Vec::new(), lines, &mut out),
                }
            }
            Input::Key => match self.stage {
                // Nobody dials a relay without a key.
                Stage::AtRelay(_) => {}
                Stage::WithPeer(_) => self.begin(Vec::new(), lines, &mut out),
            },
            Input::Received(bytes) => match self.stage {
                Stage::AtRelay(_) => self.at_relay(relay::Input::Received(bytes), lines, &mut out),
                Stage::WithPeer(_) => self.with_peer(handshake::Input::Received(bytes), lines, &mut out),
            },
        }
        out
    }

    fn at_relay(&mut self, input: relay::Input, lines: Option<&Lines>, out: &mut Vec<Output>) {
        let Stage::AtRelay(relay) = &mut self.stage else { return };
        let mut outputs = Vec::new();
        *relay = mem::take(relay).step(input, &mut outputs);
        for output in outputs {
            match output {
                relay::Output::Greet => {
                    out.extend(lines.map(|lines| Output::Write(lines.relay.to_vec())));
                }
                relay::Output::Read => out.push(Output::Read),
                relay::Output::Paired(read) => {
                    self.stage = Stage::WithPeer(Handshake::default());
                    self.begin(read, lines, out);
                }
                relay::Output::Foreign => out.push(Output::Foreign),
            }
        }
    }

    /// The connection leads to the peer. Without a key it is held until there is one.
    fn begin(&mut self, read: Vec<u8>, lines: Option<&Lines>, out: &mut Vec<Output>) {
        let input = match lines {
            Some(lines) => handshake::Input::Begin { expect: lines.theirs.clone(), read },
            None => handshake::Input::OpenedEarly,
        };
        self.with_peer(input, lines, out);
    }

    fn with_peer(&mut self, input: handshake::Input, lines: Option<&Lines>, out: &mut Vec<Output>) {
        let Stage::WithPeer(handshake) = &mut self.stage else { return };
        let mut outputs = Vec::new();
        *handshake = mem::take(handshake).step(input, &mut outputs);
        out.extend(outputs.into_iter().filter_map(|output| match output {
            handshake::Output::Greet => lines.map(|lines| Output::Write(lines.ours.to_vec())),
            handshake::Output::Read => Some(Output::Read),
            handshake::Output::Complete(read) => Some(Output::Complete(read)),
            handshake::Output::Foreign => Some(Output::Foreign),
        }));
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use super::super::{Role, lines};
    use super::*;
    use crate::crypto::TransitKey;

    #[test]
    fn what_comes_with_the_relays_ok_is_the_peers() {
        let (ours, theirs) = (lines::sender_line(&key()), lines::receiver_line(&key()));
        let mut contender = Contender::by_relay(Address::new("relay", 1));
        let greeting = vec![Output::Write(lines::relay_line(&key(), "side")), Output::Read];
        assert_eq!(contender.handle(opened(), Some(&lines())), greeting);
        let all = [b"ok\n".as_slice(), &theirs, b"and more"].concat();
        let out = contender.handle(Input::Received(all), Some(&lines()));
        assert_eq!(out, [Output::Write(ours), Output::Complete(b"and more".to_vec())]);
        assert_eq!(contender.handle(Input::Received(b"later".to_vec()), Some(&lines())), []);
    }

    #[test]
    fn what_comes_with_the_relays_ok_must_be_the_peers() {
        let mut contender = Contender::by_relay(Address::new("relay", 1));
        contender.handle(opened(), Some(&lines()));
        let out = contender.handle(Input::Received(b"ok\nimpatient\n".to_vec()), Some(&lines()));
        assert_eq!(out.last(), Some(&Output::Foreign));
    }

    #[test]
    fn a_caller_before_the_key_is_neither_greeted_nor_read() {
        let mut contender = Contender::caller();
        assert_eq!(contender.handle(opened(), None), []);
        assert_eq!(contender.path.to_string(), "<-10.0.0.1:9");
        let greeting = vec![Output::Write(lines::sender_line(&key())), Output::Read];
        assert_eq!(contender.handle(Input::Key, Some(&lines())), greeting);
        assert_eq!(contender.handle(Input::Key, Some(&lines())), []);
    }

    fn opened() -> Input {
        Input::Opened { from: Some("10.0.0.1:9".parse().unwrap()), until: Instant::START }
    }

    fn lines() -> Lines {
        Lines::new(Role::Sender, &key(), "side")
    }

    fn key() -> TransitKey {
        TransitKey::from_bytes([7; 32])
    }
}
