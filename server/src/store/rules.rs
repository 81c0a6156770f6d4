//! The rules of nameplates and mailboxes, for every store (`docs/server-protocol.md`, "Nameplates and mailboxes").
//!
//! Whatever may be refused is asked first and done after, so that a third side leaves no trace but in the statistics.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use wormhole_core::rng::Rng;

use super::{Limits, Message, Refusal};
use crate::limits;
use crate::stamp::Stamp;
use crate::usage::{Outcome, Span};

/// A short name for a mailbox, held by the sides that claimed it and did not release it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Nameplate {
    pub(super) mailbox: String,
    pub(super) sides: Vec<Claim>,
    /// A third side was refused.
    pub(super) crowded: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claim {
    pub(super) side: String,
    pub(super) held: bool,
    pub(super) added: Stamp,
}

impl Nameplate {
    pub(super) const fn new(mailbox: String) -> Self {
        Self { mailbox, sides: Vec::new(), crowded: false }
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

    /// Notes that the side, which was admitted, holds it; says whether it did not.
    pub(super) fn claim(&mut self, side: &str, now: Stamp) -> bool {
        let is_new = !self.sides.iter().any(|claim| claim.side == side);
        if is_new {
            self.sides.push(Claim { side: side.into(), held: true, added: now });
        }
        is_new
    }

    /// Notes that the side holds it no longer; says whether it did.
    pub(super) fn release(&mut self, side: &str) -> bool {
        match self.sides.iter_mut().find(|claim| claim.held && claim.side == side) {
            Some(claim) => {
                claim.held = false;
                true
            }
            None => false,
        }
    }

    /// Whether anybody holds it. If not, the name is free.
    pub(super) fn is_held(&self) -> bool {
        self.sides.iter().any(|claim| claim.held)
    }

    /// How long it was there, where it ends now.
    pub(super) fn span(&self, now: Stamp) -> Span {
        Span::of(self.sides.iter().map(|claim| claim.added), now)
    }

    /// How it ends: by its sides, or because nobody came back.
    pub(super) const fn outcome(&self, pruned: bool) -> Outcome {
        if self.crowded {
            Outcome::Crowded
        } else if pruned {
            Outcome::Pruney
        } else if self.sides.len() < 2 {
            Outcome::Lonely
        } else {
            Outcome::Happy
        }
    }
}

/// The sides that ever opened it, and how much is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mailbox {
    /// The nameplate that was made with it, as long as that is held. It goes with it, too.
    pub(super) nameplate: Option<String>,
    /// Whether it was made with a nameplate.
    pub(super) for_nameplate: bool,
    pub(super) sides: Vec<Opening>,
    /// A third side was refused.
    pub(super) crowded: bool,
    pub(super) touched: Stamp,
    /// How many messages are in it; the number of the next one.
    pub(super) count: u64,
    pub(super) bytes: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Opening {
    pub(super) side: String,
    pub(super) open: bool,
    pub(super) added: Stamp,
    pub(super) mood: Option<String>,
}

impl Mailbox {
    pub(super) const fn new(now: Stamp) -> Self {
        Self {
            nameplate: None,
            for_nameplate: false,
            sides: Vec::new(),
            crowded: false,
            touched: now,
            count: 0,
            bytes: 0,
        }
    }

    /// Whether this side may open it. Sides that closed it count: two have met.
    pub(super) fn admits(&self, side: &str) -> Result<(), Refusal> {
        let known = self.sides.iter().any(|opening| opening.side == side);
        if known || self.sides.len() < limits::MAILBOX_SIDES { Ok(()) } else { Err(Refusal::Crowded) }
    }

    /// Notes that the side, which was admitted, has it open, also when it had closed it before.
    pub(super) fn open(&mut self, side: &str, now: Stamp) {
        self.touch(now);
        match self.sides.iter_mut().find(|opening| opening.side == side) {
            Some(opening) => opening.open = true,
            None => self.sides.push(Opening { side: side.into(), open: true, added: now, mood: None }),
        }
    }

