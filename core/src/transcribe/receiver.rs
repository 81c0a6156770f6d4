//! The side that was told the code.

use core::convert::Infallible;

use super::Event;
use super::exchange::Exchange;
use crate::code::Code;
use crate::driver::{Input, Instant, Machine, Output};
use crate::error::Misuse;
use crate::rng::Seed;
use crate::wormhole::Config;

/// Says its blob and hears the other's: the side that was told the code.
///
/// It is a [`Machine`]; a driver polls it until it has told [`Event::Finished`].
///
/// ```
/// use wormhole_core::transcribe::Receiver;
/// use wormhole_core::wormhole::Config;
///
/// let code = wormhole_core::code::Code::parse("7-crossover-clockwork")?;
/// let receiver = Receiver::new(Config::new("example.com/app")?, code, b"our blob", [7; 32])?;
/// # drop(receiver);
/// # Ok::<(), wormhole_core::error::Misuse>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver(Exchange);

impl Receiver {
    /// Connects to the mailbox server with the first poll, and meets whoever has this code.
    ///
    /// # Errors
    ///
    /// The blob is longer than [`RECORD_BYTES`](crate::wormhole::RECORD_BYTES).
    pub fn new(config: Config, code: Code, blob: &[u8], seed: Seed) -> Result<Self, Misuse> {
        Ok(Self(Exchange::new(config, blob, seed, |wormhole| wormhole.set_code(code))?))
    }

    /// Our user ends it. [`Event::Finished`] follows, with [`Error::Cancelled`](crate::error::Error::Cancelled).
    pub fn cancel(&mut self) {
        self.0.cancel();
    }
}

impl Machine for Receiver {
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
