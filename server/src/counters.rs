//! What the servers count while they serve. Counting is all that a machine does here: whoever runs it reads the
//! numbers from another thread, as often as it likes.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::{Mutex, PoisonError};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// One more.
    pub fn one(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many there were.
    pub fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts under a few names, which are known to the program and never come from outside.
#[derive(Debug, Default)]
pub struct Named(Mutex<BTreeMap<&'static str, u64>>);

impl Named {
    /// One more under this name.
    pub fn one(&self, name: &'static str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(name).or_default();
        *count = count.saturating_add(1);
    }

    /// All of them.
    pub fn totals(&self) -> Vec<(&'static str, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|(name, count)| (*name, *count)).collect()
    }
}

/// What came in and went.
#[derive(Debug, Default)]
pub struct Connections {
    /// Connections that came in.
    pub came: Count,
    /// Connections that have ended.
    pub went: Count,
}

impl Connections {
    /// How many there are.
    pub fn now(&self) -> u64 {
        // What ended has begun before, but the two are not read at one moment.
        let went = self.went.total();
        self.came.total().saturating_sub(went)
    }
}

/// What a mailbox server counts.
#[derive(Debug, Default)]
pub struct MailboxCounts {
    /// Its clients.
    pub connections: Connections,
    /// Nameplates given out, by their length: `1`, `2`, `3`, or `more` digits.
    pub nameplates: Named,
    /// Messages that were stored.
    pub messages: Count,
    /// The bytes of their bodies.
    pub bytes: Count,
    /// Errors that clients were told, by their text.
    pub refusals: Named,
    /// How long the store took for a command.
    pub store: Latency,
}

impl MailboxCounts {
    pub(crate) fn allocated(&self, nameplate: &str) {
        self.nameplates.one(match nameplate.len() {
            0 | 1 => "1",
            2 => "2",
            3 => "3",
            _ => "more",
        });
    }
}

/// What a relay counts.
#[derive(Debug, Default)]
pub struct RelayCounts {
    /// Its clients.
    pub connections: Connections,
    /// Clients that had to wait for their partner.
    pub waits: Connections,
    /// Tokens under which somebody waits.
    pub tokens: Connections,
    /// Partners that have met.
    pub pairs: Count,
    /// Clients that have or had a partner.
    pub paired: Connections,
    /// Bytes that were carried, both ways.
    pub bytes: Count,
    /// Clients that were sent away, by the reason.
    pub refusals: Named,
}

/// Times, counted by how long they are.
#[derive(Debug, Default)]
pub struct Latency {
    /// A place for each bound, and one for what is beyond the last.
    counts: [Count; BOUNDS.len() + 1],
    micros: Count,
}

/// Upper bounds in microseconds.
const BOUNDS: [u64; 12] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_000_000];

impl Latency {
    /// Something took so long.
    pub fn note(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let place = BOUNDS.iter().position(|bound| micros <= *bound).unwrap_or(BOUNDS.len());
        if let Some(count) = self.counts.get(place) {
            count.one();
        }
        self.micros.add(micros);
    }

    /// How many there were up to each bound in seconds and beyond the one before it; the last bound is infinite.
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS.iter().map(|micros| Duration::from_micros(*micros).as_secs_f64());
        bounds.chain([f64::INFINITY]).zip(self.counts.iter().map(Count::total)).collect()
    }

    /// All of the time, in seconds.
    pub fn sum(&self) -> f64 {
        Duration::from_micros(self.micros.total()).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_under_their_bounds() {
        let latency = Latency::default();
        for micros in [0, 100, 101, 1_999_999, 2_000_001] {
            latency.note(Duration::from_micros(micros));
        }
        let buckets = latency.buckets();
        assert_eq!((buckets.len(), buckets.iter().map(|(_, count)| count).sum::<u64>()), (13, 5));
        assert_eq!([buckets[0].1, buckets[1].1, buckets[11].1, buckets[12].1], [2, 1, 1, 1]);
        assert!((latency.sum() - 4.000_201).abs() < 1e-9);
    }

    #[test]
    fn what_came_and_went_is_not_there() {
        let connections = Connections::default();
        connections.came.add(3);
        connections.went.one();
        assert_eq!(connections.now(), 2);
    }
}
