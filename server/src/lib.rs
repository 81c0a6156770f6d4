//! The two servers of magic-wormhole, as machines: the mailbox server, where two clients find each other, and the
//! transit relay, where they meet if neither can reach the other.
//!
//! ```text
//!                 Server                    a machine, and the runtime that it is served on
//!                /      \
//!   mailbox::Mailbox    relay::Relay        all connections of a server: one machine each
//!          |                  |
//!   session, one a client    line           what one connection may say
//!          |
//!   store::Store                            what mailbox clients share, asked by `Op::Store`
//!          |
//!   store::Memory, Sqlite, Postgres         where it is kept
//!          |
//!   commands, rules                         what may be done, which is decided once
//! ```
//!
//! Both run under the one loop of `wormhole-runtime` on any runtime, as a client does. A machine has no socket, clock
//! or randomness of its own:
//!
//! ```
//! use wormhole_core::driver::{Address, Listen, Machine, Op, Output};
//! use wormhole_server::relay::{Options, Relay};
//!
//! let listen = Address::new("127.0.0.1", 0);
//! let mut relay = Relay::new(Options::new(listen.clone()));
//! let Output::Do(Op::Listen { on, .. }) = relay.poll() else { unreachable!() };
//! assert_eq!(on, Listen::Relay(listen));
//! ```
//!
//! `limits` names everything that is bounded.

#![warn(
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc,
    clippy::print_stdout,
    clippy::print_stderr
)]

extern crate alloc;

mod answer;
mod callers;
mod command;
pub mod counters;
mod door;
#[cfg(feature = "sqlite")]
pub mod import;
mod json;
pub mod limits;
mod line;
pub mod mailbox;
mod outbox;
pub mod relay;
mod server;
mod session;
mod stamp;
pub mod store;
mod stored;
pub mod usage;

pub use door::{Drain, Event};
pub use json::Json;
pub use server::Server;
pub use stamp::Stamp;
pub use stored::Stored;
