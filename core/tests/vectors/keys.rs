//! `keys.json`.

use data_encoding::HEXLOWER;
use wormhole_core::crypto::{Key, SessionKey, TransitKey};
use wormhole_core::defaults::TRANSFER_TRANSIT_PURPOSE;
use wormhole_core::error::Misuse;
use wormhole_core::wire::{Phase, Side};

use crate::support::{array, hex, rows, text};

const FILE: &str = include_str!("../data/keys.json");

#[test]
fn derived_keys_are_those_of_the_reference() {
    let mut tried = 0;
    for row in rows(FILE, "hkdf") {
        let (Ok(key), Ok(purpose)) =
            (hex(&row["key_hex"]).try_into(), String::from_utf8(hex(&row["info_hex"])))
        else {
            // Keys of other lengths than ours: they are about HKDF itself.
            continue;
        };
        let length = usize::try_from(row["length"].as_u64().unwrap()).unwrap();
        let derived = SessionKey::from_bytes(key).derive(&purpose, length).unwrap();
        assert_eq!(derived.as_bytes(), hex(&row["output_hex"]), "{row}");
        tried += 1;
    }
    assert_eq!(tried, 4);
}

#[test]
fn more_than_hkdf_gives_cannot_be_derived() {
    let key = SessionKey::from_bytes([1; 32]);
    assert_eq!(key.derive("p", 8160).unwrap().as_bytes().len(), 8160);
    assert_eq!(key.derive("p", 8161), Err(Misuse::TooLong { limit_bytes: 8160 }));
}

#[test]
fn phase_keys_are_those_of_the_reference() {
    for row in rows(FILE, "phase_keys") {
        let session = SessionKey::from_bytes(array(&row["key_hex"]));
        let side = Side::parse(text(&row["side"])).unwrap();
        let phase = Phase::parse(text(&row["phase"])).unwrap();
        assert_eq!(session.phase_key(&side, &phase), Key::from_bytes(array(&row["phase_key_hex"])), "{row}");
    }
}

#[test]
fn everything_else_follows_from_the_session_key() {
    for row in rows(FILE, "session") {
        let session = SessionKey::from_bytes(array(&row["session_key_hex"]));
        assert_eq!(session.verifier().to_string(), text(&row["verifier_hex"]));
        for (appid, key) in row["transit_key_by_appid"].as_object().unwrap() {
            let transit = session.transit_key(&format!("{appid}/transit-key"));
            assert_eq!(transit, TransitKey::from_bytes(array(key)), "{appid}");
        }
        let dilation = session.derive("dilation-v1", 32).unwrap();
        assert_eq!(dilation.as_bytes(), hex(&row["dilation_key_hex"]));

        let transit = session.transit_key(TRANSFER_TRANSIT_PURPOSE);
        assert_eq!(transit, TransitKey::from_bytes(array(&row["transit_key_file_transfer_hex"])));
        let expected = &row["from_transit_key"];
        for (name, bytes) in [
            ("transit_sender", transit.sender_id()),
            ("transit_receiver", transit.receiver_id()),
            ("transit_relay_token", transit.relay_token()),
            ("transit_record_sender_key", *transit.sender_record_key().as_bytes()),
            ("transit_record_receiver_key", *transit.receiver_record_key().as_bytes()),
        ] {
            assert_eq!(HEXLOWER.encode(&bytes), text(&expected[name]), "{name}");
        }
    }
}

#[test]
fn a_purpose_is_taken_in_normal_form() {
    let key = SessionKey::from_bytes([1; 32]);
    assert_eq!(key.derive("e\u{301}", 32), key.derive("\u{e9}", 32));
    assert_eq!(key.transit_key("e\u{301}"), key.transit_key("\u{e9}"));
}
