//! Codes as links.

use wormhole_core::code::Code;
use wormhole_core::uri::{Role, Uri};

use crate::support::{rows, text};

const VECTORS: &str = include_str!("../data/uri.json");

#[test]
fn links_are_written_as_every_reader_takes_them() {
    for row in rows(VECTORS, "build") {
        let code = Code::parse(text(&row["code"])).unwrap();
        let is_normal = code.as_str() == text(&row["code"]);
        let mut uri = Uri::new(code);
        if let Some(server) = row["rendezvous"].as_str() {
            uri = uri.mailbox(server).unwrap();
        }
        if row["role"].as_str() == Some("leader") {
            uri = uri.for_role(Role::Leader);
        }
        let wanted = text(&row["uri"]);
        // A code is written in its normal form, whichever it was given in.
        assert!(!is_normal || uri.to_string() == wanted, "{uri} is not {wanted}");
        let read = Uri::parse(wanted).unwrap();
        assert_eq!((read.code(), read.role()), (uri.code(), uri.role()), "{wanted}");
    }
}

#[test]
fn links_are_read_or_refused_by_the_rules() {
    for row in rows(VECTORS, "parse") {
        let (uri, read) = (text(&row["uri"]), Uri::parse(text(&row["uri"])));
        match text(&row["wanted"]) {
            "accept" => {
                let read = read.unwrap();
                let theirs = &row["magic_wormhole_rs"];
                assert_eq!(read.code(), &Code::parse(text(&theirs["code"])).unwrap(), "{uri}");
                let role = if theirs["role"] == "leader" { Role::Leader } else { Role::Follower };
                assert_eq!(read.role(), role, "{uri}");
            }
            "reject" => assert!(read.is_err(), "{uri} was taken"),
            other => assert_eq!(other, "either"),
        }
    }
}
