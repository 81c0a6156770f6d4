//! The receive machine: open the peer's messages, and put its records into their order.
//!
//! Fed by the key machine and the order machine. The first message that opens confirms the key. One that does not open
//! ends everything: the codes differ, or somebody guesses.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::mem;

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
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
struct Sorter {
    next: u64,
    early: BTreeMap<u64, Vec<u8>>,
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
            self.early.insert(number, plain);
            if self.early_bytes > EARLY_BYTES {
                out.push(Output::TooMuch);
            }
            return;
        }
        out.push(Output::Record(plain));
        self.next = self.next.saturating_add(1);
        while let Some(plain) = self.early.remove(&self.next) {
            self.early_bytes = self.early_bytes.saturating_sub(plain.len());
            out.push(Output::Record(plain));
            self.next = self.next.saturating_add(1);
        }
    }
}
