//! What is to come, and its place: a name that nobody can guess until it is complete, and then its own.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use wormhole_core::untrusted::{Name, SafeName};
use wormhole_core::wire::peer::Offer;

use crate::archive::spool::Waiting;
use crate::archive::tree::{Limits, Tree};
use crate::archive::unpack;
use crate::error::{Doing, Error};
use crate::flow::Source;
use crate::receiver::Received;
use crate::system;
use crate::temporary::{NewDirectory, Removals, new_file};

/// Where what comes is to be put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Into this directory, under the name that the other side gave it, if there is nothing by that name.
    Into(PathBuf),
    /// There. What exists there is replaced, a file by a file, once the new one is complete; into a directory that exists
    /// there it goes as with [`Destination::Into`].
    At(PathBuf),
}

/// A file or directory that was offered, with the place for it made ready. Dropping it leaves nothing on the disk.
pub struct Incoming {
    /// Bytes that will flow over the connection.
    size: u64,
    /// Where it goes; beside the disk only what it is called.
    path: PathBuf,
    /// The directory of `path`.
    directory: PathBuf,
    landing: Landing,
}

enum Landing {
    File { temporary: NamedTempFile, replace: bool },
    Directory { temporary: NewDirectory, limits: Limits },
    Memory,
    Writer(Box<dyn Write + Send>),
}

impl Incoming {
    /// Where this would go, if there it can. Nothing is made yet.
    pub fn place(offer: &Offer, destination: &Destination) -> Result<PathBuf, Error> {
        Place::of(offer, destination).map(|place| place.path)
    }

    /// Makes a place for what is offered, after looking whether there is room for it.
    pub fn prepare(offer: &Offer, destination: &Destination) -> Result<Self, Error> {
        let Place { path, directory, replace } = Place::of(offer, destination)?;
        let failed = |why: io::Error| Error::disk(Doing::Create, &path, &why);
        let (size, landing) = match offer {
            Offer::File { size, .. } => {
                check_space(&directory, *size)?;
                let temporary = new_file(&directory).map_err(failed)?;
                (*size, Landing::File { temporary, replace })
            }
            Offer::Directory { zip_size, bytes, files, .. } => {
                // Somebody who announces a longer archive than there is room for wants to fill the disk.
                check_space(&directory, *bytes.max(zip_size))?;
                let temporary = NewDirectory::new(&directory).map_err(failed)?;
                (*zip_size, Landing::Directory { temporary, limits: Limits { bytes: *bytes, files: *files } })
            }
            Offer::Text(_) | Offer::Unknown => return Err(nothing_to_store()),
        };
        Ok(Self { size, path, directory, landing })
    }

    /// Keeps the file that is offered in memory.
    pub fn in_memory(offer: &Offer) -> Result<Self, Error> {
        Self::beside_the_disk(offer, Landing::Memory)
    }

    /// Writes the file that is offered there, as it comes.
    pub fn to_writer(offer: &Offer, writer: Box<dyn Write + Send>) -> Result<Self, Error> {
        Self::beside_the_disk(offer, Landing::Writer(writer))
    }

    fn beside_the_disk(offer: &Offer, landing: Landing) -> Result<Self, Error> {
        let Offer::File { name, size } = offer else {
            return Err(wormhole_core::error::Misuse::OutOfTurn("what is offered is no file").into());
        };
        Ok(Self { size: *size, path: name.to_string().into(), directory: PathBuf::new(), landing })
    }

    /// Bytes that will flow over the connection.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The name that it will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What tells how far it has been removed again.
    pub(crate) fn removals(&self) -> Removals {
        match &self.landing {
            Landing::File { .. } | Landing::Memory | Landing::Writer(_) => Removals::default(),
            Landing::Directory { temporary, .. } => temporary.removals(),
        }
    }

    /// Whether to store it takes no time, since it stays in memory.
    pub(crate) const fn is_memory(&self) -> bool {
        matches!(self.landing, Landing::Memory)
    }

