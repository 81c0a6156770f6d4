//! The public servers, application ids, times and sizes: one place for all of them.

use core::time::Duration;

/// The name of this project's command line, as it tells the server and as a server may name it.
pub const PROGRAM: &str = "wormhole-cli";

/// The public mailbox server.
pub const MAILBOX: &str = "ws://relay.magic-wormhole.io:4000/v1";
/// The public transit relay, as `tcp:HOST:PORT`.
pub const RELAY: &str = "tcp:transit.magic-wormhole.io:4001";
/// The application id of text, file and directory transfer.
pub const TRANSFER_APPID: &str = "lothar.com/wormhole/text-or-file-xfer";
/// The purpose of the transit key of file transfer; it never follows a changed application id.
pub const TRANSFER_TRANSIT_PURPOSE: &str = "lothar.com/wormhole/text-or-file-xfer/transit-key";
/// Words in a new code.
pub const CODE_WORDS: usize = 2;

/// How long the server may take to answer, and, as long as there is nothing to lose yet, to be reached again.
pub const SERVER_LIMIT: Duration = Duration::from_secs(120);
/// How long the other side may take from its first message until it has proved that it knows the code.
pub const KEY_LIMIT: Duration = Duration::from_secs(120);
/// How long the other side may take, once there is a key, to offer something: its user may be comparing verifiers.
pub const OFFER_LIMIT: Duration = Duration::from_secs(60 * 60);
/// How long the other side may take to answer an offer: its user is asked.
pub const DECISION_LIMIT: Duration = Duration::from_secs(60 * 60);
/// How long content may stand still. A peer that was stopped keeps its connection, and would be waited for for ever.
pub const STALL_LIMIT: Duration = Duration::from_secs(5 * 60);
/// How long the receiver may take after the last byte: it may have a large archive to unpack.
pub const CONFIRM_LIMIT: Duration = Duration::from_secs(60 * 60);
/// How long `close` waits for the server before it gives up.
pub const CLOSE_LIMIT: Duration = Duration::from_millis(3000);
/// How long the server may take to have our last word, without which the other side does not know that all is well:
/// the blob of `transcribe` once the other side's is here, the answer to a text or an empty file. The link is tried
/// again meanwhile.
pub const STORE_LIMIT: Duration = Duration::from_secs(120);
/// The longest wait between two tries to reach the server, before the random part of up to a second.
pub const RECONNECT_LIMIT: Duration = Duration::from_secs(60);
/// How long after the direct hints the relay is tried; each lower priority waits as long again.
pub const RELAY_DELAY: Duration = Duration::from_secs(2);
/// A transit handshake, from the connection to `go`.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(60);
/// The whole race for a transit connection.
pub const TRANSIT_LIMIT: Duration = Duration::from_secs(120);

/// The most bits of work that are done for a server: some seconds on a computer of our days, and each bit more doubles it.
pub const WORK_BITS: u32 = 24;

/// The longest message to or from a mailbox server that we take.
pub const MESSAGE_LIMIT: usize = 4 << 20;
/// Content of one transit record that we send.
pub const RECORD_CONTENT: usize = 128 << 10;
/// The longest content of one transit record that we take.
pub const RECORD_LIMIT: usize = 16 << 20;
/// Direct hints believed from a peer.
pub const DIRECT_HINTS: usize = 50;
/// Relay hints believed from a peer.
pub const RELAY_HINTS: usize = 4;

/// How long an `error` to the peer may take to reach the server before the session closes all the same.
pub const ERROR_LIMIT: Duration = Duration::from_secs(2);
/// How long we wait for the peer's `error` where its connection was lost: its own words say more.
pub const LAST_WORDS_LIMIT: Duration = Duration::from_millis(300);
/// How long the goodbye may take, all in all, where our own user ends the transfer.
pub const CANCEL_LIMIT: Duration = Duration::from_millis(700);

/// How long each wait may take that others could make endless.
///
/// Time in which the program does not run, because the computer sleeps, does not count. `docs/design.md`, "Time limits",
/// has every wait there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For anybody to come with our code: without a limit to begin with, since people may need hours.
    pub peer: Option<Duration>,
    /// [`SERVER_LIMIT`].
    pub server: Duration,
    /// [`KEY_LIMIT`].
    pub key: Duration,
    /// [`OFFER_LIMIT`].
    pub offer: Duration,
    /// [`DECISION_LIMIT`].
    pub decision: Duration,
    /// [`TRANSIT_LIMIT`].
    pub transit: Duration,
    /// [`STALL_LIMIT`].
    pub stall: Duration,
    /// [`CONFIRM_LIMIT`].
    pub confirm: Duration,
    /// [`CLOSE_LIMIT`].
    pub close: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            peer: None,
            server: SERVER_LIMIT,
            key: KEY_LIMIT,
            offer: OFFER_LIMIT,
            decision: DECISION_LIMIT,
            transit: TRANSIT_LIMIT,
            stall: STALL_LIMIT,
            confirm: CONFIRM_LIMIT,
            close: CLOSE_LIMIT,
        }
    }
}
