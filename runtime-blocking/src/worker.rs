//! Threads that each do one blocking thing whenever they are asked to. They are counted, and there is a bound.

use std::fmt;
use std::io;
use std::mem;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

/// The most threads and connections of one runtime, taken together. This is for clients and small servers.
const THREADS: usize = 1024;

/// The threads of one runtime: each holds a copy of this.
#[derive(Clone, Debug, Default)]
pub(crate) struct Threads(Arc<()>);

impl Threads {
    /// Starts a thread, unless there are too many.
    pub(crate) fn spawn(&self, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let place = self.clone();
        if Arc::strong_count(&place.0) > THREADS {
            return Err(io::Error::other("too many threads"));
        }
        let thread = thread::Builder::new().name("wormhole".into()).spawn(move || {
            work();
            drop(place);
        });
        thread.map(drop)
    }
}

/// A thread that does one thing after another. When this is dropped it ends, as soon as what it was asked for is done.
pub(crate) struct Worker<I, O> {
    to: Sender<I>,
    from: Receiver<O>,
    waker: Arc<Mutex<Option<Waker>>>,
    /// What it was asked for and has not answered.
    open: usize,
}

impl<I: Send + 'static, O: Send + 'static> Worker<I, O> {
    pub(crate) fn start(
        threads: &Threads,
        mut work: impl FnMut(I) -> O + Send + 'static,
    ) -> io::Result<Self> {
        let ((to, asked), (answer, from)) = (channel(), channel());
        let waker = Arc::<Mutex<Option<Waker>>>::default();
        let waiting = Arc::clone(&waker);
        threads.spawn(move || {
            for input in asked {
                // Who asked may be gone.
                let _ = answer.send(work(input));
                let waker = waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
                waker.iter().for_each(Waker::wake_by_ref);
            }
        })?;
        Ok(Self { to, from, waker, open: 0 })
    }

    /// Asks for one more thing.
    pub(crate) fn ask(&mut self, input: I) {
        // The thread ends after us.
        let _ = self.to.send(input);
        self.open += 1;
    }

    /// What the first thing came to; `None` where nothing is open.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<Option<O>> {
        if self.open == 0 {
            return Poll::Ready(None);
        }
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        let Ok(outcome) = self.from.try_recv() else { return Poll::Pending };
        self.open -= 1;
        Poll::Ready(Some(outcome))
    }

    /// What it came to; asks where nothing is open.
    pub(crate) fn poll_ask(&mut self, cx: &Context<'_>, input: impl FnOnce() -> I) -> Poll<O> {
        if self.open == 0 {
            self.ask(input());
        }
        match self.poll(cx) {
            Poll::Ready(Some(outcome)) => Poll::Ready(outcome),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    /// Where it answers what is open, for who waits when this is gone: then the answers end.
    pub(crate) fn take_answers(&mut self) -> Receiver<O> {
        mem::replace(&mut self.from, channel().1)
    }
}

impl<I, O> fmt::Debug for Worker<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("open", &self.open).finish_non_exhaustive()
    }
}
