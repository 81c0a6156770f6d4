//! What is to come, and its place: a name that nobody can guess until it is complete, and then its own.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use wormhole_core::wire::peer::{Attributes, Offer};

use crate::archive::spool::Waiting;
use crate::archive::tree::{Limits, Tree, keep_directory, keep_file};
use crate::archive::unpack;
use crate::error::{BadArchive, Doing, Error};
use crate::flow::Source;
use crate::place::{Destination, OnConflict, Place, Places, nothing_to_store};
use crate::progress::UNKNOWN;
use crate::receiver::Received;
use crate::system;
use crate::temporary::{NewDirectory, Removals, new_file};

/// A file or directory that was offered, with the place for it made ready. Dropping it leaves nothing on the disk.
pub struct Incoming {
    /// Bytes that will flow over the connection.
    size: u64,
    /// Where it goes; beside the disk only what it is called.
    path: PathBuf,
    landing: Landing,
}

enum Landing {
    File { temporary: NamedTempFile, place: Place, kept: Attributes },
    Directory { temporary: NewDirectory, places: Places, limits: Limits },
    Memory,
    Writer(Box<dyn Write + Send>),
}

impl Incoming {
    /// Where this would go, if there it can. Nothing is made yet.
    pub fn place(
        offer: &Offer,
        destination: &Destination,
        on_conflict: OnConflict,
    ) -> Result<PathBuf, Error> {
        Place::of(offer, destination, on_conflict).map(|places| places.path().to_owned())
    }

    /// Makes a place for what is offered, after looking whether there is room for it.
    pub fn prepare(offer: &Offer, destination: &Destination, on_conflict: OnConflict) -> Result<Self, Error> {
        let places = Place::of(offer, destination, on_conflict)?;
        let path = places.path().to_owned();
        let failed = |why: io::Error| Error::disk(Doing::Create, &path, &why);
        let (size, landing) = match (offer, places) {
            (Offer::File { size, attributes, .. }, Places::One(place)) => {
                check_space(&place.directory, *size)?;
                let temporary = new_file(&place.directory).map_err(failed)?;
                (*size, Landing::File { temporary, place, kept: attributes.unwrap_or_default() })
            }
            (Offer::Stream { .. }, Places::One(place)) => {
                let temporary = new_file(&place.directory).map_err(failed)?;
                (UNKNOWN, Landing::File { temporary, place, kept: Attributes::default() })
            }
            (
                Offer::Directory { zip_size, bytes, files, .. }
                | Offer::Several { zip_size, bytes, files, .. },
                places,
            ) => {
                // Somebody who announces a longer archive than there is room for wants to fill the disk.
                check_space(places.directory(), *bytes.max(zip_size))?;
                let temporary = NewDirectory::new(places.directory()).map_err(failed)?;
                let limits = Limits { bytes: *bytes, files: *files };
                (*zip_size, Landing::Directory { temporary, places, limits })
            }
            (Offer::File { .. } | Offer::Stream { .. } | Offer::Text(_) | Offer::Unknown, _) => {
                return Err(nothing_to_store());
            }
        };
        Ok(Self { size, path, landing })
    }

    /// Keeps what is offered in memory: a file, or the archive that a directory travels as.
    pub fn in_memory(offer: &Offer) -> Result<Self, Error> {
        match offer {
            // There would be no end to it.
            Offer::Stream { .. } => Err(nothing_to_store()),
            Offer::File { .. } | Offer::Directory { .. } | Offer::Several { .. } => {
                Self::beside_the_disk(offer, Landing::Memory)
            }
            Offer::Text(_) | Offer::Unknown => Err(nothing_to_store()),
        }
    }

    /// Writes what is offered there, as it comes: a file, or the archive that a directory travels as.
    pub fn to_writer(offer: &Offer, writer: Box<dyn Write + Send>) -> Result<Self, Error> {
        Self::beside_the_disk(offer, Landing::Writer(writer))
    }

