//! The sockets and the clock of tokio.

use std::future::Future;
use std::io;
#[cfg(target_os = "linux")]
use std::io::ErrorKind;
use std::net::SocketAddr;
#[cfg(target_os = "linux")]
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

#[cfg(target_os = "linux")]
use tokio::io::Interest;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time;
use wormhole_core::driver::Instant;
use wormhole_runtime::{Beside, Sockets, Stream, tune};

/// The sockets and the clock of the tokio runtime that is entered when it is used.
#[derive(Clone, Debug)]
pub struct Tokio {
    start: time::Instant,
}

impl Tokio {
    /// Begins to count the time.
    pub fn new() -> Self {
        Self { start: time::Instant::now() }
    }
}

impl Default for Tokio {
    fn default() -> Self {
        Self::new()
    }
}

impl Sockets for Tokio {
    type Stream = Socket;
    type Listener = TcpListener;

    fn now(&self) -> Instant {
        Instant::after_start(self.start.elapsed())
    }

    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + Send + 'static {
        // A moment too far away to be told is never waited for.
        let at = self.start.checked_add(at.since_start());
        async move {
            match at {
                Some(at) => time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        }
    }

    fn connect(&self, to: SocketAddr) -> impl Future<Output = io::Result<Socket>> + Send + 'static {
        let connecting = TcpStream::connect(to);
        async move { connecting.await.map(Socket::new) }
    }

    fn adopt(&self, bound: std::net::TcpListener) -> io::Result<TcpListener> {
        TcpListener::from_std(bound)
    }

    fn poll_accept(
        &self,
        listener: &mut TcpListener,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(Socket, SocketAddr)>> {
        let (stream, peer) = ready!(listener.poll_accept(cx))?;
        // What the listener was tuned to, callers inherit on Linux: four system calls less for each of them.
        let socket = if cfg!(target_os = "linux") { Socket(stream) } else { Socket::new(stream) };
        Poll::Ready(Ok((socket, peer)))
    }

    fn spawn(&self, work: Beside) -> Option<Beside> {
        let handle = Handle::current();
        if handle.runtime_flavor() == RuntimeFlavor::CurrentThread {
            return Some(work);
        }
        handle.spawn(work);
        None
    }
}

/// A TCP connection of tokio.
#[derive(Debug)]
pub struct Socket(TcpStream);

impl Socket {
    fn new(stream: TcpStream) -> Self {
        tune(&stream);
        Self(stream)
    }
}

impl Stream for Socket {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    #[cfg(target_os = "linux")]
    fn poll_out_of(
        &mut self,
        cx: &mut Context<'_>,
        take: &mut dyn FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            match self.0.try_io(Interest::READABLE, || take(self.0.as_fd())) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                outcome => return Poll::Ready(outcome),
            }
        }
    }

    #[cfg(target_os = "linux")]
    fn poll_into(
        &mut self,
        cx: &mut Context<'_>,
        give: &mut dyn FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            match self.0.try_io(Interest::WRITABLE, || give(self.0.as_fd())) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                outcome => return Poll::Ready(outcome),
            }
        }
    }
}
