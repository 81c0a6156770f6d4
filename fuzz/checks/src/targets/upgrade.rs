//! HTTP: the request that a mailbox server or a relay reads, and the answer that a client reads.

use crate::layered::{End, feed};
use crate::script::Script;

/// From a head of this length on, what is wrong with it may depend on how much of it has come.
const HEAD: usize = 4 << 10;

/// Who reads, where the stream is cut, and the stream.
pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let end = End::of(script.byte());
    let cuts = script.chunk();
    let stream = script.rest();
    let whole = feed(end, |request| answer(request, stream), &[], &[]);
    let cut = feed(end, |request| answer(request, stream), &[], cuts);
    if stream.len() < HEAD {
        assert_eq!(whole, cut, "it matters where it is cut");
    }
}

/// The stream; for the first `%` in the head of an answer it has the proof that only the request allows.
fn answer(request: &[u8], stream: &[u8]) -> Vec<u8> {
    let accept = super::websocket::accept(request);
    let head = stream.windows(4).position(|end| end == b"\r\n\r\n").unwrap_or(stream.len());
    let place = stream.iter().take(head).position(|byte| *byte == b'%').filter(|_| !accept.is_empty());
    let Some((before, [_, after @ ..])) = place.and_then(|place| stream.split_at_checked(place)) else {
        return stream.to_vec();
    };
    [before, accept.as_bytes(), after].concat()
}
