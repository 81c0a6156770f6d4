//! A runtime with a store beside it.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::convert::Infallible;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;

use wormhole_core::driver::{Conn, Input, Instant, Op};
use wormhole_core::rng::Seed;
use wormhole_runtime::{Job, Runtime};

use crate::counters::MailboxCounts;
use crate::store::{Reply, Request, Store};

/// Any runtime, and a store that answers [`Op::Store`]: neither knows of the other.
#[derive(Debug)]
pub struct Stored<R, S> {
    runtime: R,
    store: S,
    timed: Option<Timed>,
}

/// Since when the store has been at work for each connection, and where it is noted how long that took.
#[derive(Debug)]
struct Timed {
    since: BTreeMap<Conn, Instant>,
    counts: Arc<MailboxCounts>,
}

impl<R, S> Stored<R, S> {
    /// Puts the two together.
    pub const fn new(runtime: R, store: S) -> Self {
        Self { runtime, store, timed: None }
    }

    /// Notes how long the store takes.
    #[must_use]
    pub fn timed(self, counts: Arc<MailboxCounts>) -> Self {
        Self { timed: Some(Timed { since: BTreeMap::new(), counts }), ..self }
    }

    /// The runtime inside.
    pub const fn runtime_mut(&mut self) -> &mut R {
        &mut self.runtime
    }
}

impl<R: Runtime, S> Stored<R, S> {
    fn note(&mut self, reply: &Reply) {
        if let (Some(timed), Reply::Done { conn, .. }) = (&mut self.timed, reply)
            && let Some(since) = timed.since.remove(conn)
        {
            timed.counts.store.note(self.runtime.now().saturating_since(since));
        }
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
            Op::Store(request) => {
                let now = self.runtime.now();
                if let (Some(timed), Request::Do { conn, .. }) = (&mut self.timed, &request) {
                    timed.since.insert(*conn, now);
                }
                return self.store.start(request, now);
            }
            Op::Open { conn, target } => Op::Open { conn, target },
            Op::Listen { conn, on } => Op::Listen { conn, on },
            Op::Accept { at, conn } => Op::Accept { at, conn },
            Op::Read { conn } => Op::Read { conn },
            Op::Write { conn, bytes } => Op::Write { conn, bytes },
            Op::Join { a, b, terms } => Op::Join { a, b, terms },
            Op::Close { conn } => Op::Close { conn },
            Op::Dismiss { conn, code } => Op::Dismiss { conn, code },
        };
        self.runtime.start(op);
    }

    async fn next(&mut self, deadline: Option<Instant>) -> Option<Input<Reply>> {
        // A runtime on threads waits in the call itself, so the store is asked before.
        let mut reply = poll_fn(|cx| Poll::Ready(self.store.poll_reply(cx))).await;
        if reply.is_pending() {
            let store = &mut self.store;
            let mut next = pin!(self.runtime.next(deadline));
            let came = poll_fn(|cx| match store.poll_reply(cx) {
                Poll::Ready(reply) => Poll::Ready(Err(reply)),
                Poll::Pending => next.as_mut().poll(cx).map(|input| Ok(input.map(widen))),
            });
            match came.await {
                Ok(input) => return input,
                Err(stored) => reply = Poll::Ready(stored),
            }
        }
        let Poll::Ready(reply) = reply else { return None };
        self.note(&reply);
        Some(Input::Stored(reply))
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
