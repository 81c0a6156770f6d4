//! What the mailbox server says: one JSON object a message (`docs/server-protocol.md`, "What the server says").

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use serde::Serialize;

use crate::json::Json;
use crate::stamp::Stamp;
use crate::store::Message;

/// One message to a client, not yet written down: a stored message is shared until it leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Welcome(Welcome),
    /// With the command's `id`.
    Ack(Option<Json>),
    Pong(Json),
    Nameplates(Vec<String>),
    Allocated(String),
    Claimed(String),
    Released,
    Message(Arc<Message>),
    Closed,
    Error {
        error: &'static str,
        orig: Json,
    },
}

/// The first message of every connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Welcome {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) motd: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) current_cli_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    #[serde(rename = "permission-required", skip_serializing_if = "Option::is_none")]
    pub(crate) permission: Option<Permission>,
    #[serde(rename = "your-address", skip_serializing_if = "Option::is_none")]
    pub(crate) your_address: Option<YourAddress>,
}

/// What is asked of a client before it may bind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Permission {
    /// Always there, since a client in use reads nothing without it: nobody may come without doing anything.
    none: (),
    hashcash: Demand,
}

impl From<Demand> for Permission {
    fn from(hashcash: Demand) -> Self {
        Self { none: (), hashcash }
    }
}

/// A stamp that is to be made. No further key: a client in use takes none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Demand {
    pub(crate) bits: u32,
    pub(crate) resource: String,
}

/// Where a client is seen from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct YourAddress {
    port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipv4: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipv6: Option<String>,
}

impl From<SocketAddr> for YourAddress {
    fn from(at: SocketAddr) -> Self {
        let text = |ip: &dyn core::fmt::Display| Some(format!("{ip}"));
        // A client of IPv4 at a socket of both families has an address of the wrong form.
        match at.ip().to_canonical() {
            IpAddr::V4(ip) => Self { port: at.port(), ipv4: text(&ip), ipv6: None },
            IpAddr::V6(ip) => Self { port: at.port(), ipv4: None, ipv6: text(&ip) },
        }
    }
}

impl Answer {
    /// The message as it travels, sent at `now`.
    pub(crate) fn encode(&self, now: Stamp) -> Vec<u8> {
        // A string, a number and sound JSON can always be written down.
        let mut bytes = serde_json::to_vec(&self.frame()).unwrap_or_default();
        if bytes.pop() == Some(b'}') {
            bytes.extend_from_slice(format!(",\"server_tx\":{:?}}}", now.seconds()).as_bytes());
        }
        bytes
    }

    /// About how many bytes it takes to keep this until it leaves.
    pub(crate) fn weight(&self) -> usize {
        const FIXED: usize = 128;
        let text = match self {
            Self::Welcome(_) | Self::Released | Self::Closed => 0,
            Self::Ack(id) => id.as_ref().map_or(0, |id| id.as_str().len()),
            Self::Pong(pong) => pong.as_str().len(),
            Self::Nameplates(names) => names.iter().map(|name| name.len().saturating_add(48)).sum(),
            Self::Allocated(name) | Self::Claimed(name) => name.len(),
            Self::Message(message) => message.weight(),
            Self::Error { error: _, orig } => orig.as_str().len(),
        };
        text.saturating_add(FIXED)
    }

    fn frame(&self) -> Frame<'_> {
        match self {
            Self::Welcome(welcome) => Frame::Welcome { welcome },
            Self::Ack(id) => Frame::Ack { id: id.as_ref() },
            Self::Pong(pong) => Frame::Pong { pong },
            Self::Nameplates(names) => {
                Frame::Nameplates { nameplates: names.iter().map(|id| Listed { id }).collect() }
            }
            Self::Allocated(nameplate) => Frame::Allocated { nameplate },
            Self::Claimed(mailbox) => Frame::Claimed { mailbox },
            Self::Released => Frame::Released,
            Self::Message(message) => Frame::Message {
                side: &message.side,
                phase: &message.phase,
                body: &message.body,
                server_rx: message.received.seconds(),
                id: message.id.as_ref(),
            },
            Self::Closed => Frame::Closed,
            Self::Error { error, orig } => Frame::Error { error, orig },
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Frame<'a> {
    Welcome { welcome: &'a Welcome },
    Ack { id: Option<&'a Json> },
    Pong { pong: &'a Json },
    Nameplates { nameplates: Vec<Listed<'a>> },
    Allocated { nameplate: &'a str },
    Claimed { mailbox: &'a str },
    Released,
    Message { side: &'a str, phase: &'a str, body: &'a str, server_rx: f64, id: Option<&'a Json> },
    Closed,
    Error { error: &'a str, orig: &'a Json },
}

#[derive(Serialize)]
struct Listed<'a> {
    id: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_has_its_keys_and_the_time() {
        let json = |text: &str| Json::parse(text).unwrap();
        let message = Message {
            side: "aa".into(),
            phase: "pake".into(),
            body: "00".into(),
            id: None,
            received: Stamp::at(1.5),
        };
        let samples = [
            (Answer::Ack(None), r#"{"type":"ack","id":null,"server_tx":2.0}"#),
            (Answer::Ack(Some(json("[1, 2]"))), r#"{"type":"ack","id":[1, 2],"server_tx":2.0}"#),
            (
                Answer::Pong(json("12345678901234567890123")),
                r#"{"type":"pong","pong":12345678901234567890123,"server_tx":2.0}"#,
            ),
            (
                Answer::Nameplates(alloc::vec!["1".into(), "10".into()]),
                r#"{"type":"nameplates","nameplates":[{"id":"1"},{"id":"10"}],"server_tx":2.0}"#,
            ),
            (Answer::Released, r#"{"type":"released","server_tx":2.0}"#),
            (
                Answer::Message(Arc::new(message)),
                r#"{"type":"message","side":"aa","phase":"pake","body":"00","server_rx":1.5,"id":null,"server_tx":2.0}"#,
            ),
            (
                Answer::Error { error: "crowded", orig: json(r#"{"type": "open"}"#) },
                r#"{"type":"error","error":"crowded","orig":{"type": "open"},"server_tx":2.0}"#,
            ),
        ];
        for (answer, text) in samples {
            assert_eq!(String::from_utf8(answer.encode(Stamp::at(2.0))).unwrap(), text);
        }
    }

    #[test]
    fn a_mapped_address_is_shown_as_what_it_is() {
        let address = |text: &str| YourAddress::from(text.parse::<SocketAddr>().unwrap());
        assert_eq!(address("[::ffff:1.2.3.4]:5"), address("1.2.3.4:5"));
        let welcome = Welcome { your_address: Some(address("[::1]:7")), ..Welcome::default() };
        let text = String::from_utf8(Answer::Welcome(welcome).encode(Stamp::at(0.0))).unwrap();
        assert_eq!(
            text,
            r#"{"type":"welcome","welcome":{"your-address":{"port":7,"ipv6":"::1"}},"server_tx":0.0}"#
        );
    }
}
