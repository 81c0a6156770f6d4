//! Every limit of both servers, each with its reason: one place for all of them.

use core::time::Duration;

use wormhole_core::defaults::MESSAGE_LIMIT;

/// Connections at the same time; the next caller waits in the system's queue until one leaves.
pub const CONNECTIONS: usize = 16_384;
/// How long accepting rests after it failed, as it does where the system has no descriptors left.
pub const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// The longest command. What a client is sent of it is wrapped once more and must still be a message that it takes.
pub const COMMAND_BYTES: usize = MESSAGE_LIMIT - 4096;
/// An application id, a side, a phase or a mailbox id.
pub const NAME_BYTES: usize = 256;
/// The `id` of a command, as JSON has it.
pub const ID_BYTES: usize = 64;
/// How deep the lists and objects of a command may be nested; the parser itself stops at 127.
pub const NESTING: usize = 64;
/// A nameplate, in digits.
pub const NAMEPLATE_DIGITS: usize = 40;
/// How much of a command comes back in an `error`.
pub const ORIG_BYTES: usize = 4096;
/// What may wait for a client that does not read, beside what it got from the store when it opened its mailbox.
pub const QUEUE_BYTES: usize = MESSAGE_LIMIT;
/// What is given to the system before it has taken what it has; the rest waits here, unencoded and shared.
pub const WINDOW_BYTES: usize = 256 << 10;

/// Messages in one mailbox. An application may have ten thousand short ones each way; what bounds the memory is the next.
pub const MAILBOX_MESSAGES: usize = 32_768;
/// Bytes in one mailbox.
pub const MAILBOX_BYTES: usize = 8 << 20;
/// Sides of one mailbox, those that closed it included.
pub const MAILBOX_SIDES: usize = 2;
/// Nameplates of one application.
pub const NAMEPLATES: usize = 100_000;
/// Mailboxes of all applications.
pub const MAILBOXES: usize = 1_000_000;
/// Bytes in all mailboxes.
pub const STORE_BYTES: usize = 1 << 30;
/// Commands that wait for a store on a thread of its own. Each connection has one at most.
pub const STORE_QUEUE: usize = CONNECTIONS;
/// Bytes of messages that wait for such a store.
pub const STORE_QUEUE_BYTES: usize = 256 << 20;
/// Commands that a store puts into one transaction, if that many have come while it was busy with the last.
pub const STORE_BATCH: usize = 64;
/// Expired mailboxes that are deleted in one go. Commands come in between.
pub const PRUNE_BATCH: usize = 500;
/// Connections that carry out commands, to a database on another computer.
pub const DATABASE_CONNECTIONS: usize = 8;
/// How long a command waits for a database that is away. Clients wait about as long for an answer.
pub const DATABASE_HOLD: Duration = Duration::from_secs(10);
/// Before a lost database is tried again, at first.
pub const DATABASE_PAUSE: Duration = Duration::from_millis(100);
/// How often a node shows that it is there, and looks for what it was not told.
pub const DATABASE_BEAT: Duration = Duration::from_secs(5);
/// Once in so many beats, a node touches the mailboxes that it has listeners for.
pub const BEATS_TO_KEEP: u32 = 12;
/// How long after its last beat a node is held to be dead.
pub const NODE_LIFE: Duration = Duration::from_secs(15);
/// Rows that wait for the usage database; what comes beyond them is dropped.
pub const LEDGER_QUEUE: usize = 10_000;
/// How often the usage database is told how things are. Its readers hold a server for dead after six minutes.
pub const LEDGER_EVERY: Duration = Duration::from_secs(4 * 60);
/// How long the usage database waits for whoever reads it.
pub const LEDGER_BUSY: Duration = Duration::from_secs(5);
/// Released nameplates that are remembered because they may not be given out yet; beyond them the oldest are.
pub const RESTING_NAMEPLATES: usize = 100_000;
/// Addresses of callers that are remembered; beyond them, those are forgotten that have been gone for the longest.
pub const ADDRESSES: usize = 32_768;
/// Random numbers tried for a nameplate once all short ones are taken.
pub const ALLOCATION_TRIES: usize = 1000;
/// How long a mailbox lives after it was last touched.
pub const EXPIRY: Duration = Duration::from_secs(11 * 60);
/// How often expired mailboxes are looked for.
pub const PRUNE_EVERY: Duration = Duration::from_secs(5 * 60);

/// The line that a client of the relay begins with, without its end.
pub const LINE_BYTES: usize = 1024;
/// How long a client of the relay may take for its line.
pub const LINE_TIME: Duration = Duration::from_secs(10);
/// How long a client of the relay waits for its partner. Clients give up after two minutes by themselves.
pub const WAIT_TIME: Duration = Duration::from_secs(10 * 60);
/// Waiting connections of one side with one token, so all but one are leftovers of a reconnection.
pub const WAITERS: usize = 4;
/// How long a pair may be silent on both sides.
pub const PAIR_IDLE: Duration = Duration::from_secs(30 * 60);

/// What one connection to the mailbox server may cost. What is not to be limited is as large as can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The longest command; at most [`COMMAND_BYTES`] can come.
    pub command_bytes: usize,
    /// An application id, a side, a phase or a mailbox id.
    pub name_bytes: usize,
    /// The `id` of a command, as JSON has it.
    pub id_bytes: usize,
    /// How deep the lists and objects of a command may be nested.
    pub nesting: usize,
    /// How much of a command comes back in an `error`.
    pub orig_bytes: usize,
    /// What may wait for a client that does not read.
    pub queue_bytes: usize,
    /// How long after a `list` the next one is answered at the earliest.
    pub list_pause: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            command_bytes: COMMAND_BYTES,
            name_bytes: NAME_BYTES,
            id_bytes: ID_BYTES,
            nesting: NESTING,
            orig_bytes: ORIG_BYTES,
            queue_bytes: QUEUE_BYTES,
            list_pause: Duration::ZERO,
        }
    }
}

/// What all connections from one address may do together; of IPv6, a network of 64 bits is one address. The default is
/// everything: whoever embeds a server knows its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerAddress {
    /// Connections at the same time.
    pub connections: u32,
    /// New connections in a second.
    pub connects: u32,
    /// Nameplates that the server chooses, in a minute.
    pub allocates: u32,
    /// Claims of nameplates that nobody has, in a minute.
    pub claims: u32,
    /// Claims of nameplates that somebody has, in a minute.
    pub joins: u32,
    /// Lists of all nameplates, in a minute.
    pub lists: u32,
}

impl Default for PerAddress {
    fn default() -> Self {
        Self {
            connections: u32::MAX,
            connects: u32::MAX,
            allocates: u32::MAX,
            claims: u32::MAX,
            joins: u32::MAX,
            lists: u32::MAX,
        }
    }
}

impl PerAddress {
    /// A quarter of each limit, and at least one, for a server that is under attack. What is not limited stays so.
    #[must_use]
    pub fn tightened(&self) -> Self {
        let tighten = |limit: u32| if limit == u32::MAX { limit } else { limit.div_ceil(4) };
        Self {
            connections: tighten(self.connections),
            connects: tighten(self.connects),
            allocates: tighten(self.allocates),
            claims: tighten(self.claims),
            joins: tighten(self.joins),
            lists: tighten(self.lists),
        }
    }
}
