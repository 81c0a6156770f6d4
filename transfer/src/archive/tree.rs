//! The directory that is being unpacked into: new, ours alone, and bounded by what was announced.
//!
//! Nothing that exists is ever opened for writing and no link is ever made, so a path of safe names cannot lead out.

use std::cmp::Reverse;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use wormhole_core::untrusted::{Name, SafeName, SafePath};
use wormhole_core::wire::peer::Attributes;

use super::layout::MODE_BITS;
use crate::error::{BadArchive, Doing, Error};
use crate::system;

/// The most directories in one archive: the offer does not count them, and each costs the disk something.
const DIRECTORY_LIMIT: u64 = 1 << 20;

/// Our user can look into every directory, whatever its permissions were on the other side.
const OWNER_LOOKS: u32 = 0o500;

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
    /// What directories keep. It is set at the end: what comes later would change their times, and may not be hindered
    /// by their permissions.
    directories: Vec<(PathBuf, Attributes)>,
}

impl Tree {
    /// An empty directory that nobody else knows of.
    pub(crate) fn new(root: &Path, limits: Limits) -> Self {
        let (root, last) = (root.to_owned(), root.to_owned());
        Self { root, left: limits, left_directories: DIRECTORY_LIMIT, last, directories: Vec::new() }
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
    pub(crate) fn directory(&mut self, path: &SafePath) -> Result<(), Error> {
        self.make(path.components()).map(drop)
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

    /// Gives what an entry has made its permissions, a directory not before [`Tree::finish`]. What was made on a system
    /// without any keeps those it has, and set-user-id and the like are never given.
    pub(crate) fn set_mode_of(&mut self, path: &SafePath, mode: u32) -> Result<(), Error> {
        let at = self.place(path.components());
        let mode = mode & MODE_BITS;
        // Most files have the permissions that they were made with, and asking is cheaper than setting.
        let found = fs::symlink_metadata(&at).map_err(|_| BadArchive::Mismatch)?;
        if mode == 0 || system::mode(&found) == mode && at != self.root {
            return Ok(());
        }
        if found.is_dir() {
            self.directories.push((at, Attributes::new(Some(mode.into()), None)));
            return Ok(());
        }
        unless_unsupported(&at, system::set_mode(&at, mode))
    }

    /// Gives a directory what it keeps, not before [`Tree::finish`].
    pub(crate) fn keep(&mut self, path: &SafePath, kept: Attributes) {
        self.directories.push((self.place(path.components()), kept));
    }

    /// Gives all directories their permissions, inner ones first. The tree itself gets `own` if no entry says more.
    pub(crate) fn finish(mut self, own: u32) -> Result<(), Error> {
        if self.directories.iter().all(|(at, kept)| *at != self.root || kept.mode().is_none()) {
            self.directories.push((self.root.clone(), Attributes::new(Some(own.into()), None)));
        }
        self.finish_from(0).map(drop)
    }

    /// As [`Tree::finish`], but for what is at the top, of which it answers what each directory keeps: what cannot be
    /// written to cannot be moved.
    pub(crate) fn finish_inside(self) -> Result<Vec<(PathBuf, Attributes)>, Error> {
        self.finish_from(2)
    }

    /// Gives the directories at so many components below the root, or more, what they keep. Answers the others.
    fn finish_from(mut self, depth: usize) -> Result<Vec<(PathBuf, Attributes)>, Error> {
        let least = self.root.components().count().saturating_add(depth);
        self.directories.sort_by_key(|(at, _)| Reverse(at.as_os_str().len()));
        let (inside, top) =
            self.directories.into_iter().partition(|(at, _)| at.components().count() >= least);
        let inside: Vec<_> = inside;
        inside.iter().try_for_each(|(at, kept)| keep_directory(at, kept))?;
        Ok(top)
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

/// Gives a directory what it keeps.
pub(crate) fn keep_directory(at: &Path, kept: &Attributes) -> Result<(), Error> {
    if let Some(mode) = kept.mode() {
        unless_unsupported(at, system::set_mode(at, mode | OWNER_LOOKS))?;
    }
    match kept.modified() {
        // Not every system opens directories.
        Some(_) => File::open(at).map_or(Ok(()), |opened| keep_time(&opened, at, kept)),
        None => Ok(()),
    }
}

/// Gives a file that is complete what it keeps.
pub(crate) fn keep_file(file: &File, at: &Path, kept: &Attributes) -> Result<(), Error> {
    if let Some(mode) = kept.mode() {
        unless_unsupported(at, system::set_file_mode(file, mode))?;
    }
    keep_time(file, at, kept)
}

fn keep_time(file: &File, at: &Path, kept: &Attributes) -> Result<(), Error> {
    let time = kept.modified().map(|(seconds, nanos)| Duration::new(seconds, nanos));
    match time.and_then(|since| UNIX_EPOCH.checked_add(since)) {
        Some(time) => unless_unsupported(at, file.set_modified(time)),
        None => Ok(()),
    }
}

/// What a file system does not have is not missed: what cannot have it is complete without.
fn unless_unsupported(at: &Path, done: io::Result<()>) -> Result<(), Error> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    match done {
        Err(why) if !matches!(why.kind(), PermissionDenied | Unsupported | InvalidInput) => {
            Err(Error::disk(Doing::Write, at, &why))
        }
        Ok(()) | Err(_) => Ok(()),
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
