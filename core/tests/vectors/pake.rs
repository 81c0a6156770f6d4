//! `spake2.json`.

use data_encoding::HEXLOWER;
use serde_json::Value;
use wormhole_core::code::Code;
use wormhole_core::crypto::SessionKey;
use wormhole_core::crypto::pake::{self, PakeFault};
use wormhole_core::wire::{AppId, peer};

use crate::support::{array, hex, rows, text};

const FILE: &str = include_str!("../data/spake2.json");

#[test]
fn exchanges_have_the_messages_and_keys_of_the_reference() {
    for row in rows(FILE, "cases") {
        let [a, b] = ["a", "b"].map(|side| Party::of(&row, side));
        assert_eq!(HEXLOWER.encode(&a.message()), text(&row["message_a_hex"]), "{row}");
        assert_eq!(HEXLOWER.encode(&b.message()), text(&row["message_b_hex"]), "{row}");
        let [key_a, key_b] = ["key_a_hex", "key_b_hex"].map(|key| SessionKey::from_bytes(array(&row[key])));
        assert!(a.finish(&b.message()) == Ok(key_a.clone()), "{row}");
        assert!(b.finish(&a.message()) == Ok(key_b.clone()), "{row}");
        assert_eq!(key_a == key_b, row["keys_match"].as_bool().unwrap());
    }
}

#[test]
fn the_password_is_the_code_in_normal_form() {
    for row in rows(FILE, "cases") {
        for (code, password) in [("code_a", "password_a_hex"), ("code_b", "password_b_hex")] {
            let code = Code::parse(text(&row[code])).unwrap();
            assert_eq!(code.as_str().as_bytes(), hex(&row[password]));
        }
    }
}

#[test]
fn bodies_are_read_and_written_as_the_reference_does() {
    for row in rows(FILE, "cases") {
        for side in ["a", "b"] {
            let body = text(&row[format!("pake_body_{side}_utf8")]);
            assert_eq!(body.as_bytes(), hex(&row[format!("pake_body_{side}_hex")]));
            let message: [u8; 33] = array(&row[format!("message_{side}_hex")]);
            assert_eq!(peer::decode_pake(body.as_bytes()), Ok(message.to_vec()));
            let ours: Value = serde_json::from_slice(&peer::encode_pake(&message)).unwrap();
            assert_eq!(ours, serde_json::from_str::<Value>(body).unwrap());
        }
    }
}

/// The reference takes four of these; nobody should.
#[test]
fn bad_messages_are_refused_each_for_its_reason() {
    let us = Party::of(&rows(FILE, "cases")[0], "a");
    for row in rows(FILE, "bad_inbound") {
        let expected = match text(&row["name"]) {
            "good" => Ok(SessionKey::from_bytes(array(&row["ok_key_hex"]))),
            "reflection" => Err(PakeFault::Reflection),
            "side-A" | "side-B" | "side-other" => Err(PakeFault::Prefix),
            "empty" | "short" | "long" => Err(PakeFault::Length),
            "identity"
            | "non-canonical-identity"
            | "identity-sign-bit"
            | "non-canonical-identity-sign-bit" => Err(PakeFault::Identity),
            "order-8" | "order-8L" => Err(PakeFault::NotPrimeOrder),
            "not-on-curve" => Err(PakeFault::NotAPoint),
            name => panic!("a row that is not known: {name}"),
        };
        assert_eq!(us.finish(&hex(&row["inbound_hex"])), expected, "{row}");
    }
}

struct Party {
    code: Code,
    appid: AppId,
    scalar: [u8; 64],
}

impl Party {
    fn of(row: &Value, side: &str) -> Self {
        let mut scalar = [0; 64];
        scalar[..32].copy_from_slice(&array::<32>(&row[format!("scalar_{side}_le_hex")]));
        Self {
            code: Code::parse(text(&row[format!("code_{side}")])).unwrap(),
            appid: AppId::parse(text(&row[format!("identity_{side}")])).unwrap(),
            scalar,
        }
    }

    fn message(&self) -> [u8; 33] {
        pake::start(&self.code, &self.appid, &self.scalar)
    }

    fn finish(&self, theirs: &[u8]) -> Result<SessionKey, PakeFault> {
        pake::finish(&self.code, &self.appid, &self.scalar, theirs)
    }
}
