//! The thread's side of the content: a sink that hashes and seals, a source that opens and hashes.

use std::ops::Range;

use sha2::{Digest, Sha256};
use wormhole_core::error::{Error as CoreError, TransitFault};
use wormhole_core::transit::{Opener, Sealer};
use wormhole_runtime::pipe::{Inbox, Outbox};
use wormhole_runtime::record::Fastest;

use crate::error::Error;
use crate::exchange::ThreadEnd;
use crate::flow::{Sink, Source};
use crate::progress::UNKNOWN;
use crate::receiver::Received;

/// The SHA-256 of all content.
pub(crate) type Hash = [u8; 32];
/// What the thread of the sender comes to.
pub(crate) type Sent = Result<Hash, Error>;
/// What the thread of the receiver comes to.
pub(crate) type Stored = Result<(Hash, Received), Error>;

/// What the thread of the sender fills.
pub(crate) struct Sealing<'a> {
    to_task: &'a ThreadEnd<Outbox, Sent>,
    outbox: Option<Outbox>,
    sealer: Sealer<Fastest>,
    hash: Sha256,
}

impl<'a> Sealing<'a> {
    pub(crate) fn new(to_task: &'a ThreadEnd<Outbox, Sent>, sealer: Sealer<Fastest>) -> Self {
        Self { to_task, outbox: None, sealer, hash: Sha256::new() }
    }

    /// Seals the record that is open, and hands the buffer over if it holds no more.
    fn seal(&mut self) -> Result<(), Error> {
        let Some(outbox) = &mut self.outbox else { return Ok(()) };
        self.hash.update(outbox.open_content());
        outbox.seal(&mut self.sealer)?;
        if outbox.is_full() { self.hand_over() } else { Ok(()) }
    }

    fn hand_over(&mut self) -> Result<(), Error> {
        let taken = self.outbox.take().is_none_or(|outbox| self.to_task.give(outbox));
        if taken { Ok(()) } else { Err(abandoned()) }
    }

    /// Hands over the last of it.
    pub(crate) fn finish(mut self) -> Sent {
        self.seal()?;
        self.hand_over()?;
        Ok(self.hash.finalize().into())
    }
}

impl Sink for Sealing<'_> {
    fn room(&mut self) -> Result<&mut [u8], Error> {
        if self.outbox.as_mut().is_some_and(|outbox| outbox.room().is_empty()) {
            self.seal()?;
        }
        let outbox = match self.outbox.take() {
            Some(outbox) => outbox,
            None => {
                let mut outbox = self.to_task.take().ok_or_else(abandoned)?;
                outbox.clear();
                outbox
            }
        };
        Ok(self.outbox.insert(outbox).room())
    }

    fn filled(&mut self, count: usize) {
        if let Some(outbox) = &mut self.outbox {
            outbox.filled(count);
        }
    }

    fn hurry(&mut self) -> Result<(), Error> {
        self.seal()?;
        self.hand_over()
    }

    /// An empty record says it.
    fn end(&mut self) -> Result<(), Error> {
        self.seal()?;
        self.room()?;
        match &mut self.outbox {
            Some(outbox) => Ok(outbox.seal_any(&mut self.sealer)?),
            None => Ok(()),
        }
    }
}

/// What the thread of the receiver reads from.
pub(crate) struct Opening<'a> {
    from_task: &'a ThreadEnd<Inbox, Stored>,
    inbox: Option<Inbox>,
    /// What is left of the record that was opened last.
    content: Range<usize>,
    /// Bytes that are still to come, beyond that record.
    left: u64,
    opener: Opener<Fastest>,
    hash: Sha256,
}

impl<'a> Opening<'a> {
    pub(crate) fn new(from_task: &'a ThreadEnd<Inbox, Stored>, size: u64, opener: Opener<Fastest>) -> Self {
        Self { from_task, inbox: None, content: 0..0, left: size, opener, hash: Sha256::new() }
    }

    /// The hash of all that was opened.
    pub(crate) fn hash(self) -> Hash {
        self.hash.finalize().into()
    }

    /// Opens the next record that has any content. `false` at the end of all content.
    fn advance(&mut self) -> Result<bool, Error> {
        while self.content.is_empty() {
            let Some(inbox) = &mut self.inbox else {
                self.inbox = self.from_task.take();
                // All that was announced is not yet all: the task looks whether more came, and only then is it done.
                match (&self.inbox, self.left) {
                    (Some(_), _) => continue,
                    (None, 0) if self.from_task.is_done() => return Ok(false),
                    (None, _) => return Err(abandoned()),
                }
            };
            match inbox.open(&mut self.opener) {
                Some(opened) => {
                    self.content = opened.map_err(|fault| Error::Wormhole(fault.into()))?;
                    let content = inbox.content(self.content.clone());
                    self.hash.update(content);
                    if self.left == UNKNOWN && content.is_empty() {
                        self.left = 0;
                    }
                    // Of what has no size there is always more to come.
                    let left = if self.left == UNKNOWN {
                        Some(UNKNOWN)
                    } else {
                        self.left.checked_sub(content.len() as u64)
                    };
                    self.left = left.ok_or_else(|| Error::Wormhole(TransitFault::TooMuch.into()))?;
                }
                None => {
                    if let Some(inbox) = self.inbox.take() {
                        self.from_task.give(inbox);
                    }
                }
            }
        }
        Ok(true)
    }
}

impl Source for Opening<'_> {
    fn chunk(&mut self) -> Result<&[u8], Error> {
        if !self.advance()? {
            return Ok(&[]);
        }
        Ok(self.inbox.as_ref().map_or(&[], |inbox| inbox.content(self.content.clone())))
    }

    fn used(&mut self, count: usize) {
        self.content.start = self.content.start.saturating_add(count).min(self.content.end);
    }

    fn check_wanted(&self) -> Result<(), Error> {
        if self.from_task.is_abandoned() { Err(abandoned()) } else { Ok(()) }
    }
}

/// The task has gone, so nobody asks for the outcome.
const fn abandoned() -> Error {
    Error::Wormhole(CoreError::Cancelled)
}
