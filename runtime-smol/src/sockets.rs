//! The sockets and the clock of smol.

use std::future::Future;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::task::{Context, Poll, ready};

use async_io::{Async, Timer};
use wormhole_core::driver::Instant;
use wormhole_runtime::{Clock, Sockets, Stream, tune};

/// The sockets and the clock of smol's reactor, whatever the executor.
#[derive(Clone, Debug, Default)]
pub struct Smol {
    clock: Clock,
}

impl Sockets for Smol {
    type Stream = Socket;
    type Listener = Async<TcpListener>;

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + Send + 'static {
        let timer = self.clock.when(at).map_or_else(Timer::never, Timer::at);
        async move {
            timer.await;
        }
    }

    fn connect(&self, to: SocketAddr) -> impl Future<Output = io::Result<Socket>> + Send + 'static {
        let connecting = Async::<TcpStream>::connect(to);
        async move { connecting.await.map(Socket::new) }
    }

    fn adopt(&self, bound: TcpListener) -> io::Result<Async<TcpListener>> {
        Async::new(bound)
    }

    fn poll_accept(
        &self,
        listener: &mut Async<TcpListener>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(Socket, SocketAddr)>> {
        let (stream, peer) = ready!(poll(listener, Async::poll_readable, cx, TcpListener::accept))?;
        Poll::Ready(Async::new(stream).map(|stream| (Socket::new(stream), peer)))
    }
}

/// A TCP connection of smol.
#[derive(Debug)]
pub struct Socket(Async<TcpStream>);

impl Socket {
    fn new(stream: Async<TcpStream>) -> Self {
        tune(stream.get_ref());
        Self(stream)
    }
}

impl Stream for Socket {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        poll(&self.0, Async::poll_readable, cx, |mut stream| stream.read(buf))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        poll(&self.0, Async::poll_writable, cx, |mut stream| stream.write(buf))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.get_ref().shutdown(Shutdown::Write))
    }
}

/// Tries, and where it would have to wait has `cx` woken when it may succeed.
fn poll<S, T>(
    socket: &Async<S>,
    wait: impl Fn(&Async<S>, &mut Context<'_>) -> Poll<io::Result<()>>,
    cx: &mut Context<'_>,
    mut attempt: impl FnMut(&S) -> io::Result<T>,
) -> Poll<io::Result<T>> {
    loop {
        match attempt(socket.get_ref()) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => ready!(wait(socket, cx))?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return Poll::Ready(outcome),
        }
    }
}
