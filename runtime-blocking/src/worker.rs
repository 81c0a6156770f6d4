//! Threads that each do one blocking thing after another, as they are asked to. They are counted, and there is a bound.

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

type Job<T> = Box<dyn FnOnce() -> T + Send>;

/// A thread that does one job after another. When this is dropped it ends, as soon as it has done what it was asked for.
#[derive(Debug)]
pub(crate) struct Worker<T> {
    to: Sender<Job<T>>,
    from: Receiver<T>,
    waker: Arc<Mutex<Option<Waker>>>,
    /// What it was asked for and has not answered.
    open: usize,
}

impl<T: Send + 'static> Worker<T> {
    pub(crate) fn start(threads: &Threads) -> io::Result<Self> {
        let ((to, asked), (answer, from)) = (channel::<Job<T>>(), channel());
        let waker = Arc::<Mutex<Option<Waker>>>::default();
        let waiting = Arc::clone(&waker);
        threads.spawn(move || {
            for job in asked {
                // Who asked may be gone.
                let _ = answer.send(job());
                let waker = waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
                waker.iter().for_each(Waker::wake_by_ref);
            }
        })?;
        Ok(Self { to, from, waker, open: 0 })
    }

    /// Asks for one more thing.
    pub(crate) fn ask(&mut self, job: impl FnOnce() -> T + Send + 'static) {
        // The thread ends after us.
        let _ = self.to.send(Box::new(job));
        self.open += 1;
    }

    /// Whether it has answered everything.
    pub(crate) const fn is_idle(&self) -> bool {
        self.open == 0
    }

    /// What the first thing came to that it was asked for.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<T> {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        let Ok(outcome) = self.from.try_recv() else { return Poll::Pending };
        self.open -= 1;
        Poll::Ready(outcome)
    }

    /// Where it answers what is open, for who waits when this is gone: then the answers end.
    pub(crate) fn take_answers(&mut self) -> Receiver<T> {
        mem::replace(&mut self.from, channel().1)
    }
}
