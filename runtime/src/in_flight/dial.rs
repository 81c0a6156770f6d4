//! A dial: a name becomes addresses, and these are tried in turn of their families, 250 ms apart (RFC 8305).

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use wormhole_core::driver::{Address, Instant, Why};

use super::names::{self, Lookup, Names};
use crate::driver::{ABSENCE, Sockets};
use crate::why::why;

/// How long one address has before the next is tried beside it.
const HEAD_START: Duration = Duration::from_millis(250);
/// How long one address may take.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(10);
/// How long all of it may take, the name included.
const DIAL_LIMIT: Duration = Duration::from_secs(30);
/// The most addresses of one name that are tried.
const ADDRESSES: usize = 16;

/// A dial under way. Dropping it gives up.
pub(super) struct Dial<T> {
    stage: Stage<T>,
    limit: Instant,
    /// When it was polled last.
    seen: Instant,
}

enum Stage<T> {
    Naming(Lookup),
    Trying(Tries<T>),
}

struct Tries<T> {
    left: VecDeque<SocketAddr>,
    running: Vec<Attempt<T>>,
    /// When the next address is tried, whatever the others do.
    next_at: Instant,
    failure: Option<Why>,
}

struct Attempt<T> {
    to: SocketAddr,
    until: Instant,
    future: Pin<Box<dyn Future<Output = io::Result<T>> + Send>>,
}

impl<T> Dial<T> {
    pub(super) fn new(to: Address, names: &Names, waker: &Waker, now: Instant) -> Self {
        let stage = match names::literal(&to) {
            Some(address) => Stage::Trying(Tries::new(vec![address], now)),
            None => Stage::Naming(names.look_up(to, waker.clone())),
        };
        Self { stage, limit: now.plus(DIAL_LIMIT), seen: now }
    }

    /// Goes on; the same waker must be behind `cx` each time.
    pub(super) fn poll<S: Sockets<Stream = T>>(
        &mut self,
        sockets: &S,
        cx: &mut Context<'_>,
        now: Instant,
    ) -> Poll<Result<(T, SocketAddr), Why>> {
        self.oversleep(now);
        if let Stage::Naming(lookup) = &self.stage
            && let Poll::Ready(found) = lookup.poll()
        {
            match found {
                Ok(addresses) => self.stage = Stage::Trying(Tries::new(in_turn(addresses), now)),
                Err(why) => return Poll::Ready(Err(why)),
            }
        }
        if let Stage::Trying(tries) = &mut self.stage
            && let Poll::Ready(outcome) = tries.poll(sockets, cx, now)
        {
            return Poll::Ready(outcome);
        }
        if now >= self.limit { Poll::Ready(Err(Why::TimedOut)) } else { Poll::Pending }
    }

    /// Time in which nobody ran us, because the computer slept, does not count.
    fn oversleep(&mut self, now: Instant) {
        let gap = now.saturating_since(mem::replace(&mut self.seen, now));
        if gap <= ABSENCE {
            return;
        }
        self.limit = self.limit.plus(gap);
        if let Stage::Trying(tries) = &mut self.stage {
            for attempt in &mut tries.running {
                attempt.until = attempt.until.plus(gap);
            }
        }
    }

    /// When it wants to be polled at the latest.
    pub(super) fn deadline(&self) -> Instant {
        match &self.stage {
            Stage::Naming(_) => self.limit,
            Stage::Trying(tries) => {
                let next = (!tries.left.is_empty()).then_some(tries.next_at);
                tries.running.iter().map(|attempt| attempt.until).chain(next).fold(self.limit, Ord::min)
            }
        }
    }
}

impl<T> Tries<T> {
    fn new(addresses: Vec<SocketAddr>, now: Instant) -> Self {
        Self { left: addresses.into(), running: Vec::new(), next_at: now, failure: None }
    }

    fn poll<S: Sockets<Stream = T>>(
        &mut self,
        sockets: &S,
        cx: &mut Context<'_>,
        now: Instant,
    ) -> Poll<Result<(T, SocketAddr), Why>> {
        loop {
            if let Some(opened) = self.poll_running(cx, now) {
                return Poll::Ready(Ok(opened));
            }
            let due = now >= self.next_at || self.running.is_empty();
            if due && let Some(to) = self.left.pop_front() {
                let future = Box::pin(sockets.connect(to));
                self.running.push(Attempt { to, until: now.plus(ATTEMPT_LIMIT), future });
                self.next_at = now.plus(HEAD_START);
                continue;
            }
            if self.running.is_empty() {
                return Poll::Ready(Err(self.failure.take().unwrap_or(Why::Unreachable)));
            }
            return Poll::Pending;
        }
    }