    fn beside_the_disk(offer: &Offer, landing: Landing) -> Result<Self, Error> {
        let (name, size) = match offer {
            Offer::File { name, size, .. } => (name.to_string(), *size),
            Offer::Stream { name } => (name.to_string(), UNKNOWN),
            Offer::Directory { name, zip_size, .. } => (name.to_string(), *zip_size),
            Offer::Several { zip_size, .. } => (String::new(), *zip_size),
            Offer::Text(_) | Offer::Unknown => return Err(nothing_to_store()),
        };
        Ok(Self { size, path: name.into(), landing })
    }

    /// Bytes that will flow over the connection; the largest number where only the end shows it.
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
        let path = match self.landing {
            Landing::File { mut temporary, place, kept } => {
                copy(source, temporary.as_file_mut(), &self.path)?;
                keep_file(temporary.as_file(), &self.path, &kept)?;
                source.check_wanted()?;
                name_file(temporary, &place)?
            }
            Landing::Directory { mut temporary, places, limits } => {
                let mut tree = Tree::new(temporary.path(), limits);
                let waiting = Waiting { directory: places.directory(), len: self.size };
                unpack::unpack(source, &mut tree, waiting)?;
                source.check_wanted()?;
                match places {
                    Places::One(place) => {
                        tree.finish(temporary.usual_mode())?;
                        let path = place.name(|path| system::rename_new(temporary.path(), path))?;
                        temporary.keep();
                        path
                    }
                    Places::Several(_, places) => {
                        let kept = tree.finish_inside()?;
                        return name_several(temporary.path(), &places, &kept).map(Received::Several);
                    }
                }
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
        };
        Ok(Received::Stored(path))
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("size", &self.size).field("path", &self.path).finish_non_exhaustive()
    }
}

pub(crate) fn check_space(directory: &Path, need: u64) -> Result<(), Error> {
    match system::free_space(directory) {
        Some(free) if free < need => Err(Error::NoSpace { need, free }),
        Some(_) | None => Ok(()),
    }
}

/// Gives a file its name, in the place of what may be replaced there.
fn name_file(temporary: NamedTempFile, place: &Place) -> Result<PathBuf, Error> {
    let mut held = Some(temporary);
    place.name(|path| {
        let Some(temporary) = held.take() else { return Err(io::ErrorKind::NotFound.into()) };
        let named =
            if place.is_replaced() { temporary.persist(path) } else { temporary.persist_noclobber(path) };
        named.map(drop).map_err(|why| {
            held = Some(why.file);
            why.error
        })
    })
}

