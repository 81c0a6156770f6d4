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
pub(crate) struct Allocator {
    state: State,
}

impl Allocator {
    pub(crate) fn handle(&mut self, input: Input, line: Line, rng: &mut Rng) -> Vec<Output> {
        let mut out = Vec::new();
        self.state = mem::take(&mut self.state).step(input, line, rng, &mut out);
        out
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
