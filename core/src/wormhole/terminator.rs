//! The terminator: how the wormhole stands, in which mood it closes and with what result.
//!
//! Fed by the receive machine (confirmed), the application (close), whoever finds a fault, and the machines that have
//! something to give back to the server. When they have, it stops the link, and ends when that is down; or when
//! [`CLOSE_LIMIT`] has passed, for a server may never answer.

use alloc::vec::Vec;
use core::mem;

use crate::defaults::CLOSE_LIMIT;
use crate::driver::Instant;
use crate::error::{Error, Mood};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// The peer has the same key.
    Confirmed,
    Close,
    Fail(Error),
    AllocatorFinished,
    NameplateFinished,
    MailboxFinished,
    LinkStopped,
    Tick(Instant),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Give back what the server holds for us.
    Close(Mood),
    /// A lost link keeps us from closing: it is to be mended now, not later.
    Hurry,
    StopLink,
    /// The last word.
    Closed(Result<(), Error>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terminator {
    state: State,
}

impl Terminator {
    pub(crate) fn handle(&mut self, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        self.state = mem::take(&mut self.state).step(input, &mut out);
        out
    }

    /// Whether the application may still do something.
    pub(crate) const fn is_open(&self) -> bool {
        match self.state {
            State::Lonely | State::Happy => true,
            State::Closing { .. } | State::Stopping { .. } | State::Closed => false,
        }
    }

    pub(crate) const fn deadline(&self) -> Option<Limit> {
        match self.state {
            State::Closing { limit, .. } | State::Stopping { limit, .. } => Some(limit),
            State::Lonely | State::Happy | State::Closed => None,
        }
    }
}

/// When closing must be over. `close` is told no time, so that the first tick after it begins the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    FromNextTick,
    Until(Instant),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum State {
    /// No message of a peer has opened.
    #[default]
    Lonely,
    Happy,
    Closing {
        result: Result<(), Error>,
        limit: Limit,
        waits: Waits,
    },
    Stopping {
        result: Result<(), Error>,
        limit: Limit,
    },
    Closed,
}

/// Whose end is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Waits {
    allocator: bool,
    nameplate: bool,
    mailbox: bool,
}

impl State {
    fn step(self, input: Input, out: &mut Vec<Output>) -> Self {
        match self {
            Self::Lonely => match input {
                Input::Confirmed => Self::Happy,
                Input::Close => close(Mood::Lonely, Err(Error::Lonely), out),
                Input::Fail(error) => close(lonely_mood(&error), Err(error), out),
                Input::AllocatorFinished
                | Input::NameplateFinished
                | Input::MailboxFinished
                | Input::LinkStopped
                | Input::Tick(_) => Self::Lonely,
            },
            Self::Happy => match input {
                Input::Close => close(Mood::Happy, Ok(()), out),
                Input::Fail(error) => close(happy_mood(&error), Err(error), out),
                Input::Confirmed
                | Input::AllocatorFinished
                | Input::NameplateFinished
                | Input::MailboxFinished
                | Input::LinkStopped
                | Input::Tick(_) => Self::Happy,
            },
            Self::Closing { result, limit, waits } => match input {
                Input::AllocatorFinished => closing(result, limit, Waits { allocator: false, ..waits }, out),
                Input::NameplateFinished => closing(result, limit, Waits { nameplate: false, ..waits }, out),
                Input::MailboxFinished => closing(result, limit, Waits { mailbox: false, ..waits }, out),
                // What was said last still leaves, and a server that is at fault has nothing more to tell.
                Input::Fail(Error::Server(_) | Error::Crowded | Error::Unwelcome(_)) => {
                    out.push(Output::StopLink);
                    Self::Stopping { result, limit }
                }
                Input::Tick(now) => {
                    if limit == Limit::FromNextTick {
                        out.push(Output::Hurry);
                    }
                    match tick(limit, now) {
                        Some(limit) => Self::Closing { result, limit, waits },
                        None => give_up(result, out),
                    }
                }
                Input::Confirmed | Input::Close | Input::Fail(_) | Input::LinkStopped => {
                    Self::Closing { result, limit, waits }
                }
            },
            Self::Stopping { result, limit } => match input {
                Input::LinkStopped => closed(result, out),
                Input::Tick(now) => match tick(limit, now) {
                    Some(limit) => Self::Stopping { result, limit },
                    None => closed(result, out),
                },
                Input::Confirmed
                | Input::Close
                | Input::Fail(_)
                | Input::AllocatorFinished
                | Input::NameplateFinished
                | Input::MailboxFinished => Self::Stopping { result, limit },
            },
            Self::Closed => Self::Closed,
        }
    }
}

fn close(mood: Mood, result: Result<(), Error>, out: &mut Vec<Output>) -> State {
    out.push(Output::Close(mood));
    let waits = Waits { allocator: true, nameplate: true, mailbox: true };
    State::Closing { result, limit: Limit::FromNextTick, waits }
}

fn closing(result: Result<(), Error>, limit: Limit, waits: Waits, out: &mut Vec<Output>) -> State {
    let none = Waits { allocator: false, nameplate: false, mailbox: false };
    if waits == none {
        out.push(Output::StopLink);
        State::Stopping { result, limit }
    } else {
        State::Closing { result, limit, waits }
    }
}

fn tick(limit: Limit, now: Instant) -> Option<Limit> {
    match limit {
        Limit::FromNextTick => Some(Limit::Until(now.plus(CLOSE_LIMIT))),
        Limit::Until(until) => (now < until).then_some(limit),
    }
}

fn give_up(result: Result<(), Error>, out: &mut Vec<Output>) -> State {
    out.push(Output::StopLink);
    closed(result, out)
}

fn closed(result: Result<(), Error>, out: &mut Vec<Output>) -> State {
    out.push(Output::Closed(result));
    State::Closed
}

/// Nobody can be happy before the peer was heard.
fn lonely_mood(error: &Error) -> Mood {
    match error.mood() {
        Mood::Happy => Mood::Lonely,
        mood @ (Mood::Lonely | Mood::Scary | Mood::Errory | Mood::Unwelcome) => mood,
    }
}

/// Moods are about the channel, not the application: it stays happy whatever else has failed.
fn happy_mood(error: &Error) -> Mood {
    match error {
        Error::WrongCode | Error::Server(_) | Error::Crowded | Error::Unwelcome(_) => error.mood(),
        Error::Misuse(_)
        | Error::Peer(_)
        | Error::Transit(_)
        | Error::Lonely
        | Error::Cancelled
        | Error::Rejected
        | Error::VerifierRefused
        | Error::Failed(_) => Mood::Happy,
    }
}