    /// Whether there is room for one more message.
    pub(super) fn has_room(&self, message: &Message, limits: &Limits) -> Result<(), Refusal> {
        let fits = self.count < u64::try_from(limits.mailbox_messages).unwrap_or(u64::MAX)
            && self.bytes.saturating_add(message.weight()) <= limits.mailbox_bytes;
        if fits { Ok(()) } else { Err(Refusal::MailboxFull) }
    }

    /// Counts a message that there is room for, and numbers it.
    pub(super) fn add(&mut self, message: &Message, now: Stamp) -> u64 {
        self.touch(now);
        self.bytes = self.bytes.saturating_add(message.weight());
        self.count = self.count.saturating_add(1);
        self.count
    }

    /// Notes that the side is done; says whether it was ever here.
    pub(super) fn close(&mut self, side: &str, mood: Option<String>) -> bool {
        match self.sides.iter_mut().find(|opening| opening.side == side) {
            Some(opening) => {
                opening.open = false;
                opening.mood = mood;
                true
            }
            None => false,
        }
    }

    /// Whether any side has it open. If not, it is to be deleted.
    pub(super) fn is_open(&self) -> bool {
        self.sides.iter().any(|opening| opening.open)
    }

    pub(super) fn touch(&mut self, now: Stamp) {
        self.touched = self.touched.max(now);
    }

    pub(super) const fn is_expired(&self, now: Stamp, limits: &Limits) -> bool {
        now.saturating_since(self.touched).as_nanos() > limits.expiry.as_nanos()
    }

    /// How long it was there, where it ends now.
    pub(super) fn span(&self, now: Stamp) -> Span {
        Span::of(self.sides.iter().map(|opening| opening.added), now)
    }

    /// How it ends: by its sides, of whose moods the worst counts, or because nobody came back.
    pub(super) fn outcome(&self, pruned: bool) -> Outcome {
        if self.crowded {
            return Outcome::Crowded;
        }
        if pruned {
            return Outcome::Pruney;
        }
        let moods = self.sides.iter().filter_map(|opening| opening.mood.as_deref());
        let by_count = if self.sides.len() < 2 { Outcome::Lonely } else { Outcome::Happy };
        moods.filter_map(Outcome::of_mood).max().unwrap_or(by_count)
    }
}

/// Names of one, two and three digits are given out by chance among the free ones, the shortest first.
const SHORT: [RangeInclusive<u64>; 3] = [1..=9, 10..=99, 100..=999];
/// After them, chance alone has to find a free one.
const LONG: RangeInclusive<u64> = 1000..=999_999;

/// The short names of at least so many digits, class by class.
pub(super) fn short(digits: u32) -> impl Iterator<Item = RangeInclusive<u64>> {
    SHORT.into_iter().zip(1..).filter(move |(_, length)| *length >= digits).map(|(class, _)| class)
}

/// One of the names of a class, of which these are taken.
pub(super) fn free_name(class: RangeInclusive<u64>, taken: &[String], rng: &mut Rng) -> Option<String> {
    let taken: BTreeSet<&str> = taken.iter().map(String::as_str).collect();
    let free: Vec<String> =
        class.map(|number| number.to_string()).filter(|name| !taken.contains(name.as_str())).collect();
    let count = u64::try_from(free.len()).unwrap_or(0);
    let chosen = usize::try_from(rng.below(count)).unwrap_or(0);
    free.into_iter().nth(chosen)
}

/// A name of at least so many digits, which may be taken.
pub(super) fn long_name(digits: u32, rng: &mut Rng) -> String {
    let first = 10_u64.saturating_pow(digits.saturating_sub(1)).max(*LONG.start());
    let last = 10_u64.saturating_pow(digits).saturating_sub(1).max(*LONG.end());
    let count = last.saturating_sub(first).saturating_add(1);
    first.saturating_add(rng.below(count)).to_string()
}

/// A mailbox id that nobody guesses: thirteen letters and digits.
pub(super) fn mailbox_id(rng: &mut Rng) -> String {
    BASE32_NOPAD.encode(&rng.bytes::<8>()).to_ascii_lowercase()
}
