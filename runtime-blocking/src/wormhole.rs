//! The user's wormhole, with methods that block.

use wormhole_runtime::api::*;

use crate::Runtime;
use crate::call::blocking;

blocking! {
    /// One side of a conversation: [`wormhole_runtime::Wormhole`], whose documentation goes further, on plain threads.
    ///
    /// A method that waits for a fact can be repeated for nothing. The conversation goes on while one of the methods is
    /// waiting. [`Wormhole::canceller`] ends them from another thread, and [a limit](Config::wait_limit) by itself.
    Wormhole of wormhole_runtime::Wormhole<Runtime>, over with close;

    made {
        /// A wormhole. It connects when the first method waits.
        ///
        /// # Errors
        ///
        /// As [`wormhole_runtime::Wormhole::new`].
        fn new(config: Config) -> Result<Self, Error>;
        /// A wormhole on this runtime.
        ///
        /// # Errors
        ///
        /// As [`Wormhole::new`].
        fn on(runtime: Runtime, config: Config) -> Result<Self, Error>;
        /// Goes on where a process has left off.
        ///
        /// # Errors
        ///
        /// As [`wormhole_runtime::Wormhole::restore`].
        #[cfg(feature = "serde")]
        fn restore(config: Config, snapshot: &[u8]) -> Result<Self, Error>;
        /// As [`Wormhole::restore`], on this runtime.
        ///
        /// # Errors
        ///
        /// As [`Wormhole::restore`].
        #[cfg(feature = "serde")]
        fn restore_on(runtime: Runtime, config: Config, snapshot: &[u8]) -> Result<Self, Error>;
    }

    waits {
        /// Has the server choose a nameplate, and adds so many random words to it. [`Wormhole::code`] waits for the code.
        fn allocate_code(&mut self, words: usize) -> Result<(), Error>;
        /// Takes this code, which the other side has, too.
        fn set_code(&mut self, code: &str) -> Result<(), Error>;
        /// Begins a code that is typed, with completions.
        fn input_code(&mut self) -> Result<(), Error>;
        /// Asks again for the nameplates in use, for [`Wormhole::complete_nameplate`].
        fn refresh_nameplates(&mut self) -> Result<(), Error>;
        /// Waits for the nameplates in use.
        fn nameplates(&mut self) -> Result<Vec<Nameplate>, Error>;
        /// Commits to this nameplate, all digits, which is claimed at once.
        fn choose_nameplate(&mut self, nameplate: &str) -> Result<(), Error>;
        /// Waits until the chosen nameplate is ours, from when on words complete.
        fn word_list(&mut self) -> Result<(), Error>;
        /// Completes the code with these words, all that follows the first dash.
        fn choose_words(&mut self, words: &str) -> Result<(), Error>;
        /// Waits for what the server says of itself.
        fn welcome(&mut self) -> Result<Welcome, Error>;
        /// Waits for the code, to be told to the other side.
        fn code(&mut self) -> Result<Code, Error>;
        /// Waits for the key, before the other side has proved that it has the same.
        fn unverified_key(&mut self) -> Result<Secret, Error>;
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
        /// Sends our record, where there is one, or receives, whichever is possible first.
        fn exchange(&mut self, ours: Option<&[u8]>) -> Result<Exchange, Error>;
        /// Waits for whatever happens next: all but records.
        fn next_event(&mut self) -> Event;
        /// Closes in order, and waits for the server to know it, though not for long.
        fn close(&mut self) -> Result<(), Error>;
    }

    looks {
        /// What the typed beginning of a nameplate can be completed to, each with a dash.
        fn complete_nameplate(&self, typed: &str) -> Result<Vec<String>, Error>;
        /// What the typed beginning of the words can be completed to; nothing before there is a word list.
        fn complete_words(&self, typed: &str) -> Result<Vec<String>, Error>;
        /// A key for this purpose, the same on both sides.
        fn derive_key(&self, purpose: &str, len: usize) -> Result<Secret, Error>;
        /// How it stands, as far as the methods that have waited so far know.
        fn status(&self) -> Status;
        /// In which mood it was closed, as the server was told; nothing before it closes.
        fn mood(&self) -> Option<Mood>;
        /// Writes down all that another process needs to go on, secrets included.
        #[cfg(feature = "serde")]
        fn snapshot(&self) -> Result<Snapshot, Error>;
    }

    tells {
        /// Our user ends it: whatever waits from now on tells the server and ends with [`Error::Cancelled`].
        fn cancel(&mut self);
    }
}
