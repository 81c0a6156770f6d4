//! One side of a conversation, on any adapter.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use wormhole_core::code::{Code, Nameplate};
use wormhole_core::crypto::{Secret, Verifier};
use wormhole_core::error::Error;
use wormhole_core::wire::peer::Versions;
use wormhole_core::wire::server::Welcome;
use wormhole_core::wormhole::Event;
use wormhole_runtime::{Config, Exchange, Runtime, Snapshot, Status, Wormhole};

use super::Adapter;

/// The wormhole of an adapter. Each method waits as the adapter's does.
pub trait Side: Send + fmt::Debug {
    /// From now on each wait is given up when it has just been woken, and begun anew, where that can be.
    fn restless(&mut self) {}
    /// As the adapter's.
    fn allocate_code(&mut self, words: usize) -> Result<(), Error>;
    /// As the adapter's.
    fn set_code(&mut self, code: &str) -> Result<(), Error>;
    /// As the adapter's.
    fn input_code(&mut self) -> Result<(), Error>;
    /// As the adapter's.
    fn complete_nameplate(&self, typed: &str) -> Result<Vec<String>, Error>;
    /// As the adapter's.
    fn nameplates(&mut self) -> Result<Vec<Nameplate>, Error>;
    /// As the adapter's.
    fn choose_nameplate(&mut self, nameplate: &str) -> Result<(), Error>;
    /// As the adapter's.
    fn complete_words(&self, typed: &str) -> Result<Vec<String>, Error>;
    /// As the adapter's.
    fn word_list(&mut self) -> Result<(), Error>;
    /// As the adapter's.
    fn choose_words(&mut self, words: &str) -> Result<(), Error>;
    /// As the adapter's.
    fn welcome(&mut self) -> Result<Welcome, Error>;
    /// As the adapter's.
    fn code(&mut self) -> Result<Code, Error>;
    /// As the adapter's.
    fn unverified_key(&mut self) -> Result<Secret, Error>;
    /// As the adapter's.
    fn verifier(&mut self) -> Result<Verifier, Error>;
    /// As the adapter's.
    fn versions(&mut self) -> Result<Versions, Error>;
    /// As the adapter's.
    fn send(&mut self, record: &[u8]) -> Result<(), Error>;
    /// As the adapter's.
    fn stored(&mut self) -> Result<(), Error>;
    /// As the adapter's.
    fn receive(&mut self) -> Result<Vec<u8>, Error>;
    /// As the adapter's.
    fn exchange(&mut self, ours: Option<&[u8]>) -> Result<Exchange, Error>;
    /// As the adapter's.
    fn derive_key(&self, purpose: &str, len: usize) -> Result<Secret, Error>;
    /// As the adapter's.
    fn status(&self) -> Status;
    /// As the adapter's.
    fn next_event(&mut self) -> Event;
    /// As the adapter's.
    fn close(&mut self) -> Result<(), Error>;
    /// As the adapter's.
    fn snapshot(&self) -> Result<Snapshot, Error>;
}

impl Adapter {
    /// A wormhole on this adapter.
    pub fn wormhole(self, config: Config) -> Result<Box<dyn Side>, Error> {
        Ok(match self {
            Self::Tokio => Box::new(Waiting::new(wormhole_tokio::Wormhole::new(config)?, Executor::tokio())),
            Self::AsyncStd => {
                Box::new(Waiting::new(wormhole_async_std::Wormhole::new(config)?, Executor::AsyncStd))
            }
            Self::Smol => Box::new(Waiting::new(wormhole_smol::Wormhole::new(config)?, Executor::Smol)),
            Self::Blocking => Box::new(wormhole_blocking::Wormhole::new(config)?),
        })
    }

    /// A wormhole on this adapter that goes on where one on any adapter was written down.
    pub fn restore(self, config: Config, bytes: &[u8]) -> Result<Box<dyn Side>, Error> {
        Ok(match self {
            Self::Tokio => {
                let wormhole = wormhole_tokio::Wormhole::restore(config, bytes)?;
                Box::new(Waiting::new(wormhole, Executor::tokio()))
            }
            Self::AsyncStd => {
                let wormhole = wormhole_async_std::Wormhole::restore(config, bytes)?;
                Box::new(Waiting::new(wormhole, Executor::AsyncStd))
            }
            Self::Smol => {
                let wormhole = wormhole_smol::Wormhole::restore(config, bytes)?;
                Box::new(Waiting::new(wormhole, Executor::Smol))
            }
            Self::Blocking => Box::new(wormhole_blocking::Wormhole::restore(config, bytes)?),
        })
    }
}

/// Runs a future until it is ready.
#[derive(Debug)]
pub enum Executor {
    /// On a runtime of its own.
    Tokio(Box<tokio::runtime::Runtime>),
    /// On the one that there is.
    AsyncStd,
    /// On the one that there is.
    Smol,
}

impl Executor {
    /// On a runtime of its own, with one thread.
    #[track_caller]
    pub fn tokio() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Self::Tokio(Box::new(crate::ok(runtime, "a tokio runtime")))
    }

    /// Runs it.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        match self {
            Self::Tokio(runtime) => runtime.block_on(future),
            Self::AsyncStd => async_std::task::block_on(future),
            Self::Smol => smol::block_on(future),
        }
    }
}

