//! The order: hold the peer's messages until there is a key to open them with.
//!
//! Fed by the mailbox (each phase once) and the key machine. The peer's `pake` goes to the key machine at once, everything
//! else waits for its result. It has no end: once there is a key it only passes on.

use alloc::vec::Vec;
use core::mem;

use super::mailbox::Message;
use crate::wire::Phase;

/// Messages that may wait for the key. An honest peer sends at most a handful before it has heard from us.
const HELD_MESSAGES: usize = 64;
/// Their bytes.
const HELD_BYTES: usize = 4 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Message(Message),
    Key,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Pake(Vec<u8>),
    Deliver(Message),
    /// More came than may wait.
    TooMuch,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Order {
    state: State,
}

impl Order {
    pub(crate) fn handle(&mut self, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        self.state = mem::take(&mut self.state).step(input, &mut out);
        out
    }

    /// How it stands, for a trace.
    pub(super) fn state(&self) -> &impl core::fmt::Debug {
        &self.state
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum State {
    /// Without the peer's `pake`, or without our own code.
    NoKey(Vec<Message>),
    Key,
}

impl Default for State {
    fn default() -> Self {
        Self::NoKey(Vec::new())
    }
}

impl State {
    fn step(self, input: Input, out: &mut Vec<Output>) -> Self {
        match self {
            Self::NoKey(mut held) => match input {
                Input::Message(message) if message.phase == Phase::pake() => {
                    out.push(Output::Pake(message.body));
                    Self::NoKey(held)
                }
                Input::Message(message) => {
                    let bytes: usize = held.iter().map(|held| held.body.len()).sum();
                    if held.len() >= HELD_MESSAGES || bytes.saturating_add(message.body.len()) > HELD_BYTES {
                        out.push(Output::TooMuch);
                    } else {
                        held.push(message);
                    }
                    Self::NoKey(held)
                }
                Input::Key => {
                    out.extend(held.into_iter().map(Output::Deliver));
                    Self::Key
                }
            },
            Self::Key => match input {
                Input::Message(message) => {
                    out.push(Output::Deliver(message));
                    Self::Key
                }
                Input::Key => Self::Key,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;

    use super::*;
    use crate::table::Table;
    use crate::wormhole::samples::message;

    #[test]
    fn the_table_is_as_written() {
        let states = [State::NoKey(vec![]), State::NoKey(vec![message("version")]), State::Key];
        Table {
            name: "order",
            source: "wormhole/order.rs",
            about: "`Key`: the exchange has brought a key, so that the peer's `pake` and our code are there.",
            states: states.map(|state| Order { state }).to_vec(),
            inputs: vec![Input::Message(message("pake")), Input::Message(message("0")), Input::Key],
        }
        .check(|it| format!("{:?}", it.state), |input| format!("{input:?}"), Order::handle);
    }

    #[test]
    fn what_came_before_the_key_is_delivered_as_it_came() {
        let mut order = Order::default();
        assert_eq!(order.handle(Input::Message(message("1"))), []);
        assert_eq!(order.handle(Input::Message(message("pake"))), [Output::Pake(message("pake").body)]);
        assert_eq!(order.handle(Input::Message(message("version"))), []);
        let held = order.handle(Input::Key);
        assert_eq!(held, [Output::Deliver(message("1")), Output::Deliver(message("version"))]);
        assert_eq!(order.handle(Input::Message(message("0"))), [Output::Deliver(message("0"))]);
    }

    #[test]
    fn what_waits_is_bounded_in_number_and_in_bytes() {
        let mut order = Order::default();
        for number in 0..HELD_MESSAGES {
            assert_eq!(order.handle(Input::Message(message(&format!("{number}")))), []);
        }
        assert_eq!(order.handle(Input::Message(message("one more"))), [Output::TooMuch]);

        let mut order = Order::default();
        let long = Message { body: vec![0; HELD_BYTES], ..message("0") };
        assert_eq!(order.handle(Input::Message(long)), []);
        assert_eq!(order.handle(Input::Message(message("1"))), [Output::TooMuch]);
    }
}
