//! Names become addresses, on plain detached threads: the system's resolver may hang, and then nobody waits for it.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Poll, Waker};
use std::thread;

use wormhole_core::driver::{Address, Why};

/// The most lookups at a time; more wait for one of these.
const THREADS: usize = 16;

/// All lookups of one loop.
#[derive(Debug, Default)]
pub(super) struct Names {
    pool: Arc<Mutex<Pool>>,
}

#[derive(Debug, Default)]
struct Pool {
    running: usize,
    /// Weak, so that nobody is looked up for whom nobody waits.
    waiting: VecDeque<Weak<Asked>>,
}

/// One lookup. Dropping it gives it up.
#[derive(Debug)]
pub(super) struct Lookup(Arc<Asked>);

#[derive(Debug)]
struct Asked {
    address: Address,
    answer: Mutex<Option<io::Result<Vec<SocketAddr>>>>,
    waker: Waker,
}

/// The address of a literal, which needs no lookup.
pub(super) fn literal(address: &Address) -> Option<SocketAddr> {
    let host: IpAddr = address.host.parse().ok()?;
    Some(SocketAddr::new(host, address.port))
}

impl Names {
    /// Begins to look up; `waker` is called when there is an answer.
    pub(super) fn look_up(&self, address: Address, waker: Waker) -> Lookup {
        let asked = Arc::new(Asked { address, answer: Mutex::new(None), waker });
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        pool.waiting.retain(|other| other.strong_count() > 0);
        pool.waiting.push_back(Arc::downgrade(&asked));
        if pool.running < THREADS {
            pool.running += 1;
            let shared = Arc::clone(&self.pool);
            let spawned = thread::Builder::new().name("wormhole-names".into()).spawn(move || work(&shared));
            if let Err(error) = spawned {
                pool.running -= 1;
                asked.tell(Err(error));
            }
        }
        Lookup(asked)
    }
}

impl Lookup {
    /// The addresses, in the system's order; never none.
    pub(super) fn poll(&self) -> Poll<Result<Vec<SocketAddr>, Why>> {
        match &*self.0.answer.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Poll::Pending,
            Some(Ok(found)) if !found.is_empty() => Poll::Ready(Ok(found.clone())),
            // The resolver's errors have no kinds of their own.
            Some(Ok(_) | Err(_)) => Poll::Ready(Err(Why::NoSuchName)),
        }
    }
}

impl Asked {
    fn tell(&self, answer: io::Result<Vec<SocketAddr>>) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        self.waker.wake_by_ref();
    }
}

/// Looks up one name after another until none waits.
fn work(pool: &Mutex<Pool>) {
    loop {
        let next = {
            let mut pool = pool.lock().unwrap_or_else(PoisonError::into_inner);
            let next = pool.waiting.pop_front();
            if next.is_none() {
                pool.running -= 1;
                return;
            }
            next
        };
        if let Some(asked) = next.and_then(|waiting| waiting.upgrade()) {
            let found = (asked.address.host.as_str(), asked.address.port).to_socket_addrs();
            asked.tell(found.map(Iterator::collect));
        }
    }
}
