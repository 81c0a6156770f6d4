//! The lister: ask the server which nameplates are in use, for completion.
//!
//! Fed by the input machine, the link and the server. It can be asked again and again, and stops at close.

use alloc::vec::Vec;
use core::mem;

use super::link::Line;
use crate::code::Nameplate;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Refresh,
    LinkUp,
    Nameplates(Vec<Nameplate>),
    Close,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    List,
    Nameplates(Vec<Nameplate>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Lister {
    state: State,
}

impl Lister {
    pub(crate) fn handle(&mut self, input: Input, line: Line) -> Vec<Output> {
        let mut out = Vec::new();
        self.state = mem::take(&mut self.state).step(input, line, &mut out);
        out
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
    Idle,
    Wanting,
    Closed,
}

impl State {
    fn step(self, input: Input, line: Line, out: &mut Vec<Output>) -> Self {
        match self {
            Self::Idle | Self::Wanting => match input {
                Input::Refresh => {
                    match line {
                        Line::Up => out.push(Output::List),
                        Line::Down => {}
                    }
                    Self::Wanting
                }
                Input::LinkUp => {
                    if self == Self::Wanting {
                        out.push(Output::List);
                    }
                    self
                }
                // An answer too many is welcome: it is newer.
                Input::Nameplates(nameplates) => {
                    out.push(Output::Nameplates(nameplates));
                    Self::Idle
                }
                Input::Close => Self::Closed,
            },
            Self::Closed => Self::Closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;

    use super::*;
    use crate::table::Table;
    use crate::wormhole::samples::nameplate;
    use crate::wormhole::samples::{on_line, with_lines};

    #[test]
    fn the_table_is_as_written() {
        let inputs = [Input::Refresh, Input::LinkUp, Input::Nameplates(vec![nameplate()]), Input::Close];
        Table {
            name: "lister",
            source: "wormhole/lister.rs",
            about: "The nameplates in use are asked for as often as the application likes.",
            states: [State::Idle, State::Wanting, State::Closed].map(|state| Lister { state }).to_vec(),
            inputs: with_lines(&inputs, &[Input::Refresh]),
        }
        .check(|it| format!("{:?}", it.state), on_line, |it, (input, line)| it.handle(input, line));
    }

    #[test]
    fn a_list_without_answer_is_asked_for_again() {
        let mut machine = Lister::default();
        assert_eq!(machine.handle(Input::Refresh, Line::Down), []);
        assert_eq!(machine.handle(Input::LinkUp, Line::Up), [Output::List]);
        assert_eq!(machine.handle(Input::LinkUp, Line::Up), [Output::List]);
        machine.handle(Input::Nameplates(vec![]), Line::Up);
        assert_eq!(machine.handle(Input::LinkUp, Line::Up), []);
    }
}
