//! Joins of which one side or both are WebSockets. What one side says is written to the other, and only once it has
//! left is more read: whoever does not read slows the other down, and no more is kept than what one read brings.

use wormhole_core::driver::{Conn, Input, Instant, Op, Terms, Why};

use super::layer::Stage;
use super::{Layered, Place};
use crate::driver::Runtime;
use crate::meter::{Look, Meter};

/// One side of a join, by its number below.
pub(super) struct Link {
    /// The number above.
    above: Conn,
    /// The other side's number below.
    partner: Conn,
    /// Bytes that came from this side.
    came: u64,
    /// Writes to this side that have not left.
    leaving: usize,
    /// It is being closed.
    parted: bool,
    /// Of the two, the one under whose number the meter is.
    lead: Conn,
}

/// How much a pair may move, and when it is looked at next.
pub(super) struct Metered {
    meter: Meter,
    look_at: Option<Instant>,
}

impl<R: Runtime> Layered<R> {
    /// Joins two sides, unless both are raw.
    pub(super) fn join(&mut self, a: Conn, b: Conn, terms: Terms) {
        if !self.above.contains_key(&a) && !self.above.contains_key(&b) {
            return self.below.start(Op::Join { a, b, terms });
        }
        let sides = [(a, b), (b, a)];
        if sides.iter().any(|(above, _)| self.is_of_messages(self.wire(*above))) {
            // Messages cannot be joined to bytes.
            self.close(a, self.serving.goodbye);
            return self.close(b, self.serving.goodbye);
        }
        for (above, partner) in sides {
            let (wire, partner) = (self.wire(above), self.wire(partner));
            let lead = wire.min(partner);
            if self.has_ended(above) {
                continue;
            }
            self.links.insert(wire, Link { above, partner, came: 0, leaving: 0, parted: false, lead });
        }
        for (above, partner) in sides {
            let wire = self.wire(above);
            // One of them has ended meanwhile, and its last word is on the way.
            if self.has_ended(partner) || !self.is_joinable(wire) {
                self.part(wire);
            }
            for bytes in self.untold(above) {
                self.pass_on(wire, bytes);
            }
        }
        let lead = self.wire(a).min(self.wire(b));
        self.meters.insert(
            lead,
            Metered { meter: Meter::new(terms, self.below.now(), &self.carried), look_at: None },
        );
        self.look(lead);
        for (above, _) in sides {
            let wire = self.wire(above);
            self.draw_from(wire);
        }
    }

    /// What came from one side goes to the other.
    pub(super) fn pass_on(&mut self, wire: Conn, bytes: Vec<u8>) {
        let Some(link) = self.links.get_mut(&wire) else { return };
        link.came = link.came.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let (partner, lead) = (link.partner, link.lead);
        if let Some(metered) = self.meters.get_mut(&lead) {
            metered.meter.add(bytes.len());
        }
        let Some(other) = self.links.get_mut(&partner).filter(|other| !other.parted) else { return };
        other.leaving = other.leaving.saturating_add(1);
        if self.open.contains_key(&partner) {
            self.write(partner, bytes);
        } else {
            self.below.start(Op::Write { conn: partner, bytes });
        }
    }

    /// A write to one side has left: there is room for more from the other.
    pub(super) fn has_left(&mut self, wire: Conn) {
        let Some(link) = self.links.get_mut(&wire) else { return };
        link.leaving = link.leaving.saturating_sub(1);
        if link.leaving == 0 {
            let partner = link.partner;
            self.draw_from(partner);
        }
    }

    /// One of a pair has ended: its last word is told, and the other is closed once it has what came.
    pub(super) fn left(&mut self, wire: Conn) -> Option<(Conn, Why)> {
        let link = self.links.remove(&wire)?;
        if !self.links.contains_key(&link.partner)
            && let Some(Metered { look_at: Some(at), .. }) = self.meters.remove(&link.lead)
        {
            self.looks.remove(&(at, link.lead));
        }
        self.part(link.partner);
        Some((link.above, Why::Joined { bytes: link.came }))
    }

