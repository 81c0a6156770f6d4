//! The content itself, over a pipe: what runs beside the session once transit has settled on a connection.
//!
//! Each side has one plain thread. The sender's reads, hashes and seals; the receiver's opens, hashes and writes. It
//! trades a few large buffers with the task that has the socket, so disk and network overlap, and memory stays the
//! same whatever the size. When one of the two is dropped the other ends.

use std::fmt;
use std::future::poll_fn;
use std::ops::Range;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::thread;

use sha2::{Digest, Sha256};
use wormhole_core::error::TransitFault;
use wormhole_core::transit::{Opener, Sealer};
use wormhole_core::wire::peer::Ack;
use wormhole_runtime::Stream;
use wormhole_runtime::pipe::{Broken, Inbox, Outbox, Parts, Pipe, Wire};
use wormhole_runtime::record::Fastest;

use crate::error::Error;
use crate::exchange::{Ended, Taken, TaskEnd, ThreadEnd, exchange};
use crate::flow::{Sink, Source};
use crate::incoming::Incoming;
use crate::outgoing::Content;

/// Buffers that go round between thread and task: one at each end, and one on the way.
const BUFFERS: usize = 3;
/// The longest acknowledgement that is read.
const ACK_LIMIT: usize = 64 << 10;

/// How far the content has come. Clones show the same.
#[derive(Clone, Default)]
pub struct Progress(Arc<Counters>);

#[derive(Default)]
struct Counters {
    done: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    /// Bytes that have gone, or come, over the connection.
    pub fn done(&self) -> u64 {
        self.0.done.load(Ordering::Relaxed)
    }

    /// Bytes that will; 0 before that is known.
    pub fn total(&self) -> u64 {
        self.0.total.load(Ordering::Relaxed)
    }

    fn set(&self, done: u64) {
        self.0.done.store(done, Ordering::Relaxed);
    }

    pub(crate) fn set_total(&self, total: u64) {
        self.0.total.store(total, Ordering::Relaxed);
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").field("done", &self.done()).field("total", &self.total()).finish()
    }
}

/// The SHA-256 of all content.
type Hash = [u8; 32];
type Sent = Result<Hash, Error>;
type Received = Result<(Hash, PathBuf), Error>;

/// Content on its way out.
pub struct Sending<S> {
    wire: Wire<S>,
    opener: Opener<Fastest>,
    from_disk: TaskEnd<Outbox, Sent>,
    size: u64,
    progress: Progress,
}

impl<S: Stream> Sending<S> {
    /// Starts to read. Nothing is sent before [`Sending::run`].
    pub fn start(content: Content, pipe: Pipe<S>, progress: Progress) -> Result<Self, Error> {
        let Parts { wire, sealer, opener } = pipe.into_parts();
        let (to_task, mut from_disk) = exchange();
        for _ in 0..BUFFERS {
            from_disk.give(Outbox::new());
        }
        let size = content.size();
        progress.set_total(size);
        on_a_thread(move || {
            let mut sealing = Sealing { to_task: &to_task, outbox: None, sealer, hash: Sha256::new() };
            let outcome = content.flow(&mut sealing).and_then(|()| sealing.finish());
            to_task.finish(outcome);
        })?;
        Ok(Self { wire, opener, from_disk, size, progress })
    }

    /// Sends all of it.
    pub async fn run(mut self) -> Result<Confirming<S>, Error> {
        let mut done = 0_u64;
        let hash = loop {
            match self.from_disk.take().await {
                Taken::Buffer(outbox) => {
                    let progress = &self.progress;
                    let sent = self.wire.send_all(&outbox, |bytes| progress.set(done.saturating_add(bytes)));
                    if sent.await.is_err() {
                        let lost = TransitFault::Lost { got: self.progress.done(), want: self.size };
                        return Err(transit(lost));
                    }
                    done = done.saturating_add(outbox.content_len());
                    self.from_disk.give(outbox);
                }
                Taken::Ended(outcome) => break outcome.unwrap_or(Err(Error::NoThread))?,
            }
        };
        Ok(Confirming { wire: self.wire, opener: self.opener, hash })
    }

