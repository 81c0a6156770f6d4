//! A connection, at which two threads wait: one reads when it is asked to, the other writes what it is given.

use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use wormhole_runtime::{Stream, tune};

use crate::worker::{Threads, Worker};

/// The most bytes of one read.
const READ: usize = 256 << 10;
/// The most bytes that are given to the writing thread at a time.
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
        let threads = threads.clone();
        Ok(Self { stream, reader, writer, come: Vec::new(), left: 0..0, threads })
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
        let mut bytes = ready!(self.writer.poll(cx)).transpose()?.unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(buf.get(..WRITE).unwrap_or(buf));
        let count = bytes.len();
        self.writer.ask(bytes);
        Poll::Ready(Ok(count))
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.writer.poll(cx)).transpose()?;
        Poll::Ready(self.stream.shutdown(Shutdown::Write))
    }
}

impl Drop for Socket {
    /// Frees both threads. What the writing one was given may still leave, but not for long.
    fn drop(&mut self) {
        // To shut down what is not connected any more fails, and does no harm.
        if self.writer.poll(&Context::from_waker(Waker::noop())).is_pending() {
            let _ = self.stream.shutdown(Shutdown::Read);
            let (stream, written) = (Arc::clone(&self.stream), self.writer.take_answers());
            let watched = self.threads.spawn(move || {
                let _ = written.recv_timeout(LEAVE_LIMIT);
                let _ = stream.shutdown(Shutdown::Both);
            });
            if watched.is_ok() {
                return;
            }
        }
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
