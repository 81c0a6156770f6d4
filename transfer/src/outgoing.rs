//! What is to be sent: looked at, measured and opened before anything is offered.

use std::fmt;
use std::fs;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

use wormhole_core::transfer::Offer;

use crate::archive::write;
use crate::error::{Doing, Error, Unsendable};
use crate::flow::Sink;
use crate::system;
use crate::walk::{Listing, check_file, special, travelling, unreadable};

/// What is to be sent: a text, one file, which need not be on a disk, or one directory.
///
/// [`Content::open`] works on the disk, and with a large directory for long: call it where that hinders nobody.
pub struct Content {
    offer: Offer,
    material: Material,
}

enum Material {
    Text,
    /// One file, wherever its bytes come from. The path is for errors.
    File {
        from: Box<dyn Read + Send>,
        path: PathBuf,
        is_memory: bool,
    },
    Directory(Box<Listing>),
}

impl Content {
    /// A text, which is shown on the other side and not stored.
    pub fn text(text: impl Into<String>) -> Self {
        Self { offer: Offer::Text(text.into()), material: Material::Text }
    }

    /// A file or a directory. It is called by the last component of the path, and a link by its own name.
    ///
    /// Whatever cannot be sent is named here and not later: pipes, sockets and devices, links that lead nowhere, what
    /// may not be read.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::opened(path, Listing::of)
    }

    /// As [`Content::open`], but what cannot be sent of a directory is left out: the errors say what and why.
    pub fn open_readable(path: &Path) -> Result<(Self, Vec<Error>), Error> {
        let mut left_out = Vec::new();
        let content = Self::opened(path, |root| {
            let (listing, errors) = Listing::of_readable(root)?;
            left_out = errors;
            Ok(listing)
        })?;
        Ok((content, left_out))
    }

    fn opened(path: &Path, list: impl FnOnce(&Path) -> Result<Listing, Error>) -> Result<Self, Error> {
        let metadata = fs::metadata(path).map_err(|why| not_there(path, &why))?;
        let name = name_of(path)?;
        if metadata.is_dir() {
            let listing = list(path)?;
            let (zip_size, bytes, files) = (listing.archive_len(), listing.bytes(), listing.files());
            let offer = Offer::Directory { name, zip_size, bytes, files };
            return Ok(Self { offer, material: Material::Directory(Box::new(listing)) });
        }
        let is_device = system::is_block_device(metadata.file_type());
        if !is_device {
            check_file(path, &metadata)?;
        }
        let file = system::open(path).map_err(|why| unreadable(path, &why))?;
        let opened = file.metadata().map_err(|why| unreadable(path, &why))?;
        let size = if is_device {
            system::device_size(&file).map_err(|why| unreadable(path, &why))?
        } else if let Some(why) = special(opened.file_type()) {
            return Err(Error::unsendable(path, why));
        } else {
            opened.len()
        };
        let material = Material::File { from: Box::new(file), path: path.to_owned(), is_memory: false };
        Ok(Self { offer: Offer::File { name, size }, material })
    }

    /// These bytes, as a file of this name.
    pub fn memory(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::ready(name, bytes.len() as u64, Cursor::new(bytes))
    }

    /// What this reader gives, as a file of this name. It must be exactly so many bytes, or the transfer fails on both
    /// sides with [`Error::Changed`] on ours. It is read on a thread of its own, and may block.
    pub fn reader(name: impl Into<String>, size: u64, reader: impl Read + Send + 'static) -> Self {
        Self::file(name.into(), size, Box::new(reader), false)
    }

    /// As [`Content::reader`], where reading never waits: what is small needs no thread then.
    pub fn ready(name: impl Into<String>, size: u64, reader: impl Read + Send + 'static) -> Self {
        Self::file(name.into(), size, Box::new(reader), true)
    }

    fn file(name: String, size: u64, from: Box<dyn Read + Send>, is_memory: bool) -> Self {
        let material = Material::File { from, path: PathBuf::from(&name), is_memory };
        Self { offer: Offer::File { name, size }, material }
    }

    /// What the other side is offered.
    pub const fn offer(&self) -> &Offer {
        &self.offer
    }

    /// How many bytes will flow over the connection.
    pub const fn size(&self) -> u64 {
        match &self.offer {
            Offer::Text(_) => 0,
            Offer::File { size, .. } => *size,
            Offer::Directory { zip_size, .. } => *zip_size,
        }
    }

    /// How many names are no plain text, and travel with something in place of what cannot be written.
    pub const fn renamed(&self) -> u64 {
        match &self.material {
            Material::Text | Material::File { .. } => 0,
            Material::Directory(listing) => listing.renamed(),
        }
    }

    /// Whether to read it takes no time, since it is in memory.
    pub(crate) const fn is_memory(&self) -> bool {
        match &self.material {
            Material::File { is_memory, .. } => *is_memory,
            Material::Text | Material::Directory(_) => false,
        }
    }

    /// Lets all of it flow.
    pub(crate) fn flow(self, sink: &mut impl Sink) -> Result<(), Error> {
        let size = self.size();
        match self.material {
            Material::Text => Ok(()),
            Material::File { mut from, path, .. } => write::copy(&mut *from, &path, size, sink, |_| ()),
            Material::Directory(listing) => write::write(&listing, sink),
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("size", &self.size()).finish_non_exhaustive()
    }
}

