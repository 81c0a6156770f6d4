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

    /// The number, where this is any that has a finite place among floats.
    pub(crate) fn float(self) -> Option<f64> {
        // JSON begins a number with a digit or a minus, and the standard library reads it to the last bit.
        let text = self.as_str();
        let is_number = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
        text.parse().ok().filter(|number: &f64| is_number && number.is_finite())
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

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lone_surrogates_come_out_as_wtf8_and_pairs_as_utf8() {
        assert_eq!(bytes(r#""a\udcff""#).unwrap(), b"a\xed\xb3\xbf");
        assert_eq!(bytes(r#""\ud800b""#).unwrap(), b"\xed\xa0\x80b");
        assert_eq!(bytes(r#""\ud83d\ude48""#).unwrap(), "🙈".as_bytes());
        assert_eq!(bytes(r#""\ud83d\ud83d\ude48""#).unwrap(), [b"\xed\xa0\xbd", "🙈".as_bytes()].concat());
        assert_eq!(bytes(r#""\u00e9\n\"\\""#).unwrap(), "é\n\"\\".as_bytes());
        assert!(json(r#""\udcff""#).string().is_none());
    }

    #[test]
    fn lone_surrogates_do_no_harm_where_nobody_looks() {
        let [found] = json(r#"{"\udcff": 1, "x": "\ud800", "y": {"\ud800": ["\ud800"]}, "b": 2}"#)
            .fields(["b"])
            .unwrap();
        assert_eq!(found.unwrap().number(), Some(2));
    }

    #[test]
    fn fields_are_found_by_name_and_the_last_counts() {
        let found =
            json(r#"{"a": 1, "b": [ 2 ], "a": "3", "\u0063": null}"#).fields(["b", "a", "d", "c"]).unwrap();
        assert_eq!(found.map(|it| it.map(Json::as_str)), [Some("[ 2 ]"), Some("\"3\""), None, Some("null")]);
        for text in ["[1]", "1", "\"a\"", "null"] {
            assert!(json(text).fields(["a"]).is_none(), "{text}");
        }
    }

    #[test]
    fn lists_are_handed_out_in_order() {
        let mut seen = vec![];
        assert!(json("[1, {}, [2, 3]]").each(|item| seen.push(item.as_str().to_string())).is_some());
        assert_eq!(seen, ["1", "{}", "[2, 3]"]);
        assert!(json("{}").each(|_| {}).is_none());
        assert!(json("\"ab\"").each(|_| {}).is_none());
    }

    #[test]
    fn values_are_only_what_they_are() {
        assert_eq!(json("18446744073709551615").number(), Some(u64::MAX));
        for text in ["18446744073709551616", "-1", "1.0", "1e3", "\"1\"", "null", "true"] {
            assert_eq!(json(text).number(), None, "{text}");
        }
        assert_eq!(json("2").float(), Some(2.0));
        assert_eq!(json("-2.5").float(), Some(-2.5));
        assert_eq!([json("1e999").float(), json("\"1\"").float(), json("null").float()], [None; 3]);
        for text in ["[97]", "1", "null", "{}"] {
            assert!(bytes(text).is_none(), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_in_utf8_is_refused() {
        for text in [
            b"".as_slice(),
            b"{",
            b"{} {}",
            b"\"\xff\"",
            b"\"\xed\xb3\xbf\"",
            b"\"a\nb\"",
            b"\xef\xbb\xbf{}",
            b"NaN",
        ] {
            assert!(Json::parse(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn deep_nesting_is_not_followed() {
        let deep = format!("{{\"x\": {}{}, \"a\": 1}}", "[".repeat(1 << 20), "]".repeat(1 << 20));
        let [found] = json(&deep).fields(["a"]).unwrap();
        assert_eq!(found.unwrap().number(), Some(1));
    }

    proptest! {
        #[test]
        fn a_string_comes_back_as_it_was_written(text: String) {
            let written = encode(&text);
            prop_assert_eq!(Json::parse(&written).unwrap().string(), Some(text));
        }

        #[test]
        fn no_bytes_are_too_odd_to_be_looked_at(bytes: Vec<u8>, text in "[\\[\\]{}\"\\\\u,:0-9a-d ]{0,40}") {
            for bytes in [bytes.as_slice(), text.as_bytes()] {
                if let Some(json) = Json::parse(bytes) {
                    let _ = (json.fields(["a"]), json.each(|_| {}), json.bytes(), json.number(), json.float());
                }
            }
        }
    }

    fn json(text: &str) -> Json<'_> {
        Json::parse(text.as_bytes()).unwrap()
    }

    fn bytes(text: &str) -> Option<Vec<u8>> {
        json(text).bytes()
    }
}
