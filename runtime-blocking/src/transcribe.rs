//! One small message each way, on plain threads.
//!
//! ```no_run
//! use wormhole_blocking::Error;
//! use wormhole_blocking::transcribe::{Initiator, Receiver};
//!
//! # fn main() -> Result<(), Error> {
//! let mut initiator = Initiator::new("example.com/app", b"initiator's blob")?;
//! println!("Invitation Code: {}", initiator.start()?);
//! let their_blob = initiator.finish()?;
//! # let code = "7-crossover-clockwork";
//!
//! // On another computer:
//! let mut receiver = Receiver::new("example.com/app", code, b"receiver's blob")?;
//! let their_blob = receiver.finish()?;
//! # drop(their_blob);
//! # Ok(())
//! # }
//! ```

use wormhole_core::code::Code;
use wormhole_core::error::Error;
use wormhole_runtime::{Config, transcribe};

use crate::Runtime;
use crate::call::{at_once, blocking};

blocking! {
    /// The side that shows a code: [`wormhole_runtime::transcribe::Initiator`], whose documentation goes further.
    Initiator of transcribe::Initiator<Runtime>, over with finish;

    /// Waits for the code, to be told to the other side.
    fn start(&mut self) -> Result<Code, Error>;
    /// Waits for the other side's blob, and for the end.
    fn finish(&mut self) -> Result<Vec<u8>, Error>;
}

impl Initiator {
    /// A side of this application with this blob for the other one, and with the public servers.
    ///
    /// # Errors
    ///
    /// The name of the application or the blob is too long.
    pub fn new(appid: &str, blob: &[u8]) -> Result<Self, Error> {
        transcribe::Initiator::new(appid, blob).map(Self::around)
    }

    /// As [`Initiator::new`], with all that can be said about an application.
    ///
    /// # Errors
    ///
    /// Something in the configuration cannot be, or the blob is too long.
    pub fn with(config: Config, blob: &[u8]) -> Result<Self, Error> {
        transcribe::Initiator::with(config, blob).map(Self::around)
    }

    /// As [`Initiator::with`], on this runtime, which knows its network already.
    ///
    /// # Errors
    ///
    /// As [`Initiator::with`].
    pub fn on(runtime: Runtime, config: Config, blob: &[u8]) -> Result<Self, Error> {
        transcribe::Initiator::on(runtime, config, blob).map(Self::around)
    }

    /// With another mailbox server, by its URL; to be said before anything waits.
    #[must_use]
    pub fn rendezvous(self, url: &str) -> Self {
        Self { inner: self.inner.rendezvous(url), ..self }
    }

    at_once! {
        /// Our user ends it: whatever waits from now on ends with [`Error::Cancelled`].
        fn cancel(&mut self);
    }
}

blocking! {
    /// The side that is given the code: [`wormhole_runtime::transcribe::Receiver`], whose documentation goes further.
    Receiver of transcribe::Receiver<Runtime>, over with finish;

    /// Waits for the other side's blob, and for the end.
    fn finish(&mut self) -> Result<Vec<u8>, Error>;
}

impl Receiver {
    /// A side of this application that was told the code, with this blob for the other one, and with the public servers.
    ///
    /// # Errors
    ///
    /// It is no code, or the name of the application or the blob is too long.
    pub fn new(appid: &str, code: impl AsRef<str>, blob: &[u8]) -> Result<Self, Error> {
        transcribe::Receiver::new(appid, code, blob).map(Self::around)
    }

    /// As [`Receiver::new`], with all that can be said about an application.
    ///
    /// # Errors
    ///
    /// It is no code, something in the configuration cannot be, or the blob is too long.
    pub fn with(config: Config, code: impl AsRef<str>, blob: &[u8]) -> Result<Self, Error> {
        transcribe::Receiver::with(config, code, blob).map(Self::around)
    }

    /// As [`Receiver::with`], on this runtime, which knows its network already.
    ///
    /// # Errors
    ///
    /// As [`Receiver::with`].
    pub fn on(runtime: Runtime, config: Config, code: impl AsRef<str>, blob: &[u8]) -> Result<Self, Error> {
        transcribe::Receiver::on(runtime, config, code, blob).map(Self::around)
    }

    /// With another mailbox server, by its URL; to be said before anything waits.
    #[must_use]
    pub fn rendezvous(self, url: &str) -> Self {
        Self { inner: self.inner.rendezvous(url), ..self }
    }

    at_once! {
        /// Our user ends it: whatever waits from now on ends with [`Error::Cancelled`].
        fn cancel(&mut self);
    }
}
