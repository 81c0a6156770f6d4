//! Worlds in which everything goes wrong that can: clients, servers and a network between them, in one thread, with a
//! time of their own.
//!
//! ```text
//!  world         who is there, what goes wrong, what has to hold
//!    |
//!  client, server    programs over the API that ships, and the servers that ship
//!    |
//!  host          a Runtime: the driver, wormholes, transfers and pipes above it are those that ship
//!    |
//!  net           connections, delays and faults; mailbox messages travel whole, since WebSocket and TLS are below
//! ```
//!
//! ```
//! let outcome = wormhole_sim::run(7, false);
//! assert_eq!(outcome.broken, None);
//! ```
//!
//! Everything follows from a number: the same number gives the same world, byte for byte. `wormhole-sim --worlds N` runs
//! many, `wormhole-sim --seed S` tells one.

mod chance;
mod client;
mod fault;
mod host;
mod net;
mod plan;
mod ready;
mod rest;
mod server;
mod table;
mod world;

pub use plan::Scenario;
pub use table::recovery_table;
pub use world::{Outcome, run, run_bytes};
