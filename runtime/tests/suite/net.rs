//! A network in memory with a clock that is moved by hand. Everything above the sockets is what ships.

use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use wormhole_core::driver::{Address, Conn, Input, Instant, Listen, Op, Target};
use wormhole_runtime::{InFlight, Runtime, Sockets, Stream};

/// Bytes on the way in one direction before the writer must wait.
pub(crate) const WINDOW: usize = 256 << 10;

/// The network; clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Net(Arc<Mutex<World>>);

#[derive(Default)]
struct World {
    now: Duration,
    sleepers: Vec<Waker>,
    listeners: HashMap<u16, Arc<Mutex<Backlog>>>,
    /// Addresses that never answer.
    silent: Vec<SocketAddr>,
    polls: usize,
    next_port: u16,
    /// What the next accepts fail with.
    accept_faults: usize,
}

#[derive(Default)]
struct Backlog {
    callers: VecDeque<(Pipe, SocketAddr)>,
    waker: Option<Waker>,
}

#[derive(Default)]
struct Half {
    bytes: VecDeque<u8>,
    ended: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// One end of a connection.
pub(crate) struct Pipe {
    from: Arc<Mutex<Half>>,
    to: Arc<Mutex<Half>>,
    net: Net,
}

pub(crate) struct Listener(Arc<Mutex<Backlog>>);

impl Net {
    pub(crate) fn advance(&self, by: Duration) {
        let now = self.0.lock().unwrap().now;
        self.set(now + by);
    }

    pub(crate) fn set(&self, now: Duration) {
        let sleepers = {
            let mut world = self.0.lock().unwrap();
            world.now = now;
            std::mem::take(&mut world.sleepers)
        };
        sleepers.into_iter().for_each(Waker::wake);
    }

    /// From now on nobody answers at this address.
    pub(crate) fn silence(&self, at: &str) {
        self.0.lock().unwrap().silent.push(at.parse().unwrap());
    }

    pub(crate) fn fail_accepts(&self, count: usize) {
        self.0.lock().unwrap().accept_faults = count;
    }

    /// How often a socket has been polled since this was asked last.
    pub(crate) fn polls(&self) -> usize {
        std::mem::take(&mut self.0.lock().unwrap().polls)
    }

    /// A connection from outside any runtime, for tests that speak bytes.
    pub(crate) fn call(&self, port: u16) -> Caller {
        Caller(self.connect_now(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).unwrap())
    }

    fn connect_now(&self, to: SocketAddr) -> io::Result<Pipe> {
        let (backlog, from) = {
            let mut world = self.0.lock().unwrap();
            let backlog = world.listeners.get(&to.port()).cloned();
            world.next_port = world.next_port.wrapping_add(1);
            (backlog, SocketAddr::from((Ipv4Addr::LOCALHOST, world.next_port)))
        };
        let backlog = backlog.ok_or(io::ErrorKind::ConnectionRefused)?;
        let (there, back) = (Arc::<Mutex<Half>>::default(), Arc::<Mutex<Half>>::default());
        let ours = Pipe { from: back.clone(), to: there.clone(), net: self.clone() };
        let theirs = Pipe { from: there, to: back, net: self.clone() };
        let mut backlog = backlog.lock().unwrap();
        backlog.callers.push_back((theirs, from));
        wake(&mut backlog.waker);
        Ok(ours)
    }

    fn count(&self) {
        self.0.lock().unwrap().polls += 1;
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl Sockets for Net {
    type Stream = Pipe;
    type Listener = Listener;

    fn now(&self) -> Instant {
        Instant::after_start(self.0.lock().unwrap().now)
    }

    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + Send + 'static {
        let net = self.clone();
        poll_fn(move |cx| {
            if net.now() >= at {
                return Poll::Ready(());
            }
            net.0.lock().unwrap().sleepers.push(cx.waker().clone());
            Poll::Pending
        })
    }

    fn connect(&self, to: SocketAddr) -> impl Future<Output = io::Result<Pipe>> + Send + 'static {
        let net = self.clone();
        async move {
            if net.0.lock().unwrap().silent.contains(&to) {
                std::future::pending::<()>().await;
            }
            net.connect_now(to)
        }
    }

