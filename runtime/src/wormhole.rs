//! The user's wormhole: an ordered, encrypted channel of records with whoever knows the code.

use std::collections::VecDeque;
use std::task::Poll;

use wormhole_core::code::{Code, Nameplate};
use wormhole_core::crypto::{Secret, Verifier};
use wormhole_core::driver::Conns;
use wormhole_core::error::{Error, Misuse};
use wormhole_core::wire::peer::Versions;
use wormhole_core::wire::server::Welcome;
use wormhole_core::wormhole::{self as machine, Config, Event};

use crate::driver::{Driver, Note, Runtime};

/// The most events kept for [`Wormhole::next_event`]; the oldest goes first.
const EVENTS: usize = 64;

/// One side of a conversation.
///
/// A method may be dropped half-way and called again: the state is in the value, never in the future. One that waits
/// for a fact (`code`, `verifier`, `receive`, ...) can be repeated for nothing. A command (`allocate_code`, `send`,
/// ...) takes effect once: until it is ready it has done nothing.
///
/// There is no task behind it: the conversation goes on while one of the methods is waiting. Left alone for long it
/// loses its connection to the server, and finds it again at the next call.
#[derive(Debug)]
pub struct Wormhole<R> {
    driver: Driver<machine::Wormhole, R, Seen>,
}

/// What the machine has told.
#[derive(Debug, Default)]
struct Seen {
    welcome: Option<Welcome>,
    code: Option<Code>,
    verifier: Option<Verifier>,
    versions: Option<Versions>,
    records: VecDeque<Record>,
    closed: Option<Result<(), Error>>,
    events: VecDeque<Event>,
}

/// A record that waits for [`Wormhole::receive`].
struct Record(Vec<u8>);

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Record({} bytes)", self.0.len())
    }
}

impl Note<Event> for Seen {
    fn note(&mut self, event: Event) {
        if let Event::Record(record) = event {
            return self.records.push_back(Record(record));
        }
        match &event {
            Event::Welcome(welcome) => self.welcome = Some(welcome.clone()),
            Event::Code(code) => self.code = Some(code.clone()),
            Event::Verifier(verifier) => self.verifier = Some(verifier.clone()),
            Event::Versions(versions) => self.versions = Some(versions.clone()),
            Event::Closed(outcome) => self.closed = Some(outcome.clone()),
            Event::LinkUp
            | Event::LinkDown { .. }
            | Event::Nameplates(_)
            | Event::WordsWanted
            | Event::PeerHeard
            | Event::UnverifiedKey
            | Event::Record(_)
            | Event::CodeConsumed => {}
        }
        if self.events.len() >= EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}

impl Seen {
    /// The fact, once it is there; the end, where it will never be.
    fn fact<T: Clone>(&self, fact: &Option<T>) -> Poll<Result<T, Error>> {
        match (fact, &self.closed) {
            (Some(fact), _) => Poll::Ready(Ok(fact.clone())),
            (None, Some(outcome)) => Poll::Ready(Err(over(outcome))),
            (None, None) => Poll::Pending,
        }
    }
}

fn over(outcome: &Result<(), Error>) -> Error {
    outcome.clone().err().unwrap_or(Error::Misuse(Misuse::Closed))
}

impl<R: Runtime + Default> Wormhole<R> {
    /// A wormhole on a runtime of its own. It connects when the first method waits.
    ///
    /// # Errors
    ///
    /// None today: an address that cannot be used shows when the server is dialled.
    pub fn new(config: Config) -> Result<Self, Error> {
        Self::on(R::default(), config)
    }
}

impl<R: Runtime> Wormhole<R> {
    /// A wormhole on this runtime.
    ///
    /// # Errors
    ///
    /// As [`Wormhole::new`].
    pub fn on(mut runtime: R, config: Config) -> Result<Self, Error> {
        let machine = machine::Wormhole::new(config, runtime.seed(), Conns::all());
        Ok(Self { driver: Driver { machine, runtime, seen: Seen::default() } })
    }