    pub(crate) fn thread(&self) -> Ended {
        self.from_disk.thread()
    }
}

/// Content that has all been sent, and waits for the other side to say that it has it.
pub struct Confirming<S> {
    wire: Wire<S>,
    opener: Opener<Fastest>,
    hash: Hash,
}

impl<S: Stream> Confirming<S> {
    /// Waits for the acknowledgement and checks it.
    pub async fn run(mut self) -> Result<(), Error> {
        let record = self.wire.receive(&mut self.opener, ACK_LIMIT).await.map_err(|broken| match broken {
            Broken::Failed(_) | Broken::Ended => transit(TransitFault::Unconfirmed(broken.to_string())),
            Broken::Fault(fault) => transit(fault),
        })?;
        let ack = Ack::decode(&record).map_err(|_| transit(TransitFault::MalformedAck))?;
        ack.ok.map_err(|text| transit(TransitFault::Refused(text)))?;
        if ack.sha256.is_some_and(|theirs| theirs != self.hash) {
            return Err(transit(TransitFault::WrongHash));
        }
        // It is confirmed, whatever becomes of the connection.
        self.wire.finish().await.ok();
        Ok(())
    }
}

/// Content on its way in.
pub struct Receiving<S> {
    wire: Wire<S>,
    sealer: Sealer<Fastest>,
    to_disk: TaskEnd<Inbox, Received>,
    size: u64,
    progress: Progress,
}

impl<S: Stream> Receiving<S> {
    /// Is ready to write. Nothing is read before [`Receiving::run`].
    pub fn start(incoming: Incoming, pipe: Pipe<S>, progress: Progress) -> Result<Self, Error> {
        let Parts { wire, sealer, opener } = pipe.into_parts();
        let (from_task, to_disk) = exchange();
        for _ in 0..BUFFERS {
            from_task.give(Inbox::new());
        }
        let size = incoming.size();
        progress.set_total(size);
        on_a_thread(move || {
            let hash = Sha256::new();
            let mut opening =
                Opening { from_task: &from_task, inbox: None, content: 0..0, left: size, opener, hash };
            let outcome = incoming.take(&mut opening).map(|path| (opening.hash.finalize().into(), path));
            from_task.finish(outcome);
        })?;
        Ok(Self { wire, sealer, to_disk, size, progress })
    }

    /// Receives all of it, and says so to the other side once it has its name.
    pub async fn run(mut self) -> Result<PathBuf, Error> {
        self.receive().await?;
        self.to_disk.done();
        let (hash, path) = loop {
            match self.to_disk.take().await {
                Taken::Buffer(_) => {}
                Taken::Ended(outcome) => break outcome.unwrap_or(Err(Error::NoThread))?,
            }
        };
        let ack = Ack { ok: Ok(()), sha256: Some(hash) }.encode();
        let sent = match self.wire.send(&mut self.sealer, &ack).await {
            Ok(()) => self.wire.finish().await,
            Err(error) => Err(error),
        };
        // The other side may have gone in the moment in which we wrote. What is here is whole all the same.
        sent.ok();
        Ok(path)
    }

    async fn receive(&mut self) -> Result<(), Error> {
        let mut got = 0_u64;
        let mut inbox = self.empty().await?;
        while got < self.size {
            self.fill(&mut inbox, got).await?;
            got = got.saturating_add(inbox.content_len());
            let mut next = self.empty().await?;
            inbox.carry_over(&mut next).map_err(|broken| self.broken(&broken, got))?;
            self.progress.set(got.saturating_add(next.begun() as u64).min(self.size));
            self.to_disk.give(inbox);
            inbox = next;
        }
        if got > self.size || inbox.begun() > 0 || self.wire.has_more().await {
            return Err(transit(TransitFault::TooMuch));
        }
        Ok(())
    }

