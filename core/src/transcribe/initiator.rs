//! The side that has a code made.

use core::convert::Infallible;

use super::Event;
use super::exchange::Exchange;
use crate::driver::{Input, Instant, Machine, Output};
use crate::error::Misuse;
use crate::rng::Seed;
use crate::wormhole::Config;

/// Says its blob and hears the other's: the side that has a code made.
///
/// It is a [`Machine`]; a driver polls it until it has told [`Event::Finished`].
///
/// ```
/// use wormhole_core::transcribe::Initiator;
/// use wormhole_core::wormhole::Config;
///
/// let initiator = Initiator::new(Config::new("example.com/app")?, 2, b"our blob", [7; 32])?;
/// # drop(initiator);
/// # Ok::<(), wormhole_core::error::Misuse>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initiator(Exchange);

impl Initiator {
    /// Connects to the mailbox server with the first poll, and has it choose a nameplate, to which so many words are added:
    /// [`Code`](crate::wormhole::Event::Code) tells the code for the other side.
    ///
    /// # Errors
    ///
    /// So many words cannot be made, or the blob is longer than [`RECORD_BYTES`](crate::wormhole::RECORD_BYTES).
    pub fn new(config: Config, words: usize, blob: &[u8], seed: Seed) -> Result<Self, Misuse> {
        Ok(Self(Exchange::new(config, blob, seed, |wormhole| wormhole.allocate_code(words))?))
    }

    /// Our user ends it. [`Event::Finished`] follows, with [`Error::Cancelled`](crate::error::Error::Cancelled).
    pub fn cancel(&mut self) {
        self.0.cancel();
    }
}

impl Machine for Initiator {
    type Event = Event;
    type Request = Infallible;
    type Reply = Infallible;

    fn handle(&mut self, input: Input, now: Instant) {
        self.0.handle(input, now);
    }

    fn poll(&mut self) -> Output<Event> {
        self.0.poll()
    }
}
