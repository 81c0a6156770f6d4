//! The large buffers in which records travel between a socket and a disk.

use std::fmt;
use std::ops::Range;

use wormhole_core::defaults::{RECORD_CONTENT, RECORD_LIMIT};
use wormhole_core::error::{Misuse, TransitFault};
use wormhole_core::transit::{OVERHEAD, Opener, Sealer};

use super::Broken;
use crate::record::Fastest;

/// Records in one large buffer. One a buffer costs a tenth of the speed, more cost only memory.
pub const BATCH_RECORDS: usize = 8;
/// Bytes of a buffer: with records of [`RECORD_CONTENT`] it is full at the border of one, so that no part of a
/// record has to move to the next buffer.
pub(super) const BATCH: usize = BATCH_RECORDS * (RECORD_CONTENT + OVERHEAD);
/// Bytes in front of a record that say how long it is.
pub(super) const LENGTH: usize = 4;

/// A buffer of records that are on their way out: filled and sealed by one thread, sent by another.
pub struct Outbox {
    bytes: Vec<u8>,
    /// Where the open record begins: everything before it is sealed.
    sealed: usize,
    /// Content of the open record.
    open: usize,
    content: u64,
}

impl Outbox {
    /// An empty one, of the largest size there is.
    pub fn new() -> Self {
        Self::for_content(u64::MAX)
    }

    /// An empty one that holds so much content, as far as the largest would.
    pub fn for_content(len: u64) -> Self {
        Self { bytes: vec![0; batch(len)], sealed: 0, open: 0, content: 0 }
    }

    /// Makes it as new.
    pub const fn clear(&mut self) {
        self.sealed = 0;
        self.open = 0;
        self.content = 0;
    }

    /// Where more content of the open record goes; empty once that record is full, and to be sealed.
    pub fn room(&mut self) -> &mut [u8] {
        let content = self.content_start();
        let end = content.saturating_add(RECORD_CONTENT);
        self.bytes.get_mut(content.saturating_add(self.open)..end).unwrap_or_default()
    }

    /// So many bytes of [`Outbox::room`] are content now.
    pub fn filled(&mut self, count: usize) {
        self.open = self.open.saturating_add(count).min(RECORD_CONTENT);
    }

    /// The content of the open record.
    pub fn open_content(&self) -> &[u8] {
        let content = self.content_start();
        self.bytes.get(content..content.saturating_add(self.open)).unwrap_or_default()
    }

    /// Seals the open record, if there is anything in it.
    pub fn seal(&mut self, sealer: &mut Sealer<Fastest>) -> Result<(), Misuse> {
        if self.open == 0 { Ok(()) } else { self.seal_any(sealer) }
    }

    /// Seals the open record, also where there is nothing in it.
    pub fn seal_any(&mut self, sealer: &mut Sealer<Fastest>) -> Result<(), Misuse> {
        let end = self.content_start().saturating_add(self.open);
        let record = self.bytes.get_mut(self.sealed..end).ok_or(Misuse::OutOfTurn("no room for a record"))?;
        sealer.seal(record)?;
        self.content = self.content.saturating_add(self.open as u64);
        self.sealed = end;
        self.open = 0;
        Ok(())
    }

    /// Whether there is no room for another record.
    pub fn is_full(&self) -> bool {
        self.content_start().saturating_add(RECORD_CONTENT) > self.bytes.len()
    }

    /// Bytes of content that are sealed.
    pub const fn content_len(&self) -> u64 {
        self.content
    }

    /// The sealed records.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.sealed).unwrap_or_default()
    }

    const fn content_start(&self) -> usize {
        self.sealed.saturating_add(OVERHEAD)
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self::new()
    }
}

/// A buffer of records that have come: filled by whoever has the socket, opened by a thread.
pub struct Inbox {
    pub(super) bytes: Vec<u8>,
    /// What has come.
    pub(super) filled: usize,
    /// Where the last whole record ends.
    whole: usize,
    /// Where the next record to be opened begins.
    next: usize,
    content: u64,
    has_empty: bool,
}

impl Inbox {
    /// An empty one. It grows for a record that is longer than a buffer, and shrinks again.
    pub fn new() -> Self {
        Self::for_content(u64::MAX)
    }