    fn poll_running(&mut self, cx: &mut Context<'_>, now: Instant) -> Option<(T, SocketAddr)> {
        let mut opened = None;
        let mut failures = Vec::new();
        self.running.retain_mut(|attempt| {
            if opened.is_some() {
                return false;
            }
            match attempt.future.as_mut().poll(cx) {
                Poll::Ready(Ok(stream)) => opened = Some((stream, attempt.to)),
                Poll::Ready(Err(error)) => failures.push(why(&error)),
                Poll::Pending if now >= attempt.until => failures.push(Why::TimedOut),
                Poll::Pending => return true,
            }
            false
        });
        for failure in failures {
            // One that is gone leaves its head start to the next.
            self.next_at = now;
            // A host without IPv6 says little about a server that refuses.
            if self.failure.as_ref().is_none_or(|known| *known == Why::Unreachable) {
                self.failure = Some(failure);
            }
        }
        opened
    }
}

/// The addresses in turn of their families, beginning with the family that the system put first.
fn in_turn(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let six_first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == six_first);
    let mut turn = Vec::with_capacity(ADDRESSES);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    while turn.len() < ADDRESSES {
        let before = turn.len();
        turn.extend(first.next());
        turn.extend(second.next());
        if turn.len() == before {
            break;
        }
    }
    turn
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::{pending, ready};
    use std::sync::Mutex;

    use super::*;
    use crate::driver::Stream;

    #[test]
    fn families_take_turns_beginning_with_the_systems_first() {
        let found = vec![at("[::1]:1"), at("[::2]:1"), at("[::3]:1"), at("1.1.1.1:1")];
        let turn = in_turn(found);
        assert_eq!(turn, [at("[::1]:1"), at("1.1.1.1:1"), at("[::2]:1"), at("[::3]:1")]);
        assert_eq!(in_turn(vec![at("1.1.1.1:1"); 40]).len(), ADDRESSES);
    }

    #[test]
    fn the_next_address_is_tried_after_a_head_start_or_at_once_after_a_failure() {
        let fake = Fake::default();
        let [silent, refused, open] = ["[::1]:1", "1.1.1.1:2", "[::2]:3"].map(at);
        let mut tries = Tries::new(vec![silent, refused, open], Instant::START);
        assert!(fake.poll(&mut tries, 0).is_pending());
        assert!(fake.poll(&mut tries, 249).is_pending());
        assert_eq!(*fake.dialled.lock().unwrap(), [silent]);
        let Poll::Ready(Ok((_, to))) = fake.poll(&mut tries, 250) else { panic!("none opened") };
        assert_eq!((to, fake.dialled.lock().unwrap().as_slice()), (open, &[silent, refused, open][..]));
    }

    #[test]
    fn each_attempt_is_bounded_and_the_telling_failure_is_told() {
        let fake = Fake::default();
        let mut tries = Tries::new(vec![at("[::1]:4"), at("1.1.1.1:2"), at("[::1]:1")], Instant::START);
        assert!(fake.poll(&mut tries, 0).is_pending());
        assert!(fake.poll(&mut tries, 9_999).is_pending());
        assert_eq!(
            fake.poll(&mut tries, 10_000).map(|outcome| outcome.map(|_| ())),
            Poll::Ready(Err(Why::Refused))
        );
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// Port 1 is silent, 2 refuses, 3 opens, and no way leads to 4.
    #[derive(Default)]
    struct Fake {
        dialled: Mutex<Vec<SocketAddr>>,
    }

    impl Fake {
        fn poll(&self, tries: &mut Tries<Open>, millis: u64) -> Poll<Result<(Open, SocketAddr), Why>> {
            let now = Instant::START.plus(Duration::from_millis(millis));
            tries.poll(self, &mut Context::from_waker(Waker::noop()), now)
        }
    }

    #[derive(Debug)]
    struct Open;

    impl Stream for Open {
        fn poll_read(&mut self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }
        fn poll_write(&mut self, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }
        fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl Sockets for Fake {
        type Stream = Open;
        type Listener = Infallible;

        fn now(&self) -> Instant {
            Instant::START
        }

        fn sleep_until(&self, _: Instant) -> impl Future<Output = ()> + Send + 'static {
            pending()
        }

        fn connect(&self, to: SocketAddr) -> impl Future<Output = io::Result<Open>> + Send + 'static {
            self.dialled.lock().unwrap().push(to);
            async move {
                match to.port() {
                    1 => pending().await,
                    2 => ready(Err(io::ErrorKind::ConnectionRefused.into())).await,
                    3 => Ok(Open),
                    _ => Err(io::ErrorKind::NetworkUnreachable.into()),
                }
            }
        }

        fn adopt(&self, _: std::net::TcpListener) -> io::Result<Infallible> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn poll_accept(
            &self,
            listener: &mut Infallible,
            _: &mut Context<'_>,
        ) -> Poll<io::Result<(Open, SocketAddr)>> {
            match *listener {}
        }
    }
}
