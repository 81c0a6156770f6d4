//! Text, files and directories on plain threads.
//!
//! # Sending
//!
//! ```no_run
//! use wormhole_blocking::transfer::{Config, Content, Error, Sender};
//!
//! # fn main() -> Result<(), Error> {
//! let content = Content::open("photos".as_ref())?;
//! let mut sender = Sender::new(Config::default(), content)?;
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
//! # let code = wormhole_blocking::Code::parse("7-crossover-clockwork").map_err(wormhole_blocking::Misuse::from)?;
//! let mut receiver = Receiver::new(Config::default())?;
//! receiver.set_code(code)?;
//! receiver.offer()?;
//! receiver.accept(&Destination::Into(".".into()))?;
//! receiver.finish()?;
//! # Ok(())
//! # }
//! ```

use std::io::Write;
use std::path::PathBuf;

use wormhole_runtime::api::{Code, Misuse, Nameplate, Text};
#[doc(inline)]
pub use wormhole_transfer::*;

use crate::Runtime;
use crate::call::{Cancelled, blocking};

blocking! {
    /// The side that sends: [`wormhole_transfer::Sender`], whose documentation goes further, on plain threads.
    Sender of wormhole_transfer::Sender<Runtime>, over with finish;

    made {
        /// A sender of this content. It connects to the mailbox server with the first wait.
        ///
        /// # Errors
        ///
        /// The configuration cannot be used.
        fn new(config: Config, content: Content) -> Result<Self, Error>;
        /// As [`Sender::new`], on this runtime, which knows its network already.
        ///
        /// # Errors
        ///
        /// As [`Sender::new`].
        fn on(runtime: Runtime, config: Config, content: Content) -> Result<Self, Error>;
    }

    waits {
        /// The code, once it is known. Other events that come before it are passed over.
        fn code(&mut self) -> Result<Code, Error>;
        /// Waits for the end. Events that come before it are passed over.
        fn finish(&mut self) -> Result<(), Error>;
        /// What happens next. After [`Event::Closed`] it is that again.
        fn next_event(&mut self) -> Event;
    }

    looks {
        /// How it stands, as far as the methods that have waited so far know.
        fn status(&self) -> Status;
        /// How far the content has come.
        fn progress(&self) -> Progress;
    }

    tells {
        /// Has the server choose a nameplate, and chooses so many words.
        fn allocate_code(&mut self, words: usize) -> Result<(), Misuse>;
        /// Takes a code that both users know.
        fn set_code(&mut self, code: Code) -> Result<(), Misuse>;
        /// Our user has compared the verifiers. Nothing is offered before.
        fn confirm_verifier(&mut self, same: bool) -> Result<(), Misuse>;
        /// Our user ends it: the other side is told, and the content stops at once.
        fn cancel(&mut self);
    }
}

blocking! {
    /// The side that receives: [`wormhole_transfer::Receiver`], whose documentation goes further, on plain threads.
    Receiver of wormhole_transfer::Receiver<Runtime>, over with finish;

    made {
        /// A receiver. It connects to the mailbox server with the first wait.
        ///
        /// # Errors
        ///
        /// The configuration cannot be used.
        fn new(config: Config) -> Result<Self, Error>;
        /// As [`Receiver::new`], on this runtime, which knows its network already.
        ///
        /// # Errors
        ///
        /// As [`Receiver::new`].
        fn on(runtime: Runtime, config: Config) -> Result<Self, Error>;
    }

    waits {
        /// The code, once it is known. Other events that come before it are passed over.
        fn code(&mut self) -> Result<Code, Error>;
        /// What is offered, once it is known. Other events that come before it are passed over.
        fn offer(&mut self) -> Result<Offer, Error>;
        /// Waits for the end. Events that come before it are passed over, so an offer must have been answered.
        fn finish(&mut self) -> Result<Received, Error>;
        /// What happens next. After [`Event::Closed`] it is that again.
        fn next_event(&mut self) -> Event;
    }

    looks {
        /// What the nameplate may become.
        fn complete_nameplate(&self, typed: &str) -> Result<Vec<String>, Misuse>;
        /// What the words may become.
        fn complete_words(&self, typed: &str) -> Result<Vec<String>, Misuse>;
        /// Where the offered file or directory would go, if there it can. Nothing is made and nothing answered yet.
        fn place(&self, destination: &Destination, on_conflict: OnConflict) -> Result<PathBuf, Error>;
        /// How it stands, as far as the methods that have waited so far know.
        fn status(&self) -> Status;
        /// How far the content has come.
        fn progress(&self) -> Progress;
    }

    tells {
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
        /// As [`Receiver::accept`], and says what is done where something of that name exists.
        fn accept_with(&mut self, destination: &Destination, on_conflict: OnConflict) -> Result<PathBuf, Error>;
        /// Our user wants the file that was offered in memory, where [`Receiver::finish`] gives it.
        fn accept_memory(&mut self) -> Result<(), Error>;
        /// Our user wants the file that was offered written there, on a thread of its own. What was written counts only
        /// once [`Receiver::finish`] has succeeded.
        fn accept_writer(&mut self, writer: Box<dyn Write + Send>) -> Result<(), Error>;
        /// Our user takes the text that was offered.
        fn accept_text(&mut self) -> Result<Text, Error>;
        /// Our user does not want what was offered.
        fn refuse(&mut self) -> Result<(), Misuse>;
        /// Our user ends it: the other side is told, and what has come is removed.
        fn cancel(&mut self);
    }
}

impl Cancelled for Event {
    fn cancelled() -> Self {
        Self::Closed(Cancelled::cancelled())
    }
}
