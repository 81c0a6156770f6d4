//! A call that blocks: how its thread sleeps, and what ends it from outside.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// How long a cancelled call may take to say so to the other side.
const LAST_WORDS: Duration = Duration::from_millis(700);

thread_local! {
    /// When that is due for which the future on this thread waits.
    static ALARM: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// To be said by what is polled in a call: it wants to be polled again at this time.
pub(crate) fn wake_at(at: Option<Instant>) {
    ALARM.set(ALARM.get().into_iter().chain(at).min());
}

/// The calls of one value, one after another, and whether they have been cancelled.
#[derive(Debug, Default)]
pub(crate) struct Call {
    state: Mutex<State>,
    bell: Condvar,
    limit: Option<Instant>,
}

#[derive(Debug, Default)]
struct State {
    /// Somebody has woken the thread since it last slept.
    rung: bool,
    cancelled: bool,
}

impl Call {
    /// Runs a future on this thread. `None` where the call was cancelled first.
    pub(crate) fn run<T>(self: &Arc<Self>, future: impl Future<Output = T>) -> Option<T> {
        let waker = Waker::from(Arc::clone(self));
        let mut future = pin!(future);
        while !self.is_over() {
            ALARM.set(self.limit);
            if let Poll::Ready(outcome) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(outcome);
            }
            self.sleep(ALARM.get());
        }
        None
    }

    fn is_over(&self) -> bool {
        self.lock().cancelled || self.limit.is_some_and(|limit| limit <= Instant::now())
    }

    /// Runs what is still to be said after a cancellation, for a bounded time.
    pub(crate) fn last_words(future: impl Future) {
        let limit = Some(Instant::now() + LAST_WORDS);
        Arc::new(Self { limit, ..Self::default() }).run(future);
    }

    /// Sleeps until somebody wakes the thread, or has since it last slept; not beyond `until`.
    fn sleep(&self, until: Option<Instant>) {
        let is_still = |state: &mut State| !state.rung;
        let state = self.lock();
        let mut state = match until.map(|until| until.saturating_duration_since(Instant::now())) {
            Some(left) => {
                let woken = self.bell.wait_timeout_while(state, left, is_still);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.bell.wait_while(state, is_still).unwrap_or_else(PoisonError::into_inner),
        };
        state.rung = false;
    }

    fn ring(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.bell.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring(|state| state.rung = true);
    }
}

/// Ends calls from another thread: the one that is under way, within a second, and all later ones.
///
/// They end with [`Error::Cancelled`](wormhole_core::error::Error::Cancelled). The server and the other side are still told,
/// as far as there is time for it.
#[derive(Clone, Debug)]
pub struct Canceller(pub(crate) Arc<Call>);

impl Canceller {
    /// Ends the call that is under way, and all later ones.
    pub fn cancel(&self) {
        self.0.ring(|state| (state.rung, state.cancelled) = (true, true));
    }
}

/// What a method gives where its call was cancelled.
pub(crate) trait Cancelled {
    fn cancelled() -> Self;
}

/// A type whose methods wait, as one whose methods block. `over` waits for its end.
macro_rules! blocking {
    (
        $(#[$about:meta])*
        $name:ident of $inner:ty, over with $over:ident;
        $($(#[$doc:meta])* fn $method:ident(&mut $me:ident $(, $given:ident: $of:ty)*) -> $out:ty;)*
    ) => {
        $(#[$about])*
        #[derive(Debug)]
        pub struct $name {
            inner: $inner,
            call: std::sync::Arc<$crate::call::Call>,
        }

        impl $name {
            fn around(inner: $inner) -> Self {
                Self { inner, call: std::sync::Arc::default() }
            }

            /// What ends a call from another thread, and with it the whole.
            pub fn canceller(&self) -> $crate::Canceller {
                $crate::call::Canceller(std::sync::Arc::clone(&self.call))
            }

            fn last_words(&mut self) {
                self.inner.cancel();
                $crate::call::Call::last_words(self.inner.$over());
            }

            $(
                $(#[$doc])*
                pub fn $method(&mut $me $(, $given: $of)*) -> $out {
                    $me.call.run($me.inner.$method($($given),*)).unwrap_or_else(|| {
                        $me.last_words();
                        $crate::call::Cancelled::cancelled()
                    })
                }
            )*
        }
    };
}

/// Methods that do not wait.
macro_rules! at_once {
    ($($(#[$doc:meta])* fn $method:ident(&mut $me:ident $(, $given:ident: $of:ty)*) $(-> $out:ty)?;)*) => {$(
        $(#[$doc])*
        pub fn $method(&mut $me $(, $given: $of)*) $(-> $out)? {
            $me.inner.$method($($given),*)
        }
    )*};
    ($($(#[$doc:meta])* fn $method:ident(&$me:ident $(, $given:ident: $of:ty)*) -> $out:ty;)*) => {$(
        $(#[$doc])*
        pub fn $method(&$me $(, $given: $of)*) -> $out {
            $me.inner.$method($($given),*)
        }
    )*};
}

pub(crate) use {at_once, blocking};
