//! The frames of one WebSocket, over bytes in memory. Without a message under way it owns no buffer.

use std::io::{self, Cursor, Read, Write};

use tungstenite::error::{CapacityError, Error};
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, FrameHeader};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Message, Utf8Bytes};
use wormhole_core::defaults::MESSAGE_LIMIT;
use wormhole_core::driver::Why;

/// The step in which a frame is copied in.
const STEP: usize = 4 << 10;

/// One WebSocket after its handshake.
#[derive(Debug)]
pub(super) struct WebSocket {
    role: Role,
    /// Knows a message of which some fragments have come. Made for each message: it holds a buffer.
    context: Option<Box<WebSocketContext>>,
    /// A message has begun and not ended.
    fragmented: bool,
    /// Bytes of it that have come.
    begun: usize,
    /// What came and is no whole frame yet, or was not asked for yet.
    pending: Vec<u8>,
    used: usize,
}

/// What the next frames came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// Nothing whole; more bytes are needed.
    Nothing,
    Message(Vec<u8>),
    /// A ping or pong; the answer, if any, is written.
    Sign,
    /// The other end has said goodbye, and so have we.
    Goodbye,
}

impl WebSocket {
    pub(super) fn new(role: Role) -> Self {
        Self { role, context: None, fragmented: false, begun: 0, pending: Vec::new(), used: 0 }
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }

    /// Adds bytes that came.
    pub(super) fn take_in(&mut self, bytes: Vec<u8>) {
        if self.has_pending() {
            self.pending.drain(..self.used);
            self.pending.extend_from_slice(&bytes);
        } else {
            self.pending = bytes;
        }
        self.used = 0;
    }

    /// Whether bytes wait for [`WebSocket::next`].
    pub(super) fn has_pending(&self) -> bool {
        self.used < self.pending.len()
    }

    /// The bytes of messages that have not been told.
    pub(super) fn held(&self) -> usize {
        self.pending.len().saturating_add(self.begun)
    }

    /// The next message or sign; what must be answered to it goes to `out`. After an error nothing more comes, and
    /// `out` has the goodbye that says so.
    pub(super) fn next(&mut self, out: &mut Vec<u8>) -> Result<Came, Why> {
        loop {
            let length = match self.frame_length() {
                Ok(Some(length)) => length,
                Ok(None) => return Ok(Came::Nothing),
                Err(error) => return Err(self.fail(&error, out)),
            };
            let frame = self.pending.get(self.used..self.used + length).unwrap_or(&[]);
            let mut memory = Memory { input: frame, output: out };
            let context = self.context.get_or_insert_with(|| context(self.role));
            let read = context.read(&mut memory);
            // Writes the answer to a ping or a goodbye.
            let _ = context.flush(&mut memory);
            self.use_up(length);
            let came = match read {
                Ok(Message::Text(text)) => Came::Message(text.as_bytes().to_vec()),
                Ok(Message::Binary(bytes)) => Came::Message(bytes.to_vec()),
                Ok(Message::Ping(_) | Message::Pong(_)) => Came::Sign,
                Ok(Message::Close(_)) => Came::Goodbye,
                // A fragment; the rest of the message is still to come.
                Ok(Message::Frame(_)) => continue,
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(self.fail(&error, out)),
            };
            if !self.fragmented {
                self.context = None;
            }
            return Ok(came);
        }
    }

    /// Writes a message, as text: other clients refuse anything else.
    pub(super) fn say(&mut self, message: Vec<u8>, out: &mut Vec<u8>) {
        let text = match String::from_utf8(message) {
            Ok(text) => Message::Text(text.into()),
            Err(error) => Message::Binary(error.into_bytes().into()),
        };
        self.write(text, out);
    }

    /// Writes a ping.
    pub(super) fn ping(&mut self, out: &mut Vec<u8>) {
        self.write(Message::Ping(Vec::new().into()), out);
    }

    /// Says goodbye.
    pub(super) fn goodbye(&mut self, code: u16, out: &mut Vec<u8>) {
        self.write(Message::Close(Some(close(code.into()))), out);
    }

    /// Says goodbye to one whose message is too much.
    pub(super) fn refuse(&mut self, out: &mut Vec<u8>) {
        self.context = None;
        self.write(Message::Close(Some(close(CloseCode::Size))), out);
    }

