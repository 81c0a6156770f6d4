//! Files and directories that are not complete yet, beside the place where they will be.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::{Builder, NamedTempFile, TempDir};

use crate::system;

/// What temporary names begin with; the rest is chance, and taken only if it is free.
const PREFIX: &str = ".wormhole-";
/// What they end with.
const SUFFIX: &str = ".part";
/// The permissions of a directory in which nobody else has any business.
const PRIVATE: u32 = 0o700;

/// A new file, which is removed unless it is given a name.
pub(crate) fn new_file(directory: &Path) -> io::Result<NamedTempFile> {
    let mut builder = Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    #[cfg(unix)]
    builder.permissions(system::new_file());
    builder.tempfile_in(directory)
}

/// How many files and directories have been removed so far. Clones count the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Removals(Arc<AtomicU64>);

impl Removals {
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A directory that is removed with all that is in it, also where an archive has forbidden that.
///
/// Nobody else can look into it before it is complete: only then has each file the permissions that it is to have.
pub(crate) struct NewDirectory {
    path: PathBuf,
    /// The permissions that any new directory would have.
    usual_mode: u32,
    stays: bool,
    removals: Removals,
}

impl NewDirectory {
    pub(crate) fn new(directory: &Path) -> io::Result<Self> {
        let mut builder = Builder::new();
        builder.prefix(PREFIX).suffix(SUFFIX);
        #[cfg(unix)]
        builder.permissions(system::new_directory());
        let path = builder.tempdir_in(directory).map(TempDir::keep)?;
        let mut new = Self { usual_mode: PRIVATE, stays: false, removals: Removals::default(), path };
        new.usual_mode = system::mode(&fs::metadata(&new.path)?);
        // Some file systems have no permissions that could be taken away.
        system::set_mode(&new.path, PRIVATE).ok();
        Ok(new)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) const fn usual_mode(&self) -> u32 {
        self.usual_mode
    }

    /// It has its name now, and stays.
    pub(crate) const fn keep(&mut self) {
        self.stays = true;
    }

    /// What tells how far its removal has come.
    pub(crate) fn removals(&self) -> Removals {
        self.removals.clone()
    }
}

impl Drop for NewDirectory {
    fn drop(&mut self) {
        if !self.stays && remove_all(&self.path, &self.removals).is_err() {
            // Nobody is left to be told if this fails too.
            fs::remove_dir_all(&self.path).ok();
        }
    }
}

/// Removes a directory and counts what it removes. Permissions that are in the way go first.
fn remove_all(root: &Path, removals: &Removals) -> io::Result<()> {
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.last().cloned() {
        system::set_mode(&directory, PRIVATE).ok();
        let before = open.len();
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else {
                fs::remove_file(entry.path())?;
                removals.add_one();
            }
        }
        if open.len() == before {
            fs::remove_dir(&directory)?;
            removals.add_one();
            open.pop();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_goes_with_all_that_is_in_it_and_each_of_it_is_counted() {
        let work = TempDir::new().unwrap();
        let new = NewDirectory::new(work.path()).unwrap();
        fs::create_dir_all(new.path().join("a/b")).unwrap();
        fs::create_dir(new.path().join("c")).unwrap();
        for name in ["x", "a/x", "a/b/x", "a/b/y"] {
            fs::write(new.path().join(name), "1").unwrap();
        }
        for name in ["a/b", "a"] {
            system::set_mode(&new.path().join(name), 0).unwrap();
        }
        let removals = new.removals();
        drop(new);
        assert_eq!(fs::read_dir(work.path()).unwrap().count(), 0);
        assert_eq!(removals.count(), 8);
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_looks_into_a_directory_that_is_not_complete() {
        let work = TempDir::new().unwrap();
        let new = NewDirectory::new(work.path()).unwrap();
        assert_eq!(system::mode(&fs::metadata(new.path()).unwrap()), 0o700);
        fs::create_dir(work.path().join("usual")).unwrap();
        assert_eq!(system::mode(&fs::metadata(work.path().join("usual")).unwrap()), new.usual_mode());
    }

    #[cfg(unix)]
    #[test]
    fn what_a_link_leads_to_is_not_removed() {
        let work = TempDir::new().unwrap();
        fs::create_dir(work.path().join("other")).unwrap();
        fs::write(work.path().join("other/x"), "1").unwrap();
        let new = NewDirectory::new(work.path()).unwrap();
        std::os::unix::fs::symlink("../other", new.path().join("link")).unwrap();
        drop(new);
        assert!(work.path().join("other/x").exists());
        assert_eq!(fs::read_dir(work.path()).unwrap().count(), 1);
    }
}
