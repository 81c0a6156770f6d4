//! Two connections that carry each other's bytes. A buffer exists only while one side cannot take what came, and where
//! the system can, it moves the bytes by itself.

use std::future::Future;
#[cfg(target_os = "linux")]
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use wormhole_core::driver::Instant;

use super::flow::Out;
use super::kit::{Kit, Kits};
use crate::driver::{Beside, Stream};
use crate::meter::{Look, Meter};

/// Reads in each direction before others have their turn.
const ROUNDS: usize = 16;

/// A joined pair as the loop holds it. Once this is dropped both connections are gone, whoever copies.
pub(super) struct Joined<T> {
    shared: Arc<Mutex<Shared<T>>>,
    /// Who copies, unless it is another thread.
    job: Option<Beside>,
}

/// What the loop and whoever copies know of each other.
struct Shared<T> {
    pair: Option<Pair<T>>,
    meter: Meter,
    ended: bool,
    /// Who copies.
    waker: Option<Waker>,
}

/// How a joined pair goes on.
pub(super) enum Goes {
    /// It wants to be polled at this moment at the latest.
    On(Option<Instant>),
    Over,
}

impl<T: Stream> Joined<T> {
    /// Joins the pair. `spawn` takes the copying away, or gives it back; `waker` is called when the loop should look.
    pub(super) fn new(
        pair: Pair<T>,
        meter: Meter,
        kits: &Kits,
        waker: &Waker,
        spawn: impl FnOnce(Beside) -> Option<Beside>,
    ) -> Self {
        let shared = Arc::new(Mutex::new(Shared { pair: Some(pair), meter, ended: false, waker: None }));
        let copying = Copying { shared: Arc::clone(&shared), kits: kits.clone(), tell: waker.clone() };
        Self { shared, job: spawn(Box::pin(copying)) }
    }

    /// Copies, if nobody else does, and looks after the terms.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, now: Instant) -> Goes {
        let mut shared = lock(&self.shared);
        let was_open = shared.meter.is_open();
        let _ = shared.meter.look(now);
        if shared.meter.is_open() {
            match &mut self.job {
                Some(job) => {
                    drop(shared);
                    let _ = job.as_mut().poll(cx);
                    shared = lock(&self.shared);
                }
                None if !was_open => shared.waker.iter().for_each(Waker::wake_by_ref),
                None => {}
            }
        }
        match shared.meter.look(now) {
            Look::On(at) if !shared.ended => Goes::On(at),
            Look::On(_) | Look::Over => Goes::Over,
        }
    }
}

impl<T> Joined<T> {
    /// Gives the connections back.
    pub(super) fn part(&self) -> Option<Pair<T>> {
        let (pair, waker) = {
            let mut shared = lock(&self.shared);
            (shared.pair.take(), shared.waker.take())
        };
        // Whoever copies learns that there is nothing left.
        waker.into_iter().for_each(Waker::wake);
        pair
    }
}

impl<T> Drop for Joined<T> {
    fn drop(&mut self) {
        drop(self.part());
    }
}

fn lock<T>(shared: &Mutex<Shared<T>>) -> MutexGuard<'_, Shared<T>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The copying, until one side has ended or the pair is taken away.
struct Copying<T> {
    shared: Arc<Mutex<Shared<T>>>,
    kits: Kits,
    /// The loop.
    tell: Waker,
}

impl<T: Stream> Future for Copying<T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let shared = &mut *lock(&self.shared);
        let Some(pair) = &mut shared.pair else { return Poll::Ready(()) };
        match &mut shared.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        // The loop was told when it closed, and calls when it is open again.
        if !shared.meter.is_open() {
            return Poll::Pending;
        }
        let polled = self.kits.lend(|kit| pair.poll(cx, kit, &mut shared.meter));
        shared.ended = polled.is_ready();
        if shared.ended || !shared.meter.is_open() {
            self.tell.wake_by_ref();
        }
        polled
    }
}

/// Both sides.
pub(super) struct Pair<T> {
    pub(super) a: Side<T>,
    pub(super) b: Side<T>,
}

/// One connection of a pair.
pub(super) struct Side<T> {
    pub(super) stream: T,
    /// What came from the partner and waits for this side.
    pub(super) out: Out,
    /// Bytes that came from this side.
    pub(super) came: u64,
    /// It takes nothing more. What it said before may still be on its way to the other.
    deaf: bool,
    /// It has said its last, and all of it was read.
    ended: bool,
    /// The system cannot move its bytes by itself.
    #[cfg(target_os = "linux")]
    plain: bool,
}

/// How far a direction has come.
enum Reached {
    /// Nothing comes, or nothing goes, just now.
    Still,
    /// There may be more: others first.
    More,
    /// The side that speaks has ended, and the other has all of it.
    End,
}

impl<T: Stream> Side<T> {
    pub(super) fn new(stream: T, out: Out) -> Self {
        Self {
            stream,
            out,
            came: 0,
            deaf: false,
            ended: false,
            #[cfg(target_os = "linux")]
            plain: false,
        }
    }

