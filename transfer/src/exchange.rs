//! Where a plain thread and the task of a socket trade buffers: the same few go round for a whole transfer.
//!
//! The thread blocks, the task is woken; either notices when the other is gone, so neither waits for ever. How
//! many buffers there are is decided by who makes them, and that is the bound of the queue.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// What the task finds when it asks for a buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken<B, O> {
    /// A buffer from the thread.
    Buffer(B),
    /// The thread has ended, and this is what it came to; `None` where it had been told before, or died.
    Ended(Option<O>),
}

/// The two ends of a new exchange.
pub(crate) fn exchange<B, O>() -> (ThreadEnd<B, O>, TaskEnd<B, O>) {
    let ended = Ended(Arc::default());
    let shared = Arc::new(Shared { state: Mutex::new(State::new()), wake_thread: Condvar::new(), ended });
    (ThreadEnd(Arc::clone(&shared)), TaskEnd(shared))
}

/// The thread's end. Dropping it is what tells that the thread is done.
#[derive(Debug)]
pub(crate) struct ThreadEnd<B, O>(Arc<Shared<B, O>>);

impl<B, O> ThreadEnd<B, O> {
    /// The next buffer from the task; waits for it. `None` once no more will come.
    pub(crate) fn take(&self) -> Option<B> {
        let mut state = self.0.lock();
        loop {
            if state.task_gone {
                return None;
            }
            if let Some(buffer) = state.to_thread.pop_front() {
                return Some(buffer);
            }
            if state.task_done {
                return None;
            }
            state.thread_waits = true;
            // The task may be waiting for just that.
            state.wake_task();
            state = self.0.wake_thread.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.thread_waits = false;
        }
    }

    /// Whether the task has said that it is [`done`](TaskEnd::done), and is there to hear the outcome.
    pub(crate) fn is_done(&self) -> bool {
        let state = self.0.lock();
        state.task_done && !state.task_gone
    }

    /// Whether the task is gone, and nobody is there to hear the outcome.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.0.lock().task_gone
    }

    /// Hands a buffer to the task. `false` where the task is gone.
    pub(crate) fn give(&self, buffer: B) -> bool {
        let mut state = self.0.lock();
        if state.task_gone {
            return false;
        }
        state.to_task.push_back(buffer);
        state.wake_task();
        true
    }

    /// Leaves what the thread came to, and ends.
    pub(crate) fn finish(self, outcome: O) {
        self.0.lock().outcome = Some(outcome);
    }
}

impl<B, O> Drop for ThreadEnd<B, O> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.thread_gone = true;
        state.wake_task();
        drop(state);
        self.0.ended.set();
    }
}

/// The task's end. Dropping it ends the thread at its next step.
#[derive(Debug)]
pub(crate) struct TaskEnd<B, O>(Arc<Shared<B, O>>);

impl<B, O> TaskEnd<B, O> {
    /// The next buffer from the thread, or what the thread came to once all its buffers are taken.
    pub(crate) async fn take(&mut self) -> Taken<B, O> {
        poll_fn(|cx| self.poll_take(cx)).await
    }

    /// Whether a buffer from the thread is there.
    pub(crate) fn has_buffer(&self) -> bool {
        !self.0.lock().to_task.is_empty()
    }

    /// Hands a buffer to the thread.
    pub(crate) fn give(&mut self, buffer: B) {
        let mut state = self.0.lock();
        state.to_thread.push_back(buffer);
        // To wake costs a call of the system, also when nobody sleeps.
        let waits = state.thread_waits;
        drop(state);
        if waits {
            self.0.wake_thread.notify_one();
        }
    }

    /// Whether the thread has nothing to do, or has ended. If not, that will wake the one who asked.
    pub(crate) fn is_idle(&self, cx: &Context<'_>) -> bool {
        let mut state = self.0.lock();
        let is_idle = state.thread_gone || (state.thread_waits && state.to_thread.is_empty());
        if !is_idle {
            state.task = Some(cx.waker().clone());
        }
        is_idle
    }

    /// Tells the thread that it has all it will get.
    pub(crate) fn done(&mut self) {
        self.0.lock().task_done = true;
        self.0.wake_thread.notify_one();
    }

    /// What tells of the thread's end, also when this end is gone.
    pub(crate) fn thread(&self) -> Ended {
        self.0.ended.clone()
    }