    /// Takes all that flows. It has its name when this has succeeded, and there is nothing of it on the disk otherwise.
    pub(crate) fn take(self, source: &mut impl Source) -> Result<Received, Error> {
        match self.landing {
            Landing::File { mut temporary, replace } => {
                copy(source, temporary.as_file_mut(), &self.path)?;
                source.check_wanted()?;
                let named = if replace {
                    temporary.persist(&self.path)
                } else {
                    temporary.persist_noclobber(&self.path)
                };
                named.map_err(|why| not_named(&self.path, &why.error))?;
            }
            Landing::Directory { mut temporary, limits } => {
                let mut tree = Tree::new(temporary.path(), limits);
                unpack::unpack(source, &mut tree, Waiting { directory: &self.directory, len: self.size })?;
                source.check_wanted()?;
                tree.finish(temporary.usual_mode())?;
                system::rename_new(temporary.path(), &self.path)
                    .map_err(|why| not_named(&self.path, &why))?;
                temporary.keep();
            }
            Landing::Memory => {
                let mut bytes = Vec::new();
                copy(source, &mut bytes, &self.path)?;
                return Ok(Received::Bytes(bytes.into()));
            }
            Landing::Writer(mut writer) => {
                copy(source, &mut *writer, &self.path)?;
                writer.flush().map_err(|why| Error::disk(Doing::Write, &self.path, &why))?;
                return Ok(Received::Written);
            }
        }
        Ok(Received::Stored(self.path))
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("size", &self.size).field("path", &self.path).finish_non_exhaustive()
    }
}

/// Where something goes, as far as looking can tell.
struct Place {
    path: PathBuf,
    directory: PathBuf,
    replace: bool,
}

impl Place {
    fn of(offer: &Offer, destination: &Destination) -> Result<Self, Error> {
        let (name, is_file) = match offer {
            Offer::File { name, .. } => (name, true),
            Offer::Directory { name, .. } => (name, false),
            Offer::Text(_) | Offer::Unknown => return Err(nothing_to_store()),
        };
        match destination {
            Destination::Into(directory) => Self::inside(directory, &safe(name)?),
            Destination::At(path) => match fs::metadata(path) {
                Ok(found) if found.is_dir() => Self::inside(path, &safe(name)?),
                Ok(found) if found.is_file() && is_file => Self::at(path, true),
                Err(why) if why.kind() != io::ErrorKind::NotFound => {
                    Err(Error::disk(Doing::Create, path, &why))
                }
                Err(_) if fs::symlink_metadata(path).is_err() => Self::at(path, false),
                Ok(_) | Err(_) => Err(Error::Exists { path: path.clone() }),
            },
        }
    }

    fn inside(directory: &Path, name: &SafeName) -> Result<Self, Error> {
        let path = directory.join(name.as_str());
        if fs::symlink_metadata(&path).is_ok() {
            return Err(Error::Exists { path });
        }
        Self::at(&path, false)
    }

    fn at(path: &Path, replace: bool) -> Result<Self, Error> {
        let parent = path.parent().filter(|_| path.file_name().is_some());
        let directory = parent.ok_or_else(|| Error::Exists { path: path.to_owned() })?;
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        // A slash at the end says nothing here, and would be in the way of giving the name.
        Ok(Self { path: path.components().collect(), directory: directory.to_owned(), replace })
    }
}

fn safe(name: &Name) -> Result<SafeName, Error> {
    name.safe().map_err(|_| Error::BadName(name.to_string()))
}

fn nothing_to_store() -> Error {
    wormhole_core::error::Misuse::OutOfTurn("there is nothing to store").into()
}

pub(crate) fn check_space(directory: &Path, need: u64) -> Result<(), Error> {
    match system::free_space(directory) {
        Some(free) if free < need => Err(Error::NoSpace { need, free }),
        Some(_) | None => Ok(()),
    }
}

