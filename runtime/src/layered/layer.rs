//! One layered connection: bytes below, whole messages above.

use std::collections::VecDeque;
use std::mem;
use std::net::SocketAddr;

use tungstenite::protocol::Role;
use wormhole_core::driver::{Conn, Instant, Why};

use super::frames::{Frames, Taken};
use super::http::{Asked, Asking, Serves, asked};
use super::serving::Serving;
use super::tls::{Tls, Trust};
use super::url::Url;
use super::websocket::{Came, WebSocket};

/// A connection to a mailbox server, or of one of its clients.
pub(super) struct Layer {
    /// The number above; a caller has none before somebody accepts it.
    pub(super) above: Option<Conn>,
    /// The listener at which a caller came.
    pub(super) at: Option<Conn>,
    /// What a caller is granted.
    serves: Serves,
    pub(super) peer: Option<SocketAddr>,
    pub(super) stage: Stage,
    tls: Option<Box<Tls>>,
    /// A read is under way below.
    pub(super) reading: bool,
    /// A read is wanted above.
    pub(super) wanted: bool,
    /// For each write under way below, whether it was asked for above.
    sents: VecDeque<bool>,
    /// Writes of our own under way: answers to pings, mostly.
    own: usize,
    /// No more bytes will come, for this reason; what had come is still to be told.
    pub(super) gone: Option<Why>,
    /// The connection below has ended.
    pub(super) down: bool,
    /// What is counted of it as held.
    pub(super) held: usize,
    /// Counted among the callers that are no WebSockets yet.
    pub(super) counted: bool,
    /// When we last sent a ping, or the connection began.
    pub(super) pinged: Instant,
    /// Since when a ping has not been answered by any sign of life.
    pub(super) unanswered: Option<Instant>,
}

pub(super) enum Stage {
    /// The connection below is being made.
    Dialling(Box<Url>),
    /// The request is sent; so much of the answer has come.
    Asking(Box<Asking>, Vec<u8>),
    /// A caller; so much of its request has come.
    Asked(Vec<u8>),
    Open(WebSocket),
    /// Open, and what its messages carry is one stream; so much of it has come and was not asked for.
    Bytes(Frames, Vec<u8>),
    /// What was written may still leave.
    Closing(Why),
}

/// What a step of a layer came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Now {
    /// Nothing to tell.
    Same,
    /// The WebSocket stands.
    Open,
    /// A message for the read above.
    Message(Vec<u8>),
    /// It is over; what `out` holds still leaves.
    Over(Why),
}

const NO_ANSWER: &str = "the server closed instead of answering";

/// The most answers of our own under way: whoever sends pings and reads nothing waits.
const OWN_LIMIT: usize = 16;
/// The most bytes that answer the signs of one read before they are written.
const OWN_BYTES: usize = 2 << 10;

impl Layer {
    pub(super) fn new(stage: Stage, now: Instant) -> Self {
        Self {
            above: None,
            at: None,
            serves: Serves::Mailbox,
            peer: None,
            stage,
            tls: None,
            reading: false,
            wanted: false,
            sents: VecDeque::new(),
            own: 0,
            gone: None,
            down: false,
            held: 0,
            counted: false,
            pinged: now,
            unanswered: None,
        }
    }

    /// A caller at this listener, who is to come.
    pub(super) fn caller(at: Conn, serves: Serves, now: Instant) -> Self {
        Self { at: Some(at), serves, ..Self::new(Stage::Asked(Vec::new()), now) }
    }

    /// Whether the WebSocket does not stand yet.
    pub(super) fn is_opening(&self) -> bool {
        matches!(self.stage, Stage::Dialling(_) | Stage::Asking(..) | Stage::Asked(_))
    }

    /// The connection below stands: speak first, as a client does.
    pub(super) fn dialled(
        &mut self,
        trust: impl FnOnce() -> Result<Trust, Why>,
        out: &mut Vec<u8>,
    ) -> Result<(), Why> {
        let Stage::Dialling(url) = &self.stage else { return Ok(()) };
        let asking = Asking::new(url);
        if url.secure {
            let mut tls = Tls::new(&trust()?, &url.address.host, out)?;
            tls.seal(&asking.request, out);
            self.tls = Some(Box::new(tls));
        } else {
            out.extend_from_slice(&asking.request);
        }
        self.stage = Stage::Asking(Box::new(asking), Vec::new());
        Ok(())
    }

