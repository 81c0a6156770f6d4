//! Dialling, listening and the clock, with a thread for whatever blocks.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::task::{Context, Poll, Waker, ready};
use std::time::{self, Duration};

use socket2::{Domain, Protocol, Type};
use wormhole_core::driver::Instant;
use wormhole_runtime::Sockets;

use crate::call;
use crate::socket::Socket;
use crate::worker::{Threads, Worker};

/// How long a thread dials that cannot be made to give up earlier.
const DIAL_LIMIT: Duration = Duration::from_secs(10);
/// How long our own call to a listener may take.
const KNOCK_LIMIT: Duration = Duration::from_secs(1);

/// Sockets at which threads wait, and the clock.
#[derive(Debug)]
pub struct Blocking {
    start: time::Instant,
    threads: Threads,
}

impl Blocking {
    /// Begins to count the time.
    pub fn new() -> Self {
        Self { start: time::Instant::now(), threads: Threads::default() }
    }
}

impl Default for Blocking {
    fn default() -> Self {
        Self::new()
    }
}

impl Sockets for Blocking {
    type Stream = Socket;
    type Listener = Listener;

    fn now(&self) -> Instant {
        Instant::after_start(self.start.elapsed())
    }

    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + Send + 'static {
        // A moment too far away to be told is never waited for.
        let at = self.start.checked_add(at.since_start());
        poll_fn(move |_| match at {
            Some(at) if at <= time::Instant::now() => Poll::Ready(()),
            at => {
                call::wake_at(at);
                Poll::Pending
            }
        })
    }

    fn connect(&self, to: SocketAddr) -> impl Future<Output = io::Result<Socket>> + Send + 'static {
        let threads = self.threads.clone();
        async move {
            let socket = socket2::Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
            let mut dial = Dial(Some(socket.try_clone()?));
            let mut dialler = Worker::start(&threads, move |()| {
                socket.connect_timeout(&to.into(), DIAL_LIMIT)?;
                socket.try_clone()
            })?;
            let connected = poll_fn(|cx| dialler.poll_ask(cx, || ())).await?;
            dial.0 = None;
            Socket::new(TcpStream::from(connected), &threads)
        }
    }

    fn adopt(&self, bound: TcpListener) -> io::Result<Listener> {
        bound.set_nonblocking(false)?;
        let at = bound.local_addr()?;
        let acceptor = Worker::start(&self.threads, move |()| bound.accept())?;
        Ok(Listener { at, acceptor, threads: self.threads.clone() })
    }

    fn poll_accept(
        &self,
        listener: &mut Listener,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(Socket, SocketAddr)>> {
        let (stream, peer) = ready!(listener.acceptor.poll_ask(cx, || ()))?;
        Poll::Ready(Ok((Socket::new(stream, &self.threads)?, peer)))
    }
}

/// A dial under way: dropping it frees the thread, where the system can; else the limit does.
struct Dial(Option<socket2::Socket>);

impl Drop for Dial {
    fn drop(&mut self) {
        self.0.iter().for_each(|socket| drop(socket.shutdown(Shutdown::Both)));
    }
}

/// A listening socket, and the thread that waits at it.
#[derive(Debug)]
pub struct Listener {
    at: SocketAddr,
    acceptor: Worker<(), io::Result<(TcpStream, SocketAddr)>>,
    threads: Threads,
}

impl Drop for Listener {
    /// Wakes the thread with a call of our own. If the queue of callers is full, it waits for none.
    fn drop(&mut self) {
        if self.acceptor.poll(&Context::from_waker(Waker::noop())).is_ready() {
            return;
        }
        let mut at = self.at;
        if at.ip().is_unspecified() {
            at.set_ip(if at.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
        }
        // Where no thread can be had, the one that waits stays until somebody calls.
        let _ = self.threads.spawn(move || drop(TcpStream::connect_timeout(&at, KNOCK_LIMIT)));
    }
}
