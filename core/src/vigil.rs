//! A wait that ends: what is waited for, and until when.
//!
//! Whoever has one tells it what is waited for whenever that may have changed, and the time with each input. What begins
//! without the time, with a command, is counted from the next input on.

use core::time::Duration;

use crate::driver::Instant;

/// What is waited for, if anything is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vigil<T>(Option<Watch<T>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Watch<T> {
    awaited: T,
    limit: Duration,
    until: Option<Instant>,
}

impl<T: Copy + PartialEq> Vigil<T> {
    /// This is waited for, and for so long. What was waited for already is counted on.
    pub(crate) fn set(&mut self, wanted: Option<(T, Duration)>) {
        let before = self.0.take();
        self.0 = wanted.map(|(awaited, limit)| {
            before.filter(|watch| watch.awaited == awaited).unwrap_or(Watch { awaited, limit, until: None })
        });
    }

    /// The time is now. Answers what has been waited for too long.
    pub(crate) fn pass(&mut self, now: Instant) -> Option<T> {
        let watch = self.0.as_mut()?;
        let until = *watch.until.get_or_insert_with(|| now.plus(watch.limit));
        (until <= now).then_some(watch.awaited)
    }

    /// When it wants to know the time again.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        self.0.as_ref().map(|watch| watch.until.unwrap_or(now))
    }
}

impl<T> Default for Vigil<T> {
    fn default() -> Self {
        Self(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_begins_with_the_first_input_and_only_a_new_wait_begins_it_anew() {
        let mut vigil = Vigil::default();
        assert_eq!((vigil.pass(at(1)), vigil.deadline(at(1))), (None, None));
        vigil.set(wait('a'));
        assert_eq!(vigil.deadline(at(5)), Some(at(5)));
        assert_eq!((vigil.pass(at(5)), vigil.deadline(at(5))), (None, Some(at(15))));
        vigil.set(wait('a'));
        assert_eq!((vigil.pass(at(14)), vigil.pass(at(15))), (None, Some('a')));
        vigil.set(wait('b'));
        assert_eq!((vigil.pass(at(15)), vigil.deadline(at(15))), (None, Some(at(25))));
        vigil.set(None);
        assert_eq!((vigil.pass(at(99)), vigil.deadline(at(99))), (None, None));
    }

    fn wait(what: char) -> Option<(char, Duration)> {
        Some((what, Duration::from_secs(10)))
    }

    fn at(seconds: u64) -> Instant {
        Instant::after_start(Duration::from_secs(seconds))
    }
}
