//! The border of the core: what a machine asks of the outside world and what it is told.
//!
//! A driver polls a machine until it answers [`Output::Wait`], starts what was asked on the way, and hands in
//! the next [`Input`]. Nothing else crosses: no socket, no clock, no randomness but the seed given at the start.

use alloc::string::String;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use crate::untrusted::Text;

/// A moment, counted from the driver's start. The core never reads a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Instant(Duration);

impl Instant {
    /// The driver's start.
    pub const START: Self = Self(Duration::ZERO);

    /// The moment `elapsed` after the driver's start.
    pub const fn after_start(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// How long after the driver's start this is.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// How long after `earlier` this is; zero where it is not.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment `later` after this one; the last moment there is where that would be too far.
    #[must_use]
    pub const fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }
}

/// A connection, numbered by the machine that asks for it; no number comes twice, also not in a server that runs
/// for years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Conn(pub u64);

/// Hands out [`Conn`] numbers. Machines that share a driver take every `stride`-th number, each from a start of its
/// own, so that a number tells whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conns {
    next: u64,
    stride: u64,
}

impl Conns {
    /// Every number from 0.
    pub const fn all() -> Self {
        Self { next: 0, stride: 1 }
    }

    /// The numbers `start`, `start + stride`, ...
    pub const fn every(stride: u64, start: u64) -> Self {
        Self { next: start, stride }
    }

    /// The next number.
    pub const fn draw(&mut self) -> Conn {
        let conn = Conn(self.next);
        self.next = self.next.wrapping_add(self.stride);
        conn
    }
}

/// A host and a port. The host is a name or an IP literal without brackets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// A name, or an IP literal without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl Address {
    /// An address from its two parts.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }
}

impl From<SocketAddr> for Address {
    fn from(at: SocketAddr) -> Self {
        use alloc::string::ToString;
        Self { host: at.ip().to_string(), port: at.port() }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.parse::<IpAddr>() {
            Ok(IpAddr::V6(_)) => write!(f, "[{}]:{}", self.host, self.port),
            Ok(IpAddr::V4(_)) | Err(_) => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Where a connection leads. What is behind it decides what [`Op::Read`] and [`Op::Write`] carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A mailbox server by its URL, `ws://` or `wss://`: every read and write is one whole text message.
    Mailbox(String),
    /// The other client, or what claims to be: bytes.
    Peer(Address),
    /// A transit relay: bytes.
    Relay(Address),
}

/// What to listen for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Peers, on any free port of every address family; [`Input::Listening`] has an address for each that a peer
    /// might reach.
    Transit,
    /// Clients of a mailbox server, as WebSockets; port 0 takes any that is free.
    Mailbox(Address),
    /// Clients of a transit relay; port 0 takes any that is free.
    Relay(Address),
    /// Clients of a transit relay as WebSockets, whose binary messages are one stream of bytes each way; port 0 takes
    /// any that is free.
    RelayWebSocket(Address),
}

/// What a join is granted. The default is everything, for as long as it lasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// It ends after nothing has come from either side for so long, or a quarter longer; zero is for ever.
    pub idle: Option<Duration>,
    /// So many bytes go in a second, both ways together.
    pub bytes_per_second: Option<u64>,
    /// It ends once so many bytes have come, both ways together; what one read brings more is delivered too.
    pub bytes: Option<u64>,
}

/// Work for the outside world. Starting it never waits; one [`Input`] answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op<Q = Infallible> {
    /// Connect. Answered by [`Input::Opened`] or [`Input::Closed`].
    Open {
        /// The number that the connection will have.
        conn: Conn,
        /// Where to.
        target: Target,
    },
    /// Begin to listen. Answered by [`Input::Listening`] or [`Input::Closed`].
    Listen {
        /// The number of the listener.
        conn: Conn,
        /// For whom, and where.
        on: Listen,
    },
    /// The next caller at `at` becomes `conn`. Answered by [`Input::Opened`] for `conn`.
    Accept {
        /// The listener.
        at: Conn,
        /// The number that the caller will have.
        conn: Conn,
    },
    /// One read, of any length. Answered by [`Input::Received`] or [`Input::Closed`]. Where one is under way, as at the
    /// beginning of a join, it stays the only one.
    Read {
        /// The connection.
        conn: Conn,
    },
    /// All of the bytes, in the order asked. Answered by [`Input::Sent`] once the system has taken them.
    Write {
        /// The connection.
        conn: Conn,
        /// What to write; one whole message where the target is a mailbox.
        bytes: Vec<u8>,
    },
    /// Copy both ways until either side ends, then deliver what is left and close both: each is answered by
    /// [`Input::Closed`] with [`Why::Joined`]. A read under way goes along: what it brings is for the other side.
    Join {
        /// One side.
        a: Conn,
        /// The other side.
        b: Conn,
        /// When it ends by itself.
        terms: Terms,
    },
    /// What was written may still leave, for a bounded time. A dial, listening or read under way is given up.
    /// Answered by [`Input::Closed`].
    Close {
        /// The connection or listener.
        conn: Conn,
    },
    /// As [`Op::Close`], and a client on a WebSocket is told why (RFC 6455 section 7.4). Only a server asks for it.
    Dismiss {
        /// The connection.
        conn: Conn,
        /// What the close frame says.
        code: u16,
    },
    /// What only a server asks, of its store. A client has no such request.
    Store(Q),
}

