//! Where what comes is to be put, and what becomes of what is there already.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use wormhole_core::untrusted::{NAME_BYTES, Name};
use wormhole_core::wire::peer::{Item, Offer};

use crate::error::{Doing, Error};

/// The highest number that a name gets to be told from those that exist.
const NUMBERS: u32 = 9999;
/// How often a name is looked for again that was taken while the content came.
const TRIES: usize = 8;

/// Where what comes is to be put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Into this directory, under the name that the other side gave it.
    Into(PathBuf),
    /// There. Into a directory that exists there it goes as with [`Destination::Into`].
    At(PathBuf),
}

/// What to do where something of that name exists already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConflict {
    /// Leave it alone: [`Error::Exists`].
    Refuse,
    /// Leave it alone, and put a number into the new name: `name (1).ext`.
    Rename,
    /// Replace a file by a file, once the new one is complete. A directory is never replaced, nor what is neither.
    Overwrite,
}

impl Destination {
    /// What is done there unless somebody says more: only a name that our user has given himself is replaced.
    pub fn usual(&self) -> OnConflict {
        match self {
            Self::At(path) if !path.is_dir() => OnConflict::Overwrite,
            Self::At(_) | Self::Into(_) => OnConflict::Refuse,
        }
    }
}

/// Where something goes, as far as looking can tell.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Its name, unless that is taken when it is complete.
    pub(crate) path: PathBuf,
    /// The directory of `path`.
    pub(crate) directory: PathBuf,
    /// The name before it got a number.
    wanted: PathBuf,
    is_file: bool,
    on_conflict: OnConflict,
}

/// Where all that is offered goes.
#[derive(Debug)]
pub(crate) enum Places {
    /// One file or directory.
    One(Place),
    /// Several into this directory.
    Several(PathBuf, Vec<Place>),
}

impl Places {
    /// The directory in which what comes is put together.
    pub(crate) fn directory(&self) -> &Path {
        match self {
            Self::One(place) => &place.directory,
            Self::Several(directory, _) if directory.as_os_str().is_empty() => Path::new("."),
            Self::Several(directory, _) => directory,
        }
    }

    /// What our user is told.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::One(place) => &place.path,
            Self::Several(directory, _) => directory,
        }
    }
}

impl Place {
    /// The place of each file and directory that is offered.
    pub(crate) fn of(
        offer: &Offer,
        destination: &Destination,
        on_conflict: OnConflict,
    ) -> Result<Places, Error> {
        let one = |name, is_file| Self::one(name, is_file, destination, on_conflict).map(Places::One);
        match offer {
            Offer::File { name, .. } | Offer::Stream { name } => one(name, true),
            Offer::Directory { name, .. } => one(name, false),
            Offer::Several { items, .. } => match destination {
                Destination::At(path) if !path.is_dir() => {
                    Self::at(path, false, on_conflict).map(Places::One)
                }
                Destination::At(directory) | Destination::Into(directory) => {
                    let mut places = Vec::new();
                    for Item { name, is_directory } in items {
                        let place = Self::inside(directory, name, !is_directory, on_conflict)?;
                        if places.iter().any(|other: &Self| other.wanted == place.wanted) {
                            return Err(Error::BadName(name.to_string()));
                        }
                        places.push(place);
                    }
                    Ok(Places::Several(directory.clone(), places))
                }
            },
            Offer::Text(_) | Offer::Unknown => Err(nothing_to_store()),
        }
    }

    fn one(
        name: &Name,
        is_file: bool,
        destination: &Destination,
        on_conflict: OnConflict,
    ) -> Result<Self, Error> {
        match destination {
            Destination::Into(directory) => Self::inside(directory, name, is_file, on_conflict),
            Destination::At(path) if path.is_dir() => Self::inside(path, name, is_file, on_conflict),
            Destination::At(path) => Self::at(path, is_file, on_conflict),
        }
    }

    fn inside(directory: &Path, name: &Name, is_file: bool, on_conflict: OnConflict) -> Result<Self, Error> {
        let name = name.safe().map_err(|_| Error::BadName(name.to_string()))?;
        Self::at(&directory.join(name.as_str()), is_file, on_conflict)
    }

    fn at(path: &Path, is_file: bool, on_conflict: OnConflict) -> Result<Self, Error> {
        let exists = || Error::Exists { path: path.to_owned() };
        let parent = path.parent().filter(|_| path.file_name().is_some()).ok_or_else(exists)?;
        let directory = if parent.as_os_str().is_empty() { Path::new(".") } else { parent }.to_owned();
        // A slash at the end says nothing here, and would be in the way of giving the name.
        let wanted: PathBuf = path.components().collect();
        let path = match fs::symlink_metadata(path) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => {
                // Where its directory is missing too, it can be said now.
                fs::metadata(&directory).map_err(|why| Error::disk(Doing::Create, path, &why))?;
                wanted.clone()
            }
            Err(why) => return Err(Error::disk(Doing::Create, path, &why)),
            Ok(_) => match on_conflict {
                OnConflict::Refuse => return Err(exists()),
                OnConflict::Rename => numbered(&wanted, is_file)?,
                OnConflict::Overwrite if is_file && fs::metadata(path).is_ok_and(|it| it.is_file()) => {
                    wanted.clone()
                }
                OnConflict::Overwrite => return Err(exists()),
            },
        };
        Ok(Self { path, directory, wanted, is_file, on_conflict })
    }

    /// What it is called below the directory into which several are unpacked.
    pub(crate) fn item(&self) -> &OsStr {
        self.wanted.file_name().unwrap_or_default()
    }

    pub(crate) const fn is_file(&self) -> bool {
        self.is_file
    }

    /// Whether what exists there by then may be replaced.
    pub(crate) fn is_replaced(&self) -> bool {
        self.is_file && self.on_conflict == OnConflict::Overwrite
    }

    /// Has `give` give what has come its name, and another where that was taken meanwhile and our user wants it so.
    /// Answers the name that it has.
    pub(crate) fn name(&self, mut give: impl FnMut(&Path) -> io::Result<()>) -> Result<PathBuf, Error> {
        let mut path = self.path.clone();
        for _ in 0..TRIES {
            match give(&path) {
                Ok(()) => return Ok(path),
                Err(why) if why.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(Error::disk(Doing::Rename, &path, &why));
                }
                Err(_) if self.on_conflict != OnConflict::Rename => break,
                Err(_) => path = numbered(&self.wanted, self.is_file)?,
            }
        }
        Err(Error::Exists { path })
    }
}

