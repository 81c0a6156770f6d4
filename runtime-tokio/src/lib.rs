//! Magic-wormhole on tokio.
//!
//! ```text
//!  application       ── this crate ──  wormhole-runtime  ──  wormhole-core
//!                       sockets, a clock      the loop          the machines
//! ```

mod sockets;

pub use sockets::{Socket, Tokio};
pub use wormhole_core::{self as core, error::Error};
use wormhole_runtime::{InFlight, Layered};

/// The whole runtime: WebSocket and TLS over the sockets of tokio.
pub type Runtime = Layered<InFlight<Tokio>>;

/// A runtime without any connection. It is used inside a tokio runtime whose I/O and time are enabled.
pub fn runtime() -> Runtime {
    Layered::new(InFlight::new(Tokio::new()))
}
