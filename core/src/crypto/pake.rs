//! The key exchange: SPAKE2 in its symmetric form over edwards25519.
//!
//! The value of the exchange cannot be stored between its two steps. So both take the same 64 random bytes, from
//! which it is made each time.

use core::fmt;

use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::traits::IsIdentity;
use rand_core::{CryptoRng, RngCore};
use spake2::{Ed25519Group, Identity, Password, Spake2};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::{SessionKey, normal};
use crate::code::Code;
use crate::wire::AppId;

/// Length of the message of either side.
pub const MESSAGE: usize = 33;

/// The first byte of a message: the letter S, for symmetric.
const SYMMETRIC: u8 = 0x53;

/// Why the message of the other side is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PakeFault {
    /// It begins with another byte than `S`.
    Prefix,
    /// It does not have 33 bytes.
    Length,
    /// It is our own message.
    Reflection,
    /// It is no point of the curve, or not in the one way to write it.
    NotAPoint,
    /// The point is not in the group of prime order.
    NotPrimeOrder,
    /// The point is the neutral element.
    Identity,
}

impl fmt::Display for PakeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prefix => "the key does not begin with S",
            Self::Length => "the key does not have 33 bytes",
            Self::Reflection => "the key is our own",
            Self::NotAPoint => "the key is no point of the curve",
            Self::NotPrimeOrder => "the key is not of prime order",
            Self::Identity => "the key is the neutral element",
        })
    }
}

impl core::error::Error for PakeFault {}

/// Our message. The same arguments give the same message.
pub fn start(code: &Code, appid: &AppId, scalar_bytes: &[u8; 64]) -> [u8; MESSAGE] {
    begin(code, appid, scalar_bytes).1
}

/// The key that follows from the message of the other side. The first three arguments are those of [`start`].
pub fn finish(
    code: &Code,
    appid: &AppId,
    scalar_bytes: &[u8; 64],
    theirs: &[u8],
) -> Result<SessionKey, PakeFault> {
    let (exchange, ours) = begin(code, appid, scalar_bytes);
    check(theirs, &ours)?;
    // What is left for the exchange to refuse was refused above.
    let mut shared = exchange.finish(theirs).map_err(|_| PakeFault::NotAPoint)?;
    let key = <[u8; 32]>::try_from(shared.as_slice()).map_err(|_| PakeFault::Length);
    shared.zeroize();
    key.map(SessionKey::from_bytes)
}

fn begin(code: &Code, appid: &AppId, scalar_bytes: &[u8; 64]) -> (Spake2<Ed25519Group>, [u8; MESSAGE]) {
    let password = Password::new(code.as_str());
    let identity = Identity::new(normal(appid.as_str()).as_bytes());
    let (exchange, message) =
        Spake2::start_symmetric_with_rng(&password, &identity, Given { rest: scalar_bytes });
    debug_assert_eq!(message.len(), MESSAGE, "a prefix and an element");
    let mut ours = [0; MESSAGE];
    ours.iter_mut().zip(message).for_each(|(to, from)| *to = from);
    (exchange, ours)
}

/// All checks of `docs/client-protocol.md`, "What is refused". Comparing with the point written anew refuses every
/// second way to write it.
fn check(theirs: &[u8], ours: &[u8; MESSAGE]) -> Result<(), PakeFault> {
    let (prefix, element) = theirs.split_first().ok_or(PakeFault::Length)?;
    if *prefix != SYMMETRIC {
        return Err(PakeFault::Prefix);
    }
    let element = <[u8; 32]>::try_from(element).map_err(|_| PakeFault::Length)?;
    if bool::from(theirs.ct_eq(ours)) {
        return Err(PakeFault::Reflection);
    }
    let point = CompressedEdwardsY(element).decompress().ok_or(PakeFault::NotAPoint)?;
    if point.is_identity() {
        return Err(PakeFault::Identity);
    }
    if !point.is_torsion_free() {
        return Err(PakeFault::NotPrimeOrder);
    }
    if point.compress().to_bytes() != element {
        return Err(PakeFault::NotAPoint);
    }
    Ok(())
}

/// A generator that gives the bytes it was given, and zeros after them.
struct Given<'a> {
    rest: &'a [u8],
}

impl RngCore for Given<'_> {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        for byte in dest {
            let (first, rest) = self.rest.split_first().unwrap_or((&0, &[]));
            *byte = *first;
            self.rest = rest;
        }
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl CryptoRng for Given<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_give_the_same_message_and_others_another() {
        let message = |fill| start(&code("4-a"), &app("app"), &[fill; 64]);
        assert_eq!(message(1), message(1));
        assert_ne!(message(1), message(2));
        assert_eq!(message(1)[0], SYMMETRIC);
    }

    #[test]
    fn keys_agree_only_for_the_same_code_and_application() {
        let key = |words: &str, appid: &str| {
            let theirs = start(&code("4-a"), &app("app"), &[2; 64]);
            finish(&code(words), &app(appid), &[1; 64], &theirs).unwrap()
        };
        let ours = start(&code("4-a"), &app("app"), &[1; 64]);
        let theirs = finish(&code("4-a"), &app("app"), &[2; 64], &ours).unwrap();
        assert_eq!(key("4-a", "app"), theirs);
        assert_ne!(key("4-b", "app"), theirs);
        assert_ne!(key("4-a", "other"), theirs);
    }

    #[test]
    fn an_application_id_is_hashed_in_normal_form() {
        let theirs = start(&code("4-a"), &app("x"), &[2; 64]);
        let key = |appid| finish(&code("4-a"), &app(appid), &[1; 64], &theirs).unwrap();
        assert_eq!(key("e\u{301}"), key("\u{e9}"));
    }

    /// y = 1 is the identity; q + y for the y below 19 are the other encodings that are not canonical, and points
    /// of small order with them.
    #[test]
    fn no_second_encoding_of_a_point_is_taken() {
        for low in 0..19 {
            for top in [0x7f, 0xff] {
                let mut theirs = [0xff; MESSAGE];
                theirs[0] = SYMMETRIC;
                theirs[1] = 0xed + low;
                theirs[32] = top;
                assert!(finish(&code("4-a"), &app("app"), &[1; 64], &theirs).is_err(), "{low} {top:x}");
            }
        }
    }

    fn code(text: &str) -> Code {
        Code::parse(text).unwrap()
    }

    fn app(text: &str) -> AppId {
        AppId::parse(text).unwrap()
    }
}
