//! The frames of a WebSocket that stands, read by either end, and by a relay.

use tungstenite::handshake::derive_accept_key;
use wormhole_core::driver::Input;

use crate::layered::{End, feed};
use crate::script::Script;

/// What every browser would send.
pub(crate) const REQUEST: &str = "GET /v1 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Who reads, where the stream is cut, and the frames.
pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let end = End::of(script.byte());
    let cuts = script.chunk();
    let frames = frames(&mut script, end);
    let head = |request: &[u8]| match end {
        End::Server | End::Relay => REQUEST.as_bytes().to_vec(),
        End::Client | End::Tls => granted(request),
    };
    let whole = feed(end, head, &frames, &[]);
    assert!(whole.told.iter().any(|input| matches!(input, Input::Opened { .. })), "it stands: {whole:?}");
    assert_eq!(whole, feed(end, head, &frames, cuts), "it matters where it is cut");
}

/// Frames as RFC 6455 has them, with bits and lengths that may be wrong, or bytes that are none.
fn frames(script: &mut Script<'_>, end: End) -> Vec<u8> {
    let mut frames = Vec::new();
    while !script.is_empty() {
        let first = script.byte();
        if first == 0xff {
            frames.extend_from_slice(script.long_chunk());
            continue;
        }
        let masked = if end == End::Client { 0 } else { 0x80 };
        let payload = script.chunk();
        let len = u8::try_from(payload.len()).unwrap_or(u8::MAX);
        frames.push(first);
        match len {
            0..=125 => frames.push(len | masked),
            126.. => frames.extend_from_slice(&[126 | masked, 0, len]),
        }
        // A mask of zeros changes nothing.
        frames.extend_from_slice(if masked == 0 { &[] } else { &[0; 4] });
        frames.extend_from_slice(payload);
    }
    frames
}

/// The answer that grants this request.
fn granted(request: &[u8]) -> Vec<u8> {
    let accept = accept(request);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .into_bytes()
}

/// The proof that belongs to the key of a request; empty where there is none.
pub(crate) fn accept(request: &[u8]) -> String {
    let text = String::from_utf8_lossy(request);
    let key = text.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
    key.map(|key| derive_accept_key(key.as_bytes())).unwrap_or_default()
}
