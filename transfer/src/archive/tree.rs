//! The directory that is being unpacked into: new, ours alone, and bounded by what was announced.
//!
//! Nothing that exists is ever opened for writing and no link is ever made, so a path of safe names cannot lead out.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use wormhole_core::untrusted::{Name, SafeName, SafePath};

use super::layout::MODE_BITS;
use crate::error::{BadArchive, Doing, Error};
use crate::system;

/// The most directories in one archive: the offer does not count them, and each costs the disk something.
const DIRECTORY_LIMIT: u64 = 1 << 20;

/// What the offer announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes of all files together.
    pub(crate) bytes: u64,
    /// How many files.
    pub(crate) files: u64,
}

#[derive(Debug)]
pub(crate) struct Tree {
    root: PathBuf,
    left: Limits,
    left_directories: u64,
    /// The directory that was made, or found, last: most files have the same as the one before.
    last: PathBuf,
}

impl Tree {
    /// An empty directory that nobody else knows of.
    pub(crate) fn new(root: &Path, limits: Limits) -> Self {
        Self { root: root.to_owned(), left: limits, left_directories: DIRECTORY_LIMIT, last: root.to_owned() }
    }

    /// How many entries can come at most.
    pub(crate) const fn entry_limit(&self) -> u64 {
        self.left.files.saturating_add(self.left_directories)
    }

    /// How many bytes can come at most.
    pub(crate) const fn bytes_left(&self) -> u64 {
        self.left.bytes
    }

    /// Makes this directory and those above it, as far as they are not there.
    pub(crate) fn directory(&mut self, path: &SafePath) -> Result<PathBuf, Error> {
        self.make(path.components())
    }

    /// Makes a file and the directories above it.
    pub(crate) fn file(&mut self, path: &SafePath) -> Result<(File, PathBuf), Error> {
        let Some((name, above)) = path.components().split_last() else {
            return Err(BadArchive::Path(path.to_string()).into());
        };
        self.left.files = self.left.files.checked_sub(1).ok_or(BadArchive::TooManyFiles)?;
        let at = self.make(above)?.join(name.as_str());
        match File::create_new(&at) {
            Ok(file) => Ok((file, at)),
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {
                Err(BadArchive::Twice(path.to_string()).into())
            }
            Err(why) => Err(Error::disk(Doing::Create, &at, &why)),
        }
    }

    /// Writes to a file of this tree, as far as bytes were announced.
    pub(crate) fn write(&mut self, file: &mut File, at: &Path, bytes: &[u8]) -> Result<(), Error> {
        self.left.bytes = self.left.bytes.checked_sub(bytes.len() as u64).ok_or(BadArchive::TooManyBytes)?;
        file.write_all(bytes).map_err(|why| Error::disk(Doing::Write, at, &why))
    }

    /// Gives a file or directory its permissions. What was made on a system without any keeps those it has, and
    /// set-user-id and the like are never given.
    pub(crate) fn set_mode(at: &Path, mode: u32) -> Result<(), Error> {
        if mode & MODE_BITS == 0 {
            return Ok(());
        }
        system::set_mode(at, mode).map_err(|why| Error::disk(Doing::Write, at, &why))
    }

    /// As [`Tree::set_mode`], for what an entry has made.
    pub(crate) fn set_mode_of(&self, path: &SafePath, mode: u32) -> Result<(), Error> {
        let at = self.place(path.components());
        // Most files have the permissions that they were made with, and asking is cheaper than setting.
        let found = fs::symlink_metadata(&at).map_err(|_| BadArchive::Mismatch)?;
        if system::mode(&found) == mode & MODE_BITS { Ok(()) } else { Self::set_mode(&at, mode) }
    }

    fn place(&self, components: &[SafeName]) -> PathBuf {
        let mut at = self.root.clone();
        at.extend(components.iter().map(SafeName::as_str));
        at
    }

    fn make(&mut self, components: &[SafeName]) -> Result<PathBuf, Error> {
        let whole = self.place(components);
        if whole == self.last {
            return Ok(whole);
        }
        let mut at = self.root.clone();
        for name in components {
            at.push(name.as_str());
            self.make_one(&at, name)?;
        }
        self.last.clone_from(&at);
        Ok(at)
    }

    fn make_one(&mut self, at: &Path, name: &SafeName) -> Result<(), Error> {
        match fs::create_dir(at) {
            Ok(()) => {
                let left = self.left_directories.checked_sub(1);
                self.left_directories = left.ok_or(BadArchive::TooManyDirectories)?;
                Ok(())
            }
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {
                let found = fs::symlink_metadata(at).map_err(|why| Error::disk(Doing::Create, at, &why))?;
                if found.is_dir() { Ok(()) } else { Err(BadArchive::Twice(name.to_string()).into()) }
            }
            Err(why) => Err(Error::disk(Doing::Create, at, &why)),
        }
    }
}

/// The path of an entry, if it is one that may be made here.
pub(crate) fn safe_path(name: &[u8]) -> Result<SafePath, Error> {
    SafePath::parse(name).map_err(|_| BadArchive::Path(shown(name)).into())
}

/// The name of an entry as it may be printed.
pub(crate) fn shown(name: &[u8]) -> String {
    Name::from_wire(name.to_owned()).to_string()
}
