//! The input: a code that is typed, first the nameplate, then the words, with completion of both.
//!
//! Fed by the application's calls, the lister (nameplates to complete from) and the nameplate (claimed, from when on
//! words complete). A call at the wrong moment is refused and changes nothing. It ends with the words.

use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

use zeroize::Zeroizing;

use crate::code;
use crate::error::Misuse;
use crate::words;

/// A typed code has as many words as one that we make.
const EXPECTED_WORDS: usize = crate::defaults::CODE_WORDS;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Start,
    Refresh,
    Nameplates(Vec<code::Nameplate>),
    Nameplate(code::Nameplate),
    Claimed,
    Words(Zeroizing<String>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Refresh,
    Nameplates(Vec<code::Nameplate>),
    Nameplate(code::Nameplate),
    WordsWanted,
    Code(code::Code),
    Refuse(Misuse),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Typing {
    state: State,
}

impl Typing {
    pub(crate) fn handle(&mut self, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        self.state = mem::take(&mut self.state).step(input, &mut out);
        out
    }

    pub(crate) fn complete_nameplate(&self, typed: &str) -> Result<Vec<String>, Misuse> {
        match &self.state {
            State::Idle => Err(NOT_TYPING),
            State::Nameplate(known) => Ok(words::complete_nameplate(typed, known)),
            State::Claiming(_) | State::Words(_) | State::Done => Err(Misuse::NameplateAlreadyChosen),
        }
    }

    pub(crate) fn complete_words(&self, typed: &str) -> Result<Vec<String>, Misuse> {
        match &self.state {
            State::Idle | State::Nameplate(_) => Err(Misuse::ChooseNameplateFirst),
            State::Claiming(_) => Ok(Vec::new()),
            State::Words(_) => Ok(words::complete_words(typed, EXPECTED_WORDS)),
            State::Done => Err(Misuse::WordsAlreadyChosen),
        }
    }

    /// How it stands, for a trace.
    pub(super) fn state(&self) -> &impl core::fmt::Debug {
        &self.state
    }
}

/// The answer to calls that belong to a typed code, where no code is typed.
const NOT_TYPING: Misuse = Misuse::OutOfTurn("the code is not being typed");

#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum State {
    #[default]
    Idle,
    /// The nameplate is being typed; these can be completed to.
    Nameplate(Vec<code::Nameplate>),
    /// Chosen, but not confirmed by the server: no words to complete from.
    Claiming(code::Nameplate),
    Words(code::Nameplate),
    Done,
}

impl State {
    fn step(self, input: Input, out: &mut Vec<Output>) -> Self {
        match self {
            Self::Idle => match input {
                Input::Start => {
                    out.push(Output::Refresh);
                    Self::Nameplate(Vec::new())
                }
                Input::Refresh | Input::Nameplate(_) => refuse(Self::Idle, NOT_TYPING, out),
                Input::Words(_) => refuse(Self::Idle, Misuse::ChooseNameplateFirst, out),
                Input::Nameplates(_) | Input::Claimed => Self::Idle,
            },
            Self::Nameplate(known) => match input {
                Input::Refresh => {
                    out.push(Output::Refresh);
                    Self::Nameplate(known)
                }
                Input::Nameplates(known) => {
                    out.push(Output::Nameplates(known.clone()));
                    Self::Nameplate(known)
                }
                Input::Nameplate(nameplate) => {
                    out.push(Output::Nameplate(nameplate.clone()));
                    Self::Claiming(nameplate)
                }
                Input::Words(_) => refuse(Self::Nameplate(known), Misuse::ChooseNameplateFirst, out),
                Input::Start => refuse(Self::Nameplate(known), Misuse::CodeAlreadyChosen, out),
                Input::Claimed => Self::Nameplate(known),
            },
            Self::Claiming(nameplate) => match input {
                Input::Claimed => {
                    out.push(Output::WordsWanted);
                    Self::Words(nameplate)
                }
                Input::Words(words) => finish(nameplate, &words, Self::Claiming, out),
                Input::Start | Input::Refresh | Input::Nameplate(_) => {
                    refuse(Self::Claiming(nameplate), Misuse::NameplateAlreadyChosen, out)
                }
                Input::Nameplates(_) => Self::Claiming(nameplate),
            },
            Self::Words(nameplate) => match input {
                Input::Words(words) => finish(nameplate, &words, Self::Words, out),
                Input::Start | Input::Refresh | Input::Nameplate(_) => {
                    refuse(Self::Words(nameplate), Misuse::NameplateAlreadyChosen, out)
                }
                // Claimed again, on a new link.
                Input::Nameplates(_) | Input::Claimed => Self::Words(nameplate),
            },
            Self::Done => match input {
                Input::Start | Input::Refresh | Input::Nameplate(_) => {
                    refuse(Self::Done, Misuse::NameplateAlreadyChosen, out)
                }
                Input::Words(_) => refuse(Self::Done, Misuse::WordsAlreadyChosen, out),
                Input::Nameplates(_) | Input::Claimed => Self::Done,
            },
        }
    }
}

