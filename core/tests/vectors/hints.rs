//! `hints.json`: the hints that we read are those that the reference keeps, but for ports that do not exist.

use serde_json::{Value, json};
use wormhole_core::error::Misuse;
use wormhole_core::wire::hints::{DirectHint, Hint, parse_relay_argument};
use wormhole_core::wire::peer::TransferMessage;

use crate::support::{rows, text};

const FILE: &str = include_str!("../data/hints.json");

#[test]
fn relay_arguments_are_taken_and_refused_as_by_the_reference() {
    for row in rows(FILE, "argv") {
        let parsed = parse_relay_argument(text(&row["arg"]));
        if row["hint"].is_null() {
            assert!(matches!(parsed, Err(Misuse::Address(_))), "{row}");
            continue;
        }
        let DirectHint { address, priority } = parsed.unwrap().unwrap();
        let hint = json!({
            "type": "direct-tcp-v1", "priority": priority.get(), "hostname": address.host, "port": address.port
        });
        assert_eq!(hint, row["hint"], "{row}");
    }
}

#[test]
fn hints_of_a_peer_are_kept_as_by_the_reference() {
    for row in rows(FILE, "structs") {
        let hints = read(&json!([row["hint"]]));
        let mut expected = row["transit_keeps"].clone();
        for list in ["direct", "relay"] {
            let list = expected[list].as_array_mut().unwrap();
            list.retain(|hint| hint[1].as_u64().is_none_or(|port| port <= 65535));
        }
        assert_eq!(kept(&hints), numbers_as_floats(expected), "{row}");
    }
}

fn read(hints: &Value) -> Vec<Hint> {
    let message = json!({"transit": {"abilities-v1": [], "hints-v1": hints}}).to_string();
    let [TransferMessage::Transit(info)] = &TransferMessage::decode(message.as_bytes()).unwrap()[..] else {
        panic!("one message of hints");
    };
    info.hints.clone()
}

fn kept(hints: &[Hint]) -> Value {
    let triple = |hint: &DirectHint| json!([hint.address.host, hint.address.port, hint.priority.get()]);
    let (mut direct, mut relay) = (Vec::new(), Vec::new());
    for hint in hints {
        match hint {
            Hint::Direct(hint) | Hint::Tor(hint) => direct.push(triple(hint)),
            Hint::Relay(hints) => relay.push(Value::from_iter(hints.iter().map(triple))),
        }
    }
    json!({"direct": direct, "relay": relay})
}

/// The reference keeps a priority of `0` apart from `0.0`.
fn numbers_as_floats(mut value: Value) -> Value {
    let direct = value["direct"].as_array().unwrap().clone();
    let relayed = value["relay"].as_array().unwrap().clone();
    let float = |hint: &Value| json!([hint[0], hint[1], hint[2].as_f64().unwrap()]);
    value["direct"] = direct.iter().map(float).collect();
    value["relay"] =
        relayed.iter().map(|relay| Value::from_iter(relay.as_array().unwrap().iter().map(float))).collect();
    value
}
