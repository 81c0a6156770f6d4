//! What a runtime must offer, and the loop that drives a machine on it.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
#[cfg(target_os = "linux")]
use std::os::fd::BorrowedFd;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use wormhole_core::driver::{Conn, Input, Instant, Listen, Machine, Op, Output};
use wormhole_core::rng::Seed;

/// All a runtime must offer. `Q` and `A` are what a server asks of its store and what that answers; a client has
/// neither.
pub trait Runtime<Q = Infallible, A = Infallible> {
    /// What [`Runtime::take`] gives out.
    type Stream: Stream;

    /// Thirty-two bytes that nobody can guess.
    fn seed(&mut self) -> Seed;

    /// The time since the runtime began.
    fn now(&self) -> Instant;

    /// Notes the work and returns at once. What was written in one turn leaves together, in [`Runtime::next`].
    fn start(&mut self, op: Op<Q>);

    /// The next answer, or `None` once `deadline` has passed. Dropping the future loses nothing.
    fn next(&mut self, deadline: Option<Instant>) -> impl Future<Output = Option<Input<A>>>;

    /// Gives a raw connection out of the loop, for a pipe. What was written before still leaves first.
    fn take(&mut self, conn: Conn) -> Option<Self::Stream>;

    /// Runs a job beside the loop: in flight on an executor, on a thread without one. Its end wakes
    /// [`Runtime::next`] with [`Input::Tick`]; dropping the [`Job`] ends it.
    fn beside(&mut self, job: impl Future<Output = ()> + Send + 'static) -> Job;
}

/// Bytes both ways. Nothing is held while nothing moves: the buffer is lent for the call.
pub trait Stream: Send + 'static {
    /// Reads into `buf`; 0 bytes say that the other end has closed.
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;
    /// Writes from `buf`, not necessarily all of it.
    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>>;
    /// Says that nothing more will be written.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Has `take` move bytes out of the socket itself, as a read would: again each time that the socket has some, until
    /// it does not answer [`WouldBlock`](io::ErrorKind::WouldBlock). A stream that cannot lend its socket is
    /// [unsupported](io::ErrorKind::Unsupported), and read from instead.
    #[cfg(target_os = "linux")]
    fn poll_out_of(
        &mut self,
        _: &mut Context<'_>,
        _take: &mut dyn FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }

    /// As [`Stream::poll_out_of`], into the socket, as a write would.
    #[cfg(target_os = "linux")]
    fn poll_into(
        &mut self,
        _: &mut Context<'_>,
        _give: &mut dyn FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }
}

/// Work that an executor may do beside the loop.
pub type Beside = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The sockets and the clock of one executor: all that an adapter brings.
///
/// Names, address families, listening and time limits are above this.
pub trait Sockets: Send + 'static {
    /// One connection, after [`tune`].
    type Stream: Stream;
    /// One listening socket.
    type Listener: Send + 'static;

    /// The time since the adapter began.
    fn now(&self) -> Instant;
    /// Ends at this moment, or soon after.
    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + Send + 'static;
    /// Connects to one address. Dropping the future gives up.
    fn connect(&self, to: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send + 'static;
    /// The sockets for this, where whoever made the adapter has opened them already; else they are bound by address
    /// and [adopted](Self::adopt).
    fn opened(&self, on: &Listen) -> Option<io::Result<Vec<Self::Listener>>> {
        let _ = on;
        None
    }
    /// Takes over a socket that is bound, listens and does not block.
    fn adopt(&self, bound: std::net::TcpListener) -> io::Result<Self::Listener>;
    /// The next caller, and its address: an unspecified one where it has none, as at a Unix socket.
    fn poll_accept(
        &self,
        listener: &mut Self::Listener,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(Self::Stream, SocketAddr)>>;
    /// Has another thread of the executor do this, where it has several; else gives it back, and the loop does it.
    fn spawn(&self, work: Beside) -> Option<Beside> {
        Some(work)
    }
}

/// Sets what every TCP connection of ours has: small writes leave at once, and a path that is dead for minutes is
/// noticed. A system that refuses is no reason to fail.
pub fn tune<'s>(socket: impl Into<SockRef<'s>>) {
    let socket = socket.into();
    let probes =
        TcpKeepalive::new().with_time(Duration::from_secs(120)).with_interval(Duration::from_secs(30));
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_keepalive(&probes);
}

/// A job beside the loop. Dropping it ends the job.
#[must_use = "dropping a job ends it"]
pub struct Job {
    end: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Job {
    /// A job that is ended by `end`.
    pub fn new(end: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self { end: Some(Box::new(end)) }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end();
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Job(..)")
    }
}

/// The most inputs that one nudge takes in.
const NUDGES: usize = 64;

/// Takes down what a machine tells: a client sorts events into what its user asks for, a server writes them down.
pub trait Note<E> {
    /// Takes down one event.
    fn note(&mut self, event: E);
}

/// A machine on a runtime, and what has been seen of its events.
///
/// Commands go straight to `machine`; what they ask for is started by the next [`Driver::until`].
#[derive(Debug)]
pub struct Driver<M, R, S> {
    /// The machine.
    pub machine: M,
    /// What carries out its wishes.
    pub runtime: R,
    /// What its events came to.
    pub seen: S,
    awake: Awake,
}

/// How long the loop sleeps at most where there is a deadline, so that it notices when it slept for longer.
const ROUND: Duration = Duration::from_secs(30);
/// From when on a gap between two calls means that nobody ran us: the computer slept, or the application did something else.
pub(crate) const ABSENCE: Duration = Duration::from_secs(90);

/// The time of a machine. It stands still while nobody runs us: what did not come then may still come, and no limit may pass
/// because of it.
#[derive(Clone, Copy, Debug, Default)]
struct Awake {
    /// When we last ran.
    seen: Option<Instant>,
    /// How long we did not run, all in all.
    absent: Duration,
}

impl Awake {
    /// We run, and the clock shows this.
    fn now(&mut self, clock: Instant) -> Instant {
        let gap = self.seen.map_or(Duration::ZERO, |seen| clock.saturating_since(seen));
        if gap > ABSENCE {
            self.absent = self.absent.saturating_add(gap);
        }
        self.seen = Some(clock);
        Instant::after_start(clock.since_start().saturating_sub(self.absent))
    }

