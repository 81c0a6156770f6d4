//! The way out of a store that works on a thread of its own: replies come out, and neither end waits.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::fmt;
use core::task::{Context, Poll, Waker};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Reply;

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
