//! Keys: the exchange, what is derived from its result, and the box that seals messages.
//!
//! No other folder names a cryptographic crate. Everything secret is a type of its own, zeroed when dropped,
//! compared in constant time and silent under `Debug`.

pub mod hashcash;
pub mod pake;
pub mod secretbox;

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use data_encoding::HEXLOWER;
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use unicode_normalization::UnicodeNormalization;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::error::Misuse;
use crate::wire::{Phase, Side};

/// The most bytes that one derivation gives.
pub const DERIVED_BYTES: usize = 255 * 32;

/// What both sides know after the key exchange, if their codes were the same.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SessionKey([u8; 32]);

impl SessionKey {
    /// The key that consists of these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// What the two users compare aloud to be sure that nobody is between them.
    pub fn verifier(&self) -> Verifier {
        let mut verifier = [0; 32];
        expand(&self.0, &[b"wormhole:verifier"], &mut verifier);
        Verifier(verifier)
    }

    /// The key of one message: of the side that sends it and of its phase.
    pub fn phase_key(&self, side: &Side, phase: &Phase) -> Key {
        let side = Sha256::digest(side.as_str());
        let phase = Sha256::digest(phase.as_str());
        Key::expanded(&self.0, &[b"wormhole:phase:", &side, &phase])
    }

    /// A key for the application, of any length up to [`DERIVED_BYTES`].
    pub fn derive(&self, purpose: &str, len: usize) -> Result<Secret, Misuse> {
        if len > DERIVED_BYTES {
            return Err(Misuse::TooLong { limit_bytes: DERIVED_BYTES });
        }
        let mut secret = Secret(vec![0; len]);
        expand(&self.0, &[normal(purpose).as_bytes()], &mut secret.0);
        Ok(secret)
    }

    /// The key itself.
    pub(crate) fn to_secret(&self) -> Secret {
        Secret(self.0.to_vec())
    }

    /// The root of the keys of one connection for content.
    pub fn transit_key(&self, purpose: &str) -> TransitKey {
        TransitKey(Key::expanded(&self.0, &[normal(purpose).as_bytes()]))
    }
}

/// The root of the keys of one connection for content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransitKey(Key);

impl TransitKey {
    /// The key that consists of these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Key(bytes))
    }

    /// What the sender proves itself with, in its first line.
    pub fn sender_id(&self) -> [u8; 32] {
        self.public(b"transit_sender")
    }

    /// What the receiver proves itself with, in its first line.
    pub fn receiver_id(&self) -> [u8; 32] {
        self.public(b"transit_receiver")
    }

    /// What a relay joins the two by.
    pub fn relay_token(&self) -> [u8; 32] {
        self.public(b"transit_relay_token")
    }

    /// The key of the records from the sender to the receiver.
    pub fn sender_record_key(&self) -> Key {
        Key::expanded(&self.0.0, &[b"transit_record_sender_key"])
    }

    /// The key of the records from the receiver to the sender.
    pub fn receiver_record_key(&self) -> Key {
        Key::expanded(&self.0.0, &[b"transit_record_receiver_key"])
    }

    fn public(&self, purpose: &[u8]) -> [u8; 32] {
        let mut bytes = [0; 32];
        expand(&self.0.0, &[purpose], &mut bytes);
        bytes
    }
}

/// The key of a secret box.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; 32]);

impl Key {
    /// The key that consists of these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for a secret box. They are not to be copied.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn expanded(from: &[u8; 32], info: &[&[u8]]) -> Self {
        let mut key = Self([0; 32]);
        expand(from, info, &mut key.0);
        key
    }
}

/// A key that was derived for the application.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What the two users compare aloud. `Display` writes 64 hex digits.
#[derive(Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Verifier([u8; 32]);

impl Verifier {
    /// The bytes behind the digits.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&HEXLOWER.encode(&self.0))
    }
}

/// HKDF with SHA-256 and no salt.
fn expand(key: &[u8; 32], info: &[&[u8]], out: &mut [u8]) {
    let expanded = Hkdf::<Sha256>::new(None, key).expand_multi_info(info, out);
    debug_assert!(expanded.is_ok(), "callers ask for at most {DERIVED_BYTES} bytes");
}

/// Normal form C, in which purposes and application ids are hashed.
fn normal(text: &str) -> String {
    text.nfc().collect()
}

macro_rules! secret {
    ($($name:ident)*) => {$(
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.ct_eq(&other.0).into()
            }
        }

        impl Eq for $name {}

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

secret!(SessionKey Key Secret Verifier);

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn debug_prints_nothing_of_a_secret() {
        let session = SessionKey::from_bytes([0xab; 32]);
        let transit = session.transit_key("p");
        let all = format!(
            "{session:?} {:?} {:?} {:?} {:?} {:?}",
            session.verifier(),
            transit,
            transit.sender_record_key(),
            session.derive("p", 3).unwrap(),
            session.phase_key(&Side::parse("s").unwrap(), &Phase::pake()),
        );
        assert_eq!(all, "SessionKey(..) Verifier(..) TransitKey(Key(..)) Key(..) Secret(..) Key(..)");
    }

    #[test]
    fn a_verifier_is_shown_as_64_hex_digits() {
        let shown = SessionKey::from_bytes([1; 32]).verifier().to_string();
        assert_eq!(shown.len(), 64);
        assert!(shown.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f')));
    }

    #[test]
    fn keys_are_equal_only_in_all_bytes() {
        let mut other = [1; 32];
        other[31] = 2;
        assert_eq!(Key::from_bytes([1; 32]), Key::from_bytes([1; 32]));
        assert_ne!(Key::from_bytes([1; 32]), Key::from_bytes(other));
    }

    #[test]
    fn secrets_are_zeroed() {
        let mut key = Key::from_bytes([1; 32]);
        key.zeroize();
        assert_eq!(key.as_bytes(), &[0; 32]);
        let mut secret = SessionKey::from_bytes([1; 32]).derive("p", 8).unwrap();
        secret.zeroize();
        assert!(secret.as_bytes().is_empty());
    }
}
