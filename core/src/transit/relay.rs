//! The relay's greeting: say which partner we wait for, and wait for its `ok`.
//!
//! The race feeds it what the relay sends. It ends with [`Output::Paired`], after which the connection is one to the
//! peer, or with [`Output::Foreign`]: what answered does not join us (`docs/transit.md`, "The relay").

use alloc::vec::Vec;

use super::expect::{Expect, Found};

/// What the relay says once the partner is there.
pub(crate) const OK: &[u8] = b"ok\n";

/// What happened to the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// It has come to be.
    Opened,
    /// Bytes from the relay.
    Received(Vec<u8>),
}

/// What the race is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Say our line.
    Greet,
    /// Read on.
    Read,
    /// The partner is there; the bytes are what it has said already.
    Paired(Vec<u8>),
    /// This is no relay that joins us.
    Foreign,
}

/// How far the relay has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Relay {
    /// The connection is not there yet.
    #[default]
    Dialling,
    /// Our line is said.
    Waiting(Expect),
    /// It has joined us, or failed.
    Finished,
}

impl Relay {
    /// One input, and where it leads.
    pub(crate) fn step(self, input: Input, out: &mut Vec<Output>) -> Self {
        match self {
            Self::Dialling => match input {
                Input::Opened => {
                    out.extend([Output::Greet, Output::Read]);
                    Self::Waiting(Expect::new(OK.to_vec()))
                }
                // The runtime reads only where it was asked.
                Input::Received(_) => Self::Dialling,
            },
            Self::Waiting(expect) => match input {
                Input::Opened => Self::Waiting(expect),
                Input::Received(bytes) => match expect.compare(&bytes) {
                    Found::Part(expect) => {
                        out.push(Output::Read);
                        Self::Waiting(expect)
                    }
                    Found::Whole { rest } => {
                        out.push(Output::Paired(rest));
                        Self::Finished
                    }
                    Found::Other => {
                        out.push(Output::Foreign);
                        Self::Finished
                    }
                },
            },
            Self::Finished => match input {
                Input::Opened | Input::Received(_) => Self::Finished,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Table;

    #[test]
    fn what_follows_the_ok_belongs_to_the_peer() {
        let mut out = Vec::new();
        let state = Relay::default().step(Input::Opened, &mut out);
        let state = state.step(Input::Received(b"o".to_vec()), &mut out);
        let state = state.step(Input::Received(b"k\ntransit".to_vec()), &mut out);
        assert_eq!(state, Relay::Finished);
        let paired = Output::Paired(b"transit".to_vec());
        assert_eq!(out, [Output::Greet, Output::Read, Output::Read, paired]);
    }

    #[test]
    fn a_relay_that_complains_is_left() {
        for complaint in ["impatient\n", "bad handshake\n", "HTTP/1.1 400 Bad Request\r\n"] {
            let mut out = Vec::new();
            let state = Relay::Waiting(Expect::new(OK.to_vec()));
            let state = state.step(Input::Received(complaint.into()), &mut out);
            assert_eq!((state, out.as_slice()), (Relay::Finished, [Output::Foreign].as_slice()));
        }
    }

    #[test]
    fn the_table_in_the_tree_is_current() {
        let waiting = || Relay::Waiting(Expect::new(OK.to_vec()));
        let states = [("Dialling", Relay::Dialling), ("Waiting", waiting()), ("Finished", Relay::Finished)];
        let inputs = [
            ("opened", Input::Opened),
            ("`o`", Input::Received(b"o".to_vec())),
            ("`ok\\n` and more", Input::Received(b"ok\n..".to_vec())),
            ("anything else", Input::Received(b"impatient\n".to_vec())),
        ];
        Table {
            name: "transit-relay",
            source: "transit/relay.rs",
            about: "",
            states: states.to_vec(),
            inputs: inputs.to_vec(),
        }
        .check_named(Relay::step);
    }
}
