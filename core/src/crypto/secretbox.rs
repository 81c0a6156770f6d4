//! The secret box of NaCl: XSalsa20 and Poly1305, written as nonce, tag, ciphertext.

use alloc::vec::Vec;

use crypto_secretbox::aead::{AeadInPlace, KeyInit};
use crypto_secretbox::{Nonce, Tag, XSalsa20Poly1305};

use super::Key;

/// Length of a nonce.
pub const NONCE: usize = 24;
/// Length of a tag.
pub const TAG: usize = 16;
/// How much longer a box is than its content.
pub const OVERHEAD: usize = NONCE + TAG;

/// The box: nonce, tag, ciphertext.
pub fn seal(key: &Key, nonce: &[u8; NONCE], plain: &[u8]) -> Vec<u8> {
    let mut content = plain.to_vec();
    let tag = seal_detached(key, nonce, &mut content);
    let mut boxed = Vec::with_capacity(plain.len().saturating_add(OVERHEAD));
    boxed.extend_from_slice(nonce);
    boxed.extend_from_slice(&tag);
    boxed.append(&mut content);
    boxed
}

/// The content of a box, where it is one and was sealed with this key.
pub fn open(key: &Key, boxed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, rest) = boxed.split_first_chunk::<NONCE>()?;
    let (tag, sealed) = rest.split_first_chunk::<TAG>()?;
    let mut content = sealed.to_vec();
    open_detached(key, nonce, &mut content, tag).then_some(content)
}

/// Seals `content` where it stands, and returns the tag.
pub fn seal_detached(key: &Key, nonce: &[u8; NONCE], content: &mut [u8]) -> [u8; TAG] {
    let sealed = cipher(key).encrypt_in_place_detached(Nonce::from_slice(nonce), &[], content);
    debug_assert!(sealed.is_ok(), "sealing fails for associated data only, and there is none");
    match sealed {
        Ok(tag) => tag.into(),
        Err(_) => {
            content.fill(0);
            [0; TAG]
        }
    }
}

/// Opens `content` where it stands, and says whether it was sealed with this key. If not, it is not to be used.
#[must_use]
pub fn open_detached(key: &Key, nonce: &[u8; NONCE], content: &mut [u8], tag: &[u8; TAG]) -> bool {
    let tag = Tag::from_slice(tag);
    cipher(key).decrypt_in_place_detached(Nonce::from_slice(nonce), &[], content, tag).is_ok()
}

fn cipher(key: &Key) -> XSalsa20Poly1305 {
    XSalsa20Poly1305::new(key.as_bytes().into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_box_opens_to_what_was_sealed(key: [u8; 32], nonce: [u8; NONCE], plain: Vec<u8>) {
            let key = Key::from_bytes(key);
            let boxed = seal(&key, &nonce, &plain);
            prop_assert_eq!(boxed.len(), plain.len() + OVERHEAD);
            prop_assert_eq!(open(&key, &boxed), Some(plain.clone()));

            let mut content = plain.clone();
            let tag = seal_detached(&key, &nonce, &mut content);
            prop_assert_eq!([&nonce[..], &tag, &content].concat(), boxed);
            prop_assert!(open_detached(&key, &nonce, &mut content, &tag));
            prop_assert_eq!(content, plain);
        }

        #[test]
        fn a_box_with_a_changed_bit_does_not_open(plain: Vec<u8>, at: prop::sample::Index, bit in 0..8) {
            let key = Key::from_bytes([5; 32]);
            let mut boxed = seal(&key, &[6; NONCE], &plain);
            let at = at.index(boxed.len());
            boxed[at] ^= 1_u8 << bit;
            prop_assert_eq!(open(&key, &boxed), None);
        }
    }
}
