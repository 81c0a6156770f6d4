//! A server machine on a runtime.

use core::fmt;
use core::task::Poll;

use alloc::boxed::Box;
use alloc::vec::Vec;

use wormhole_core::driver::{Address, Machine, Why};
use wormhole_runtime::{Driver, Note, Runtime};

use crate::door::{Drain, Event};
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
#[derive(Default)]
struct Seen {
    /// The addresses of each listener.
    at: Option<Vec<Vec<Address>>>,
    failed: Option<Why>,
    /// Who wants to hear everything else.
    tell: Option<Box<dyn FnMut(Event) + Send>>,
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seen").field("at", &self.at).field("failed", &self.failed).finish_non_exhaustive()
    }
}

impl Note<Event> for Seen {
    fn note(&mut self, event: Event) {
        match event {
            Event::Listening(at) => self.at = Some(at),
            Event::Failed(why) => self.failed = Some(why),
            Event::Used(_) | Event::Store(_) => {
                if let Some(tell) = &mut self.tell {
                    tell(event);
                }
            }
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
        Self { driver: Driver::new(machine, runtime, Seen::default()) }
    }

    /// Tells this what happens beside the service: what statistics count, and what the store has to say.
    #[must_use]
    pub fn telling(mut self, tell: impl FnMut(Event) + Send + 'static) -> Self {
        self.driver.seen.tell = Some(Box::new(tell));
        self
    }

    /// Waits until the server can be reached, and says where. May be called again.
    ///
    /// # Errors
    ///
    /// Why it does not listen, or does so no more.
    pub async fn listening(&mut self) -> Result<Vec<Address>, Why> {
        Ok(self.listening_each().await?.concat())
    }

    /// As [`Server::listening`], with the addresses of each listener apart, in the order of the options.
    ///
    /// # Errors
    ///
    /// Why it does not listen, or does so no more.
    pub async fn listening_each(&mut self) -> Result<Vec<Vec<Address>>, Why> {
        self.driver
            .until(|seen| match (&seen.failed, &seen.at) {
                (Some(why), _) => Poll::Ready(Err(why.clone())),
                (None, Some(at)) => Poll::Ready(Ok(at.clone())),
                (None, None) => Poll::Pending,
            })
            .await
    }

    /// The machine, to be told something between two calls of [`Server::run`].
    pub const fn machine_mut(&mut self) -> &mut M {
        &mut self.driver.machine
    }

    /// What the machine runs on.
    pub const fn runtime_mut(&mut self) -> &mut R {
        &mut self.driver.runtime
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

impl<M: Machine<Event = Event> + Drain, R: Runtime<M::Request, M::Reply>> Server<M, R> {
    /// Lets nobody in any more, and serves until nobody is left for whose sake one should wait.
    pub async fn drain(&mut self) {
        self.driver.machine.shut();
        self.driver
            .until_with(|machine, _| if machine.is_empty() { Poll::Ready(()) } else { Poll::Pending })
            .await;
    }

    /// Ends every connection, and serves for as long as that takes.
    pub async fn end(&mut self) {
        self.driver.machine.shut();
        self.driver.machine.end();
        self.driver
            .until_with(|machine, _| if machine.is_gone() { Poll::Ready(()) } else { Poll::Pending })
            .await;
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::VecDeque;
    use alloc::vec;
    use core::convert::Infallible;
    use core::future::{Future, poll_fn};
    use core::pin::pin;
    use core::task::{Context, Waker};
    use core::time::Duration;
    use std::io;

    use wormhole_core::driver::{Conn, Input, Instant, Op};
    use wormhole_core::rng::Seed;
    use wormhole_runtime::{Job, Stream};

    use super::*;

    #[test]
    fn a_server_says_where_it_listens_as_often_as_it_is_asked() {
        let mut server = mailbox();
        assert!(now(server.listening()).is_pending());
        let at = vec![Address::new("127.0.0.1", 9)];
        server
            .driver
            .runtime
            .runtime_mut()
            .inputs
            .push_back(Input::Listening { conn: Conn(0), at: at.clone() });
        for _ in 0..2 {
            assert_eq!(now(server.listening()), Poll::Ready(Ok(at.clone())));
        }
    }

    #[test]
    fn a_listener_that_fails_ends_the_server() {
        let mut server = Server::relay(relay::Options::new(Address::new("127.0.0.1", 1)), Still::default());
        assert!(now(server.run()).is_pending());
        server.driver.runtime.inputs.push_back(Input::Closed { conn: Conn(0), why: Why::Refused });
        assert_eq!(now(server.run()), Poll::Ready(Why::Refused));
        assert_eq!(now(server.listening()), Poll::Ready(Err(Why::Refused)));
    }

    #[test]
    fn the_store_answers_through_the_loop_and_a_dropped_call_loses_nothing() {
        let mut server = mailbox();
        let (listener, conn) = (Conn(0), Conn(1));
        let commands = [r#"{"type":"bind","appid":"x","side":"a"}"#, r#"{"type":"claim","nameplate":"4"}"#];
        let mut inputs =
            vec![Input::Listening { conn: listener, at: Vec::new() }, Input::Opened { conn, peer: None }];
        inputs.extend(commands.map(|text| Input::Received { conn, bytes: text.as_bytes().to_vec() }));
        for input in inputs {
            server.driver.runtime.runtime_mut().inputs.push_back(input);
            assert!(now(server.run()).is_pending());
        }
        let written = &server.driver.runtime.runtime_mut().written;
        let last: serde_json::Value = serde_json::from_slice(written.last().unwrap()).unwrap();
        assert_eq!(last["type"], "claimed");
    }

    fn mailbox() -> Server<Mailbox, Stored<Still, Memory>> {
        Server::mailbox(mailbox::Options::new(Address::new("127.0.0.1", 1), 0.0), Still::default())
    }

    /// Polls once, and drops the future.
    fn now<T>(future: impl Future<Output = T>) -> Poll<T> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    /// A runtime in which only that happens which a test puts in.
    #[derive(Debug, Default)]
    struct Still {
        inputs: VecDeque<Input>,
        written: Vec<Vec<u8>>,
    }

    impl Runtime for Still {
        type Stream = Nothing;

        fn seed(&mut self) -> Seed {
            [1; 32]
        }
        fn now(&self) -> Instant {
            Instant::START.plus(Duration::from_secs(1))
        }
        fn start(&mut self, op: Op<Infallible>) {
            if let Op::Write { bytes, .. } = op {
                self.written.push(bytes);
            }
        }
        async fn next(&mut self, _: Option<Instant>) -> Option<Input> {
            poll_fn(|_| self.inputs.pop_front().map_or(Poll::Pending, |input| Poll::Ready(Some(input)))).await
        }
        fn take(&mut self, _: Conn) -> Option<Nothing> {
            None
        }
        fn beside(&mut self, _: impl Future<Output = ()> + Send + 'static) -> Job {
            Job::new(|| {})
        }
    }

    struct Nothing;

    impl Stream for Nothing {
        fn poll_read(&mut self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(0))
        }
        fn poll_write(&mut self, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }
        fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
}
