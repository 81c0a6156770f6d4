//! What the mailbox server tells beside its service: how its store is, and how nameplates and mailboxes ended.

use std::sync::atomic::{AtomicBool, Ordering};

use wormhole_server::Event;
use wormhole_server::counters::{Count, Named};
use wormhole_server::store::Note;
use wormhole_server::usage::Usage;

/// What was told.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Nothing can be stored at the moment.
    failing: AtomicBool,
    /// Attack mode is on.
    pub(crate) attack: AtomicBool,
    /// Mailboxes that are gone, by how they ended.
    pub(crate) mailboxes: Named,
    /// Pairs of the relay and single clients that are gone, by how they ended.
    pub(crate) transits: Named,
    /// Nameplates that are free again, by how they ended.
    pub(crate) nameplates: Named,
    /// Mailboxes that have expired.
    pub(crate) expired: Count,
}

impl Health {
    /// Whether something could be stored now.
    pub(crate) fn is_storing(&self) -> bool {
        !self.failing.load(Ordering::Relaxed)
    }

    /// Takes something down.
    pub(crate) fn note(&self, event: &Event) {
        match event {
            Event::Used(Usage::Mailbox { result, .. }) => self.mailboxes.one(result.as_str()),
            Event::Used(Usage::Nameplate { result, .. }) => self.nameplates.one(result.as_str()),
            Event::Used(Usage::Transit { mood, .. }) => self.transits.one(mood.as_str()),
            Event::Used(Usage::Client { .. }) | Event::Listening(_) | Event::Failed(_) => {}
            Event::Store(Note::Failing(why)) => {
                self.failing.store(true, Ordering::Relaxed);
                tracing::error!(why, "nothing can be stored");
            }
            Event::Store(Note::Recovered) => {
                self.failing.store(false, Ordering::Relaxed);
                tracing::info!("the store works again");
            }
            Event::Store(Note::Pruned(count)) => {
                self.expired.add(u64::try_from(*count).unwrap_or(u64::MAX));
                tracing::info!(count, "mailboxes have expired");
            }
            Event::Store(Note::Skipped(count, why)) => {
                tracing::warn!(count, why, "mailboxes have expired and could not be deleted");
            }
        }
    }
}
