//! The file of the keys that may come in, `~/.ssh/authorized_keys`.
//!
//! It is replaced as a whole, so that it is never half-written. Nothing is followed: where the file or its directory is
//! a link, or belongs to somebody else, whoever writes there may write for another, and the SSH server would not
//! use it either.

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use tempfile::Builder;

use super::key::Key;
use crate::screen::shown;

/// The largest file that is taken for a list of keys.
const LIST_BYTES: u64 = 16 << 20;

/// Whose keys, and where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authorized {
    home: PathBuf,
    /// The person and their group, as the owner of their home.
    owner: (u32, u32),
}

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// It is there now.
    Now,
    /// It was there before.
    Before,
}

impl Authorized {
    /// The keys of who has this home. What would keep a key from being added is told now.
    pub(super) fn of(home: &Path) -> Result<Self, String> {
        let metadata = fs::metadata(home).map_err(|error| cannot(home, "read", &error))?;
        let authorized = Self { home: home.to_owned(), owner: (metadata.uid(), metadata.gid()) };
        let directory = authorized.directory();
        let writable = match authorized.look(&directory)? {
            Some(found) if !found.is_dir() => return Err(format!("'{}' is no directory", shown(&directory))),
            Some(_) => directory,
            None => home.to_owned(),
        };
        access(&writable, Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|error| cannot(&writable, "written", &error.into()))?;
        authorized.list()?;
        Ok(authorized)
    }

    /// The file.
    pub(super) fn file(&self) -> PathBuf {
        self.directory().join("authorized_keys")
    }

    /// Its directory.
    pub(super) fn directory(&self) -> PathBuf {
        self.home.join(".ssh")
    }

    /// Adds a key, if it is not there, and makes what is missing.
    pub(super) fn add(&self, key: &Key) -> Result<Added, String> {
        let line = key.line().map_err(|error| error.to_string())?;
        let directory = self.directory();
        if self.look(&directory)?.is_none() {
            let made = DirBuilder::new().mode(0o700).create(&directory).and_then(|()| self.give(&directory));
            made.map_err(|error| cannot(&directory, "made", &error))?;
        }
        let (list, mode) = self.list()?;
        if String::from_utf8_lossy(&list).lines().any(|line| key.is_in(line)) {
            return Ok(Added::Before);
        }
        self.replace(&list, &line, mode).map_err(|error| cannot(&self.file(), "written", &error))?;
        Ok(Added::Now)
    }

    /// The keys that are there, and the permissions of their file.
    fn list(&self) -> Result<(Vec<u8>, u32), String> {
        let path = self.file();
        let failed = |error: &io::Error| cannot(&path, "read", error);
        let Some(found) = self.look(&path)? else { return Ok((Vec::new(), 0o600)) };
        if !found.is_file() {
            return Err(format!("'{}' is no file", shown(&path)));
        }
        let mut list = Vec::new();
        let file = fs::File::open(&path).map_err(|error| failed(&error))?;
        file.take(LIST_BYTES + 1).read_to_end(&mut list).map_err(|error| failed(&error))?;
        if list.len() as u64 > LIST_BYTES {
            return Err(format!("'{}' is too large for a list of keys", shown(&path)));
        }
        Ok((list, found.mode() & 0o777))
    }

    /// Writes all beside the file, and puts it in its place.
    fn replace(&self, list: &[u8], line: &str, mode: u32) -> io::Result<()> {
        let mut new = Builder::new().prefix(".authorized_keys-").tempfile_in(self.directory())?;
        new.write_all(list)?;
        if !list.is_empty() && !list.ends_with(b"\n") {
            new.write_all(b"\n")?;
        }
        writeln!(new, "{line}")?;
        new.as_file().set_permissions(Permissions::from_mode(mode))?;
        self.give(new.path())?;
        new.as_file().sync_all()?;
        new.persist(self.file())?;
        Ok(())
    }

    /// What is there, if anything; what is not the person's own is refused.
    fn look(&self, path: &Path) -> Result<Option<Metadata>, String> {
        let found = match fs::symlink_metadata(path) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(cannot(path, "read", &error)),
        };
        let path = shown(path);
        if found.is_symlink() {
            return Err(format!(
                "'{path}' is a link, and is not followed: add the key to what it leads to yourself"
            ));
        }
        if found.uid() != self.owner.0 {
            return Err(format!("'{path}' belongs to somebody else, so that the SSH server does not use it"));
        }
        if found.mode() & 0o022 != 0 {
            return Err(format!(
                "others may write to '{path}', so that the SSH server does not use it; see chmod"
            ));
        }
        Ok(Some(found))
    }

    /// What an administrator makes for a person is that person's.
    fn give(&self, path: &Path) -> io::Result<()> {
        let (uid, gid) = self.owner;
        let is_theirs = fs::symlink_metadata(path)?.uid() == uid;
        if is_theirs { Ok(()) } else { chown(path, Some(uid), Some(gid)) }
    }
}

