//! The rules of nameplates and mailboxes, for every store (`docs/server-protocol.md`, "Nameplates and mailboxes").
//!
//! Whatever may be refused is asked first and done after, so that a third side leaves no trace.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use data_encoding::BASE32_NOPAD;
use wormhole_core::driver::Instant;
use wormhole_core::rng::Rng;

use super::{Message, Refusal};
use crate::limits;

/// A short name for a mailbox, held by the sides that claimed it and did not release it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Nameplate {
    pub(super) mailbox: String,
    sides: Vec<Claim>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Claim {
    side: String,
    held: bool,
}

impl Nameplate {
    pub(super) const fn new(mailbox: String) -> Self {
        Self { mailbox, sides: Vec::new() }
    }

    /// Whether this side may claim it. Its mailbox has a say, too.
    pub(super) fn admits(&self, side: &str) -> Result<(), Refusal> {
        match self.sides.iter().find(|claim| claim.side == side) {
            Some(claim) if !claim.held => Err(Refusal::Reclaimed),
            Some(_) => Ok(()),
            None if self.sides.len() >= limits::MAILBOX_SIDES => Err(Refusal::Crowded),
            None => Ok(()),
        }
    }

    /// Notes that the side, which was admitted, holds it.
    pub(super) fn claim(&mut self, side: &str) {
        if !self.sides.iter().any(|claim| claim.side == side) {
            self.sides.push(Claim { side: side.into(), held: true });
        }
    }

    /// Notes that the side holds it no longer; says whether nobody does, and the name is free.
    pub(super) fn release(&mut self, side: &str) -> bool {
        for claim in &mut self.sides {
            claim.held &= claim.side != side;
        }
        !self.sides.iter().any(|claim| claim.held)
    }
}

/// Messages in the order of their arrival, and the sides that ever opened it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mailbox {
    /// The nameplate that was made with it. It goes with it, too.
    pub(super) nameplate: Option<String>,
    pub(super) messages: Vec<Arc<Message>>,
    sides: Vec<Opening>,
    bytes: usize,
    touched: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Opening {
    side: String,
    open: bool,
}

impl Mailbox {
    pub(super) const fn new(now: Instant) -> Self {
        Self { nameplate: None, messages: Vec::new(), sides: Vec::new(), bytes: 0, touched: now }
    }

    /// Whether this side may open it. Sides that closed it count: two have met.
    pub(super) fn admits(&self, side: &str) -> Result<(), Refusal> {
        let known = self.sides.iter().any(|opening| opening.side == side);
        if known || self.sides.len() < limits::MAILBOX_SIDES { Ok(()) } else { Err(Refusal::Crowded) }
    }

    /// Notes that the side, which was admitted, has it open, also when it had closed it before.
    pub(super) fn open(&mut self, side: &str, now: Instant) {
        self.touch(now);
        match self.sides.iter_mut().find(|opening| opening.side == side) {
            Some(opening) => opening.open = true,
            None => self.sides.push(Opening { side: side.into(), open: true }),
        }
    }

    /// Whether there is room for one more message.
    pub(super) fn has_room(&self, message: &Message) -> Result<(), Refusal> {
        let fits = self.messages.len() < limits::MAILBOX_MESSAGES
            && self.bytes.saturating_add(message.weight()) <= limits::MAILBOX_BYTES;
        if fits { Ok(()) } else { Err(Refusal::MailboxFull) }
    }

    /// Stores a message that there is room for.
    pub(super) fn add(&mut self, message: Arc<Message>, now: Instant) {
        self.touch(now);
        self.bytes = self.bytes.saturating_add(message.weight());
        self.messages.push(message);
    }

    /// Notes that the side is done; says whether no side has it open, and it is to be deleted.
    pub(super) fn close(&mut self, side: &str) -> bool {
        for opening in &mut self.sides {
            opening.open &= opening.side != side;
        }
        !self.sides.iter().any(|opening| opening.open)
    }

    pub(super) fn touch(&mut self, now: Instant) {
        self.touched = self.touched.max(now);
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        now.saturating_since(self.touched) > limits::EXPIRY
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Names of one, two and three digits are given out by chance among the free ones, the shortest first.
const SHORT: [RangeInclusive<u64>; 3] = [1..=9, 10..=99, 100..=999];
/// After them, chance alone has to find a free one.
const LONG: RangeInclusive<u64> = 1000..=999_999;

/// A free nameplate.
pub(super) fn allocate(is_taken: impl Fn(&str) -> bool, rng: &mut Rng) -> Result<String, Refusal> {
    for class in SHORT {
        let free: Vec<String> =
            class.map(|number| number.to_string()).filter(|name| !is_taken(name)).collect();
        let count = u64::try_from(free.len()).unwrap_or(0);
        let chosen = usize::try_from(rng.below(count)).unwrap_or(0);
        if let Some(name) = free.into_iter().nth(chosen) {
            return Ok(name);
        }
    }
    let count = LONG.end().saturating_sub(*LONG.start()).saturating_add(1);
    (0..limits::ALLOCATION_TRIES)
        .map(|_| LONG.start().saturating_add(rng.below(count)).to_string())
        .find(|name| !is_taken(name))
        .ok_or(Refusal::NoNameplate)
}

/// A mailbox id that nobody guesses: thirteen letters and digits.
pub(super) fn mailbox_id(rng: &mut Rng) -> String {
    BASE32_NOPAD.encode(&rng.bytes::<8>()).to_ascii_lowercase()
}
