//! Transit: from a key that both sides have to one connection for the content.
//!
//! [`Race`] listens, dials and shakes hands until one connection is chosen; what it hands out as [`Settled`] carries
//! [records](record), with keys of their own for each direction. Each side has a [`Role`]: the sender chooses the
//! connection, the receiver obeys.

mod again;
mod contender;
mod expect;
mod handshake;
mod hints;
mod lines;
mod listener;
pub mod race;
pub mod record;
mod relay;

use alloc::vec::Vec;
use core::fmt;

pub use self::race::Race;
pub use self::record::{OVERHEAD, Opener, RecordKeys, Reference, Sealer, SecretBox};
use crate::driver::{Address, Conn};

/// Who chooses the connection. In file transfer the sender is who sends the file, whoever made the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Chooses.
    Sender,
    /// Obeys.
    Receiver,
}

/// Which way a connection goes. `Display` writes it as the reference does: `->tcp:H:P`, `<-H:P`, `->relay:tcp:H:P`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Path {
    /// From one side to the other.
    Direct {
        /// The address of the other side.
        peer: Address,
        /// Whether it called us.
        inbound: bool,
    },
    /// By way of a relay.
    Relay {
        /// The address of the relay.
        relay: Address,
    },
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct { peer, inbound: true } => write!(f, "<-{peer}"),
            Self::Direct { peer, inbound: false } => write!(f, "->tcp:{peer}"),
            Self::Relay { relay } => write!(f, "->relay:tcp:{relay}"),
        }
    }
}

/// The connection that was chosen. No read is under way on it, and everything written has left.
///
/// A read would take content that is not for the race, so from here on nobody watches the connection: if it dies, its
/// first use shows that. A transfer that settles before the answer has come holds it in this way until then. That is
/// no longer than the answer takes through the mailbox, since no known program connects before its user has accepted;
/// there is no other connection to turn to, because the choice was said on this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Its number; from here on it belongs to whoever drives the race.
    pub conn: Conn,
    /// Which way it goes.
    pub path: Path,
    /// The keys of its records.
    pub keys: RecordKeys,
    /// What was read past the handshake: the beginning of the first records.
    pub read: Vec<u8>,
}
