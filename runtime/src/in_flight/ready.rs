//! Who has something to do: a waker for each connection and job, and the list that they enter.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

use wormhole_core::driver::Conn;

/// What can become ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Key {
    Conn(Conn),
    Job(u64),
}

/// The keys whose waker has called, and whom to tell.
#[derive(Debug, Default)]
pub(super) struct Ready {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    keys: Vec<Key>,
    /// One of them entered without telling anybody.
    noted: bool,
    /// The task that waits in `next`; it is called once for each time that it comes to wait.
    waiter: Option<Waker>,
}

impl Ready {
    /// Makes `waker` the one that is told.
    pub(super) fn wait(&self, waker: &Waker) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut inner.waiter {
            Some(waiter) => waiter.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    /// Exchanges the list for `keys`, which should be empty.
    pub(super) fn swap(&self, keys: &mut Vec<Key>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        mem::swap(&mut inner.keys, keys);
        inner.noted = false;
    }

    /// Whether somebody has been [noted](Call::note) since the last [`Ready::swap`].
    pub(super) fn is_noted(&self) -> bool {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).noted
    }

    fn note(&self, key: Key) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.keys.push(key);
        inner.noted = true;
    }

    fn call(&self, key: Key) -> Option<Waker> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.keys.push(key);
        inner.waiter.take()
    }
}

/// One key's place on the list. It is there at most once.
#[derive(Debug)]
pub(super) struct Call {
    key: Key,
    listed: AtomicBool,
    ready: Arc<Ready>,
}

impl Call {
    pub(super) fn new(key: Key, ready: &Arc<Ready>) -> Arc<Self> {
        Arc::new(Self { key, listed: AtomicBool::new(false), ready: Arc::clone(ready) })
    }

    /// Enters the list without telling anybody: whoever asks for something looks at the list before it waits.
    pub(super) fn note(&self) {
        if !self.listed.swap(true, Ordering::AcqRel) {
            self.ready.note(self.key);
        }
    }

    /// To be said before the key is polled: a call from now on counts again.
    pub(super) fn answered(&self) {
        // Not only a store: whoever found itself listed must be seen to have called, with all it did before, or what
        // is polled next could miss it.
        self.listed.swap(false, Ordering::AcqRel);
    }
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.listed.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Some(waiter) = self.ready.call(self.key) {
            waiter.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn a_key_is_listed_once_and_the_waiter_is_told_once() {
        let ready = Arc::new(Ready::default());
        let told = Arc::new(Count::default());
        let call = Call::new(Key::Job(3), &ready);
        ready.wait(&Waker::from(Arc::clone(&told)));
        call.wake_by_ref();
        call.wake_by_ref();
        Call::new(Key::Job(4), &ready).wake_by_ref();
        assert_eq!(listed(&ready), [Key::Job(3), Key::Job(4)]);
        assert_eq!(told.0.load(Ordering::Relaxed), 1);

        call.wake_by_ref();
        assert_eq!(listed(&ready), [], "not before it was answered");
        call.answered();
        call.note();
        assert_eq!(listed(&ready), [Key::Job(3)]);
    }

    fn listed(ready: &Ready) -> Vec<Key> {
        let mut keys = Vec::new();
        ready.swap(&mut keys);
        keys
    }

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}
