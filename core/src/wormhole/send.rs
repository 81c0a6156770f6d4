//! The send machine: number our records, hold them until the key is confirmed, then seal them.
//!
//! Fed by the application and the receive machine (confirmed). It has no end; at close it forgets what it holds.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem;

use zeroize::Zeroizing;

use super::mailbox::Own;
use crate::crypto::{SessionKey, secretbox};
use crate::rng::Rng;
use crate::wire::{Phase, Side};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Send(Zeroizing<Vec<u8>>),
    /// The peer has this key, too.
    Confirmed(SessionKey),
    Close,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Add(Own),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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
            State::NoKey(held) => held.iter().map(|record| record.len()).sum(),
            State::Confirmed(_) | State::Closed => 0,
        }
    }

    /// How it stands, for a trace.
    pub(super) fn state(&self) -> &impl core::fmt::Debug {
        &self.state
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum State {
    /// Bounded by [`super::Wormhole::send`].
    NoKey(#[cfg_attr(feature = "serde", serde(with = "crate::saved::records"))] VecDeque<Zeroizing<Vec<u8>>>),
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

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;
    use alloc::vec;

    use super::*;
    use crate::table::Table;
    use crate::wormhole::samples::{key, ours, rng};

    #[test]
    fn the_table_is_as_written() {
        let states =
            [State::NoKey(VecDeque::from([record(b"first")])), State::Confirmed(key()), State::Closed];
        Table {
            name: "send",
            source: "wormhole/send.rs",
            about: "The key of the peer is not confirmed in `NoKey`.",
            states: states.map(|state| Send { next: 0, state }).to_vec(),
            inputs: vec![
                ("Send", Input::Send(record(b"next"))),
                ("Confirmed", Input::Confirmed(key())),
                ("Close", Input::Close),
            ],
        }
        .check(show, |(name, _)| (*name).into(), |it, (_, input)| step(it, input));
    }

    #[test]
    fn records_wait_for_the_key_and_are_numbered_in_the_order_of_sending() {
        let mut machine = Send::default();
        assert_eq!(step(&mut machine, Input::Send(record(b"a"))), []);
        assert_eq!(step(&mut machine, Input::Send(record(b"bc"))), []);
        assert_eq!((machine.waiting(), machine.waiting_bytes()), (2, 3));
        let mut out = step(&mut machine, Input::Confirmed(key()));
        assert_eq!((machine.waiting(), machine.waiting_bytes()), (0, 0));
        out.extend(step(&mut machine, Input::Send(record(b"d"))));
        let opened: Vec<_> = out
            .iter()
            .map(|Output::Add(own)| {
                let plain = secretbox::open(&key().phase_key(&ours(), &own.phase), &own.body).unwrap();
                (own.phase.as_str(), plain)
            })
            .collect();
        let expected = [("0", b"a".to_vec()), ("1", b"bc".to_vec()), ("2", b"d".to_vec())];
        assert_eq!(opened, expected);
    }

    fn record(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(bytes.to_vec())
    }

    fn show(machine: &Send) -> String {
        match &machine.state {
            State::NoKey(held) => format!("NoKey, {} waiting", held.len()),
            state @ (State::Confirmed(_) | State::Closed) => format!("{state:?}"),
        }
    }

    fn step(machine: &mut Send, input: Input) -> Vec<Output> {
        machine.handle(input, &ours(), &mut rng())
    }
}
