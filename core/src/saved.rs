//! How what is well formed by its type is written down: as text or bytes, and checked again when it is read.

use alloc::string::String;

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};
use zeroize::Zeroizing;

use crate::code::{Code, Nameplate};
use crate::wire::{AppId, MailboxId, Phase, RawJson, Side};
use crate::wormhole::Scalar;

macro_rules! as_text {
    ($($name:ident)*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Zeroizing::new(String::deserialize(deserializer)?);
                let parsed = Self::parse(&text).into_iter().next();
                parsed.ok_or_else(|| D::Error::custom(concat!("no ", stringify!($name))))
            }
        }
    )*};
}

as_text!(AppId Code MailboxId Nameplate Phase RawJson Side);

impl Serialize for Scalar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Longer arrays are not known there.
        self.as_bytes().as_chunks::<32>().0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let halves = Zeroizing::new(<[[u8; 32]; 2]>::deserialize(deserializer)?);
        let mut bytes = Zeroizing::new([0; 64]);
        bytes.copy_from_slice(halves.as_flattened());
        Ok(Self::new(*bytes))
    }
}

/// What we say ourselves about a fault; some of it only where a transfer is carried on, which nobody writes down.
const WORDS: [&str; 2] = ["a version message", "the code is not being typed"];

/// Reads words of ours.
pub(crate) fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'static str, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(WORDS.into_iter().find(|words| *words == text).unwrap_or("something"))
}
