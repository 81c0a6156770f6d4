//! The code: allocated, given or typed; exactly one of the three, once.
//!
//! Fed by the application, the allocator and the input machine. It tells the nameplate as soon as that is known, and
//! ends with the whole code.

use alloc::vec::Vec;
use core::mem;

use crate::code;
use crate::error::{CodeFault, Misuse};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Allocate {
        words: usize,
    },
    Set(code::Code),
    Type,
    /// From the allocator.
    Allocated(code::Code),
    /// From the input machine.
    Nameplate(code::Nameplate),
    /// From the input machine.
    Typed(code::Code),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Allocate { words: usize },
    Type,
    Nameplate(code::Nameplate),
    Code(code::Code),
    Refuse(Misuse),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Code {
    state: State,
}

impl Code {
    pub(crate) fn handle(&mut self, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        self.state = mem::take(&mut self.state).step(input, &mut out);
        out
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    None,
    Allocating,
    TypingNameplate,
    TypingWords,
    Known,
}

impl State {
    fn step(self, input: Input, out: &mut Vec<Output>) -> Self {
        match self {
            Self::None => match input {
                Input::Allocate { words } if !(1..=code::WORDS).contains(&words) => {
                    out.push(Output::Refuse(CodeFault::WordCount.into()));
                    Self::None
                }
                Input::Allocate { words } => {
                    out.push(Output::Allocate { words });
                    Self::Allocating
                }
                Input::Set(code) => whole(code, out),
                Input::Type => {
                    out.push(Output::Type);
                    Self::TypingNameplate
                }
                Input::Allocated(_) | Input::Nameplate(_) | Input::Typed(_) => Self::None,
            },
            Self::Allocating => match input {
                Input::Allocated(code) => whole(code, out),
                Input::Allocate { .. } | Input::Set(_) | Input::Type => refuse(Self::Allocating, out),
                Input::Nameplate(_) | Input::Typed(_) => Self::Allocating,
            },
            Self::TypingNameplate => match input {
                Input::Nameplate(nameplate) => {
                    out.push(Output::Nameplate(nameplate));
                    Self::TypingWords
                }
                Input::Allocate { .. } | Input::Set(_) | Input::Type => refuse(Self::TypingNameplate, out),
                Input::Allocated(_) | Input::Typed(_) => Self::TypingNameplate,
            },
            Self::TypingWords => match input {
                Input::Typed(code) => {
                    out.push(Output::Code(code));
                    Self::Known
                }
                Input::Allocate { .. } | Input::Set(_) | Input::Type => refuse(Self::TypingWords, out),
                Input::Allocated(_) | Input::Nameplate(_) => Self::TypingWords,
            },
            Self::Known => match input {
                Input::Allocate { .. } | Input::Set(_) | Input::Type => refuse(Self::Known, out),
                Input::Allocated(_) | Input::Nameplate(_) | Input::Typed(_) => Self::Known,
            },
        }
    }
}

fn whole(code: code::Code, out: &mut Vec<Output>) -> State {
    out.push(Output::Nameplate(code.nameplate()));
    out.push(Output::Code(code));
    State::Known
}

fn refuse(state: State, out: &mut Vec<Output>) -> State {
    out.push(Output::Refuse(Misuse::CodeAlreadyChosen));
    state
}
