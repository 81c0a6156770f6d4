//! A connection that was given out of the loop.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::task::{Context, Poll, ready};

use super::flow::Out;
use crate::driver::Stream;

/// A raw connection out of the loop. What the loop had not written yet leaves first, and what it had read comes
/// first.
#[derive(Debug)]
pub struct Given<T> {
    stream: T,
    unsent: Out,
    unread: VecDeque<u8>,
}

impl<T: Stream> Given<T> {
    pub(super) fn new(stream: T, unsent: Out, unread: Vec<u8>) -> Self {
        Self { stream, unsent, unread: unread.into() }
    }

    /// Writes what the loop had not; ready when there is nothing more to do about it.
    pub(super) fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if ready!(self.unsent.poll(&mut self.stream, cx, &mut 0)).is_err() {
            // The stream says so again to whoever writes; what the other end said before may still be read.
            self.unsent = Out::default();
        }
        Poll::Ready(())
    }
}

impl<T: Stream> Stream for Given<T> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        // Whoever only reads may wait for the answer to this.
        let _ = self.poll_unsent(cx);
        if self.unread.is_empty() {
            self.stream.poll_read(cx, buf)
        } else {
            Poll::Ready(self.unread.read(buf))
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_unsent(cx));
        self.stream.poll_write(cx, buf)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_unsent(cx));
        self.stream.poll_shutdown(cx)
    }
}
