//! `transit_records.json`: records in both directions, the borders of the nonce, and what must be refused.

use serde_json::Value;
use wormhole_core::crypto::{Key, TransitKey};
use wormhole_core::defaults::RECORD_LIMIT;
use wormhole_core::error::{Misuse, TransitFault};
use wormhole_core::transit::{OVERHEAD, Opener, Reference, Sealer};

use super::recorded::{hex, vectors};

#[test]
fn records_of_both_directions_are_sealed_and_opened_as_recorded() {
    let vectors = vectors("transit_records.json");
    for (direction, key) in keys(&vectors) {
        let mut sealer = Sealer::starting_at(Reference, key.clone(), 0);
        let mut opener = Opener::starting_at(Reference, key, 0);
        for row in vectors["records"][direction].as_array().unwrap() {
            let (plain, wire) = (hex(&row["plaintext_hex"]), hex(&row["wire_hex"]));
            assert_eq!(sealer.seal_copy(&plain).unwrap(), wire);
            assert_eq!(open(&mut opener, &wire).unwrap(), plain);
        }
    }
}

#[test]
fn the_nonce_is_the_number_with_its_greatest_byte_first() {
    let vectors = vectors("transit_records.json");
    let [(_, key), _] = keys(&vectors);
    for row in vectors["nonce_boundaries"].as_array().unwrap() {
        let number: u128 = row["nonce_dec"].as_str().unwrap().parse().unwrap();
        let (plain, wire) = (hex(&row["plaintext_hex"]), hex(&row["wire_hex"]));
        let sealed = Sealer::starting_at(Reference, key.clone(), number).seal_copy(&plain).unwrap();
        assert_eq!(sealed, wire, "{number}");
        let mut opener = Opener::starting_at(Reference, key.clone(), number);
        assert_eq!(open(&mut opener, &wire).unwrap(), plain, "{number}");
    }
}

#[test]
fn what_the_reference_refuses_is_refused() {
    let vectors = vectors("transit_records.json");
    let [(_, key), _] = keys(&vectors);
    for row in vectors["rejected_records"].as_array().unwrap() {
        let mut opener = Opener::starting_at(Reference, key.clone(), 0);
        let wire = hex(&row["wire_hex"]);
        let (mut rest, mut delivered) = (wire.as_slice(), Vec::new());
        let fault = loop {
            let length = match Opener::<Reference>::frame_len(rest[..4].try_into().unwrap()) {
                Ok(length) => length,
                Err(fault) => break fault,
            };
            let (record, more) = rest.split_at(4 + length);
            match open(&mut opener, record) {
                Ok(content) => delivered.push(content),
                Err(fault) => break fault,
            }
            rest = more;
        };
        let expected: Vec<Vec<u8>> = row["delivered"].as_array().unwrap().iter().map(hex).collect();
        assert_eq!((delivered, fault), (expected, TransitFault::BadRecord), "{}", row["name"]);
    }
}

#[test]
fn after_a_fault_nothing_more_is_opened() {
    let key = Key::from_bytes([1; 32]);
    let record = Sealer::starting_at(Reference, key.clone(), 0).seal_copy(b"content").unwrap();
    let mut opener = Opener::starting_at(Reference, key, 0);
    let mut forged = record.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(open(&mut opener, &forged), Err(TransitFault::BadRecord));
    assert_eq!(open(&mut opener, &record), Err(TransitFault::BadRecord));
}

#[test]
fn every_byte_of_a_record_counts() {
    let key = Key::from_bytes([1; 32]);
    let record = Sealer::starting_at(Reference, key.clone(), 0).seal_copy(b"content").unwrap();
    for index in 4..record.len() {
        let mut forged = record.clone();
        forged[index] ^= 0x80;
        let mut opener = Opener::starting_at(Reference, key.clone(), 0);
        assert_eq!(open(&mut opener, &forged), Err(TransitFault::BadRecord), "{index}");
    }
    for length in 0..40 {
        let mut opener = Opener::starting_at(Reference, key.clone(), 0);
        assert!(opener.open(&mut vec![0; length]).is_err());
    }
}

#[test]
fn lengths_are_bounded_both_ways() {
    let length = |announced: u32| Opener::<Reference>::frame_len(announced.to_be_bytes());
    let longest = u32::try_from(RECORD_LIMIT).unwrap() + 40;
    assert_eq!(length(39), Err(TransitFault::BadRecord));
    assert_eq!(length(40), Ok(40));
    assert_eq!(length(longest), Ok(RECORD_LIMIT + 40));
    assert_eq!(length(longest + 1), Err(TransitFault::RecordTooLong));
    assert_eq!(length(u32::MAX), Err(TransitFault::RecordTooLong));
    let mut sealer = Sealer::starting_at(Reference, Key::from_bytes([1; 32]), 0);
    let too_long = Err(Misuse::TooLong { limit_bytes: RECORD_LIMIT });
    assert_eq!(sealer.seal(&mut vec![0; OVERHEAD + RECORD_LIMIT + 1]), too_long);
    assert!(sealer.seal(&mut [0; OVERHEAD - 1]).is_err());
    assert_eq!(sealer.seal(&mut [0; OVERHEAD]), Ok(()), "an empty record is legal");
}

fn keys(vectors: &Value) -> [(&'static str, Key); 2] {
    let key = TransitKey::from_bytes(hex(&vectors["transit_key_hex"]).try_into().unwrap());
    assert_eq!(key.sender_record_key().as_bytes().as_slice(), hex(&vectors["sender_record_key_hex"]));
    assert_eq!(key.receiver_record_key().as_bytes().as_slice(), hex(&vectors["receiver_record_key_hex"]));
    [("sender", key.sender_record_key()), ("receiver", key.receiver_record_key())]
}

/// Opens a whole record.
fn open(opener: &mut Opener<Reference>, record: &[u8]) -> Result<Vec<u8>, TransitFault> {
    let mut body = record[4..].to_vec();
    opener.open(&mut body).map(|content| content.to_vec())
}