    /// Has the server choose a nameplate, and adds so many random words to it. [`Wormhole::code`] waits for the code.
    ///
    /// # Errors
    ///
    /// A code was chosen before, so many words cannot be made, or the wormhole is closed.
    pub async fn allocate_code(&mut self, words: usize) -> Result<(), Error> {
        self.command(|machine| machine.allocate_code(words)).await
    }

    /// Takes this code, which the other side has, too.
    ///
    /// # Errors
    ///
    /// It is no code, a code was chosen before, or the wormhole is closed.
    pub async fn set_code(&mut self, code: &str) -> Result<(), Error> {
        let code = Code::parse(code).map_err(Misuse::from)?;
        self.command(|machine| machine.set_code(code)).await
    }

    /// Begins a code that is typed, with completions: [`Wormhole::choose_nameplate`], then
    /// [`Wormhole::choose_words`].
    ///
    /// # Errors
    ///
    /// A code was chosen before, or the wormhole is closed.
    pub async fn input_code(&mut self) -> Result<(), Error> {
        self.command(machine::Wormhole::input_code).await
    }

    /// Asks again for the nameplates in use, for [`Wormhole::complete_nameplate`].
    ///
    /// # Errors
    ///
    /// No code is being typed, the nameplate was chosen before, or the wormhole is closed.
    pub async fn refresh_nameplates(&mut self) -> Result<(), Error> {
        self.command(machine::Wormhole::refresh_nameplates).await
    }

    /// What the typed beginning of a nameplate can be completed to, each with a dash.
    ///
    /// # Errors
    ///
    /// No code is being typed, or the nameplate was chosen before.
    pub fn complete_nameplate(&self, typed: &str) -> Result<Vec<String>, Error> {
        Ok(self.driver.machine.complete_nameplate(typed)?)
    }

    /// Commits to this nameplate, which is claimed at once.
    ///
    /// # Errors
    ///
    /// No code is being typed, the nameplate was chosen before, or the wormhole is closed.
    pub async fn choose_nameplate(&mut self, nameplate: Nameplate) -> Result<(), Error> {
        self.command(|machine| machine.choose_nameplate(nameplate)).await
    }

    /// What the typed beginning of the words can be completed to; nothing before [`Event::WordsWanted`].
    ///
    /// # Errors
    ///
    /// The nameplate is not yet chosen, or the words are.
    pub fn complete_words(&self, typed: &str) -> Result<Vec<String>, Error> {
        Ok(self.driver.machine.complete_words(typed)?)
    }

    /// Completes the code with these words, all that follows the first dash.
    ///
    /// # Errors
    ///
    /// The words are no part of a code, the nameplate is not yet chosen, the words are, or the wormhole is closed.
    pub async fn choose_words(&mut self, words: &str) -> Result<(), Error> {
        self.command(|machine| machine.choose_words(words)).await
    }

    /// Waits for what the server says of itself.
    ///
    /// # Errors
    ///
    /// How the wormhole ended before.
    pub async fn welcome(&mut self) -> Result<Welcome, Error> {
        self.driver.until(|seen| seen.fact(&seen.welcome)).await
    }

    /// Waits for the code, to be told to the other side.
    ///
    /// # Errors
    ///
    /// How the wormhole ended before.
    pub async fn code(&mut self) -> Result<Code, Error> {
        self.driver.until(|seen| seen.fact(&seen.code)).await
    }

    /// Waits until the other side has proved that it knows the code. Two users who compare what this gives know that
    /// nobody is between them.
    ///
    /// # Errors
    ///
    /// How the wormhole ended before; [`Error::WrongCode`], above all.
    pub async fn verifier(&mut self) -> Result<Verifier, Error> {
        self.driver.until(|seen| seen.fact(&seen.verifier)).await
    }

