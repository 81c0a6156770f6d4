//! The user's wormhole: an ordered, encrypted channel of records with whoever knows the code.

#[cfg(feature = "serde")]
mod snapshot;

use std::collections::VecDeque;
use std::fmt;
use std::task::Poll;
use std::time::Duration;

use wormhole_core::code::{Code, Nameplate};
use wormhole_core::crypto::{Secret, Verifier};
use wormhole_core::driver::Conns;
use wormhole_core::error::{Error, Misuse, Mood};
use wormhole_core::wire::peer::Versions;
use wormhole_core::wire::server::Welcome;
use wormhole_core::wormhole::{self as machine, Event, RECORD_BYTES};

use crate::config::Config;
use crate::driver::{Driver, Note, Runtime};
use crate::network::OnNetwork;
use crate::status::Status;

#[cfg(feature = "serde")]
pub use self::snapshot::Snapshot;

/// The most events kept for [`Wormhole::next_event`]; the oldest goes first.
const EVENTS: usize = 64;

/// One side of a conversation.
///
/// ```
/// use wormhole_core::error::Error;
/// use wormhole_runtime::{Config, OnNetwork, Wormhole};
///
/// async fn talk<R: OnNetwork>() -> Result<Vec<u8>, Error> {
///     let mut wormhole = Wormhole::<R>::new(Config::new("example.com/app"))?;
///     wormhole.allocate_code(2).await?;
///     println!("Tell the other side: {}", wormhole.code().await?);
///     println!("Both should see: {}", wormhole.verifier().await?);
///     wormhole.send(b"hello").await?;
///     let answer = wormhole.receive().await?;
///     wormhole.close().await?;
///     Ok(answer)
/// }
/// ```
///
/// # Waiting
///
/// A method may be dropped half-way and called again: the state is in the value, never in the future. One that waits
/// for a fact (`code`, `verifier`, `receive`, ...) can be repeated for nothing. A command (`allocate_code`, `send`,
/// ...) takes effect once: until it is ready it has done nothing.
///
/// There is no task behind it: the conversation goes on while one of the methods is waiting. Left alone for long it
/// loses its connection to the server, and finds it again at the next call.
///
/// Where the configuration has a [limit](Config::wait_limit), a method that waits longer ends with [`Error::TimedOut`],
/// as if it had been dropped.
#[derive(Debug)]
pub struct Wormhole<R> {
    driver: Driver<machine::Wormhole, R, Seen>,
    wait_limit: Option<Duration>,
}

/// What [`Wormhole::exchange`] came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// There was room: our record was taken, and leaves as soon as it can.
    Sent,
    /// This record of the other side came first; ours is still to be sent.
    Received(Vec<u8>),
}

/// What the machine has told.
#[derive(Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Seen {
    welcome: Option<Welcome>,
    nameplates: Option<Vec<Nameplate>>,
    words_wanted: bool,
    code: Option<Code>,
    has_key: bool,
    verifier: Option<Verifier>,
    versions: Option<Versions>,
    records: VecDeque<Record>,
    closed: Option<Result<(), Error>>,
    events: VecDeque<Event>,
    status: Status,
}

/// A record that waits for [`Wormhole::receive`].
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Record(#[cfg_attr(feature = "serde", serde(with = "wormhole_core::saved::record"))] Vec<u8>);

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({} bytes)", self.0.len())
    }
}

