//! stub
mod archive;
pub mod content;
pub mod error;
mod exchange;
mod flow;
mod incoming;
mod outgoing;
mod system;
mod walk;

pub use self::error::Error;
pub use self::incoming::{Destination, Incoming};
pub use self::outgoing::Content;
