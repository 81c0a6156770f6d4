//! A connection that was given out of the loop.

use std::io;
use std::task::{Context, Poll, ready};

use crate::driver::Stream;

/// A raw connection out of the loop. What the loop had not written yet leaves first, and what it had read comes
/// first.
#[derive(Debug)]
pub struct Given<T> {
    stream: T,
    unsent: Rest,
    unread: Rest,
}

/// Bytes that are used up from the front.
#[derive(Debug, Default)]
struct Rest {
    bytes: Vec<u8>,
    used: usize,
}

impl Rest {
    fn left(&self) -> &[u8] {
        self.bytes.get(self.used..).unwrap_or(&[])
    }

    fn use_up(&mut self, count: usize) {
        self.used += count;
        if self.used >= self.bytes.len() {
            *self = Self::default();
        }
    }
}

impl<T: Stream> Given<T> {
    pub(super) fn new(stream: T, unsent: Vec<u8>, unread: Vec<u8>) -> Self {
        Self { stream, unsent: Rest { bytes: unsent, used: 0 }, unread: Rest { bytes: unread, used: 0 } }
    }

    /// Writes what the loop had not; says whether all of it has left.
    pub(super) fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.left().is_empty() {
            match ready!(self.stream.poll_write(cx, self.unsent.left()))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.unsent.use_up(count),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: Stream> Stream for Given<T> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        // Whoever only reads may wait for the answer to this.
        if let Poll::Ready(Err(error)) = self.poll_unsent(cx) {
            return Poll::Ready(Err(error));
        }
        let unread = self.unread.left();
        if unread.is_empty() {
            return self.stream.poll_read(cx, buf);
        }
        let count = unread.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..count), unread.get(..count)) {
            to.copy_from_slice(from);
        }
        self.unread.use_up(count);
        Poll::Ready(Ok(count))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_unsent(cx))?;
        self.stream.poll_write(cx, buf)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_unsent(cx))?;
        self.stream.poll_shutdown(cx)
    }
}
