//! What moves: out of the buffers of one end, and into the hands of whoever waits at the other.

use std::task::Waker;
use std::time::Duration;

use wormhole_core::driver::{Conn, Input, Instant, Why};

use super::way::shown;
use super::{EndId, Holder, WINDOW, Write};
use crate::fault::Kind;
use crate::net::{Event, HostId, Life, State};

/// What a machine may want to write beyond what the systems hold. None of them says as much in a world.
const OUT_LIMIT: usize = 1 << 20;
/// How long what was written may take to leave after a close.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);
/// How long a closed end still takes what comes.
const LINGER_LIMIT: Duration = Duration::from_secs(1);

/// What happens to an end.
impl State {
    pub(crate) fn hold(&mut self, at: EndId, conn: Conn) {
        self.with(at, |end| end.holder = Holder::Conn(conn));
    }

    pub(crate) fn arrived(&mut self, at: EndId, bytes: Vec<u8>, late: bool) {
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

    pub(crate) fn ended(&mut self, at: EndId, why: Why) {
        self.with(at, |end| {
            end.over.get_or_insert(why);
        });
        self.serve(at);
    }

    pub(crate) fn broke(&mut self, at: EndId, why: Why) {
        self.with(at, |end| {
            end.over = Some(why);
            end.out.clear();
        });
        self.serve(at);
    }

    pub(crate) fn left(&mut self, at: EndId) {
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
    /// Gives what was read for the loop, and not told yet, back to the end.
    pub(super) fn take_back(&mut self, host: HostId, conn: Conn, at: EndId) {
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
    pub(super) fn push(&mut self, at: EndId, bytes: Vec<u8>, is_asked: bool) {
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
    pub(super) fn pump(&mut self, at: EndId) {
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

    /// What was read makes room for more.
    pub(super) fn make_room(&mut self, at: EndId, count: usize) {
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
    pub(crate) fn serve(&mut self, at: EndId) {
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
    pub(super) fn depart(&mut self, at: EndId) {
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
