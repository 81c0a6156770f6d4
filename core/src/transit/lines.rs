//! What is said and expected on the connections of one race, all of it derived from the transit key.

use alloc::format;
use alloc::vec::Vec;

use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use super::expect::Expect;
use super::handshake::GO;
use super::{RecordKeys, Role};
use crate::crypto::TransitKey;

/// The lines of our role. They are secrets until they are said.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Lines {
    /// What we say to the peer.
    pub(crate) ours: Zeroizing<Vec<u8>>,
    /// What it must say; for a receiver with the sender's choice.
    pub(crate) theirs: Expect,
    /// What we say to a relay.
    pub(crate) relay: Zeroizing<Vec<u8>>,
    /// The keys of the records that follow.
    pub(crate) keys: RecordKeys,
}

impl Lines {
    /// The lines of this role; `side` tells us from our partner at a relay.
    pub(crate) fn new(role: Role, key: &TransitKey, side: &str) -> Self {
        let (sender, receiver) = (sender_line(key), receiver_line(key));
        let (send, receive) = (key.sender_record_key(), key.receiver_record_key());
        let relay = Zeroizing::new(relay_line(key, side));
        match role {
            Role::Sender => Self {
                ours: Zeroizing::new(sender),
                theirs: Expect::new(receiver),
                relay,
                keys: RecordKeys { send, receive },
            },
            Role::Receiver => Self {
                ours: Zeroizing::new(receiver),
                theirs: Expect::new([sender.as_slice(), GO].concat()),
                relay,
                keys: RecordKeys { send: receive, receive: send },
            },
        }
    }
}

/// The line of the sender.
pub(crate) fn sender_line(key: &TransitKey) -> Vec<u8> {
    format!("transit sender {} ready\n\n", HEXLOWER.encode(&key.sender_id())).into_bytes()
}

/// The line of the receiver.
pub(crate) fn receiver_line(key: &TransitKey) -> Vec<u8> {
    format!("transit receiver {} ready\n\n", HEXLOWER.encode(&key.receiver_id())).into_bytes()
}

/// The line to a relay: the token that our partner has too, and the side that it has not.
pub(crate) fn relay_line(key: &TransitKey, side: &str) -> Vec<u8> {
    format!("please relay {} for side {side}\n", HEXLOWER.encode(&key.relay_token())).into_bytes()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::handshake::NEVERMIND;
    use super::super::relay::OK;
    use super::*;

    #[test]
    fn the_lines_are_the_recorded_ones() {
        let vectors: Value =
            serde_json::from_str(include_str!("../../tests/data/transit_handshake.json")).unwrap();
        for row in vectors["handshakes"].as_array().unwrap() {
            let key = TransitKey::from_bytes(hex(&row["transit_key_hex"]).try_into().unwrap());
            let expected = hex(&row["receiver_expects_hex"]);
            assert_eq!(sender_line(&key), hex(&row["sender_handshake_hex"]));
            assert_eq!(receiver_line(&key), hex(&row["receiver_handshake_hex"]));
            let side = row["relay_side"].as_str().unwrap();
            assert_eq!(relay_line(&key, side), hex(&row["relay_handshake_hex"]));
            let lines = Lines::new(Role::Receiver, &key, side);
            assert_eq!(lines.theirs, Expect::new(expected));
        }
        let constants = &vectors["constants"];
        assert_eq!((GO, NEVERMIND), (&*hex(&constants["go_hex"]), &*hex(&constants["nevermind_hex"])));
        assert_eq!(OK, hex(&constants["relay_ok_hex"]));
    }

    fn hex(value: &Value) -> Vec<u8> {
        HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
    }
}