    fn write(&mut self, message: Message, out: &mut Vec<u8>) {
        let fresh = self.context.is_none();
        let context = self.context.get_or_insert_with(|| context(self.role));
        let mut memory = Memory { input: &[], output: out };
        // Writing to memory does not fail; after a goodbye nothing is written any more, which is right.
        let _ = context.write(&mut memory, message).and_then(|()| context.flush(&mut memory));
        if fresh {
            self.context = None;
        }
    }

    /// The length of the first frame, once it is there as a whole.
    fn frame_length(&mut self) -> Result<Option<usize>, Error> {
        let bytes = self.pending.get(self.used..).unwrap_or(&[]);
        let mut cursor = Cursor::new(bytes);
        let Some((header, payload)) = FrameHeader::parse(&mut cursor)? else { return Ok(None) };
        let payload = usize::try_from(payload).unwrap_or(usize::MAX);
        if payload > MESSAGE_LIMIT {
            let error = CapacityError::MessageTooLong { size: payload, max_size: MESSAGE_LIMIT };
            return Err(Error::Capacity(error));
        }
        let length = usize::try_from(cursor.position()).unwrap_or(usize::MAX).saturating_add(payload);
        if bytes.len() < length {
            return Ok(None);
        }
        match header.opcode {
            OpCode::Data(Data::Text | Data::Binary | Data::Continue | Data::Reserved(_)) => {
                self.fragmented = !header.is_final;
                self.begun = if header.is_final { 0 } else { self.begun.saturating_add(payload) };
            }
            OpCode::Control(_) => {}
        }
        Ok(Some(length))
    }

    fn use_up(&mut self, length: usize) {
        self.used += length;
        if !self.has_pending() {
            self.pending = Vec::new();
            self.used = 0;
        }
    }

    /// What an error means, after a goodbye with the code that says so (RFC 6455 section 7.4).
    fn fail(&mut self, error: &Error, out: &mut Vec<u8>) -> Why {
        #[expect(clippy::wildcard_enum_match_arm, reason = "most errors of the crate cannot come from here")]
        let (code, why) = match error {
            Error::Capacity(_) => (CloseCode::Size, Why::TooLong),
            Error::Utf8(_) => (CloseCode::Invalid, Why::WebSocket(error.to_string())),
            other => (CloseCode::Protocol, Why::WebSocket(other.to_string())),
        };
        self.context = None;
        self.write(Message::Close(Some(close(code))), out);
        why
    }
}

fn close(code: CloseCode) -> CloseFrame {
    CloseFrame { code, reason: Utf8Bytes::default() }
}

fn context(role: Role) -> Box<WebSocketContext> {
    let config = WebSocketConfig::default()
        .read_buffer_size(STEP)
        .write_buffer_size(0)
        .max_message_size(Some(MESSAGE_LIMIT))
        .max_frame_size(Some(MESSAGE_LIMIT));
    Box::new(WebSocketContext::new(role, Some(config)))
}

/// One frame to be read, and the place for what is answered.
struct Memory<'a> {
    input: &'a [u8],
    output: &'a mut Vec<u8>,
}

impl Read for Memory<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { self.input.read(buf) }
    }
}

