//! Unpacks an archive of ours as it arrives, and hands any other to [`spool`].
//!
//! Entries are taken at their word, in the order in which they come, and what they said is digested. The list at the
//! end is digested alike, and both must come to the same: names, sizes, checksums, places and number. Until then, what
//! was unpacked has no name that anybody knows. Only the list has the permissions, so they are set last.

use sha2::{Digest, Sha256};
use wormhole_core::wire::peer::Attributes;

use super::fields::{Fields, extra};
use super::layout::{
    BIG_MARK, CENTRAL, CENTRAL_LEN, DESCRIPTOR, End, FOLLOWS, KEPT, LINK_TYPE, LOCAL, LOCAL_LEN, MARK,
    TYPE_BITS, UTF8, ZIP64,
};
use super::spool::{self, Waiting};
use super::tree::{Tree, keep_file, safe_path, shown};
use crate::error::{BadArchive, Error};
use crate::flow::Source;

/// Unpacks what comes into `tree`. An archive that is not ours waits as `waiting` says.
pub(crate) fn unpack(source: &mut impl Source, tree: &mut Tree, waiting: Waiting<'_>) -> Result<(), Error> {
    let signature: [u8; 4] = source.take()?;
    let mut begun = signature.to_vec();
    if u32::from_le_bytes(signature) != LOCAL {
        return spool::unpack(&begun, source, tree, waiting);
    }
    let local = Local::read(source)?;
    if !local.is_marked() {
        begun.extend_from_slice(&local.raw);
        return spool::unpack(&begun, source, tree, waiting);
    }
    let keeps = local.kept().is_some();
    let mut stream = Stream { source, tree, at: 0, said: Digested::default(), keeps };
    stream.entry(&local)?;
    while stream.signature()? == LOCAL {
        let local = Local::read(stream.source)?;
        stream.entry(&local)?;
    }
    stream.finish()
}

/// What stands before the content of an entry.
struct Local {
    /// All of it but the signature.
    raw: Vec<u8>,
    flags: u16,
    method: u16,
    crc: u32,
    sizes: (u64, u64),
    is_big: bool,
    name_len: usize,
}

impl Local {
    const FIXED: usize = LOCAL_LEN - 4;

    fn read(source: &mut impl Source) -> Result<Self, Error> {
        let mut raw = source.take::<{ Self::FIXED }>()?.to_vec();
        let mut fields = Fields(&raw);
        fields.skip(2)?; // version
        let (flags, method) = (fields.u16()?, fields.u16()?);
        fields.skip(4)?; // time and date
        let (crc, packed, unpacked) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let (name_len, extra_len) = (usize::from(fields.u16()?), usize::from(fields.u16()?));
        raw.resize(Self::FIXED + name_len + extra_len, 0);
        source.fill(raw.get_mut(Self::FIXED..).unwrap_or_default())?;
        let sizes = (u64::from(packed), u64::from(unpacked));
        let is_big = unpacked == BIG_MARK;
        let mut local = Self { raw, flags, method, crc, sizes, is_big, name_len };
        if is_big && let Some(mut zip64) = extra(local.extras(), ZIP64) {
            let unpacked = zip64.u64()?;
            local.sizes = (zip64.u64()?, unpacked);
        }
        Ok(local)
    }

    fn name(&self) -> &[u8] {
        self.raw.get(Self::FIXED..Self::FIXED + self.name_len).unwrap_or_default()
    }

    fn extras(&self) -> Fields<'_> {
        Fields(self.raw.get(Self::FIXED + self.name_len..).unwrap_or_default())
    }

    fn is_marked(&self) -> bool {
        let mut mark = Fields(MARK);
        let number = mark.u16().unwrap_or_default();
        let content = mark.0.get(2..);
        extra(self.extras(), number).map(|found| found.0) == content
    }

    /// What the entry keeps, where it says so.
    fn kept(&self) -> Option<Attributes> {
        let mut kept = extra(self.extras(), KEPT)?;
        let (mode, seconds, nanos) = (kept.u16().ok()?, kept.u64().ok()?, kept.u32().ok()?);
        Some(Attributes::new(Some(mode.into()), Some((seconds, nanos.into()))))
    }

    /// The size of its content, if it is as we write it.
    fn size(&self) -> Result<u64, BadArchive> {
        let plain = self.flags & !(UTF8 | FOLLOWS) == 0 && self.method == 0;
        if plain && self.sizes.0 == self.sizes.1 { Ok(self.sizes.1) } else { Err(BadArchive::Method) }
    }
}

/// What entries, or the list of them, came to.
#[derive(Clone, Debug, Default)]
struct Digested {
    hash: Sha256,
    count: u64,
}

impl Digested {
    fn add(&mut self, name: &[u8], size: u64, crc: u32, at: u64) {
        self.hash.update((name.len() as u64).to_le_bytes());
        self.hash.update(name);
        self.hash.update(size.to_le_bytes());
        self.hash.update(crc.to_le_bytes());
        self.hash.update(at.to_le_bytes());
        self.count = self.count.saturating_add(1);
    }

    fn is(self, other: Self) -> bool {
        self.count == other.count && self.hash.finalize() == other.hash.finalize()
    }
}

struct Stream<'a, S> {
    source: &'a mut S,
    tree: &'a mut Tree,
    /// Where in the archive the next record begins.
    at: u64,
    said: Digested,
    /// The local headers say what entries keep, and the list need not.
    keeps: bool,
}

