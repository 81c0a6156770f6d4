//! Records: the frames that carry the content once transit has settled on a connection.
//!
//! ```text
//! record = be4(n) ‖ nonce(24) ‖ tag(16) ‖ ciphertext        n = 40 + length of the content
//! ```
//!
//! The nonce is the number of the record in its direction, big-endian. It travels in full, and a record with any
//! other number than the next is refused before its tag is looked at (`docs/transit.md`, "Records"). Both sides work in
//! the caller's buffer: nothing is allocated and nothing is copied.

use alloc::vec::Vec;
use core::fmt;

use crate::crypto::Key;
use crate::crypto::secretbox::{self, NONCE, TAG};
use crate::defaults::RECORD_LIMIT;
use crate::error::{Misuse, TransitFault};

/// Bytes of a record before its content: length, nonce and tag.
pub const OVERHEAD: usize = LENGTH + NONCE + TAG;

const LENGTH: usize = 4;
/// What the length counts beside the content.
const SEALED: usize = NONCE + TAG;

/// Seals and opens in place, detached: XSalsa20-Poly1305 as NaCl's `crypto_secretbox`.
///
/// [`Reference`] is the one that runs everywhere; a runtime may bring one that is faster on the machine at hand.
pub trait SecretBox: Send {
    /// Encrypts `content` where it stands and returns its tag.
    fn seal(&self, key: &[u8; 32], nonce: &[u8; NONCE], content: &mut [u8]) -> [u8; TAG];

    /// Decrypts `content` where it stands; `false`, and the content unspecified, where the tag does not fit.
    fn open(&self, key: &[u8; 32], nonce: &[u8; NONCE], content: &mut [u8], tag: &[u8; TAG]) -> bool;
}

/// The secret box of the core, on any machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reference;

impl SecretBox for Reference {
    fn seal(&self, key: &[u8; 32], nonce: &[u8; NONCE], content: &mut [u8]) -> [u8; TAG] {
        secretbox::seal_detached(&Key::from_bytes(*key), nonce, content)
    }

    fn open(&self, key: &[u8; 32], nonce: &[u8; NONCE], content: &mut [u8], tag: &[u8; TAG]) -> bool {
        secretbox::open_detached(&Key::from_bytes(*key), nonce, content, tag)
    }
}

/// The keys of both directions, as our role has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordKeys {
    /// What we seal with.
    pub send: Key,
    /// What we open with.
    pub receive: Key,
}

impl RecordKeys {
    /// The sealing half, from the first record on.
    pub fn sealer<B: SecretBox>(&self, secret_box: B) -> Sealer<B> {
        Sealer::starting_at(secret_box, self.send.clone(), 0)
    }

    /// The opening half, from the first record on.
    pub fn opener<B: SecretBox>(&self, secret_box: B) -> Opener<B> {
        Opener::starting_at(secret_box, self.receive.clone(), 0)
    }
}

/// Seals the records of one direction, one after the other.
pub struct Sealer<B> {
    secret_box: B,
    key: Key,
    number: u128,
}

impl<B: SecretBox> Sealer<B> {
    /// Seals from the record of this number on. Nonces are counted and not chained, so that several sealers with
    /// ranges of their own may work side by side; **no number may be used twice**.
    pub const fn starting_at(secret_box: B, key: Key, number: u128) -> Self {
        Self { secret_box, key, number }
    }

    /// Makes `record` a record: its first [`OVERHEAD`] bytes are overwritten, the rest is the content.
    pub fn seal(&mut self, record: &mut [u8]) -> Result<(), Misuse> {
        let Some((head, content)) = record.split_first_chunk_mut::<OVERHEAD>() else {
            return Err(Misuse::OutOfTurn("a record needs room for its head"));
        };
        if content.len() > RECORD_LIMIT {
            return Err(Misuse::TooLong { limit_bytes: RECORD_LIMIT });
        }
        let sealed = u32::try_from(content.len().saturating_add(SEALED))
            .map_err(|_| Misuse::TooLong { limit_bytes: RECORD_LIMIT })?;
        let nonce = nonce(self.number);
        self.number = self.number.wrapping_add(1);
        let tag = self.secret_box.seal(self.key.as_bytes(), &nonce, content);
        let length = sealed.to_be_bytes();
        let parts = [length.as_slice(), nonce.as_slice(), tag.as_slice()];
        for (place, byte) in head.iter_mut().zip(parts.into_iter().flatten()) {
            *place = *byte;
        }
        Ok(())
    }

    /// A whole record in a buffer of its own, for what is short and rare.
    pub fn seal_copy(&mut self, content: &[u8]) -> Result<Vec<u8>, Misuse> {
        let mut record = Vec::with_capacity(content.len().saturating_add(OVERHEAD));
        record.resize(OVERHEAD, 0);
        record.extend_from_slice(content);
        self.seal(&mut record)?;
        Ok(record)
    }
}

/// Opens the records of one direction, one after the other. After a fault nothing more is opened.
pub struct Opener<B> {
    secret_box: B,
    key: Key,
    /// The number of the next record; `None` after a fault.
    number: Option<u128>,
}

impl<B: SecretBox> Opener<B> {
    /// Expects the record of this number first.
    pub const fn starting_at(secret_box: B, key: Key, number: u128) -> Self {
        Self { secret_box, key, number: Some(number) }
    }

    /// Bytes that follow the first four of a record, bounded before anybody makes room for them.
    pub const fn frame_len(head: [u8; 4]) -> Result<usize, TransitFault> {
        let announced = u32::from_be_bytes(head) as usize;
        if announced < SEALED {
            return Err(TransitFault::BadRecord);
        }
        if announced.saturating_sub(SEALED) > RECORD_LIMIT {
            return Err(TransitFault::RecordTooLong);
        }
        Ok(announced)
    }

    /// Opens what follows the first four bytes of a record, where it stands; the content is what is returned.
    pub fn open<'a>(&mut self, body: &'a mut [u8]) -> Result<&'a mut [u8], TransitFault> {
        let number = self.number.take().ok_or(TransitFault::BadRecord)?;
        if body.len().saturating_sub(SEALED) > RECORD_LIMIT {
            return Err(TransitFault::RecordTooLong);
        }
        let (got, rest) = body.split_first_chunk_mut::<NONCE>().ok_or(TransitFault::BadRecord)?;
        let (tag, content) = rest.split_first_chunk_mut::<TAG>().ok_or(TransitFault::BadRecord)?;
        if *got != nonce(number) || !self.secret_box.open(self.key.as_bytes(), got, content, tag) {
            return Err(TransitFault::BadRecord);
        }
        self.number = Some(number.wrapping_add(1));
        Ok(content)
    }
}

/// The number of a record, as its nonce.
fn nonce(number: u128) -> [u8; NONCE] {
    let mut nonce = [0; NONCE];
    for (place, byte) in nonce.iter_mut().rev().zip(number.to_be_bytes().iter().rev()) {
        *place = *byte;
    }
    nonce
}

impl<B> fmt::Debug for Sealer<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("number", &self.number).finish_non_exhaustive()
    }
}

impl<B> fmt::Debug for Opener<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("number", &self.number).finish_non_exhaustive()
    }
}
