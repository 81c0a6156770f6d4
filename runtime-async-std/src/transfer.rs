//! Text, files and directories on async-std.
//!
//! # Sending
//!
//! ```no_run
//! use wormhole_async_std::transfer::{Config, Content, Error, Sender};
//!
//! # fn main() -> Result<(), Error> {
//! async_std::task::block_on(async {
//!     let content = Content::open("photos".as_ref())?;
//!     let mut sender = Sender::new(Config::default(), content)?;
//!     sender.allocate_code(2)?;
//!     println!("wormhole receive {}", sender.code().await?);
//!     sender.finish().await
//! })
//! # }
//! ```
//!
//! # Receiving
//!
//! ```no_run
//! use wormhole_async_std::transfer::{Config, Destination, Error, Receiver};
//!
//! # fn main() -> Result<(), Error> {
//! async_std::task::block_on(async {
//! # let code = wormhole_async_std::Code::parse("7-crossover-clockwork").map_err(wormhole_async_std::Misuse::from)?;
//!     let mut receiver = Receiver::new(Config::default())?;
//!     receiver.set_code(code)?;
//!     receiver.offer().await?;
//!     receiver.accept(&Destination::Into(".".into()))?;
//!     receiver.finish().await?;
//! # Ok(())
//! })
//! # }
//! ```

#[doc(inline)]
pub use wormhole_transfer::*;

use crate::Runtime;

/// The side that sends: [`wormhole_transfer::Sender`] on async-std.
pub type Sender = wormhole_transfer::Sender<Runtime>;

/// The side that receives: [`wormhole_transfer::Receiver`] on async-std.
pub type Receiver = wormhole_transfer::Receiver<Runtime>;
