//! What a client says: one JSON object a message (`docs/server-protocol.md`, "Commands").
//!
//! Reading is lenient where the documents are: unknown keys are passed over, of a key that comes twice the last one
//! counts, and a field of the wrong type is noted here and refused by the rule that needs it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::{Checked, Json};
use crate::limits;

/// One command with every field that any command has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) kind: Kind,
    pub(crate) id: Option<Json>,
    pub(crate) ping: Option<Json>,
    pub(crate) appid: Field,
    pub(crate) side: Field,
    pub(crate) nameplate: Field,
    pub(crate) mailbox: Field,
    pub(crate) phase: Field,
    pub(crate) body: Field,
    pub(crate) mood: Field,
    pub(crate) method: Field,
    pub(crate) stamp: Field,
    /// The name and the version of the client's program, where they are texts.
    pub(crate) client_version: [Option<String>; 2],
}

/// The `type` of a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// There was none.
    #[default]
    Missing,
    Ping,
    Bind,
    List,
    Allocate,
    Claim,
    Release,
    Open,
    Add,
    Close,
    SubmitPermission,
    Unknown,
}

/// A field that should be a string.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Field {
    #[default]
    Missing,
    Text(String),
    /// Some other JSON value.
    Other,
}

impl Command {
    /// Reads a message; `None` where it is no JSON object, or holds what must not be passed on.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Keys)
    }
}

struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = Command;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a command")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Command, A::Error> {
        let mut command = Command::default();
        while let Some(key) = map.next_key::<String>()? {
            match &*key {
                "type" => command.kind = Kind::of(&map.next_value()?),
                "id" => command.id = Some(raw(&mut map)?),
                "ping" => command.ping = Some(raw(&mut map)?),
                "appid" => command.appid = map.next_value()?,
                "side" => command.side = map.next_value()?,
                "nameplate" => command.nameplate = map.next_value()?,
                "mailbox" => command.mailbox = map.next_value()?,
                "phase" => command.phase = map.next_value()?,
                "body" => command.body = map.next_value()?,
                "mood" => command.mood = map.next_value()?,
                "method" => command.method = map.next_value()?,
                "stamp" => command.stamp = map.next_value()?,
                "client_version" => command.client_version = version(&raw(&mut map)?),
                _ => {
                    map.next_value::<Checked>()?;
                }
            }
        }
        Ok(command)
    }
}

fn raw<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Json, A::Error> {
    let raw: &'de RawValue = map.next_value()?;
    Json::parse(raw.get()).ok_or_else(|| A::Error::custom("not a value that can be passed on"))
}

/// The first two of a list. Whatever else there is counts for nothing.
fn version(value: &Json) -> [Option<String>; 2] {
    let parts: Vec<&RawValue> = serde_json::from_str(value.as_str()).unwrap_or_default();
    [0, 1].map(|at| {
        let text: String = serde_json::from_str(parts.get(at)?.get()).ok()?;
        Some(text).filter(|text| text.len() <= limits::NAME_BYTES)
    })
}

impl Kind {
    fn of(field: &Field) -> Self {
        match field {
            Field::Missing | Field::Other => Self::Unknown,
            Field::Text(name) => match name.as_str() {
                "ping" => Self::Ping,
                "bind" => Self::Bind,
                "list" => Self::List,
                "allocate" => Self::Allocate,
                "claim" => Self::Claim,
                "release" => Self::Release,
                "open" => Self::Open,
                "add" => Self::Add,
                "close" => Self::Close,
                // The word of the protocol, and that of magic-wormhole.rs.
                "submit-permissions" | "submit-permission" => Self::SubmitPermission,
                _ => Self::Unknown,
            },
        }
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }
    fn visit_str<E>(self, text: &str) -> Result<Field, E> {
        Ok(Field::Text(text.into()))
    }
    fn visit_bool<E>(self, _: bool) -> Result<Field, E> {
        Ok(Field::Other)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Field, E> {
        Ok(Field::Other)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Field, E> {
        Ok(Field::Other)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Field, E> {
        Ok(Field::Other)
    }
    fn visit_unit<E>(self) -> Result<Field, E> {
        Ok(Field::Other)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Field, A::Error> {
        Checked.visit_seq(seq).map(|_| Field::Other)
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Field, A::Error> {
        Checked.visit_map(map).map(|_| Field::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_read_with_its_fields() {
        let text = r#"{"type":"add","id":"a7","phase":"p\u00e9","body":"00","more":[1,{"x":null}]}"#;
        let command = Command::parse(text).unwrap();
        assert_eq!(command.kind, Kind::Add);
        assert_eq!(command.id, Json::parse("\"a7\""));
        assert_eq!(command.phase, Field::Text("pé".into()));
        assert_eq!(command.body, Field::Text("00".into()));
        assert_eq!(command.mailbox, Field::Missing);
    }

    #[test]
    fn null_is_a_value_and_not_an_absence() {
        let command = Command::parse(r#"{"type":"ping","ping":null,"mailbox":null}"#).unwrap();
        assert_eq!(command.ping, Some(Json::null()));
        assert_eq!(command.mailbox, Field::Other);
    }

    #[test]
    fn of_a_key_that_comes_twice_the_last_one_counts() {
        let command = Command::parse(r#"{"type":"bind","type":"ping","ping":1,"ping":2}"#).unwrap();
        assert_eq!((command.kind, command.ping), (Kind::Ping, Json::parse("2")));
    }

    #[test]
    fn a_type_that_is_no_string_is_unknown_and_none_is_missing() {
        for text in [r#"{"type":null}"#, r#"{"type":5}"#, r#"{"type":["list"]}"#, r#"{"type":"bogus"}"#] {
            assert_eq!(Command::parse(text).unwrap().kind, Kind::Unknown, "{text}");
        }
        assert_eq!(Command::parse("{}").unwrap().kind, Kind::Missing);
    }

    #[test]
    fn what_is_no_object_or_unsound_is_no_command() {
        for text in ["", "hello", "[1,2]", "\"x\"", "null", "12", "{\"type\":", "{} {}", "{\"a\":NaN}"] {
            assert_eq!(Command::parse(text), None, "{text}");
        }
        assert_eq!(Command::parse(r#"{"type":"ping","ping":1e400}"#), None);
        assert_eq!(Command::parse(r#"{"type":"ping","ping":"\udc00"}"#), None);
    }
}
