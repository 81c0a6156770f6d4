//! Messages as they travel: between a client and the mailbox server, and between the two sides.
//!
//! Whatever is read here comes from elsewhere. Unknown keys and kinds are passed over, every count is bounded, and
//! what exists as a type is well formed. The length of a whole message is for the caller to bound.

pub mod hints;
pub(crate) mod json;
pub mod peer;
pub mod server;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;

use data_encoding::HEXLOWER;
use serde_json::value::RawValue;

use crate::rng::Rng;

/// The most bytes of a side, a phase, a mailbox id or an application id.
pub const ID_BYTES: usize = 256;

/// What came is no message of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a message of the protocol")
    }
}

impl core::error::Error for Malformed {}

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Any text of at most [`ID_BYTES`].
            pub fn parse(text: &str) -> Option<Self> {
                (text.len() <= ID_BYTES).then(|| Self(String::from(text)))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    )*};
}

id! {
    /// Who sent a message through the mailbox, as text chosen at random by each client.
    Side
    /// Which message of its sender a message is.
    Phase
    /// The name of a mailbox on its server.
    MailboxId
    /// What separates one application's nameplates and keys from another's.
    AppId
}

impl Side {
    /// A new side: ten hex digits.
    pub fn draw(rng: &mut Rng) -> Self {
        Self(HEXLOWER.encode(&rng.bytes::<5>()))
    }
}

impl Phase {
    /// The phase of the key exchange.
    pub fn pake() -> Self {
        Self(String::from("pake"))
    }

    /// The phase of the versions.
    pub fn version() -> Self {
        Self(String::from("version"))
    }

    /// The phase of the application's record with this number.
    pub fn number(number: u64) -> Self {
        Self(number.to_string())
    }

    /// The number, where this is the phase of an application's record: decimal, without leading zeros.
    pub fn as_number(&self) -> Option<u64> {
        let number = self.0.parse::<u64>().ok()?;
        (*self == Self::number(number)).then_some(number)
    }
}

/// Any JSON value as the text it came in, which is how it goes out again.
#[derive(Clone)]
pub struct RawJson(Box<RawValue>);

impl RawJson {
    /// Takes one JSON value; white space around it is dropped.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        serde_json::from_str(text).map(Self).map_err(|_| Malformed)
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// The value for serialising.
    pub(crate) fn as_raw(&self) -> &RawValue {
        &self.0
    }
}

impl PartialEq for RawJson {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for RawJson {}

impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("RawJson({:?})", self.as_str()))
    }
}
