//! The listener of a server: callers are let in one after the other, and no more than there is room for.

use alloc::vec::Vec;

use wormhole_core::driver::{Address, Conn, Conns, Instant, Listen, Op, Why};

use crate::limits;
use crate::store::Note;
use crate::usage::Usage;

/// What a server tells whoever runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It can be reached here.
    Listening(Vec<Address>),
    /// The listener has ended, or never came to be, and with it the server.
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
    listener: Conn,
    state: State,
    /// Callers inside.
    inside: usize,
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
    Nothing,
}

impl Door {
    /// A door that is to be opened by the operation beside it.
    pub(crate) fn open<Q>(on: Listen) -> (Self, Op<Q>) {
        let mut conns = Conns::all();
        let listener = conns.draw();
        (Self { conns, listener, state: State::Opening, inside: 0 }, Op::Listen { conn: listener, on })
    }

    pub(crate) fn listening<Q>(&mut self, conn: Conn, at: Vec<Address>) -> (Step<Q>, Step<Q>) {
        if conn != self.listener || self.state != State::Opening {
            return (Step::Nothing, Step::Nothing);
        }
        (Step::Tell(Event::Listening(at)), self.accept())
    }

    /// Whether this is the caller that was waited for. It is inside now.
    pub(crate) fn admit<Q>(&mut self, conn: Conn) -> Option<Step<Q>> {
        if self.state != State::Accepting(conn) {
            return None;
        }
        self.inside = self.inside.saturating_add(1);
        Some(self.accept())
    }

    /// A caller who was inside has left.
    pub(crate) fn leave<Q>(&mut self) -> Step<Q> {
        self.inside = self.inside.saturating_sub(1);
        if self.state == State::Full { self.accept() } else { Step::Nothing }
    }

    /// Nobody else is let in; whoever is inside stays.
    pub(crate) fn shut<Q>(&mut self) -> Step<Q> {
        match self.state {
            State::Shut | State::Failed => Step::Nothing,
            State::Opening | State::Accepting(_) | State::Full | State::Resting { .. } => {
                self.state = State::Shut;
                Step::Do(Op::Close { conn: self.listener })
            }
        }
    }

    /// Something ended that is not a caller inside.
    pub(crate) fn closed<Q>(&mut self, conn: Conn, why: Why, now: Instant) -> Step<Q> {
        if conn == self.listener {
            return match self.state {
                State::Shut | State::Failed => Step::Nothing,
                State::Opening | State::Accepting(_) | State::Full | State::Resting { .. } => {
                    self.state = State::Failed;
                    Step::Tell(Event::Failed(why))
                }
            };
        }
        if self.state == State::Accepting(conn) {
            self.state = State::Resting { until: now.plus(limits::ACCEPT_PAUSE) };
        }
        Step::Nothing
    }

    pub(crate) fn tick<Q>(&mut self, now: Instant) -> Step<Q> {
        match self.state {
            State::Resting { until } if until <= now => self.accept(),
            State::Resting { .. }
            | State::Opening
            | State::Accepting(_)
            | State::Full
            | State::Shut
            | State::Failed => Step::Nothing,
        }
    }

    pub(crate) const fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Resting { until } => Some(until),
            State::Opening | State::Accepting(_) | State::Full | State::Shut | State::Failed => None,
        }
    }

    fn accept<Q>(&mut self) -> Step<Q> {
        if self.inside >= limits::CONNECTIONS {
            self.state = State::Full;
            return Step::Nothing;
        }
        let conn = self.conns.draw();
        self.state = State::Accepting(conn);
        Step::Do(Op::Accept { at: self.listener, conn })
    }
}
