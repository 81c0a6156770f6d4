//! What can go wrong with a transfer beyond what the core knows: the disk, the archive, what cannot be sent.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use wormhole_core::error::{Error as CoreError, Misuse};
use wormhole_core::untrusted::is_harmful;

/// How a transfer failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The wormhole, the connection for the content, or the other side.
    Wormhole(CoreError),
    /// Our own disk.
    Disk {
        /// What was tried.
        doing: Doing,
        /// With which file or directory.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// Something that cannot be sent.
    Unsendable {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        why: Unsendable,
    },
    /// A file is not what it was when it was offered.
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// There is something by that name already.
    Exists {
        /// The file or directory.
        path: PathBuf,
    },
    /// There is not enough room on the disk.
    NoSpace {
        /// Bytes wanted.
        need: u64,
        /// Bytes there are.
        free: u64,
    },
    /// The name that the other side offers cannot be one here; it is shown escaped.
    BadName(String),
    /// The archive that came cannot be unpacked.
    BadArchive(BadArchive),
    /// The thread that works on the disk could not be started, or died.
    NoThread,
}

/// What was tried with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Reading it, or asking what it is.
    Read,
    /// Making it.
    Create,
    /// Writing to it.
    Write,
    /// Giving it its name.
    Rename,
}

/// Why something cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsendable {
    /// There is nothing by that name.
    NotFound,
    /// A symbolic link that leads nowhere.
    BrokenLink,
    /// A pipe, which has no end that could be known.
    Fifo,
    /// A socket.
    Socket,
    /// A device.
    Device,
    /// It may not be read; the text is the system's.
    Unreadable(String),
    /// It says that it is empty and is not, as the files of `/proc`.
    UnknownSize,
    /// It has no name of its own, as the root of the file system.
    NoName,
    /// Its name is not valid text, and what would stand for it is another file's name.
    NameClash,
    /// Its path is too long for an archive.
    NameTooLong,
    /// All in all too large for an archive.
    TooLarge,
    /// Something else that is sent with it has the same name.
    SameName,
    /// More files and directories at once than an offer can name.
    TooMany,
}

/// Why an archive cannot be unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadArchive {
    /// It is no archive, or a broken one; the text says more.
    Malformed(&'static str),
    /// An entry would be written outside of the directory, or has a name that cannot be one here; it is shown escaped.
    Path(String),
    /// Two entries have the same name; it is shown escaped.
    Twice(String),
    /// An entry is a link; its name is shown escaped.
    Link(String),
    /// An entry is encrypted, or compressed in a way that is not in use.
    Method,
    /// More bytes than were announced.
    TooManyBytes,
    /// More files than were announced.
    TooManyFiles,
    /// More directories than anybody has.
    TooManyDirectories,
    /// The content of an entry is not what its checksum says; its name is shown escaped.
    Checksum(String),
    /// The list at the end of the archive is not that of its entries.
    Mismatch,
}

impl Error {
    /// A failure of the disk.
    pub(crate) fn disk(doing: Doing, path: &Path, why: &io::Error) -> Self {
        Self::Disk { doing, path: path.to_owned(), why: reason(why) }
    }

    pub(crate) fn unsendable(path: &Path, why: Unsendable) -> Self {
        Self::Unsendable { path: path.to_owned(), why }
    }

    /// The error as the machine, and through it the other side, is told: no path of ours, and written as the other user
    /// will read it.
    pub(crate) fn for_the_machine(&self) -> CoreError {
        let text = match self {
            Self::Wormhole(error) => return error.clone(),
            Self::Exists { .. } | Self::NoSpace { .. } | Self::BadName(_) => return CoreError::Rejected,
            Self::Disk { doing: Doing::Read, .. } => "a file could not be read",
            Self::Disk { doing: Doing::Create | Doing::Write | Doing::Rename, .. } => {
                "what was sent could not be stored"
            }
            Self::Unsendable { .. } => "a file cannot be sent",
            Self::Changed { .. } => "a file changed while it was being sent",
            Self::BadArchive(_) => "the directory could not be unpacked",
            Self::NoThread => "out of resources",
        };
        CoreError::Failed(text.to_owned())
    }
}

/// The system's words, without the number that Rust adds.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// A path as it may be printed: between quotes, with everything escaped that could move a cursor.
struct Shown<'a>(&'a Path);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", escaped(&self.0.to_string_lossy()))
    }
}

