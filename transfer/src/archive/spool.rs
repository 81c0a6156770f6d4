//! Unpacks an archive that is not ours: it waits in a file until it is complete, and is read by its list.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use zip::read::ZipFile;
use zip::result::ZipError;
use zip::{CompressionMethod, System, ZipArchive};

use super::fields::Fields;
use super::layout::{END, END_LEN, END64, END64_LEN, LOCATOR64_LEN};
use super::tree::{Tree, safe_path, shown};
use crate::error::{BadArchive, Doing, Error};
use crate::flow::Source;
use crate::incoming::check_space;

/// Bytes that are unpacked at a time.
const STEP: usize = 128 << 10;
/// The longest comment behind the list, and with it the farthest that the end can be from the end of the file.
const COMMENT_LIMIT: u64 = 0xffff;

/// Where an archive waits, and how large it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting<'a> {
    pub(crate) directory: &'a Path,
    pub(crate) len: u64,
}

/// Unpacks an archive of which `begun` has come already.
pub(crate) fn unpack(
    begun: &[u8],
    source: &mut impl Source,
    tree: &mut Tree,
    waiting: Waiting<'_>,
) -> Result<(), Error> {
    let Waiting { directory, len } = waiting;
    check_space(directory, len.saturating_add(tree.bytes_left()))?;
    let mut file = spool(begun, source, directory)?;
    let announced = announced_entries(&mut file).map_err(|why| Error::disk(Doing::Read, directory, &why))?;
    if announced > tree.entry_limit() {
        return Err(BadArchive::TooManyFiles.into());
    }
    let mut archive = ZipArchive::new(file).map_err(|why| broken(&why))?;
    if archive.has_duplicate_names() {
        return Err(BadArchive::Malformed("two entries have the same name").into());
    }
    (0..archive.len()).try_for_each(|index| entry(&mut archive, index, source, tree))
}

/// Writes all that comes to a file without a name.
fn spool(begun: &[u8], source: &mut impl Source, directory: &Path) -> Result<File, Error> {
    let failed = |why: io::Error| Error::disk(Doing::Write, directory, &why);
    let mut file = tempfile::tempfile_in(directory).map_err(failed)?;
    file.write_all(begun).map_err(failed)?;
    loop {
        let chunk = source.chunk()?;
        let count = chunk.len();
        if count == 0 {
            return Ok(file);
        }
        file.write_all(chunk).map_err(failed)?;
        source.used(count);
    }
}

fn entry(
    archive: &mut ZipArchive<File>,
    index: usize,
    source: &impl Source,
    tree: &mut Tree,
) -> Result<(), Error> {
    source.check_wanted()?;
    let mut entry = archive.by_index(index).map_err(|why| broken(&why))?;
    let name = name_of(&entry);
    let path = safe_path(&name)?;
    if entry.is_symlink() {
        return Err(BadArchive::Link(shown(&name)).into());
    }
    if entry.encrypted() || !is_known(entry.compression()) {
        return Err(BadArchive::Method.into());
    }
    // On DOS there are none; those that the crate makes up would be wider than what our user's mask allows.
    let mode = if entry.system() == System::Dos { 0 } else { entry.unix_mode().unwrap_or_default() };
    if path.is_directory() {
        tree.directory(&path)?;
        return tree.set_mode_of(&path, mode);
    }
    let (mut file, at) = tree.file(&path)?;
    let mut step = vec![0; STEP];
    let mut left = entry.size();
    loop {
        match entry.read(&mut step) {
            Ok(0) => break,
            Ok(count) => {
                source.check_wanted()?;
                left = left.checked_sub(count as u64).ok_or(BadArchive::Mismatch)?;
                tree.write(&mut file, &at, step.get(..count).unwrap_or_default())?;
            }
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(BadArchive::Checksum(shown(&name)).into()),
        }
    }
    if left > 0 {
        return Err(BadArchive::Mismatch.into());
    }
    tree.set_mode_of(&path, mode)
}

/// The name of an entry as UTF-8. Where it is none, it is of the code page of old, unless the entry says otherwise.
fn name_of(entry: &ZipFile<'_, File>) -> Vec<u8> {
    let raw = entry.name_raw();
    match entry.name() {
        Ok(decoded) if str::from_utf8(raw).is_err() => decoded.into_owned().into_bytes(),
        Ok(_) | Err(_) => raw.to_owned(),
    }
}

fn is_known(method: CompressionMethod) -> bool {
    method == CompressionMethod::Stored || method == CompressionMethod::Deflated
}

fn broken(error: &ZipError) -> Error {
    match error {
        ZipError::UnsupportedArchive(_)
        | ZipError::CompressionMethodNotSupported(_)
        | ZipError::InvalidPassword => BadArchive::Method.into(),
        ZipError::Io(_)
        | ZipError::InvalidArchive(_)
        | ZipError::FileNotFound
        | ZipError::DecompressedSizeLimitExceeded { .. }
        | ZipError::DecompressedSizeUnknown => BadArchive::Malformed("it cannot be read").into(),
        _ => BadArchive::Malformed("it cannot be read").into(),
    }
}

/// The most entries that anything at the end of the file announces, before a list of them is made in memory.
fn announced_entries(file: &mut File) -> io::Result<u64> {
    let len = file.seek(SeekFrom::End(0))?;
    let tail_len = len.min(COMMENT_LIMIT + (END_LEN + LOCATOR64_LEN + END64_LEN) as u64);
    file.seek(SeekFrom::Start(len - tail_len))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    file.rewind()?;
    let mut most = 0;
    for start in 0..tail.len() {
        let mut fields = Fields(tail.get(start..).unwrap_or_default());
        let count = match fields.u32() {
            Ok(END) => fields.skip(6).and_then(|()| fields.u16()).map_or(0, u64::from),
            Ok(END64) => fields.skip(28).and_then(|()| fields.u64()).unwrap_or(0),
            Ok(_) | Err(_) => 0,
        };
        most = most.max(count);
    }
    Ok(most)
}
