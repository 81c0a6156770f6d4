//! A server that asks for work before it serves.

use serde_json::{Value, json};
use wormhole_core::crypto::hashcash::is_stamp;
use wormhole_core::defaults::{CLOSE_LIMIT, SERVER_LIMIT, WORK_BITS};
use wormhole_core::error::{Error, ServerFault};
use wormhole_core::untrusted::Text;

use crate::faults::{Alone, code};

#[test]
fn work_is_done_and_then_everything_goes_as_ever() {
    let mut alone = asked(16, "first");
    assert_eq!(types(&mut alone), [""; 0]);
    alone.pass(SERVER_LIMIT);
    let said = alone.heard_by_the_server();
    assert_eq!(said[0]["method"], "hashcash");
    assert!(is_stamp(said[0]["stamp"].as_str().unwrap(), "first", 16));
    assert_eq!(said.iter().map(kind).collect::<Vec<_>>(), ["submit-permissions", "bind", "claim"]);
}

#[test]
fn a_new_connection_brings_new_work() {
    let mut alone = asked(16, "first");
    alone.cut();
    alone.welcome = work(9, "second");
    alone.pass(SERVER_LIMIT / 2);
    let said = alone.heard_by_the_server();
    assert!(is_stamp(said[0]["stamp"].as_str().unwrap(), "second", 9));
    alone.cut();
    alone.welcome = json!({});
    alone.pass(SERVER_LIMIT / 2);
    assert_eq!(types(&mut alone), ["bind", "claim"]);
}

#[test]
fn what_is_not_done_ends_at_once_in_words() {
    let other = json!({"permission-required": {"coin": {}}});
    let unwelcome = json!({"error": "no", "permission-required": {"hashcash": {"bits": 4, "resource": ""}}});
    let bits = WORK_BITS + 1;
    for (welcome, error) in [
        (work(bits, "r"), ServerFault::TooMuchWork { bits }.into()),
        (other, ServerFault::UnknownPermission.into()),
        (unwelcome, Error::Unwelcome(Text::from("no"))),
    ] {
        let mut alone = Alone::welcomed(welcome);
        alone.wormhole.set_code(code()).unwrap_err();
        alone.pump();
        assert_eq!(alone.result(), Err(error));
        assert_eq!(types(&mut alone), [""; 0]);
    }
}

#[test]
fn whoever_closes_does_not_wait_for_the_work() {
    let mut alone = asked(WORK_BITS, "r");
    alone.wormhole.close();
    alone.pump();
    assert_eq!(alone.result(), Err(Error::Lonely));
    alone.pass(CLOSE_LIMIT);
    assert_eq!(types(&mut alone), [""; 0]);
}

fn asked(bits: u32, resource: &str) -> Alone {
    let mut alone = Alone::welcomed(work(bits, resource));
    alone.wormhole.set_code(code()).unwrap();
    alone
}

fn work(bits: u32, resource: &str) -> Value {
    json!({"permission-required": {"none": null, "hashcash": {"bits": bits, "resource": resource}}})
}

fn types(alone: &mut Alone) -> Vec<String> {
    alone.heard_by_the_server().iter().map(kind).map(String::from).collect()
}

fn kind(said: &Value) -> &str {
    said["type"].as_str().unwrap()
}
