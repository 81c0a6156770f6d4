//! One connection: two ends, what is on its way between them, and what goes wrong with it.

mod flow;
mod way;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use wormhole_core::driver::{Conn, Input, Instant, Why};

use super::dial::address_of;
use super::{Event, HostId, Slot, State};
use crate::fault::{Kind, OnLink};

/// What the two systems hold of one direction.
const WINDOW: usize = 64 << 10;

/// One end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndId {
    pub(crate) link: usize,
    /// 0 is the one who dialled.
    pub(crate) side: usize,
}

impl EndId {
    pub(crate) const fn other(self) -> Self {
        Self { link: self.link, side: 1 - self.side }
    }
}

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) kind: Kind,
    ends: [End; 2],
    faults: Vec<OnLink>,
}

#[derive(Debug)]
struct End {
    host: HostId,
    holder: Holder,
    /// What has come and was not read.
    arrived: VecDeque<Vec<u8>>,
    /// Why nothing more will come.
    over: Option<Why>,
    reading: bool,
    /// What was to be written and did not leave yet.
    out: VecDeque<Write>,
    /// Bytes that have left and were not read.
    on_the_way: usize,
    /// Bytes that have left since the beginning.
    sent: u64,
    delay: Duration,
    last_arrival: Instant,
    /// Nothing more will be written.
    is_shut: bool,
    /// The other end believes that, and hears no more.
    is_muted: bool,
    /// When nobody was left here.
    gone: Option<Instant>,
}

#[derive(Debug)]
struct Write {
    bytes: Vec<u8>,
    left: usize,
    /// Somebody waits to hear that it has left.
    is_asked: bool,
}

/// Who has an end.
#[derive(Debug)]
enum Holder {
    /// A caller who is not let in, or a dial that is not answered.
    Nobody,
    Conn(Conn),
    /// The loop has given it out.
    Stream(Option<Waker>),
    /// What comes goes on to the other end.
    Joined {
        conn: Conn,
        to: EndId,
        count: u64,
    },
    /// It is closed, and the rest is on its way; the loop may be told when that is done.
    Leaving(Option<Conn>),
}

impl Link {
    pub(super) fn new(
        kind: Kind,
        hosts: [HostId; 2],
        delays: [Duration; 2],
        dialler: Conn,
        faults: Vec<OnLink>,
    ) -> Self {
        let [first, second] = hosts;
        let [there, back] = delays;
        let ends = [End::new(first, there, Holder::Conn(dialler)), End::new(second, back, Holder::Nobody)];
        Self { kind, ends, faults }
    }

    fn end(&mut self, side: usize) -> &mut End {
        let [first, second] = &mut self.ends;
        if side == 0 { first } else { second }
    }

    fn host(&self, side: usize) -> HostId {
        let [first, second] = &self.ends;
        if side == 0 { first.host } else { second.host }
    }

    pub(super) fn peer_of(&self, end: EndId) -> SocketAddr {
        address_of(self.host(1 - end.side), 1)
    }
}

impl End {
    const fn new(host: HostId, delay: Duration, holder: Holder) -> Self {
        Self {
            host,
            holder,
            arrived: VecDeque::new(),
            over: None,
            reading: false,
            out: VecDeque::new(),
            on_the_way: 0,
            sent: 0,
            delay,
            last_arrival: Instant::START,
            is_shut: false,
            is_muted: false,
            gone: None,
        }
    }
}

/// What a host asks of a connection.
impl State {
    pub(crate) fn read(&mut self, host: HostId, conn: Conn) {
        if let Some(at) = self.end_of(host, conn) {
            self.with(at, |end| end.reading = true);
            self.serve(at);
        }
    }

    pub(crate) fn write(&mut self, host: HostId, conn: Conn, bytes: Vec<u8>) {
        let Some(at) = self.end_of(host, conn) else { return };
        if self.with(at, |end| end.over.clone().filter(|why| *why != Why::Ended)).flatten().is_some() {
            return self.serve(at);
        }
        self.push(at, bytes, true);
    }

    pub(crate) fn join(&mut self, host: HostId, a: Conn, b: Conn) {
        let (Some(first), Some(second)) = (self.end_of(host, a), self.end_of(host, b)) else { return };
        for (at, conn, to) in [(first, a, second), (second, b, first)] {
            // What was read already goes along.
            self.take_back(host, conn, at);
            self.with(at, |end| end.holder = Holder::Joined { conn, to, count: 0 });
        }
        self.serve(first);
        self.serve(second);
    }

