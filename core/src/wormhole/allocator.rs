//! The allocator: have the server choose a nameplate, and add words to it.
//!
//! Fed by the code machine, the link and the server. It ends with the code, or at close: a nameplate that is on its
//! way then is given back as soon as its number is known, for nobody else would.

use alloc::vec::Vec;
use core::mem;

use super::link::Line;
use crate::code;
use crate::error::CodeFault;
use crate::rng::Rng;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Allocate { words: usize },
    LinkUp,
    LinkDown,
    Allocated(code::Nameplate),
    Close,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Allocate,
    Code(code::Code),
    Release(code::Nameplate),
    /// So many words cannot be made; the code machine has refused that before.
    Impossible(CodeFault),
    Finish,
    /// The server spoke out of turn.
    Stray,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Allocator {
    state: State,
}

impl Allocator {
    pub(crate) fn handle(&mut self, input: Input, line: Line, rng: &mut Rng) -> Vec<Output> {
        let mut out = Vec::new();
        self.state = mem::take(&mut self.state).step(input, line, rng, &mut out);
        out
    }

    /// Whether the server is to choose a nameplate, and has not.
    pub(crate) const fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
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
    /// To be asked for, or asked for already.
    Waiting {
        words: usize,
    },
    /// Asked for, and no longer wanted.
    Abandoned,
    Finished,
}

impl State {
    fn step(self, input: Input, line: Line, rng: &mut Rng, out: &mut Vec<Output>) -> Self {
        match self {
            Self::Idle => match input {
                Input::Allocate { words } => {
                    match line {
                        Line::Up => out.push(Output::Allocate),
                        Line::Down => {}
                    }
                    Self::Waiting { words }
                }
                Input::Close => finish(out),
                Input::LinkUp | Input::LinkDown => Self::Idle,
                Input::Allocated(_) => {
                    out.push(Output::Stray);
                    Self::Idle
                }
            },
            Self::Waiting { words } => match input {
                // If the answer went down with the old link, that nameplate is lost until it expires.
                Input::LinkUp => {
                    out.push(Output::Allocate);
                    Self::Waiting { words }
                }
                Input::Allocated(nameplate) => {
                    out.push(match code::Code::generate(&nameplate, words, rng) {
                        Ok(code) => Output::Code(code),
                        Err(fault) => Output::Impossible(fault),
                    });
                    Self::Finished
                }
                Input::Close => match line {
                    Line::Up => Self::Abandoned,
                    Line::Down => finish(out),
                },
                Input::Allocate { .. } | Input::LinkDown => Self::Waiting { words },
            },
            Self::Abandoned => match input {
                // What is said last still leaves, and its answer tells nothing.
                Input::Allocated(nameplate) => {
                    out.push(Output::Release(nameplate));
                    finish(out)
                }
                Input::LinkDown => finish(out),
                Input::Allocate { .. } | Input::LinkUp | Input::Close => Self::Abandoned,
            },
            Self::Finished => match input {
                Input::Close => finish(out),
                Input::Allocate { .. } | Input::LinkUp | Input::LinkDown | Input::Allocated(_) => {
                    Self::Finished
                }
            },
        }
    }
}

fn finish(out: &mut Vec<Output>) -> State {
    out.push(Output::Finish);
    State::Finished
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;
    use crate::table::Table;
    use crate::wormhole::samples::{nameplate, on_line, rng, with_lines};

    #[test]
    fn the_table_is_as_written() {
        let inputs =
            [Input::Allocate { words: 2 }, Input::LinkUp, Input::Allocated(nameplate()), Input::Close];
        let down = [Input::Allocate { words: 2 }, Input::LinkDown, Input::Close];
        let states = [State::Idle, State::Waiting { words: 2 }, State::Abandoned, State::Finished];
        Table {
            name: "allocator",
            source: "wormhole/allocator.rs",
            about: "`Stray`: the server spoke out of turn, which fails the wormhole.",
            states: states.map(|state| Allocator { state }).to_vec(),
            inputs: with_lines(&inputs, &down),
        }
        .check(
            |it| format!("{:?}", it.state),
            on_line,
            |it, (input, line)| it.handle(input, line, &mut rng()),
        );
    }

    #[test]
    fn the_code_has_the_servers_number_and_as_many_words_as_asked() {
        let mut machine = Allocator::default();
        let asked = machine.handle(Input::Allocate { words: 3 }, Line::Up, &mut rng());
        assert_eq!(asked, [Output::Allocate]);
        let expected = code::Code::generate(&nameplate(), 3, &mut rng()).unwrap();
        let code = machine.handle(Input::Allocated(nameplate()), Line::Up, &mut rng());
        assert_eq!(code, [Output::Code(expected)]);
    }

    #[test]
    fn a_number_that_comes_after_the_close_is_given_back() {
        let mut machine = Allocator { state: State::Waiting { words: 2 } };
        assert_eq!(machine.handle(Input::Close, Line::Up, &mut rng()), []);
        let late = machine.handle(Input::Allocated(nameplate()), Line::Up, &mut rng());
        assert_eq!(late, [Output::Release(nameplate()), Output::Finish]);
    }

    #[test]
    fn a_number_that_cannot_come_any_more_is_not_waited_for() {
        let mut machine = Allocator { state: State::Waiting { words: 2 } };
        assert_eq!(machine.handle(Input::Close, Line::Up, &mut rng()), []);
        assert_eq!(machine.handle(Input::LinkDown, Line::Down, &mut rng()), [Output::Finish]);
    }
}