impl Note<Event> for Seen {
    fn note(&mut self, event: Event) {
        if let Event::Record(record) = event {
            return self.records.push_back(Record(record));
        }
        self.status.note(&event);
        match &event {
            Event::Welcome(welcome) => self.welcome = Some(welcome.clone()),
            Event::Nameplates(nameplates) => self.nameplates = Some(nameplates.clone()),
            Event::WordsWanted => self.words_wanted = true,
            Event::Code(code) => self.code = Some(code.clone()),
            Event::UnverifiedKey => self.has_key = true,
            Event::Verifier(verifier) => self.verifier = Some(verifier.clone()),
            Event::Versions(versions) => self.versions = Some(versions.clone()),
            Event::Closed(outcome) => self.closed = Some(outcome.clone()),
            Event::LinkUp
            | Event::LinkDown { .. }
            | Event::PeerHeard
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
        self.until(fact.is_some())
            .map(|end| end.and_then(|()| fact.clone().ok_or(Error::Misuse(Misuse::Closed))))
    }

    /// Ready when it is so; with the end, where it will never be.
    fn until(&self, is_so: bool) -> Poll<Result<(), Error>> {
        match &self.closed {
            _ if is_so => Poll::Ready(Ok(())),
            Some(outcome) => Poll::Ready(Err(over(outcome))),
            None => Poll::Pending,
        }
    }

    /// Hands out the next record, once there is one; the end, where there will be none.
    fn record(&mut self, machine: &mut machine::Wormhole) -> Poll<Result<Vec<u8>, Error>> {
        match (self.records.pop_front(), &self.closed) {
            (Some(Record(record)), _) => {
                machine.taken(record.len());
                Poll::Ready(Ok(record))
            }
            (None, Some(outcome)) => Poll::Ready(Err(over(outcome))),
            (None, None) => Poll::Pending,
        }
    }
}

fn fits(record: &[u8]) -> Result<(), Error> {
    if record.len() > RECORD_BYTES {
        return Err(Misuse::TooLong { limit_bytes: RECORD_BYTES }.into());
    }
    Ok(())
}

fn over(outcome: &Result<(), Error>) -> Error {
    outcome.clone().err().unwrap_or(Error::Misuse(Misuse::Closed))
}

impl<R: OnNetwork> Wormhole<R> {
    /// A wormhole on a runtime of its own. It connects when the first method waits.
    ///
    /// # Errors
    ///
    /// Something in the configuration cannot be. An address that cannot be used shows when the server is dialled.
    pub fn new(config: Config) -> Result<Self, Error> {
        Self::on(R::on_network(config.network()), config)
    }
}

impl<R: Runtime> Wormhole<R> {
    /// A wormhole on this runtime, which knows its network already.
    ///
    /// # Errors
    ///
    /// As [`Wormhole::new`].
    pub fn on(mut runtime: R, config: Config) -> Result<Self, Error> {
        let machine = machine::Wormhole::new(config.session()?, runtime.seed(), Conns::all());
        let driver = Driver::new(machine, runtime, Seen::default());
        Ok(Self { driver, wait_limit: config.waits() })
    }

    /// Has the server choose a nameplate, and adds so many random words to it. [`Wormhole::code`] waits for the code.
    ///
    /// ```
    /// # use wormhole_core::error::Error;
    /// # use wormhole_runtime::{Runtime, Wormhole};
    /// # async fn example<R: Runtime>(wormhole: &mut Wormhole<R>) -> Result<(), Error> {
    /// wormhole.allocate_code(2).await?;
    /// println!("Tell the other side: {}", wormhole.code().await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// A code was chosen before, so many words cannot be made, or the wormhole is closed.
    pub async fn allocate_code(&mut self, words: usize) -> Result<(), Error> {
        self.command(|machine| machine.allocate_code(words)).await
    }

    /// Takes this code, which the other side has, too.
    ///
    /// ```
    /// # use wormhole_core::error::Error;
    /// # use wormhole_runtime::{Runtime, Wormhole};
    /// # async fn example<R: Runtime>(wormhole: &mut Wormhole<R>) -> Result<(), Error> {
    /// wormhole.set_code("7-crossover-clockwork").await?;
    /// # Ok(())
    /// # }
    /// ```
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
    /// ```
    /// # use wormhole_core::error::Error;
    /// # use wormhole_runtime::{Runtime, Wormhole};
    /// # async fn example<R: Runtime>(wormhole: &mut Wormhole<R>) -> Result<(), Error> {
    /// wormhole.input_code().await?;
    /// wormhole.nameplates().await?;
    /// println!("{:?}", wormhole.complete_nameplate("1")?); // "12-", "13-"
    /// wormhole.choose_nameplate("12").await?;
    /// wormhole.word_list().await?;
    /// println!("{:?}", wormhole.complete_words("cros")?); // "crossover-"
    /// wormhole.choose_words("crossover-clockwork").await?;
    /// # Ok(())
    /// # }
    /// ```
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

    /// Waits for the first answer to what [`Wormhole::input_code`] asks at once: the nameplates in use. Later answers
    /// are [events](Event::Nameplates), and take the place of the first.
    ///
    /// # Errors
    ///
    /// No code is being typed, the nameplate was chosen before, or how the wormhole ended before.
    pub async fn nameplates(&mut self) -> Result<Vec<Nameplate>, Error> {
        self.driver.machine.complete_nameplate("").map_err(|misuse| self.refused(misuse))?;
        self.until(|_, seen| seen.fact(&seen.nameplates)).await
    }

    /// Commits to this nameplate, all digits, which is claimed at once.
    ///
    /// # Errors
    ///
    /// It is no nameplate, no code is being typed, the nameplate was chosen before, or the wormhole is closed.
    pub async fn choose_nameplate(&mut self, nameplate: &str) -> Result<(), Error> {
        let nameplate = Nameplate::parse(nameplate).map_err(Misuse::from)?;
        self.command(|machine| machine.choose_nameplate(nameplate)).await
    }

