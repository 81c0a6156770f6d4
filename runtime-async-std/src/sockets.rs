//! The sockets and the clock of async-std.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{self, Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_std::io::{Read, Write};
use async_std::net::{TcpListener, TcpStream};
use async_std::task;
use wormhole_core::driver::Instant;
use wormhole_runtime::{Clock, Sockets, Stream, tune};

/// The sockets and the clock of async-std's reactor, whatever the executor.
#[derive(Clone, Debug, Default)]
pub struct AsyncStd {
    clock: Clock,
}

impl Sockets for AsyncStd {
    type Stream = Socket;
    type Listener = Listener;

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + Send + 'static {
        task::sleep(at.saturating_since(self.now()))
    }

    fn connect(&self, to: SocketAddr) -> impl Future<Output = io::Result<Socket>> + Send + 'static {
        let connecting = TcpStream::connect(to);
        async move { connecting.await.map(Socket::new) }
    }

    fn adopt(&self, bound: net::TcpListener) -> io::Result<Listener> {
        Ok(Listener { socket: Arc::new(bound.into()), accepting: None })
    }

    fn poll_accept(
        &self,
        listener: &mut Listener,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(Socket, SocketAddr)>> {
        let socket = &listener.socket;
        let accepting = listener.accepting.get_or_insert_with(|| {
            let socket = Arc::clone(socket);
            Box::pin(async move { socket.accept().await })
        });
        let accepted = ready!(accepting.as_mut().poll(cx));
        listener.accepting = None;
        Poll::Ready(accepted.map(|(stream, peer)| (Socket::new(stream), peer)))
    }
}

type Accepting = Pin<Box<dyn Future<Output = io::Result<(TcpStream, SocketAddr)>> + Send>>;

/// A listening socket of async-std, and the accept that is under way.
pub struct Listener {
    socket: Arc<TcpListener>,
    accepting: Option<Accepting>,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// A TCP connection of async-std.
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
        Pin::new(&mut self.0).poll_read(cx, buf)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Its own `poll_close` only flushes.
        Poll::Ready(self.0.shutdown(Shutdown::Write))
    }
}