    pub(crate) fn close(&mut self, host: HostId, conn: Conn) {
        let Some(slot) = self.hosts.get_mut(host).and_then(|host| host.slots.remove(&conn)) else { return };
        self.note(|state| format!("{}: {} is closed", state.name(host), conn.0));
        match slot {
            Slot::Dialling => self.tell(host, Input::Closed { conn, why: Why::Asked }),
            Slot::Awaited { at } => {
                if let Some(listening) = self.listening(host, at) {
                    listening.waiting.retain(|waiting| *waiting != conn);
                }
                self.tell(host, Input::Closed { conn, why: Why::Asked });
            }
            Slot::Listening(listening) => {
                for waiting in listening.waiting {
                    self.closed(host, waiting, Why::Asked);
                }
                for caller in listening.callers {
                    self.leave(caller);
                }
                self.tell(host, Input::Closed { conn, why: Why::Asked });
            }
            Slot::Open(at) => {
                self.with(at, |end| end.holder = Holder::Leaving(Some(conn)));
                self.depart(at);
            }
        }
    }

    /// Gives an end out of the loop.
    pub(crate) fn give(&mut self, host: HostId, conn: Conn) -> Option<EndId> {
        let at = self.end_of(host, conn)?;
        self.take_back(host, conn, at);
        self.with(at, |end| end.holder = Holder::Stream(None));
        self.hosts.get_mut(host)?.slots.remove(&conn);
        Some(at)
    }
}

/// What a stream asks of its end.
impl State {
    pub(crate) fn poll_read(
        &mut self,
        at: EndId,
        cx: &Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = self.with(at, |end| {
            let Some(mut bytes) = end.arrived.pop_front() else {
                return match &end.over {
                    Some(Why::Ended) => Poll::Ready(Ok(0)),
                    Some(_) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                    None => {
                        end.holder = Holder::Stream(Some(cx.waker().clone()));
                        Poll::Pending
                    }
                };
            };
            let count = bytes.len().min(buf.len());
            if let (Some(place), Some(read)) = (buf.get_mut(..count), bytes.get(..count)) {
                place.copy_from_slice(read);
            }
            if count < bytes.len() {
                end.arrived.push_front(bytes.split_off(count));
            }
            Poll::Ready(Ok(count))
        });
        if let Some(Poll::Ready(Ok(count))) = read {
            self.make_room(at.other(), count);
        }
        read.unwrap_or_else(|| Poll::Ready(Err(io::ErrorKind::NotConnected.into())))
    }

    pub(crate) fn poll_write(&mut self, at: EndId, cx: &Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let whole = self.chance.below(4) > 0;
        let count = self.with(at, |end| match &end.over {
            Some(why) if *why != Why::Ended => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Some(_) | None => {
                let room = WINDOW.saturating_sub(end.on_the_way);
                if room == 0 || !end.out.is_empty() {
                    end.holder = Holder::Stream(Some(cx.waker().clone()));
                    return Poll::Pending;
                }
                Poll::Ready(Ok(room.min(buf.len())))
            }
        });
        let Some(Poll::Ready(Ok(most))) = count else {
            return count.unwrap_or_else(|| Poll::Ready(Err(io::ErrorKind::NotConnected.into())));
        };
        let count = if whole { most } else { most.div_ceil(2) };
        self.transmit(at, buf.get(..count).unwrap_or_default().to_vec());
        Poll::Ready(Ok(count))
    }

    pub(crate) fn shut(&mut self, at: EndId) {
        if self.with(at, |end| std::mem::replace(&mut end.is_shut, true)) == Some(false) {
            let delay = self.arrival(at, Duration::ZERO);
            self.at(delay, Event::Ended(at.other()));
        }
    }

    /// Nobody has this end any more.
    pub(crate) fn leave(&mut self, at: EndId) {
        self.with(at, |end| end.holder = Holder::Leaving(None));
        self.depart(at);
    }
}

impl State {
    fn with<T>(&mut self, at: EndId, what: impl FnOnce(&mut End) -> T) -> Option<T> {
        self.links.get_mut(at.link).map(|link| what(link.end(at.side)))
    }

    fn end_of(&self, host: HostId, conn: Conn) -> Option<EndId> {
        match self.hosts.get(host)?.slots.get(&conn)? {
            Slot::Open(end) => Some(*end),
            Slot::Dialling | Slot::Listening(_) | Slot::Awaited { .. } => None,
        }
    }
}
