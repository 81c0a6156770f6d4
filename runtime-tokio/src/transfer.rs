//! Text, files and directories on tokio.
//!
//! # Sending
//!
//! ```no_run
//! use wormhole_tokio::transfer::{Config, Content, Error, Sender};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let content = Content::open("photos".as_ref())?;
//! let mut sender = Sender::new(Config::default(), content)?;
//! sender.allocate_code(2)?;
//! println!("wormhole receive {}", sender.code().await?);
//! sender.finish().await
//! # }
//! ```
//!
//! # Receiving
//!
//! ```no_run
//! use wormhole_tokio::transfer::{Config, Destination, Error, Receiver};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! # let code = wormhole_tokio::Code::parse("7-crossover-clockwork").map_err(wormhole_tokio::Misuse::from)?;
//! let mut receiver = Receiver::new(Config::default())?;
//! receiver.set_code(code)?;
//! receiver.offer().await?;
//! receiver.accept(&Destination::Into(".".into()))?;
//! receiver.finish().await?;
//! # Ok(())
//! # }
//! ```

#[doc(inline)]
pub use wormhole_transfer::*;

use crate::Runtime;

/// The side that sends: [`wormhole_transfer::Sender`] on tokio.
pub type Sender = wormhole_transfer::Sender<Runtime>;

/// The side that receives: [`wormhole_transfer::Receiver`] on tokio.
pub type Receiver = wormhole_transfer::Receiver<Runtime>;
