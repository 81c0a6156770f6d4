//! How much a join may move, and when it ends by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wormhole_core::driver::{Instant, Terms};

/// How often a join may move what it is granted of a second.
const WINDOW: Duration = Duration::from_millis(100);
const WINDOWS: u64 = 10;
/// An idle join is looked at so often until it ends.
const LOOKS: u32 = 4;

/// The bytes that joins have moved which still go on, for whoever wants to know. Clones are the same count.
#[derive(Clone, Debug, Default)]
pub struct Carried(Arc<AtomicU64>);

impl Carried {
    /// How many they are now.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts the bytes of one join. It has no clock of its own: whoever has one looks at it.
#[derive(Debug)]
pub(crate) struct Meter {
    terms: Terms,
    moved: u64,
    /// What may still move in this window; less than nothing, where the last read brought more.
    budget: i64,
    window_ends: Instant,
    /// What had moved, and how often nothing more had, at the last look.
    seen: u64,
    still: u32,
    look_at: Option<Instant>,
    carried: Carried,
}

/// What a look at a meter came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// The join goes on, and is to be looked at again then.
    On(Option<Instant>),
    Over,
}

impl Meter {
    pub(crate) fn new(terms: Terms, now: Instant, carried: &Carried) -> Self {
        let terms = Terms { idle: terms.idle.filter(|idle| !idle.is_zero()), ..terms };
        let mut meter = Self {
            terms,
            moved: 0,
            budget: 0,
            window_ends: now,
            seen: 0,
            still: 0,
            look_at: terms.idle.map(|idle| now.plus(idle / LOOKS)),
            carried: carried.clone(),
        };
        meter.refill(now);
        meter
    }

    /// Notes what has moved.
    pub(crate) fn add(&mut self, bytes: usize) {
        let bytes_moved = u64::try_from(bytes).unwrap_or(u64::MAX);
        let before = self.moved;
        self.moved = before.saturating_add(bytes_moved);
        self.carried.0.fetch_add(self.moved - before, Ordering::Relaxed);
        if self.terms.bytes_per_second.is_some() {
            self.budget = self.budget.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
    }

    /// Whether anything may move before the next look.
    pub(crate) fn is_open(&self) -> bool {
        self.budget > 0 && self.terms.bytes.is_none_or(|most| self.moved < most)
    }

    /// Looks at it; may be done at any time.
    pub(crate) fn look(&mut self, now: Instant) -> Look {
        if self.terms.bytes.is_some_and(|most| self.moved >= most) {
            return Look::Over;
        }
        self.refill(now);
        if let Some(idle) = self.terms.idle
            && self.look_at.is_some_and(|at| at <= now)
        {
            self.still = if self.moved == self.seen { self.still + 1 } else { 0 };
            self.seen = self.moved;
            if self.still >= LOOKS {
                return Look::Over;
            }
            self.look_at = Some(now.plus(idle / LOOKS));
        }
        let refill = (self.budget <= 0).then_some(self.window_ends);
        Look::On(refill.into_iter().chain(self.look_at).min())
    }

    fn refill(&mut self, now: Instant) {
        let Some(rate) = self.terms.bytes_per_second else {
            self.budget = i64::MAX;
            return;
        };
        if now >= self.window_ends {
            let share = i64::try_from(rate / WINDOWS).unwrap_or(i64::MAX).max(1);
            self.budget = self.budget.saturating_add(share).min(share);
            self.window_ends = now.plus(WINDOW);
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.carried.0.fetch_sub(self.moved, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_moved_is_known_until_the_join_is_over() {
        let carried = Carried::default();
        let meter = |bytes| {
            let mut meter = Meter::new(Terms::default(), Instant::START, &carried);
            meter.add(bytes);
            meter
        };
        let (one, other) = (meter(5), meter(7));
        assert_eq!(carried.bytes(), 12);
        drop(one);
        assert_eq!(carried.bytes(), 7);
        drop(other);
        assert_eq!(carried.bytes(), 0);
    }

    const RATE: u64 = 1000;

    #[test]
    fn without_terms_it_is_open_for_ever() {
        let mut meter = Meter::new(Terms::default(), Instant::START, &Carried::default());
        meter.add(usize::MAX);
        assert!(meter.is_open());
        assert_eq!(meter.look(at(1 << 40)), Look::On(None));
    }

    #[test]
    fn an_idle_join_ends_and_one_that_moves_goes_on() {
        let terms = Terms { idle: Some(Duration::from_secs(40)), ..Terms::default() };
        let mut meter = Meter::new(terms, Instant::START, &Carried::default());
        for look in 1..10 {
            meter.add(1);
            assert_eq!(meter.look(at(look * 10_000)), Look::On(Some(at((look + 1) * 10_000))));
        }
        for look in 10..13 {
            assert_eq!(meter.look(at(look * 10_000)), Look::On(Some(at((look + 1) * 10_000))));
        }
        assert_eq!(
            meter.look(at(129_999)),
            Look::On(Some(at(130_000))),
            "a look too early counts for nothing"
        );
        assert_eq!(meter.look(at(130_000)), Look::Over);
    }

    #[test]
    fn no_more_moves_in_a_second_than_is_granted_also_where_one_read_brings_more() {
        let terms = Terms { bytes_per_second: Some(RATE), ..Terms::default() };
        let mut meter = Meter::new(terms, Instant::START, &Carried::default());
        let mut moved = 0;
        for millis in 0..10_000 {
            let _ = meter.look(at(millis));
            if meter.is_open() {
                meter.add(250);
                moved += 250;
            }
        }
        assert!((9_500..=10_500).contains(&moved), "{moved}");
    }

    #[test]
    fn it_ends_once_all_that_was_granted_has_moved() {
        let terms = Terms { bytes: Some(10), ..Terms::default() };
        let mut meter = Meter::new(terms, Instant::START, &Carried::default());
        meter.add(9);
        assert!(meter.is_open());
        meter.add(9);
        assert!(!meter.is_open());
        assert_eq!(meter.look(at(0)), Look::Over);
    }

    fn at(millis: u64) -> Instant {
        Instant::after_start(Duration::from_millis(millis))
    }
}
