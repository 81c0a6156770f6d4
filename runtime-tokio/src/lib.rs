//! Magic-wormhole on tokio.

mod sockets;

pub use sockets::{Socket, Tokio};
