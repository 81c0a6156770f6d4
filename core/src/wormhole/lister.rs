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
pub(crate) struct Lister {
    state: State,
}

impl Lister {
    pub(crate) fn handle(&mut self, input: Input, line: Line) -> Vec<Output> {
        let mut out = Vec::new();
        self.state = mem::take(&mut self.state).step(input, line, &mut out);
        out
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
