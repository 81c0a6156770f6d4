//! How connections come to be: dials, listeners, and callers who wait to be let in.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use wormhole_core::driver::{Address, Conn, Input, Listen, Target, Why};

use super::link::{EndId, Link};
use super::{Event, HostId, Life, Listening, Slot, State};
use crate::fault::Kind;

/// How long a dial is tried that nobody answers.
const ATTEMPT: Duration = Duration::from_secs(10);

/// Whom a dial is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct To {
    host: HostId,
    port: u16,
    kind: Kind,
}

impl State {
    pub(crate) fn open(&mut self, host: HostId, conn: Conn, target: &Target) {
        self.set(host, conn, Slot::Dialling);
        let (kind, address) = match target {
            Target::Mailbox(url) => (Kind::Mailbox, of_url(url)),
            Target::Relay(address) => (Kind::Relay, Some(address.clone())),
            Target::Peer(address) => (Kind::Peer, Some(address.clone())),
        };
        let delay = self.chance.millis(100);
        if self.fails(kind, &Why::NoSuchName) {
            self.strikes(|| format!("no name for the {kind:?}"));
            return self.after(delay, Event::Failed { host, conn, why: Why::NoSuchName });
        }
        let Some((to, port)) = address.and_then(|address| self.resolve(&address)) else {
            return self.after(delay, Event::Failed { host, conn, why: Why::NoSuchName });
        };
        self.note(|state| format!("{}: {} dials {}:{port}", state.name(host), conn.0, state.name(to)));
        self.after(delay, Event::Dialled { host, conn, to: To { host: to, port, kind } });
    }

    pub(crate) fn listen(&mut self, host: HostId, conn: Conn, on: &Listen) {
        let Some(listener) = self.hosts.get_mut(host) else { return };
        let port = match on {
            Listen::Transit => {
                listener.next_port = listener.next_port.saturating_add(1);
                listener.next_port
            }
            Listen::Mailbox(address) | Listen::Relay(address) | Listen::RelayWebSocket(address) => {
                address.port
            }
        };
        let listening = Listening { port, waiting: VecDeque::new(), callers: VecDeque::new() };
        self.set(host, conn, Slot::Listening(listening));
        let at = vec![Address::from(address_of(host, port))];
        self.tell(host, Input::Listening { conn, at });
    }

    pub(crate) fn accept(&mut self, host: HostId, at: Conn, conn: Conn) {
        let caller = match self.listening(host, at) {
            Some(listening) => match listening.callers.pop_front() {
                Some(caller) => Some(caller),
                None => {
                    listening.waiting.push_back(conn);
                    None
                }
            },
            None => return,
        };
        self.set(host, conn, Slot::Awaited { at });
        if let Some(caller) = caller {
            self.admit(host, conn, caller);
        }
    }

    /// A dial has reached the host that it is for.
    pub(super) fn dialled(&mut self, host: HostId, conn: Conn, to: To) {
        if !self.has(host, conn) {
            return;
        }
        let delay = self.chance.millis(100);
        let Some(target) = self.hosts.get(to.host) else { return };
        let silent = target.life == Life::Vanished || (target.firewalled && to.kind == Kind::Peer);
        if silent {
            return self.after(ATTEMPT, Event::Failed { host, conn, why: Why::TimedOut });
        }
        let listener = target.slots.iter().find_map(|(conn, slot)| match slot {
            Slot::Listening(listening) if listening.port == to.port => Some(*conn),
            Slot::Listening(_) | Slot::Dialling | Slot::Awaited { .. } | Slot::Open(_) => None,
        });
        let refused = self.fails(to.kind, &Why::Refused);
        if refused {
            self.strikes(|| format!("the {:?} refuses", to.kind));
        }
        let Some(listener) = listener.filter(|_| !refused) else {
            return self.after(delay, Event::Failed { host, conn, why: Why::Refused });
        };
        let caller = self.link(host, conn, to);
        self.after(delay, Event::Connected { host, conn, end: caller.other() });
        let next = self.listening(to.host, listener).and_then(|listening| {
            let next = listening.waiting.pop_front();
            if next.is_none() {
                listening.callers.push_back(caller);
            }
            next
        });
        if let Some(next) = next {
            self.admit(to.host, next, caller);
        }
    }

    /// The dial is answered, and the one who dialled hears of it.
    pub(super) fn connected(&mut self, host: HostId, conn: Conn, end: EndId) {
        if self.has(host, conn) {
            self.set(host, conn, Slot::Open(end));
            let peer = self.links.get(end.link).map(|link| link.peer_of(end));
            self.tell(host, Input::Opened { conn, peer });
            self.serve(end);
        } else {
            self.leave(end);
        }
    }

    fn admit(&mut self, host: HostId, conn: Conn, end: EndId) {
        self.hold(end, conn);
        self.set(host, conn, Slot::Open(end));
        let peer = self.links.get(end.link).map(|link| link.peer_of(end));
        self.tell(host, Input::Opened { conn, peer });
    }

    /// A new link; answers the end of the one who was dialled.
    fn link(&mut self, host: HostId, conn: Conn, to: To) -> EndId {
        let count = self.opened.entry(to.kind).or_default();
        let nth = *count;
        *count = count.saturating_add(1);
        let delays = [self.chance.millis(120), self.chance.millis(120)];
        let faults = self.faults.iter().filter_map(|fault| fault.on_link(to.kind, nth)).collect();
        self.links.push(Link::new(to.kind, [host, to.host], delays, conn, faults));
        EndId { link: self.links.len().saturating_sub(1), side: 1 }
    }

    fn resolve(&self, address: &Address) -> Option<(HostId, u16)> {
        let named = self.hosts.iter().position(|host| host.name == address.host);
        let literal = || match address.host.parse().ok()? {
            IpAddr::V4(four) => four.octets().last().copied().map(usize::from),
            IpAddr::V6(_) => None,
        };
        Some((named.or_else(literal)?, address.port))
    }

    fn fails(&self, dial: Kind, why: &Why) -> bool {
        self.faults.iter().any(|fault| fault.fails(dial, why, self.now))
    }

    pub(super) fn listening(&mut self, host: HostId, conn: Conn) -> Option<&mut Listening> {
        match self.hosts.get_mut(host)?.slots.get_mut(&conn)? {
            Slot::Listening(listening) => Some(listening),
            Slot::Dialling | Slot::Awaited { .. } | Slot::Open(_) => None,
        }
    }

    pub(crate) fn has(&self, host: HostId, conn: Conn) -> bool {
        self.hosts.get(host).is_some_and(|host| host.slots.contains_key(&conn))
    }

    pub(super) fn set(&mut self, host: HostId, conn: Conn, slot: Slot) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.slots.insert(conn, slot);
        }
    }
}

/// The address of a host.
pub(crate) fn address_of(host: HostId, port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::new(10, 0, 0, u8::try_from(host).unwrap_or(u8::MAX)).into(), port)
}

fn of_url(url: &str) -> Option<Address> {
    let (place, _) = url.strip_prefix("ws://")?.split_once('/')?;
    let (host, port) = place.split_once(':')?;
    Some(Address::new(host, port.parse().ok()?))
}
