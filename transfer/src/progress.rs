//! How far the content has come.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A size that shows only when the content has ended.
pub(crate) const UNKNOWN: u64 = u64::MAX;

/// How far the content has come. Clones show the same.
#[derive(Clone, Default)]
pub struct Progress(Arc<Counters>);

#[derive(Default)]
struct Counters {
    done: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    /// Bytes that have gone, or come, over the connection.
    pub fn done(&self) -> u64 {
        self.0.done.load(Ordering::Relaxed)
    }

    /// Bytes that will; 0 before that is known.
    pub fn total(&self) -> u64 {
        if self.is_known() { self.0.total.load(Ordering::Relaxed) } else { 0 }
    }

    /// Whether it shows before the end how much there will be.
    pub(crate) fn is_known(&self) -> bool {
        self.0.total.load(Ordering::Relaxed) != UNKNOWN
    }

    /// Whether all of it has gone, or come.
    pub(crate) fn is_through(&self) -> bool {
        self.done() >= self.0.total.load(Ordering::Relaxed)
    }

    /// What has gone, or come, is all.
    pub(crate) fn end(&self) {
        self.set_total(self.done());
    }

    pub(crate) fn set(&self, done: u64) {
        self.0.done.store(done, Ordering::Relaxed);
    }

    pub(crate) fn set_total(&self, total: u64) {
        self.0.total.store(total, Ordering::Relaxed);
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").field("done", &self.done()).field("total", &self.total()).finish()
    }
}
