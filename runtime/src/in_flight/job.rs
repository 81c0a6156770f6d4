//! Jobs beside the loop, polled in flight with a waker of their own.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::ready::Call;
use crate::driver::Job;

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A job as the loop holds it. Once this is dropped the job is gone, whoever still holds the [`Job`].
pub(super) struct Running {
    cell: Arc<Mutex<Cell>>,
    call: Arc<Call>,
    waker: Waker,
}

enum Cell {
    Idle(Boxed),
    /// It is being polled, and the lock is free.
    Polled,
    Ended,
}

impl Running {
    /// Puts a job on the list, and makes the handle whose drop ends it.
    pub(super) fn new(job: impl Future<Output = ()> + Send + 'static, call: Arc<Call>) -> (Self, Job) {
        let cell = Arc::new(Mutex::new(Cell::Idle(Box::pin(job))));
        let waker = Waker::from(Arc::clone(&call));
        call.wake_by_ref();
        let (held, told) = (Arc::downgrade(&cell), Arc::downgrade(&call));
        let handle = Job::new(move || {
            if let Some(cell) = held.upgrade() {
                drop(exchange(&cell, Cell::Ended));
            }
            // The loop forgets it when it comes by.
            if let Some(call) = told.upgrade() {
                call.wake();
            }
        });
        (Self { cell, call, waker }, handle)
    }

    /// Polls the job; ready when it has ended, by itself or by its handle.
    pub(super) fn poll(&self) -> Poll<()> {
        self.call.answered();
        let Cell::Idle(mut job) = exchange(&self.cell, Cell::Polled) else {
            drop(exchange(&self.cell, Cell::Ended));
            return Poll::Ready(());
        };
        if job.as_mut().poll(&mut Context::from_waker(&self.waker)).is_ready() {
            drop(exchange(&self.cell, Cell::Ended));
            return Poll::Ready(());
        }
        let mut cell = self.cell.lock().unwrap_or_else(PoisonError::into_inner);
        match *cell {
            Cell::Polled | Cell::Idle(_) => {
                *cell = Cell::Idle(job);
                Poll::Pending
            }
            // Its handle was dropped meanwhile.
            Cell::Ended => Poll::Ready(()),
        }
    }
}

/// What a job drops may itself end jobs: the lock is free by then.
fn exchange(cell: &Mutex<Cell>, new: Cell) -> Cell {
    mem::replace(&mut *cell.lock().unwrap_or_else(PoisonError::into_inner), new)
}
