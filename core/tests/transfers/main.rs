//! Whole transfers in memory: two sides, a mailbox server, a relay and a network, none of them real.

mod captures;
mod net;
mod odd_messages;
mod pair;
mod records;
mod server;
mod streams;
mod world;

use serde_json::Value;

/// A file of vectors or a recording.
fn vectors(name: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    serde_json::from_slice(&std::fs::read(path).expect("the file is in the tree")).expect("it is JSON")
}

/// The bytes behind a hex string.
fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().expect("hex is a string");
    data_encoding::HEXLOWER.decode(text.as_bytes()).expect("it is hex")
}
