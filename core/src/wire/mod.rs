//! Messages as they travel: between a client and the mailbox server, and between the two sides.
//!
//! Whatever is read here comes from elsewhere. Unknown keys and kinds are passed over, every count is bounded, and
//! what exists as a type is well formed. The length of a whole message is for the caller to bound.

pub mod hints;
pub(crate) mod json;
pub mod peer;
pub mod server;

use alloc::boxed::Box;
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
        write!(f, "RawJson({:?})", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_a_number_only_as_it_is_counted() {
        for (phase, number) in [
            ("0", Some(0)),
            ("10", Some(10)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("00", None),
            ("+1", None),
            ("-1", None),
            ("", None),
            ("1 ", None),
            ("pake", None),
            ("dilate-0", None),
            ("\u{664}", None),
        ] {
            assert_eq!(Phase::parse(phase).unwrap().as_number(), number, "{phase:?}");
        }
        assert_eq!(Phase::number(7).as_str(), "7");
        assert_eq!([Phase::pake().as_str(), Phase::version().as_str()], ["pake", "version"]);
    }

    #[test]
    fn a_new_side_is_ten_hex_digits() {
        let mut rng = Rng::new([3; 32]);
        let [a, b] = [(); 2].map(|()| Side::draw(&mut rng));
        assert_ne!(a, b);
        assert_eq!(a.as_str().len(), 10);
        assert!(a.as_str().bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f')));
    }

    #[test]
    fn ids_are_bounded() {
        let longest = "x".repeat(ID_BYTES);
        assert_eq!(Side::parse(&longest).unwrap().as_str(), longest);
        assert_eq!(Side::parse(&"x".repeat(ID_BYTES + 1)), None);
        assert!(MailboxId::parse("").is_some());
    }

    #[test]
    fn raw_json_keeps_its_text() {
        assert_eq!(RawJson::parse(" {\"a\" : 1.0} ").unwrap().as_str(), "{\"a\" : 1.0}");
        for text in ["", "{", "1 2", "nul", "{a: 1}"] {
            assert_eq!(RawJson::parse(text), Err(Malformed), "{text}");
        }
    }
}