fn copy(source: &mut impl Source, to: &mut (impl Write + ?Sized), path: &Path) -> Result<(), Error> {
    loop {
        let chunk = source.chunk()?;
        let count = chunk.len();
        if count == 0 {
            return Ok(());
        }
        to.write_all(chunk).map_err(|why| Error::disk(Doing::Write, path, &why))?;
        source.used(count);
    }
}

fn not_named(path: &Path, why: &io::Error) -> Error {
    if why.kind() == io::ErrorKind::AlreadyExists {
        Error::Exists { path: path.to_owned() }
    } else {
        Error::disk(Doing::Rename, path, why)
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;
    use wormhole_core::error::Error as CoreError;

    use super::*;
    use crate::flow::doubles::{Chunks, Unwanted};

    #[test]
    fn a_file_has_its_name_only_when_it_is_complete() {
        let work = TempDir::new().unwrap();
        let destination = Destination::Into(work.path().to_owned());
        let incoming = Incoming::prepare(&file("../up/a.txt", 5), &destination).unwrap();
        assert_eq!(incoming.path(), work.path().join("a.txt"));
        assert!(!work.path().join("a.txt").exists());
        let received = incoming.take(&mut Chunks { bytes: b"hello", at_once: 2 });
        assert_eq!(received, Ok(Received::Stored(work.path().join("a.txt"))));
        assert_eq!(fs::read(work.path().join("a.txt")).unwrap(), b"hello");
        assert_eq!(names(work.path()), ["a.txt"]);
    }

    #[test]
    fn nothing_is_left_behind_by_what_does_not_arrive() {
        let work = TempDir::new().unwrap();
        let destination = Destination::Into(work.path().to_owned());
        drop(Incoming::prepare(&file("a", 5), &destination).unwrap());
        drop(Incoming::prepare(&directory("d", 1), &destination).unwrap());
        let incoming = Incoming::prepare(&directory("d", 1), &destination).unwrap();
        incoming.take(&mut Chunks { bytes: b"no archive", at_once: 3 }).unwrap_err();
        assert!(names(work.path()).is_empty());
    }

    #[test]
    fn what_is_cancelled_when_all_has_come_gets_no_name() {
        let work = TempDir::new().unwrap();
        let destination = Destination::Into(work.path().to_owned());
        let mut archive = Vec::new();
        crate::archive::layout::End::default().write(&mut archive);
        for (offer, bytes) in [(file("a", 5), &b"hello"[..]), (directory("d", 0), &archive)] {
            let incoming = Incoming::prepare(&offer, &destination).unwrap();
            let outcome = incoming.take(&mut Unwanted(Chunks { bytes, at_once: 3 }, 0));
            assert_eq!(outcome, Err(CoreError::Cancelled.into()));
            assert!(names(work.path()).is_empty());
        }
    }

    #[test]
    fn what_exists_is_never_touched_without_being_named() {
        let work = TempDir::new().unwrap();
        fs::write(work.path().join("a"), "old").unwrap();
        let destination = Destination::Into(work.path().to_owned());
        let exists = Err(Error::Exists { path: work.path().join("a") });
        assert_eq!(Incoming::place(&file("a", 3), &destination), exists);
        assert_eq!(Incoming::place(&directory("a", 3), &destination), exists);
        assert_eq!(Incoming::place(&directory("d", 3), &Destination::At(work.path().join("a"))), exists);
        // It may also come while the content flows.
        for offer in [file("b", 3), directory("b", 0)] {
            let incoming = Incoming::prepare(&offer, &destination).unwrap();
            fs::write(work.path().join("b"), "older").unwrap();
            let mut archive = Vec::new();
            crate::archive::layout::End::default().write(&mut archive);
            let outcome = incoming.take(&mut Chunks { bytes: &archive, at_once: 100 });
            assert_eq!(outcome, Err(Error::Exists { path: work.path().join("b") }));
            assert_eq!(fs::read(work.path().join("b")).unwrap(), b"older");
            assert_eq!(names(work.path()), ["a", "b"]);
            fs::remove_file(work.path().join("b")).unwrap();
        }
    }

    #[test]
    fn a_named_file_is_replaced_when_the_new_one_is_complete_and_not_before() {
        let work = TempDir::new().unwrap();
        let at = work.path().join("a");
        fs::write(&at, "old").unwrap();
        let incoming = Incoming::prepare(&file("x", 3), &Destination::At(at.clone())).unwrap();
        assert_eq!(fs::read(&at).unwrap(), b"old");
        drop(incoming);
        assert_eq!(fs::read(&at).unwrap(), b"old");
        let incoming = Incoming::prepare(&file("x", 3), &Destination::At(at.clone())).unwrap();
        incoming.take(&mut Chunks { bytes: b"new", at_once: 3 }).unwrap();
        assert_eq!(fs::read(&at).unwrap(), b"new");
        assert_eq!(names(work.path()), ["a"]);
    }

    #[test]
    fn a_named_directory_receives_the_file_inside() {
        let work = TempDir::new().unwrap();
        let destination = Destination::At(work.path().to_owned());
        assert_eq!(Incoming::place(&file("x", 3), &destination), Ok(work.path().join("x")));
        let new = Destination::At(work.path().join("new"));
        assert_eq!(Incoming::place(&directory("x", 3), &new), Ok(work.path().join("new")));
        let slash = Destination::At(work.path().join("new/"));
        let incoming = Incoming::prepare(&file("x", 3), &slash).unwrap();
        let received = incoming.take(&mut Chunks { bytes: b"123", at_once: 3 });
        assert_eq!(received, Ok(Received::Stored(work.path().join("new"))));
    }

    #[test]
    fn a_name_that_leads_elsewhere_and_a_size_beyond_the_disk_are_refused() {
        let work = TempDir::new().unwrap();
        let destination = Destination::Into(work.path().to_owned());
        for name in ["", ".", "..", "a/", "a/.."] {
            let error = Incoming::place(&file(name, 3), &destination).unwrap_err();
            assert!(matches!(error, Error::BadName(_)), "{name}: {error}");
        }
        let error = Incoming::prepare(&file("a", u64::MAX), &destination).unwrap_err();
        assert!(matches!(error, Error::NoSpace { need: u64::MAX, .. }), "{error}");
        assert!(names(work.path()).is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn neither_a_device_nor_a_broken_link_is_replaced() {
        let work = TempDir::new().unwrap();
        let link = work.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        for path in [link, PathBuf::from("/dev/null")] {
            let place = Incoming::place(&file("x", 3), &Destination::At(path.clone()));
            assert_eq!(place, Err(Error::Exists { path }));
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_comes_has_the_permissions_of_any_new_file() {
        let work = TempDir::new().unwrap();
        fs::write(work.path().join("usual"), "").unwrap();
        fs::create_dir(work.path().join("usual-directory")).unwrap();
        let destination = Destination::Into(work.path().to_owned());
        let incoming = Incoming::prepare(&file("a", 3), &destination).unwrap();
        incoming.take(&mut Chunks { bytes: b"new", at_once: 3 }).unwrap();
        let mut archive = Vec::new();
        crate::archive::layout::End::default().write(&mut archive);
        let incoming = Incoming::prepare(&directory("d", 0), &destination).unwrap();
        incoming.take(&mut Chunks { bytes: &archive, at_once: 3 }).unwrap();
        let mode = |name| system::mode(&fs::metadata(work.path().join(name)).unwrap());
        assert_eq!(mode("a"), mode("usual"));
        assert_eq!(mode("d"), mode("usual-directory"));
    }

    fn file(name: &str, size: u64) -> Offer {
        Offer::File { name: Name::from(name), size }
    }

    fn directory(name: &str, bytes: u64) -> Offer {
        let mode = "zipfile/deflated".to_owned();
        Offer::Directory { name: Name::from(name), mode, zip_size: 22, bytes, files: 1 }
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}