/// A name as it may be printed.
pub(crate) fn escaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if is_harmful(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wormhole(error) => error.fmt(f),
            Self::Disk { doing, path, why } => write!(f, "{} cannot be {doing}: {why}", Shown(path)),
            Self::Unsendable { path, why } => write!(f, "cannot send {}: {why}", Shown(path)),
            Self::Changed { path } => {
                write!(
                    f,
                    "{} changed while it was being sent; send it again once it is complete",
                    Shown(path)
                )
            }
            Self::Exists { path } => write!(f, "{} exists already and is left as it is", Shown(path)),
            Self::NoSpace { need, free } => {
                write!(f, "not enough free space: {need} bytes are needed and {free} are there")
            }
            Self::BadName(name) => write!(f, "the offered name '{name}' cannot be used here"),
            Self::BadArchive(why) => write!(f, "the directory that came cannot be unpacked: {why}"),
            Self::NoThread => f.write_str("the thread for the disk could not be started, or ended early"),
        }
    }
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Create => "created",
            Self::Write => "written",
            Self::Rename => "given its name",
        })
    }
}

impl fmt::Display for Unsendable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "there is no such file or directory",
            Self::BrokenLink => "it is a link that leads nowhere",
            Self::Fifo => "it is a named pipe, and only files and directories can be sent",
            Self::Socket => "it is a socket, and only files and directories can be sent",
            Self::Device => "it is a device, and only files and directories can be sent",
            Self::Unreadable(why) => return write!(f, "it cannot be read: {why}"),
            Self::UnknownSize => "how long it is shows only when it is read; copy it first",
            Self::NoName => "it has no name; name a directory in it",
            Self::NameClash => "its name is no plain text, and what would stand for it is taken; rename it",
            Self::NameTooLong => "its path is too long",
            Self::TooLarge => "it is too large",
            Self::SameName => "something else that is sent with it has the same name",
            Self::TooMany => "more than 10000 files and directories are named; put them into one directory",
        })
    }
}

impl fmt::Display for BadArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "the archive is broken: {what}"),
            Self::Path(name) => write!(f, "the entry '{name}' has a name that is not allowed"),
            Self::Twice(name) => write!(f, "the entry '{name}' is there twice"),
            Self::Link(name) => write!(f, "the entry '{name}' is a link"),
            Self::Method => f.write_str("an entry is encrypted, or compressed in an unknown way"),
            Self::TooManyBytes => f.write_str("it is larger than was announced"),
            Self::TooManyFiles => f.write_str("it has more files than were announced"),
            Self::TooManyDirectories => f.write_str("it has too many directories"),
            Self::Checksum(name) => write!(f, "the entry '{name}' does not fit its checksum"),
            Self::Mismatch => f.write_str("its list of contents is not that of its entries"),
        }
    }
}

impl std::error::Error for Unsendable {}
impl std::error::Error for BadArchive {}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Wormhole(error) => Some(error),
            Self::Unsendable { why, .. } => Some(why),
            Self::BadArchive(why) => Some(why),
            Self::Disk { .. }
            | Self::Changed { .. }
            | Self::Exists { .. }
            | Self::NoSpace { .. }
            | Self::BadName(_)
            | Self::NoThread => None,
        }
    }
}

impl From<CoreError> for Error {
    fn from(error: CoreError) -> Self {
        Self::Wormhole(error)
    }
}

impl From<Misuse> for Error {
    fn from(fault: Misuse) -> Self {
        Self::Wormhole(fault.into())
    }
}

impl From<BadArchive> for Error {
    fn from(why: BadArchive) -> Self {
        Self::BadArchive(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_move_the_cursor() {
        let error = Error::Exists { path: "a\u{1b}[2J\nb\u{202e}c".into() };
        assert_eq!(error.to_string(), r"'a\u{1b}[2J\nb\u{202e}c' exists already and is left as it is");
    }

    #[test]
    fn the_system_speaks_without_numbers() {
        assert_eq!(reason(&io::Error::from_raw_os_error(2)), "No such file or directory");
    }

    #[test]
    fn what_lies_behind_an_error_is_its_source() {
        use std::error::Error as _;

        let error = Error::Unsendable { path: "a".into(), why: Unsendable::Fifo };
        assert_eq!(error.source().unwrap().downcast_ref(), Some(&Unsendable::Fifo));
        let error = Error::from(BadArchive::Mismatch);
        assert_eq!(error.source().unwrap().downcast_ref(), Some(&BadArchive::Mismatch));
        let error = Error::from(CoreError::Lonely);
        assert_eq!(error.source().unwrap().downcast_ref(), Some(&CoreError::Lonely));
    }
}
