//! JSON read leniently: only the keys that are asked for, and strings as bytes.
//!
//! Python writes names that are not UTF-8 with lone surrogates, which no Rust string can hold. As bytes they come
//! out in WTF-8. Values are kept as text until somebody asks what they are, so that nothing that nobody asks for can
//! make a message unreadable, and no nesting is followed deeper than the protocol goes.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str;

use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// One JSON value, not yet looked into.
#[derive(Clone, Copy)]
pub(crate) struct Json<'a>(&'a RawValue);

impl<'a> Json<'a> {
    /// The value, where the bytes are JSON in UTF-8.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let text = str::from_utf8(bytes).ok()?;
        serde_json::from_str(text).ok().map(Self)
    }

    /// The JSON text.
    pub(crate) fn as_str(self) -> &'a str {
        self.0.get()
    }

    /// The values under these keys, where this is an object. Of a repeated key the last counts.
    pub(crate) fn fields<const N: usize>(self, names: [&str; N]) -> Option<[Option<Self>; N]> {
        serde_json::Deserializer::from_str(self.as_str()).deserialize_map(Fields { names }).ok()
    }

    /// Hands every element to `take`, where this is a list.
    pub(crate) fn each(self, take: impl FnMut(Self)) -> Option<()> {
        serde_json::Deserializer::from_str(self.as_str()).deserialize_seq(Each { take }).ok()
    }

    /// The string in WTF-8, where this is one.
    pub(crate) fn bytes(self) -> Option<Vec<u8>> {
        serde_json::Deserializer::from_str(self.as_str()).deserialize_bytes(Bytes).ok()
    }

    /// The string, where this is one without lone surrogates.
    pub(crate) fn string(self) -> Option<String> {
        String::from_utf8(self.bytes()?).ok()
    }

    /// The number, where this is one from 0 without fraction or exponent.
    pub(crate) fn number(self) -> Option<u64> {
        serde_json::from_str(self.as_str()).ok()
    }

    /// The number, where this is any.
    pub(crate) fn float(self) -> Option<f64> {
        serde_json::from_str(self.as_str()).ok()
    }
}

/// The JSON text of a value of ours.
pub(crate) fn encode(value: &impl Serialize) -> Vec<u8> {
    let encoded = serde_json::to_vec(value);
    debug_assert!(encoded.is_ok(), "strings, numbers and raw JSON always have a text");
    encoded.unwrap_or_default()
}

struct Fields<'n, const N: usize> {
    names: [&'n str; N],
}

impl<'de, const N: usize> Visitor<'de> for Fields<'_, N> {
    type Value = [Option<Json<'de>>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(index) = map.next_key_seed(Key { names: &self.names })? {
            let value = map.next_value::<&'de RawValue>()?;
            if let Some(slot) = index.and_then(|index| found.get_mut(index)) {
                *slot = Some(Json(value));
            }
        }
        Ok(found)
    }
}

/// Which of the names a key is, if any.
struct Key<'n> {
    names: &'n [&'n str],
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E: Error>(self, key: &[u8]) -> Result<Self::Value, E> {
        Ok(self.names.iter().position(|name| name.as_bytes() == key))
    }
}

struct Each<F> {
    take: F,
}

impl<'de, F: FnMut(Json<'de>)> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(value) = list.next_element::<&'de RawValue>()? {
            (self.take)(Json(value));
        }
        Ok(())
    }
}

struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }
}
