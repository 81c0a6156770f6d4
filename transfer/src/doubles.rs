//! Stand-ins for tests: a connection in memory, and the smallest executor.

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use wormhole_runtime::Stream;

/// Runs a future on this thread.
pub(crate) fn settle<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Poll::Ready(outcome) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return outcome;
        }
        thread::park();
    }
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Two ends of a connection that holds so many bytes in each direction.
pub(crate) fn connection(capacity: usize) -> (End, End) {
    let directions = [(); 2].map(|()| Arc::new(Mutex::new(Direction { capacity, ..Direction::default() })));
    let [there, back] = directions;
    (End { out: Arc::clone(&there), back: Arc::clone(&back) }, End { out: back, back: there })
}

/// One end. Dropping it closes both directions.
pub(crate) struct End {
    out: Arc<Mutex<Direction>>,
    back: Arc<Mutex<Direction>>,
}

#[derive(Default)]
struct Direction {
    bytes: VecDeque<u8>,
    capacity: usize,
    is_shut: bool,
    has_no_reader: bool,
    wakers: Vec<Waker>,
}

impl Direction {
    fn wake(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }
}

impl Stream for End {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut back = self.back.lock().unwrap();
        let count = back.bytes.len().min(buf.len());
        if count == 0 && !back.is_shut {
            back.wakers.push(cx.waker().clone());
            return Poll::Pending;
        }
        for (place, byte) in buf.iter_mut().zip(back.bytes.drain(..count)) {
            *place = byte;
        }
        back.wake();
        Poll::Ready(Ok(count))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut out = self.out.lock().unwrap();
        if out.has_no_reader {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let count = buf.len().min(out.capacity - out.bytes.len());
        if count == 0 {
            out.wakers.push(cx.waker().clone());
            return Poll::Pending;
        }
        out.bytes.extend(&buf[..count]);
        out.wake();
        Poll::Ready(Ok(count))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut out = self.out.lock().unwrap();
        out.is_shut = true;
        out.wake();
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut out = self.out.lock().unwrap();
        out.is_shut = true;
        out.wake();
        drop(out);
        let mut back = self.back.lock().unwrap();
        back.has_no_reader = true;
        back.wake();
    }
}
