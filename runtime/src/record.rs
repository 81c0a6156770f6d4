//! The fastest secret box that the CPU at hand offers, for the records of a [`Pipe`](crate::pipe::Pipe).
//!
//! With vector instructions `dryoc` seals several times as fast as the box of the core, without them it is slower. The
//! bytes are the same, so the choice is made when the program runs and nobody else can tell.

use dryoc::classic::crypto_box::{
    crypto_box_detached_afternm_inplace, crypto_box_open_detached_afternm_inplace,
};
use wormhole_core::transit::{Reference, SecretBox};

/// The secret box of this machine. Both kinds seal and open alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fastest(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Vector,
    Reference,
}

impl Fastest {
    /// Asks the CPU.
    pub fn here() -> Self {
        Self(if has_vectors() { Kind::Vector } else { Kind::Reference })
    }
}

impl Default for Fastest {
    fn default() -> Self {
        Self::here()
    }
}

// A box of NaCl that is given the key of the two sides at once is its secret box; only the names differ, and only
// under these names does `dryoc` offer it in place and without moving the content for the tag.
impl SecretBox for Fastest {
    fn seal(&self, key: &[u8; 32], nonce: &[u8; 24], content: &mut [u8]) -> [u8; 16] {
        match self.0 {
            Kind::Vector => {
                let mut tag = [0; 16];
                crypto_box_detached_afternm_inplace(content, &mut tag, nonce, key);
                tag
            }
            Kind::Reference => Reference.seal(key, nonce, content),
        }
    }

    fn open(&self, key: &[u8; 32], nonce: &[u8; 24], content: &mut [u8], tag: &[u8; 16]) -> bool {
        match self.0 {
            Kind::Vector => crypto_box_open_detached_afternm_inplace(content, tag, nonce, key).is_ok(),
            Kind::Reference => Reference.open(key, nonce, content, tag),
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn has_vectors() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
}

#[cfg(target_arch = "aarch64")]
fn has_vectors() -> bool {
    std::arch::is_aarch64_feature_detected!("neon")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const fn has_vectors() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn both_boxes_seal_and_open_alike(
            key: [u8; 32],
            nonce: [u8; 24],
            content in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..1100),
                (0_usize..300_000, any::<u8>()).prop_map(|(len, fill)| vec![fill; len]),
            ],
        ) {
            let (mut by_reference, mut by_vector) = (content.clone(), content.clone());
            let tag = Reference.seal(&key, &nonce, &mut by_reference);
            prop_assert_eq!(VECTOR.seal(&key, &nonce, &mut by_vector), tag);
            prop_assert!(by_reference == by_vector);
            prop_assert!(VECTOR.open(&key, &nonce, &mut by_reference, &tag));
            prop_assert!(Reference.open(&key, &nonce, &mut by_vector, &tag));
            prop_assert!(by_reference == content && by_vector == content);
        }

        #[test]
        fn both_boxes_refuse_the_same_forgeries(
            key: [u8; 32],
            nonce: [u8; 24],
            content in proptest::collection::vec(any::<u8>(), 1..700),
            place: prop::sample::Index,
            flip in 1_u8..,
        ) {
            let mut sealed = content.clone();
            let tag = Reference.seal(&key, &nonce, &mut sealed);
            let (mut other_content, mut other_tag, mut other_nonce) = (sealed.clone(), tag, nonce);
            other_content[place.index(content.len())] ^= flip;
            other_tag[place.index(16)] ^= flip;
            other_nonce[place.index(24)] ^= flip;
            let forgeries =
                [(&other_content, &tag, &nonce), (&sealed, &other_tag, &nonce), (&sealed, &tag, &other_nonce)];
            for (forged, tag, nonce) in forgeries {
                prop_assert!(!Reference.open(&key, nonce, &mut forged.clone(), tag));
                prop_assert!(!VECTOR.open(&key, nonce, &mut forged.clone(), tag));
            }
        }
    }

    #[test]
    fn the_choice_follows_the_cpu() {
        assert_eq!(Fastest::here().0 == Kind::Vector, has_vectors());
    }

    /// Runs on any machine: without vector instructions it is only slow.
    const VECTOR: Fastest = Fastest(Kind::Vector);
}
