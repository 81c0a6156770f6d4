//! One small message each way, over a wormhole of its own: what an application needs that introduces two computers to
//! each other.
//!
//! [`Initiator`] has a code made, [`Receiver`] is given it. Apart from that the two are the same: each says its blob as
//! its first record, and has finished when it has the other's and the server has its own, so that closing loses
//! nothing.
//!
//! ```text
//! initiator                                    receiver
//!   code               (said aloud)  -------->   new(code)
//!   key, verifier      <---------------------->  key, verifier
//!   record 0: blob     <---------------------->  record 0: blob
//!   Finished(blob)                               Finished(blob)
//! ```
//!
//! # How it ends
//!
//! [`Event::Finished`] is the last event and comes exactly once, after the wormhole was closed: with the other side's
//! blob or with the error that was in the way. Who has the other's blob, but cannot get its own to the server for
//! [`STORE_LIMIT`](crate::defaults::STORE_LIMIT), fails, since the other side then waits for it in vain.

mod exchange;
mod initiator;
mod receiver;
mod swap;

use alloc::vec::Vec;

pub use self::initiator::Initiator;
pub use self::receiver::Receiver;
use crate::error::Error;
use crate::wormhole;

/// What either side tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// What the wormhole tells: all but its records and its end.
    Session(wormhole::Event),
    /// The last event: the other side's blob.
    Finished(Result<Vec<u8>, Error>),
}
