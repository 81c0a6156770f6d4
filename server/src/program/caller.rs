//! A caller's connection, over TCP or a Unix socket, with TLS or without, of which some bytes may have been read already.

use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;
use wormhole_runtime::Stream;

/// A connection of the system.
#[derive(Debug)]
pub(crate) enum Raw {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection of which some bytes were read already.
#[derive(Debug)]
pub(crate) struct Ahead<S> {
    bytes: Box<[u8]>,
    used: usize,
    inner: S,
}

/// A caller that is ready for the loop.
#[derive(Debug)]
pub(crate) enum Caller {
    Plain(Ahead<Raw>),
    Tls(Box<Sealed>),
}

/// A caller over TLS.
#[derive(Debug)]
pub(crate) struct Sealed {
    stream: Ahead<TlsStream<Ahead<Raw>>>,
    /// So much was sealed by a write that is not answered yet, since the system has not taken it.
    sealed: usize,
}

impl Sealed {
    pub(crate) fn new(stream: Ahead<TlsStream<Ahead<Raw>>>) -> Self {
        Self { stream, sealed: 0 }
    }

    /// Answers once the system has what was sealed; whoever waits comes again with the same bytes.
    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.sealed == 0 {
            self.sealed = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        Poll::Ready(Ok(std::mem::take(&mut self.sealed)))
    }
}

impl<S> Ahead<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { bytes: Box::default(), used: 0, inner }
    }

    /// Puts bytes back that were read too early.
    pub(crate) fn put_back(&mut self, bytes: Vec<u8>) {
        let rest = self.bytes.get(self.used..).unwrap_or_default();
        self.bytes = [bytes.as_slice(), rest].concat().into();
        self.used = 0;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Ahead<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let left = this.bytes.get(this.used..).unwrap_or_default();
        if left.is_empty() {
            return Pin::new(&mut this.inner).poll_read(cx, buf);
        }
        let count = left.len().min(buf.remaining());
        buf.put_slice(left.get(..count).unwrap_or_default());
        this.used += count;
        if this.used == this.bytes.len() {
            this.bytes = Box::default();
            this.used = 0;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Ahead<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl AsyncRead for Raw {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Raw {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(target_os = "linux")]
impl Caller {
    /// The connection itself, where nothing is between it and its bytes.
    fn lent(&self) -> Option<&Raw> {
        match self {
            Self::Plain(stream) if stream.used == stream.bytes.len() => Some(&stream.inner),
            Self::Plain(_) | Self::Tls(_) => None,
        }
    }
}

#[cfg(target_os = "linux")]
impl Raw {
    fn poll_out_of(
        &self,
        cx: &mut Context<'_>,
        take: &mut dyn FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let taken = match self {
                Self::Tcp(stream) => {
                    ready!(stream.poll_read_ready(cx))?;
                    stream.try_io(Interest::READABLE, || take(stream.as_fd()))
                }
                Self::Unix(stream) => {
                    ready!(stream.poll_read_ready(cx))?;
                    stream.try_io(Interest::READABLE, || take(stream.as_fd()))
                }
            };
            match taken {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return Poll::Ready(outcome),
            }
        }
    }

    fn poll_into(
        &self,
        cx: &mut Context<'_>,
        give: &mut dyn FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let given = match self {
                Self::Tcp(stream) => {
                    ready!(stream.poll_write_ready(cx))?;
                    stream.try_io(Interest::WRITABLE, || give(stream.as_fd()))
                }
                Self::Unix(stream) => {
                    ready!(stream.poll_write_ready(cx))?;
                    stream.try_io(Interest::WRITABLE, || give(stream.as_fd()))
                }
            };
            match given {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return Poll::Ready(outcome),
            }
        }
    }
}

impl Stream for Caller {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        ready!(match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, &mut buf),
            Self::Tls(sealed) => Pin::new(&mut sealed.stream).poll_read(cx, &mut buf),
        })?;
        Poll::Ready(Ok(buf.filled().len()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(sealed) => sealed.poll_write(cx, buf),
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(sealed) => Pin::new(&mut sealed.stream).poll_shutdown(cx),
        }
    }

    #[cfg(target_os = "linux")]
    fn poll_out_of(
        &mut self,
        cx: &mut Context<'_>,
        take: &mut dyn FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        match self.lent() {
            Some(raw) => raw.poll_out_of(cx, take),
            None => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }

    #[cfg(target_os = "linux")]
    fn poll_into(
        &mut self,
        cx: &mut Context<'_>,
        give: &mut dyn FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        match self.lent() {
            Some(raw) => raw.poll_into(cx, give),
            None => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }
}
