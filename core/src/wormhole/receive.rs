//! The receive machine: open the peer's messages, and put its records into their order.
//!
//! Fed by the key machine and the order machine. The first message that opens confirms the key. One that does not open
//! ends everything: the codes differ, or somebody guesses.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::mem;

use zeroize::Zeroizing;

use super::mailbox::Message;
use crate::crypto::{SessionKey, secretbox};
use crate::wire::Phase;

/// Bytes of records that may wait for an earlier one.
const EARLY_BYTES: usize = 8 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Key(SessionKey),
    Message(Message),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// The peer has the same key.
    Confirmed(SessionKey),
    /// The plaintext of the peer's `version`.
    Version(Vec<u8>),
    /// The next record in the peer's order.
    Record(Vec<u8>),
    /// A message does not open.
    Scared,
    /// More records wait for an earlier one than may.
    TooMuch,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Receive {
    sorter: Sorter,
    state: State,
}

impl Receive {
    pub(crate) fn handle(&mut self, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        self.state = mem::take(&mut self.state).step(input, &mut self.sorter, &mut out);
        out
    }

    /// Whether a message of the peer has opened.
    pub(crate) const fn is_confirmed(&self) -> bool {
        match self.state {
            State::Confirmed(_) => true,
            State::NoKey | State::Unconfirmed(_) | State::Scared => false,
        }
    }

    /// How it stands, for a trace.
    pub(super) fn state(&self) -> &impl core::fmt::Debug {
        &self.state
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum State {
    #[default]
    NoKey,
    Unconfirmed(SessionKey),
    Confirmed(SessionKey),
    Scared,
}

impl State {
    fn step(self, input: Input, sorter: &mut Sorter, out: &mut Vec<Output>) -> Self {
        match self {
            Self::NoKey => match input {
                Input::Key(key) => Self::Unconfirmed(key),
                // The order machine holds everything until there is a key.
                Input::Message(_) => Self::NoKey,
            },
            Self::Unconfirmed(key) => match input {
                Input::Message(message) => match open(&key, &message) {
                    Some(plain) => {
                        out.push(Output::Confirmed(key.clone()));
                        sorter.sort(&message.phase, plain, out);
                        Self::Confirmed(key)
                    }
                    None => scared(out),
                },
                Input::Key(_) => Self::Unconfirmed(key),
            },
            Self::Confirmed(key) => match input {
                Input::Message(message) => match open(&key, &message) {
                    Some(plain) => {
                        sorter.sort(&message.phase, plain, out);
                        Self::Confirmed(key)
                    }
                    None => scared(out),
                },
                Input::Key(_) => Self::Confirmed(key),
            },
            Self::Scared => Self::Scared,
        }
    }
}

fn open(key: &SessionKey, message: &Message) -> Option<Vec<u8>> {
    secretbox::open(&key.phase_key(&message.side, &message.phase), &message.body)
}

fn scared(out: &mut Vec<Output>) -> State {
    out.push(Output::Scared);
    State::Scared
}

/// Numbered phases, told without gaps. The mailbox lets each phase through once, and not too far ahead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Sorter {
    next: u64,
    #[cfg_attr(feature = "serde", serde(with = "crate::saved::numbered"))]
    early: BTreeMap<u64, Zeroizing<Vec<u8>>>,
    early_bytes: usize,
}

impl Sorter {
    fn sort(&mut self, phase: &Phase, plain: Vec<u8>, out: &mut Vec<Output>) {
        if *phase == Phase::version() {
            out.push(Output::Version(plain));
        } else if let Some(number) = phase.as_number() {
            self.record(number, plain, out);
        }
        // Phases of other names are for a version of the protocol that we do not speak.
    }

