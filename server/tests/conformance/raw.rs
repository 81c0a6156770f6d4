//! HTTP and WebSocket by the byte, for what no well-behaved client does.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::client::{rest, tcp};
use crate::running::LIMIT;

/// The last frame of a message, with its kind.
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;

/// A WebSocket of which every byte is ours.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    /// What the server said before the first frame.
    pub(crate) head: String,
}

impl Raw {
    /// Asks for a WebSocket at `/v1`, which must be granted.
    pub(crate) fn connect(at: SocketAddr) -> Self {
        Self::with(at, "/v1", "")
    }

    /// As [`Raw::connect`], at another path and with these lines in the request.
    pub(crate) fn with(at: SocketAddr, path: &str, lines: &str) -> Self {
        let mut stream = tcp(at);
        stream.set_nodelay(true).unwrap();
        stream.write_all(asking(path, lines).as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        Self { stream, head }
    }

    /// Sends one frame.
    pub(crate) fn send(&mut self, first: u8, payload: &[u8]) {
        self.stream.write_all(&frame(first, payload)).unwrap();
    }

    /// The next frame of the server; none at the end.
    pub(crate) fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head).ok()?;
        assert_eq!(head[1] & 0x80, 0, "a server masks nothing");
        let mut long = [0; 8];
        let length = match head[1] {
            126 => {
                self.stream.read_exact(&mut long[6..]).ok()?;
                u64::from_be_bytes(long)
            }
            127 => {
                self.stream.read_exact(&mut long).ok()?;
                u64::from_be_bytes(long)
            }
            short => u64::from(short),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut payload).ok()?;
        Some((head[0], payload))
    }

    /// The next message of the mailbox server as it is, which must be a text.
    pub(crate) fn text(&mut self) -> String {
        let (first, payload) = self.frame().unwrap();
        assert_eq!(first, TEXT);
        String::from_utf8(payload).unwrap()
    }

    /// The next message of the mailbox server.
    pub(crate) fn hear(&mut self) -> Value {
        serde_json::from_str(&self.text()).unwrap()
    }

    /// The code with which the server closes, after whatever it still says; none where it just ends.
    pub(crate) fn closing(&mut self) -> Option<u16> {
        loop {
            let (first, payload) = self.frame()?;
            if first == CLOSE {
                return payload.first_chunk().map(|code| u16::from_be_bytes(*code));
            }
        }
    }
}

/// One frame of a client.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
    let mut frame = head(first, u64::try_from(payload.len()).unwrap(), MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The head of a frame of a client.
pub(crate) fn head(first: u8, length: u64, mask: [u8; 4]) -> Vec<u8> {
    let mut head = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..126), _) => head.push(0x80 | short),
        (_, Ok(middle)) => {
            head.push(0x80 | 126);
            head.extend(middle.to_be_bytes());
        }
        (_, Err(_)) => {
            head.push(0x80 | 127);
            head.extend(length.to_be_bytes());
        }
    }
    head.extend(mask);
    head
}

/// A request for a WebSocket, with these lines in it.
pub(crate) fn asking(path: &str, lines: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n"
    )
}

/// The whole answer to a request.
pub(crate) fn http(at: SocketAddr, request: &str) -> String {
    let mut stream = tcp(at);
    stream.write_all(request.as_bytes()).unwrap();
    String::from_utf8(rest(&mut stream, LIMIT)).unwrap()
}
