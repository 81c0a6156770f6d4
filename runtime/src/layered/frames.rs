//! The frames of one WebSocket whose binary messages are one stream of bytes each way, as a relay's clients speak.
//!
//! What a frame carries is handed on as it comes: however long a frame says that it is, nothing of it is kept. Only the
//! first message is a line, which may end with it instead of a line end.

use wormhole_core::driver::Why;

/// The most bytes that a control frame carries (RFC 6455 section 5.5).
const CONTROL: usize = 125;
/// The most bytes of a first message that are waited for. A relay takes no line that is longer.
const FIRST: usize = 1025;
/// The first byte of a frame that is a whole message of bytes, a ping, a pong and a goodbye.
const BINARY: u8 = 0x82;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
const CLOSE: u8 = 0x88;
/// What a goodbye says (RFC 6455 section 7.4): all is well, a rule was broken, or text came where bytes should.
const NORMAL: u16 = 1000;
const PROTOCOL: u16 = 1002;
const UNSUPPORTED: u16 = 1003;

/// One WebSocket of a server after its handshake.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The beginning of a frame that is not there as a whole.
    head: Vec<u8>,
    /// The frame that is coming.
    frame: Option<Frame>,
    /// A message has begun and not ended.
    fragmented: bool,
    /// The first message is there as a whole, or too long to be waited for.
    pub(super) greeted: bool,
    /// We have said goodbye.
    parted: bool,
}

/// A frame of which the head has come.
#[derive(Debug)]
struct Frame {
    /// How much is still to come.
    left: u64,
    mask: [u8; 4],
    /// What a control frame carries, and its first byte.
    control: Option<(u8, Vec<u8>)>,
}

/// Where bytes leave the stream of frames.
pub(super) struct Taken<'a> {
    /// What the messages carry.
    pub(super) bytes: &'a mut Vec<u8>,
    /// What is to be answered.
    pub(super) out: &'a mut Vec<u8>,
}

impl Frames {
    /// Takes bytes in. An error is the end, also one in order; the answer to it is written.
    pub(super) fn take_in(&mut self, mut came: &[u8], taken: &mut Taken<'_>) -> Result<(), Why> {
        while !self.parted {
            match &mut self.frame {
                None => {
                    let Some((first, rest)) = came.split_first() else { break };
                    came = rest;
                    self.head.push(*first);
                    if let Err(fault) = self.begin() {
                        self.goodbye(fault.code(), taken.out);
                        return Err(fault.why());
                    }
                }
                Some(frame) => {
                    let count = usize::try_from(frame.left).unwrap_or(usize::MAX).min(came.len());
                    if count == 0 && frame.left > 0 {
                        break;
                    }
                    let (piece, rest) = came.split_at(count);
                    came = rest;
                    frame.left = frame.left.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
                    let to = frame.control.as_mut().map_or(&mut *taken.bytes, |(_, carried)| carried);
                    unmask(piece, &mut frame.mask, to);
                    if frame.left == 0 {
                        self.end(taken.out)?;
                    }
                    let is_whole = self.frame.is_none() && !self.fragmented && !taken.bytes.is_empty();
                    self.greeted |= is_whole || taken.bytes.len() >= FIRST;
                }
            }
        }
        Ok(())
    }

    /// Writes a message.
    pub(super) fn say(&self, bytes: &[u8], out: &mut Vec<u8>) {
        self.write(BINARY, bytes, out);
    }

    /// Writes a ping.
    pub(super) fn ping(&self, out: &mut Vec<u8>) {
        self.write(PING, &[], out);
    }

    /// Says goodbye.
    pub(super) fn goodbye(&mut self, code: u16, out: &mut Vec<u8>) {
        self.write(CLOSE, &code.to_be_bytes(), out);
        self.parted = true;
        self.head = Vec::new();
        self.frame = None;
    }

