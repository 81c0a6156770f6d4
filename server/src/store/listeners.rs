//! Which connection of this server listens to which mailbox.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use wormhole_core::driver::Conn;

use super::commands::Effects;
use super::{Ask, Message};

/// A mailbox of an application.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) app: String,
    pub(super) mailbox: String,
}

#[derive(Debug, Default)]
pub(super) struct Listeners {
    places: BTreeMap<Conn, Arc<Place>>,
    /// The number of the last message that each has been given.
    conns: BTreeMap<Arc<Place>, BTreeMap<Conn, u64>>,
}

impl Place {
    /// The mailbox that a command is about, if it is about one.
    pub(super) fn of(app: &str, ask: &Ask) -> Option<Self> {
        match ask {
            Ask::Open { mailbox } | Ask::Add { mailbox, .. } | Ask::Close { mailbox, .. } => {
                Some(Self { app: app.into(), mailbox: mailbox.clone() })
            }
            Ask::List | Ask::Allocate | Ask::Claim { .. } | Ask::Release { .. } => None,
        }
    }
}

impl Listeners {
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty() && self.conns.is_empty()
    }

    pub(super) fn listens(&self, conn: Conn, place: &Place) -> bool {
        self.places.get(&conn).is_some_and(|heard| **heard == *place)
    }

    /// Notes what a command of the connection has changed, and gives out who is to hear of a new message.
    pub(super) fn follow(
        &mut self,
        conn: Conn,
        place: Option<&Place>,
        effects: &Effects,
    ) -> Vec<(Conn, Arc<Message>)> {
        if effects.leaves {
            self.leave(conn);
        }
        let Some(place) = place else { return Vec::new() };
        if effects.ended {
            self.forget(place);
        }
        if let Some(last) = effects.listens {
            let place = Arc::new(place.clone());
            self.places.insert(conn, Arc::clone(&place));
            self.conns.entry(place).or_default().insert(conn, last);
        }
        match &effects.added {
            Some((seq, message)) => self.tell(place, *seq, message),
            None => Vec::new(),
        }
    }

    /// Who is to hear of this message: those who know all before it, and it not.
    pub(super) fn tell(
        &mut self,
        place: &Place,
        seq: u64,
        message: &Arc<Message>,
    ) -> Vec<(Conn, Arc<Message>)> {
        let Some(conns) = self.conns.get_mut(place) else { return Vec::new() };
        let next = conns.iter_mut().filter(|(_, last)| last.saturating_add(1) == seq);
        next.map(|(conn, last)| {
            *last = seq;
            (*conn, Arc::clone(message))
        })
        .collect()
    }

    /// The number of the last message that everybody who listens there knows.
    #[cfg(feature = "postgres")]
    pub(super) fn known(&self, place: &Place) -> Option<u64> {
        self.conns.get(place)?.values().min().copied()
    }

    pub(super) fn leave(&mut self, conn: Conn) {
        let Some(place) = self.places.remove(&conn) else { return };
        if let Some(conns) = self.conns.get_mut(&place) {
            conns.remove(&conn);
            if conns.is_empty() {
                self.conns.remove(&place);
            }
        }
    }

    /// The mailbox is gone.
    pub(super) fn forget(&mut self, place: &Place) {
        for conn in self.conns.remove(place).unwrap_or_default().into_keys() {
            self.places.remove(&conn);
        }
    }

    /// All mailboxes that anybody listens to.
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.conns.keys().map(|place| &**place)
    }
}
