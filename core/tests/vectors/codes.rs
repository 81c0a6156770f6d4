//! `codes.json`, `interop_codes.json` and `wordlist.json`.

use serde_json::Value;
use wormhole_core::code::{Code, Nameplate};
use wormhole_core::error::CodeFault;
use wormhole_core::words::{complete_words, even, odd};

use crate::support::{rows, text};

const CODES: &str = include_str!("../data/codes.json");
const INTEROP: &str = include_str!("../data/interop_codes.json");
const WORDS: &str = include_str!("../data/wordlist.json");

/// Codes that the reference takes and that we refuse on purpose, with the reason.
const STRICTER: [(&str, CodeFault); 5] = [
    ("4", CodeFault::NoDash),
    ("0", CodeFault::NoDash),
    ("999999999999999999999999999999999999999999-foo", CodeFault::NameplateTooLong),
    ("\u{664}-foo", CodeFault::Nameplate),
    ("4\n-foo", CodeFault::Nameplate),
];

#[test]
fn codes_are_taken_and_refused_as_their_duties_say() {
    for row in rows(CODES, "codes") {
        let code = text(&row["code"]);
        let stricter = STRICTER.iter().find(|(stricter, _)| *stricter == code);
        match (stricter, row["python_client_accepts"].as_bool().unwrap()) {
            (Some((_, fault)), true) => assert_eq!(Code::parse(code), Err(*fault), "{code:?}"),
            (Some(_), false) => panic!("{code:?} is no exception"),
            (None, false) => assert!(Code::parse(code).is_err(), "{code:?}"),
            (None, true) => {
                let parsed = Code::parse(code).unwrap();
                assert_eq!(parsed.nameplate().as_str(), text(&row["nameplate"]));
            }
        }
    }
}

#[test]
fn nameplates_are_taken_where_the_server_takes_them_and_are_ascii() {
    for row in rows(CODES, "nameplates") {
        let nameplate = text(&row["nameplate"]);
        let accepted = row["server_accepts"].as_bool().unwrap();
        let odd = !nameplate.is_ascii() || nameplate.ends_with('\n');
        assert_eq!(Nameplate::parse(nameplate).is_ok(), accepted && !odd, "{nameplate:?}");
    }
}

/// What others claim for a code that we take too is the nameplate that we find.
#[test]
fn other_implementations_find_the_same_nameplates() {
    for row in rows(INTEROP, "codes") {
        let Ok(code) = Code::parse(text(&row["code"])) else { continue };
        for peer in ["magic_wormhole_rs_cli", "wormhole_william"] {
            if let Some(claimed) = row[peer]["claimed_nameplate"].as_str() {
                assert_eq!(code.nameplate().as_str(), claimed, "{peer}");
            }
        }
    }
}

#[test]
fn completions_are_those_of_the_reference() {
    for row in rows(CODES, "completions") {
        let expected = usize::try_from(row["num_words"].as_u64().unwrap()).unwrap();
        let found = complete_words(text(&row["prefix"]), expected);
        assert_eq!(row["count"], found.len(), "{row}");
        let listed: Vec<&str> = row["completions"].as_array().unwrap().iter().map(text).collect();
        let mut ends = listed.split(|word| *word == "...");
        let (first, last) = (ends.next().unwrap(), ends.next().unwrap_or_default());
        assert_eq!(found[..first.len()], *first);
        assert_eq!(found[found.len() - last.len()..], *last);
    }
}

#[test]
fn the_lists_are_those_of_pgp() {
    let words = rows(WORDS, "words");
    assert_eq!(words.len(), 256);
    for row in words {
        let byte = u8::try_from(row["byte"].as_u64().unwrap()).unwrap();
        assert_eq!([even(byte), odd(byte)].map(Value::from), [row["even"].clone(), row["odd"].clone()]);
    }
}
