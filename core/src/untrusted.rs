//! Text and names that came from elsewhere. None is printed or used as a path before it passed one of these types.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A text of the peer or of a server. `Display` is the only way out to a terminal.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(Vec<u8>);

impl Text {
    /// Bytes as the wire had them: UTF-8, or WTF-8 where JSON held lone surrogates.
    pub const fn from_wire(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({:?})", String::from_utf8_lossy(&self.0))
    }
}