/// The first name with a number that is free.
fn numbered(path: &Path, is_file: bool) -> Result<PathBuf, Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (stem, ending) = if is_file { split(&name) } else { (&*name, "") };
    (1..=NUMBERS)
        .map(|number| {
            let behind = format!(" ({number}){ending}");
            let most = NAME_BYTES.saturating_sub(behind.len());
            path.with_file_name(format!("{}{behind}", shortened(stem, most)))
        })
        .find(|path| fs::symlink_metadata(path).is_err())
        .ok_or_else(|| Error::Exists { path: path.to_owned() })
}

/// A name without its ending, and the ending. What begins with a dot is no ending, and `.tar.gz` is one.
fn split(name: &str) -> (&str, &str) {
    let dot = |name: &str| name.rfind('.').filter(|at| *at > 0);
    let Some(last) = dot(name) else { return (name, "") };
    let (stem, ending) = name.split_at(last);
    match dot(stem).map(|at| stem.split_at(at)) {
        Some((short, ".tar")) => (short, name.get(short.len()..).unwrap_or(ending)),
        Some(_) | None => (stem, ending),
    }
}

/// As much of a name as fits.
fn shortened(name: &str, most: usize) -> &str {
    let end = (0..=most.min(name.len())).rev().find(|at| name.is_char_boundary(*at));
    name.get(..end.unwrap_or_default()).unwrap_or_default()
}

pub(crate) fn nothing_to_store() -> Error {
    wormhole_core::error::Misuse::OutOfTurn("there is nothing to store").into()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_number_stands_before_the_ending() {
        for (name, is_file, expected) in [
            ("a.txt", true, "a (1).txt"),
            ("a", true, "a (1)"),
            (".profile", true, ".profile (1)"),
            ("a.tar.gz", true, "a (1).tar.gz"),
            (".tar.gz", true, ".tar (1).gz"),
            ("a.b.c", true, "a.b (1).c"),
            ("v1.2", false, "v1.2 (1)"),
        ] {
            let work = TempDir::new().unwrap();
            let free = numbered(&work.path().join(name), is_file).unwrap();
            assert_eq!(free, work.path().join(expected));
        }
    }

    #[test]
    fn the_first_number_that_is_free_is_taken_and_the_name_stays_short_enough() {
        let work = TempDir::new().unwrap();
        let long = format!("{}.txt", "ä".repeat(125));
        for expected in 1..4 {
            let free = numbered(&work.path().join(&long), true).unwrap();
            let name = free.file_name().unwrap().to_str().unwrap();
            assert!(name.ends_with(&format!("ä ({expected}).txt")), "{name}");
            assert!(name.len() <= NAME_BYTES);
            fs::write(&free, "").unwrap();
        }
    }

    #[test]
    fn a_name_that_is_taken_meanwhile_gets_a_number_only_where_our_user_wants_it() {
        let work = TempDir::new().unwrap();
        let offer = Offer::File { name: Name::from("a"), size: 1, attributes: None };
        let destination = Destination::Into(work.path().to_owned());
        let place = |on_conflict| match Place::of(&offer, &destination, on_conflict).unwrap() {
            Places::One(place) => place,
            Places::Several(..) => panic!("there is one"),
        };
        let (refuse, rename) = (place(OnConflict::Refuse), place(OnConflict::Rename));
        fs::write(work.path().join("a"), "").unwrap();
        let give = |at: &Path| fs::File::create_new(at).map(drop);
        assert_eq!(refuse.name(give), Err(Error::Exists { path: work.path().join("a") }));
        assert_eq!(rename.name(give), Ok(work.path().join("a (1)")));
        assert_eq!(rename.name(give), Ok(work.path().join("a (2)")));
    }

    #[test]
    fn only_a_file_is_replaced_and_only_by_a_file() {
        let work = TempDir::new().unwrap();
        fs::write(work.path().join("file"), "").unwrap();
        fs::create_dir(work.path().join("directory")).unwrap();
        let file = |name: &str| Offer::File { name: Name::from(name), size: 1, attributes: None };
        let mode = "zipfile/deflated".to_owned();
        let directory = Offer::Directory { name: Name::from("file"), mode, zip_size: 1, bytes: 1, files: 1 };
        let destination = Destination::Into(work.path().to_owned());
        let over = |offer: &Offer| {
            Place::of(offer, &destination, OnConflict::Overwrite).map(|it| it.path().to_owned())
        };
        assert_eq!(over(&file("file")), Ok(work.path().join("file")));
        for (offer, at) in [(file("directory"), "directory"), (directory, "file")] {
            assert_eq!(over(&offer), Err(Error::Exists { path: work.path().join(at) }));
        }
    }
}
