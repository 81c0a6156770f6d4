//! The swap: both blobs have gone where they belong, and only then is the wormhole closed.
//!
//! Fed with the first record of the other side, the word that the server has ours, the time and the end of the wormhole.
//! It ends with the verdict, which is told when the wormhole is closed.

use alloc::vec::Vec;
use core::fmt;
use core::mem;

use zeroize::Zeroizing;

use crate::defaults::STORE_LIMIT;
use crate::driver::Instant;
use crate::error::Error;

/// A blob, which is nobody else's business.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Blob(Zeroizing<Vec<u8>>);

impl Blob {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        mem::take(&mut self.0)
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Blob(..)")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// A record of the other side.
    Theirs(Blob),
    /// The server has all that we said.
    Stored,
    Tick(Instant),
    /// The wormhole has ended.
    Closed(Result<(), Error>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Output {
    Close,
    /// Close, since the server does not take what we say.
    GiveUp,
    Finished(Result<Blob, Error>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Swap {
    state: State,
}

impl Swap {
    pub(super) fn handle(&mut self, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        self.state = mem::take(&mut self.state).step(input, &mut out);
        out
    }

    /// Whether the other side's blob has not come.
    pub(super) const fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting)
    }

    /// Whether it waits for the server to have what we said.
    pub(super) const fn is_storing(&self) -> bool {
        matches!(self.state, State::Storing { .. })
    }

    pub(super) const fn deadline(&self) -> Option<Limit> {
        match &self.state {
            State::Storing { limit, .. } => Some(*limit),
            State::Waiting | State::Closing { .. } | State::Over => None,
        }
    }
}

/// Until when we wait. A record is told without the time, so that the next tick begins the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    FromNextTick,
    Until(Instant),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum State {
    /// The other side's blob has not come.
    #[default]
    Waiting,
    /// It is here; the server may not have ours yet.
    Storing {
        theirs: Blob,
        limit: Limit,
    },
    /// The wormhole is being closed; then the blob is told.
    Closing {
        theirs: Blob,
    },
    Over,
}

impl State {
    fn step(self, input: Input, out: &mut Vec<Output>) -> Self {
        match self {
            Self::Waiting => match input {
                Input::Theirs(theirs) => Self::Storing { theirs, limit: Limit::FromNextTick },
                Input::Closed(result) => over(result.err().unwrap_or(Error::Lonely), out),
                Input::Stored | Input::Tick(_) => Self::Waiting,
            },
            Self::Storing { theirs, limit } => match input {
                Input::Stored => {
                    out.push(Output::Close);
                    Self::Closing { theirs }
                }
                Input::Tick(now) => match limit {
                    Limit::FromNextTick => {
                        Self::Storing { theirs, limit: Limit::Until(now.plus(STORE_LIMIT)) }
                    }
                    // The end of the wormhole says why.
                    Limit::Until(until) if until <= now => {
                        out.push(Output::GiveUp);
                        Self::Waiting
                    }
                    Limit::Until(_) => Self::Storing { theirs, limit },
                },
                Input::Closed(result) => over(result.err().unwrap_or(Error::Lonely), out),
                // There is one blob; whatever else is said is for a later version.
                Input::Theirs(_) => Self::Storing { theirs, limit },
            },
            Self::Closing { theirs } => match input {
                // Everything has gone where it belongs: how the goodbye went changes nothing.
                Input::Closed(_) => {
                    out.push(Output::Finished(Ok(theirs)));
                    Self::Over
                }
                Input::Theirs(_) | Input::Stored | Input::Tick(_) => Self::Closing { theirs },
            },
            Self::Over => Self::Over,
        }
    }
}

fn over(error: Error, out: &mut Vec<Output>) -> State {
    out.push(Output::Finished(Err(error)));
    State::Over
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;
    use core::time::Duration;

    use super::*;
    use crate::table::Table;

    #[test]
    fn the_table_is_as_written() {
        let states = [
            State::Waiting,
            State::Storing { theirs: blob(), limit: Limit::FromNextTick },
            State::Storing { theirs: blob(), limit: Limit::Until(at(9)) },
            State::Storing { theirs: blob(), limit: Limit::Until(at(11)) },
            State::Closing { theirs: blob() },
            State::Over,
        ];
        let inputs = vec![
            Input::Theirs(blob()),
            Input::Stored,
            Input::Tick(at(10)),
            Input::Closed(Ok(())),
            Input::Closed(Err(Error::WrongCode)),
        ];
        Table {
            name: "transcribe",
            source: "transcribe/swap.rs",
            about: "`GiveUp` closes with an error, which is then told as the end of the wormhole.",
            states: states.map(|state| Swap { state }).to_vec(),
            inputs,
        }
        .check(|it| format!("{:?}", it.state), |input| format!("{input:?}"), Swap::handle);
    }

    #[test]
    fn it_closes_when_theirs_is_here_and_ours_is_there() {
        let mut swap = Swap::default();
        assert_eq!(swap.handle(Input::Stored), [], "theirs is missing");
        assert_eq!(swap.handle(Input::Theirs(blob())), []);
        assert!(swap.is_storing());
        assert_eq!(swap.handle(Input::Stored), [Output::Close]);
        assert_eq!(swap.handle(Input::Closed(Ok(()))), [Output::Finished(Ok(blob()))]);
        assert_eq!(swap.handle(Input::Closed(Ok(()))), []);
    }

    #[test]
    fn a_goodbye_that_fails_takes_nothing_back() {
        let mut swap = Swap { state: State::Closing { theirs: blob() } };
        assert_eq!(swap.handle(Input::Closed(Err(Error::Crowded))), [Output::Finished(Ok(blob()))]);
    }

    #[test]
    fn a_blob_that_the_server_does_not_take_is_an_error_in_the_end() {
        let mut swap = Swap { state: State::Storing { theirs: blob(), limit: Limit::FromNextTick } };
        assert_eq!(swap.handle(Input::Tick(at(1))), []);
        let until = at(1).plus(STORE_LIMIT);
        assert_eq!(swap.deadline(), Some(Limit::Until(until)));
        assert_eq!(swap.handle(Input::Tick(until)), [Output::GiveUp]);
        let end = swap.handle(Input::Closed(Err(Error::Cancelled)));
        assert_eq!(end, [Output::Finished(Err(Error::Cancelled))]);
    }

    #[test]
    fn a_blob_is_not_printed() {
        assert_eq!(format!("{:?}", blob()), "Blob(..)");
    }

    fn blob() -> Blob {
        Blob::new(b"theirs".to_vec())
    }

    fn at(seconds: u64) -> Instant {
        Instant::after_start(Duration::from_secs(seconds))
    }
}
