//! The handshake of the two sides on one connection, whoever opened it.
//!
//! ```text
//! sender   -> receiver:  transit sender HEX64 ready\n\n
//! receiver -> sender:    transit receiver HEX64 ready\n\n
//! sender   -> receiver:  go\n
//! ```
//!
//! Both say their line at once. The race feeds it the bytes that come; it ends with [`Output::Complete`], which for a
//! sender means that the connection may be chosen and for a receiver that it was, or with [`Output::Foreign`]. A
//! connection that came before the transit key is known is [`Held`](Handshake::Held) until then
//! (`docs/transit.md`, "The handshake").

use alloc::vec::Vec;

use super::expect::{Expect, Found};

/// What the sender says on the connection that it chooses.
pub(crate) const GO: &[u8] = b"go\n";
/// What the sender says on those that it does not choose.
pub(crate) const NEVERMIND: &[u8] = b"nevermind\n";

/// What happened to the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// It has come to be, before the key did.
    OpenedEarly,
    /// The connection and the key are there; this is what the other side must say, and what it has said already.
    Begin {
        /// The line of the other side; for a receiver with the sender's choice.
        expect: Expect,
        /// Bytes that came with the relay's `ok`.
        read: Vec<u8>,
    },
    /// Bytes from the other side.
    Received(Vec<u8>),
}

/// What the race is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Say our line.
    Greet,
    /// Read on.
    Read,
    /// All has come that must; the bytes are what came after it.
    Complete(Vec<u8>),
    /// This is not our peer.
    Foreign,
}

/// How far the other side has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Handshake {
    /// The connection is not there yet.
    #[default]
    Dialling,
    /// The connection is there and the key is not.
    Held,
    /// Our line is said, theirs is to come.
    Greeting(Expect),
    /// It is complete, or has failed.
    Finished,
}

impl Handshake {
    /// One input, and where it leads.
    pub(crate) fn step(self, input: Input, out: &mut Vec<Output>) -> Self {
        match self {
            Self::Dialling => match input {
                Input::OpenedEarly => Self::Held,
                Input::Begin { expect, read } => begin(expect, &read, out),
                // The runtime reads only where it was asked.
                Input::Received(_) => Self::Dialling,
            },
            Self::Held => match input {
                Input::Begin { expect, read } => begin(expect, &read, out),
                Input::OpenedEarly | Input::Received(_) => Self::Held,
            },
            Self::Greeting(expect) => match input {
                Input::Received(bytes) => compare(expect, &bytes, out),
                Input::OpenedEarly | Input::Begin { .. } => Self::Greeting(expect),
            },
            Self::Finished => match input {
                Input::OpenedEarly | Input::Begin { .. } | Input::Received(_) => Self::Finished,
            },
        }
    }
}

fn begin(expect: Expect, read: &[u8], out: &mut Vec<Output>) -> Handshake {
    out.push(Output::Greet);
    compare(expect, read, out)
}

fn compare(expect: Expect, bytes: &[u8], out: &mut Vec<Output>) -> Handshake {
    match expect.compare(bytes) {
        Found::Part(expect) => {
            out.push(Output::Read);
            Handshake::Greeting(expect)
        }
        Found::Whole { rest } => {
            out.push(Output::Complete(rest));
            Handshake::Finished
        }
        Found::Other => {
            out.push(Output::Foreign);
            Handshake::Finished
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Table;

    #[test]
    fn what_came_with_the_relays_ok_counts() {
        let mut out = Vec::new();
        let expect = Expect::new(b"line".to_vec());
        let state = Handshake::default().step(Input::Begin { expect, read: b"line and".to_vec() }, &mut out);
        assert_eq!(state, Handshake::Finished);
        assert_eq!(out, [Output::Greet, Output::Complete(b" and".to_vec())]);
    }

    #[test]
    fn the_table_in_the_tree_is_current() {
        let expect = || Expect::new(b"line".to_vec());
        let states = [
            ("Dialling", Handshake::Dialling),
            ("Held", Handshake::Held),
            ("Greeting", Handshake::Greeting(expect())),
            ("Finished", Handshake::Finished),
        ];
        let inputs = [
            ("opened before the key is known", Input::OpenedEarly),
            ("opened, or paired by a relay", Input::Begin { expect: expect(), read: Vec::new() }),
            ("a part of the line", Input::Received(b"li".to_vec())),
            ("the line and more", Input::Received(b"line..".to_vec())),
            ("anything else", Input::Received(b"x".to_vec())),
        ];
        Table {
            name: "transit-handshake",
            source: "transit/handshake.rs",
            about: "",
            states: states.to_vec(),
            inputs: inputs.to_vec(),
        }
        .check_named(Handshake::step);
    }
}