    /// As [`Inbox::new`], but no larger than it takes for so much content in records of the usual size.
    pub fn for_content(len: u64) -> Self {
        Self { bytes: vec![0; batch(len)], filled: 0, whole: 0, next: 0, content: 0, has_empty: false }
    }

    /// Makes it as new.
    pub fn clear(&mut self) {
        if self.bytes.len() > BATCH {
            self.bytes.truncate(BATCH);
            self.bytes.shrink_to_fit();
        }
        (self.filled, self.whole, self.next, self.content) = (0, 0, 0, 0);
        self.has_empty = false;
    }

    /// Bytes of content in the whole records.
    pub const fn content_len(&self) -> u64 {
        self.content
    }

    /// Whether one of the whole records is empty.
    pub const fn has_empty(&self) -> bool {
        self.has_empty
    }

    /// Bytes that have come of a record that is not whole yet.
    pub const fn begun(&self) -> usize {
        self.filled.saturating_sub(self.whole)
    }

    /// Moves the beginning of a record that is not whole yet to the next buffer, which must be empty.
    pub fn carry_over(&mut self, next: &mut Self) -> Result<(), Broken> {
        let begun = self.bytes.get(self.whole..self.filled).unwrap_or_default();
        if next.bytes.len() < begun.len() {
            next.bytes.resize(begun.len(), 0);
        }
        if let Some(place) = next.bytes.get_mut(..begun.len()) {
            place.copy_from_slice(begun);
        }
        let count = begun.len();
        self.filled = self.whole;
        next.filled(count)
    }

    /// Opens the next whole record; `None` after the last. The range is that of its content.
    pub fn open(&mut self, opener: &mut Opener<Fastest>) -> Option<Result<Range<usize>, TransitFault>> {
        let whole = self.bytes.get_mut(..self.whole)?;
        let (head, rest) = whole.get_mut(self.next..)?.split_first_chunk_mut::<LENGTH>()?;
        let opened = Opener::<Fastest>::frame_len(*head).and_then(|len| {
            let body = rest.get_mut(..len).ok_or(TransitFault::BadRecord)?;
            Ok(opener.open(body)?.len())
        });
        Some(opened.map(|len| {
            let start = self.next.saturating_add(OVERHEAD);
            self.next = start.saturating_add(len);
            start..self.next
        }))
    }

    /// Content that was opened.
    pub fn content(&self, range: Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    pub(super) const fn has_whole(&self) -> bool {
        self.whole > 0
    }

    /// Where to read to; empty once the buffer is full. It grows only while it holds no whole record, and no faster
    /// than what comes.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.filled == self.bytes.len() && !self.has_whole() {
            let most = RECORD_LIMIT.saturating_add(OVERHEAD);
            self.bytes.resize(self.filled.saturating_mul(2).min(most), 0);
        }
        self.bytes.get_mut(self.filled..).unwrap_or_default()
    }

    /// So many bytes have come. A record that is longer than the limit is refused as soon as it says so.
    pub(super) fn filled(&mut self, count: usize) -> Result<(), Broken> {
        self.filled = self.filled.saturating_add(count).min(self.bytes.len());
        loop {
            let come = self.bytes.get(self.whole..self.filled).unwrap_or_default();
            let Some((head, body)) = come.split_first_chunk::<LENGTH>() else { return Ok(()) };
            let len = Opener::<Fastest>::frame_len(*head).map_err(Broken::Fault)?;
            if body.len() < len {
                return Ok(());
            }
            self.whole = self.whole.saturating_add(LENGTH).saturating_add(len);
            let content = len.saturating_add(LENGTH).saturating_sub(OVERHEAD);
            self.content = self.content.saturating_add(content as u64);
            self.has_empty |= content == 0;
        }
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self::new()
    }
}

/// Bytes of a buffer for so much content: whole records, one at least.
fn batch(content: u64) -> usize {
    let records = usize::try_from(content.div_ceil(RECORD_CONTENT as u64)).unwrap_or(BATCH_RECORDS);
    records.clamp(1, BATCH_RECORDS) * (RECORD_CONTENT + OVERHEAD)
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("content", &self.content).finish_non_exhaustive()
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("content", &self.content).finish_non_exhaustive()
    }
}
