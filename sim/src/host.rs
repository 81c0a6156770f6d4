//! The runtime of one simulated computer.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use wormhole_core::driver::{Conn, Input, Instant, Op};
use wormhole_core::rng::Seed;
use wormhole_runtime::{Job, Runtime, Stream};

use crate::net::{EndId, HostId, Net};

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;
type Cell = Arc<Mutex<Option<Boxed>>>;

/// The runtime of one simulated computer: its work is noted in the network, and the answers come from there.
pub(crate) struct Host {
    net: Net,
    id: HostId,
    jobs: BTreeMap<u64, Cell>,
    next_job: u64,
}

impl Host {
    pub(crate) const fn new(net: Net, id: HostId) -> Self {
        Self { net, id, jobs: BTreeMap::new(), next_job: 0 }
    }

    /// Polls all jobs; whether one has ended.
    fn poll_jobs(&mut self, cx: &mut Context<'_>) -> bool {
        let before = self.jobs.len();
        self.jobs.retain(|_, cell| {
            let Some(mut job) = take(cell) else { return false };
            if job.as_mut().poll(cx).is_ready() {
                return false;
            }
            *cell.lock().unwrap_or_else(PoisonError::into_inner) = Some(job);
            true
        });
        self.jobs.len() < before
    }
}

impl Runtime for Host {
    type Stream = Given;

    fn seed(&mut self) -> Seed {
        self.net.lock().seed()
    }

    fn now(&self) -> Instant {
        self.net.lock().clock(self.id)
    }

    fn start(&mut self, op: Op) {
        let mut net = self.net.lock();
        match op {
            Op::Open { conn, target } => net.open(self.id, conn, &target),
            Op::Listen { conn, on } => net.listen(self.id, conn, &on),
            Op::Accept { at, conn } => net.accept(self.id, at, conn),
            Op::Read { conn } => net.read(self.id, conn),
            Op::Write { conn, bytes } => net.write(self.id, conn, bytes),
            // Nothing in a world lasts long enough for terms.
            Op::Join { a, b, terms: _ } => net.join(self.id, a, b),
            Op::Close { conn } | Op::Dismiss { conn, code: _ } => net.close(self.id, conn),
            Op::Store(never) => match never {},
        }
    }

    async fn next(&mut self, deadline: Option<Instant>) -> Option<Input> {
        poll_fn(|cx| {
            if self.poll_jobs(cx) {
                return Poll::Ready(Some(Input::Tick));
            }
            let mut net = self.net.lock();
            if let Some(input) = net.hosts.get_mut(self.id).and_then(|host| host.inbox.pop_front()) {
                return Poll::Ready(Some(input));
            }
            if deadline.is_some_and(|at| at <= net.clock(self.id)) {
                return Poll::Ready(None);
            }
            net.wait(self.id, cx, deadline);
            Poll::Pending
        })
        .await
    }

    fn take(&mut self, conn: Conn) -> Option<Given> {
        let end = self.net.lock().give(self.id, conn)?;
        Some(Given { net: self.net.clone(), end })
    }

    fn beside(&mut self, job: impl Future<Output = ()> + Send + 'static) -> Job {
        let cell: Cell = Arc::new(Mutex::new(Some(Box::pin(job))));
        self.next_job = self.next_job.wrapping_add(1);
        self.jobs.insert(self.next_job, Arc::clone(&cell));
        Job::new(move || drop(take(&cell)))
    }
}

/// A connection that the loop has given out.
pub(crate) struct Given {
    net: Net,
    end: EndId,
}

impl Stream for Given {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.net.lock().poll_read(self.end, cx, buf)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.net.lock().poll_write(self.end, cx, buf)
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.net.lock().shut(self.end);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        self.net.lock().leave(self.end);
    }
}

fn take(cell: &Cell) -> Option<Boxed> {
    cell.lock().unwrap_or_else(PoisonError::into_inner).take()
}
