//! The nameplate: ask the server for it, learn the mailbox, give it back.
//!
//! Fed by the code (chosen), the link, the server's answers and the mailbox (heard). While it is held it is claimed
//! again on each link, because a server that restarted empty names a new mailbox. It ends when the server confirms
//! the release, or at close if it was never claimed.

use alloc::vec::Vec;
use core::mem;

use super::link::Line;
use crate::code;
use crate::wire::MailboxId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Chosen(code::Nameplate),
    LinkUp,
    Claimed(MailboxId),
    /// The peer has been heard: the nameplate has done its work.
    Heard,
    Released,
    Close,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Claim(code::Nameplate),
    Release(code::Nameplate),
    OpenMailbox(MailboxId),
    /// The mailbox that a claim came with after all, though its nameplate is being given back.
    LateMailbox(MailboxId),
    /// Back in the pool: the code cannot be used again.
    Consumed,
    Finish,
    /// The server spoke out of turn.
    Stray,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Nameplate {
    state: State,
}

impl Nameplate {
    pub(crate) fn handle(&mut self, input: Input, line: Line) -> Vec<Output> {
        let mut out = Vec::new();
        self.state = mem::take(&mut self.state).step(input, line, &mut out);
        out
    }

    /// Whether the server is to name the mailbox, and has not.
    pub(crate) const fn is_claiming(&self) -> bool {
        matches!(self.state, State::Chosen(_) | State::Claiming(_))
    }

    /// How it stands, for a trace.
    pub(super) fn state(&self) -> &impl core::fmt::Debug {
        &self.state
    }
}

/// What we know, and what the server may hold for us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum State {
    #[default]
    Unset,
    /// Never asked for: the server holds nothing.
    Chosen(code::Nameplate),
    /// Asked for at least once: the server may hold it.
    Claiming(code::Nameplate),
    Claimed(code::Nameplate),
    Releasing(code::Nameplate),
    Finished,
}

impl State {
    fn step(self, input: Input, line: Line, out: &mut Vec<Output>) -> Self {
        match self {
            Self::Unset => match input {
                Input::Chosen(id) => match line {
                    Line::Up => claim(id, out),
                    Line::Down => Self::Chosen(id),
                },
                Input::LinkUp => Self::Unset,
                Input::Close => finish(out),
                Input::Claimed(_) | Input::Heard | Input::Released => stray(Self::Unset, out),
            },
            Self::Chosen(id) => match input {
                Input::LinkUp => claim(id, out),
                Input::Close => finish(out),
                Input::Chosen(_) | Input::Claimed(_) | Input::Heard | Input::Released => {
                    stray(Self::Chosen(id), out)
                }
            },
            Self::Claiming(id) => match input {
                // The answer may have gone down with the old link; asking twice is safe.
                Input::LinkUp => claim(id, out),
                Input::Claimed(mailbox) => {
                    out.push(Output::OpenMailbox(mailbox));
                    Self::Claimed(id)
                }
                Input::Close => release(id, line, out),
                Input::Chosen(_) | Input::Heard | Input::Released => stray(Self::Claiming(id), out),
            },
            Self::Claimed(id) => match input {
                Input::Heard | Input::Close => release(id, line, out),
                // A server that restarted empty has forgotten us: the answer names the mailbox anew.
                Input::LinkUp => claim(id, out),
                Input::Chosen(_) | Input::Claimed(_) | Input::Released => stray(Self::Claimed(id), out),
            },
            Self::Releasing(id) => match input {
                Input::LinkUp => release(id, line, out),
                Input::Released => {
                    out.push(Output::Consumed);
                    finish(out)
                }
                // These crossed our release on the wire.
                Input::Claimed(mailbox) => {
                    out.push(Output::LateMailbox(mailbox));
                    Self::Releasing(id)
                }
                Input::Heard | Input::Close => Self::Releasing(id),
                Input::Chosen(_) => stray(Self::Releasing(id), out),
            },
            Self::Finished => match input {
                Input::Close => finish(out),
                Input::Chosen(_) | Input::LinkUp | Input::Claimed(_) | Input::Heard | Input::Released => {
                    Self::Finished
                }
            },
        }
    }
}

