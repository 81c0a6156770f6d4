//! The public servers, application ids, times and sizes: one place for all of them.

use core::time::Duration;

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

/// How long `close` waits for the server before it gives up.
pub const CLOSE_LIMIT: Duration = Duration::from_millis(3000);
/// How long the server may take to have our blob, once the other side's is here, before `transcribe` gives up. The link is
/// tried again meanwhile.
pub const STORE_LIMIT: Duration = Duration::from_secs(120);
/// The longest wait between two tries to reach the server, before the random part of up to a second.
pub const RECONNECT_LIMIT: Duration = Duration::from_secs(60);
/// How long after the direct hints the relay is tried; each lower priority waits as long again.
pub const RELAY_DELAY: Duration = Duration::from_secs(2);
/// A transit handshake, from the connection to `go`.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(60);
/// The whole race for a transit connection.
pub const TRANSIT_LIMIT: Duration = Duration::from_secs(120);

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
/// How long the answer to a text, the last word of its receiver, may take to reach the server.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// How long the goodbye may take, all in all, where our own user ends the transfer.
pub const CANCEL_LIMIT: Duration = Duration::from_millis(700);