    fn write(&self, first: u8, bytes: &[u8], out: &mut Vec<u8>) {
        // After a goodbye nothing is said any more.
        if self.parted {
            return;
        }
        out.reserve_exact(bytes.len().saturating_add(10));
        out.push(first);
        match (u8::try_from(bytes.len()), u16::try_from(bytes.len())) {
            (Ok(short), _) if short < 126 => out.push(short),
            (_, Ok(middle)) => {
                out.push(126);
                out.extend_from_slice(&middle.to_be_bytes());
            }
            (_, Err(_)) => {
                out.push(127);
                out.extend_from_slice(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
            }
        }
        out.extend_from_slice(bytes);
    }

    /// Begins the frame, if its head is there as a whole.
    fn begin(&mut self) -> Result<(), Fault> {
        let [first, second, ..] = self.head[..] else { return Ok(()) };
        let masked = second & 0x80 != 0;
        if !masked {
            return Err(Fault::Rule("a frame is not masked"));
        }
        let wide = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some(rest) = self.head.get(2..) else { return Ok(()) };
        let Some((length, mask)) = rest.split_at_checked(wide) else { return Ok(()) };
        let Ok(mask) = <[u8; 4]>::try_from(mask) else { return Ok(()) };
        let left = match wide {
            0 => u64::from(second & 0x7f),
            _ => length.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        };
        let control = self.kind(first, left)?.then(|| (first, Vec::new()));
        self.head.clear();
        self.frame = Some(Frame { left, mask, control });
        Ok(())
    }

    /// Whether a frame is a control frame, if it may come now.
    fn kind(&mut self, first: u8, length: u64) -> Result<bool, Fault> {
        let (is_last, reserved, opcode) = (first & 0x80 != 0, first & 0x70, first & 0x0f);
        let is_sound = reserved == 0 && length >> 63 == 0;
        match opcode {
            _ if !is_sound => Err(Fault::Rule("a reserved bit is set")),
            0 if !self.fragmented => Err(Fault::Rule("the rest of a message that has not begun")),
            1 | 2 if self.fragmented => Err(Fault::Rule("a message within another")),
            1 => Err(Fault::Text),
            0 | 2 => {
                self.fragmented = !is_last;
                Ok(false)
            }
            8..=10 if is_last && usize::try_from(length).is_ok_and(|length| length <= CONTROL) => Ok(true),
            8..=10 => Err(Fault::Rule("a control frame is too long or in pieces")),
            _ => Err(Fault::Rule("an unknown kind of frame")),
        }
    }

    /// The frame has come as a whole.
    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Why> {
        let Some((first, carried)) = self.frame.take().and_then(|frame| frame.control) else {
            return Ok(());
        };
        match first {
            PING => self.write(PONG, &carried, out),
            CLOSE => {
                self.goodbye(NORMAL, out);
                return Err(Why::Ended);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Why a WebSocket is ended by us.
enum Fault {
    Rule(&'static str),
    Text,
}

impl Fault {
    const fn code(&self) -> u16 {
        match self {
            Self::Rule(_) => PROTOCOL,
            Self::Text => UNSUPPORTED,
        }
    }

    fn why(&self) -> Why {
        Why::WebSocket(match self {
            Self::Rule(text) => (*text).into(),
            Self::Text => "text came where only bytes are taken".into(),
        })
    }
}

/// Appends `piece` without its mask, and turns the mask so that it fits what follows.
fn unmask(piece: &[u8], mask: &mut [u8; 4], to: &mut Vec<u8>) {
    let start = to.len();
    to.extend_from_slice(piece);
    let wide = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
    let mut words = to.get_mut(start..).unwrap_or_default().chunks_exact_mut(8);
    for word in &mut words {
        if let Ok(word) = <&mut [u8; 8]>::try_from(word) {
            *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
        }
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
    mask.rotate_left(piece.len() % 4);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_one_stream_however_they_are_cut() {
        let content: Vec<u8> = (0..70_000_u32).map(|at| (at / 3) as u8).collect();
        let mut wire = [masked(0x02, &content[..10]), masked(0x80, &content[10..200])].concat();
        wire.extend(
            [masked(0x82, &[]), masked(0x82, &content[200..66_000]), masked(0x82, &content[66_000..])]
                .concat(),
        );
        for step in [1, 7, 4096, wire.len()] {
            let mut frames = Frames::default();
            let (mut bytes, mut out) = (Vec::new(), Vec::new());
            for piece in wire.chunks(step) {
                frames.take_in(piece, &mut Taken { bytes: &mut bytes, out: &mut out }).unwrap();
            }
            assert!(bytes == content, "in pieces of {step}");
            assert!(out.is_empty());
        }
    }

    #[test]
    fn the_first_message_is_waited_for_unless_it_is_too_long() {
        let greeted = |wire: &[u8]| {
            let mut frames = Frames::default();
            assert!(all(&mut frames, wire).0.is_ok());
            frames.greeted
        };
        let whole =
            [masked(0x82, b""), masked(0x02, b"a li"), masked(0x89, b"hi"), masked(0x80, b"ne")].concat();
        assert!(greeted(&whole));
        for end in 0..whole.len() {
            assert!(!greeted(&whole[..end]), "after {end} bytes");
        }
        assert!(greeted(&masked(0x82, &[b'x'; 2 * FIRST])[..FIRST + 8]));
    }

    #[test]
    fn a_frame_that_says_it_is_huge_is_handed_on_as_it_comes() {
        let mut frames = Frames::default();
        let head = [&[0x82, 0xff][..], &(4_u64 << 30).to_be_bytes(), &[0; 4]].concat();
        assert_eq!(all(&mut frames, &head), (Ok(()), Vec::new(), Vec::new()));
        for _ in 0..3 {
            assert_eq!(all(&mut frames, b"some of it").1, b"some of it");
        }
        assert_eq!(frames.head.len(), 0);
    }

    #[test]
    fn pings_are_answered_within_a_message_and_a_goodbye_in_order() {
        let mut frames = Frames::default();
        let wire =
            [masked(0x02, b"ab"), masked(0x89, b"hi"), masked(0x8a, b"old"), masked(0x80, b"c")].concat();
        let (end, bytes, out) = all(&mut frames, &wire);
        assert_eq!((end, bytes, out), (Ok(()), b"abc".to_vec(), b"\x8a\x02hi".to_vec()));
        let (end, bytes, out) =
            all(&mut frames, &[masked(0x88, &[0x0b, 0xb8, b'x']), masked(0x82, b"no")].concat());
        assert_eq!((end, bytes, out), (Err(Why::Ended), Vec::new(), vec![0x88, 2, 0x03, 0xe8]));
        let mut out = Vec::new();
        frames.say(b"nothing after it", &mut out);
        assert!(out.is_empty());
    }

    #[test]
    fn broken_rules_end_it_with_the_code_that_says_so() {
        let code = |wire: &[u8]| {
            let (end, _, out) = all(&mut Frames::default(), wire);
            assert!(matches!(end, Err(Why::WebSocket(_))), "{end:?}");
            assert_eq!(out[..2], [0x88, 2]);
            u16::from_be_bytes([out[2], out[3]])
        };
        assert_eq!(code(&masked(0x81, b"text")), 1003);
        assert_eq!(code(&[0x82, 1, b'x']), 1002, "unmasked");
        assert_eq!(code(&masked(0xc2, b"x")), 1002, "a reserved bit");
        assert_eq!(code(&masked(0x83, b"x")), 1002, "an unknown opcode");
        assert_eq!(code(&masked(0x80, b"x")), 1002, "the end of nothing");
        assert_eq!(
            code(&[masked(0x02, b"x"), masked(0x82, b"x")].concat()),
            1002,
            "a message within another"
        );
        assert_eq!(code(&masked(0x09, b"x")), 1002, "a ping in pieces");
        assert_eq!(code(&masked(0x89, &[0; 126])), 1002, "a long ping");
        assert_eq!(code(&[&[0x82, 0xff][..], &[0xff; 12]].concat()), 1002, "a length with its highest bit");
    }

    #[test]
    fn what_we_say_has_the_shortest_head() {
        let head = |length: usize| {
            let mut out = Vec::new();
            Frames::default().say(&vec![0; length], &mut out);
            out[..out.len() - length].to_vec()
        };
        assert_eq!(head(125), [0x82, 125]);
        assert_eq!(head(126), [0x82, 126, 0, 126]);
        assert_eq!(head(200), [0x82, 126, 0, 200]);
        assert_eq!(head(65_535), [0x82, 126, 0xff, 0xff]);
        assert_eq!(head(65_536), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    /// A masked frame, as a client writes it.
    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        Frames::default().write(first, payload, &mut wire);
        wire[1] |= 0x80;
        let at = wire.len() - payload.len();
        for (byte, key) in wire[at..].iter_mut().zip([1, 2, 3, 4].iter().cycle()) {
            *byte ^= key;
        }
        wire.splice(at..at, [1, 2, 3, 4]);
        wire
    }

    fn all(frames: &mut Frames, wire: &[u8]) -> (Result<(), Why>, Vec<u8>, Vec<u8>) {
        let (mut bytes, mut out) = (Vec::new(), Vec::new());
        let end = frames.take_in(wire, &mut Taken { bytes: &mut bytes, out: &mut out });
        (end, bytes, out)
    }
}
