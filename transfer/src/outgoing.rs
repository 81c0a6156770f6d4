//! What is to be sent: looked at, measured and opened before anything is offered.

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs;
use std::io::{self, Cursor, Read, Seek, Write};
use std::path::{Path, PathBuf};

use wormhole_core::error::{Error as CoreError, Misuse};
use wormhole_core::transfer::{Offer, check_name};
use wormhole_core::wire::peer::{Extras, ITEM_LIMIT};

use crate::archive::write;
use crate::content::on_a_thread;
use crate::error::{Doing, Error, Unsendable};
use crate::exchange::{Taken, exchange};
use crate::flow::Sink;
use crate::progress::UNKNOWN;
use crate::system;
use crate::walk::{Listing, attributes, check_file, special, travelling, unreadable, without_drive};

/// Bytes that are read at a time where all has to be read first.
const STEP: usize = 128 << 10;

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
        origin: Origin,
    },
    /// One file that ends where it ends.
    Stream(Box<dyn Read + Send>),
    Directory(Box<Listing>),
    /// Several files and directories, and what they are called together where they can only travel as one directory.
    Several(Box<Listing>, String),
}

/// Where the bytes of a file come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Where reading never waits.
    Memory,
    /// A block device.
    Device,
    /// A file, or any reader.
    Elsewhere,
}

/// Content as the other side can take it.
pub(crate) enum Fitted {
    Ready(Content),
    /// The other side must know beforehand how long it is.
    Unspooled(Unspooled),
}

/// Content whose length is not known yet, and has to be.
pub(crate) struct Unspooled {
    name: String,
    from: Box<dyn Read + Send>,
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
        let attributes = Some(attributes(&opened)).filter(|_| !is_device);
        let origin = if is_device { Origin::Device } else { Origin::Elsewhere };
        let material = Material::File { from: Box::new(file), path: path.to_owned(), origin };
        Ok(Self { offer: Offer::File { name, size, attributes }, material })
    }

    /// Several files and directories. Where the other side can only take one directory, they travel in one of this
    /// `name`.
    ///
    /// As with [`Content::open`], whatever cannot be sent is named here; so are two that have the same name.
    pub fn several(paths: &[PathBuf], name: impl Into<String>) -> Result<Self, Error> {
        Self::of_several(paths, name.into(), Listing::of_several)
    }

    /// As [`Content::several`], but what cannot be sent of a directory is left out: the errors say what and why.
    pub fn several_readable(paths: &[PathBuf], name: impl Into<String>) -> Result<(Self, Vec<Error>), Error> {
        let mut left_out = Vec::new();
        let content = Self::of_several(paths, name.into(), |roots| {
            let (listing, errors) = Listing::of_several_readable(roots)?;
            left_out = errors;
            Ok(listing)
        })?;
        Ok((content, left_out))
    }

    fn of_several(
        paths: &[PathBuf],
        name: String,
        list: impl FnOnce(&BTreeMap<Vec<u8>, PathBuf>) -> Result<Listing, Error>,
    ) -> Result<Self, Error> {
        let (mut roots, mut items) = (BTreeMap::new(), Vec::new());
        for path in paths {
            let is_directory = fs::metadata(path).map_err(|why| not_there(path, &why))?.is_dir();
            let item = without_drive(name_of(path)?.into()).into_owned();
            if roots.insert(item.clone().into_bytes(), path.clone()).is_some() {
                return Err(Error::unsendable(path, Unsendable::SameName));
            }
            items.push((item, is_directory));
        }
        if items.len() > ITEM_LIMIT {
            return Err(Error::unsendable(Path::new(&name), Unsendable::TooMany));
        }
        let listing = list(&roots)?;
        let (zip_size, bytes, files) = (listing.archive_len(), listing.bytes(), listing.files());
        let offer = Offer::Several { items, zip_size, bytes, files };
        Ok(Self { offer, material: Material::Several(Box::new(listing), name) })
    }

    /// What this reader gives until it ends, as a file of this name. It is read on a thread of its own, and may block.
    /// Where the other side must know beforehand how long it is, all of it is first read into a temporary file.
    pub fn stream(name: impl Into<String>, reader: impl Read + Send + 'static) -> Self {
        Self { offer: Offer::Stream { name: name.into() }, material: Material::Stream(Box::new(reader)) }
    }

    /// The same under another name. A text has none, and neither have several: it is that of the directory in which
    /// they travel where they must.
    #[must_use]
    pub fn named(mut self, new: impl Into<String>) -> Self {
        match (&mut self.offer, &mut self.material) {
            (Offer::File { name, .. } | Offer::Stream { name } | Offer::Directory { name, .. }, _)
            | (_, Material::Several(_, name)) => *name = new.into(),
            (Offer::Text(_) | Offer::Several { .. }, _) => {}
        }
        self
    }

    /// These bytes, as a file of this name.
    pub fn memory(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::ready(name, bytes.len() as u64, Cursor::new(bytes))
    }

    /// What this reader gives, as a file of this name. It must be exactly so many bytes, or the transfer fails on both
    /// sides with [`Error::Changed`] on ours. It is read on a thread of its own, and may block.
    pub fn reader(name: impl Into<String>, size: u64, reader: impl Read + Send + 'static) -> Self {
        Self::file(name.into(), size, Box::new(reader), Origin::Elsewhere)
    }

    /// As [`Content::reader`], where reading never waits: what is small needs no thread then.
    pub fn ready(name: impl Into<String>, size: u64, reader: impl Read + Send + 'static) -> Self {
        Self::file(name.into(), size, Box::new(reader), Origin::Memory)
    }

    fn file(name: String, size: u64, from: Box<dyn Read + Send>, origin: Origin) -> Self {
        let material = Material::File { from, path: PathBuf::from(&name), origin };
        Self { offer: Offer::File { name, size, attributes: None }, material }
    }

    /// What the other side is offered.
    pub const fn offer(&self) -> &Offer {
        &self.offer
    }

    /// Refuses what cannot be offered, in whichever way it travels.
    pub(crate) fn check(&self) -> Result<(), Misuse> {
        self.offer.check()?;
        match &self.material {
            Material::Several(_, name) => check_name(name),
            Material::Text | Material::File { .. } | Material::Stream(_) | Material::Directory(_) => Ok(()),
        }
    }

    /// How many bytes will flow over the connection; the largest number where only the end shows it.
    pub const fn size(&self) -> u64 {
        match &self.offer {
            Offer::Text(_) => 0,
            Offer::File { size, .. } => *size,
            Offer::Stream { .. } => UNKNOWN,
            Offer::Directory { zip_size, .. } | Offer::Several { zip_size, .. } => *zip_size,
        }
    }

    /// How many names are no plain text, and travel with something in place of what cannot be written.
    pub const fn renamed(&self) -> u64 {
        match &self.material {
            Material::Text | Material::File { .. } | Material::Stream(_) => 0,
            Material::Directory(listing) | Material::Several(listing, _) => listing.renamed(),
        }
    }

    /// Whether to read it takes no time, since it is in memory.
    pub(crate) const fn is_memory(&self) -> bool {
        match &self.material {
            Material::File { origin, .. } => matches!(origin, Origin::Memory),
            Material::Text | Material::Stream(_) | Material::Directory(_) | Material::Several(..) => false,
        }
    }

    /// Whether it is a block device, all of which is sent as one file.
    pub const fn is_device(&self) -> bool {
        match &self.material {
            Material::File { origin, .. } => matches!(origin, Origin::Device),
            Material::Text | Material::Stream(_) | Material::Directory(_) | Material::Several(..) => false,
        }
    }

    /// The same as the other side can take it.
    pub(crate) fn fit(mut self, extras: Extras) -> Result<Fitted, Error> {
        if let Material::Directory(listing) | Material::Several(listing, _) = &mut self.material
            && extras.attributes
        {
            listing.keep()?;
            if let Offer::Directory { zip_size, .. } | Offer::Several { zip_size, .. } = &mut self.offer {
                *zip_size = listing.archive_len();
            }
        }
        if let Offer::File { attributes, .. } = &mut self.offer
            && !extras.attributes
        {
            *attributes = None;
        }
        match (self.offer, self.material) {
            (Offer::Stream { name }, Material::Stream(from)) if !extras.stream => {
                Ok(Fitted::Unspooled(Unspooled { name, from }))
            }
            (Offer::Several { zip_size, bytes, files, .. }, Material::Several(listing, name))
                if !extras.several =>
            {
                let offer = Offer::Directory { name, zip_size, bytes, files };
                Ok(Fitted::Ready(Self { offer, material: Material::Directory(listing) }))
            }
            (offer, material) => Ok(Fitted::Ready(Self { offer, material })),
        }
    }

    /// Lets all of it flow.
    pub(crate) fn flow(self, sink: &mut impl Sink) -> Result<(), Error> {
        let size = self.size();
        match self.material {
            Material::Text => Ok(()),
            Material::File { mut from, path, .. } => write::copy(&mut *from, &path, size, sink, |_| ()),
            Material::Stream(mut from) => write::copy_all(&mut *from, Path::new("-"), sink),
            Material::Directory(listing) | Material::Several(listing, _) => write::write(&listing, sink),
        }
    }
}