/// Gives each of several its name: all of them, or none but those that took the place of something.
fn name_several(
    from: &Path,
    places: &[Place],
    kept: &[(PathBuf, Attributes)],
) -> Result<Vec<PathBuf>, Error> {
    let read = |why: io::Error| Error::disk(Doing::Read, from, &why);
    let is_there = |place: &Place| {
        fs::symlink_metadata(from.join(place.item())).is_ok_and(|found| found.is_file() == place.is_file())
    };
    // Exactly what was offered, for that is what our user has accepted.
    if fs::read_dir(from).map_err(read)?.count() != places.len() || !places.iter().all(is_there) {
        return Err(BadArchive::Mismatch.into());
    }
    let mut named: Vec<PathBuf> = Vec::new();
    for place in places {
        let item = from.join(place.item());
        let moved = place.name(|path| {
            if place.is_replaced() { fs::rename(&item, path) } else { system::rename_new(&item, path) }
        });
        match moved {
            Ok(path) => named.push(path),
            Err(error) => {
                for (path, place) in named.iter().zip(places).filter(|(_, place)| !place.is_replaced()) {
                    // It is removed with the directory that it came from.
                    fs::rename(path, from.join(place.item())).ok();
                }
                return Err(error);
            }
        }
    }
    for (path, place) in named.iter().zip(places) {
        let item = from.join(place.item());
        kept.iter().filter(|(at, _)| *at == item).try_for_each(|(_, kept)| keep_directory(path, kept))?;
    }
    Ok(named)
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

#[cfg(test)]
mod tests {
    use tempfile::TempDir;
    use wormhole_core::error::Error as CoreError;
    use wormhole_core::untrusted::Name;

    use super::*;
    use crate::flow::doubles::{Chunks, Unwanted};

    #[test]
    fn a_file_has_its_name_only_when_it_is_complete() {
        let work = TempDir::new().unwrap();
        let destination = Destination::Into(work.path().to_owned());
        let incoming = prepare(&file("../up/a.txt", 5), &destination).unwrap();
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
        drop(prepare(&file("a", 5), &destination).unwrap());
        drop(prepare(&directory("d", 1), &destination).unwrap());
        let incoming = prepare(&directory("d", 1), &destination).unwrap();
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
            let incoming = prepare(&offer, &destination).unwrap();
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
        assert_eq!(place(&file("a", 3), &destination), exists);
        assert_eq!(place(&directory("a", 3), &destination), exists);
        assert_eq!(place(&directory("d", 3), &Destination::At(work.path().join("a"))), exists);
        // It may also come while the content flows.
        for offer in [file("b", 3), directory("b", 0)] {
            let incoming = prepare(&offer, &destination).unwrap();
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
        let incoming = prepare(&file("x", 3), &Destination::At(at.clone())).unwrap();
        assert_eq!(fs::read(&at).unwrap(), b"old");
        drop(incoming);
        assert_eq!(fs::read(&at).unwrap(), b"old");
        let incoming = prepare(&file("x", 3), &Destination::At(at.clone())).unwrap();
        incoming.take(&mut Chunks { bytes: b"new", at_once: 3 }).unwrap();
        assert_eq!(fs::read(&at).unwrap(), b"new");
        assert_eq!(names(work.path()), ["a"]);
    }

    #[test]
    fn a_named_directory_receives_the_file_inside() {
        let work = TempDir::new().unwrap();
        let destination = Destination::At(work.path().to_owned());
        assert_eq!(place(&file("x", 3), &destination), Ok(work.path().join("x")));
        let new = Destination::At(work.path().join("new"));
        assert_eq!(place(&directory("x", 3), &new), Ok(work.path().join("new")));
        let slash = Destination::At(work.path().join("new/"));
        let incoming = prepare(&file("x", 3), &slash).unwrap();
        let received = incoming.take(&mut Chunks { bytes: b"123", at_once: 3 });
        assert_eq!(received, Ok(Received::Stored(work.path().join("new"))));
    }

    #[test]
    fn a_name_that_leads_elsewhere_and_a_size_beyond_the_disk_are_refused() {
        let work = TempDir::new().unwrap();
        let destination = Destination::Into(work.path().to_owned());
        for name in ["", ".", "..", "a/", "a/.."] {
            let error = place(&file(name, 3), &destination).unwrap_err();
            assert!(matches!(error, Error::BadName(_)), "{name}: {error}");
        }
        let error = prepare(&file("a", u64::MAX), &destination).unwrap_err();
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
            let found = place(&file("x", 3), &Destination::At(path.clone()));
            assert_eq!(found, Err(Error::Exists { path }));
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_comes_has_the_permissions_of_any_new_file() {
        let work = TempDir::new().unwrap();
        fs::write(work.path().join("usual"), "").unwrap();
        fs::create_dir(work.path().join("usual-directory")).unwrap();
        let destination = Destination::Into(work.path().to_owned());
        let incoming = prepare(&file("a", 3), &destination).unwrap();
        incoming.take(&mut Chunks { bytes: b"new", at_once: 3 }).unwrap();
        let mut archive = Vec::new();
        crate::archive::layout::End::default().write(&mut archive);
        let incoming = prepare(&directory("d", 0), &destination).unwrap();
        incoming.take(&mut Chunks { bytes: &archive, at_once: 3 }).unwrap();
        let mode = |name| system::mode(&fs::metadata(work.path().join(name)).unwrap());
        assert_eq!(mode("a"), mode("usual"));
        assert_eq!(mode("d"), mode("usual-directory"));
    }

    fn prepare(offer: &Offer, destination: &Destination) -> Result<Incoming, Error> {
        Incoming::prepare(offer, destination, destination.usual())
    }

    fn place(offer: &Offer, destination: &Destination) -> Result<PathBuf, Error> {
        Incoming::place(offer, destination, destination.usual())
    }

    fn file(name: &str, size: u64) -> Offer {
        Offer::File { name: Name::from(name), size, attributes: None }
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
