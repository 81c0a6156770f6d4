//! Times as clients see them: Unix seconds, made from the driver's clock and the moment at which it began.

use core::time::Duration;

use serde::{Deserialize, Serialize};
use wormhole_core::driver::Instant;

/// A moment in microseconds of Unix time. It is for people and logs: the order of messages never rests on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stamp(u64);

impl Stamp {
    /// So many Unix seconds; what is no such time is the epoch.
    pub fn at(seconds: f64) -> Self {
        let since = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        Self(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }

    /// So many microseconds of Unix time.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// As microseconds.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// How long after an earlier moment; nothing where it was not earlier.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// As a float, which keeps the microseconds for some centuries.
    pub const fn seconds(self) -> f64 {
        Duration::from_micros(self.0).as_secs_f64()
    }

    /// The time at `now`, where this was the time at the driver's start.
    #[must_use]
    pub fn plus(self, now: Instant) -> Self {
        Self(self.0.saturating_add(u64::try_from(now.since_start().as_micros()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_added_to_the_start() {
        let now = Instant::after_start(Duration::from_millis(250));
        assert_eq!(Stamp::at(1_700_000_000.5).plus(now).seconds(), 1_700_000_000.75);
    }

    #[test]
    fn nonsense_is_the_epoch() {
        for nonsense in [f64::NAN, -1.0, f64::INFINITY] {
            assert_eq!(Stamp::at(nonsense), Stamp::default());
        }
    }
}
