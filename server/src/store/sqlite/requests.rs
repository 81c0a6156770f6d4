//! The way in: requests lie here until the writer takes them, and nobody waits to lay one down.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::fmt;
use std::sync::{Condvar, Mutex, PoisonError};

use wormhole_core::driver::Instant;

use crate::limits;
use crate::store::{Ask, Refusal, Reply, Request};

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