    /// Reads, unless the thread has failed meanwhile.
    async fn fill(&mut self, inbox: &mut Inbox, got: u64) -> Result<(), Error> {
        let thread = self.to_disk.thread();
        let filled = {
            let mut read = pin!(self.wire.receive_many(inbox));
            poll_fn(|cx| match read.as_mut().poll(cx) {
                Poll::Ready(read) => Poll::Ready(Some(read)),
                Poll::Pending => thread.poll(cx).map(|()| None),
            })
            .await
        };
        match filled {
            Some(Ok(())) => Ok(()),
            Some(Err(broken)) => Err(self.broken(&broken, got.saturating_add(inbox.begun() as u64))),
            None => match self.empty().await {
                Ok(_) => Err(Error::NoThread),
                Err(error) => Err(error),
            },
        }
    }

    /// A buffer to read into, or why the thread needs none.
    async fn empty(&mut self) -> Result<Inbox, Error> {
        match self.to_disk.take().await {
            Taken::Buffer(mut inbox) => {
                inbox.clear();
                Ok(inbox)
            }
            Taken::Ended(Some(Err(error))) => Err(error),
            Taken::Ended(Some(Ok(_)) | None) => Err(Error::NoThread),
        }
    }

    fn broken(&self, broken: &Broken, got: u64) -> Error {
        match broken {
            Broken::Failed(_) | Broken::Ended => transit(TransitFault::Lost { got, want: self.size }),
            Broken::Fault(fault) => transit(fault.clone()),
        }
    }

    pub(crate) fn thread(&self) -> Ended {
        self.to_disk.thread()
    }
}

fn transit(fault: TransitFault) -> Error {
    Error::Wormhole(fault.into())
}

/// Nobody waits for it: whatever it works on ends when its exchange does.
fn on_a_thread(work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let started = thread::Builder::new().name("wormhole-disk".to_owned()).spawn(work);
    started.map(drop).map_err(|_| Error::NoThread)
}

/// What the thread of the sender fills.
struct Sealing<'a> {
    to_task: &'a ThreadEnd<Outbox, Sent>,
    outbox: Option<Outbox>,
    sealer: Sealer<Fastest>,
    hash: Sha256,
}

impl Sealing<'_> {
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

    fn finish(mut self) -> Sent {
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
}

/// What the thread of the receiver reads from.
struct Opening<'a> {
    from_task: &'a ThreadEnd<Inbox, Received>,
    inbox: Option<Inbox>,
    /// What is left of the record that was opened last.
    content: Range<usize>,
    /// Bytes that are still to come, beyond that record.
    left: u64,
    opener: Opener<Fastest>,
    hash: Sha256,
}

impl Opening<'_> {
    /// Opens the next record that has any content. `false` at the end of all content.
    fn advance(&mut self) -> Result<bool, Error> {
        while self.content.is_empty() {
            if self.left == 0 {
                return Ok(false);
            }
            let Some(inbox) = &mut self.inbox else {
                self.inbox = Some(self.from_task.take().ok_or_else(abandoned)?);
                continue;
            };
            match inbox.open(&mut self.opener) {
                Some(opened) => {
                    self.content = opened.map_err(transit)?;
                    let content = inbox.content(self.content.clone());
                    self.hash.update(content);
                    let left = self.left.checked_sub(content.len() as u64);
                    self.left = left.ok_or_else(|| transit(TransitFault::TooMuch))?;
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
}

/// The task has gone, so nobody asks for the outcome.
const fn abandoned() -> Error {
    Error::Wormhole(wormhole_core::error::Error::Cancelled)
}

impl<S> fmt::Debug for Sending<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").field("progress", &self.progress).finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Confirming<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Confirming(..)")
    }
}

impl<S> fmt::Debug for Receiving<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiving").field("progress", &self.progress).finish_non_exhaustive()
    }
}