fn finish(
    nameplate: code::Nameplate,
    words: &str,
    same: fn(code::Nameplate) -> State,
    out: &mut Vec<Output>,
) -> State {
    match code::Code::from_parts(&nameplate, words) {
        Ok(code) => {
            out.push(Output::Code(code));
            State::Done
        }
        Err(fault) => refuse(same(nameplate), fault.into(), out),
    }
}

fn refuse(state: State, misuse: Misuse, out: &mut Vec<Output>) -> State {
    out.push(Output::Refuse(misuse));
    state
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;

    use super::*;
    use crate::error::CodeFault;
    use crate::table::Table;
    use crate::wormhole::samples::{code, nameplate};

    #[test]
    fn the_table_is_as_written() {
        let inputs = vec![
            Input::Start,
            Input::Refresh,
            Input::Nameplates(vec![nameplate()]),
            Input::Nameplate(nameplate()),
            Input::Claimed,
            Input::Words(words("armistice-baboon")),
            Input::Words(words("no spaces")),
        ];
        let states = [
            State::Idle,
            State::Nameplate(vec![]),
            State::Claiming(nameplate()),
            State::Words(nameplate()),
            State::Done,
        ];
        Table {
            name: "input",
            source: "wormhole/input.rs",
            about: "`Refuse` is what the application's call returns.",
            states: states.map(|state| Typing { state }).to_vec(),
            inputs,
        }
        .check(|it| format!("{:?}", it.state), show, Typing::handle);
    }

    #[test]
    fn a_code_is_typed_with_completion_of_both_parts() {
        let mut typing = Typing::default();
        assert_eq!(typing.handle(Input::Start), [Output::Refresh]);
        typing.handle(Input::Nameplates(vec![nameplate()]));
        assert_eq!(typing.complete_nameplate(""), Ok(vec!["4-".into()]));
        assert_eq!(typing.complete_words("arm"), Err(Misuse::ChooseNameplateFirst));

        assert_eq!(typing.handle(Input::Nameplate(nameplate())), [Output::Nameplate(nameplate())]);
        assert_eq!(typing.complete_nameplate(""), Err(Misuse::NameplateAlreadyChosen));
        assert_eq!(typing.complete_words("armi"), Ok(vec![]));

        assert_eq!(typing.handle(Input::Claimed), [Output::WordsWanted]);
        assert_eq!(typing.complete_words("armi"), Ok(vec!["armistice-".into()]));
        assert_eq!(typing.handle(Input::Words(words("armistice-baboon"))), [Output::Code(code())]);
        assert_eq!(typing.complete_words("armi"), Err(Misuse::WordsAlreadyChosen));
    }

    #[test]
    fn words_that_are_no_code_can_be_typed_again() {
        let mut typing = Typing { state: State::Words(nameplate()) };
        let refused = typing.handle(Input::Words(words("two words")));
        assert_eq!(refused, [Output::Refuse(CodeFault::Space.into())]);
        assert_eq!(typing.handle(Input::Words(words("armistice-baboon"))), [Output::Code(code())]);
    }

    #[test]
    fn words_may_be_chosen_before_the_claim_is_answered() {
        let mut typing = Typing { state: State::Claiming(nameplate()) };
        assert_eq!(typing.handle(Input::Words(words("armistice-baboon"))), [Output::Code(code())]);
        assert_eq!(typing.handle(Input::Claimed), []);
    }
    fn show(input: &Input) -> String {
        match input {
            Input::Words(words) => format!("Words({:?})", words.as_str()),
            Input::Start | Input::Refresh | Input::Nameplates(_) | Input::Nameplate(_) | Input::Claimed => {
                format!("{input:?}")
            }
        }
    }

    fn words(typed: &str) -> Zeroizing<String> {
        Zeroizing::new(typed.into())
    }
}