/// The last component of the path as it was given; for `.` and the like, of the path that it stands for.
fn name_of(path: &Path) -> Result<String, Error> {
    let name = |path: &Path| {
        let bytes = path.file_name().and_then(system::name_bytes)?;
        Some(travelling(bytes).into_owned())
    };
    if let Some(name) = name(path) {
        return Ok(name);
    }
    let whole = fs::canonicalize(path).map_err(|why| Error::disk(Doing::Read, path, &why))?;
    name(&whole).ok_or_else(|| Error::unsendable(path, Unsendable::NoName))
}

fn not_there(path: &Path, why: &io::Error) -> Error {
    if why.kind() != io::ErrorKind::NotFound {
        return unreadable(path, why);
    }
    let is_link = fs::symlink_metadata(path).is_ok();
    Error::unsendable(path, if is_link { Unsendable::BrokenLink } else { Unsendable::NotFound })
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_file_is_called_by_its_last_component() {
        let work = TempDir::new().unwrap();
        fs::write(work.path().join("a.txt"), "12345").unwrap();
        let content = Content::open(&work.path().join("./a.txt")).unwrap();
        assert_eq!(content.offer(), &Offer::File { name: "a.txt".to_owned(), size: 5 });
    }

    #[test]
    fn a_directory_is_called_by_its_own_name_however_it_is_given() {
        let work = TempDir::new().unwrap();
        let inner = work.path().join("inner");
        fs::create_dir(&inner).unwrap();
        for path in [inner.clone(), inner.join("."), inner.join("x/.."), inner.join("")] {
            fs::create_dir_all(inner.join("x")).unwrap();
            let content = Content::open(&path).unwrap();
            let Offer::Directory { name, .. } = content.offer() else { panic!("{path:?}") };
            assert_eq!(name, "inner", "{path:?}");
        }
        assert_eq!(
            Content::open(Path::new("/dev/null")).unwrap_err(),
            Error::unsendable(Path::new("/dev/null"), Unsendable::Device)
        );
    }

    #[test]
    fn what_is_not_there_is_said_plainly() {
        let at = TempDir::new().unwrap().path().join("gone");
        assert_eq!(Content::open(&at).unwrap_err(), Error::unsendable(&at, Unsendable::NotFound));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_has_content_but_no_size_is_refused_before_it_is_offered() {
        let at = Path::new("/proc/self/status");
        assert_eq!(Content::open(at).unwrap_err(), Error::unsendable(at, no_size()));
        let work = TempDir::new().unwrap();
        let link = work.path().join("link");
        std::os::unix::fs::symlink(at, &link).unwrap();
        assert_eq!(Content::open(work.path()).unwrap_err(), Error::unsendable(&link, no_size()));
    }

    #[cfg(target_os = "linux")]
    fn no_size() -> Unsendable {
        Unsendable::UnknownSize
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_called_by_its_own_name_and_sends_what_it_leads_to() {
        use std::os::unix::fs::symlink;
        let work = TempDir::new().unwrap();
        fs::write(work.path().join("target"), "12345").unwrap();
        symlink("target", work.path().join("link")).unwrap();
        symlink("nowhere", work.path().join("broken")).unwrap();
        let content = Content::open(&work.path().join("link")).unwrap();
        assert_eq!(content.offer(), &Offer::File { name: "link".to_owned(), size: 5 });
        let broken = work.path().join("broken");
        assert_eq!(Content::open(&broken).unwrap_err(), Error::unsendable(&broken, Unsendable::BrokenLink));
    }
}
