//! The terminator: how the wormhole stands, in which mood it closes and with what result.
//!
//! Fed by the receive machine (confirmed), the application (close), whoever finds a fault, and the machines that have
//! something to give back to the server. When they have, it stops the link, and ends when that is down; or when
//! its limit has passed, for a server may never answer.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use crate::driver::Instant;
use crate::error::{Error, Mood};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// The peer has the same key.
    Confirmed,
    Close,
    Fail(Error),
    /// Whoever waits for the end has no more time.
    GiveUp,
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

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Terminator {
    /// How long the server may take.
    limit: Duration,
    state: State,
}

impl Terminator {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, state: State::default() }
    }

    pub(crate) fn handle(&mut self, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        self.state = mem::take(&mut self.state).step(input, self.limit, &mut out);
        out
    }

    /// Whether the application may still do something.
    pub(crate) const fn is_open(&self) -> bool {
        match self.state {
            State::Lonely | State::Happy => true,
            State::Closing { .. } | State::Stopping { .. } | State::Closed => false,
        }
    }

    /// The time of another process means nothing to this one: closing begins to count anew.
    #[cfg(feature = "serde")]
    pub(crate) fn count_anew(&mut self) {
        match &mut self.state {
            State::Closing { limit, .. } | State::Stopping { limit, .. } => *limit = Limit::FromNextTick,
            State::Lonely | State::Happy | State::Closed => {}
        }
    }

    /// Whether there is still something to say to the server.
    #[cfg(feature = "serde")]
    pub(crate) const fn needs_link(&self) -> bool {
        match self.state {
            State::Lonely | State::Happy | State::Closing { .. } => true,
            State::Stopping { .. } | State::Closed => false,
        }
    }

    pub(crate) const fn deadline(&self) -> Option<Limit> {
        match self.state {
            State::Closing { limit, .. } | State::Stopping { limit, .. } => Some(limit),
            State::Lonely | State::Happy | State::Closed => None,
        }
    }

    /// How it stands, for a trace.
    pub(super) fn state(&self) -> &impl core::fmt::Debug {
        &self.state
    }
}

/// When closing must be over. `close` is told no time, so that the first tick after it begins the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum Limit {
    FromNextTick,
    Until(Instant),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum State {
    /// No message of a peer has opened.
    #[default]
    Lonely,
    Happy,
    Closing {
        result: Result<(), Error>,
        limit: Limit,
        waits: BTreeSet<Part>,
    },
    Stopping {
        result: Result<(), Error>,
        limit: Limit,
    },
    Closed,
}

/// Who has something to give back to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Part {
    Allocator,
    Nameplate,
    Mailbox,
}

