//! The records of a zip archive with stored entries, and their exact lengths.
//!
//! An entry with content carries its checksum behind it, in a data descriptor (general purpose bit 3), since the
//! content is read only once; its size stands in the local header all the same. Sizes and offsets from 4 GiB on, and
//! counts from 65535 on, are written as Zip64 has it.

use wormhole_core::wire::peer::Attributes;

/// In the extra field of the first local header: every local header of this archive has true sizes, and the entries
/// follow one another in the order of the list at the end. Other programs skip what they do not know.
pub(crate) const MARK: &[u8] = b"WH\x05\x00sizes";

/// The extra field of a local header with what the entry keeps: mode, seconds since 1970 and nanoseconds.
pub(crate) const KEPT: u16 = u16::from_le_bytes(*b"WA");
const KEPT_LEN: u16 = 18;

pub(crate) const LOCAL: u32 = 0x0403_4b50;
pub(crate) const DESCRIPTOR: u32 = 0x0807_4b50;
pub(crate) const CENTRAL: u32 = 0x0201_4b50;
pub(crate) const END: u32 = 0x0605_4b50;
pub(crate) const END64: u32 = 0x0606_4b50;
pub(crate) const LOCATOR64: u32 = 0x0706_4b50;

pub(crate) const LOCAL_LEN: usize = 30;
pub(crate) const CENTRAL_LEN: usize = 46;
pub(crate) const END_LEN: usize = 22;
pub(crate) const END64_LEN: usize = 56;
pub(crate) const LOCATOR64_LEN: usize = 20;
pub(crate) const DESCRIPTOR_LEN: usize = 16;
pub(crate) const DESCRIPTOR64_LEN: usize = 24;

/// A size or an offset from here on does not fit into the fields of 32 bits.
pub(crate) const BIG: u64 = 0xffff_ffff;
/// As [`BIG`], in the field.
pub(crate) const BIG_MARK: u32 = 0xffff_ffff;
/// A count from here on does not fit into the fields of 16 bits.
const MANY: u64 = 0xffff;
/// The extra field of Zip64.
pub(crate) const ZIP64: u16 = 1;

/// Bit 3: checksum and sizes follow the content.
pub(crate) const FOLLOWS: u16 = 1 << 3;
/// Bit 11: the name is UTF-8.
pub(crate) const UTF8: u16 = 1 << 11;

const PLAIN_VERSION: u16 = 20;
const ZIP64_VERSION: u16 = 45;
/// The attributes are those of Unix.
const UNIX: u16 = 3 << 8;
/// The first day that the format knows. Times are not part of what is sent.
const DATE: u16 = (1 << 5) | 1;
/// The directory bit of DOS, in the attributes.
const DOS_DIRECTORY: u32 = 0x10;

/// The bits of a mode that say what it is the mode of.
pub(crate) const TYPE_BITS: u32 = 0o170_000;
pub(crate) const LINK_TYPE: u32 = 0o120_000;
const FILE_TYPE: u32 = 0o100_000;
const DIRECTORY_TYPE: u32 = 0o040_000;
/// The bits of a mode that travel: neither the type nor set-user-id and the like.
pub(crate) const MODE_BITS: u32 = 0o777;

/// One entry: a file, or a directory where the name ends with a slash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a str,
    pub(crate) size: u64,
    pub(crate) mode: u32,
    /// What its local header says of it, in an archive that does.
    pub(crate) kept: Option<Attributes>,
}

