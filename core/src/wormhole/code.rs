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
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Code {
    state: State,
}

impl Code {
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

#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;

    use super::*;
    use crate::table::Table;
    use crate::wormhole::samples::{code, nameplate};

    #[test]
    fn the_table_is_as_written() {
        let inputs = vec![
            Input::Allocate { words: 2 },
            Input::Allocate { words: 0 },
            Input::Set(code()),
            Input::Type,
            Input::Allocated(code()),
            Input::Nameplate(nameplate()),
            Input::Typed(code()),
        ];
        let states =
            [State::None, State::Allocating, State::TypingNameplate, State::TypingWords, State::Known];
        Table {
            name: "code",
            source: "wormhole/code.rs",
            about: "`Refuse` is what the application's call returns.",
            states: states.map(|state| Code { state }).to_vec(),
            inputs,
        }
        .check(|it| format!("{:?}", it.state), |input| format!("{input:?}"), Code::handle);
    }

    #[test]
    fn only_one_code_is_taken() {
        for first in [Input::Allocate { words: 2 }, Input::Set(code()), Input::Type] {
            for second in [Input::Allocate { words: 2 }, Input::Set(code()), Input::Type] {
                let mut machine = Code::default();
                machine.handle(first.clone());
                assert_eq!(machine.handle(second), [Output::Refuse(Misuse::CodeAlreadyChosen)]);
            }
        }
    }

    #[test]
    fn a_number_of_words_that_cannot_be_made_is_refused_and_may_be_corrected() {
        let mut machine = Code::default();
        let refusal = [Output::Refuse(CodeFault::WordCount.into())];
        assert_eq!(machine.handle(Input::Allocate { words: 0 }), refusal);
        assert_eq!(machine.handle(Input::Allocate { words: code::WORDS + 1 }), refusal);
        assert_eq!(machine.handle(Input::Allocate { words: 1 }), [Output::Allocate { words: 1 }]);
    }

    #[test]
    fn the_nameplate_of_a_whole_code_is_claimed_before_the_code_is_used() {
        let mut machine = Code::default();
        let out = machine.handle(Input::Set(code()));
        assert_eq!(out, [Output::Nameplate(nameplate()), Output::Code(code())]);
    }
}