fn claim(id: code::Nameplate, out: &mut Vec<Output>) -> State {
    out.push(Output::Claim(id.clone()));
    State::Claiming(id)
}

fn release(id: code::Nameplate, line: Line, out: &mut Vec<Output>) -> State {
    match line {
        Line::Up => out.push(Output::Release(id.clone())),
        Line::Down => {}
    }
    State::Releasing(id)
}

fn finish(out: &mut Vec<Output>) -> State {
    out.push(Output::Finish);
    State::Finished
}

fn stray(state: State, out: &mut Vec<Output>) -> State {
    out.push(Output::Stray);
    state
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;

    use super::*;
    use crate::table::Table;
    use crate::wormhole::samples::{mailbox, nameplate, on_line, with_lines};

    #[test]
    fn the_table_is_as_written() {
        let inputs = [
            Input::Chosen(nameplate()),
            Input::LinkUp,
            Input::Claimed(mailbox("mb")),
            Input::Heard,
            Input::Released,
            Input::Close,
        ];
        let down = [Input::Chosen(nameplate()), Input::Close];
        let states = [
            State::Unset,
            State::Chosen(nameplate()),
            State::Claiming(nameplate()),
            State::Claimed(nameplate()),
            State::Releasing(nameplate()),
            State::Finished,
        ];
        Table {
            name: "nameplate",
            source: "wormhole/nameplate.rs",
            about: "`Stray`: the server spoke out of turn, which fails the wormhole.",
            states: states.map(|state| Nameplate { state }).to_vec(),
            inputs: with_lines(&inputs, &down),
        }
        .check(|it| format!("{:?}", it.state), on_line, |it, (input, line)| it.handle(input, line));
    }

    #[test]
    fn a_nameplate_is_claimed_as_soon_as_the_server_can_hear_it() {
        let mut machine = Nameplate::default();
        assert_eq!(machine.handle(Input::Chosen(nameplate()), Line::Down), []);
        assert_eq!(machine.handle(Input::LinkUp, Line::Up), [Output::Claim(nameplate())]);
    }

    #[test]
    fn a_held_nameplate_is_claimed_again_on_each_link() {
        let mut machine = Nameplate { state: State::Claimed(nameplate()) };
        assert_eq!(machine.handle(Input::LinkUp, Line::Up), [Output::Claim(nameplate())]);
        let answer = machine.handle(Input::Claimed(mailbox("new")), Line::Up);
        assert_eq!(answer, [Output::OpenMailbox(mailbox("new"))]);
    }

    #[test]
    fn a_nameplate_goes_back_when_the_peer_was_heard() {
        let mut machine = Nameplate { state: State::Claimed(nameplate()) };
        assert_eq!(machine.handle(Input::Heard, Line::Up), [Output::Release(nameplate())]);
        assert_eq!(machine.handle(Input::Heard, Line::Up), []);
        assert_eq!(machine.handle(Input::Released, Line::Up), [Output::Consumed, Output::Finish]);
    }

    #[test]
    fn a_release_that_may_be_lost_is_said_again() {
        let mut machine = Nameplate { state: State::Claimed(nameplate()) };
        assert_eq!(machine.handle(Input::Close, Line::Down), []);
        assert_eq!(machine.handle(Input::LinkUp, Line::Up), [Output::Release(nameplate())]);
        assert_eq!(machine.handle(Input::LinkUp, Line::Up), [Output::Release(nameplate())]);
    }

    #[test]
    fn what_was_never_asked_for_needs_no_release() {
        for state in [State::Unset, State::Chosen(nameplate())] {
            let mut machine = Nameplate { state };
            assert_eq!(machine.handle(Input::Close, Line::Up), vec![Output::Finish]);
        }
    }
}
