//! The side that receives.

use std::fmt;
use std::io::Write;
use std::mem;
use std::path::PathBuf;
use std::sync::Arc;

use wormhole_core::code::{Code, Nameplate};
use wormhole_core::driver::Instant;
use wormhole_core::error::{Error as CoreError, Misuse};
use wormhole_core::transfer;
use wormhole_core::transit::Role;
use wormhole_core::untrusted::Text;
use wormhole_core::wire::peer::Offer;
use wormhole_core::wormhole;
use wormhole_core::wormhole::Transition;
use wormhole_runtime::{Config, OnNetwork, Runtime, Status};

use crate::config::machine;
use crate::content::Receiving;
use crate::error::Error;
use crate::event::Event;
use crate::incoming::Incoming;
use crate::place::{Destination, OnConflict};
use crate::progress::Progress;
use crate::session::{Session, Step};

/// Receives a text, a file or a directory.
///
/// It moves while one of its methods waits. Commands take effect at once and what they ask for leaves with the next wait;
/// a method that waits may be dropped half-way and called again, nothing is lost.
pub struct Receiver<R: Runtime> {
    session: Session<transfer::Receiver, R, Result<Received, Error>>,
    code: Option<Code>,
    status: Status,
    offer: Option<Offer>,
    answered: bool,
    /// Why there was no place for the offer where our user wanted it.
    unplaced: Option<Error>,
    incoming: Option<Incoming>,
    received: Option<Received>,
}

/// What was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A text.
    Text(Text),
    /// A file or directory, which is there.
    Stored(PathBuf),
    /// Several files and directories, which are there.
    Several(Vec<PathBuf>),
    /// A file, in memory; of a directory, the archive that it travels as.
    Bytes(Arc<[u8]>),
    /// A file, or the archive that a directory travels as, all of which has been written to where our user said.
    Written,
}

impl<R: OnNetwork> Receiver<R> {
    /// A receiver, on a runtime of its own. It connects to the mailbox server with the first wait.
    pub fn new(config: Config) -> Result<Self, Error> {
        Self::on(R::on_network(config.network()), config)
    }
}

impl<R: Runtime> Receiver<R> {
    /// As [`Receiver::new`], on this runtime, which knows its network already.
    pub fn on(mut runtime: R, config: Config) -> Result<Self, Error> {
        let (ours, _) = machine(&config, Role::Receiver)?;
        let machine = transfer::Receiver::new(ours, runtime.seed())?;
        let session = Session::new(machine, runtime, &config);
        Ok(Self {
            session,
            code: None,
            offer: None,
            answered: false,
            unplaced: None,
            incoming: None,
            received: None,
            status: Status::default(),
        })
    }

    /// From now on the transitions of the session's machines are kept for [`transition`](Self::transition), for whoever
    /// looks for a fault.
    pub fn trace(&mut self) {
        self.session.machine_mut().trace();
    }

    /// The oldest transition that was kept and not taken.
    pub fn transition(&mut self) -> Option<Transition> {
        self.session.machine_mut().transition()
    }

    /// Has the server choose a nameplate, and chooses so many words.
    pub fn allocate_code(&mut self, words: usize) -> Result<(), Misuse> {
        self.session.machine_mut().allocate_code(words)
    }

    /// Takes a code that our user was told.
    pub fn set_code(&mut self, code: Code) -> Result<(), Misuse> {
        self.session.machine_mut().set_code(code)
    }

    /// Begins to take a code bit by bit, with completion.
    pub fn input_code(&mut self) -> Result<(), Misuse> {
        self.session.machine_mut().input_code()
    }

    /// Asks again for the nameplates in use.
    pub fn refresh_nameplates(&mut self) -> Result<(), Misuse> {
        self.session.machine_mut().refresh_nameplates()
    }

    /// What the nameplate may become.
    pub fn complete_nameplate(&self, typed: &str) -> Result<Vec<String>, Misuse> {
        self.session.machine().complete_nameplate(typed)
    }

    /// Commits to a nameplate: it is claimed at once.
    pub fn choose_nameplate(&mut self, nameplate: Nameplate) -> Result<(), Misuse> {
        self.session.machine_mut().choose_nameplate(nameplate)
    }

    /// What the words may become.
    pub fn complete_words(&self, typed: &str) -> Result<Vec<String>, Misuse> {
        self.session.machine().complete_words(typed)
    }

    /// Completes the code.
    pub fn choose_words(&mut self, words: &str) -> Result<(), Misuse> {
        self.session.machine_mut().choose_words(words)
    }

