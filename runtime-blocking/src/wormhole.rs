//! The user's wormhole, with methods that block.

use std::sync::Arc;

use wormhole_core::code::{Code, Nameplate};
use wormhole_core::crypto::{Secret, Verifier};
use wormhole_core::error::Error;
use wormhole_core::wire::peer::Versions;
use wormhole_core::wire::server::Welcome;
use wormhole_core::wormhole::{Config, Event};

use crate::Runtime;
use crate::call::{Call, Cancelled, Canceller, blocking};

/// One side of a conversation: [`wormhole_runtime::Wormhole`], whose documentation goes further, on plain threads.
///
/// A method that waits for a fact can be repeated for nothing. The conversation goes on while one of the methods is
/// waiting. [`Wormhole::canceller`] ends them from another thread.
#[derive(Debug)]
pub struct Wormhole {
    inner: wormhole_runtime::Wormhole<Runtime>,
    call: Arc<Call>,
}

impl Wormhole {
    /// A wormhole. It connects when the first method waits.
    ///
    /// # Errors
    ///
    /// None today: an address that cannot be used shows when the server is dialled.
    pub fn new(config: Config) -> Result<Self, Error> {
        Self::on(crate::runtime(), config)
    }

    /// A wormhole on this runtime.
    ///
    /// # Errors
    ///
    /// As [`Wormhole::new`].
    pub fn on(runtime: Runtime, config: Config) -> Result<Self, Error> {
        Ok(Self { inner: wormhole_runtime::Wormhole::on(runtime, config)?, call: Arc::default() })
    }

    /// What ends a call from another thread.
    pub fn canceller(&self) -> Canceller {
        Canceller(Arc::clone(&self.call))
    }

    blocking! {
        /// Has the server choose a nameplate, and adds so many random words to it. [`Wormhole::code`] waits for the code.
        fn allocate_code(&mut self, words: usize) -> Result<(), Error>;
        /// Takes this code, which the other side has, too.
        fn set_code(&mut self, code: &str) -> Result<(), Error>;
        /// Begins a code that is typed, with completions.
        fn input_code(&mut self) -> Result<(), Error>;
        /// Asks again for the nameplates in use, for [`Wormhole::complete_nameplate`].
        fn refresh_nameplates(&mut self) -> Result<(), Error>;
        /// Commits to this nameplate, which is claimed at once.
        fn choose_nameplate(&mut self, nameplate: Nameplate) -> Result<(), Error>;
        /// Completes the code with these words, all that follows the first dash.
        fn choose_words(&mut self, words: &str) -> Result<(), Error>;
        /// Waits for what the server says of itself.
        fn welcome(&mut self) -> Result<Welcome, Error>;
        /// Waits for the code, to be told to the other side.
        fn code(&mut self) -> Result<Code, Error>;
        /// Waits until the other side has proved that it knows the code. Both users may compare what this gives.
        fn verifier(&mut self) -> Result<Verifier, Error>;
        /// Waits for what the other side tells of itself.
        fn versions(&mut self) -> Result<Versions, Error>;
        /// Waits for room, then takes the record, which leaves as soon as it can.
        fn send(&mut self, record: &[u8]) -> Result<(), Error>;
        /// Waits until the server has all that was sent.
        fn stored(&mut self) -> Result<(), Error>;
        /// Waits for the next record of the other side.
        fn receive(&mut self) -> Result<Vec<u8>, Error>;
        /// Waits for whatever happens next: all but records.
        fn next_event(&mut self) -> Event;
        /// Closes in order, and waits for the server to know it, though not for long.
        fn close(&mut self) -> Result<(), Error>;
    }

    /// What the typed beginning of a nameplate can be completed to, each with a dash.
    ///
    /// # Errors
    ///
    /// No code is being typed, or the nameplate was chosen before.
    pub fn complete_nameplate(&self, typed: &str) -> Result<Vec<String>, Error> {
        self.inner.complete_nameplate(typed)
    }

    /// What the typed beginning of the words can be completed to; nothing before [`Event::WordsWanted`].
    ///
    /// # Errors
    ///
    /// The nameplate is not yet chosen, or the words are.
    pub fn complete_words(&self, typed: &str) -> Result<Vec<String>, Error> {
        self.inner.complete_words(typed)
    }

    /// A key for this purpose, the same on both sides.
    ///
    /// # Errors
    ///
    /// There is no key yet, or so many bytes cannot be derived.
    pub fn derive_key(&self, purpose: &str, len: usize) -> Result<Secret, Error> {
        self.inner.derive_key(purpose, len)
    }

    /// Lets the server know, as far as there is time.
    fn last_words(&mut self) {
        Call::last_words(self.inner.close());
    }
}

impl<T> Cancelled for Result<T, Error> {
    fn cancelled() -> Self {
        Err(Error::Cancelled)
    }
}

impl Cancelled for Event {
    fn cancelled() -> Self {
        Self::Closed(Err(Error::Cancelled))
    }
}
