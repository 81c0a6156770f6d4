//! One open connection: what is to be written, and whether a read is wanted. Without either it owns no buffer.

use std::collections::VecDeque;
use std::mem;
use std::task::{Context, Poll};

use wormhole_core::driver::{Conn, Input, Instant, Why};

use crate::driver::Stream;
use crate::why::why;

/// An open connection.
pub(super) struct Flow<T> {
    pub(super) stream: T,
    pub(super) out: Out,
    pub(super) reading: bool,
    /// Writing has failed; what the other end said before may still be read.
    failed: Option<Why>,
}

/// Bytes that wait to be written, and where each write among them ends.
#[derive(Debug, Default)]
pub(super) struct Out {
    bytes: Vec<u8>,
    written: usize,
    /// The lengths of the writes that are not answered yet, and how much of the first has left.
    marks: VecDeque<usize>,
    of_first: usize,
}

impl Out {
    /// Adds a write that will be answered.
    pub(super) fn push(&mut self, bytes: Vec<u8>) {
        self.marks.push_back(bytes.len());
        self.append(bytes);
    }

    /// Adds bytes of which nobody wants to hear.
    pub(super) fn append(&mut self, bytes: Vec<u8>) {
        if self.bytes.is_empty() {
            self.bytes = bytes;
        } else {
            // Else a connection that is never idle would keep all that it ever said.
            self.bytes.drain(..self.written.min(self.bytes.len()));
            self.written = 0;
            self.bytes.extend_from_slice(&bytes);
        }
    }

    /// Whether all has left.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.len() <= self.written
    }

    /// Writes as much as the stream takes; answers how many writes were finished, and whether all are.
    pub(super) fn poll<T: Stream>(
        &mut self,
        stream: &mut T,
        cx: &mut Context<'_>,
        sent: &mut usize,
    ) -> Poll<Result<(), Why>> {
        loop {
            // An empty write is taken at once.
            while self.marks.front().is_some_and(|mark| *mark <= self.of_first) {
                self.of_first -= self.marks.pop_front().unwrap_or(0);
                *sent += 1;
            }
            let left = self.bytes.get(self.written..).unwrap_or(&[]);
            if left.is_empty() {
                *self = Self::default();
                return Poll::Ready(Ok(()));
            }
            match stream.poll_write(cx, left) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(Why::Reset)),
                Poll::Ready(Ok(count)) => {
                    self.written += count;
                    if !self.marks.is_empty() {
                        self.of_first += count;
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(why(&error))),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<T: Stream> Flow<T> {
    pub(super) fn new(stream: T) -> Self {
        Self { stream, out: Out::default(), reading: false, failed: None }
    }

    /// Writes and reads what is wanted; an error ends the connection.
    pub(super) fn poll(
        &mut self,
        conn: Conn,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
        done: &mut VecDeque<Input>,
    ) -> Result<(), Why> {
        if self.failed.is_none() {
            let mut sent = 0;
            let wrote = self.out.poll(&mut self.stream, cx, &mut sent);
            done.extend((0..sent).map(|_| Input::Sent { conn }));
            if let Poll::Ready(Err(why)) = wrote {
                self.failed = Some(why);
            }
        }
        let read = if self.reading { self.stream.poll_read(cx, scratch) } else { Poll::Pending };
        match (read, self.failed.take()) {
            (Poll::Ready(Ok(count)), failed) if count > 0 => {
                self.reading = false;
                self.failed = failed;
                let bytes = scratch.get(..count).unwrap_or(&[]).to_vec();
                done.push_back(Input::Received { conn, bytes });
                if self.failed.is_some() {
                    // Nobody shall wait for a write before reading on.
                    let lost = mem::take(&mut self.out).marks.len();
                    done.extend((0..lost).map(|_| Input::Sent { conn }));
                }
                Ok(())
            }
            (_, Some(why)) => Err(why),
            (Poll::Ready(Ok(_)), None) => Err(Why::Ended),
            (Poll::Ready(Err(error)), None) => Err(why(&error)),
            (Poll::Pending, None) => Ok(()),
        }
    }
}

/// A connection that we leave: what was written may still go, then nothing more comes from us, and what the other
/// end still says is read away for a while, so that no reset overtakes our last line.
pub(super) struct Leaving<T> {
    stream: T,
    stage: Stage,
    pub(super) until: Instant,
}

enum Stage {
    Writing {
        out: Out,
        /// What is told once all has been written; nothing where it was told already.
        why: Option<Why>,
    },
    Discarding {
        budget: usize,
    },
}

/// What has become of a connection that we leave.
pub(super) enum Left {
    /// It is still written to.
    Not,
    /// All was written, and what comes is discarded; `told` is to be said now.
    Written { told: Option<Why> },
    /// It can be dropped; `told` is to be said now.
    Gone { told: Option<Why> },
}

/// The most bytes that are read away.
const DISCARD_LIMIT: usize = 8 << 20;

impl<T: Stream> Leaving<T> {
    pub(super) fn new(stream: T, out: Out, why: Option<Why>, until: Instant) -> Self {
        Self { stream, stage: Stage::Writing { out, why }, until }
    }

    pub(super) fn is_discarding(&self) -> bool {
        matches!(self.stage, Stage::Discarding { .. })
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>, now: Instant, scratch: &mut [u8]) -> Left {
        match &mut self.stage {
            Stage::Writing { out, why } => {
                let wrote = match out.poll(&mut self.stream, cx, &mut 0) {
                    Poll::Ready(Ok(())) => self.stream.poll_shutdown(cx).map(|outcome| outcome.is_ok()),
                    Poll::Ready(Err(_)) => Poll::Ready(false),
                    Poll::Pending => Poll::Pending,
                };
                match wrote {
                    Poll::Ready(true) => {
                        let told = mem::take(why);
                        self.stage = Stage::Discarding { budget: DISCARD_LIMIT };
                        Left::Written { told }
                    }
                    Poll::Pending if now < self.until => Left::Not,
                    Poll::Ready(false) | Poll::Pending => Left::Gone { told: mem::take(why) },
                }
            }
            Stage::Discarding { budget } => loop {
                match self.stream.poll_read(cx, scratch) {
                    Poll::Ready(Ok(count)) if count > 0 && count <= *budget => *budget -= count,
                    Poll::Pending if now < self.until => return Left::Not,
                    Poll::Ready(_) | Poll::Pending => return Left::Gone { told: None },
                }
            },
        }
    }
}
