//! One small message each way: two computers are introduced to each other, and no more.
//!
//! The side that begins shows a code, and the other one is given it. Both then have the other's blob, or an error.
//!
//! ```
//! use wormhole_runtime::OnNetwork;
//! use wormhole_runtime::transcribe::{Initiator, Receiver};
//!
//! async fn initiate<R: OnNetwork>() -> Result<Vec<u8>, wormhole_core::error::Error> {
//!     let mut initiator = Initiator::<R>::new("example.com/app", b"initiator's blob")?;
//!     println!("Invitation Code: {}", initiator.start().await?);
//!     initiator.finish().await
//! }
//!
//! async fn receive<R: OnNetwork>(code: &str) -> Result<Vec<u8>, wormhole_core::error::Error> {
//!     Receiver::<R>::new("example.com/app", code, b"receiver's blob")?.finish().await
//! }
//! ```
//!
//! # Dropped calls
//!
//! A method may be dropped half-way and called again: all state is in the value. There is no task behind it: the
//! conversation goes on while one of the methods is waiting.

use std::convert::Infallible;
use std::fmt;
use std::mem;
use std::task::Poll;
use std::time::Duration;

use wormhole_core::code::Code;
use wormhole_core::driver::Machine;
use wormhole_core::error::{Error, Misuse};
use wormhole_core::rng::Seed;
use wormhole_core::transcribe::{self as machine, Event};
use wormhole_core::wormhole::{self, RECORD_BYTES};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::driver::{Driver, Note, Runtime};
use crate::network::OnNetwork;

/// The side that has a code made, and shows it.
#[derive(Debug)]
pub struct Initiator<R>(Exchange<Begin, R>);

/// The side that is given the code.
#[derive(Debug)]
pub struct Receiver<R>(Exchange<Join, R>);

impl<R: OnNetwork> Initiator<R> {
    /// A side of this application with this blob for the other one, and with the public servers. Nothing happens
    /// before the first wait.
    ///
    /// # Errors
    ///
    /// The name of the application is too long, or the blob is longer than [`RECORD_BYTES`].
    pub fn new(appid: &str, blob: &[u8]) -> Result<Self, Error> {
        Self::with(Config::new(appid), blob)
    }

    /// As [`Initiator::new`], with all that can be said about an application.
    ///
    /// # Errors
    ///
    /// Something in the configuration cannot be, or the blob is longer than [`RECORD_BYTES`].
    pub fn with(config: Config, blob: &[u8]) -> Result<Self, Error> {
        let runtime = R::on_network(config.network());
        Self::on(runtime, config, blob)
    }
}

impl<R: Runtime> Initiator<R> {
    /// As [`Initiator::with`], on this runtime, which knows its network already.
    ///
    /// # Errors
    ///
    /// As [`Initiator::with`].
    pub fn on(runtime: R, config: Config, blob: &[u8]) -> Result<Self, Error> {
        Ok(Self(Exchange::new(runtime, config, blob, Begin)?))
    }

    /// Another mailbox server, by its URL. The other side must use the same. It has no effect once a method has waited.
    #[must_use]
    pub fn rendezvous(self, url: &str) -> Self {
        Self(self.0.rendezvous(url))
    }

    /// Begins, and waits for the code, which the user tells the other side. It may be called again.
    ///
    /// # Errors
    ///
    /// Whatever ended it before.
    pub async fn start(&mut self) -> Result<Code, Error> {
        self.0
            .until(|seen| match (&seen.code, &seen.outcome) {
                (Some(code), _) => Poll::Ready(Ok(code.clone())),
                (None, Some(Err(error))) => Poll::Ready(Err(error.clone())),
                (None, Some(Ok(_)) | None) => Poll::Pending,
            })
            .await
    }

    /// Waits for the other side's blob, and until it is certain that the other side can have ours. The wormhole is
    /// closed then. It may be called again, and answers the same.
    ///
    /// # Errors
    ///
    /// Whatever ended it before: [`Error::WrongCode`], above all.
    pub async fn finish(&mut self) -> Result<Vec<u8>, Error> {
        self.0.finish().await
    }

