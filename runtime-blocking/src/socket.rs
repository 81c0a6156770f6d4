//! A connection, at which two threads wait: one reads when it is asked to, the other writes what it is given.

use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::{Shutdown, TcpStream};
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

/// A TCP connection, and the threads that wait at it.
#[derive(Debug)]
pub struct Socket {
    stream: Arc<TcpStream>,
    reader: Worker<Vec<u8>, io::Result<(Vec<u8>, usize)>>,
    writer: Worker<Vec<u8>, io::Result<Vec<u8>>>,
    /// What was read, and how much of it was not taken yet.
    come: Vec<u8>,
    left: Range<usize>,
    /// Bytes that the writing thread was given, and a buffer that it has given back.
    leaving: usize,
    spare: Vec<u8>,
    threads: Threads,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, threads: &Threads) -> io::Result<Self> {
        tune(&stream);
        let stream = Arc::new(stream);
        let (from, to) = (Arc::clone(&stream), Arc::clone(&stream));
        let reader = Worker::start(threads, move |mut buf: Vec<u8>| {
            buf.resize(READ, 0);
            loop {
                match (&*from).read(&mut buf) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    outcome => return outcome.map(|count| (buf, count)),
                }
            }
        })?;
        let writer = Worker::start(threads, move |buf: Vec<u8>| (&*to).write_all(&buf).map(|()| buf))?;
        Ok(Self {
            stream,
            reader,
            writer,
            come: Vec::new(),
            left: 0..0,
            leaving: 0,
            spare: Vec::new(),
            threads: threads.clone(),
        })
    }

    /// Takes back what the writing thread is done with; ready when that is all, or an error.
    fn poll_written(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        while let Some(written) = ready!(self.writer.poll(cx)) {
            self.spare = written?;
            self.leaving = self.leaving.saturating_sub(self.spare.len());
        }
        Poll::Ready(Ok(()))
    }
}

impl Stream for Socket {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.left.is_empty() {
            let spent = &mut self.come;
            let (come, count) = ready!(self.reader.poll_ask(cx, || mem::take(spent)))?;
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
        let mut bytes = mem::take(&mut self.spare);
        bytes.clear();
        bytes.extend_from_slice(buf.get(..WRITE).unwrap_or(buf));
        let count = bytes.len();
        self.leaving += count;
        self.writer.ask(bytes);
        Poll::Ready(Ok(count))
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_written(cx))?;
        Poll::Ready(self.stream.shutdown(Shutdown::Write))
    }
}

impl Drop for Socket {
    /// Frees both threads. What the writing one was given may still leave, but not for long.
    fn drop(&mut self) {
        // To shut down what is not connected any more fails, and does no harm.
        if self.poll_written(&Context::from_waker(Waker::noop())).is_pending() {
            let _ = self.stream.shutdown(Shutdown::Read);
            let (stream, written) = (Arc::clone(&self.stream), self.writer.take_answers());
            let watched = self.threads.spawn(move || {
                let until = Instant::now() + LEAVE_LIMIT;
                while written.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok() {}
                let _ = stream.shutdown(Shutdown::Both);
            });
            if watched.is_ok() {
                return;
            }
        }
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