impl<S: Source> Stream<'_, S> {
    fn signature(&mut self) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.source.take()?))
    }

    fn entry(&mut self, local: &Local) -> Result<(), Error> {
        // A buffer may hold thousands of small files.
        self.source.check_wanted()?;
        let (name, size) = (local.name(), local.size()?);
        let path = safe_path(name)?;
        let crc = if path.is_directory() {
            if size != 0 {
                return Err(BadArchive::Malformed("a directory has content").into());
            }
            self.tree.directory(&path)?;
            if let Some(kept) = local.kept() {
                self.tree.keep(&path, kept);
            }
            0
        } else {
            let (mut file, at) = self.tree.file(&path)?;
            let mut left = size;
            let mut checksum = crc32fast::Hasher::new();
            while left > 0 {
                let chunk = self.source.chunk()?;
                if chunk.is_empty() {
                    return Err(BadArchive::Malformed("it ends too early").into());
                }
                let count = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let bytes = chunk.get(..count).unwrap_or_default();
                checksum.update(bytes);
                self.tree.write(&mut file, &at, bytes)?;
                self.source.used(count);
                left = left.saturating_sub(count as u64);
            }
            if let Some(kept) = local.kept() {
                keep_file(&file, &at, &kept)?;
            }
            checksum.finalize()
        };
        let behind = self.descriptor(local, size, crc)?;
        self.said.add(name, size, crc, self.at);
        let len = 4_u64.saturating_add(local.raw.len() as u64).saturating_add(size).saturating_add(behind);
        self.at = self.at.saturating_add(len);
        Ok(())
    }

    /// Compares what stands behind the content, or where nothing does, what stood before it. Answers how long it is.
    fn descriptor(&mut self, local: &Local, size: u64, crc: u32) -> Result<u64, Error> {
        let checksum = || Error::from(BadArchive::Checksum(shown(local.name())));
        if local.flags & FOLLOWS == 0 {
            return if local.crc == crc { Ok(0) } else { Err(checksum()) };
        }
        let signature = self.signature()?;
        let said = u32::from_le_bytes(self.source.take()?);
        let sizes = if local.is_big {
            [u64::from_le_bytes(self.source.take()?), u64::from_le_bytes(self.source.take()?)]
        } else {
            [self.signature()?.into(), self.signature()?.into()]
        };
        if signature != DESCRIPTOR || sizes != [size; 2] {
            return Err(BadArchive::Mismatch.into());
        }
        if said != crc {
            return Err(checksum());
        }
        Ok(if local.is_big { 24 } else { 16 })
    }

    /// Reads the list and the end. The signature that ended the entries has been taken.
    fn finish(mut self) -> Result<(), Error> {
        let list_at = self.at;
        let mut listed = Digested::default();
        let mut list_len = 0_u64;
        let mut signature = CENTRAL;
        // Whatever stood there instead of a list comes out as an end, and fails as one.
        while signature == CENTRAL {
            let len = self.listed(&mut listed)?;
            list_len = list_len.saturating_add(len);
            signature = self.signature()?;
        }
        let end = End { count: listed.count, list_len, list_at };
        let mut expected = Vec::new();
        end.write(&mut expected);
        let mut found = vec![0; expected.len()];
        let (head, rest) = found.split_at_mut(4);
        head.copy_from_slice(&signature.to_le_bytes());
        self.source.fill(rest)?;
        if found != expected || !listed.is(self.said) || !self.source.chunk()?.is_empty() {
            return Err(BadArchive::Mismatch.into());
        }
        Ok(())
    }

    /// Reads one line of the list, and gives its entry the permissions. Answers how long it is.
    fn listed(&mut self, listed: &mut Digested) -> Result<u64, Error> {
        const FIXED: usize = CENTRAL_LEN - 4;
        let fixed: [u8; FIXED] = self.source.take()?;
        let mut fields = Fields(&fixed);
        fields.skip(12)?; // versions, flags, method, time and date
        let (crc, packed, unpacked) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let lens = [fields.u16()?, fields.u16()?, fields.u16()?].map(usize::from);
        fields.skip(4)?; // disk and internal attributes
        let (attributes, at) = (fields.u32()?, fields.u32()?);
        let [name_len, extra_len, comment_len] = lens;
        let mut rest = vec![0; name_len + extra_len + comment_len];
        self.source.fill(&mut rest)?;
        let mut rest = Fields(&rest);
        let name = rest.slice(name_len)?;
        let (mut size, mut packed_size, mut at) = (u64::from(unpacked), u64::from(packed), u64::from(at));
        if let Some(mut zip64) = extra(Fields(rest.slice(extra_len)?), ZIP64) {
            if unpacked == BIG_MARK {
                size = zip64.u64()?;
            }
            if packed == BIG_MARK {
                packed_size = zip64.u64()?;
            }
            if at == u64::from(BIG_MARK) {
                at = zip64.u64()?;
            }
        }
        if packed_size != size {
            return Err(BadArchive::Mismatch.into());
        }
        listed.add(name, size, crc, at);
        let mode = attributes >> 16;
        if mode & TYPE_BITS == LINK_TYPE {
            return Err(BadArchive::Link(shown(name)).into());
        }
        if !self.keeps {
            self.tree.set_mode_of(&safe_path(name)?, mode)?;
        }
        Ok((CENTRAL_LEN + name_len + extra_len + comment_len) as u64)
    }
}
