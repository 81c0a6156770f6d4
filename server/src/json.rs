//! JSON that comes back as it came: numbers of any length, and commands inside an `error`.

use alloc::string::String;
use core::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::value::RawValue;

/// The text of one JSON value, unchanged and known to be sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Json(String);

impl Json {
    /// The value `null`.
    pub fn null() -> Self {
        Self("null".into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value, if it is one that may be passed on: no number that is too large for its readers, no half of a
    /// surrogate pair, no deep nesting.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str::<Checked>(text).ok()?;
        Some(Self(text.trim_matches([' ', '\t', '\n', '\r']).into()))
    }

    /// Whether lists and objects are nested deeper than this in a text, sound or not.
    pub(crate) fn is_deeper(text: &str, limit: usize) -> bool {
        let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
        for byte in text.bytes() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                b'[' | b'{' if !in_string => depth = depth.saturating_add(1),
                b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > limit {
                return true;
            }
        }
        false
    }

    /// What was sent, for an `error`: whole where it is short, and otherwise an object of those keys that fit.
    pub(crate) fn shortened(text: &str, limit_bytes: usize) -> Self {
        if text.len() <= limit_bytes {
            return Self::parse(text).unwrap_or_else(Self::null);
        }
        let fitting = serde_json::Deserializer::from_str(text).deserialize_map(Fitting { limit_bytes });
        fitting.map_or_else(|_| Self::null(), Self)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(S::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// A value that was looked at to the end and found sound, and is not kept.
pub(crate) struct Checked;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // `IgnoredAny` would skip over what is read here: this way numbers, strings and depth are checked.
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Checked {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<Self>()?.is_some() {}
        Ok(self)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

/// Writes down the keys of an object, those left out that no longer fit.
struct Fitting {
    limit_bytes: usize,
}

impl<'de> Visitor<'de> for Fitting {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<String, A::Error> {
        let mut object = String::from("{");
        while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
            let key = serde_json::to_string(&key).map_err(A::Error::custom)?;
            let sound = Json::parse(value.get()).is_some();
            // A comma, a colon and the closing brace.
            let more = key.len().saturating_add(value.get().len()).saturating_add(3);
            if !sound || object.len().saturating_add(more) > self.limit_bytes {
                continue;
            }
            if object.len() > 1 {
                object.push(',');
            }
            object.push_str(&key);
            object.push(':');
            object.push_str(value.get());
        }
        object.push('}');
        Ok(object)
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn what_readers_could_not_take_is_refused() {
        for bad in ["NaN", "Infinity", "1e400", "-1e999", r#""\ud800""#, "[1", "", "\u{feff}{}", "\"\u{1}\""]
        {
            assert_eq!(Json::parse(bad), None, "{bad:?}");
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(Json::parse(&deep), None);
    }

    #[test]
    fn depth_is_that_of_lists_and_objects_and_not_of_texts() {
        for (text, depth) in
            [("1", 0), ("[]", 1), (r#"{"a":[{}]}"#, 3), (r#"["[[[\"[", []]"#, 2), ("[][][]", 1)]
        {
            assert!(!Json::is_deeper(text, depth), "{text}");
            assert!(depth == 0 || Json::is_deeper(text, depth - 1), "{text}");
        }
    }

    #[test]
    fn numbers_come_back_as_they_came() {
        for number in ["123456789012345678901234567890", "1.10", "-0", "1E5"] {
            let json = Json::parse(number).unwrap();
            assert_eq!(serde_json::to_string(&json).unwrap(), number);
        }
    }

    #[test]
    fn a_long_command_is_shortened_by_whole_keys() {
        let text = format!(r#"{{"type": "add", "body": "{}", "phase": "x\u0000"}}"#, "0".repeat(5000));
        assert_eq!(Json::shortened(&text, 4096).as_str(), r#"{"type":"add","phase":"x\u0000"}"#);
        let list = format!("[{}1]", "1,".repeat(4000));
        assert_eq!(Json::shortened(&list, 4096), Json::null());
    }

    #[test]
    fn a_shortened_command_never_exceeds_the_limit() {
        let text = format!(r#"{{"a":1,"b":"{}"}}"#, "x".repeat(30));
        for limit in 2..text.len() {
            let short = Json::shortened(&text, limit);
            assert!(short.as_str().len() <= limit.max("null".len()), "{limit}: {short:?}");
            assert!(Json::parse(short.as_str()).is_some());
        }
    }
}