    /// When to wake up for this deadline of the machine.
    fn wake_up(&self, deadline: Instant, clock: Instant) -> Instant {
        deadline.plus(self.absent).min(clock.plus(ROUND))
    }
}

impl<M, R, S> Driver<M, R, S> {
    /// A machine that has not run yet.
    pub fn new(machine: M, runtime: R, seen: S) -> Self {
        Self { machine, runtime, seen, awake: Awake::default() }
    }
}

impl<M: Machine, R: Runtime<M::Request, M::Reply>, S: Note<M::Event>> Driver<M, R, S> {
    /// Runs the machine until `ready` finds what it looks for among what was seen.
    ///
    /// It may be dropped half-way and called again: all state is in the driver.
    pub async fn until<T>(&mut self, mut ready: impl FnMut(&mut S) -> Poll<T>) -> T {
        self.until_with(|_, seen| ready(seen)).await
    }

    /// Runs the machine until `ready` finds what it looks for, in the machine or in what was seen.
    ///
    /// It may be dropped half-way and called again: all state is in the driver.
    pub async fn until_with<T>(&mut self, mut ready: impl FnMut(&mut M, &mut S) -> Poll<T>) -> T {
        loop {
            if let Some(found) = self.until_late(None, &mut ready).await {
                return found;
            }
        }
    }

    /// As [`Driver::until_with`], but only for so long; nothing is lost where that was too short. The only loop there
    /// is.
    pub async fn until_late<T>(
        &mut self,
        limit: Option<Duration>,
        mut ready: impl FnMut(&mut M, &mut S) -> Poll<T>,
    ) -> Option<T> {
        // The machine may have been left alone for long.
        self.handle(Input::Tick);
        let late = limit.map(|limit| self.runtime.now().plus(limit));
        loop {
            let deadline = self.settle();
            if let Poll::Ready(found) = ready(&mut self.machine, &mut self.seen) {
                // The other side may wait for what was written on the way, and the caller take long to come back.
                self.nudge().await;
                return Some(found);
            }
            if late.is_some_and(|late| late <= self.runtime.now()) {
                self.nudge().await;
                return None;
            }
            let clock = self.runtime.now();
            let deadline = deadline.map(|deadline| self.awake.wake_up(deadline, clock));
            let deadline = deadline.into_iter().chain(late).min();
            let input = self.runtime.next(deadline).await.unwrap_or(Input::Tick);
            self.handle(input);
        }
    }

    /// Starts what the machine wants and lets it happen as far as it can without waiting: what a command wrote
    /// leaves now, not at the next call of [`Driver::until`].
    ///
    /// The future is ready at its first poll, so that whatever comes before it is done or not begun.
    pub async fn nudge(&mut self) {
        let now = self.runtime.now();
        for _ in 0..NUDGES {
            self.settle();
            let came = {
                let mut next = pin!(self.runtime.next(Some(now)));
                poll_fn(|cx| match next.as_mut().poll(cx) {
                    Poll::Ready(input) => Poll::Ready(input),
                    Poll::Pending => Poll::Ready(None),
                })
                .await
            };
            let Some(input) = came else { break };
            self.handle(input);
        }
        self.settle();
    }

    fn handle(&mut self, input: Input<M::Reply>) {
        let now = self.awake.now(self.runtime.now());
        self.machine.handle(input, now);
    }

    /// Carries out all outputs; answers when the machine wants to be called at the latest.
    fn settle(&mut self) -> Option<Instant> {
        loop {
            match self.machine.poll() {
                Output::Do(op) => self.runtime.start(op),
                Output::Tell(event) => self.seen.note(event),
                Output::Wait(deadline) => return deadline,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_machine_stands_still_while_nobody_runs_it() {
        let mut awake = Awake::default();
        assert_eq!(awake.now(at(5)), at(5), "the first look begins nothing");
        assert_eq!(awake.now(at(95)), at(95));
        assert_eq!(awake.now(at(10_000)), at(95));
        assert_eq!(awake.now(at(10_010)), at(105));
        assert_eq!(awake.wake_up(at(110), at(10_010)), at(10_015));
        assert_eq!(awake.wake_up(at(999), at(10_010)), at(10_040), "to notice the next sleep");
        assert_eq!(awake.now(at(20_000)), at(105));
    }

    fn at(seconds: u64) -> Instant {
        Instant::after_start(Duration::from_secs(seconds))
    }
}
