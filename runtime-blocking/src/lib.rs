//! Magic-wormhole on plain threads: two people who can speak to each other read a short code aloud, and their computers
//! have an encrypted channel. No executor is needed, and none is inside.
//!
//! ```text
//!  application  --  this crate  --  wormhole-runtime  --  wormhole-core
//!                   threads and     the one loop          every protocol
//!                   a clock                               machine
//! ```
//!
//! # Example
//!
//! ```no_run
//! use wormhole_blocking::{Config, Error, Wormhole};
//!
//! # fn main() -> Result<(), Error> {
//! let mut wormhole = Wormhole::new(Config::new("example.com/app"))?;
//! wormhole.allocate_code(2)?;
//! println!("Tell the other side: {}", wormhole.code()?);
//! println!("Both should see: {}", wormhole.verifier()?);
//! wormhole.send(b"hello")?;
//! let answer = wormhole.receive()?;
//! wormhole.close()?;
//! # drop(answer);
//! # Ok(())
//! # }
//! ```
//!
//! A call that waits can be ended from another thread:
//!
//! ```
//! use std::thread;
//! use wormhole_blocking::{Config, Error, Wormhole};
//!
//! # fn main() -> Result<(), Error> {
//! # let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
//! # let url = format!("ws://{}/v1", silent.local_addr().unwrap());
//! let mut wormhole = Wormhole::new(Config::new("example.com/app").mailbox(&url))?;
//! wormhole.allocate_code(2)?;
//! let canceller = wormhole.canceller();
//! thread::spawn(move || canceller.cancel());
//! assert_eq!(wormhole.code(), Err(Error::Cancelled));
//! # Ok(())
//! # }
//! ```
//!
//! # Threads
//!
//! What blocks has a thread: each direction of a connection, of which one also dials, a listener, a content that flows. They
//! are counted and bounded, and end when the value is dropped, which itself never waits. Calls may be made on any thread,
//! also on one of an executor's pool for what blocks.

mod call;
mod socket;
mod sockets;
pub mod transcribe;
#[cfg(feature = "transfer")]
pub mod transfer;
mod worker;
mod wormhole;

pub use call::Canceller;
pub use socket::Socket;
pub use sockets::{Blocking, Listener};
pub use wormhole::Wormhole;
#[doc(inline)]
pub use wormhole_runtime::api::*;
use wormhole_runtime::{InFlight, Layered, OnNetwork, Proxied};

/// The whole runtime: WebSocket, TLS and proxies over sockets at which threads wait.
pub type Runtime = Layered<Proxied<InFlight<Blocking>>>;

/// A runtime without any connection. It is polled by the calls of this crate only, since nobody else would know the time.
pub fn runtime() -> Runtime {
    runtime_on(&Network::default())
}

/// As [`runtime`], on this network.
pub fn runtime_on(network: &Network) -> Runtime {
    Runtime::on_network(network)
}