impl Write for Memory<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.output.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_pass_both_ways_and_leave_no_buffer_behind() {
        let (mut client, mut server) = (WebSocket::new(Role::Client), WebSocket::new(Role::Server));
        for message in [&b"{}"[..], "\u{e9}".as_bytes(), &[b'x'; 70_000]] {
            let mut wire = Vec::new();
            client.say(message.to_vec(), &mut wire);
            assert_eq!(all(&mut server, &wire), [Came::Message(message.to_vec())]);
            let mut wire = Vec::new();
            server.say(message.to_vec(), &mut wire);
            assert_eq!(all(&mut client, &wire), [Came::Message(message.to_vec())]);
        }
        for idle in [client, server] {
            assert!(idle.context.is_none());
            assert_eq!(idle.pending.capacity(), 0);
        }
    }

    #[test]
    fn fragments_are_put_together_around_a_ping() {
        let mut client = WebSocket::new(Role::Client);
        let wire = [&[0x01, 2, b'a', b'b', 0x89, 1, b'!', 0x00, 1, b'c'][..], &[0x80, 0]].concat();
        let mut out = Vec::new();
        client.take_in(wire);
        assert_eq!(client.next(&mut out), Ok(Came::Sign));
        assert_eq!((out[0], out[1]), (0x8a, 0x81), "a masked pong of one byte");
        assert_eq!(client.next(&mut out), Ok(Came::Message(b"abc".to_vec())));
        assert!(client.context.is_none());
    }

    #[test]
    fn text_and_binary_are_taken_and_text_is_sent() {
        let mut client = WebSocket::new(Role::Client);
        assert_eq!(all(&mut client, &[0x82, 1, b'x']), [Came::Message(b"x".to_vec())]);
        let mut out = Vec::new();
        WebSocket::new(Role::Server).say(b"x".to_vec(), &mut out);
        assert_eq!(out, [0x81, 1, b'x']);
    }

    #[test]
    fn a_goodbye_is_answered() {
        let mut client = WebSocket::new(Role::Client);
        let mut server = WebSocket::new(Role::Server);
        let (mut there, mut back) = (Vec::new(), Vec::new());
        client.goodbye(1000, &mut there);
        server.take_in(there);
        assert_eq!(server.next(&mut back), Ok(Came::Goodbye));
        assert_eq!(back, [0x88, 2, 0x03, 0xe8]);
    }

    #[test]
    fn broken_rules_end_it_with_the_code_that_says_so() {
        let fault = |role: Role, wire: &[u8]| {
            let mut socket = WebSocket::new(role);
            socket.take_in(wire.to_vec());
            let mut out = Vec::new();
            let why = socket.next(&mut out).unwrap_err();
            assert_eq!(out[0], 0x88);
            let mask = if role == Role::Client { &out[2..6] } else { &[0; 4] };
            let at = if role == Role::Client { 6 } else { 2 };
            (why, u16::from_be_bytes([out[at] ^ mask[0], out[at + 1] ^ mask[1]]))
        };
        let broken = |role: Role, wire: &[u8]| match fault(role, wire) {
            (Why::WebSocket(_), code) => code,
            (other, _) => panic!("{other:?}"),
        };
        assert_eq!(broken(Role::Server, &[0x81, 1, b'x']), 1002, "unmasked");
        assert_eq!(broken(Role::Client, &[0x81, 0x81, 0, 0, 0, 0, b'x']), 1002, "masked by a server");
        assert_eq!(broken(Role::Client, &[0xc1, 1, b'x']), 1002, "a reserved bit");
        assert_eq!(broken(Role::Client, &[0x83, 0]), 1002, "an unknown opcode");
        assert_eq!(broken(Role::Client, &[0x80, 0]), 1002, "the end of nothing");
        assert_eq!(broken(Role::Client, &[0x81, 1, 0xff]), 1007, "no UTF-8");
        let mut long = vec![0x82, 127];
        long.extend_from_slice(&u64::try_from(MESSAGE_LIMIT + 1).unwrap().to_be_bytes());
        assert_eq!(fault(Role::Client, &long), (Why::TooLong, 1009));
        long.splice(2.., u64::MAX.to_be_bytes());
        assert_eq!(fault(Role::Client, &long), (Why::TooLong, 1009));
    }

    #[test]
    fn the_longest_message_is_taken_whole_or_in_pieces_and_one_byte_more_is_not() {
        let frame = |first: u8, length: usize| {
            let mut wire = vec![first, 127];
            wire.extend_from_slice(&u64::try_from(length).unwrap().to_be_bytes());
            wire.resize(wire.len() + length, b'x');
            wire
        };
        let mut client = WebSocket::new(Role::Client);
        assert_eq!(all(&mut client, &frame(0x82, MESSAGE_LIMIT)), [Came::Message(vec![b'x'; MESSAGE_LIMIT])]);
        let pieces = [frame(0x02, MESSAGE_LIMIT), frame(0x80, 1)].concat();
        client.take_in(pieces);
        assert_eq!(client.next(&mut Vec::new()), Err(Why::TooLong));
    }

    #[test]
    fn frames_may_come_a_byte_at_a_time() {
        let mut client = WebSocket::new(Role::Client);
        let mut wire = Vec::new();
        for text in ["one", "two"] {
            WebSocket::new(Role::Server).say(text.as_bytes().to_vec(), &mut wire);
        }
        let came: Vec<_> = wire.iter().flat_map(|byte| all(&mut client, &[*byte])).collect();
        assert_eq!(came, [Came::Message(b"one".to_vec()), Came::Message(b"two".to_vec())]);
    }

    /// All that comes of these bytes.
    fn all(socket: &mut WebSocket, wire: &[u8]) -> Vec<Came> {
        socket.take_in(wire.to_vec());
        let next = || socket.next(&mut Vec::new()).unwrap();
        std::iter::repeat_with(next).take_while(|came| *came != Came::Nothing).collect()
    }
}