    fn came(&mut self, count: usize) {
        self.came = self.came.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// Whether it can be dropped as it is: nothing is left to write, and nothing unread that would turn the end into a reset.
    pub(super) fn is_over(&self) -> bool {
        self.ended && self.out.is_empty()
    }

    fn turn_deaf(&mut self) -> Reached {
        self.deaf = true;
        self.out = Out::default();
        Reached::More
    }
}

impl<T: Stream> Pair<T> {
    /// Copies; ready once all that one side said before its end is on its way to the other.
    fn poll(&mut self, cx: &mut Context<'_>, kit: &mut Kit, meter: &mut Meter) -> Poll<()> {
        let there = copy(&mut self.a, &mut self.b, cx, kit, meter);
        let back = copy(&mut self.b, &mut self.a, cx, kit, meter);
        match (there, back) {
            _ if self.a.deaf && self.b.deaf => Poll::Ready(()),
            (Reached::End, _) | (_, Reached::End) => Poll::Ready(()),
            (Reached::More, _) | (_, Reached::More) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            (Reached::Still, Reached::Still) => Poll::Pending,
        }
    }
}

fn copy<T: Stream>(
    from: &mut Side<T>,
    to: &mut Side<T>,
    cx: &mut Context<'_>,
    kit: &mut Kit,
    meter: &mut Meter,
) -> Reached {
    if to.deaf {
        return Reached::Still;
    }
    for _ in 0..ROUNDS {
        match to.out.poll(&mut to.stream, cx, &mut 0) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return to.turn_deaf(),
            Poll::Pending => return Reached::Still,
        }
        if !meter.is_open() {
            return Reached::Still;
        }
        let count = match move_once(from, to, cx, kit) {
            Moved::Some(count) => count,
            Moved::Nothing => return Reached::Still,
            Moved::End => return Reached::End,
            Moved::Deaf(count) => {
                from.came(count);
                return to.turn_deaf();
            }
        };
        from.came(count);
        meter.add(count);
    }
    Reached::More
}

/// What one round has moved.
enum Moved {
    /// So much came, and has gone or waits for the other side.
    Some(usize),
    Nothing,
    End,
    /// So much came, and the other side takes nothing more.
    Deaf(usize),
}

#[cfg(target_os = "linux")]
fn move_once<T: Stream>(from: &mut Side<T>, to: &mut Side<T>, cx: &mut Context<'_>, kit: &mut Kit) -> Moved {
    if from.plain || to.plain {
        return copy_once(from, to, cx, kit);
    }
    let Some(mut pipe) = kit.take_pipe() else { return copy_once(from, to, cx, kit) };
    let filled = from.stream.poll_out_of(cx, &mut |socket| pipe.fill(socket));
    let count = match filled {
        Poll::Ready(Ok(count)) if count > 0 => count,
        Poll::Ready(Err(error)) if error.kind() == ErrorKind::Unsupported => {
            kit.put_back(pipe);
            from.plain = true;
            return copy_once(from, to, cx, kit);
        }
        Poll::Ready(_) => {
            kit.put_back(pipe);
            // Nothing lies between us and the system that would want to say goodbye.
            from.ended = true;
            return Moved::End;
        }
        Poll::Pending => {
            kit.put_back(pipe);
            return Moved::Nothing;
        }
    };
    while !pipe.is_empty() {
        match to.stream.poll_into(cx, &mut |socket| pipe.drain(socket)) {
            Poll::Ready(Ok(drained)) if drained > 0 => {}
            Poll::Ready(Err(error)) if error.kind() == ErrorKind::Unsupported => {
                to.plain = true;
                break;
            }
            Poll::Ready(_) => return Moved::Deaf(count),
            Poll::Pending => break,
        }
    }
    // A pipe is for whoever moves: what a side does not take now waits in memory.
    if !pipe.is_empty() {
        match pipe.empty() {
            Ok(left) => to.out.append(left),
            Err(_) => return Moved::Deaf(count),
        }
    }
    kit.put_back(pipe);
    Moved::Some(count)
}

#[cfg(not(target_os = "linux"))]
fn move_once<T: Stream>(from: &mut Side<T>, to: &mut Side<T>, cx: &mut Context<'_>, kit: &mut Kit) -> Moved {
    copy_once(from, to, cx, kit)
}

fn copy_once<T: Stream>(from: &mut Side<T>, to: &mut Side<T>, cx: &mut Context<'_>, kit: &mut Kit) -> Moved {
    let buffer = kit.buffer();
    let read = match from.stream.poll_read(cx, buffer) {
        Poll::Ready(Ok(0) | Err(_)) => return Moved::End,
        Poll::Ready(Ok(count)) => buffer.get(..count).unwrap_or(&[]),
        Poll::Pending => return Moved::Nothing,
    };
    let written = match to.stream.poll_write(cx, read) {
        Poll::Ready(Ok(count)) => count,
        Poll::Ready(Err(_)) => return Moved::Deaf(read.len()),
        Poll::Pending => 0,
    };
    if let Some(left) = read.get(written..)
        && !left.is_empty()
    {
        to.out.append(left.to_vec());
    }
    Moved::Some(read.len())
}
