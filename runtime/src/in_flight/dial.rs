//! A dial: a name becomes addresses, and these are tried in turn of their families, 250 ms apart (RFC 8305).

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use wormhole_core::driver::{Address, Instant, Why};

use super::names::{self, Lookup, Names};
use crate::driver::Sockets;
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
        Self { stage, limit: now.plus(DIAL_LIMIT) }
    }

    /// Goes on; the same waker must be behind `cx` each time.
    pub(super) fn poll<S: Sockets<Stream = T>>(
        &mut self,
        sockets: &S,
        cx: &mut Context<'_>,
        now: Instant,
    ) -> Poll<Result<(T, SocketAddr), Why>> {
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
    use super::*;

    #[test]
    fn families_take_turns_beginning_with_the_systems_first() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let found = vec![at("[::1]:1"), at("[::2]:1"), at("[::3]:1"), at("1.1.1.1:1")];
        let turn = in_turn(found);
        assert_eq!(turn, [at("[::1]:1"), at("1.1.1.1:1"), at("[::2]:1"), at("[::3]:1")]);
        assert_eq!(in_turn(vec![at("1.1.1.1:1"); 40]).len(), ADDRESSES);
    }
}
