//! The clock of an adapter that goes by real time.

use std::time;

use wormhole_core::driver::Instant;

/// Counts the time from when it was made.
///
/// ```
/// use wormhole_core::driver::Instant;
/// use wormhole_runtime::Clock;
///
/// let clock = Clock::default();
/// assert!(clock.when(Instant::START) <= Some(std::time::Instant::now()));
/// assert!(clock.now() >= Instant::START);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Clock(time::Instant);

impl Clock {
    /// The time since it was made.
    pub fn now(&self) -> Instant {
        Instant::after_start(self.0.elapsed())
    }

    /// When that is for the system; `None` for a moment too far away to be told, which is never waited for.
    pub fn when(&self, at: Instant) -> Option<time::Instant> {
        self.0.checked_add(at.since_start())
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self(time::Instant::now())
    }
}
