//! Writes the archive of a listing as it leaves.

use std::io::{self, Read};
use std::path::Path;

use super::layout::{End, Entry};
use crate::error::{Doing, Error};
use crate::flow::Sink;
use crate::system;
use crate::walk::Listing;

/// Writes the whole archive, of exactly the size that the listing has measured.
pub(crate) fn write(listing: &Listing, sink: &mut impl Sink) -> Result<(), Error> {
    let mut checksums = Vec::new();
    let mut scratch = Vec::new();
    let mut list_at = 0_u64;
    for (index, item) in listing.items().enumerate() {
        let name = listing.entry_name(item);
        let entry = listing.entry(item, &name);
        let first = index == 0;
        scratch.clear();
        entry.write_local(first, &mut scratch);
        sink.put(&scratch)?;
        let checksum = if item.is_directory() { 0 } else { write_file(&listing.path(item), &entry, sink)? };
        scratch.clear();
        entry.write_descriptor(checksum, &mut scratch);
        sink.put(&scratch)?;
        checksums.push(checksum);
        list_at = list_at.saturating_add(entry.len(first).unwrap_or_default());
    }
    let mut end = End { count: 0, list_len: 0, list_at };
    let mut offset = 0_u64;
    for (item, checksum) in listing.items().zip(checksums) {
        let name = listing.entry_name(item);
        let entry = listing.entry(item, &name);
        scratch.clear();
        entry.write_central(checksum, offset, &mut scratch);
        sink.put(&scratch)?;
        end.list_len = end.list_len.saturating_add(entry.central_len(offset));
        offset = offset.saturating_add(entry.len(end.count == 0).unwrap_or_default());
        end.count = end.count.saturating_add(1);
    }
    scratch.clear();
    end.write(&mut scratch);
    sink.put(&scratch)
}

/// Copies all that a source gives until it ends.
pub(crate) fn copy_all(
    from: &mut (impl Read + ?Sized),
    path: &Path,
    sink: &mut impl Sink,
) -> Result<(), Error> {
    loop {
        let room = sink.room()?;
        let most = room.len();
        let count = read(from, room).map_err(|why| Error::disk(Doing::Read, path, &why))?;
        if count == 0 {
            return sink.end();
        }
        sink.filled(count);
        // There was no more than that, and whoever reads over there may wait for just this.
        if count < most {
            sink.hurry()?;
        }
    }
}

/// Writes the content of one file; answers its checksum.
fn write_file(path: &Path, entry: &Entry<'_>, sink: &mut impl Sink) -> Result<u32, Error> {
    let mut file = system::open(path).map_err(|why| Error::disk(Doing::Read, path, &why))?;
    let opened = file.metadata().map_err(|why| Error::disk(Doing::Read, path, &why))?;
    if !opened.is_file() {
        return Err(Error::Changed { path: path.to_owned() });
    }
    let mut checksum = crc32fast::Hasher::new();
    copy(&mut file, path, entry.size, sink, |bytes| checksum.update(bytes))?;
    Ok(checksum.finalize())
}

/// Copies the `size` bytes that a file, or another source, had when it was offered. Neither more nor less: the receiver counts on them.
pub(crate) fn copy(
    from: &mut (impl Read + ?Sized),
    path: &Path,
    size: u64,
    sink: &mut impl Sink,
    mut seen: impl FnMut(&[u8]),
) -> Result<(), Error> {
    let changed = || Error::Changed { path: path.to_owned() };
    let mut left = size;
    while left > 0 {
        let room = sink.room()?;
        let most = room.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let place = room.get_mut(..most).unwrap_or_default();
        let count = read(from, place).map_err(|why| Error::disk(Doing::Read, path, &why))?;
        if count == 0 {
            return Err(changed());
        }
        seen(place.get(..count).unwrap_or_default());
        sink.filled(count);
        left = left.saturating_sub(count as u64);
    }
    match read(from, &mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err(changed()),
        Err(why) => Err(Error::disk(Doing::Read, path, &why)),
    }
}

pub(crate) fn read(from: &mut (impl Read + ?Sized), place: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(place) {
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
