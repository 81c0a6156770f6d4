//! What is to come, and its place: a name that nobody can guess until it is complete, and then its own.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile, TempDir};
use wormhole_core::untrusted::{Name, SafeName};
use wormhole_core::wire::peer::Offer;

use crate::archive::tree::{Limits, Tree};
use crate::archive::unpack;
use crate::error::{Doing, Error};
use crate::flow::Source;
use crate::system;

/// Where what comes is to be put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Into this directory, under the name that the other side gave it, if there is nothing by that name.
    Into(PathBuf),
    /// There. What exists there is replaced, a file by a file, once the new one is complete; into a directory that exists
    /// there it goes as with [`Destination::Into`].
    At(PathBuf),
}

/// A file or directory that was offered, with the place for it made ready. Dropping it leaves nothing behind.
pub struct Incoming {
    /// Bytes that will flow over the connection.
    size: u64,
    path: PathBuf,
    /// The directory of `path`.
    directory: PathBuf,
    landing: Landing,
}

enum Landing {
    File { temporary: NamedTempFile, replace: bool },
    Directory { temporary: NewDirectory, limits: Limits },
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
                let temporary = temporary_file(&directory).map_err(failed)?;
                (*size, Landing::File { temporary, replace })
            }
            Offer::Directory { zip_size, bytes, files, .. } => {
                check_space(&directory, *bytes)?;
                let temporary = NewDirectory(Some(temporary_directory(&directory).map_err(failed)?));
                (*zip_size, Landing::Directory { temporary, limits: Limits { bytes: *bytes, files: *files } })
            }
            Offer::Text(_) | Offer::Unknown => return Err(nothing_to_store()),
        };
        Ok(Self { size, path, directory, landing })
    }

    /// Bytes that will flow over the connection.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The name that it will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes all that flows. It has its name when this has succeeded, and there is nothing of it otherwise.
    pub(crate) fn take(self, source: &mut impl Source) -> Result<PathBuf, Error> {
        match self.landing {
            Landing::File { mut temporary, replace } => {
                fill(temporary.as_file_mut(), &self.path, source)?;
                let named = if replace {
                    temporary.persist(&self.path)
                } else {
                    temporary.persist_noclobber(&self.path)
                };
                named.map_err(|why| not_named(&self.path, &why.error))?;
            }
            Landing::Directory { mut temporary, limits } => {
                let mut tree = Tree::new(temporary.path(), limits);
                unpack::unpack(source, &mut tree, &self.directory)?;
                system::rename_new(temporary.path(), &self.path)
                    .map_err(|why| not_named(&self.path, &why))?;
                temporary.keep();
            }
        }
        Ok(self.path)
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
                Err(why) if why.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(path).is_err() => {
                    Self::at(path, false)
                }
                Ok(_) => Err(Error::Exists { path: path.clone() }),
                Err(why) => Err(Error::disk(Doing::Create, path, &why)),
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
        Ok(Self { path: path.to_owned(), directory: directory.to_owned(), replace })
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

fn fill(file: &mut File, path: &Path, source: &mut impl Source) -> Result<(), Error> {
    loop {
        let chunk = source.chunk()?;
        let count = chunk.len();
        if count == 0 {
            return Ok(());
        }
        file.write_all(chunk).map_err(|why| Error::disk(Doing::Write, path, &why))?;
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

/// What temporary names begin with; the rest is chance, and taken only if it is free.
const PREFIX: &str = ".wormhole-";

fn temporary_file(directory: &Path) -> io::Result<NamedTempFile> {
    let mut builder = Builder::new();
    builder.prefix(PREFIX).suffix(".part");
    #[cfg(unix)]
    builder.permissions(system::new_file());
    builder.tempfile_in(directory)
}

fn temporary_directory(directory: &Path) -> io::Result<TempDir> {
    let mut builder = Builder::new();
    builder.prefix(PREFIX).suffix(".part");
    #[cfg(unix)]
    builder.permissions(system::new_directory());
    builder.tempdir_in(directory)
}

/// A directory that is removed with all that is in it, also where an archive has forbidden that.
struct NewDirectory(Option<TempDir>);

impl NewDirectory {
    fn path(&self) -> &Path {
        self.0.as_ref().map_or(Path::new(""), TempDir::path)
    }

    /// It has its name now, and stays.
    fn keep(&mut self) {
        self.0.take().map(TempDir::keep);
    }
}

impl Drop for NewDirectory {
    fn drop(&mut self) {
        let Some(directory) = self.0.take() else { return };
        let path = directory.path().to_owned();
        if directory.close().is_err() {
            open_up(&path);
            // Nobody is left to be told if this fails too.
            fs::remove_dir_all(&path).ok();
        }
    }
}

/// Gives back the permissions that removing needs. A failure shows when removing.
fn open_up(directory: &Path) {
    system::set_mode(directory, 0o700).ok();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                system::set_mode(&entry.path(), 0o700).ok();
                open.push(entry.path());
            }
        }
    }
}