    fn record(&mut self, number: u64, plain: Vec<u8>, out: &mut Vec<Output>) {
        if number != self.next {
            self.early_bytes = self.early_bytes.saturating_add(plain.len());
            self.early.insert(number, Zeroizing::new(plain));
            if self.early_bytes > EARLY_BYTES {
                out.push(Output::TooMuch);
            }
            return;
        }
        out.push(Output::Record(plain));
        self.next = self.next.saturating_add(1);
        while let Some(mut plain) = self.early.remove(&self.next) {
            self.early_bytes = self.early_bytes.saturating_sub(plain.len());
            out.push(Output::Record(mem::take(&mut plain)));
            self.next = self.next.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;

    use super::*;
    use crate::table::Table;
    use crate::wormhole::samples::{key, message, theirs};

    #[test]
    fn the_table_is_as_written() {
        let states = [State::NoKey, State::Unconfirmed(key()), State::Confirmed(key()), State::Scared];
        let inputs = [
            ("Key", Input::Key(key())),
            ("version", sealed("version", b"{}")),
            ("record 0", sealed("0", b"record")),
            ("record 1", sealed("1", b"record")),
            ("unknown phase", sealed("later", b"x")),
            ("forgery", Input::Message(message("0"))),
        ];
        Table {
            name: "receive",
            source: "wormhole/receive.rs",
            about: "No record was told yet, so that record 1 waits for record 0.",
            states: states.map(|state| Receive { state, ..Receive::default() }).to_vec(),
            inputs: inputs.to_vec(),
        }
        .check(
            |it| format!("{:?}", it.state),
            |(name, _)| (*name).into(),
            |it, (_, input)| it.handle(input),
        );
    }

    #[test]
    fn the_first_message_that_opens_confirms_the_key() {
        for first in ["version", "0", "later"] {
            let mut machine = with_key();
            let out = machine.handle(sealed(first, b"{}"));
            assert_eq!(out.first(), Some(&Output::Confirmed(key())));
            let next = machine.handle(sealed("7", b""));
            assert_eq!(next, []);
        }
    }

    #[test]
    fn records_are_told_in_the_order_of_their_numbers() {
        let mut machine = with_key();
        machine.handle(sealed("version", b"{}"));
        assert_eq!(machine.handle(sealed("2", b"c")), []);
        assert_eq!(machine.handle(sealed("1", b"b")), []);
        let out = machine.handle(sealed("0", b"a"));
        assert_eq!(out, [b"a", b"b", b"c"].map(|plain| Output::Record(plain.to_vec())));
        assert_eq!(machine.sorter.early_bytes, 0);
    }

    #[test]
    fn a_message_that_does_not_open_ends_everything() {
        for start in [with_key(), Receive { state: State::Confirmed(key()), ..Receive::default() }] {
            let mut machine = start;
            assert_eq!(machine.handle(Input::Message(message("later"))), [Output::Scared]);
            assert_eq!(machine.handle(sealed("0", b"a")), []);
        }
    }

    #[test]
    fn a_message_does_not_open_under_another_phase() {
        let mut machine = with_key();
        let Input::Message(sealed) = sealed("0", b"a") else { panic!("it is a message") };
        let moved = Message { phase: Phase::number(1), ..sealed };
        assert_eq!(machine.handle(Input::Message(moved)), [Output::Scared]);
    }

    #[test]
    fn the_bytes_that_wait_for_an_earlier_record_are_bounded() {
        let mut machine = with_key();
        machine.handle(sealed("version", b"{}"));
        assert_eq!(machine.handle(sealed("1", &vec![0; EARLY_BYTES])), []);
        assert_eq!(machine.handle(sealed("2", b"x")), [Output::TooMuch]);
    }

    fn with_key() -> Receive {
        Receive { state: State::Unconfirmed(key()), ..Receive::default() }
    }

    fn sealed(name: &str, plain: &[u8]) -> Input {
        let phase = Phase::parse(name).unwrap();
        let body = secretbox::seal(&key().phase_key(&theirs(), &phase), &[0; 24], plain);
        Input::Message(Message { side: theirs(), phase, body })
    }
}
