//! Where a world's choices come from: a seed, or the bytes of a fuzzer.

use std::time::Duration;

use wormhole_core::rng::{Rng, Seed};

/// Every choice in a world. Same source, same world.
#[derive(Debug)]
pub(crate) struct Chance {
    /// Where those come from that are made beside the others.
    beside: Seed,
    /// Choices that are made already, each a byte or two.
    chosen: std::vec::IntoIter<u8>,
    rng: Rng,
}

impl Chance {
    /// Choices that follow from a number.
    pub(crate) fn from_seed(seed: u64) -> Self {
        let mut bytes = Seed::default();
        for (place, byte) in bytes.iter_mut().zip(seed.to_le_bytes()) {
            *place = byte;
        }
        let mut beside = bytes;
        if let Some(last) = beside.last_mut() {
            *last = 1;
        }
        Self { beside, chosen: Vec::new().into_iter(), rng: Rng::new(bytes) }
    }

    /// Choices that follow from bytes, as far as they reach.
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self { chosen: bytes.into_iter(), ..Self::from_seed(0) }
    }

    /// Further choices, which leave the others as they are: a number keeps its world when there is more to choose. Of a
    /// fuzzer's bytes they are the last ones.
    pub(crate) fn beside(&self) -> Self {
        let chosen: Vec<u8> = self.chosen.as_slice().iter().rev().copied().collect();
        Self { beside: self.beside, chosen: chosen.into_iter(), rng: Rng::new(self.beside) }
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let Some(low) = self.chosen.next() else { return self.rng.below(bound) };
        let high = if bound > 0x100 { self.chosen.next().unwrap_or(0) } else { 0 };
        u64::from(u16::from_le_bytes([low, high])).checked_rem(bound).unwrap_or(0)
    }

    /// Whether that one in `count` comes about.
    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    /// A time of less than that.
    pub(crate) fn millis(&mut self, bound: u64) -> Duration {
        Duration::from_millis(self.below(bound))
    }

    /// One of these.
    pub(crate) fn pick<T: Copy>(&mut self, first: T, others: &[T]) -> T {
        let index = usize::try_from(self.below(others.len() as u64 + 1)).unwrap_or(0);
        index.checked_sub(1).and_then(|index| others.get(index)).copied().unwrap_or(first)
    }

    /// A seed for somebody else; never from a fuzzer, who has no use for keys.
    pub(crate) fn seed(&mut self) -> Seed {
        self.rng.bytes()
    }
}
