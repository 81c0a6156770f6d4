//! The one loop that drives every wormhole machine, and the byte layers below it.
//!
//! ```text
//!  application        Wormhole                      wormhole-transfer, wormhole-server
//!                        |                                   |
//!  this crate         Driver::until: the only loop there is
//!                        |
//!                     Layered      WebSocket and TLS around the raw connections to a mailbox server
//!                        |
//!                     Proxied      a proxy before all that is dialled, where there is one
//!                        |
//!                     InFlight     connections, dials, listeners and jobs, polled when their waker has called
//!                        |
//!  an adapter         Sockets      the sockets and the clock of one executor
//! ```
//!
//! A machine of `wormhole-core` says what it wants, a [`Runtime`] starts it and brings the answers home, and a
//! [`Driver`] passes them between the two. Whoever writes an adapter implements [`Sockets`] and gets the rest from
//! here; whoever writes an application names an adapter, as `wormhole-tokio`, and never sees this crate.
//!
//! # Example
//!
//! What an application of its own kind adds is a [`Note`]: what it wants to know of the events of its machine.
//!
//! ```
//! use wormhole_core::code::Code;
//! use wormhole_core::wormhole::Event;
//! use wormhole_runtime::Note;
//!
//! #[derive(Default)]
//! struct Seen {
//!     code: Option<Code>,
//! }
//!
//! impl Note<Event> for Seen {
//!     fn note(&mut self, event: Event) {
//!         if let Event::Code(code) = event {
//!             self.code = Some(code);
//!         }
//!     }
//! }
//!
//! // `Driver::new(machine, runtime, Seen::default()).until(..)` runs the machine until `seen` has the code.
//! let mut seen = Seen::default();
//! seen.note(Event::LinkUp);
//! assert!(seen.code.is_none());
//! seen.note(Event::Code(Code::parse("7-crossover-clockwork")?));
//! assert_eq!(seen.code, Some(Code::parse("7-crossover-clockwork")?));
//! # Ok::<(), wormhole_core::error::CodeFault>(())
//! ```

pub mod api;
mod clock;
mod config;
mod driver;
mod in_flight;
mod layered;
mod meter;
mod network;
pub mod pipe;
mod proxied;
pub mod record;
mod status;
pub mod transcribe;
mod why;
mod wormhole;

pub use clock::Clock;
pub use config::Config;
pub use driver::{Beside, Driver, Job, Note, Runtime, Sockets, Stream, tune};
pub use in_flight::{Given, InFlight, bind};
pub use layered::{Layered, Serving};
pub use meter::Carried;
pub use network::{Network, OnNetwork, Roots};
pub use proxied::{Proxied, Proxy};
pub use status::{CodeStatus, KeyStatus, LinkStatus, Status};
#[cfg(feature = "serde")]
pub use wormhole::Snapshot;
pub use wormhole::{Exchange, Wormhole};
pub use wormhole_core::defaults::Limits;
