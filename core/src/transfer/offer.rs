//! What we offer, and how it is written.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::error::Misuse;
use crate::untrusted::{Name, Text};
use crate::wire::peer::{self, Attributes, Item, TransferMessage};
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
        /// What it keeps, where both sides can do that.
        attributes: Option<Attributes>,
    },
    /// One file, whose length shows when it ends: only where both sides can do that.
    Stream {
        /// Its name: one component of a path.
        name: String,
    },
    /// Several files and directories, in one zip archive: only where both sides can do that.
    Several {
        /// The name of each, and whether it is a directory.
        items: Vec<(String, bool)>,
        /// Exactly how many bytes of archive will flow.
        zip_size: u64,
        /// The sizes of all files together.
        bytes: u64,
        /// The number of all files.
        files: u64,
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

/// Refuses a name that no file or directory can have anywhere: [`Misuse::Name`].
pub fn check_name(name: &str) -> Result<(), Misuse> {
    let is_possible = !matches!(name, "" | "." | "..") && !name.contains(['/', '\0']);
    if is_possible { Ok(()) } else { Err(Misuse::Name) }
}

impl Offer {
    /// Refuses what is too long to be sent, and names that can be none anywhere.
    pub fn check(&self) -> Result<(), Misuse> {
        self.names().try_for_each(check_name)?;
        let is_short = TransferMessage::Offer(self.to_wire()).encode().len() <= RECORD_BYTES;
        if is_short { Ok(()) } else { Err(Misuse::TooLong { limit_bytes: RECORD_BYTES }) }
    }

    /// The names of files and directories in it.
    fn names(&self) -> impl Iterator<Item = &str> {
        let (one, several) = match self {
            Self::Text(_) => (None, &[][..]),
            Self::File { name, .. } | Self::Stream { name } | Self::Directory { name, .. } => {
                (Some(name), &[][..])
            }
            Self::Several { items, .. } => (None, &items[..]),
        };
        one.into_iter().chain(several.iter().map(|(name, _)| name)).map(String::as_str)
    }

    /// As it travels.
    pub fn to_wire(&self) -> peer::Offer {
        match self {
            Self::Text(text) => peer::Offer::Text(Text::from(text.as_str())),
            Self::File { name, size, attributes } => {
                peer::Offer::File { name: Name::from(name.as_str()), size: *size, attributes: *attributes }
            }
            Self::Stream { name } => peer::Offer::Stream { name: Name::from(name.as_str()) },
            Self::Several { items, zip_size, bytes, files } => {
                let item = |(name, is_directory): &(String, bool)| Item {
                    name: Name::from(name.as_str()),
                    is_directory: *is_directory,
                };
                let items = items.iter().map(item).collect();
                peer::Offer::Several { items, zip_size: *zip_size, bytes: *bytes, files: *files }
            }
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