    fn part(&mut self, wire: Conn) {
        let Some(link) = self.links.get_mut(&wire).filter(|link| !link.parted) else { return };
        link.parted = true;
        if self.open.contains_key(&wire) {
            self.say_goodbye(wire, self.serving.goodbye);
        } else {
            self.below.start(Op::Close { conn: wire });
        }
    }

    /// Reads from one side, if the other has all that came.
    fn draw_from(&mut self, wire: Conn) {
        let Some(link) = self.links.get(&wire).filter(|link| !link.parted) else { return };
        if self.links.get(&link.partner).is_none_or(|other| other.leaving > 0) {
            return;
        }
        let lead = link.lead;
        if !self.may_move(lead) {
            self.look(lead);
            if !self.may_move(lead) {
                return;
            }
        }
        if self.open.contains_key(&wire) {
            self.read(wire);
        } else {
            self.below.start(Op::Read { conn: wire });
        }
    }

    /// When pairs are to be looked at.
    pub(super) fn look_at(&self) -> Option<Instant> {
        self.looks.first().map(|(at, _)| *at)
    }

    /// Looks at the pairs whose time has come.
    pub(super) fn look_after_joins(&mut self, now: Instant) {
        while let Some((_, lead)) = self.looks.first().copied().filter(|(at, _)| *at <= now) {
            self.look(lead);
            let partner = self.links.get(&lead).map(|link| link.partner);
            for wire in [Some(lead), partner].into_iter().flatten() {
                if self.may_move(lead) {
                    self.draw_from(wire);
                }
            }
        }
    }

    fn may_move(&self, lead: Conn) -> bool {
        self.meters.get(&lead).is_some_and(|metered| metered.meter.is_open())
    }

    /// Ends a pair whose terms are over, or notes when to look again.
    fn look(&mut self, lead: Conn) {
        let now = self.below.now();
        let Some(metered) = self.meters.get_mut(&lead) else { return };
        if let Some(at) = metered.look_at.take() {
            self.looks.remove(&(at, lead));
        }
        match metered.meter.look(now) {
            Look::On(at) => {
                metered.look_at = at;
                self.looks.extend(at.map(|at| (at, lead)));
            }
            Look::Over => {
                let partner = self.links.get(&lead).map(|link| link.partner);
                self.part(lead);
                partner.into_iter().for_each(|partner| self.part(partner));
            }
        }
    }

    /// What is to be told of a connection that goes another way now.
    fn untold(&mut self, above: Conn) -> Vec<Vec<u8>> {
        let mut untold = Vec::new();
        self.done.retain_mut(|input| match input {
            Input::Received { conn, bytes } if *conn == above => {
                untold.push(std::mem::take(bytes));
                false
            }
            Input::Sent { conn } => *conn != above,
            Input::Opened { .. }
            | Input::Listening { .. }
            | Input::Received { .. }
            | Input::Closed { .. }
            | Input::Stored(_)
            | Input::Tick => true,
        });
        untold
    }

    /// Whether its last word waits to be told.
    fn has_ended(&self, above: Conn) -> bool {
        self.done.iter().any(|input| matches!(input, Input::Closed { conn, .. } if *conn == above))
    }

    fn is_of_messages(&self, wire: Conn) -> bool {
        self.open.get(&wire).is_some_and(|layer| matches!(layer.stage, Stage::Open(_)))
    }

    fn is_joinable(&self, wire: Conn) -> bool {
        self.open.get(&wire).is_none_or(|layer| matches!(layer.stage, Stage::Bytes(..)))
    }

    /// The number below.
    fn wire(&self, above: Conn) -> Conn {
        match self.above.get(&above) {
            Some(Place::At(below)) => *below,
            Some(Place::Awaited(_)) | None => above,
        }
    }
}
