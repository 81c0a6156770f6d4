//! What only one family of systems has, with a plain path for the others.

#[cfg(not(unix))]
pub(crate) use self::plain::*;
#[cfg(unix)]
pub(crate) use self::unix::*;

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::fs::{self, File, FileType, Metadata, OpenOptions, Permissions};
    use std::io::{self, Seek, SeekFrom};
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
    use std::path::Path;

    use rustix::fs::{Access, OFlags};
    use rustix::io::Errno;

    use crate::archive::layout::MODE_BITS;
    use crate::error::Unsendable;

    /// Which directory it is, by whatever path: device and inode.
    pub(crate) type Identity = (u64, u64);

    pub(crate) fn identity(path: &Path) -> io::Result<Identity> {
        fs::metadata(path).map(|it| (it.dev(), it.ino()))
    }

    /// The bytes of a name. Here every name has some.
    pub(crate) fn name_bytes(name: &OsStr) -> Option<&[u8]> {
        Some(name.as_bytes())
    }

    /// The path of these bytes.
    pub(crate) fn path_of(bytes: &[u8]) -> &Path {
        Path::new(OsStr::from_bytes(bytes))
    }

    /// Permissions, without set-user-id and the like.
    pub(crate) fn mode(metadata: &Metadata) -> u32 {
        metadata.mode() & MODE_BITS
    }

    pub(crate) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
        fs::set_permissions(path, Permissions::from_mode(mode & MODE_BITS))
    }

    pub(crate) fn set_file_mode(file: &File, mode: u32) -> io::Result<()> {
        file.set_permissions(Permissions::from_mode(mode & MODE_BITS))
    }

    /// What a temporary file is made with: as any other, less what the user's mask takes away.
    pub(crate) fn new_file() -> Permissions {
        Permissions::from_mode(0o666)
    }

    /// As [`new_file`], for a directory.
    pub(crate) fn new_directory() -> Permissions {
        Permissions::from_mode(0o777)
    }

    pub(crate) fn special(kind: FileType) -> Unsendable {
        if kind.is_fifo() {
            Unsendable::Fifo
        } else if kind.is_socket() {
            Unsendable::Socket
        } else {
            Unsendable::Device
        }
    }

    /// A disk, whose size is known though it is no file.
    pub(crate) fn is_block_device(kind: FileType) -> bool {
        kind.is_block_device()
    }

    /// Opens to read, and does not wait for a writer where a pipe has taken the place of a file.
    pub(crate) fn open(path: &Path) -> io::Result<File> {
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
        OpenOptions::new().read(true).custom_flags(flags).open(path)
    }

    pub(crate) fn device_size(mut file: &File) -> io::Result<u64> {
        let size = file.seek(SeekFrom::End(0))?;
        file.rewind()?;
        Ok(size)
    }

    pub(crate) fn check_readable(path: &Path) -> io::Result<()> {
        Ok(rustix::fs::access(path, Access::READ_OK)?)
    }

    pub(crate) fn is_link_loop(error: &io::Error) -> bool {
        error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
    }

    /// Bytes that a user without privileges may still write there.
    pub(crate) fn free_space(directory: &Path) -> Option<u64> {
        let stat = rustix::fs::statvfs(directory).ok()?;
        Some(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Renames without replacing anything, in one step where the system can.
    pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
        {
            use rustix::fs::{CWD, RenameFlags, renameat_with};
            match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
                // An old kernel, or a file system that cannot do it.
                Err(Errno::NOSYS | Errno::INVAL | Errno::NOTSUP) => {}
                done => return Ok(done?),
            }
        }
        super::rename_if_free(from, to)
    }
}

#[cfg(not(unix))]
mod plain {
    use std::ffi::OsStr;
    use std::fs::{self, File, FileType, Metadata, Permissions};
    use std::io;
    use std::path::{Path, PathBuf};

    use crate::error::Unsendable;

    /// Which directory it is, by whatever path.
    pub(crate) type Identity = PathBuf;

    pub(crate) fn identity(path: &Path) -> io::Result<Identity> {
        fs::canonicalize(path)
    }

    /// The bytes of a name, where it is Unicode.
    pub(crate) fn name_bytes(name: &OsStr) -> Option<&[u8]> {
        name.to_str().map(str::as_bytes)
    }

    /// The path of bytes that came from [`name_bytes`].
    pub(crate) fn path_of(bytes: &[u8]) -> &Path {
        Path::new(std::str::from_utf8(bytes).unwrap_or_default())
    }

    pub(crate) fn mode(metadata: &Metadata) -> u32 {
        match (metadata.is_dir(), metadata.permissions().readonly()) {
            (true, _) => 0o755,
            (false, false) => 0o644,
            (false, true) => 0o444,
        }
    }

    pub(crate) fn set_mode(_: &Path, _: u32) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn set_file_mode(_: &File, _: u32) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn special(_: FileType) -> Unsendable {
        Unsendable::Device
    }

    pub(crate) fn is_block_device(_: FileType) -> bool {
        false
    }

    pub(crate) fn open(path: &Path) -> io::Result<File> {
        File::open(path)
    }

    pub(crate) fn device_size(file: &File) -> io::Result<u64> {
        file.metadata().map(|it| it.len())
    }

    pub(crate) fn check_readable(path: &Path) -> io::Result<()> {
        File::open(path).map(drop)
    }

    pub(crate) fn is_link_loop(_: &io::Error) -> bool {
        false
    }

    /// Not known: the disk itself will say.
    pub(crate) fn free_space(_: &Path) -> Option<u64> {
        None
    }

    pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
        super::rename_if_free(from, to)
    }
}

/// Looks first and renames then, for systems that cannot do both at once.
fn rename_if_free(from: &std::path::Path, to: &std::path::Path) -> std::io::Result<()> {
    match std::fs::symlink_metadata(to) {
        Ok(_) => Err(std::io::ErrorKind::AlreadyExists.into()),
        Err(_) => std::fs::rename(from, to),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::{self, File};
    use std::io::Read;
    use std::path::Path;

    use tempfile::TempDir;

    use super::device_size;

    #[test]
    fn the_size_of_a_device_is_where_it_ends_and_it_is_still_read_from_the_beginning() {
        let work = TempDir::new().unwrap();
        fs::write(work.path().join("image"), "12345").unwrap();
        let mut file = File::open(work.path().join("image")).unwrap();
        assert_eq!(device_size(&file).unwrap(), 5);
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "12345");
    }

    /// Only administrators may read devices, and there need not be any.
    #[test]
    fn each_device_that_may_be_read_has_the_size_that_the_system_says() {
        for entry in fs::read_dir("/sys/class/block").into_iter().flatten().flatten() {
            let Ok(file) = File::open(Path::new("/dev").join(entry.file_name())) else { continue };
            let sectors = fs::read_to_string(entry.path().join("size")).unwrap();
            let bytes = sectors.trim().parse::<u64>().unwrap() * 512;
            assert_eq!(device_size(&file).unwrap(), bytes, "{:?}", entry.file_name());
        }
    }
}