impl Entry<'_> {
    const fn is_big(&self) -> bool {
        self.size >= BIG
    }

    const fn version(&self) -> u16 {
        if self.is_big() { ZIP64_VERSION } else { PLAIN_VERSION }
    }

    const fn flags(&self) -> u16 {
        if self.size == 0 { UTF8 } else { UTF8 | FOLLOWS }
    }

    fn attributes(&self) -> u32 {
        let mode = self.mode & MODE_BITS;
        if self.name.ends_with('/') {
            ((DIRECTORY_TYPE | mode) << 16) | DOS_DIRECTORY
        } else {
            (FILE_TYPE | mode) << 16
        }
    }

    const fn name_len(&self) -> u64 {
        self.name.len() as u64
    }

    /// From the beginning of its header to the end of what follows its content.
    pub(crate) fn len(&self, first: bool) -> Option<u64> {
        let mark = if first { MARK.len() as u64 } else { 0 };
        let kept = if self.kept.is_some() { KEPT_LEN as u64 } else { 0 };
        let extra = kept + if self.is_big() { 20 } else { 0 };
        let behind = match self.size {
            0 => 0,
            BIG.. => DESCRIPTOR64_LEN as u64,
            1.. => DESCRIPTOR_LEN as u64,
        };
        self.size.checked_add(LOCAL_LEN as u64 + self.name_len() + mark + extra + behind)
    }

    /// Its place in the list at the end.
    pub(crate) const fn central_len(&self, offset: u64) -> u64 {
        CENTRAL_LEN as u64 + self.name_len() + central_extra_len(self.size, offset)
    }

    /// What stands before its content.
    pub(crate) fn write_local(&self, first: bool, out: &mut Vec<u8>) {
        let big = self.is_big();
        let size = if big { BIG_MARK } else { self.size as u32 };
        let kept_len = if self.kept.is_some() { KEPT_LEN } else { 0 };
        let mark_len = if first { MARK.len() as u16 } else { 0 };
        let extra_len = if big { 20 } else { 0 } + kept_len + mark_len;
        put32(out, LOCAL);
        put16(out, self.version());
        put16(out, self.flags());
        put16(out, 0); // stored
        put16(out, 0); // time
        put16(out, DATE);
        put32(out, 0); // the checksum is not known yet, or 0
        put32(out, size);
        put32(out, size);
        put16(out, self.name.len() as u16);
        put16(out, extra_len);
        out.extend_from_slice(self.name.as_bytes());
        if big {
            put16(out, ZIP64);
            put16(out, 16);
            put64(out, self.size);
            put64(out, self.size);
        }
        if let Some(kept) = &self.kept {
            let (seconds, nanos) = kept.modified().unwrap_or((u64::MAX, 0));
            put16(out, KEPT);
            put16(out, KEPT_LEN - 4);
            put16(out, kept.mode().unwrap_or_default() as u16);
            put64(out, seconds);
            put32(out, nanos);
        }
        if first {
            out.extend_from_slice(MARK);
        }
    }

    /// What stands behind its content.
    pub(crate) fn write_descriptor(&self, crc: u32, out: &mut Vec<u8>) {
        if self.size == 0 {
            return;
        }
        put32(out, DESCRIPTOR);
        put32(out, crc);
        for _ in 0..2 {
            if self.is_big() { put64(out, self.size) } else { put32(out, self.size as u32) }
        }
    }

    /// Its place in the list at the end.
    pub(crate) fn write_central(&self, crc: u32, offset: u64, out: &mut Vec<u8>) {
        let extra_len = central_extra_len(self.size, offset);
        let version = if extra_len == 0 { PLAIN_VERSION } else { ZIP64_VERSION };
        let size = if self.is_big() { BIG_MARK } else { self.size as u32 };
        put32(out, CENTRAL);
        put16(out, UNIX | version);
        put16(out, version);
        put16(out, self.flags());
        put16(out, 0); // stored
        put16(out, 0); // time
        put16(out, DATE);
        put32(out, crc);
        put32(out, size);
        put32(out, size);
        put16(out, self.name.len() as u16);
        put16(out, extra_len as u16);
        put16(out, 0); // comment
        put16(out, 0); // disk
        put16(out, 0); // internal attributes
        put32(out, self.attributes());
        put32(out, u32::try_from(offset).unwrap_or(BIG_MARK));
        out.extend_from_slice(self.name.as_bytes());
        if extra_len > 0 {
            put16(out, ZIP64);
            put16(out, extra_len as u16 - 4);
            if self.is_big() {
                put64(out, self.size);
                put64(out, self.size);
            }
            if offset >= BIG {
                put64(out, offset);
            }
        }
    }
}

const fn central_extra_len(size: u64, offset: u64) -> u64 {
    match (size >= BIG, offset >= BIG) {
        (true, true) => 28,
        (true, false) => 20,
        (false, true) => 12,
        (false, false) => 0,
    }
}

/// The end of an archive: what its list counts, and where it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) count: u64,
    pub(crate) list_len: u64,
    pub(crate) list_at: u64,
}

