//! The two ends of a store that works on a thread of its own: requests go in, replies come out, and neither end waits.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::fmt;
use core::task::{Context, Poll, Waker};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use wormhole_core::driver::Instant;

use super::{Ask, Refusal, Reply, Request};
use crate::limits;

/// Where the requests lie until the store takes them.
#[derive(Clone, Default)]
pub(super) struct Requests(Arc<(Mutex<Queue>, Condvar)>);

#[derive(Default)]
struct Queue {
    requests: VecDeque<(Request, Instant)>,
    /// Of commands that wait.
    commands: usize,
    bytes: usize,
    closed: bool,
}

impl Requests {
    /// Lays a request down; the answer where there is no room for it. Only commands need room: of the others there is
    /// no more than one for each connection.
    pub(super) fn push(&self, request: Request, now: Instant) -> Option<Reply> {
        let (queue, bell) = &*self.0;
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        if let Request::Do { conn, .. } = &request {
            let bytes = queue.bytes.saturating_add(weight(&request));
            if queue.commands >= limits::STORE_QUEUE || bytes > limits::STORE_QUEUE_BYTES {
                return Some(Reply::Done { conn: *conn, done: Err(Refusal::Unavailable) });
            }
            queue.commands = queue.commands.saturating_add(1);
            queue.bytes = bytes;
        }
        queue.requests.push_back((request, now));
        bell.notify_one();
        None
    }

    /// Takes what has come, up to a number. Waits for the first, if it may; nothing more comes after `None`.
    pub(super) fn take(&self, most: usize, may_wait: bool) -> Option<VecDeque<(Request, Instant)>> {
        let (queue, bell) = &*self.0;
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        while may_wait && queue.requests.is_empty() && !queue.closed {
            queue = bell.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        if queue.closed && queue.requests.is_empty() {
            return None;
        }
        let count = queue.requests.len().min(most);
        let taken: VecDeque<_> = queue.requests.drain(..count).collect();
        for (request, _) in &taken {
            if let Request::Do { .. } = request {
                queue.commands = queue.commands.saturating_sub(1);
                queue.bytes = queue.bytes.saturating_sub(weight(request));
            }
        }
        Some(taken)
    }

    /// Lets the store come to its end, after what it was asked.
    pub(super) fn close(&self) {
        let (queue, bell) = &*self.0;
        queue.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        bell.notify_all();
    }
}

fn weight(request: &Request) -> usize {
    match request {
        Request::Do { ask: Ask::Add { message, .. }, .. } => message.weight(),
        Request::Do { .. } | Request::Leave { .. } | Request::Prune => 0,
    }
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Requests")
    }
}

/// Where the replies lie until the driver takes them.
#[derive(Clone, Default)]
pub(super) struct Replies(Arc<Mutex<Pile>>);

#[derive(Default)]
struct Pile {
    replies: VecDeque<Reply>,
    waker: Option<Waker>,
}

impl Replies {
    /// Lays replies down, in order, and wakes whoever waits for them.
    pub(super) fn extend(&self, replies: impl IntoIterator<Item = Reply>) {
        let waker = {
            let mut pile = self.lock();
            pile.replies.extend(replies);
            if pile.replies.is_empty() { None } else { pile.waker.take() }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Reply> {
        let mut pile = self.lock();
        if let Some(reply) = pile.replies.pop_front() {
            return Poll::Ready(reply);
        }
        pile.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, Pile> {
        // A pile is whole whenever it is let go.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Replies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Replies")
    }
}
