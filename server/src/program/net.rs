//! The sockets of the program: callers over TCP, TLS and Unix sockets, for the loop of `wormhole-runtime`.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
#[cfg(target_os = "linux")]
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time;
use tokio_rustls::server::TlsStream;
use wormhole_core::driver::{Instant, Listen};
use wormhole_runtime::{Beside, Sockets, Stream, tune};

use super::arrival::{self, Arrival};
use super::bound::{Bound, Socket};

/// Callers of one listener on their way in: with TLS, a PROXY header or headers of a trusted proxy before them. One
/// more, and the oldest must go.
const ARRIVING: usize = 2048;

/// Whom a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum For {
    Mailbox,
    Relay,
    RelayWebSocket,
}

/// The sockets and the clock of the tokio runtime that is entered when it is used.
#[derive(Debug)]
pub(crate) struct Net {
    start: time::Instant,
    bound: Mutex<BTreeMap<For, Vec<Bound>>>,
    arrival: Arc<Arrival>,
}

impl Net {
    pub(crate) fn new(bound: BTreeMap<For, Vec<Bound>>, arrival: Arc<Arrival>) -> Self {
        Self { start: time::Instant::now(), bound: Mutex::new(bound), arrival }
    }
}

impl Sockets for Net {
    type Stream = Caller;
    type Listener = Listener;

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

    fn connect(&self, to: SocketAddr) -> impl Future<Output = io::Result<Caller>> + Send + 'static {
        let connecting = TcpStream::connect(to);
        async move { connecting.await.map(|stream| Caller::Plain(Ahead::new(Raw::Tcp(stream)))) }
    }

    fn opened(&self, on: &Listen) -> Option<io::Result<Vec<Listener>>> {
        let whom = match on {
            Listen::Transit => return None,
            Listen::Mailbox(_) => For::Mailbox,
            Listen::Relay(_) => For::Relay,
            Listen::RelayWebSocket(_) => For::RelayWebSocket,
        };
        let bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner).remove(&whom)?;
        Some(bound.into_iter().map(|bound| Listener::new(bound, whom, &self.arrival)).collect())
    }

    fn adopt(&self, bound: std::net::TcpListener) -> io::Result<Listener> {
        let bound = Bound { proxy: false, tls: false, socket: Socket::Tcp(bound) };
        Listener::new(bound, For::Relay, &self.arrival)
    }

    fn poll_accept(
        &self,
        listener: &mut Listener,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(Caller, SocketAddr)>> {
        listener.poll_accept(cx)
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

/// One listening socket, and those who have come and are not ready for the loop yet.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Listening,
    manner: arrival::Manner,
    arrival: Arc<Arrival>,
    arriving: JoinSet<Option<(Caller, SocketAddr)>>,
    oldest: VecDeque<AbortHandle>,
}

/// A listening socket of tokio.
#[derive(Debug)]
pub(crate) enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    fn new(bound: Bound, whom: For, arrival: &Arc<Arrival>) -> io::Result<Self> {
        let forwarded = match whom {
            For::Mailbox | For::RelayWebSocket => true,
            For::Relay => false,
        };
        Ok(Self {
            socket: Listening::new(bound.socket)?,
            manner: arrival::Manner { proxy: bound.proxy, tls: bound.tls, forwarded },
            arrival: Arc::clone(arrival),
            arriving: JoinSet::new(),
            oldest: VecDeque::new(),
        })
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Caller, SocketAddr)>> {
        loop {
            // Of those who did not arrive nothing is said.
            while let Poll::Ready(Some(arrived)) = self.arriving.poll_join_next(cx) {
                if let Ok(Some(arrived)) = arrived {
                    return Poll::Ready(Ok(arrived));
                }
            }
            let (raw, peer) = match ready!(self.socket.poll_accept(cx)) {
                Ok(accepted) => accepted,
                Err(error) => {
                    self.arrival.accept_failed(&error);
                    return Poll::Ready(Err(error));
                }
            };
            if self.arrival.is_ready(self.manner, peer) {
                return Poll::Ready(Ok((Caller::Plain(Ahead::new(raw)), peer.unwrap_or(NOBODY))));
            }
            let arriving = Arc::clone(&self.arrival).arrive(raw, peer, self.manner);
            self.oldest.push_back(self.arriving.spawn(arriving));
            if self.oldest.len() > ARRIVING
                && let Some(oldest) = self.oldest.pop_front()
            {
                oldest.abort();
            }
        }
    }
}

/// The address of a caller that has none.
pub(crate) const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

impl Listening {
    pub(crate) fn new(socket: Socket) -> io::Result<Self> {
        Ok(match socket {
            Socket::Tcp(socket) => Self::Tcp(TcpListener::from_std(socket)?),
            Socket::Unix(socket) => Self::Unix(UnixListener::from_std(socket)?),
        })
    }

    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Raw, Option<SocketAddr>)>> {
        Poll::Ready(Ok(match self {
            Self::Tcp(socket) => {
                let (stream, peer) = ready!(socket.poll_accept(cx))?;
                tune(&stream);
                (Raw::Tcp(stream), Some(SocketAddr::new(peer.ip().to_canonical(), peer.port())))
            }
            Self::Unix(socket) => (Raw::Unix(ready!(socket.poll_accept(cx))?.0), None),
        }))
    }
}

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
