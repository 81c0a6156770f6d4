//! The only source of randomness: a generator made from the seed that the driver draws once.

use core::{fmt, hint};

use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, RngCore, SeedableRng};

/// Thirty-two random bytes, from which everything random in a machine follows.
pub type Seed = [u8; 32];

/// A generator that is handed to every step that needs chance. Same seed, same bytes.
///
/// It is overwritten when dropped: keys follow from what it has given.
#[derive(Clone, PartialEq, Eq)]
pub struct Rng(ChaCha20Rng);

impl Rng {
    /// The generator of this seed.
    pub fn new(seed: Seed) -> Self {
        Self(ChaCha20Rng::from_seed(seed))
    }

    /// The next `N` bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// A number below `bound`, each as likely as the others; 0 where `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The excess over the greatest multiple of the bound would favour small numbers.
        let limit = u64::MAX - u64::MAX.checked_rem(bound).unwrap_or(0);
        loop {
            let drawn = self.0.next_u64();
            if bound == 0 || drawn < limit {
                return drawn.checked_rem(bound).unwrap_or(0);
            }
        }
    }
}

impl RngCore for Rng {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }
    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
    fn fill_bytes(&mut self, dest: &mut [u8]) {
        self.0.fill_bytes(dest);
    }
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core::Error> {
        self.0.try_fill_bytes(dest)
    }
}

impl CryptoRng for Rng {}

impl Drop for Rng {
    fn drop(&mut self) {
        self.0 = ChaCha20Rng::from_seed([0; 32]);
        // Whoever might look at it keeps the compiler from leaving that out.
        hint::black_box(&self.0);
    }
}

impl fmt::Debug for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rng(..)")
    }
}
