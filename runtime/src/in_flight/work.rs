//! What is under way for one connection number, and one step of it.

use std::collections::VecDeque;
use std::mem;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use wormhole_core::driver::{Address, Conn, Input, Instant, Listen, Why};

use super::dial::Dial;
use super::flow::{Flow, Leaving, Left};
use super::join::{Goes, Joined};
use super::listen::{self, Listening};
use super::names::{self, Lookup, Names};
use super::ready::Call;
use crate::driver::Sockets;
use crate::why::why;

/// How long the name of an address to listen at may take.
const NAMING_LIMIT: Duration = Duration::from_secs(30);

/// One connection number: what is under way, its waker, and when it wants to be polled at the latest.
pub(super) struct Entry<S: Sockets> {
    pub(super) call: Arc<Call>,
    pub(super) waker: Waker,
    pub(super) due: Option<Instant>,
    pub(super) work: Work<S>,
}

pub(super) enum Work<S: Sockets> {
    Dial(Box<Dial<S::Stream>>),
    Naming(Naming),
    Listen(Listening<S::Listener>),
    /// The next caller at this listener.
    Awaited {
        at: Conn,
    },
    Flow(Flow<S::Stream>),
    /// The first of a joined pair, and the number of the second.
    Joined(Joined<S::Stream>, Conn),
    /// The second of a joined pair.
    Partner(Conn),
    Leaving(Leaving<S::Stream>),
}

/// Where to listen, before it is known as addresses.
pub(super) struct Naming {
    at: Where,
    /// Whether peers are told all that might reach us, not where we are bound.
    reachable: bool,
    limit: Instant,
    /// Those for whom a caller is wanted as soon as there can be one.
    pub(super) waiting: VecDeque<Conn>,
}

enum Where {
    Known(Vec<SocketAddr>),
    Among(RangeInclusive<u16>),
    Asked(Lookup),
}

/// What all connections share in one turn.
pub(super) struct Shared<'a, S> {
    pub(super) sockets: &'a S,
    pub(super) scratch: &'a mut [u8],
    pub(super) done: &'a mut VecDeque<Input>,
    pub(super) now: Instant,
}

/// What one step came to.
pub(super) enum After<T> {
    Stay {
        due: Option<Instant>,
    },
    Dialled {
        stream: T,
        peer: SocketAddr,
    },
    Accepted {
        callers: Vec<(Conn, T, SocketAddr)>,
        due: Option<Instant>,
    },
    Closed(Why),
    /// One of a joined pair has ended.
    Parted,
    /// A connection that we leave has been written to for the last time.
    Written {
        told: Option<Why>,
    },
    Gone {
        told: Option<Why>,
        lingered: bool,
    },
}

impl Naming {
    /// Peers are heard at one of these ports.
    pub(super) fn new(
        on: Listen,
        ports: Option<&RangeInclusive<u16>>,
        names: &Names,
        waker: &Waker,
        now: Instant,
    ) -> Self {
        let reachable = on == Listen::Transit;
        let at = match on {
            Listen::Transit => ports.cloned().map_or_else(|| Where::Known(listen::anywhere(0)), Where::Among),
            Listen::Mailbox(address) | Listen::Relay(address) | Listen::RelayWebSocket(address) => {
                place(address, names, waker)
            }
        };
        Self { at, reachable, limit: now.plus(NAMING_LIMIT), waiting: VecDeque::new() }
    }
}

/// An empty host means any address of every family.
fn place(address: Address, names: &Names, waker: &Waker) -> Where {
    if address.host.is_empty() {
        return Where::Known(listen::anywhere(address.port));
    }
    match names::literal(&address) {
        Some(known) => Where::Known(vec![known]),
        None => Where::Asked(names.look_up(address, waker.clone())),
    }
}

impl<S: Sockets> Entry<S> {
    /// Takes one step.
    pub(super) fn poll(&mut self, conn: Conn, shared: &mut Shared<'_, S>) -> After<S::Stream> {
        self.call.answered();
        let mut cx = Context::from_waker(&self.waker);
        match &mut self.work {
            Work::Dial(dial) => match dial.poll(shared.sockets, &mut cx, shared.now) {
                Poll::Ready(Ok((stream, peer))) => After::Dialled { stream, peer },
                Poll::Ready(Err(why)) => After::Closed(why),
                Poll::Pending => After::Stay { due: Some(dial.deadline()) },
            },
            Work::Naming(naming) => match naming.poll(conn, shared) {
                Poll::Ready(Ok(listening)) => {
                    self.work = Work::Listen(listening);
                    // Once more, for the accepts that came early.
                    cx.waker().wake_by_ref();
                    After::Stay { due: None }
                }
                Poll::Ready(Err(why)) => After::Closed(why),
                Poll::Pending => After::Stay { due: Some(naming.limit) },
            },
            Work::Listen(listening) => {
                let mut callers = Vec::new();
                let more = listening.poll(shared.sockets, &mut cx, shared.now, |conn, stream, peer| {
                    callers.push((conn, stream, peer));
                });
                if more {
                    cx.waker().wake_by_ref();
                }
                After::Accepted { callers, due: listening.paused_until }
            }
            Work::Awaited { .. } | Work::Partner(_) => After::Stay { due: None },
            Work::Flow(flow) => match flow.poll(conn, &mut cx, shared.scratch, shared.done) {
                Ok(()) => After::Stay { due: None },
                Err(why) => After::Closed(why),
            },
            Work::Joined(joined, _) => match joined.poll(&mut cx, shared.now) {
                Goes::Over => After::Parted,
                Goes::On(due) => After::Stay { due },
            },
            Work::Leaving(leaving) => {
                let lingered = leaving.is_discarding();
                match leaving.poll(&mut cx, shared.now, shared.scratch) {
                    Left::Not => After::Stay { due: Some(leaving.until) },
                    Left::Written { told } => After::Written { told },
                    Left::Gone { told } => After::Gone { told, lingered },
                }
            }
        }
    }
}

impl Naming {
    /// Listens as soon as the address is known, and says where.
    fn poll<S: Sockets>(
        &mut self,
        conn: Conn,
        shared: &mut Shared<'_, S>,
    ) -> Poll<Result<Listening<S::Listener>, Why>> {
        let bound = match &self.at {
            Where::Known(at) => listen::bind(at),
            Where::Among(ports) => listen::bind_among(ports),
            Where::Asked(lookup) => match lookup.poll() {
                Poll::Ready(Ok(at)) => listen::bind(&at),
                Poll::Ready(Err(why)) => return Poll::Ready(Err(why)),
                Poll::Pending if shared.now >= self.limit => return Poll::Ready(Err(Why::TimedOut)),
                Poll::Pending => return Poll::Pending,
            },
        };
        let bound = bound.and_then(|sockets| {
            let at = sockets.iter().map(std::net::TcpListener::local_addr).collect::<Result<Vec<_>, _>>()?;
            let adopted = sockets.into_iter().map(|socket| shared.sockets.adopt(socket));
            Ok((at, adopted.collect::<Result<Vec<_>, _>>()?))
        });
        Poll::Ready(match bound {
            Ok((at, sockets)) => {
                let at = if self.reachable {
                    listen::reachable(&at)
                } else {
                    at.into_iter().map(Address::from).collect()
                };
                shared.done.push_back(Input::Listening { conn, at });
                Ok(Listening::new(sockets, mem::take(&mut self.waiting)))
            }
            Err(error) => Err(why(&error)),
        })
    }
}
