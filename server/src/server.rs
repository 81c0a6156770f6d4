//! A server machine on a runtime.

use core::task::Poll;

use alloc::vec::Vec;

use wormhole_core::driver::{Address, Machine, Why};
use wormhole_runtime::{Driver, Note, Runtime};

use crate::door::Event;
use crate::mailbox::{self, Mailbox};
use crate::relay::{self, Relay};
use crate::store::Memory;
use crate::stored::Stored;

/// A mailbox server or a relay that serves as long as [`Server::run`] is waited for, and ends when it is dropped.
#[derive(Debug)]
pub struct Server<M, R> {
    driver: Driver<M, R, Seen>,
}

/// What a server has told.
#[derive(Debug, Default)]
struct Seen {
    at: Option<Vec<Address>>,
    failed: Option<Why>,
}

impl Note<Event> for Seen {
    fn note(&mut self, event: Event) {
        match event {
            Event::Listening(at) => self.at = Some(at),
            Event::Failed(why) => self.failed = Some(why),
        }
    }
}

impl<R: Runtime> Server<Mailbox, Stored<R, Memory>> {
    /// A mailbox server that keeps everything in memory.
    pub fn mailbox(options: mailbox::Options, mut runtime: R) -> Self {
        let store = Memory::new(runtime.seed());
        Self::new(Mailbox::new(options), Stored::new(runtime, store))
    }
}

impl<R: Runtime> Server<Relay, R> {
    /// A transit relay.
    pub fn relay(options: relay::Options, runtime: R) -> Self {
        Self::new(Relay::new(options), runtime)
    }
}

impl<M: Machine<Event = Event>, R: Runtime<M::Request, M::Reply>> Server<M, R> {
    /// A server of any kind, with any store.
    pub fn new(machine: M, runtime: R) -> Self {
        Self { driver: Driver { machine, runtime, seen: Seen::default() } }
    }

    /// Waits until the server can be reached, and says where. May be called again.
    ///
    /// # Errors
    ///
    /// Why it does not listen, or does so no more.
    pub async fn listening(&mut self) -> Result<Vec<Address>, Why> {
        self.driver
            .until(|seen| match (&seen.failed, &seen.at) {
                (Some(why), _) => Poll::Ready(Err(why.clone())),
                (None, Some(at)) => Poll::Ready(Ok(at.clone())),
                (None, None) => Poll::Pending,
            })
            .await
    }

    /// Serves until the listener fails, and says why it did. Dropping the future stops the service until it is
    /// called again, and loses nothing.
    pub async fn run(&mut self) -> Why {
        self.driver
            .until(|seen| match &seen.failed {
                Some(why) => Poll::Ready(why.clone()),
                None => Poll::Pending,
            })
            .await
    }
}
