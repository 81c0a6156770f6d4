//! The one loop that drives every wormhole machine, and the byte layers below it.
//!
//! ```text
//!  application        Wormhole                      wormhole-transfer, wormhole-server
//!                        |                                   |
//!  this crate         Driver::until: the only loop there is
//!                        |
//!                     Layered      WebSocket and TLS around the raw connections to a mailbox server
//!                        |
//!                     InFlight     connections, dials, listeners and jobs, polled when their waker has called
//!                        |
//!  an adapter         Sockets      the sockets and the clock of one executor
//! ```
//!
//! A machine of `wormhole-core` says what it wants, a [`Runtime`] starts it and brings the answers home, and a
//! [`Driver`] passes them between the two. Whoever writes an adapter implements [`Sockets`] and gets the rest from
//! here; whoever writes an application names an adapter, as `wormhole-tokio`, and never sees this crate.

mod driver;
mod in_flight;
mod layered;
pub mod pipe;
pub mod record;
mod why;

pub use driver::{Driver, Job, Note, Runtime, Sockets, Stream, tune};
pub use in_flight::{Given, InFlight};
pub use layered::{Layered, Layers};
