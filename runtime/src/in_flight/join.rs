//! Two connections that carry each other's bytes. A buffer exists only while one side cannot take what came.

use std::task::{Context, Poll};

use crate::driver::Stream;

use super::flow::Out;

/// Reads in each direction before others have their turn.
const ROUNDS: usize = 16;

/// A joined pair.
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
        Self { stream, out, came: 0, deaf: false }
    }

    fn turn_deaf(&mut self) -> Reached {
        self.deaf = true;
        self.out = Out::default();
        Reached::More
    }
}

impl<T: Stream> Pair<T> {
    /// Copies; ready once all that one side said before its end is on its way to the other.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, scratch: &mut [u8]) -> Poll<()> {
        let there = copy(&mut self.a, &mut self.b, cx, scratch);
        let back = copy(&mut self.b, &mut self.a, cx, scratch);
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
    scratch: &mut [u8],
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
        let read = match from.stream.poll_read(cx, scratch) {
            Poll::Ready(Ok(0) | Err(_)) => return Reached::End,
            Poll::Ready(Ok(count)) => scratch.get(..count).unwrap_or(&[]),
            Poll::Pending => return Reached::Still,
        };
        from.came += u64::try_from(read.len()).unwrap_or(u64::MAX);
        let written = match to.stream.poll_write(cx, read) {
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(_)) => return to.turn_deaf(),
            Poll::Pending => 0,
        };
        if let Some(left) = read.get(written..)
            && !left.is_empty()
        {
            to.out.append(left.to_vec());
        }
    }
    Reached::More
}
