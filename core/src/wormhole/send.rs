//! The send machine: number our records, hold them until the key is confirmed, then seal them.
//!
//! Fed by the application and the receive machine (confirmed). It has no end; at close it forgets what it holds.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem;

use super::mailbox::Own;
use crate::crypto::{SessionKey, secretbox};
use crate::rng::Rng;
use crate::wire::{Phase, Side};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Send(Vec<u8>),
    /// The peer has this key, too.
    Confirmed(SessionKey),
    Close,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Add(Own),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Send {
    /// The number of the next record that is sealed.
    next: u64,
    state: State,
}

impl Send {
    pub(crate) fn handle(&mut self, input: Input, side: &Side, rng: &mut Rng) -> Vec<Output> {
        let mut out = Vec::new();
        self.state = mem::take(&mut self.state).step(input, &mut self.next, side, rng, &mut out);
        out
    }

    /// How many records wait for the key.
    pub(crate) fn waiting(&self) -> usize {
        match &self.state {
            State::NoKey(held) => held.len(),
            State::Confirmed(_) | State::Closed => 0,
        }
    }

    /// The bytes of the records that wait for the key.
    pub(crate) fn waiting_bytes(&self) -> usize {
        match &self.state {
            State::NoKey(held) => held.iter().map(Vec::len).sum(),
            State::Confirmed(_) | State::Closed => 0,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Bounded by [`super::Wormhole::send`].
    NoKey(VecDeque<Vec<u8>>),
    Confirmed(SessionKey),
    Closed,
}

impl Default for State {
    fn default() -> Self {
        Self::NoKey(VecDeque::new())
    }
}

impl State {
    fn step(self, input: Input, next: &mut u64, side: &Side, rng: &mut Rng, out: &mut Vec<Output>) -> Self {
        match self {
            Self::NoKey(mut held) => match input {
                Input::Send(record) => {
                    held.push_back(record);
                    Self::NoKey(held)
                }
                Input::Confirmed(key) => {
                    out.extend(held.iter().map(|record| seal(record, next, &key, side, rng)));
                    Self::Confirmed(key)
                }
                Input::Close => Self::Closed,
            },
            Self::Confirmed(key) => match input {
                Input::Send(record) => {
                    out.push(seal(&record, next, &key, side, rng));
                    Self::Confirmed(key)
                }
                Input::Confirmed(_) => Self::Confirmed(key),
                Input::Close => Self::Closed,
            },
            Self::Closed => Self::Closed,
        }
    }
}

fn seal(record: &[u8], next: &mut u64, key: &SessionKey, side: &Side, rng: &mut Rng) -> Output {
    let phase = Phase::number(*next);
    *next = next.saturating_add(1);
    let body = secretbox::seal(&key.phase_key(side, &phase), &rng.bytes(), record);
    Output::Add(Own { phase, body })
}
