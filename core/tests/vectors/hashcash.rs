//! `hashcash.json`.

use wormhole_core::crypto::hashcash::{is_resource, is_stamp};

use crate::support::{rows, text};

const STAMPS: &str = include_str!("../data/hashcash.json");

#[test]
fn stamps_of_others_are_stamps_whatever_their_date() {
    for row in rows(STAMPS, "stamps") {
        let stamp = text(&row["stamp"]);
        let bits = u32::try_from(row["bits_required"].as_u64().unwrap()).unwrap();
        let resource = "resource-string";
        assert!(is_resource(resource));
        assert_eq!(is_stamp(stamp, resource, bits), row["valid"].as_bool().unwrap(), "{row}");
        // No more work is believed than a stamp claims.
        assert!(!is_stamp(stamp, resource, bits + 1), "{row}");
        assert!(!is_stamp(stamp, "another", bits), "{row}");
    }
}

#[test]
fn what_is_no_stamp_is_none() {
    let good = "1:6:260101:resource-string::0123456789abcdef:10b";
    assert!(is_stamp(good, "resource-string", 6));
    for bad in [
        "",
        "1:6",
        &good.replacen('1', "0", 1),
        &good.replacen('1', "1.0", 1),
        &good.replace(":6:", ":six:"),
        &good.replace(":6:", ":-6:"),
        &good.replace(":6:", ":160:"),
        &good.replace("::", ":"),
        &good.replace(":10b", ":10b:"),
        &good.replace("10b", "10c"),
    ] {
        assert!(!is_stamp(bad, "resource-string", 6), "{bad}");
    }
}
