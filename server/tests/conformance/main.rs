//! The conformance list of both servers, case by case, against the real program over real sockets.
//!
//! A test's name begins with its case: `m17_…` of the mailbox server, `r8_…` of the relay. `table.rs` says of each case
//! that differs from the list, or is shown elsewhere, which and why; and its test, that none is missing.
#![cfg(test)]
#![cfg(unix)]

mod binding;
mod claiming;
#[path = "../program/client.rs"]
mod client;
mod clients;
mod envelope;
mod guarding;
mod mailboxes;
mod pairing;
mod raw;
mod relay_limits;
mod relay_usage;
mod relay_websocket;
#[expect(dead_code, reason = "each test program uses its part")]
#[path = "../program/running.rs"]
mod running;
mod table;
mod talk;
mod transport;
mod upkeep;
mod working;
