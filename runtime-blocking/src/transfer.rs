//! Text, files and directories on plain threads.
//!
//! # Sending
//!
//! ```no_run
//! use wormhole_blocking::transfer::{Config, Content, Error, Sender};
//!
//! # fn main() -> Result<(), Error> {
//! let content = Content::open("photos".as_ref())?;
//! let mut sender = Sender::new(Config::new()?, content, wormhole_blocking::runtime())?;
//! sender.allocate_code(2)?;
//! println!("wormhole receive {}", sender.code()?);
//! sender.finish()
//! # }
//! ```
//!
//! # Receiving
//!
//! ```no_run
//! use wormhole_blocking::transfer::{Config, Destination, Error, Receiver};
//!
//! # fn main() -> Result<(), Error> {
//! # let code = wormhole_core::code::Code::parse("7-crossover-clockwork").map_err(wormhole_core::error::Misuse::from)?;
//! let mut receiver = Receiver::new(Config::new()?, wormhole_blocking::runtime())?;
//! receiver.set_code(code)?;
//! receiver.offer()?;
//! receiver.accept(&Destination::Into(".".into()))?;
//! receiver.finish()?;
//! # Ok(())
//! # }
//! ```

use std::path::PathBuf;
use std::sync::Arc;

use wormhole_core::code::{Code, Nameplate};
use wormhole_core::error::{Error as CoreError, Misuse};
use wormhole_core::untrusted::Text;
pub use wormhole_transfer::{
    Config, Content, Destination, Error, Event, Incoming, Offer, OurOffer, Progress, Received, content, error,
};

use crate::Runtime;
use crate::call::{Call, Cancelled, Canceller, blocking};

/// Methods that do not wait.
macro_rules! at_once {
    ($($(#[$doc:meta])* fn $name:ident(&mut $me:ident $(, $given:ident: $of:ty)*) $(-> $out:ty)?;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut $me $(, $given: $of)*) $(-> $out)? {
            $me.inner.$name($($given),*)
        }
    )*};
}

/// The side that sends: [`wormhole_transfer::Sender`], whose documentation goes further, on plain threads.
#[derive(Debug)]
pub struct Sender {
    inner: wormhole_transfer::Sender<Runtime>,
    call: Arc<Call>,
}

impl Sender {
    /// A sender of this content. It connects to the mailbox server with the first wait.
    ///
    /// # Errors
    ///
    /// The configuration cannot be used.
    pub fn new(config: Config, content: Content, runtime: Runtime) -> Result<Self, Error> {
        Ok(Self { inner: wormhole_transfer::Sender::new(config, content, runtime)?, call: Arc::default() })
    }

    /// What ends a call from another thread, and with it the transfer.
    pub fn canceller(&self) -> Canceller {
        Canceller(Arc::clone(&self.call))
    }

    at_once! {
        /// Has the server choose a nameplate, and chooses so many words.
        fn allocate_code(&mut self, words: usize) -> Result<(), Misuse>;
        /// Takes a code that both users know.
        fn set_code(&mut self, code: Code) -> Result<(), Misuse>;
        /// Our user has compared the verifiers. Nothing is offered before.
        fn confirm_verifier(&mut self, same: bool) -> Result<(), Misuse>;
        /// Our user ends it: the other side is told, and the content stops at once.
        fn cancel(&mut self);
    }

    blocking! {
        /// The code, once it is known. Other events that come before it are passed over.
        fn code(&mut self) -> Result<Code, Error>;
        /// Waits for the end. Events that come before it are passed over.
        fn finish(&mut self) -> Result<(), Error>;
        /// What happens next. After [`Event::Closed`] it is that again.
        fn next_event(&mut self) -> Event;
    }

    /// How far the content has come.
    pub fn progress(&self) -> Progress {
        self.inner.progress()
    }

    fn last_words(&mut self) {
        self.inner.cancel();
        Call::last_words(self.inner.finish());
    }
}

