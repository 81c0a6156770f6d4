//! Relays whose connection has failed, and when each is tried again: a relay that restarts, or whose name is not known
//! for a moment, is often the only way.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use crate::driver::{Address, Instant};

/// How long after its first failure a relay is tried again; each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// How often a relay is tried again.
const TRIES: u32 = 5;
/// How often that count begins anew, since a connection was made and lost later.
const RENEWALS: u32 = 8;

/// What has failed so far. It is as long as the list of relays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Again(BTreeMap<Address, Failure>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Failure {
    count: u32,
    renewals: u32,
    /// When it has its next turn, unless it has it now or has none any more.
    due: Option<Instant>,
}

impl Again {
    /// The connection to this relay has failed, after it had been made or before.
    pub(crate) fn failed(&mut self, relay: Address, was_made: bool, now: Instant) {
        let failure = self.0.entry(relay).or_insert(Failure { count: 0, renewals: 0, due: None });
        if was_made && failure.renewals < RENEWALS {
            failure.renewals = failure.renewals.saturating_add(1);
            failure.count = 0;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << failure.count.min(TRIES));
        failure.due = (failure.count < TRIES).then(|| now.plus(pause));
        failure.count = failure.count.saturating_add(1);
    }

    /// Those whose turn it is.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<Address> {
        let due = self.0.iter_mut().filter(|(_, failure)| failure.due.is_some_and(|due| due <= now));
        due.map(|(relay, failure)| {
            failure.due = None;
            relay.clone()
        })
        .collect()
    }

    /// When the next has its turn; nothing, if none will have one.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.values().filter_map(|failure| failure.due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_has_some_more_turns_with_growing_pauses() {
        let (mut again, relay) = (Again::default(), Address::new("relay", 1));
        let mut now = Instant::START;
        for pause in [1, 2, 4, 8, 16] {
            again.failed(relay.clone(), false, now);
            let due = now.plus(Duration::from_secs(pause));
            assert_eq!(again.next(), Some(due));
            assert_eq!(again.take_due(now), []);
            assert_eq!(again.take_due(due), core::slice::from_ref(&relay));
            assert_eq!((again.next(), again.take_due(due)), (None, Vec::new()));
            now = due;
        }
        again.failed(relay, false, now);
        assert_eq!(again.next(), None);
    }

    #[test]
    fn a_relay_that_answers_begins_anew_and_not_for_ever() {
        let (mut again, relay) = (Again::default(), Address::new("relay", 1));
        let mut turns = 0;
        let mut now = Instant::START;
        loop {
            again.failed(relay.clone(), true, now);
            let Some(due) = again.next() else { break };
            assert_eq!(again.take_due(due), core::slice::from_ref(&relay));
            (now, turns) = (due, turns + 1);
        }
        assert_eq!(turns, RENEWALS + TRIES - 1);
    }
}
