//! One connection: two ends, what is on its way between them, and what goes wrong with it.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use wormhole_core::driver::{Conn, Input, Instant, Why};

use super::dial::address_of;
use super::sniff::{field, is_message};
use super::{Event, HostId, Life, Slot, State};
use crate::fault::{Kind, OnLink};

/// What the two systems hold of one direction.
const WINDOW: usize = 64 << 10;
/// What a machine may want to write beyond that. None of them says as much in a world.
const OUT_LIMIT: usize = 1 << 20;
/// How long what was written may take to leave after a close.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);
/// How long a closed end still takes what comes.
const LINGER_LIMIT: Duration = Duration::from_secs(1);

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

/// What happens to an end.
impl State {
    pub(super) fn hold(&mut self, at: EndId, conn: Conn) {
        self.with(at, |end| end.holder = Holder::Conn(conn));
    }

    pub(super) fn arrived(&mut self, at: EndId, bytes: Vec<u8>, late: bool) {
        let Some(link) = self.links.get_mut(at.link) else { return };
        let kind = link.kind;
        let host = link.host(at.side);
        let len = bytes.len();
        // What a server says after its answer to the last command is nothing of its protocol.
        let is_stray = late && link.end(at.side).over.is_some();
        let life = self.hosts.get(host).map_or(Life::Dead, |host| host.life);
        if is_stray || life == Life::Vanished {
            return self.make_room(at.other(), len);
        }
        if let Some(gone) = self.with(at, |end| end.gone).flatten() {
            self.make_room(at.other(), len);
            if self.now > gone.plus(LINGER_LIMIT) {
                self.after(Duration::from_millis(50), Event::Broken(at.other(), Why::Reset));
            }
            return;
        }
        if kind == Kind::Mailbox
            && at.side == 0
            && let Ok(frame) = std::str::from_utf8(&bytes)
            && let Some(host) = self.hosts.get_mut(host)
        {
            host.sniffed.heard(frame);
        }
        self.note(|state| format!("{} < {}", state.name(host), shown(kind, &bytes)));
        self.with(at, |end| end.arrived.push_back(bytes));
        self.serve(at);
    }

    pub(super) fn ended(&mut self, at: EndId, why: Why) {
        self.with(at, |end| {
            end.over.get_or_insert(why);
        });
        self.serve(at);
    }

    pub(super) fn broke(&mut self, at: EndId, why: Why) {
        self.with(at, |end| {
            end.over = Some(why);
            end.out.clear();
        });
        self.serve(at);
    }

    pub(super) fn left(&mut self, at: EndId) {
        self.with(at, |end| end.out.clear());
        self.pump(at);
    }

    /// All ends at a host break for the others, as they do when a program ends or nothing answers any more.
    pub(crate) fn break_off(&mut self, host: HostId, after: impl Fn(Kind) -> Option<Duration>, why: &Why) {
        for link in 0..self.links.len() {
            for side in [0, 1] {
                let at = EndId { link, side };
                let Some(link) = self.links.get_mut(link) else { continue };
                let kind = link.kind;
                if link.host(side) != host || link.end(side).gone.is_some() {
                    continue;
                }
                if let Some(delay) = after(kind) {
                    let moment = self.arrival(at, delay);
                    self.at(moment, Event::Broken(at.other(), why.clone()));
                }
            }
        }
    }

