//! A call that blocks: how its thread sleeps, and what ends it from outside.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use wormhole_runtime::api::{Error, Event};

/// How long a cancelled call may take to say so to the other side.
const LAST_WORDS: Duration = Duration::from_millis(700);

thread_local! {
    /// When that is due for which the future on this thread waits.
    static ALARM: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Ends at this time, in a call; never where there is none.
pub(crate) async fn sleep_until(at: Option<Instant>) {
    poll_fn(|_| match at {
        Some(at) if at <= Instant::now() => Poll::Ready(()),
        at => {
            ALARM.set(ALARM.get().into_iter().chain(at).min());
            Poll::Pending
        }
    })
    .await;
}

/// Runs a future on this thread, unless it is over first.
fn settle<T>(future: impl Future<Output = T>, is_over: impl Fn() -> bool) -> Option<T> {
    let mut future = pin!(future);
    let waker = Arc::new(Unpark(thread::current())).into();
    while !is_over() {
        ALARM.set(None);
        if let Poll::Ready(outcome) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(outcome);
        }
        match ALARM.get() {
            Some(at) => thread::park_timeout(at.saturating_duration_since(Instant::now())),
            None => thread::park(),
        }
    }
    None
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The calls of one value, one after another.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    is_cancelled: AtomicBool,
    /// Where the latest of them is made.
    thread: Mutex<Option<Thread>>,
}

impl Calls {
    /// Waits for a future. `None` where the call was cancelled first.
    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread::current());
        settle(future, || self.is_cancelled.load(Ordering::SeqCst))
    }
}

/// Waits for what is still to be said after a cancellation, but not for long.
pub(crate) fn last_words(said: impl Future) {
    let mut said = pin!(said);
    let mut late = pin!(sleep_until(Some(Instant::now() + LAST_WORDS)));
    let over = poll_fn(|cx| match said.as_mut().poll(cx) {
        Poll::Ready(_) => Poll::Ready(()),
        Poll::Pending => late.as_mut().poll(cx),
    });
    settle(over, || false);
}

/// Ends calls from another thread: the one that is under way, within a second, and all later ones.
///
/// They end with [`Error::Cancelled`]. The server and the other side are still told, as far as there is time for it.
#[derive(Clone, Debug)]
pub struct Canceller(pub(crate) Arc<Calls>);

impl Canceller {
    /// Ends the call that is under way, and all later ones.
    pub fn cancel(&self) {
        self.0.is_cancelled.store(true, Ordering::SeqCst);
        self.0.thread.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(Thread::unpark);
    }
}

/// What a method gives where its call was cancelled.
pub(crate) trait Cancelled {
    fn cancelled() -> Self;
}

impl<T, E: From<Error>> Cancelled for Result<T, E> {
    fn cancelled() -> Self {
        Err(Error::Cancelled.into())
    }
}

impl Cancelled for Event {
    fn cancelled() -> Self {
        Self::Closed(Cancelled::cancelled())
    }
}

/// A type whose methods wait, as one whose methods block: how it is `made`, which methods `wait`, and which only `look` or
/// `tell`. Its end is waited for with `over`.
macro_rules! blocking {
    (
        $(#[$about:meta])*
        $name:ident of $inner:ty, over with $over:ident;
        made { $($(#[$made_doc:meta])* fn $made:ident($($made_of:ident: $made_type:ty),*) -> $made_out:ty;)* }
        waits { $($(#[$wait_doc:meta])* fn $wait:ident(&mut self $(, $wait_for:ident: $wait_type:ty)*) -> $wait_out:ty;)* }
        $(looks { $($(#[$look_doc:meta])* fn $look:ident(&self $(, $look_at:ident: $look_type:ty)*) -> $look_out:ty;)* })?
        tells { $($(#[$tell_doc:meta])* fn $tell:ident(&mut self $(, $told:ident: $tell_type:ty)*) $(-> $tell_out:ty)?;)* }
    ) => {
        $(#[$about])*
        #[derive(Debug)]
        pub struct $name {
            inner: $inner,
            calls: std::sync::Arc<$crate::call::Calls>,
        }

        impl $name {
            $(
                $(#[$made_doc])*
                pub fn $made($($made_of: $made_type),*) -> $made_out {
                    <$inner>::$made($($made_of),*).map(|inner| Self { inner, calls: Default::default() })
                }
            )*

            /// What ends a call from another thread, and with it the whole.
            pub fn canceller(&self) -> $crate::Canceller {
                $crate::call::Canceller(self.calls.clone())
            }

            $(
                $(#[$wait_doc])*
                pub fn $wait(&mut self $(, $wait_for: $wait_type)*) -> $wait_out {
                    self.calls.run(self.inner.$wait($($wait_for),*)).unwrap_or_else(|| {
                        self.inner.cancel();
                        $crate::call::last_words(self.inner.$over());
                        $crate::call::Cancelled::cancelled()
                    })
                }
            )*

            $($(
                $(#[$look_doc])*
                pub fn $look(&self $(, $look_at: $look_type)*) -> $look_out {
                    self.inner.$look($($look_at),*)
                }
            )*)?

            $(
                $(#[$tell_doc])*
                pub fn $tell(&mut self $(, $told: $tell_type)*) $(-> $tell_out)? {
                    self.inner.$tell($($told),*)
                }
            )*
        }
    };
}

pub(crate) use blocking;