    /// Our user ends it. The server is told by the next wait, which ends with [`Error::Cancelled`].
    pub fn cancel(&mut self) {
        self.0.cancel();
    }
}

impl<R: OnNetwork> Receiver<R> {
    /// A side of this application with this code and with this blob for the other one, and with the public servers.
    /// Nothing happens before the first wait.
    ///
    /// # Errors
    ///
    /// It is no code, the name of the application is too long, or the blob is longer than [`RECORD_BYTES`].
    pub fn new(appid: &str, code: impl AsRef<str>, blob: &[u8]) -> Result<Self, Error> {
        Self::with(Config::new(appid), code, blob)
    }

    /// As [`Receiver::new`], with all that can be said about an application.
    ///
    /// # Errors
    ///
    /// It is no code, something in the configuration cannot be, or the blob is longer than [`RECORD_BYTES`].
    pub fn with(config: Config, code: impl AsRef<str>, blob: &[u8]) -> Result<Self, Error> {
        let runtime = R::on_network(config.network());
        Self::on(runtime, config, code, blob)
    }
}

impl<R: Runtime> Receiver<R> {
    /// As [`Receiver::with`], on this runtime, which knows its network already.
    ///
    /// # Errors
    ///
    /// As [`Receiver::with`].
    pub fn on(runtime: R, config: Config, code: impl AsRef<str>, blob: &[u8]) -> Result<Self, Error> {
        let code = Code::parse(code.as_ref()).map_err(Misuse::from)?;
        Ok(Self(Exchange::new(runtime, config, blob, Join(code))?))
    }

    /// Another mailbox server, by its URL. The other side must use the same. It has no effect once a method has waited.
    #[must_use]
    pub fn rendezvous(self, url: &str) -> Self {
        Self(self.0.rendezvous(url))
    }

    /// Waits for the other side's blob, and until it is certain that the other side can have ours. The wormhole is
    /// closed then. It may be called again, and answers the same.
    ///
    /// # Errors
    ///
    /// Whatever ended it before: [`Error::WrongCode`], above all.
    pub async fn finish(&mut self) -> Result<Vec<u8>, Error> {
        self.0.finish().await
    }

    /// Our user ends it. The server is told by the next wait, which ends with [`Error::Cancelled`].
    pub fn cancel(&mut self) {
        self.0.cancel();
    }
}

/// How a side comes to its machine.
trait Role: Clone + fmt::Debug {
    type Side: Side;

    fn begin(
        &self,
        config: wormhole::Config,
        words: usize,
        blob: &[u8],
        seed: Seed,
    ) -> Result<Self::Side, Misuse>;
}

/// A machine of either role.
trait Side: Machine<Event = Event, Request = Infallible, Reply = Infallible> + fmt::Debug {
    fn cancel(&mut self);
}

#[derive(Clone, Debug)]
struct Begin;

#[derive(Clone, Debug)]
struct Join(Code);

impl Role for Begin {
    type Side = machine::Initiator;

    fn begin(
        &self,
        config: wormhole::Config,
        words: usize,
        blob: &[u8],
        seed: Seed,
    ) -> Result<machine::Initiator, Misuse> {
        machine::Initiator::new(config, words, blob, seed)
    }
}

impl Role for Join {
    type Side = machine::Receiver;

    fn begin(
        &self,
        config: wormhole::Config,
        _: usize,
        blob: &[u8],
        seed: Seed,
    ) -> Result<machine::Receiver, Misuse> {
        machine::Receiver::new(config, self.0.clone(), blob, seed)
    }
}

impl Side for machine::Initiator {
    fn cancel(&mut self) {
        self.cancel();
    }
}

impl Side for machine::Receiver {
    fn cancel(&mut self) {
        self.cancel();
    }
}

/// What both roles have in common.
struct Exchange<P: Role, R> {
    wait_limit: Option<Duration>,
    stage: Stage<P, R>,
}