    fn adopt(&self, bound: std::net::TcpListener) -> io::Result<Listener> {
        // Its port is as good as any; nothing real ever comes there.
        let backlog = Arc::<Mutex<Backlog>>::default();
        self.0.lock().unwrap().listeners.insert(bound.local_addr()?.port(), backlog.clone());
        Ok(Listener(backlog))
    }

    fn poll_accept(
        &self,
        listener: &mut Listener,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(Pipe, SocketAddr)>> {
        self.count();
        {
            let mut world = self.0.lock().unwrap();
            if world.accept_faults > 0 {
                world.accept_faults -= 1;
                return Poll::Ready(Err(io::Error::other("no descriptor is left")));
            }
        }
        let mut backlog = listener.0.lock().unwrap();
        match backlog.callers.pop_front() {
            Some(caller) => Poll::Ready(Ok(caller)),
            None => {
                backlog.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Stream for Pipe {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.net.count();
        let mut half = self.from.lock().unwrap();
        if half.bytes.is_empty() && !half.ended {
            half.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = half.bytes.len().min(buf.len());
        for (to, from) in buf.iter_mut().zip(half.bytes.drain(..count)) {
            *to = from;
        }
        wake(&mut half.writer);
        Poll::Ready(Ok(count))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.net.count();
        let mut half = self.to.lock().unwrap();
        if half.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let count = buf.len().min(WINDOW - half.bytes.len());
        if count == 0 {
            half.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        half.bytes.extend(&buf[..count]);
        wake(&mut half.reader);
        Poll::Ready(Ok(count))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        end(&self.to);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        end(&self.to);
        // Whoever still writes to us learns that nobody reads.
        end(&self.from);
    }
}

fn end(half: &Mutex<Half>) {
    let mut half = half.lock().unwrap();
    half.ended = true;
    wake(&mut half.reader);
    wake(&mut half.writer);
}

/// A connection that is used by hand.
pub(crate) struct Caller(Pipe);

impl Caller {
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        assert!(self.try_write(bytes));
    }

    /// Whether there was room for all of it; else nothing is known of how much there was.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> bool {
        let wrote = self.0.poll_write(&mut Context::from_waker(Waker::noop()), bytes);
        matches!(wrote, Poll::Ready(Ok(count)) if count == bytes.len())
    }

    /// Reads at most this much; answers how much it was.
    pub(crate) fn read_some(&mut self, most: usize) -> usize {
        let mut buf = vec![0; most];
        match self.0.poll_read(&mut Context::from_waker(Waker::noop()), &mut buf) {
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        }
    }

    /// What has come so far, and whether that is all there will be.
    pub(crate) fn read(&mut self) -> (Vec<u8>, bool) {
        let mut all = Vec::new();
        loop {
            let mut buf = [0; 4096];
            match self.0.poll_read(&mut Context::from_waker(Waker::noop()), &mut buf) {
                Poll::Ready(Ok(0)) => return (all, true),
                Poll::Ready(Ok(count)) => all.extend_from_slice(&buf[..count]),
                Poll::Ready(Err(error)) => panic!("{error}"),
                Poll::Pending => return (all, false),
            }
        }
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Polls until it is ready, or until nobody has called its waker.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> Option<T> {
    let flag = Arc::new(Flag(AtomicBool::new(true)));
    let waker = Waker::from(flag.clone());
    let mut future = pin!(future);
    while flag.0.swap(false, Ordering::SeqCst) {
        if let Poll::Ready(found) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(found);
        }
    }
    None
}

/// Everything that happens until all is still.
pub(crate) fn settle<R: Runtime>(runtime: &mut R) -> Vec<Input> {
    let mut all = Vec::new();
    while let Some(input) = run(runtime.next(None)) {
        all.extend(input);
    }
    all
}

pub(crate) fn in_flight(net: &Net) -> InFlight<Net> {
    InFlight::new(net.clone())
}

pub(crate) fn loopback(port: u16) -> Address {
    Address::new("127.0.0.1", port)
}

pub(crate) fn peer(port: u16) -> Target {
    Target::Peer(loopback(port))
}

/// Listens on loopback; answers the port.
pub(crate) fn listen<R: Runtime>(runtime: &mut R, conn: Conn, on: fn(Address) -> Listen) -> u16 {
    runtime.start(Op::Listen { conn, on: on(loopback(0)) });
    match settle(runtime).as_slice() {
        [Input::Listening { conn: told, at }] if *told == conn => at[0].port,
        other => panic!("{other:?}"),
    }
}