/// A wormhole whose methods are futures.
#[derive(Debug)]
struct Waiting<R> {
    wormhole: Wormhole<R>,
    executor: Executor,
    is_restless: bool,
}

impl<R> Waiting<R> {
    const fn new(wormhole: Wormhole<R>, executor: Executor) -> Self {
        Self { wormhole, executor, is_restless: false }
    }

    fn wait<T>(&mut self, call: impl AsyncFn(&mut Wormhole<R>) -> T) -> T {
        loop {
            let call = call(&mut self.wormhole);
            let outcome = if self.is_restless {
                self.executor.run(until_woken(call))
            } else {
                Some(self.executor.run(call))
            };
            if let Some(outcome) = outcome {
                return outcome;
            }
        }
    }
}

/// Gives a future up when it would be polled a second time.
pub async fn until_woken<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut was_polled = false;
    poll_fn(|cx| {
        if was_polled {
            return Poll::Ready(None);
        }
        was_polled = true;
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

macro_rules! waits {
    ($(fn $name:ident($($given:ident: $of:ty),*) -> $out:ty;)*) => {$(
        fn $name(&mut self, $($given: $of),*) -> $out {
            self.wait(async |wormhole| wormhole.$name($($given.clone()),*).await)
        }
    )*};
}

impl<R: Runtime + Send + fmt::Debug> Side for Waiting<R> {
    fn restless(&mut self) {
        self.is_restless = true;
    }

    waits! {
        fn allocate_code(words: usize) -> Result<(), Error>;
        fn set_code(code: &str) -> Result<(), Error>;
        fn input_code() -> Result<(), Error>;
        fn nameplates() -> Result<Vec<Nameplate>, Error>;
        fn word_list() -> Result<(), Error>;
        fn unverified_key() -> Result<Secret, Error>;
        fn choose_nameplate(nameplate: &str) -> Result<(), Error>;
        fn choose_words(words: &str) -> Result<(), Error>;
        fn welcome() -> Result<Welcome, Error>;
        fn code() -> Result<Code, Error>;
        fn verifier() -> Result<Verifier, Error>;
        fn versions() -> Result<Versions, Error>;
        fn send(record: &[u8]) -> Result<(), Error>;
        fn stored() -> Result<(), Error>;
        fn receive() -> Result<Vec<u8>, Error>;
        fn exchange(ours: Option<&[u8]>) -> Result<Exchange, Error>;
        fn next_event() -> Event;
        fn close() -> Result<(), Error>;
    }

    fn complete_nameplate(&self, typed: &str) -> Result<Vec<String>, Error> {
        self.wormhole.complete_nameplate(typed)
    }

    fn complete_words(&self, typed: &str) -> Result<Vec<String>, Error> {
        self.wormhole.complete_words(typed)
    }

    fn status(&self) -> Status {
        self.wormhole.status()
    }

    fn snapshot(&self) -> Result<Snapshot, Error> {
        self.wormhole.snapshot()
    }

    fn derive_key(&self, purpose: &str, len: usize) -> Result<Secret, Error> {
        self.wormhole.derive_key(purpose, len)
    }
}

macro_rules! blocks {
    ($(fn $name:ident(&$me:ident $(, $given:ident: $of:ty)*) -> $out:ty;)*) => {$(
        fn $name(&$me, $($given: $of),*) -> $out {
            Self::$name($me, $($given),*)
        }
    )*};
    ($(fn $name:ident(&mut $me:ident $(, $given:ident: $of:ty)*) -> $out:ty;)*) => {$(
        fn $name(&mut $me, $($given: $of),*) -> $out {
            // Its own method goes before that of the trait.
            Self::$name($me, $($given),*)
        }
    )*};
}

impl Side for wormhole_blocking::Wormhole {
    blocks! {
        fn allocate_code(&mut self, words: usize) -> Result<(), Error>;
        fn set_code(&mut self, code: &str) -> Result<(), Error>;
        fn input_code(&mut self) -> Result<(), Error>;
        fn nameplates(&mut self) -> Result<Vec<Nameplate>, Error>;
        fn word_list(&mut self) -> Result<(), Error>;
        fn unverified_key(&mut self) -> Result<Secret, Error>;
        fn choose_nameplate(&mut self, nameplate: &str) -> Result<(), Error>;
        fn choose_words(&mut self, words: &str) -> Result<(), Error>;
        fn welcome(&mut self) -> Result<Welcome, Error>;
        fn code(&mut self) -> Result<Code, Error>;
        fn verifier(&mut self) -> Result<Verifier, Error>;
        fn versions(&mut self) -> Result<Versions, Error>;
        fn send(&mut self, record: &[u8]) -> Result<(), Error>;
        fn stored(&mut self) -> Result<(), Error>;
        fn receive(&mut self) -> Result<Vec<u8>, Error>;
        fn exchange(&mut self, ours: Option<&[u8]>) -> Result<Exchange, Error>;
        fn next_event(&mut self) -> Event;
        fn close(&mut self) -> Result<(), Error>;
    }

    blocks! {
        fn complete_nameplate(&self, typed: &str) -> Result<Vec<String>, Error>;
        fn complete_words(&self, typed: &str) -> Result<Vec<String>, Error>;
        fn derive_key(&self, purpose: &str, len: usize) -> Result<Secret, Error>;
        fn status(&self) -> Status;
        fn snapshot(&self) -> Result<Snapshot, Error>;
    }
}
