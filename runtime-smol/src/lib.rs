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
//!     let mut wormhole = Wormhole::new(Config::new("example.com/app"))?;
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
//!     let nobody = Config::new("example.com/app").mailbox("ws://127.0.0.1:1/v1");
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
#[doc(inline)]
pub use wormhole_runtime::api::*;
use wormhole_runtime::{InFlight, Layered, OnNetwork, Proxied};

/// The whole runtime: WebSocket, TLS and proxies over the sockets of smol.
pub type Runtime = Layered<Proxied<InFlight<Smol>>>;

/// A runtime without any connection. It works on any executor, since the reactor of smol has a thread of its own.
pub fn runtime() -> Runtime {
    runtime_on(&Network::default())
}

/// As [`runtime`], on this network.
pub fn runtime_on(network: &Network) -> Runtime {
    Runtime::on_network(network)
}

/// One small message each way, on smol.
///
/// ```no_run
/// use wormhole_smol::Error;
/// use wormhole_smol::transcribe::{Initiator, Receiver};
///
/// # fn main() -> Result<(), Error> {
/// smol::block_on(async {
///     let mut initiator = Initiator::new("example.com/app", b"initiator's blob")?;
///     println!("Invitation Code: {}", initiator.start().await?);
///     let their_blob = initiator.finish().await?;
/// # let code = "7-crossover-clockwork";
///
///     // On another computer:
///     let mut receiver = Receiver::new("example.com/app", code, b"receiver's blob")?;
///     let their_blob = receiver.finish().await?;
/// # drop(their_blob);
/// # Ok(())
/// })
/// # }
/// ```
pub mod transcribe {
    use crate::Runtime;

    /// The side that shows a code: [`wormhole_runtime::transcribe::Initiator`] on smol.
    pub type Initiator = wormhole_runtime::transcribe::Initiator<Runtime>;

    /// The side that is given the code: [`wormhole_runtime::transcribe::Receiver`] on smol.
    pub type Receiver = wormhole_runtime::transcribe::Receiver<Runtime>;
}

/// One side of a conversation: [`wormhole_runtime::Wormhole`] on smol.
pub type Wormhole = wormhole_runtime::Wormhole<Runtime>;
