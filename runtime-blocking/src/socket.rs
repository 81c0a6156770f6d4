//! A connection, at which two threads wait: one reads when it is asked to, the other connects and writes what it is given.

use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::{Shutdown, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use wormhole_runtime::{Stream, tune};

use crate::worker::{Threads, Worker};

/// The most bytes of one read.
const READ: usize = 256 << 10;
/// The writing thread is given more as long as it has not this many bytes, and no more than this at a time. What is small
/// never waits, and so has left when the call returns that wrote it.
const WRITE: usize = 1 << 20;
/// How long a connection that is dropped may take to write what it was given.
const LEAVE_LIMIT: Duration = Duration::from_millis(500);
/// How long a thread dials that cannot be made to give up earlier.
const DIAL_LIMIT: Duration = Duration::from_secs(10);

/// A TCP connection, and the threads that wait at it.
#[derive(Debug)]
pub struct Socket {
    stream: Arc<socket2::Socket>,
    reader: Worker<io::Result<(Vec<u8>, usize)>>,
    writer: Worker<io::Result<Vec<u8>>>,
    /// What was read, and how much of it was not taken yet.
    come: Vec<u8>,
    left: Range<usize>,
    /// Bytes that the writing thread was given, and a buffer that it has given back.
    leaving: usize,
    spare: Vec<u8>,
}

impl Socket {
    pub(crate) fn new(stream: impl Into<socket2::Socket>, threads: &Threads) -> io::Result<Self> {
        let stream = Arc::new(stream.into());
        tune(&*stream);
        let (reader, writer) = (Worker::start(threads)?, Worker::start(threads)?);
        let (come, spare) = (Vec::new(), Vec::new());
        Ok(Self { stream, reader, writer, come, left: 0..0, leaving: 0, spare })
    }

    /// Connects. Dropping the future frees the thread, where the system can; else the limit does.
    pub(crate) async fn connect(mut self, to: SocketAddr) -> io::Result<Self> {
        let stream = Arc::clone(&self.stream);
        self.writer.ask(move || stream.connect_timeout(&to.into(), DIAL_LIMIT).map(|()| Vec::new()));
        poll_fn(|cx| self.poll_written(cx)).await?;
        Ok(self)
    }

    /// Takes back what the writing thread is done with; ready when that is all, or an error.
    fn poll_written(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        while !self.writer.is_idle() {
            self.spare = ready!(self.writer.poll(cx))?;
            self.leaving = self.leaving.saturating_sub(self.spare.len());
        }
        Poll::Ready(Ok(()))
    }
}

impl Stream for Socket {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.left.is_empty() {
            if self.reader.is_idle() {
                let (stream, spent) = (Arc::clone(&self.stream), mem::take(&mut self.come));
                self.reader.ask(move || read(&stream, spent));
            }
            let (come, count) = ready!(self.reader.poll(cx))?;
            (self.come, self.left) = (come, 0..count);
        }
        let mut left = self.come.get(self.left.clone()).unwrap_or_default();
        let count = left.read(buf)?;
        self.left.start += count;
        Poll::Ready(Ok(count))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.poll_written(cx) {
            Poll::Pending if self.leaving >= WRITE => return Poll::Pending,
            Poll::Pending => {}
            Poll::Ready(written) => written?,
        }
        let (stream, mut bytes) = (Arc::clone(&self.stream), mem::take(&mut self.spare));
        bytes.clear();
        bytes.extend_from_slice(buf.get(..WRITE).unwrap_or(buf));
        let count = bytes.len();
        self.leaving += count;
        self.writer.ask(move || (&*stream).write_all(&bytes).map(|()| bytes));
        Poll::Ready(Ok(count))
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_written(cx))?;
        Poll::Ready(self.stream.shutdown(Shutdown::Write))
    }
}

fn read(mut stream: &socket2::Socket, mut buf: Vec<u8>) -> io::Result<(Vec<u8>, usize)> {
    buf.resize(READ, 0);
    loop {
        match stream.read(&mut buf) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome.map(|count| (buf, count)),
        }
    }
}

impl Drop for Socket {
    /// Frees both threads. What the writing one was given may still leave, but not for long.
    fn drop(&mut self) {
        // To shut down what is not connected any more fails, and does no harm.
        let is_writing = self.poll_written(&Context::from_waker(Waker::noop())).is_pending();
        if !is_writing || self.leaving == 0 {
            let _ = self.stream.shutdown(Shutdown::Both);
            return;
        }
        let _ = self.stream.shutdown(Shutdown::Read);
        let (stream, written) = (Arc::clone(&self.stream), self.writer.take_answers());
        // The reading thread has nothing else to do any more.
        self.reader.ask(move || {
            let until = Instant::now() + LEAVE_LIMIT;
            while written.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok() {}
            stream.shutdown(Shutdown::Both).map(|()| (Vec::new(), 0))
        });
    }
}