impl State {
    fn step(self, input: Input, patience: Duration, out: &mut Vec<Output>) -> Self {
        match self {
            Self::Lonely => match input {
                Input::Confirmed => Self::Happy,
                Input::Close => close(Mood::Lonely, Err(Error::Lonely), out),
                Input::Fail(error) => close(lonely_mood(&error), Err(error), out),
                Input::GiveUp
                | Input::AllocatorFinished
                | Input::NameplateFinished
                | Input::MailboxFinished
                | Input::LinkStopped
                | Input::Tick(_) => Self::Lonely,
            },
            Self::Happy => match input {
                Input::Close => close(Mood::Happy, Ok(()), out),
                Input::Fail(error) => close(happy_mood(&error), Err(error), out),
                Input::Confirmed
                | Input::GiveUp
                | Input::AllocatorFinished
                | Input::NameplateFinished
                | Input::MailboxFinished
                | Input::LinkStopped
                | Input::Tick(_) => Self::Happy,
            },
            Self::Closing { result, limit, waits } => match input {
                Input::AllocatorFinished => finished(Part::Allocator, result, limit, waits, out),
                Input::NameplateFinished => finished(Part::Nameplate, result, limit, waits, out),
                Input::MailboxFinished => finished(Part::Mailbox, result, limit, waits, out),
                // What was said last still leaves, and a server that is at fault has nothing more to tell.
                Input::Fail(Error::Server(_) | Error::Crowded | Error::Unwelcome(_)) => {
                    out.push(Output::StopLink);
                    Self::Stopping { result, limit }
                }
                Input::GiveUp => give_up(result, out),
                Input::Tick(now) => {
                    if limit == Limit::FromNextTick {
                        out.push(Output::Hurry);
                    }
                    match tick(limit, now, patience) {
                        Some(limit) => Self::Closing { result, limit, waits },
                        None => give_up(result, out),
                    }
                }
                Input::Confirmed | Input::Close | Input::Fail(_) | Input::LinkStopped => {
                    Self::Closing { result, limit, waits }
                }
            },
            Self::Stopping { result, limit } => match input {
                Input::LinkStopped | Input::GiveUp => closed(result, out),
                Input::Tick(now) => match tick(limit, now, patience) {
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
    let waits = BTreeSet::from([Part::Allocator, Part::Nameplate, Part::Mailbox]);
    State::Closing { result, limit: Limit::FromNextTick, waits }
}

fn finished(
    part: Part,
    result: Result<(), Error>,
    limit: Limit,
    mut waits: BTreeSet<Part>,
    out: &mut Vec<Output>,
) -> State {
    waits.remove(&part);
    if waits.is_empty() {
        out.push(Output::StopLink);
        State::Stopping { result, limit }
    } else {
        State::Closing { result, limit, waits }
    }
}

fn tick(limit: Limit, now: Instant, patience: Duration) -> Option<Limit> {
    match limit {
        Limit::FromNextTick => Some(Limit::Until(now.plus(patience))),
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
        | Error::TimedOut
        | Error::Rejected
        | Error::VerifierRefused
        | Error::Failed(_) => Mood::Happy,
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;

    use super::*;
    use crate::defaults::CLOSE_LIMIT;
    use crate::error::{PeerFault, ServerFault};
    use crate::table::Table;

    #[test]
    fn the_table_is_as_written() {
        let last = BTreeSet::from([Part::Mailbox]);
        let closing = |limit| State::Closing { result: Ok(()), limit, waits: last.clone() };
        let states = [
            State::Lonely,
            State::Happy,
            closing(Limit::FromNextTick),
            closing(Limit::Until(at(9))),
            closing(Limit::Until(at(11))),
            State::Stopping { result: Ok(()), limit: Limit::FromNextTick },
            State::Stopping { result: Ok(()), limit: Limit::Until(at(9)) },
            State::Stopping { result: Ok(()), limit: Limit::Until(at(11)) },
            State::Closed,
        ];
        let inputs = vec![
            Input::Confirmed,
            Input::Close,
            Input::Fail(Error::WrongCode),
            Input::Fail(Error::Cancelled),
            Input::Fail(Error::Crowded),
            Input::GiveUp,
            Input::AllocatorFinished,
            Input::NameplateFinished,
            Input::MailboxFinished,
            Input::LinkStopped,
            Input::Tick(at(10)),
        ];
        Table {
            name: "terminator",
            source: "wormhole/terminator.rs",
            about: "Where it closes, only the mailbox is left to wait for.",
            states: states.map(|state| Terminator { limit: CLOSE_LIMIT, state }).to_vec(),
            inputs,
        }
        .check(|it| format!("{:?}", it.state), |input| format!("{input:?}"), Terminator::handle);
    }

    #[test]
    fn the_link_stops_when_all_three_have_given_back_what_they_held() {
        let mut machine = Terminator::new(CLOSE_LIMIT);
        machine.handle(Input::Confirmed);
        assert_eq!(machine.handle(Input::Close), [Output::Close(Mood::Happy)]);
        assert!(!machine.is_open());
        assert_eq!(machine.handle(Input::MailboxFinished), []);
        assert_eq!(machine.handle(Input::AllocatorFinished), []);
        assert_eq!(machine.handle(Input::NameplateFinished), [Output::StopLink]);
        assert_eq!(machine.handle(Input::LinkStopped), [Output::Closed(Ok(()))]);
    }

    #[test]
    fn the_first_error_wins() {
        let mut machine = Terminator::new(CLOSE_LIMIT);
        machine.handle(Input::Fail(Error::WrongCode));
        machine.handle(Input::Fail(Error::Cancelled));
        machine.handle(Input::Close);
        for finished in [Input::AllocatorFinished, Input::NameplateFinished, Input::MailboxFinished] {
            machine.handle(finished);
        }
        assert_eq!(machine.handle(Input::LinkStopped), [Output::Closed(Err(Error::WrongCode))]);
    }

    #[test]
    fn closing_is_over_after_the_limit_counted_from_the_first_tick() {
        let mut machine = Terminator::new(CLOSE_LIMIT);
        machine.handle(Input::Close);
        assert_eq!(machine.deadline(), Some(Limit::FromNextTick));
        assert_eq!(machine.handle(Input::Tick(at(100))), [Output::Hurry]);
        let end = at(100).plus(CLOSE_LIMIT);
        assert_eq!(machine.deadline(), Some(Limit::Until(end)));
        assert_eq!(machine.handle(Input::Tick(at(101))), []);
        let closed = machine.handle(Input::Tick(end));
        assert_eq!(closed, [Output::StopLink, Output::Closed(Err(Error::Lonely))]);
        assert_eq!(machine.handle(Input::LinkStopped), []);
    }

    #[test]
    fn the_mood_tells_about_the_channel() {
        let said = || Error::Server(ServerFault::Malformed);
        let cases = [
            (Error::WrongCode, Mood::Scary, Mood::Scary),
            (said(), Mood::Errory, Mood::Errory),
            (Error::Crowded, Mood::Errory, Mood::Errory),
            (Error::Cancelled, Mood::Lonely, Mood::Happy),
            (Error::Rejected, Mood::Lonely, Mood::Happy),
            (Error::Peer(PeerFault::BadPake), Mood::Scary, Mood::Happy),
            (Error::Peer(PeerFault::TooMuch), Mood::Lonely, Mood::Happy),
        ];
        for (error, lonely, happy) in cases {
            let mut machine = Terminator::new(CLOSE_LIMIT);
            assert_eq!(machine.handle(Input::Fail(error.clone())), [Output::Close(lonely)]);
            let mut machine = Terminator { limit: CLOSE_LIMIT, state: State::Happy };
            assert_eq!(machine.handle(Input::Fail(error)), [Output::Close(happy)]);
        }
    }

    fn at(seconds: u64) -> Instant {
        Instant::after_start(Duration::from_secs(seconds))
    }
}