    /// Our user has compared the verifiers. Nothing is shown or answered before.
    pub fn confirm_verifier(&mut self, same: bool) -> Result<(), Misuse> {
        self.session.machine_mut().confirm_verifier(same)
    }

    /// Where the offered file or directory would go, if there it can. Nothing is made and nothing answered yet.
    pub fn place(&self, destination: &Destination, on_conflict: OnConflict) -> Result<PathBuf, Error> {
        Incoming::place(self.offered()?, destination, on_conflict)
    }

    /// Our user wants what was offered, there. Answers the name it will have. As [`Receiver::accept_with`], with what is
    /// [usual](Destination::usual) there.
    pub fn accept(&mut self, destination: &Destination) -> Result<PathBuf, Error> {
        self.accept_with(destination, destination.usual())
    }

    /// Our user wants what was offered, there. Answers the name it will have, unless that is taken meanwhile.
    ///
    /// Where that cannot be, because of what exists or for lack of space, the offer still waits: it may be accepted elsewhere.
    /// [`Receiver::refuse`] or [`Receiver::finish`] then tell the other side, and the error is the outcome. A text is
    /// not stored: [`Receiver::accept_text`].
    pub fn accept_with(
        &mut self,
        destination: &Destination,
        on_conflict: OnConflict,
    ) -> Result<PathBuf, Error> {
        match Incoming::prepare(self.offered()?, destination, on_conflict) {
            Ok(incoming) => {
                let path = incoming.path().to_owned();
                self.take(incoming)?;
                Ok(path)
            }
            // It was asked for the wrong thing.
            Err(error @ Error::Wormhole(CoreError::Misuse(_))) => Err(error),
            Err(error) => {
                self.unplaced = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Our user wants what was offered in memory: it may take as many bytes as the offer says, which
    /// [`Receiver::finish`] gives. A directory is the zip archive that it travels as.
    pub fn accept_memory(&mut self) -> Result<(), Error> {
        let incoming = Incoming::in_memory(self.offered()?)?;
        self.take(incoming)
    }

    /// Our user wants what was offered written there as it comes, on a thread of its own: a file, or the zip archive that a
    /// directory travels as. What was written
    /// counts only once [`Receiver::finish`] has succeeded.
    pub fn accept_writer(&mut self, writer: Box<dyn Write + Send>) -> Result<(), Error> {
        let incoming = Incoming::to_writer(self.offered()?, writer)?;
        self.take(incoming)
    }

    fn take(&mut self, incoming: Incoming) -> Result<(), Error> {
        self.unplaced = None;
        self.answer(transfer::Receiver::accept)?;
        self.session.progress().set_total(incoming.size());
        self.session.count_removals(incoming.removals());
        self.incoming = Some(incoming);
        Ok(())
    }

    /// Our user takes the text that was offered.
    pub fn accept_text(&mut self) -> Result<Text, Error> {
        let Offer::Text(text) = self.offered()? else {
            return Err(Misuse::OutOfTurn("what is offered is no text").into());
        };
        let text = text.clone();
        self.answer(transfer::Receiver::accept)?;
        self.received = Some(Received::Text(text.clone()));
        Ok(text)
    }

    /// Our user does not want what was offered, or found no place for it: then that is the outcome.
    pub fn refuse(&mut self) -> Result<(), Misuse> {
        self.offered()?;
        let why = self.unplaced.take().unwrap_or(Error::Wormhole(CoreError::Rejected));
        let told = why.for_the_machine();
        self.answer(|machine| machine.refuse(told.clone()))?;
        self.session.failed(told, why);
        Ok(())
    }

    /// Our user ends it: the other side is told, and what has come is removed.
    pub fn cancel(&mut self) {
        self.incoming = None;
        self.session.finish(Err(Error::Wormhole(CoreError::Cancelled)));
    }

    /// How it stands, as far as the methods that have waited so far know.
    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// How far the content has come.
    pub fn progress(&self) -> Progress {
        self.session.progress().clone()
    }

    /// The code, once it is known. Other events that come before it are passed over.
    pub async fn code(&mut self) -> Result<Code, Error> {
        let late = self.session.late();
        loop {
            if let Some(code) = &self.code {
                return Ok(code.clone());
            }
            match self.event_before(late).await {
                Some(Event::Closed(end)) => return Err(end.err().unwrap_or_else(|| Misuse::Closed.into())),
                Some(_) => {}
                None => return Err(Error::Wormhole(CoreError::TimedOut)),
            }
        }
    }

    /// What is offered, once it is known. Other events that come before it are passed over.
    pub async fn offer(&mut self) -> Result<Offer, Error> {
        let late = self.session.late();
        loop {
            if let Some(offer) = &self.offer {
                return Ok(offer.clone());
            }
            match self.event_before(late).await {
                Some(Event::Closed(end)) => return Err(end.err().unwrap_or_else(|| Misuse::Closed.into())),
                Some(_) => {}
                None => return Err(Error::Wormhole(CoreError::TimedOut)),
            }
        }
    }

    /// Waits for the end. Events that come before it are passed over, so an offer must have been answered; one for which
    /// there was no place is refused. A [limit](Config::wait_limit) does not count while content moves: it ends the call
    /// after once to twice that time without any.
    pub async fn finish(&mut self) -> Result<Received, Error> {
        if self.unplaced.is_some() {
            self.refuse()?;
        }
        let (mut late, mut done) = (self.session.late(), self.session.progress().done());
        loop {
            match self.event_before(late).await {
                Some(Event::Closed(end)) => {
                    end?;
                    return self.received.clone().ok_or_else(|| Misuse::Closed.into());
                }
                Some(_) => {}
                None => {
                    let before = mem::replace(&mut done, self.session.progress().done());
                    if before == done {
                        return Err(Error::Wormhole(CoreError::TimedOut));
                    }
                    late = self.session.late();
                }
            }
        }
    }

    /// What happens next. After [`Event::Closed`] it is that again.
    pub async fn next_event(&mut self) -> Event {
        loop {
            if let Some(event) = self.event_before(None).await {
                return event;
            }
        }
    }

    /// The next event; nothing, if this moment comes first.
    async fn event_before(&mut self, late: Option<Instant>) -> Option<Event> {
        let event = self.sort(late).await?;
        event.note(&mut self.status);
        Some(event)
    }

    /// Works off what happens until that is an event.
    async fn sort(&mut self, late: Option<Instant>) -> Option<Event> {
        loop {
            match self.session.step(late).await? {
                Step::Told(told) => {
                    if let Some(event) = self.told(told) {
                        return Some(event);
                    }
                }
                Step::Worked(Ok(received)) => {
                    self.session.finish(Ok(()));
                    let event = match &received {
                        Received::Stored(path) => Event::Stored(vec![path.clone()]),
                        Received::Several(paths) => Event::Stored(paths.clone()),
                        Received::Text(_) | Received::Bytes(_) | Received::Written => Event::Complete,
                    };
                    self.received = Some(received);
                    return Some(event);
                }
                Step::Worked(Err(error)) => self.session.finish(Err(error)),
                Step::Closed(end) => {
                    self.incoming = None;
                    return Some(Event::Closed(end));
                }
            }
        }
    }

    fn told(&mut self, told: transfer::Event) -> Option<Event> {
        match told {
            transfer::Event::Session(event) => {
                if let wormhole::Event::Code(code) = &event {
                    self.code = Some(code.clone());
                }
                Some(Event::Session(event))
            }
            transfer::Event::Offered(offer) => {
                self.offer = Some(offer.clone());
                Some(Event::Offered(offer))
            }
            transfer::Event::OurHints(ours) => Some(Event::OurHints(ours.hints)),
            transfer::Event::TheirHints(theirs) => Some(Event::TheirHints(theirs.hints)),
            transfer::Event::Settled(settled) => {
                let path = settled.path.clone();
                let incoming = self.incoming.take()?;
                let progress = self.progress();
                let started =
                    self.session.pipe(settled).and_then(|pipe| Receiving::start(incoming, pipe, progress));
                match started {
                    Ok(receiving) => {
                        let thread = receiving.thread();
                        self.session.work(receiving.run(), Some(thread));
                    }
                    Err(error) => self.session.finish(Err(error)),
                }
                Some(Event::Connected(path))
            }
            // The first is the sender's, and the session takes the second.
            transfer::Event::Answered | transfer::Event::Closed(_) => None,
        }
    }

    /// Answers the offer, once.
    fn answer(
        &mut self,
        answer: impl FnOnce(&mut transfer::Receiver) -> Result<(), Misuse>,
    ) -> Result<(), Misuse> {
        if mem::replace(&mut self.answered, true) {
            return Err(Misuse::OutOfTurn("no offer waits for a decision"));
        }
        // The transfer may have ended while our user thought about it. That is no fault of ours, and `finish` says why.
        answer(self.session.machine_mut()).ok();
        Ok(())
    }

    fn offered(&self) -> Result<&Offer, Misuse> {
        self.offer.as_ref().ok_or(Misuse::OutOfTurn("nothing is offered"))
    }
}

impl<R: Runtime> fmt::Debug for Receiver<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("progress", self.session.progress()).finish_non_exhaustive()
    }
}