/// The side that receives: [`wormhole_transfer::Receiver`], whose documentation goes further, on plain threads.
#[derive(Debug)]
pub struct Receiver {
    inner: wormhole_transfer::Receiver<Runtime>,
    call: Arc<Call>,
}

impl Receiver {
    /// A receiver. It connects to the mailbox server with the first wait.
    ///
    /// # Errors
    ///
    /// The configuration cannot be used.
    pub fn new(config: Config, runtime: Runtime) -> Result<Self, Error> {
        Ok(Self { inner: wormhole_transfer::Receiver::new(config, runtime)?, call: Arc::default() })
    }

    /// What ends a call from another thread, and with it the transfer.
    pub fn canceller(&self) -> Canceller {
        Canceller(Arc::clone(&self.call))
    }

    at_once! {
        /// Has the server choose a nameplate, and chooses so many words.
        fn allocate_code(&mut self, words: usize) -> Result<(), Misuse>;
        /// Takes a code that our user was told.
        fn set_code(&mut self, code: Code) -> Result<(), Misuse>;
        /// Begins to take a code bit by bit, with completion.
        fn input_code(&mut self) -> Result<(), Misuse>;
        /// Asks again for the nameplates in use.
        fn refresh_nameplates(&mut self) -> Result<(), Misuse>;
        /// Commits to a nameplate: it is claimed at once.
        fn choose_nameplate(&mut self, nameplate: Nameplate) -> Result<(), Misuse>;
        /// Completes the code.
        fn choose_words(&mut self, words: &str) -> Result<(), Misuse>;
        /// Our user has compared the verifiers. Nothing is shown or answered before.
        fn confirm_verifier(&mut self, same: bool) -> Result<(), Misuse>;
        /// Our user wants what was offered, there. Answers the name it will have.
        fn accept(&mut self, destination: &Destination) -> Result<PathBuf, Error>;
        /// Our user takes the text that was offered.
        fn accept_text(&mut self) -> Result<Text, Error>;
        /// Our user does not want what was offered.
        fn refuse(&mut self) -> Result<(), Misuse>;
        /// Our user ends it: the other side is told, and what has come is removed.
        fn cancel(&mut self);
    }

    blocking! {
        /// The code, once it is known. Other events that come before it are passed over.
        fn code(&mut self) -> Result<Code, Error>;
        /// What is offered, once it is known. Other events that come before it are passed over.
        fn offer(&mut self) -> Result<Offer, Error>;
        /// Waits for the end. Events that come before it are passed over, so an offer must have been answered.
        fn finish(&mut self) -> Result<Received, Error>;
        /// What happens next. After [`Event::Closed`] it is that again.
        fn next_event(&mut self) -> Event;
    }

    /// What the nameplate may become.
    ///
    /// # Errors
    ///
    /// No code is being typed, or the nameplate was chosen before.
    pub fn complete_nameplate(&self, typed: &str) -> Result<Vec<String>, Misuse> {
        self.inner.complete_nameplate(typed)
    }

    /// What the words may become.
    ///
    /// # Errors
    ///
    /// The nameplate is not yet chosen, or the words are.
    pub fn complete_words(&self, typed: &str) -> Result<Vec<String>, Misuse> {
        self.inner.complete_words(typed)
    }

    /// Where the offered file or directory would go, if there it can. Nothing is made and nothing answered yet.
    ///
    /// # Errors
    ///
    /// It cannot go there, or nothing is offered.
    pub fn place(&self, destination: &Destination) -> Result<PathBuf, Error> {
        self.inner.place(destination)
    }

    /// How far the content has come.
    pub fn progress(&self) -> Progress {
        self.inner.progress()
    }

    fn last_words(&mut self) {
        self.inner.cancel();
        Call::last_words(self.inner.finish());
    }
}

impl<T> Cancelled for Result<T, Error> {
    fn cancelled() -> Self {
        Err(Error::Wormhole(CoreError::Cancelled))
    }
}

impl Cancelled for Event {
    fn cancelled() -> Self {
        Self::Closed(Err(Error::Wormhole(CoreError::Cancelled)))
    }
}
