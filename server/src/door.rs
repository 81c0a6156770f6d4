//! The listeners of a server: callers are let in one after the other, and no more than there is room for.

use alloc::vec::Vec;
use core::mem;

use wormhole_core::driver::{Address, Conn, Conns, Instant, Listen, Op, Why};

use crate::limits;
use crate::store::Note;
use crate::usage::Usage;

/// What a server tells whoever runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It can be reached: the addresses of each listener, in the order in which they were asked for.
    Listening(Vec<Vec<Address>>),
    /// A listener has ended, or never came to be, and with it the server.
    Failed(Why),
    /// Something that the statistics count.
    Used(Usage),
    /// A word of the store.
    Store(Note),
}

/// A server that ends in good order: first nobody is let in any more, then whoever is left is sent away.
pub trait Drain {
    /// Lets nobody in any more.
    fn shut(&mut self);
    /// Whether nobody is inside for whose sake one should wait.
    fn is_empty(&self) -> bool;
    /// Whether nobody is inside at all.
    fn is_gone(&self) -> bool;
    /// Ends every connection; what was said to a client still leaves.
    fn end(&mut self);
}

#[derive(Debug)]
pub(crate) struct Door {
    conns: Conns,
    gates: Vec<Gate>,
    /// Callers inside.
    inside: usize,
}

/// One listener.
#[derive(Debug)]
struct Gate {
    listener: Conn,
    at: Vec<Address>,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Opening,
    /// The next caller gets this number.
    Accepting(Conn),
    /// There is no room.
    Full,
    /// Accepting has failed and is tried again then.
    Resting {
        until: Instant,
    },
    /// Nobody is let in any more.
    Shut,
    Failed,
}

/// What an input was for the door.
#[derive(Debug)]
pub(crate) enum Step<Q> {
    Do(Op<Q>),
    Tell(Event),
}

impl Door {
    /// A door that is to be opened by the operations beside it.
    pub(crate) fn open<Q>(on: Vec<Listen>) -> (Self, Vec<Op<Q>>) {
        let mut conns = Conns::all();
        let mut gates = Vec::new();
        let mut ops = Vec::new();
        for on in on {
            let listener = conns.draw();
            gates.push(Gate { listener, at: Vec::new(), state: State::Opening });
            ops.push(Op::Listen { conn: listener, on });
        }
        (Self { conns, gates, inside: 0 }, ops)
    }

    pub(crate) fn listening<Q>(&mut self, conn: Conn, at: Vec<Address>) -> Vec<Step<Q>> {
        let opening = |gate: &&mut Gate| gate.listener == conn && gate.state == State::Opening;
        let Some(gate) = self.gates.iter_mut().find(opening) else { return Vec::new() };
        gate.at = at;
        let accept = gate.accept(self.inside, &mut self.conns);
        let is_open = self.gates.iter().all(|gate| gate.state != State::Opening);
        let mut at = || self.gates.iter_mut().map(|gate| mem::take(&mut gate.at)).collect();
        let tell = is_open.then(|| Step::Tell(Event::Listening(at())));
        tell.into_iter().chain(accept).collect()
    }

    /// Whether this is a caller that was waited for, and at which listener. It is inside now.
    pub(crate) fn admit<Q>(&mut self, conn: Conn) -> Option<(usize, Option<Step<Q>>)> {
        let at = self.gates.iter().position(|gate| gate.state == State::Accepting(conn))?;
        self.inside = self.inside.saturating_add(1);
        let gate = self.gates.get_mut(at)?;
        Some((at, gate.accept(self.inside, &mut self.conns)))
    }

    /// A caller who was inside has left. Every listener that waited for room takes one caller; so there may be one more
    /// for each listener than there is room for.
    pub(crate) fn leave<Q>(&mut self) -> Vec<Step<Q>> {
        self.inside = self.inside.saturating_sub(1);
        let full = self.gates.iter_mut().filter(|gate| gate.state == State::Full);
        full.filter_map(|gate| gate.accept(self.inside, &mut self.conns)).collect()
    }

    /// Nobody else is let in; whoever is inside stays.
    pub(crate) fn shut<Q>(&mut self) -> Vec<Step<Q>> {
        let open = self.gates.iter_mut().filter(|gate| !matches!(gate.state, State::Shut | State::Failed));
        open.map(|gate| {
            gate.state = State::Shut;
            Step::Do(Op::Close { conn: gate.listener })
        })
        .collect()
    }

    /// Something ended that is not a caller inside.
    pub(crate) fn closed<Q>(&mut self, conn: Conn, why: Why, now: Instant) -> Option<Step<Q>> {
        let gate = self
            .gates
            .iter_mut()
            .find(|gate| gate.listener == conn || gate.state == State::Accepting(conn))
            .filter(|gate| !matches!(gate.state, State::Shut | State::Failed))?;
        if gate.listener == conn {
            gate.state = State::Failed;
            return Some(Step::Tell(Event::Failed(why)));
        }
        gate.state = State::Resting { until: now.plus(limits::ACCEPT_PAUSE) };
        None
    }

    pub(crate) fn tick<Q>(&mut self, now: Instant) -> Vec<Step<Q>> {
        let rested = |gate: &&mut Gate| matches!(gate.state, State::Resting { until } if until <= now);
        let rested = self.gates.iter_mut().filter(rested);
        rested.filter_map(|gate| gate.accept(self.inside, &mut self.conns)).collect()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let until = |gate: &Gate| match gate.state {
            State::Resting { until } => Some(until),
            State::Opening | State::Accepting(_) | State::Full | State::Shut | State::Failed => None,
        };
        self.gates.iter().filter_map(until).min()
    }
}

impl Gate {
    fn accept<Q>(&mut self, inside: usize, conns: &mut Conns) -> Option<Step<Q>> {
        if inside >= limits::CONNECTIONS {
            self.state = State::Full;
            return None;
        }
        let conn = conns.draw();
        self.state = State::Accepting(conn);
        Some(Step::Do(Op::Accept { at: self.listener, conn }))
    }
}