    /// Takes in what a read below has brought.
    pub(super) fn take_in(&mut self, bytes: Vec<u8>, serving: &Serving, out: &mut Vec<u8>) -> Now {
        self.reading = false;
        self.unanswered = None;
        let bytes = match &mut self.tls {
            None => bytes,
            Some(tls) => {
                let mut plain = Vec::new();
                match tls.take_in(&bytes, &mut plain, out) {
                    Ok(false) => {}
                    Ok(true) => self.gone = Some(Why::Ended),
                    Err(why) => return Now::Over(why),
                }
                plain
            }
        };
        match &mut self.stage {
            Stage::Asking(asking, head) => {
                head.extend_from_slice(&bytes);
                match asking.answered(head) {
                    Ok(Some(length)) => self.open(Role::Client, length, out),
                    Ok(None) => self.ended_early(),
                    Err(why) => Now::Over(why),
                }
            }
            Stage::Asked(head) => {
                head.extend_from_slice(&bytes);
                match asked(head, self.serves, serving) {
                    Asked::More => Now::Same,
                    Asked::Upgrade { length, answer } => {
                        self.seal(answer, out);
                        self.open(Role::Server, length, out)
                    }
                    Asked::Other { answer } => {
                        self.seal(answer, out);
                        Now::Over(Why::Ended)
                    }
                }
            }
            Stage::Open(_) | Stage::Bytes(..) => {
                if !bytes.is_empty() {
                    self.frames(bytes, out);
                }
                Now::Same
            }
            Stage::Dialling(_) | Stage::Closing(_) => Now::Same,
        }
    }

    /// The next message, if one is wanted and there. What must be answered on the way goes to `out`.
    pub(super) fn next(&mut self, out: &mut Vec<u8>) -> Now {
        let socket = match &mut self.stage {
            Stage::Open(socket) => socket,
            Stage::Bytes(frames, pending) if self.wanted && frames.greeted && !pending.is_empty() => {
                self.wanted = false;
                return Now::Message(mem::take(pending));
            }
            Stage::Bytes(..) if self.wanted => return self.gone.clone().map_or(Now::Same, Now::Over),
            Stage::Bytes(..)
            | Stage::Dialling(_)
            | Stage::Asking(..)
            | Stage::Asked(_)
            | Stage::Closing(_) => return Now::Same,
        };
        let mut plain = Vec::new();
        let now = loop {
            if !self.wanted || self.own >= OWN_LIMIT || plain.len() >= OWN_BYTES {
                break Now::Same;
            }
            match socket.next(&mut plain) {
                Ok(Came::Sign) => {}
                Ok(Came::Message(message)) => {
                    self.wanted = false;
                    break Now::Message(message);
                }
                Ok(Came::Goodbye) => break Now::Over(Why::Ended),
                Ok(Came::Nothing) => break self.gone.clone().map_or(Now::Same, Now::Over),
                Err(why) => break Now::Over(why),
            }
        };
        self.seal(plain, out);
        now
    }

    /// Whether a read should begin below.
    pub(super) fn wants_bytes(&self) -> bool {
        let wanted = match self.stage {
            Stage::Asking(..) | Stage::Asked(_) => true,
            Stage::Open(_) | Stage::Bytes(..) => self.wanted && self.own < OWN_LIMIT,
            Stage::Dialling(_) | Stage::Closing(_) => false,
        };
        wanted && !self.reading && self.gone.is_none()
    }

    /// The bytes of a message from above.
    pub(super) fn say(&mut self, message: Vec<u8>, out: &mut Vec<u8>) {
        let mut plain = Vec::new();
        match &mut self.stage {
            Stage::Open(socket) => socket.say(message, &mut plain),
            Stage::Bytes(frames, _) => frames.say(&message, &mut plain),
            Stage::Dialling(_) | Stage::Asking(..) | Stage::Asked(_) | Stage::Closing(_) => {}
        }
        self.seal(plain, out);
    }

    pub(super) fn ping(&mut self, now: Instant, out: &mut Vec<u8>) {
        self.pinged = now;
        self.unanswered.get_or_insert(now);
        self.speak(out, WebSocket::ping, |frames, plain| frames.ping(plain));
    }

    pub(super) fn goodbye(&mut self, code: u16, out: &mut Vec<u8>) {
        self.speak(
            out,
            |socket, plain| socket.goodbye(code, plain),
            |frames, plain| frames.goodbye(code, plain),
        );
    }

    /// Says goodbye to one whose message is too much.
    pub(super) fn refuse(&mut self, out: &mut Vec<u8>) {
        self.speak(out, WebSocket::refuse, |frames, plain| frames.goodbye(1009, plain));
    }

    /// The bytes of messages that have come and were not told.
    pub(super) fn holds(&self) -> usize {
        match &self.stage {
            Stage::Open(socket) => socket.held(),
            Stage::Bytes(_, pending) => pending.len(),
            Stage::Dialling(_) | Stage::Asking(..) | Stage::Asked(_) | Stage::Closing(_) => 0,
        }
    }

