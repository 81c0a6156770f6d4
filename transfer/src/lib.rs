//! Files and directories on top of a wormhole, on any runtime.
//!
//! ```text
//!  application        Sender, Receiver                        a bar shows Progress
//!                        |        \\
//!  this crate         the session   content, beside it:  socket  <->  buffers  <->  a thread for disk, hash and boxes
//!                        |                                  |
//!  wormhole-runtime   Driver                              Pipe
//!                        |
//!  wormhole-core      transfer::Sender, transfer::Receiver
//! ```
//!
//! The core holds the conversation and never sees a file. What is here looks at files before they are offered
//! ([`Content`]), finds a place for those that come ([`Destination`]), and moves the content between disk and socket.
//! An application names an adapter, as `wormhole-tokio`, and finds these types there for its runtime.
//!
//! # What is promised
//!
//! - Nothing that exists is replaced, unless its name was given or [`OnConflict::Overwrite`]; then it stays until the
//!   new file is complete.
//! - A place that is taken costs no code: the offer waits until it is accepted elsewhere, or refused.
//! - What does not arrive whole leaves nothing behind.
//! - Memory stays the same whatever the size: a few buffers of a megabyte. Only the names in a directory that is sent are
//!   held together.
//! - A directory is unpacked below a new one and nowhere else, and no link is ever made.
//!
//! # Sending
//!
//! ```
//! # async fn send<R: wormhole_runtime::OnNetwork>() -> Result<(), wormhole_transfer::Error> {
//! use wormhole_transfer::{Config, Content, Sender};
//!
//! let content = Content::open("photos".as_ref())?;
//! let mut sender = Sender::<R>::new(Config::default(), content)?;
//! sender.allocate_code(2)?;
//! println!("wormhole receive {}", sender.code().await?);
//! sender.finish().await
//! # }
//! ```
//!
//! [`Content::several`] sends several at once, and [`Content::stream`] what has no size yet. Between two sides that can do that, they
//! arrive as such, and files keep their modes and times; any other side gets one directory, or a file that was read to its
//! end first.
//!
//! # Receiving
//!
//! ```
//! # async fn receive<R: wormhole_runtime::OnNetwork>(
//! #     code: wormhole_core::code::Code,
//! # ) -> Result<(), wormhole_transfer::Error> {
//! use wormhole_transfer::{Config, Destination, Receiver};
//!
//! let mut receiver = Receiver::<R>::new(Config::default())?;
//! receiver.set_code(code)?;
//! println!("offered: {:?}", receiver.offer().await?);
//! receiver.accept(&Destination::Into(".".into()))?;
//! receiver.finish().await?;
//! # Ok(())
//! # }
//! ```

mod archive;
mod config;
pub mod content;
mod disk;
#[cfg(test)]
mod doubles;
pub mod error;
mod event;
mod exchange;
mod flow;
mod incoming;
mod outgoing;
mod place;
mod progress;
mod receiver;
mod sender;
mod session;
mod system;
mod temporary;
mod walk;

pub use wormhole_core::transfer::Offer as OurOffer;
pub use wormhole_core::wire::peer::Offer;
pub use wormhole_core::wormhole::Transition;
pub use wormhole_runtime::{Config, Status};

pub use self::error::Error;
pub use self::event::Event;
pub use self::incoming::Incoming;
pub use self::outgoing::Content;
pub use self::place::{Destination, OnConflict};
pub use self::progress::Progress;
pub use self::receiver::{Received, Receiver};
pub use self::sender::Sender;
