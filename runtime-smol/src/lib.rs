//! Magic-wormhole on smol: two people who can speak to each other read a short code aloud, and their computers
//! have an encrypted channel.
//!
//! ```text
//!  application  --  this crate  --  wormhole-runtime  --  wormhole-core
//!                   sockets and     the one loop          every protocol
//!                   a clock                               machine
//! ```
//!
//! # Example
//!
//! ```no_run
//! use wormhole_smol::{Config, Error, Wormhole};
//!
//! # fn main() -> Result<(), Error> {
//! smol::block_on(async {
//!     let mut wormhole = Wormhole::new(Config::new("example.com/app")?)?;
//!     wormhole.allocate_code(2).await?;
//!     println!("Tell the other side: {}", wormhole.code().await?);
//!     println!("Both should see: {}", wormhole.verifier().await?);
//!     wormhole.send(b"hello").await?;
//!     let answer = wormhole.receive().await?;
//!     wormhole.close().await?;
//! # drop(answer);
//! # Ok(())
//! })
//! # }
//! ```
//!
//! What went wrong is a value that says whose doing it was:
//!
//! ```
//! use wormhole_smol::{Config, Error, Wormhole};
//!
//! # fn main() -> Result<(), Error> {
//! smol::block_on(async {
//!     let nobody = Config::new("example.com/app")?.mailbox("ws://127.0.0.1:1/v1");
//!     let mut wormhole = Wormhole::new(nobody)?;
//!     wormhole.allocate_code(2).await?;
//!     assert!(matches!(wormhole.code().await, Err(Error::Server(_))));
//! # Ok(())
//! })
//! # }
//! ```

mod sockets;
#[cfg(feature = "transfer")]
pub mod transfer;

pub use sockets::{Smol, Socket};
pub use wormhole_core::error::Error;
pub use wormhole_core::wormhole::{Config, Event};
use wormhole_runtime::{InFlight, Layered};

/// The whole runtime: WebSocket and TLS over the sockets of smol.
pub type Runtime = Layered<InFlight<Smol>>;

/// A runtime without any connection. It works on any executor, since the reactor of smol has a thread of its own.
pub fn runtime() -> Runtime {
    Layered::new(InFlight::new(Smol::new()))
}

/// One side of a conversation: [`wormhole_runtime::Wormhole`] on smol.
pub type Wormhole = wormhole_runtime::Wormhole<Runtime>;
