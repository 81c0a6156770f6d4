//! `secretbox.json` and `phase_messages.json`.

use data_encoding::HEXLOWER;
use wormhole_core::crypto::{Key, SessionKey, secretbox};
use wormhole_core::wire::{Phase, Side};

use crate::support::{array, hex, rows, text};

const BOXES: &str = include_str!("../data/secretbox.json");
const MESSAGES: &str = include_str!("../data/phase_messages.json");

#[test]
fn boxes_are_those_of_nacl() {
    for row in rows(BOXES, "boxes") {
        let key = Key::from_bytes(array(&row["key_hex"]));
        let (plain, boxed) = (hex(&row["plaintext_hex"]), hex(&row["nonce_and_box_hex"]));
        assert_eq!(secretbox::seal(&key, &array(&row["nonce_hex"]), &plain), boxed);
        assert_eq!(secretbox::open(&key, &boxed), Some(plain));
    }
}

#[test]
fn damaged_boxes_do_not_open() {
    for row in rows(BOXES, "malformed") {
        let key = Key::from_bytes(array(&row["key_hex"]));
        let expected = row.get("plaintext_hex").map(hex);
        assert_eq!(expected.is_none(), row.get("error").is_some());
        assert_eq!(secretbox::open(&key, &hex(&row["blob_hex"])), expected, "{row}");
    }
}

#[test]
fn messages_of_the_mailbox_are_those_of_the_reference() {
    for row in rows(MESSAGES, "messages") {
        let session = SessionKey::from_bytes(array(&row["session_key_hex"]));
        let side = Side::parse(text(&row["side"])).unwrap();
        let phase = Phase::parse(text(&row["phase"])).unwrap();
        let key = session.phase_key(&side, &phase);
        assert_eq!(key, Key::from_bytes(array(&row["phase_key_hex"])));
        let plain = hex(&row["plaintext_hex"]);
        let body = secretbox::seal(&key, &array(&row["nonce_hex"]), &plain);
        assert_eq!(HEXLOWER.encode(&body), text(&row["body_hex"]));
        assert_eq!(secretbox::open(&key, &body), Some(plain));
        let other = session.phase_key(&side, &Phase::number(99));
        assert_eq!(secretbox::open(&other, &body), None);
    }
}