impl End {
    /// Whether the records of Zip64 are needed.
    pub(crate) const fn is_big(&self) -> bool {
        self.count >= MANY || self.list_len >= BIG || self.list_at >= BIG
    }

    pub(crate) const fn len(&self) -> u64 {
        if self.is_big() { (END64_LEN + LOCATOR64_LEN + END_LEN) as u64 } else { END_LEN as u64 }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        if self.is_big() {
            put32(out, END64);
            put64(out, END64_LEN as u64 - 12); // what follows this field
            put16(out, UNIX | ZIP64_VERSION);
            put16(out, ZIP64_VERSION);
            put32(out, 0); // disk
            put32(out, 0); // disk of the list
            put64(out, self.count);
            put64(out, self.count);
            put64(out, self.list_len);
            put64(out, self.list_at);
            put32(out, LOCATOR64);
            put32(out, 0); // disk
            put64(out, self.list_at.saturating_add(self.list_len));
            put32(out, 1); // disks
        }
        let count = u16::try_from(self.count).unwrap_or(u16::MAX);
        put32(out, END);
        put16(out, 0); // disk
        put16(out, 0); // disk of the list
        put16(out, count);
        put16(out, count);
        put32(out, u32::try_from(self.list_len).unwrap_or(BIG_MARK));
        put32(out, u32::try_from(self.list_at).unwrap_or(BIG_MARK));
        put16(out, 0); // comment
    }
}

/// The exact size of an archive of these entries; `None` where no number is large enough.
pub(crate) struct Measure {
    end: End,
}

impl Measure {
    pub(crate) fn new() -> Self {
        Self { end: End::default() }
    }

    /// Adds the next entry.
    pub(crate) fn add(&mut self, entry: &Entry<'_>) -> Option<()> {
        let offset = self.end.list_at;
        self.end.list_at = offset.checked_add(entry.len(self.end.count == 0)?)?;
        self.end.list_len = self.end.list_len.checked_add(entry.central_len(offset))?;
        self.end.count = self.end.count.checked_add(1)?;
        Some(())
    }

    /// The whole.
    pub(crate) fn total(&self) -> Option<u64> {
        self.end.list_at.checked_add(self.end.list_len)?.checked_add(self.end.len())
    }
}

fn put16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_records_are_as_long_as_they_say(
            name in "[a-z]{1,40}/?",
            size in prop_oneof![Just(0), 1..10_u64, Just(BIG - 1), Just(BIG), BIG..u64::MAX / 2],
            offset in prop_oneof![0..10_u64, Just(BIG - 1), Just(BIG), BIG..u64::MAX],
            first: bool,
            keeps: bool,
        ) {
            let kept = keeps.then(|| Attributes::new(Some(0o644), Some((1, 2))));
            let entry = Entry { name: &name, size, mode: 0o644, kept };
            let mut out = Vec::new();
            entry.write_local(first, &mut out);
            entry.write_descriptor(7, &mut out);
            prop_assert_eq!(entry.len(first), Some(out.len() as u64 + size));
            out.clear();
            entry.write_central(7, offset, &mut out);
            prop_assert_eq!(entry.central_len(offset), out.len() as u64);
        }

        #[test]
        fn the_end_is_as_long_as_it_says(
            count in prop_oneof![0..3_u64, Just(0xfffe), Just(0xffff), Just(0x1_0000)],
            list_len in prop_oneof![0..3_u64, Just(BIG - 1), Just(BIG)],
            list_at in prop_oneof![0..3_u64, Just(BIG - 1), Just(BIG)],
        ) {
            let end = End { count, list_len, list_at };
            let mut out = Vec::new();
            end.write(&mut out);
            prop_assert_eq!(end.len(), out.len() as u64);
        }
    }

    #[test]
    fn an_archive_without_entries_has_22_bytes() {
        assert_eq!(Measure::new().total(), Some(22));
    }

    #[test]
    fn what_no_number_can_hold_is_refused() {
        let mut measure = Measure::new();
        let huge = Entry { name: "a", size: u64::MAX / 2, mode: 0, kept: None };
        assert_eq!(measure.add(&huge), Some(()));
        assert_eq!(measure.add(&huge), None);
    }
}
