//! The sockets of the program: callers over TCP, TLS and Unix sockets, for the loop of `wormhole-runtime`.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time;
use wormhole_core::driver::{Instant, Listen};
use wormhole_runtime::{Beside, Sockets, tune};

use super::arrival::{self, Arrival};
use super::bound::{Bound, Socket};
use super::caller::{Ahead, Caller, Raw};

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
                // What the listener was tuned to, callers inherit on Linux: four system calls less for each of them.
                if !cfg!(target_os = "linux") {
                    tune(&stream);
                }
                (Raw::Tcp(stream), Some(SocketAddr::new(peer.ip().to_canonical(), peer.port())))
            }
            Self::Unix(socket) => (Raw::Unix(ready!(socket.poll_accept(cx))?.0), None),
        }))
    }
}