fn cannot(path: &Path, what: &str, error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    format!("'{}' cannot be {what}: {text}", shown(path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti one";
    const TWO: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOpWAxGEBqasblWSwl2tQ0ytwCGLkyMtPQiZDZDor/+n two";

    #[test]
    fn what_is_missing_is_made_for_its_owner_alone() {
        let home = TempDir::new().unwrap();
        let authorized = Authorized::of(home.path()).unwrap();
        assert_eq!(authorized.add(&key(ONE)), Ok(Added::Now));
        assert_eq!(mode(&authorized.directory()), 0o700);
        assert_eq!(mode(&authorized.file()), 0o600);
        assert_eq!(fs::read_to_string(authorized.file()).unwrap(), format!("{ONE}\n"));
        assert_eq!(authorized.add(&key(ONE)), Ok(Added::Before));
        assert_eq!(authorized.add(&key(TWO)), Ok(Added::Now));
        assert_eq!(fs::read_to_string(authorized.file()).unwrap(), format!("{ONE}\n{TWO}\n"));
        assert_eq!(fs::read_dir(authorized.directory()).unwrap().count(), 1, "nothing else is left there");
    }

    #[test]
    fn what_is_there_stays_as_it_is() {
        let home = TempDir::new().unwrap();
        let old = b"# mine \xff\nfrom=\"10.0.0.0/8\" ssh-rsa AAAA= x";
        let authorized = with_list(home.path(), old);
        fs::set_permissions(authorized.file(), Permissions::from_mode(0o640)).unwrap();
        assert_eq!(authorized.add(&key(ONE)), Ok(Added::Now));
        let wanted = [&old[..], b"\n", ONE.as_bytes(), b"\n"].concat();
        assert_eq!(fs::read(authorized.file()).unwrap(), wanted);
        assert_eq!(mode(&authorized.file()), 0o640);
    }

    #[test]
    fn links_and_what_others_may_write_to_are_not_written_to() {
        let home = TempDir::new().unwrap();
        let other = TempDir::new().unwrap();
        symlink(other.path(), home.path().join(".ssh")).unwrap();
        assert!(Authorized::of(home.path()).unwrap_err().contains("is a link"));
        fs::remove_file(home.path().join(".ssh")).unwrap();

        let authorized = with_list(home.path(), b"");
        fs::remove_file(authorized.file()).unwrap();
        symlink(other.path().join("elsewhere"), authorized.file()).unwrap();
        assert!(Authorized::of(home.path()).unwrap_err().contains("is a link"));
        assert!(authorized.add(&key(ONE)).unwrap_err().contains("is a link"));
        assert_eq!(fs::read_dir(other.path()).unwrap().count(), 0);
        fs::remove_file(authorized.file()).unwrap();

        fs::set_permissions(authorized.directory(), Permissions::from_mode(0o770)).unwrap();
        assert!(Authorized::of(home.path()).unwrap_err().contains("others may write"));
        fs::set_permissions(authorized.directory(), Permissions::from_mode(0o700)).unwrap();
        fs::create_dir(authorized.file()).unwrap();
        assert!(Authorized::of(home.path()).unwrap_err().contains("is no file"));
    }

    #[test]
    fn a_home_that_is_not_there_is_said() {
        let home = TempDir::new().unwrap().path().join("gone");
        assert!(Authorized::of(&home).unwrap_err().contains("gone' cannot be read: No such file"));
    }

    fn with_list(home: &Path, list: &[u8]) -> Authorized {
        let directory = home.join(".ssh");
        DirBuilder::new().mode(0o700).create(&directory).unwrap();
        fs::write(directory.join("authorized_keys"), list).unwrap();
        fs::set_permissions(directory.join("authorized_keys"), Permissions::from_mode(0o600)).unwrap();
        Authorized::of(home).unwrap()
    }

    fn key(line: &str) -> Key {
        Key::parse(line).unwrap()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }
}