    /// The connection below has ended. Answers why the one above has, unless there is still something to tell.
    pub(super) fn ended(&mut self, why: Why) -> Option<Why> {
        self.down = true;
        match &self.stage {
            Stage::Closing(ours) => Some(ours.clone()),
            Stage::Asking(..) if why == Why::Ended => Some(Why::WebSocket(NO_ANSWER.into())),
            Stage::Open(socket) if socket.has_pending() && !self.wanted => {
                self.gone = Some(why);
                None
            }
            Stage::Bytes(_, pending) if !pending.is_empty() && !self.wanted => {
                self.gone.get_or_insert(why);
                None
            }
            Stage::Open(_) | Stage::Bytes(..) | Stage::Dialling(_) | Stage::Asking(..) | Stage::Asked(_) => {
                Some(why)
            }
        }
    }

    /// Nothing is said any more.
    pub(super) fn over(&mut self, why: Why, out: &mut Vec<u8>) {
        self.stage = Stage::Closing(why);
        if let Some(mut tls) = self.tls.take() {
            tls.end(out);
        }
    }

    /// A write has begun below, for somebody above or of our own.
    pub(super) fn writing(&mut self, for_above: bool) {
        self.sents.push_back(for_above);
        self.own += usize::from(!for_above);
    }

    /// A write below was taken; says whether that is to be told above.
    pub(super) fn sent(&mut self) -> bool {
        let for_above = self.sents.pop_front().unwrap_or(false);
        self.own = self.own.saturating_sub(usize::from(!for_above));
        if self.sents.is_empty() {
            self.sents = VecDeque::new();
        }
        if !self.reading {
            // It takes what it is sent, and we do not look for more.
            self.unanswered = None;
        }
        for_above
    }

    /// Whether any sign of life would be seen: an answer that is read, or a write that is taken.
    pub(super) fn is_watched(&self) -> bool {
        self.reading || !self.sents.is_empty()
    }

    /// No write is taken any more; answers how many of them were asked for above.
    pub(super) fn drop_writes(&mut self) -> usize {
        mem::take(&mut self.sents).into_iter().filter(|for_above| *for_above).count()
    }

    /// What is pinged, how often, and how long it may stay silent, depends on who we are.
    pub(super) fn role(&self) -> Option<Role> {
        match &self.stage {
            Stage::Open(socket) => Some(socket.role()),
            Stage::Bytes(..) => Some(Role::Server),
            Stage::Dialling(_) | Stage::Asking(..) | Stage::Asked(_) | Stage::Closing(_) => None,
        }
    }

    fn speak(
        &mut self,
        out: &mut Vec<u8>,
        in_messages: impl FnOnce(&mut WebSocket, &mut Vec<u8>),
        in_bytes: impl FnOnce(&mut Frames, &mut Vec<u8>),
    ) {
        let mut plain = Vec::new();
        match &mut self.stage {
            Stage::Open(socket) => in_messages(socket, &mut plain),
            Stage::Bytes(frames, _) => in_bytes(frames, &mut plain),
            Stage::Dialling(_) | Stage::Asking(..) | Stage::Asked(_) | Stage::Closing(_) => {}
        }
        self.seal(plain, out);
    }

    fn seal(&mut self, plain: Vec<u8>, out: &mut Vec<u8>) {
        match &mut self.tls {
            Some(tls) if !plain.is_empty() => tls.seal(&plain, out),
            Some(_) => {}
            None if out.is_empty() => *out = plain,
            None => out.extend_from_slice(&plain),
        }
    }

    /// The WebSocket stands; what came beyond the handshake are its first frames.
    fn open(&mut self, role: Role, length: usize, out: &mut Vec<u8>) -> Now {
        let rest = match &mut self.stage {
            Stage::Asking(_, head) | Stage::Asked(head) => mem::take(head).split_off(length),
            Stage::Dialling(_) | Stage::Open(_) | Stage::Bytes(..) | Stage::Closing(_) => Vec::new(),
        };
        self.stage = match self.serves {
            Serves::Mailbox => Stage::Open(WebSocket::new(role)),
            Serves::Relay => Stage::Bytes(Frames::default(), Vec::new()),
        };
        if !rest.is_empty() {
            self.frames(rest, out);
        }
        Now::Open
    }

    /// Takes in bytes of frames.
    fn frames(&mut self, bytes: Vec<u8>, out: &mut Vec<u8>) {
        match &mut self.stage {
            Stage::Open(socket) => socket.take_in(bytes),
            Stage::Bytes(frames, pending) => {
                let mut plain = Vec::new();
                let end = frames.take_in(&bytes, &mut Taken { bytes: pending, out: &mut plain });
                self.gone = end.err().or_else(|| self.gone.take());
                self.seal(plain, out);
            }
            Stage::Dialling(_) | Stage::Asking(..) | Stage::Asked(_) | Stage::Closing(_) => {}
        }
    }

    fn ended_early(&self) -> Now {
        match self.gone {
            Some(_) => Now::Over(Why::WebSocket(NO_ANSWER.into())),
            None => Now::Same,
        }
    }
}
