//! The records of a transit connection: as they are, as they were changed on the way, and as no sealer made them.

use std::task::{Context, Poll, Waker};
use std::{io, pin::pin};

use wormhole_core::crypto::Key;
use wormhole_core::defaults::RECORD_LIMIT;
use wormhole_core::transit::{Opener, RecordKeys, Reference, Sealer};
use wormhole_runtime::Stream;
use wormhole_runtime::pipe::{Broken, Pipe};

use crate::script::{Script, pieces};

/// How many bytes of content the reader takes.
const LIMIT: usize = 1 << 16;

/// Records, what is done to one of them, what follows them, and where the stream is cut.
pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let (mut stream, mut sealed) = (Vec::new(), Vec::new());
    let mut sealer = Sealer::starting_at(Reference, key(1), 0);
    for _ in 0..script.below(6) {
        let content = script.chunk();
        let Ok(record) = sealer.seal_copy(content) else { unreachable!("it is short") };
        stream.extend_from_slice(&record);
        sealed.push((stream.len(), content));
    }
    let change = (script.number(), script.byte());
    if let Some(byte) = stream.get_mut(usize::from(change.0)) {
        *byte ^= change.1;
    }
    let changed_at = if change.1 == 0 { usize::MAX } else { change.0.into() };
    let (cuts, more) = (script.chunk(), script.rest());
    stream.extend_from_slice(more);
    let (whole, end) = receive(&stream, &[]);
    let (cut, cut_end) = receive(&stream, cuts);
    assert_eq!((&whole, end), (&cut, cut_end), "it matters where it is cut");
    let good = sealed.iter().take_while(|(end, _)| *end <= changed_at).map(|(_, content)| *content);
    assert!(whole.iter().map(Vec::as_slice).eq(good), "something else was opened than was sealed");
    alone(more);
}

/// Contents until it ends, and how it does. Debug text compares what cannot be compared.
fn receive(stream: &[u8], cuts: &[u8]) -> (Vec<Vec<u8>>, String) {
    let pieces = pieces(stream, cuts).into_iter().map(<[u8]>::to_vec).rev().collect();
    let keys = RecordKeys { send: key(2), receive: key(1) };
    let mut pipe = Pipe::new(Pieces(pieces), &keys, Vec::new());
    let mut contents = Vec::new();
    loop {
        let next = pin!(pipe.receive(LIMIT)).poll(&mut Context::from_waker(Waker::noop()));
        match next {
            Poll::Ready(Ok(content)) => contents.push(content),
            Poll::Ready(Err(end @ (Broken::Ended | Broken::Failed(_) | Broken::Fault(_)))) => {
                return (contents, format!("{end:?}"));
            }
            Poll::Pending => unreachable!("a stream in memory does not wait"),
        }
    }
}

/// One record that nobody sealed.
fn alone(bytes: &[u8]) {
    let mut opener = Opener::starting_at(Reference, key(1), 7);
    if let Some((head, body)) = bytes.split_first_chunk() {
        let len = Opener::<Reference>::frame_len(*head);
        assert!(len.is_err() || len.is_ok_and(|len| (40..=RECORD_LIMIT + 40).contains(&len)));
        assert!(opener.open(&mut body.to_vec()).is_err(), "it was opened without the key");
        assert!(opener.open(&mut body.to_vec()).is_err(), "it goes on after a fault");
    }
}

const fn key(byte: u8) -> Key {
    Key::from_bytes([byte; 32])
}

/// The last piece comes first.
struct Pieces(Vec<Vec<u8>>);

impl Stream for Pieces {
    fn poll_read(&mut self, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let Some(mut piece) = self.0.pop() else { return Poll::Ready(Ok(0)) };
        let count = piece.len().min(buf.len());
        for (place, byte) in buf.iter_mut().zip(&piece) {
            *place = *byte;
        }
        let rest = piece.split_off(count);
        if !rest.is_empty() {
            self.0.push(rest);
        }
        Poll::Ready(Ok(count))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