    /// Waits for what the other side tells of itself.
    ///
    /// # Errors
    ///
    /// How the wormhole ended before.
    pub async fn versions(&mut self) -> Result<Versions, Error> {
        self.driver.until(|seen| seen.fact(&seen.versions)).await
    }

    /// Waits for room, then takes the record and is done: a `send` that was dropped has not sent. The record leaves as
    /// soon as there is a connection and the other side has proved that it knows the code.
    ///
    /// # Errors
    ///
    /// The record is too long, or how the wormhole ended before.
    pub async fn send(&mut self, record: &[u8]) -> Result<(), Error> {
        self.driver
            .until_with(|machine, seen| match &seen.closed {
                Some(outcome) => Poll::Ready(Err(over(outcome))),
                None if machine.has_room() => Poll::Ready(Ok(())),
                None => Poll::Pending,
            })
            .await?;
        self.command(|machine| machine.send(record)).await
    }

    /// Waits until the server has all that was sent, so that [`Wormhole::close`] loses nothing even if the connection
    /// breaks meanwhile.
    ///
    /// # Errors
    ///
    /// How the wormhole ended before.
    pub async fn stored(&mut self) -> Result<(), Error> {
        self.driver
            .until_with(|machine, seen| match &seen.closed {
                Some(outcome) => Poll::Ready(Err(over(outcome))),
                None if machine.all_stored() => Poll::Ready(Ok(())),
                None => Poll::Pending,
            })
            .await
    }

    /// Waits for the next record of the other side.
    ///
    /// # Errors
    ///
    /// How the wormhole ended before.
    pub async fn receive(&mut self) -> Result<Vec<u8>, Error> {
        let Record(record) = self
            .driver
            .until(|seen| match (seen.records.pop_front(), &seen.closed) {
                (Some(record), _) => Poll::Ready(Ok(record)),
                (None, Some(outcome)) => Poll::Ready(Err(over(outcome))),
                (None, None) => Poll::Pending,
            })
            .await?;
        self.driver.machine.taken(record.len());
        Ok(record)
    }

    /// A key for this purpose, the same on both sides.
    ///
    /// # Errors
    ///
    /// There is no key yet, or so many bytes cannot be derived.
    pub fn derive_key(&self, purpose: &str, len: usize) -> Result<Secret, Error> {
        Ok(self.driver.machine.derive_key(purpose, len)?)
    }

    /// Waits for whatever happens next: all but records. Who never asks keeps only the latest.
    ///
    /// [`Event::Closed`] is the last, and is told again to whoever asks again.
    pub async fn next_event(&mut self) -> Event {
        self.driver
            .until(|seen| match (seen.events.pop_front(), &seen.closed) {
                (Some(event), _) => Poll::Ready(event),
                (None, Some(outcome)) => Poll::Ready(Event::Closed(outcome.clone())),
                (None, None) => Poll::Pending,
            })
            .await
    }

    /// Closes in order, and waits for the server to know it, though not for long.
    ///
    /// # Errors
    ///
    /// How the wormhole ended; [`Error::Lonely`] where the other side was never heard.
    pub async fn close(&mut self) -> Result<(), Error> {
        self.driver.machine.close();
        self.driver.until(|seen| seen.closed.clone().map_or(Poll::Pending, Poll::Ready)).await
    }

    /// Gives a command and lets what it asks for leave. Ready at its first poll: done, or not begun.
    async fn command(
        &mut self,
        give: impl FnOnce(&mut machine::Wormhole) -> Result<(), Misuse>,
    ) -> Result<(), Error> {
        give(&mut self.driver.machine).map_err(|misuse| match (&self.driver.seen.closed, misuse) {
            (Some(outcome), Misuse::Closed) => over(outcome),
            (_, misuse) => Error::Misuse(misuse),
        })?;
        self.driver.nudge().await;
        Ok(())
    }
}