enum Stage<P: Role, R> {
    Planned(Box<Plan<P, R>>),
    Running(Box<Driver<P::Side, R, Seen>>),
    /// It ended before it began.
    Failed(Error),
}

struct Plan<P, R> {
    runtime: R,
    config: Config,
    blob: Zeroizing<Vec<u8>>,
    role: P,
}

impl<P: Role, R: Runtime> Exchange<P, R> {
    fn new(runtime: R, config: Config, blob: &[u8], role: P) -> Result<Self, Error> {
        config.session()?;
        if blob.len() > RECORD_BYTES {
            return Err(Misuse::TooLong { limit_bytes: RECORD_BYTES }.into());
        }
        let wait_limit = config.waits();
        let plan = Plan { runtime, config, blob: Zeroizing::new(blob.to_vec()), role };
        Ok(Self { wait_limit, stage: Stage::Planned(Box::new(plan)) })
    }

    fn rendezvous(self, url: &str) -> Self {
        let stage = match self.stage {
            Stage::Planned(plan) => {
                let plan = *plan;
                Stage::Planned(Box::new(Plan { config: plan.config.mailbox(url), ..plan }))
            }
            stage @ (Stage::Running(_) | Stage::Failed(_)) => stage,
        };
        Self { stage, ..self }
    }

    fn cancel(&mut self) {
        match &mut self.stage {
            Stage::Planned(_) => self.stage = Stage::Failed(Error::Cancelled),
            Stage::Running(driver) => driver.machine.cancel(),
            Stage::Failed(_) => {}
        }
    }

    async fn finish(&mut self) -> Result<Vec<u8>, Error> {
        self.until(|seen| seen.outcome.clone().map_or(Poll::Pending, Poll::Ready)).await
    }

    async fn until<T>(
        &mut self,
        mut ready: impl FnMut(&mut Seen) -> Poll<Result<T, Error>>,
    ) -> Result<T, Error> {
        let limit = self.wait_limit;
        let driver = self.driver()?;
        driver.until_late(limit, |_, seen| ready(seen)).await.unwrap_or(Err(Error::TimedOut))
    }

    fn driver(&mut self) -> Result<&mut Driver<P::Side, R, Seen>, Error> {
        if let Stage::Planned(_) = self.stage {
            let stage = mem::replace(&mut self.stage, Stage::Failed(Misuse::Closed.into()));
            self.stage = match stage {
                Stage::Planned(plan) => match plan.run() {
                    Ok(driver) => Stage::Running(Box::new(driver)),
                    Err(misuse) => Stage::Failed(misuse.into()),
                },
                stage @ (Stage::Running(_) | Stage::Failed(_)) => stage,
            };
        }
        match &mut self.stage {
            Stage::Running(driver) => Ok(driver),
            Stage::Failed(error) => Err(error.clone()),
            Stage::Planned(_) => Err(Misuse::Closed.into()),
        }
    }
}

impl<P: Role, R: Runtime> Plan<P, R> {
    fn run(self) -> Result<Driver<P::Side, R, Seen>, Misuse> {
        let Self { mut runtime, config, blob, role } = self;
        let machine = role.begin(config.session()?, config.words(), &blob, runtime.seed())?;
        Ok(Driver::new(machine, runtime, Seen::default()))
    }
}

impl<P: Role, R> fmt::Debug for Exchange<P, R> {
    /// Without the blobs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.stage {
            Stage::Planned(plan) => f.debug_tuple("Planned").field(&plan.role).finish(),
            Stage::Running(driver) => f.debug_tuple("Running").field(&driver.machine).finish(),
            Stage::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
        }
    }
}

/// What the machine has told.
#[derive(Default)]
struct Seen {
    code: Option<Code>,
    outcome: Option<Result<Vec<u8>, Error>>,
}

impl Note<Event> for Seen {
    fn note(&mut self, event: Event) {
        match event {
            Event::Session(wormhole::Event::Code(code)) => self.code = Some(code),
            Event::Session(_) => {}
            Event::Finished(outcome) => self.outcome = Some(outcome),
        }
    }
}