    /// Everything at this host is gone, without a word to anybody.
    pub(crate) fn forget(&mut self, host: HostId) {
        for link in &mut self.links {
            for end in &mut link.ends {
                if end.host == host && end.gone.is_none() {
                    end.gone = Some(Instant::START);
                    end.holder = Holder::Leaving(None);
                    end.out.clear();
                    end.arrived.clear();
                }
            }
        }
        if let Some(host) = self.hosts.get_mut(host) {
            host.slots.clear();
            host.inbox.clear();
        }
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

    /// Gives what was read for the loop, and not told yet, back to the end.
    fn take_back(&mut self, host: HostId, conn: Conn, at: EndId) {
        let Some(host) = self.hosts.get_mut(host) else { return };
        let mut back = Vec::new();
        host.inbox.retain_mut(|input| match input {
            Input::Received { conn: of, bytes } if *of == conn => {
                back.push(std::mem::take(bytes));
                false
            }
            Input::Sent { conn: of } => *of != conn,
            Input::Opened { .. }
            | Input::Listening { .. }
            | Input::Received { .. }
            | Input::Closed { .. }
            | Input::Stored(_)
            | Input::Tick => true,
        });
        let count = back.iter().map(Vec::len).sum::<usize>();
        self.with(at.other(), |end| end.on_the_way = end.on_the_way.saturating_add(count));
        self.with(at, |end| back.into_iter().rev().for_each(|bytes| end.arrived.push_front(bytes)));
    }

    /// Adds a write, and lets leave what can.
    fn push(&mut self, at: EndId, bytes: Vec<u8>, is_asked: bool) {
        let waiting = self.with(at, |end| {
            end.out.push_back(Write { bytes, left: 0, is_asked });
            end.out.iter().map(|write| write.bytes.len().saturating_sub(write.left)).sum::<usize>()
        });
        if waiting.is_some_and(|waiting| waiting > OUT_LIMIT) {
            self.fail(format!("more than {OUT_LIMIT} bytes wait to be written"));
        }
        self.pump(at);
    }

    /// Lets leave what the window has room for.
    fn pump(&mut self, at: EndId) {
        loop {
            let Some(link) = self.links.get_mut(at.link) else { return };
            let (kind, host) = (link.kind, link.host(at.side));
            let end = link.end(at.side);
            let room = WINDOW.saturating_sub(end.on_the_way);
            let Some(write) = end.out.front_mut() else { break };
            let rest = write.bytes.len().saturating_sub(write.left);
            if room == 0 && rest > 0 {
                return;
            }
            let count = if kind == Kind::Mailbox { rest } else { rest.min(room) };
            let bytes =
                write.bytes.get(write.left..).unwrap_or_default().get(..count).unwrap_or_default().to_vec();
            write.left = write.left.saturating_add(count);
            if count == rest {
                let is_asked = end.out.pop_front().is_some_and(|write| write.is_asked);
                if let (true, Holder::Conn(conn)) = (is_asked, &end.holder) {
                    let conn = *conn;
                    self.tell(host, Input::Sent { conn });
                }
            }
            if count > 0 {
                self.transmit(at, bytes);
            }
        }
        let leaving = self.with(at, |end| match &mut end.holder {
            Holder::Leaving(conn) => Some(conn.take()),
            Holder::Nobody | Holder::Conn(_) | Holder::Stream(_) | Holder::Joined { .. } => None,
        });
        if let Some(Some(told)) = leaving {
            self.shut(at);
            let now = self.now;
            self.with(at, |end| end.gone.get_or_insert(now).since_start());
            if let Some((conn, host)) = told.zip(self.links.get(at.link).map(|link| link.host(at.side))) {
                self.tell(host, Input::Closed { conn, why: Why::Asked });
            }
        }
    }

    /// These bytes leave, with whatever happens to them on the way.
    fn transmit(&mut self, at: EndId, mut bytes: Vec<u8>) {
        let Some(link) = self.links.get_mut(at.link) else { return };
        let (kind, host, faults) = (link.kind, link.host(at.side), link.faults.clone());
        let end = link.end(at.side);
        let before = end.sent;
        end.sent = before.saturating_add(bytes.len() as u64);
        let passes = |after: u64| before <= after && after < before.saturating_add(bytes.len() as u64);
        let struck: Vec<_> =
            faults.into_iter().filter(|fault| fault.side() == at.side && passes(fault.after())).collect();
        if kind == Kind::Mailbox
            && at.side == 0
            && let Ok(frame) = std::str::from_utf8(&bytes)
            && let Some(sender) = self.hosts.get_mut(host)
            && let Some(wrong) = sender.sniffed.said(frame)
        {
            self.fail(format!("{}: {wrong}", self.name(host)));
        }
        self.note(|state| format!("{} > {}", state.name(host), shown(kind, &bytes)));
        let mut stalled = Duration::ZERO;
        let mut cut = None;
        for fault in struck {
            self.strikes(|| format!("{fault:?} on a link of the {kind:?}"));
            match fault {
                OnLink::Stall { lasts, .. } => stalled = stalled.saturating_add(lasts),
                OnLink::Cut { after, seen, .. } => {
                    let kept = usize::try_from(after.saturating_sub(before)).unwrap_or(usize::MAX);
                    bytes.truncate(if kind == Kind::Mailbox { 0 } else { kept });
                    cut = Some(seen);
                }
                OnLink::HalfClose { .. } => {
                    let moment = self.arrival(at, Duration::ZERO);
                    self.at(moment, Event::Ended(at.other()));
                    self.with(at, |end| end.is_muted = true);
                    bytes.clear();
                }
            }
        }
        self.deliver(at, kind, bytes, stalled);
        if let Some(seen) = cut {
            self.cut(at, seen);
        }
    }

    fn deliver(&mut self, at: EndId, kind: Kind, bytes: Vec<u8>, stalled: Duration) {
        if bytes.is_empty() || self.with(at, |end| end.is_muted) == Some(true) {
            return;
        }
        if !stalled.is_zero() {
            self.struck = Some(self.now.plus(stalled));
        }
        let to = at.other();
        let odd = kind == Kind::Mailbox
            && at.side == 1
            && self.faults.iter().any(crate::fault::Fault::is_odd_server);
        let odd = odd && std::str::from_utf8(&bytes).is_ok_and(is_message);
        if odd {
            self.struck = Some(self.now);
        }
        let moment = self.arrival(at, stalled);
        let mut on_the_way = bytes.len();
        if odd && self.chance.one_in(4) {
            on_the_way = on_the_way.saturating_mul(2);
            let later = moment.plus(self.chance.millis(2000));
            self.at(later, Event::Arrived { at: to, bytes: bytes.clone(), late: true });
        }
        let late = if odd && self.chance.one_in(4) { self.chance.millis(1000) } else { Duration::ZERO };
        self.with(at, |end| end.on_the_way = end.on_the_way.saturating_add(on_the_way));
        if kind != Kind::Mailbox && bytes.len() > 1 && self.chance.one_in(4) {
            // Cut in two, which come apart.
            let middle = usize::try_from(self.chance.below(bytes.len() as u64)).unwrap_or(0);
            let (first, second) = bytes.split_at(middle.max(1));
            self.at(moment, Event::Arrived { at: to, bytes: first.to_vec(), late: false });
            let stalled = self.chance.millis(20);
            let moment = self.arrival(at, stalled);
            self.at(moment, Event::Arrived { at: to, bytes: second.to_vec(), late: false });
        } else {
            self.at(moment.plus(late), Event::Arrived { at: to, bytes, late: !late.is_zero() });
        }
    }

    /// When something arrives that leaves now: never before what left earlier.
    fn arrival(&mut self, at: EndId, more: Duration) -> Instant {
        let now = self.now;
        let arrival = self.with(at, |end| {
            end.last_arrival = end.last_arrival.max(now.plus(end.delay).plus(more));
            end.last_arrival
        });
        arrival.unwrap_or(now)
    }

    fn cut(&mut self, at: EndId, seen: [Duration; 2]) {
        let moment = self.arrival(at, Duration::ZERO);
        for (side, after) in seen.into_iter().enumerate() {
            self.at(moment.plus(after), Event::Broken(EndId { link: at.link, side }, Why::Reset));
        }
        let both = [EndId { link: at.link, side: 0 }, EndId { link: at.link, side: 1 }];
        for end in both {
            self.with(end, |end| (end.is_shut, end.is_muted) = (true, true));
        }
        let last = seen.into_iter().max().unwrap_or_default();
        self.struck = Some(moment.plus(last));
    }

    /// What was read makes room for more.
    fn make_room(&mut self, at: EndId, count: usize) {
        let next = self.with(at, |end| {
            end.on_the_way = end.on_the_way.saturating_sub(count);
            match &mut end.holder {
                Holder::Stream(waker) => (waker.take(), None),
                Holder::Joined { to, .. } => (None, Some(*to)),
                Holder::Nobody | Holder::Conn(_) | Holder::Leaving(_) => (None, None),
            }
        });
        self.pump(at);
        if let Some((waker, partner)) = next {
            waker.into_iter().for_each(Waker::wake);
            if let Some(partner) = partner {
                self.serve(partner);
            }
        }
    }

    /// Gives what has come to whoever waits for it.
    pub(super) fn serve(&mut self, at: EndId) {
        let Some(link) = self.links.get_mut(at.link) else { return };
        let (kind, host) = (link.kind, link.host(at.side));
        let end = link.end(at.side);
        match &mut end.holder {
            Holder::Nobody | Holder::Leaving(_) => {
                let count = end.arrived.drain(..).map(|bytes| bytes.len()).sum();
                if let Holder::Leaving(_) = end.holder {
                    self.make_room(at.other(), count);
                    self.pump(at);
                }
            }
            Holder::Stream(waker) => waker.take().into_iter().for_each(Waker::wake),
            Holder::Joined { to, .. } => {
                let to = *to;
                self.forward(at, to);
            }
            Holder::Conn(conn) => {
                let conn = *conn;
                let is_broken = end.over.as_ref().is_some_and(|why| *why != Why::Ended);
                if !self.has(host, conn) {
                    return;
                }
                self.serve_conn(at, kind, host, conn, is_broken);
            }
        }
    }

    fn serve_conn(&mut self, at: EndId, kind: Kind, host: HostId, conn: Conn, is_broken: bool) {
        let joined = kind != Kind::Mailbox && self.chance.one_in(2);
        let Some((bytes, over)) = self.with(at, |end| {
            if !end.reading {
                return (None, end.over.clone().filter(|_| is_broken));
            }
            let bytes = if joined {
                Some(end.arrived.drain(..).flatten().collect::<Vec<_>>()).filter(|bytes| !bytes.is_empty())
            } else {
                end.arrived.pop_front()
            };
            end.reading = bytes.is_none();
            (bytes, end.over.clone())
        }) else {
            return;
        };
        if let Some(bytes) = bytes {
            self.make_room(at.other(), bytes.len());
            self.tell(host, Input::Received { conn, bytes });
        } else if let Some(why) = over {
            self.with(at, |end| end.holder = Holder::Leaving(None));
            self.closed(host, conn, why);
            self.depart(at);
        }
    }

    /// What has come at one end of a join leaves at the other.
    fn forward(&mut self, at: EndId, to: EndId) {
        loop {
            if self.with(to, |end| end.on_the_way >= WINDOW || !end.out.is_empty()) != Some(false) {
                break;
            }
            let Some(Some(bytes)) = self.with(at, |end| end.arrived.pop_front()) else { break };
            let len = bytes.len();
            self.with(at, |end| {
                if let Holder::Joined { count, .. } = &mut end.holder {
                    *count = count.saturating_add(len as u64);
                }
            });
            self.push(to, bytes, false);
            self.make_room(at.other(), len);
        }
        if self.with(at, |end| end.over.is_some() && end.arrived.is_empty()) == Some(true) {
            self.part(at);
            self.part(to);
        }
    }

    fn part(&mut self, at: EndId) {
        let Some(link) = self.links.get_mut(at.link) else { return };
        let host = link.host(at.side);
        let end = link.end(at.side);
        if let Holder::Joined { conn, count, .. } = end.holder {
            end.holder = Holder::Leaving(None);
            self.closed(host, conn, Why::Joined { bytes: count });
            self.depart(at);
        }
    }

    /// What was written may still leave.
    fn depart(&mut self, at: EndId) {
        let rest = self.with(at, |end| {
            let rest = end.arrived.drain(..).map(|bytes| bytes.len()).sum();
            if end.over.as_ref().is_some_and(|why| *why != Why::Ended) {
                end.out.clear();
            }
            rest
        });
        self.make_room(at.other(), rest.unwrap_or(0));
        if self.with(at, |end| end.out.is_empty()) == Some(false) {
            self.after(LEAVE_LIMIT, Event::Left(at));
        }
        self.pump(at);
    }
}

/// What a trace shows of what was said.
fn shown(kind: Kind, bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(frame) if kind == Kind::Mailbox => {
            let member = |name| field(frame, name).map(|text| format!(" {text}")).unwrap_or_default();
            format!("{}{}{}{}", member("type"), member("phase"), member("nameplate"), member("error"))
        }
        Ok(_) | Err(_) => format!(" {} bytes ({kind:?})", bytes.len()),
    }
}