/// What the outside world reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input<A = Infallible> {
    /// A dial or an accept has succeeded.
    Opened {
        /// The connection.
        conn: Conn,
        /// The address of the other end, where there is one.
        peer: Option<SocketAddr>,
    },
    /// A listener is ready.
    Listening {
        /// The listener.
        conn: Conn,
        /// Where it can be reached.
        at: Vec<Address>,
    },
    /// What a read brought, never empty; one whole message where the target is a mailbox.
    Received {
        /// The connection.
        conn: Conn,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// One write has been taken by the system.
    Sent {
        /// The connection.
        conn: Conn,
    },
    /// The last word on `conn`; it answers everything still open there.
    Closed {
        /// The connection or listener.
        conn: Conn,
        /// Why it ended.
        why: Why,
    },
    /// The store's answer.
    Stored(A),
    /// Time has passed, or a job beside the loop has ended.
    Tick,
}

/// Why a connection ended, or never came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Why {
    /// [`Op::Close`] asked for it.
    Asked,
    /// The other end closed in order.
    Ended,
    /// A join has ended after so many bytes from this connection to the other.
    Joined {
        /// Bytes copied from this connection to its partner.
        bytes: u64,
    },
    /// Nobody listens there.
    Refused,
    /// No way leads there.
    Unreachable,
    /// The name has no address.
    NoSuchName,
    /// No answer within the limit.
    TimedOut,
    /// The connection broke.
    Reset,
    /// TLS failed: the certificate was refused, or the other end does not speak it.
    Tls(String),
    /// The WebSocket could not be set up, or its rules were broken: the text says how.
    WebSocket(String),
    /// A message was longer than the limit.
    TooLong,
    /// The URL of the server cannot be used.
    BadUrl(String),
    /// The proxy could not be used, or did not do its part: the text says how.
    Proxy(String),
    /// Anything else, in the system's words.
    Other(String),
}

impl fmt::Display for Why {
    /// One harmless line: what a library or a server has put into a text is not trusted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |text: &str| Text::from(text);
        match self {
            Self::Asked => f.write_str("closed by us"),
            Self::Ended => f.write_str("closed by the other end"),
            Self::Joined { bytes } => write!(f, "ended after {bytes} bytes"),
            Self::Refused => f.write_str("connection refused: nobody listens there"),
            Self::Unreachable => f.write_str("no route to that address"),
            Self::NoSuchName => f.write_str("no address is known for that name"),
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Reset => f.write_str("the connection broke"),
            Self::Tls(how) => write!(f, "TLS failed: {}", text(how).short()),
            Self::WebSocket(how) => write!(f, "not a usable WebSocket: {}", text(how).short()),
            Self::TooLong => f.write_str("a message was too long"),
            Self::Proxy(how) => write!(f, "the proxy did not connect us: {}", text(how).short()),
            Self::BadUrl(how) => write!(f, "not a usable server address: {}", text(how).short()),
            Self::Other(how) => text(how).short().fmt(f),
        }
    }
}

impl core::error::Error for Why {}

/// What a machine wants next. Drivers match it without `_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<E, Q = Infallible> {
    /// Start this work.
    Do(Op<Q>),
    /// Tell the application.
    Tell(E),
    /// Nothing, until an input comes or this moment passes.
    Wait(Option<Instant>),
}

/// A client, a server, a relay: all are driven by the same two calls.
///
/// Any number of inputs may be handled before the next `poll`; outputs queue up. A late, early or repeated
/// [`Input::Tick`] is harmless. A `now` earlier than the last is read as the last.
pub trait Machine {
    /// What the application is told.
    type Event;
    /// What is asked of a store; [`Infallible`] for all but servers.
    type Request;
    /// What a store answers; [`Infallible`] for all but servers.
    type Reply;
    /// Takes in what happened.
    fn handle(&mut self, input: Input<Self::Reply>, now: Instant);
    /// Gives out what is wanted next; to be called until it answers [`Output::Wait`].
    fn poll(&mut self) -> Output<Self::Event, Self::Request>;
}
