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

use wormhole_runtime::api::{Code, Config, Error};
use wormhole_runtime::transcribe;

use crate::Runtime;
use crate::call::blocking;

blocking! {
    /// The side that shows a code: [`wormhole_runtime::transcribe::Initiator`], whose documentation goes further.
    Initiator of transcribe::Initiator<Runtime>, over with finish;

    made {
        /// A side of this application with this blob for the other one, and with the public servers.
        ///
        /// # Errors
        ///
        /// The name of the application or the blob is too long.
        fn new(appid: &str, blob: &[u8]) -> Result<Self, Error>;
        /// As [`Initiator::new`], with all that can be said about an application.
        ///
        /// # Errors
        ///
        /// Something in the configuration cannot be, or the blob is too long.
        fn with(config: Config, blob: &[u8]) -> Result<Self, Error>;
        /// As [`Initiator::with`], on this runtime, which knows its network already.
        ///
        /// # Errors
        ///
        /// As [`Initiator::with`].
        fn on(runtime: Runtime, config: Config, blob: &[u8]) -> Result<Self, Error>;
    }

    waits {
        /// Waits for the code, to be told to the other side.
        fn start(&mut self) -> Result<Code, Error>;
        /// Waits for the other side's blob, and for the end.
        fn finish(&mut self) -> Result<Vec<u8>, Error>;
    }

    tells {
        /// Our user ends it: whatever waits from now on ends with [`Error::Cancelled`].
        fn cancel(&mut self);
    }
}

impl Initiator {
    /// With another mailbox server, by its URL; to be said before anything waits.
    #[must_use]
    pub fn rendezvous(self, url: &str) -> Self {
        Self { inner: self.inner.rendezvous(url), ..self }
    }
}

blocking! {
    /// The side that is given the code: [`wormhole_runtime::transcribe::Receiver`], whose documentation goes further.
    Receiver of transcribe::Receiver<Runtime>, over with finish;

    made {
        /// A side of this application that was told the code, with this blob for the other one, and with the public
        /// servers.
        ///
        /// # Errors
        ///
        /// It is no code, or the name of the application or the blob is too long.
        fn new(appid: &str, code: impl AsRef<str>, blob: &[u8]) -> Result<Self, Error>;
        /// As [`Receiver::new`], with all that can be said about an application.
        ///
        /// # Errors
        ///
        /// It is no code, something in the configuration cannot be, or the blob is too long.
        fn with(config: Config, code: impl AsRef<str>, blob: &[u8]) -> Result<Self, Error>;
        /// As [`Receiver::with`], on this runtime, which knows its network already.
        ///
        /// # Errors
        ///
        /// As [`Receiver::with`].
        fn on(runtime: Runtime, config: Config, code: impl AsRef<str>, blob: &[u8]) -> Result<Self, Error>;
    }

    waits {
        /// Waits for the other side's blob, and for the end.
        fn finish(&mut self) -> Result<Vec<u8>, Error>;
    }

    tells {
        /// Our user ends it: whatever waits from now on ends with [`Error::Cancelled`].
        fn cancel(&mut self);
    }
}

impl Receiver {
    /// With another mailbox server, by its URL; to be said before anything waits.
    #[must_use]
    pub fn rendezvous(self, url: &str) -> Self {
        Self { inner: self.inner.rendezvous(url), ..self }
    }
}
