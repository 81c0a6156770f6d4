//! What connections share, asked of a store: nameplates, mailboxes and their messages.
//!
//! The mailbox server asks by [`Op::Store`](wormhole_core::driver::Op::Store) and goes on when
//! [`Input::Stored`](wormhole_core::driver::Input::Stored) comes back, so that no answer runs ahead of its commit.
//! Every store follows the rules of `rules.rs`, which exist once; a store only keeps what they decide about.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::{Context, Poll};
use core::time::Duration;

use wormhole_core::driver::{Conn, Instant};

use crate::json::Json;
use crate::limits;
use crate::stamp::Stamp;
use crate::usage::Usage;

mod commands;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod desk;
mod listeners;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
mod resting;
mod rows;
mod rules;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use memory::Memory;
#[cfg(feature = "postgres")]
pub use postgres::{OpenPostgresError, Postgres};
#[cfg(feature = "sqlite")]
pub(crate) use sqlite::Taken;
#[cfg(feature = "sqlite")]
pub use sqlite::{OpenError, Sqlite, Synchronous};

/// A queue in and a wake-up out. Nothing here waits.
pub trait Store {
    /// Takes a request in. The requests of one connection are answered in order.
    fn start(&mut self, request: Request, now: Instant);
    /// The next reply; where there is none yet, the context is woken as soon as there is.
    fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Reply>;
}

/// What a store is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A command of a connection; answered by one [`Reply::Done`].
    Do {
        /// The connection.
        conn: Conn,
        /// Whom it speaks for.
        member: Arc<Member>,
        /// The command.
        ask: Ask,
    },
    /// The connection has ended and listens no more. Nothing else changes by it, and nothing answers.
    Leave {
        /// The connection.
        conn: Conn,
    },
    /// Delete what was not touched for long. Nothing answers.
    Prune,
}

/// An application and one side of it. Both are compared as text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// The application id: what is of one application is invisible to the others.
    pub app: String,
    /// The side.
    pub side: String,
}

/// The commands that touch what is shared (`docs/server-protocol.md`, "Nameplates and mailboxes").
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// All nameplates of the application.
    List,
    /// A free nameplate, claimed for this side.
    Allocate,
    /// This nameplate for this side.
    Claim {
        /// Decimal digits.
        nameplate: String,
        /// Whether it is made if it is free.
        make: bool,
    },
    /// This side needs the nameplate no longer.
    Release {
        /// Decimal digits.
        nameplate: String,
    },
    /// Everything in the mailbox, and from now on everything added.
    Open {
        /// The mailbox; it need not exist.
        mailbox: String,
    },
    /// One more message for all that have the mailbox open.
    Add {
        /// The mailbox.
        mailbox: String,
        /// The message.
        message: Message,
    },
    /// This side is done with the mailbox.
    Close {
        /// The mailbox; it need not exist.
        mailbox: String,
        /// How it ended, in the client's word.
        mood: Option<String>,
    },
}

/// One message in a mailbox, as its sender gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The side that added it.
    pub side: String,
    /// Its phase.
    pub phase: String,
    /// Its body, as text that is not looked into.
    pub body: String,
    /// The `id` of the command.
    pub id: Option<Json>,
    /// When it came.
    pub received: Stamp,
}

impl Message {
    /// How many bytes it counts for against the limits.
    pub fn weight(&self) -> usize {
        const FIXED: usize = 128;
        let id = self.id.as_ref().map_or(0, |id| id.as_str().len());
        [self.side.len(), self.phase.len(), self.body.len(), id]
            .iter()
            .fold(FIXED, |sum, len| sum.saturating_add(*len))
    }
}

/// What a store answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The answer to a command, once its effect is stored.
    Done {
        /// The connection that asked.
        conn: Conn,
        /// What it asked for, or why not.
        done: Result<Done, Refusal>,
    },
    /// A message was added to the mailbox that this connection has open. Comes unasked, after the answer to `open`
    /// and not after the answer to `close`.
    Message {
        /// The connection that listens.
        conn: Conn,
        /// The message.
        message: Arc<Message>,
    },
    /// Something ended that the statistics count. Comes unasked, after it is stored.
    Used(Usage),
    /// The store has a word for the operator. Comes unasked.
    Note(Note),
}

/// What a store tells whoever runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Nothing can be stored, for this reason; told once for each change.
    Failing(String),
    /// It can again.
    Recovered,
    /// So many mailboxes have expired and were deleted.
    Pruned(usize),
    /// So many mailboxes have expired and could not be deleted, one of them for this reason. They are tried again
    /// with the next sweep.
    Skipped(usize, String),
}

/// What a store holds at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Nameplates of one application.
    pub nameplates: usize,
    /// The least digits of a nameplate that the store chooses.
    pub nameplate_digits: u32,
    /// How long a nameplate that has come free is not chosen again. It is forgotten at the end of the program, and each of
    /// several nodes knows its own.
    pub nameplate_rest: Duration,
    /// Mailboxes of all applications.
    pub mailboxes: usize,
    /// Bytes in all mailboxes.
    pub bytes: usize,
    /// Messages in one mailbox.
    pub mailbox_messages: usize,
    /// Bytes in one mailbox.
    pub mailbox_bytes: usize,
    /// How long a mailbox lives after it was last touched.
    pub expiry: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            nameplates: limits::NAMEPLATES,
            nameplate_digits: 1,
            nameplate_rest: Duration::ZERO,
            mailboxes: limits::MAILBOXES,
            bytes: limits::STORE_BYTES,
            mailbox_messages: limits::MAILBOX_MESSAGES,
            mailbox_bytes: limits::MAILBOX_BYTES,
            expiry: limits::EXPIRY,
        }
    }
}

/// How a command ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// The nameplates, ordered as text.
    Listed(Vec<String>),
    /// The nameplate.
    Allocated(String),
    /// The side holds the nameplate.
    Claimed {
        /// The mailbox that it points to.
        mailbox: String,
        /// What was there.
        found: Found,
    },
    /// The nameplate is no longer held by the side.
    Released,
    /// The mailbox is open for the connection.
    Opened {
        /// The mailbox.
        mailbox: String,
        /// What is in it, oldest first.
        messages: Vec<Arc<Message>>,
    },
    /// The message is stored, and on its way to whoever listens.
    Added,
    /// The mailbox is closed for the side.
    Closed,
}

/// How a claim found its nameplate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nobody had it.
    Free,
    /// Another side had it.
    Taken,
    /// This side had it already.
    Own,
}

/// Why a command has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Two other sides have met here.
    Crowded,
    /// The side has released this nameplate, and the other side still holds it.
    Reclaimed,
    /// Nobody has this nameplate, and it was not to be made.
    Unallocated,
    /// All nameplates that were tried are taken, or there are too many.
    NoNameplate,
    /// The connection has no mailbox open, or all sides have closed it on others.
    NotOpen,
    /// The mailbox holds as many messages or bytes as it may.
    MailboxFull,
    /// The store holds as much as it may, or as its disk takes.
    StoreFull,
    /// The store cannot be asked at the moment, or has more to do than it can. The command may have had its effect all
    /// the same, and may be said again.
    Unavailable,
}

impl Refusal {
    /// The text of the `error`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Crowded => "crowded",
            Self::Reclaimed => "reclaimed",
            Self::Unallocated => "unallocated",
            Self::NoNameplate => "no nameplate is free",
            Self::NotOpen => "must open mailbox before adding",
            Self::MailboxFull => "the mailbox is full",
            Self::StoreFull => "the server is full",
            Self::Unavailable => "the server cannot store anything at the moment; try again later",
        }
    }
}
