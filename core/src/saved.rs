//! How what is well formed by its type is written down: as text or bytes, and checked again when it is read.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use data_encoding::HEXLOWER;
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

as_text!(AppId MailboxId Nameplate Phase RawJson Side);

/// Secret bytes as hex digits: written without a copy, and read where they stand into a buffer of their size. Lists of
/// numbers would be read into a buffer that grows, and text into one that others share, and both would stay in memory.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What was written as [`Hex`].
struct Plain(Zeroizing<Vec<u8>>);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = <&str>::deserialize(deserializer)?;
        let plain = HEXLOWER.decode(digits.as_bytes()).map_err(D::Error::custom)?;
        Ok(Self(Zeroizing::new(plain)))
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Hex(self.as_str().as_bytes()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Plain(bytes) = Plain::deserialize(deserializer)?;
        let text = core::str::from_utf8(&bytes).map_err(D::Error::custom)?;
        Self::parse(text).map_err(|_| D::Error::custom("no Code"))
    }
}

/// For a record of which nobody shall find a copy.
pub mod record {
    use super::*;

    /// Writes it.
    pub fn serialize<S: Serializer>(record: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        Hex(record).serialize(serializer)
    }

    /// Reads it.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        Plain::deserialize(deserializer).map(|Plain(mut record)| core::mem::take(&mut *record))
    }
}

/// As [`record`], for several in a row.
pub(crate) mod records {
    use alloc::collections::VecDeque;

    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        records: &VecDeque<Zeroizing<Vec<u8>>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(records.iter().map(|record| Hex(record)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<VecDeque<Zeroizing<Vec<u8>>>, D::Error> {
        let records = VecDeque::deserialize(deserializer)?;
        Ok(records.into_iter().map(|Plain(record)| record).collect())
    }
}

/// As [`record`], for several with their numbers.
pub(crate) mod numbered {
    use alloc::collections::BTreeMap;

    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        records: &BTreeMap<u64, Zeroizing<Vec<u8>>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(records.iter().map(|(number, record)| (number, Hex(record))))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<u64, Zeroizing<Vec<u8>>>, D::Error> {
        let records = BTreeMap::deserialize(deserializer)?;
        Ok(records.into_iter().map(|(number, Plain(record))| (number, record)).collect())
    }
}

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
