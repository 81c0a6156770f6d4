//! Nameplates that came free a moment ago and are not given out again yet, so that who comes late with an old code does not
//! meet a stranger.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

use super::Limits;
use crate::limits;
use crate::stamp::Stamp;

#[derive(Debug, Default)]
pub(super) struct Resting {
    /// By application.
    names: BTreeMap<String, BTreeSet<String>>,
    /// In the order in which they came free.
    since: VecDeque<(Stamp, String, String)>,
}

impl Resting {
    /// A nameplate has come free.
    pub(super) fn add(&mut self, app: &str, name: &str, now: Stamp, limits: &Limits) {
        if limits.nameplate_rest.is_zero() {
            return;
        }
        self.forget(now, limits);
        if self.names.entry(app.into()).or_default().insert(name.into()) {
            self.since.push_back((now, app.into(), name.into()));
        }
    }

    /// Those of an application.
    pub(super) fn of(&mut self, app: &str, now: Stamp, limits: &Limits) -> Vec<String> {
        self.forget(now, limits);
        self.names.get(app).into_iter().flatten().cloned().collect()
    }

    /// Whether this one rests.
    pub(super) fn has(&self, app: &str, name: &str) -> bool {
        self.names.get(app).is_some_and(|names| names.contains(name))
    }

    fn forget(&mut self, now: Stamp, limits: &Limits) {
        while let Some((since, ..)) = self.since.front()
            && (now.saturating_since(*since) >= limits.nameplate_rest
                || self.since.len() >= limits::RESTING_NAMEPLATES)
            && let Some((_, app, name)) = self.since.pop_front()
            && let Some(names) = self.names.get_mut(&app)
        {
            names.remove(&name);
            if names.is_empty() {
                self.names.remove(&app);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use core::time::Duration;

    use super::*;

    #[test]
    fn a_name_rests_for_its_time_and_nothing_is_kept_after_it() {
        let limits = Limits { nameplate_rest: Duration::from_secs(60), ..Limits::default() };
        let mut resting = Resting::default();
        resting.add("x", "4", Stamp::at(1.0), &limits);
        resting.add("x", "5", Stamp::at(2.0), &limits);
        assert_eq!(resting.of("x", Stamp::at(60.9), &limits), ["4", "5"]);
        assert!(resting.of("y", Stamp::at(60.9), &limits).is_empty() && !resting.has("y", "4"));
        assert_eq!(resting.of("x", Stamp::at(61.0), &limits), ["5"]);
        assert!(resting.of("x", Stamp::at(99.0), &limits).is_empty());
        assert!(resting.names.is_empty() && resting.since.is_empty());
    }

    #[test]
    fn no_more_are_kept_than_the_limit() {
        let limits = Limits { nameplate_rest: Duration::from_secs(60), ..Limits::default() };
        let mut resting = Resting::default();
        for number in 0..limits::RESTING_NAMEPLATES + 10 {
            resting.add("x", &format!("{number}"), Stamp::default(), &limits);
        }
        assert_eq!(resting.since.len(), limits::RESTING_NAMEPLATES);
        assert!(!resting.has("x", "9") && resting.has("x", "10"));
    }

    #[test]
    fn without_a_time_nothing_rests() {
        let mut resting = Resting::default();
        resting.add("x", "4", Stamp::default(), &Limits::default());
        assert!(resting.names.is_empty());
    }
}