    fn poll_take(&self, cx: &Context<'_>) -> Poll<Taken<B, O>> {
        let mut state = self.0.lock();
        if let Some(buffer) = state.to_task.pop_front() {
            return Poll::Ready(Taken::Buffer(buffer));
        }
        if state.thread_gone {
            return Poll::Ready(Taken::Ended(state.outcome.take()));
        }
        state.task = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<B, O> Drop for TaskEnd<B, O> {
    fn drop(&mut self) {
        self.0.lock().task_gone = true;
        self.0.wake_thread.notify_one();
    }
}

/// Whether a thread has ended, whatever it traded in.
#[derive(Clone, Debug)]
pub(crate) struct Ended(Arc<Mutex<Life>>);

#[derive(Debug, Default)]
struct Life {
    is_over: bool,
    waiting: Option<Waker>,
}

impl Ended {
    /// Ready when the thread has ended. It wakes the one who asked last.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut life = self.lock();
        if life.is_over {
            return Poll::Ready(());
        }
        life.waiting = Some(cx.waker().clone());
        Poll::Pending
    }

    fn set(&self) {
        let mut life = self.lock();
        life.is_over = true;
        if let Some(waker) = life.waiting.take() {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Life> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Shared<B, O> {
    state: Mutex<State<B, O>>,
    wake_thread: Condvar,
    ended: Ended,
}

impl<B, O> Shared<B, O> {
    /// A thread that died while it held the lock has left nothing half-done: every change is one step.
    fn lock(&self) -> MutexGuard<'_, State<B, O>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct State<B, O> {
    to_thread: VecDeque<B>,
    to_task: VecDeque<B>,
    task: Option<Waker>,
    thread_waits: bool,
    task_done: bool,
    task_gone: bool,
    thread_gone: bool,
    outcome: Option<O>,
}

impl<B, O> State<B, O> {
    const fn new() -> Self {
        Self {
            to_thread: VecDeque::new(),
            to_task: VecDeque::new(),
            task: None,
            thread_waits: false,
            task_done: false,
            task_gone: false,
            thread_gone: false,
            outcome: None,
        }
    }

    fn wake_task(&mut self) {
        if let Some(waker) = self.task.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::doubles::settle;

    #[test]
    fn buffers_go_round_and_the_outcome_comes_last() {
        let (thread_end, mut task_end) = exchange::<Vec<u8>, u64>();
        task_end.give(Vec::new());
        task_end.give(Vec::new());
        let worker = thread::spawn(move || {
            for number in 0..1000_u64 {
                let mut buffer = thread_end.take().unwrap();
                buffer.clear();
                buffer.extend(number.to_be_bytes());
                assert!(thread_end.give(buffer));
            }
            thread_end.finish(1000);
        });
        let total = settle(async {
            let mut seen = 0_u64;
            loop {
                match task_end.take().await {
                    Taken::Buffer(buffer) => {
                        assert_eq!(buffer, seen.to_be_bytes());
                        seen += 1;
                        task_end.give(buffer);
                    }
                    Taken::Ended(outcome) => {
                        assert_eq!(seen, 1000);
                        break outcome;
                    }
                }
            }
        });
        assert_eq!(total, Some(1000));
        worker.join().unwrap();
    }

    #[test]
    fn a_thread_that_waits_ends_when_the_task_is_dropped() {
        let (thread_end, task_end) = exchange::<u8, ()>();
        let ended = task_end.thread();
        let worker = thread::spawn(move || (thread_end.take(), thread_end.give(1)));
        drop(task_end);
        assert_eq!(worker.join().unwrap(), (None, false));
        settle(poll_fn(|cx| ended.poll(cx)));
    }

    #[test]
    fn a_task_that_waits_for_the_thread_to_be_idle_is_woken() {
        let (thread_end, mut task_end) = exchange::<u8, ()>();
        thread_end.give(0);
        task_end.give(1);
        let worker = thread::spawn(move || while thread_end.take().is_some() {});
        let idle = |cx: &mut Context<'_>| if task_end.is_idle(cx) { Poll::Ready(()) } else { Poll::Pending };
        settle(poll_fn(idle));
        drop(task_end);
        worker.join().unwrap();
    }

    #[test]
    fn what_was_given_before_done_is_still_taken() {
        let (thread_end, mut task_end) = exchange::<u8, ()>();
        task_end.give(7);
        task_end.done();
        assert_eq!(thread_end.take(), Some(7));
        assert_eq!(thread_end.take(), None);
        assert!(thread_end.is_done());
        drop(task_end);
        assert!(!thread_end.is_done());
    }

    #[test]
    fn a_thread_that_dies_leaves_no_outcome_and_no_waiting_task() {
        let (thread_end, mut task_end) = exchange::<u8, ()>();
        let worker = thread::spawn(move || {
            let _held = thread_end;
            panic!("as a bug would");
        });
        assert_eq!(settle(task_end.take()), Taken::Ended(None));
        assert!(worker.join().is_err());
    }
}
