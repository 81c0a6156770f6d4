//! Text, files and directories on smol.
//!
//! # Sending
//!
//! ```no_run
//! use wormhole_smol::transfer::{Config, Content, Error, Sender};
//!
//! # fn main() -> Result<(), Error> {
//! smol::block_on(async {
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
//! use wormhole_smol::transfer::{Config, Destination, Error, Receiver};
//!
//! # fn main() -> Result<(), Error> {
//! smol::block_on(async {
//! # let code = wormhole_smol::Code::parse("7-crossover-clockwork").map_err(wormhole_smol::Misuse::from)?;
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

/// The side that sends: [`wormhole_transfer::Sender`] on smol.
pub type Sender = wormhole_transfer::Sender<Runtime>;

/// The side that receives: [`wormhole_transfer::Receiver`] on smol.
pub type Receiver = wormhole_transfer::Receiver<Runtime>;