    /// Waits until the chosen nameplate is ours, from when on words complete.
    ///
    /// # Errors
    ///
    /// The nameplate is not yet chosen, the words are, or how the wormhole ended before.
    pub async fn word_list(&mut self) -> Result<(), Error> {
        self.driver.machine.complete_words("").map_err(|misuse| self.refused(misuse))?;
        self.until(|_, seen| seen.until(seen.words_wanted)).await
    }

    /// What the typed beginning of the words can be completed to; nothing before there is a
    /// [word list](Wormhole::word_list).
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
        self.until(|_, seen| seen.fact(&seen.welcome)).await
    }

    /// Waits for the code, to be told to the other side.
    ///
    /// # Errors
    ///
    /// How the wormhole ended before.
    pub async fn code(&mut self) -> Result<Code, Error> {
        self.until(|_, seen| seen.fact(&seen.code)).await
    }

    /// Waits for the key, which the other side has not confirmed: it may be an attacker's. Keys for any purpose are better
    /// [derived](Wormhole::derive_key), which can be done from now on.
    ///
    /// # Errors
    ///
    /// How the wormhole ended before.
    pub async fn unverified_key(&mut self) -> Result<Secret, Error> {
        self.until(|machine, seen| match seen.until(seen.has_key) {
            Poll::Ready(Ok(())) => Poll::Ready(machine.unverified_key().map_err(Error::Misuse)),
            Poll::Ready(Err(end)) => Poll::Ready(Err(end)),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Waits until the other side has proved that it knows the code. Two users who compare what this gives know that
    /// nobody is between them.
    ///
    /// # Errors
    ///
    /// How the wormhole ended before; [`Error::WrongCode`], above all.
    pub async fn verifier(&mut self) -> Result<Verifier, Error> {
        self.until(|_, seen| seen.fact(&seen.verifier)).await
    }

    /// Waits for what the other side tells of itself.
    ///
    /// # Errors
    ///
    /// How the wormhole ended before.
    pub async fn versions(&mut self) -> Result<Versions, Error> {
        self.until(|_, seen| seen.fact(&seen.versions)).await
    }

    /// Waits for room, then takes the record and is done: a `send` that was dropped has not sent. The record leaves as
    /// soon as there is a connection and the other side has proved that it knows the code.
    ///
    /// ```
    /// # use wormhole_core::error::Error;
    /// # use wormhole_runtime::{Runtime, Wormhole};
    /// # async fn example<R: Runtime>(wormhole: &mut Wormhole<R>) -> Result<(), Error> {
    /// wormhole.send(b"hello").await?;
    /// wormhole.stored().await?; // the server has it: it arrives, whatever becomes of us
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The record is too long, or how the wormhole ended before.
    pub async fn send(&mut self, record: &[u8]) -> Result<(), Error> {
        fits(record)?;
        self.until(|machine, seen| match &seen.closed {
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
        self.until(|machine, seen| match &seen.closed {
            Some(outcome) => Poll::Ready(Err(over(outcome))),
            None if machine.all_stored() => Poll::Ready(Ok(())),
            None => Poll::Pending,
        })
        .await
    }

    /// Waits for the next record of the other side. Who never asks is read no further for, at a bound, and fills no memory.
    ///
    /// ```
    /// # use wormhole_core::error::Error;
    /// # use wormhole_runtime::{Runtime, Wormhole};
    /// # async fn example<R: Runtime>(wormhole: &mut Wormhole<R>) -> Result<(), Error> {
    /// let record = wormhole.receive().await?;
    /// println!("{} bytes", record.len());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// How the wormhole ended before.
    pub async fn receive(&mut self) -> Result<Vec<u8>, Error> {
        self.until(|machine, seen| seen.record(machine)).await
    }

    /// Sends `ours`, where there is some, or receives, whichever is possible first. Two sides that both have much to say
    /// get on with this: those who only [send](Wormhole::send) wait for each other once all is full.
    ///
    /// As with both, a call that was dropped has neither sent nor received. Where both are possible it sends.
    ///
    /// ```
    /// # use wormhole_core::error::Error;
    /// # use wormhole_runtime::{Exchange, Runtime, Wormhole};
    /// # async fn example<R: Runtime>(wormhole: &mut Wormhole<R>) -> Result<(), Error> {
    /// let mut ours = ["one", "two", "three"].into_iter().peekable();
    /// loop {
    ///     match wormhole.exchange(ours.peek().map(|record| record.as_bytes())).await? {
    ///         Exchange::Sent => drop(ours.next()),
    ///         Exchange::Received(record) if record.is_empty() => break,
    ///         Exchange::Received(record) => println!("{} bytes", record.len()),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Our record is too long, or how the wormhole ended before.
    pub async fn exchange(&mut self, ours: Option<&[u8]>) -> Result<Exchange, Error> {
        let Some(ours) = ours else { return self.receive().await.map(Exchange::Received) };
        fits(ours)?;
        let received = self.until(|machine, seen| {
            if seen.closed.is_none() && machine.has_room() {
                return Poll::Ready(Ok(None));
            }
            seen.record(machine).map_ok(Some)
        });
        if let Some(record) = received.await? {
            return Ok(Exchange::Received(record));
        }
        self.command(|machine| machine.send(ours)).await?;
        Ok(Exchange::Sent)
    }

    /// A key for this purpose, the same on both sides.
    ///
    /// ```
    /// # use wormhole_core::error::Error;
    /// # use wormhole_runtime::{Runtime, Wormhole};
    /// # async fn example<R: Runtime>(wormhole: &mut Wormhole<R>) -> Result<(), Error> {
    /// wormhole.verifier().await?;
    /// let key = wormhole.derive_key("example.com/app/backup", 32)?;
    /// assert_eq!(key.as_bytes().len(), 32);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// There is no key yet, or so many bytes cannot be derived.
    pub fn derive_key(&self, purpose: &str, len: usize) -> Result<Secret, Error> {
        Ok(self.driver.machine.derive_key(purpose, len)?)
    }

    /// Waits for whatever happens next: all but records. Who never asks keeps only the latest.
    ///
    /// ```
    /// # use wormhole_core::error::Error;
    /// # use wormhole_runtime::{Runtime, Wormhole};
    /// # async fn example<R: Runtime>(wormhole: &mut Wormhole<R>) -> Result<(), Error> {
    /// use wormhole_core::wormhole::Event;
    ///
    /// while wormhole.next_event().await != Event::PeerHeard {}
    /// println!("somebody is there: {:?}", wormhole.status());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// [`Event::Closed`] is the last, and is told again to whoever asks again. No [limit](Config::wait_limit) ends this.
    pub async fn next_event(&mut self) -> Event {
        self.driver
            .until(|seen| match (seen.events.pop_front(), &seen.closed) {
                (Some(event), _) => Poll::Ready(event),
                (None, Some(outcome)) => Poll::Ready(Event::Closed(outcome.clone())),
                (None, None) => Poll::Pending,
            })
            .await
    }

    /// How it stands, as far as the methods that have waited so far know.
    pub fn status(&self) -> Status {
        Status { mood: self.driver.machine.mood(), ..self.driver.seen.status.clone() }
    }

    /// In which mood it was closed, as the server was told; nothing before it closes.
    pub const fn mood(&self) -> Option<Mood> {
        self.driver.machine.mood()
    }

    /// Our user ends it: whatever waits from now on, and [`Wormhole::close`] first of all, tells the server and ends with
    /// [`Error::Cancelled`], unless it has ended before.
    pub fn cancel(&mut self) {
        self.driver.machine.fail(Error::Cancelled);
    }

    /// Closes in order, and waits for the server to know it, though not for [long](Config::close_limit). What it has not
    /// [stored](Wormhole::stored) by then is lost.
    ///
    /// ```
    /// # use wormhole_core::error::Error;
    /// # use wormhole_runtime::{Runtime, Wormhole};
    /// # async fn example<R: Runtime>(wormhole: &mut Wormhole<R>) -> Result<(), Error> {
    /// wormhole.close().await?;
    /// println!("{:?}", wormhole.mood()); // Happy
    /// # Ok(())
    /// # }
    /// ```
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
        give(&mut self.driver.machine).map_err(|misuse| self.refused(misuse))?;
        self.driver.nudge().await;
        Ok(())
    }

    /// Why a command is refused: the end, where that is why.
    fn refused(&self, misuse: Misuse) -> Error {
        match (&self.driver.seen.closed, misuse) {
            (Some(outcome), Misuse::Closed) => over(outcome),
            (_, misuse) => Error::Misuse(misuse),
        }
    }

    /// Waits until this is ready, but not for longer than it may.
    async fn until<T>(
        &mut self,
        ready: impl FnMut(&mut machine::Wormhole, &mut Seen) -> Poll<Result<T, Error>>,
    ) -> Result<T, Error> {
        self.driver.until_late(self.wait_limit, ready).await.unwrap_or(Err(Error::TimedOut))
    }
}