impl Unspooled {
    /// Reads all of it into a file without a name, on a thread.
    pub(crate) fn spool(self) -> Result<impl Future<Output = Result<Content, Error>>, Error> {
        let (to_task, mut from_thread) = exchange::<(), _>();
        on_a_thread(move || {
            let content = self.read(|| to_task.is_abandoned());
            to_task.finish(content);
        })?;
        Ok(async move {
            match from_thread.take().await {
                Taken::Buffer(()) | Taken::Ended(None) => Err(Error::NoThread),
                Taken::Ended(Some(content)) => content,
            }
        })
    }

    fn read(mut self, is_abandoned: impl Fn() -> bool) -> Result<Content, Error> {
        let at = env::temp_dir();
        let failed = |why: io::Error| Error::disk(Doing::Write, &at, &why);
        let mut file = tempfile::tempfile_in(&at).map_err(failed)?;
        let (mut step, mut size) = (vec![0; STEP], 0_u64);
        loop {
            let read = write::read(&mut *self.from, &mut step);
            let count = read.map_err(|why| Error::disk(Doing::Read, Path::new(&self.name), &why))?;
            if count == 0 {
                break;
            }
            if is_abandoned() {
                return Err(CoreError::Cancelled.into());
            }
            file.write_all(step.get(..count).unwrap_or_default()).map_err(failed)?;
            size = size.saturating_add(count as u64);
        }
        file.rewind().map_err(failed)?;
        Ok(Content::file(self.name, size, Box::new(file), Origin::Elsewhere))
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
        assert!(matches!(content.offer(), Offer::File { name, size: 5, .. } if name == "a.txt"));
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
        assert!(matches!(content.offer(), Offer::File { name, size: 5, .. } if name == "link"));
        let broken = work.path().join("broken");
        assert_eq!(Content::open(&broken).unwrap_err(), Error::unsendable(&broken, Unsendable::BrokenLink));
    }
}
