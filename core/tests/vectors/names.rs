//! `capture_odd_messages.json`: hostile names, and what the reference makes of them.

use wormhole_core::untrusted::{Name, SafePath};
use wormhole_core::wire::peer::{Offer, TransferMessage};

use crate::support::{rows, text};

const FILE: &str = include_str!("../data/capture_odd_messages.json");

#[test]
fn offered_names_become_those_of_the_reference_or_safer_ones() {
    let mut names = 0;
    for row in rows(FILE, "to_receiver") {
        let Some(name) =
            row["peer_sends"].as_array().unwrap().iter().find_map(|sent| offered(&sent.to_string()))
        else {
            continue;
        };
        names += 1;
        let ours = name.safe().ok().map(|name| format!("{name}.tmp"));
        match row["tmp_file_left"].as_str() {
            // Backslashes separate, and control characters are rewritten.
            Some("a\\b.tmp") => assert_eq!(ours.unwrap(), "b.tmp"),
            Some("new\nline.tmp") => assert_eq!(ours.unwrap(), "new_line.tmp"),
            Some(theirs) => assert_eq!(ours.unwrap(), theirs),
            None => {
                let is_bad = ["", "..", "dir/"].contains(&name.to_unicode().as_str());
                assert_eq!(ours.is_none(), is_bad, "{name}");
            }
        }
    }
    assert!(names > 10);
}

#[test]
fn whatever_a_peer_sends_is_read_or_refused() {
    for list in ["to_receiver", "to_text_sender", "to_file_sender"] {
        for sent in rows(FILE, list).iter().flat_map(|row| row["peer_sends"].as_array().unwrap().clone()) {
            let plain = sent.as_str().map_or_else(|| sent.to_string(), String::from);
            let decoded = TransferMessage::decode(plain.as_bytes());
            assert_eq!(decoded.is_err(), !plain.starts_with('{'), "{plain}");
        }
    }
}

#[test]
fn entries_of_archives_are_refused_where_the_reference_refuses_them() {
    for row in rows(FILE, "zip_extraction") {
        let path = SafePath::parse(text(&row["entry"]).as_bytes());
        match text(&row["entry"]) {
            // The reference refuses what it writes itself for an empty directory.
            "./" => assert!(path.unwrap().components().is_empty()),
            entry => assert_eq!(path.is_ok(), row["result"] == "ok", "{entry}"),
        }
    }
}

fn offered(plain: &str) -> Option<Name> {
    TransferMessage::decode(plain.as_bytes()).ok()?.into_iter().find_map(|message| match message {
        TransferMessage::Offer(Offer::File { name, .. } | Offer::Directory { name, .. }) => Some(name),
        TransferMessage::Offer(
            Offer::Text(_) | Offer::Stream { .. } | Offer::Several { .. } | Offer::Unknown,
        )
        | TransferMessage::Transit(_)
        | TransferMessage::Answer(_)
        | TransferMessage::Error(_) => None,
    })
}
