//! Hashcash: a stamp that takes work to make and none to check, which a server may ask for
//! (`docs/server-protocol.md`, "Permission").

use alloc::format;
use alloc::string::String;

use data_encoding::HEXLOWER;
use sha1::{Digest, Sha1};

use crate::rng::Rng;

/// The longest resource that a stamp is made for.
pub const RESOURCE_BYTES: usize = 256;
/// Fields of a stamp: version, bits, date, resource, extension, chance, counter.
const FIELDS: usize = 7;
/// We have no calendar, and need none: the server draws the resource anew for each connection.
const DATE: &str = "700101";

/// Whether this is a stamp for the resource that took so many bits of work.
pub fn is_stamp(stamp: &str, resource: &str, bits: u32) -> bool {
    let mut fields = stamp.split(':');
    let (version, claimed, _, of) = (fields.next(), fields.next(), fields.next(), fields.next());
    // The date has many forms; what makes a stamp fresh is the resource.
    let Some(claimed) = claimed.and_then(|claimed| claimed.parse::<u32>().ok()) else { return false };
    version == Some("1")
        && stamp.split(':').count() == FIELDS
        && of == Some(resource)
        && claimed >= bits
        && zero_bits(Sha1::new_with_prefix(stamp)) >= claimed
}

/// Whether a stamp can be made for it: it is one field.
pub fn is_resource(resource: &str) -> bool {
    resource.len() <= RESOURCE_BYTES && !resource.contains(':')
}

/// The search for a stamp, which goes on as long as it is given time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    bits: u32,
    /// All of the stamp but its counter.
    prefix: String,
    counter: u64,
}

impl Search {
    /// Begins to look for a stamp.
    pub fn new(bits: u32, resource: &str, rng: &mut Rng) -> Self {
        let chance = HEXLOWER.encode(&rng.bytes::<12>());
        Self { bits, prefix: format!("1:{bits}:{DATE}:{resource}::{chance}:"), counter: 0 }
    }

    /// Tries so many more.
    pub fn go_on(&mut self, tries: u32) -> Option<String> {
        let begun = Sha1::new_with_prefix(&self.prefix);
        for _ in 0..tries {
            let counter = self.counter;
            self.counter = self.counter.wrapping_add(1);
            // Sixteen digits at any time: no text has to be made for each.
            if zero_bits(begun.clone().chain_update(hex(counter))) >= self.bits {
                return Some(format!("{}{counter:016x}", self.prefix));
            }
        }
        None
    }
}

fn hex(number: u64) -> [u8; 16] {
    let mut digits = [0; 16];
    HEXLOWER.encode_mut(&number.to_be_bytes(), &mut digits);
    digits
}

fn zero_bits(hash: Sha1) -> u32 {
    let mut zeros = 0_u32;
    for byte in hash.finalize() {
        zeros = zeros.saturating_add(byte.leading_zeros());
        if byte != 0 {
            break;
        }
    }
    zeros
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_a_stamp_of_its_resource_and_of_no_other() {
        let mut search = Search::new(12, "abc=", &mut rng());
        let stamp = core::iter::from_fn(|| Some(search.go_on(1000))).flatten().next().unwrap();
        assert!(is_stamp(&stamp, "abc=", 12), "{stamp}");
        assert!(is_stamp(&stamp, "abc=", 5), "more than was wanted");
        assert!(!is_stamp(&stamp, "abd=", 12) && !is_stamp(&stamp, "abc=", 13));
    }

    #[test]
    fn a_search_in_slices_finds_what_one_in_one_go_finds() {
        let (mut slices, mut whole) = (Search::new(10, "r", &mut rng()), Search::new(10, "r", &mut rng()));
        let found = core::iter::from_fn(|| Some(slices.go_on(7))).flatten().next();
        assert_eq!(found, whole.go_on(1_000_000));
    }

    fn rng() -> Rng {
        Rng::new([7; 32])
    }

    #[test]
    fn a_resource_is_one_field_and_not_too_long() {
        assert!(is_resource("") && is_resource("AAAAAAAAAAA="));
        assert!(!is_resource("a:b") && !is_resource(&"a".repeat(257)));
    }
}
