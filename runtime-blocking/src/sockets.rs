//! Dialling, listening and the clock, with a thread for whatever blocks.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{Domain, Protocol, Type};
use wormhole_core::driver::Instant;
use wormhole_runtime::{Clock, Sockets};

use crate::call;
use crate::socket::Socket;
use crate::worker::{Threads, Worker};

/// How long our own call to a listener may take.
const KNOCK_LIMIT: Duration = Duration::from_secs(1);

/// Sockets at which threads wait, and the clock.
#[derive(Debug, Default)]
pub struct Blocking {
    clock: Clock,
    threads: Threads,
}

impl Sockets for Blocking {
    type Stream = Socket;
    type Listener = Listener;

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + Send + 'static {
        call::sleep_until(self.clock.when(at))
    }

    fn connect(&self, to: SocketAddr) -> impl Future<Output = io::Result<Socket>> + Send + 'static {
        let threads = self.threads.clone();
        async move {
            let stream = socket2::Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
            Socket::new(stream, &threads)?.connect(to).await
        }
    }

    fn adopt(&self, bound: TcpListener) -> io::Result<Listener> {
        bound.set_nonblocking(false)?;
        let (acceptor, threads) = (Worker::start(&self.threads)?, self.threads.clone());
        Ok(Listener { bound: Arc::new(bound), acceptor, threads })
    }

    fn poll_accept(
        &self,
        listener: &mut Listener,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(Socket, SocketAddr)>> {
        if listener.acceptor.is_idle() {
            let bound = Arc::clone(&listener.bound);
            listener.acceptor.ask(move || bound.accept());
        }
        let (stream, peer) = ready!(listener.acceptor.poll(cx))?;
        Poll::Ready(Ok((Socket::new(stream, &self.threads)?, peer)))
    }
}

/// A listening socket, and the thread that waits at it.
#[derive(Debug)]
pub struct Listener {
    bound: Arc<TcpListener>,
    acceptor: Worker<io::Result<(TcpStream, SocketAddr)>>,
    threads: Threads,
}

impl Drop for Listener {
    /// Wakes the thread with a call of our own.
    fn drop(&mut self) {
        let Ok(mut at) = self.bound.local_addr() else { return };
        if self.acceptor.is_idle() {
            return;
        }
        if at.ip().is_unspecified() {
            at.set_ip(if at.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
        }
        // Where no thread can be had, the one that waits stays until somebody calls.
        let _ = self.threads.spawn(move || drop(TcpStream::connect_timeout(&at, KNOCK_LIMIT)));
    }
}
