//! Whose turn it is.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

use crate::net::HostId;

/// Who has been woken, in that order.
#[derive(Debug, Default)]
pub(crate) struct Ready(Mutex<VecDeque<HostId>>);

impl Ready {
    /// The wakers of so many hosts, all of whom begin awake.
    pub(crate) fn wakers(self: &Arc<Self>, count: usize) -> Vec<Waker> {
        let wakers = (0..count).map(|id| Waker::from(Arc::new(Call { id, ready: Arc::clone(self) })));
        wakers.inspect(Waker::wake_by_ref).collect()
    }

    pub(crate) fn next(&self) -> Option<HostId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

struct Call {
    id: HostId,
    ready: Arc<Ready>,
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut ready = self.ready.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !ready.contains(&self.id) {
            ready.push_back(self.id);
        }
    }
}
