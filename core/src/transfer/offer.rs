//! What we offer, and how it is written.

use alloc::string::{String, ToString};

use crate::error::Misuse;
use crate::untrusted::{Name, Text};
use crate::wire::peer::{self, TransferMessage};
use crate::wormhole::RECORD_BYTES;

/// The only way in which directories travel. The archive's entries may be stored all the same.
const MODE: &str = "zipfile/deflated";

/// What a sender has to offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// A text, which is the offer itself.
    Text(String),
    /// One file.
    File {
        /// Its name: one component of a path.
        name: String,
        /// Exactly how many bytes will flow.
        size: u64,
    },
    /// One directory, as a zip archive.
    Directory {
        /// Its name: one component of a path.
        name: String,
        /// Exactly how many bytes of archive will flow.
        zip_size: u64,
        /// The sizes of its files together.
        bytes: u64,
        /// The number of its files; directories do not count.
        files: u64,
    },
}

impl Offer {
    /// Refuses what is too long to be sent.
    pub(crate) fn check(&self) -> Result<(), Misuse> {
        let is_short = TransferMessage::Offer(self.to_wire()).encode().len() <= RECORD_BYTES;
        if is_short { Ok(()) } else { Err(Misuse::TooLong { limit_bytes: RECORD_BYTES }) }
    }

    /// As it travels.
    pub(crate) fn to_wire(&self) -> peer::Offer {
        match self {
            Self::Text(text) => peer::Offer::Text(Text::from(text.as_str())),
            Self::File { name, size } => peer::Offer::File { name: Name::from(name.as_str()), size: *size },
            Self::Directory { name, zip_size, bytes, files } => peer::Offer::Directory {
                name: Name::from(name.as_str()),
                mode: MODE.to_string(),
                zip_size: *zip_size,
                bytes: *bytes,
                files: *files,
            },
        }
    }
}
