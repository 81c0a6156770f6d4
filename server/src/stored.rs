//! A runtime with a store beside it.

use core::convert::Infallible;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;

use wormhole_core::driver::{Conn, Input, Instant, Op};
use wormhole_core::rng::Seed;
use wormhole_runtime::{Job, Runtime};

use crate::store::{Reply, Request, Store};

/// Any runtime, and a store that answers [`Op::Store`]: neither knows of the other.
#[derive(Debug)]
pub struct Stored<R, S> {
    runtime: R,
    store: S,
}

impl<R, S> Stored<R, S> {
    /// Puts the two together.
    pub const fn new(runtime: R, store: S) -> Self {
        Self { runtime, store }
    }

    /// The runtime inside.
    pub const fn runtime_mut(&mut self) -> &mut R {
        &mut self.runtime
    }
}

impl<R: Runtime, S: Store> Runtime<Request, Reply> for Stored<R, S> {
    type Stream = R::Stream;

    fn seed(&mut self) -> Seed {
        self.runtime.seed()
    }

    fn now(&self) -> Instant {
        self.runtime.now()
    }

    fn start(&mut self, op: Op<Request>) {
        let op = match op {
            Op::Store(request) => return self.store.start(request, self.runtime.now()),
            Op::Open { conn, target } => Op::Open { conn, target },
            Op::Listen { conn, on } => Op::Listen { conn, on },
            Op::Accept { at, conn } => Op::Accept { at, conn },
            Op::Read { conn } => Op::Read { conn },
            Op::Write { conn, bytes } => Op::Write { conn, bytes },
            Op::Join { a, b, terms } => Op::Join { a, b, terms },
            Op::Close { conn } => Op::Close { conn },
        };
        self.runtime.start(op);
    }

    async fn next(&mut self, deadline: Option<Instant>) -> Option<Input<Reply>> {
        // A runtime on threads waits in the call itself, so the store is asked before.
        if let Poll::Ready(reply) = poll_fn(|cx| Poll::Ready(self.store.poll_reply(cx))).await {
            return Some(Input::Stored(reply));
        }
        let store = &mut self.store;
        let mut next = pin!(self.runtime.next(deadline));
        poll_fn(|cx| match store.poll_reply(cx) {
            Poll::Ready(reply) => Poll::Ready(Some(Input::Stored(reply))),
            Poll::Pending => next.as_mut().poll(cx).map(|input| input.map(widen)),
        })
        .await
    }

    fn take(&mut self, conn: Conn) -> Option<Self::Stream> {
        self.runtime.take(conn)
    }

    fn beside(&mut self, job: impl Future<Output = ()> + Send + 'static) -> Job {
        self.runtime.beside(job)
    }
}

/// The same input, where a store's could come, too.
fn widen(input: Input<Infallible>) -> Input<Reply> {
    match input {
        Input::Opened { conn, peer } => Input::Opened { conn, peer },
        Input::Listening { conn, at } => Input::Listening { conn, at },
        Input::Received { conn, bytes } => Input::Received { conn, bytes },
        Input::Sent { conn } => Input::Sent { conn },
        Input::Closed { conn, why } => Input::Closed { conn, why },
        Input::Stored(never) => match never {},
        Input::Tick => Input::Tick,
    }
}
