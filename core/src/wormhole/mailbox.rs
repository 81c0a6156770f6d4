//! The mailbox: open it, add our messages until their echo comes, pass on each message of the peer once.
//!
//! Fed by the nameplate (named), the key and send machines (add), the link and the server. Until the peer was heard
//! the nameplate is held, and on a new link its claim names the mailbox again; a server that lost its memory names
//! another one, where all that we said is said again. It ends when the server confirms the close; as a claim has a
//! server open the mailbox for us, one that is under way at the close is waited for.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::mem;

use super::link::Line;
use crate::error::Mood;
use crate::wire::{MailboxId, Phase, Side};

/// How far ahead of the first number that is missing a numbered phase may be.
pub(super) const EARLY_PHASES: u64 = 4096;
/// Phases with other names than a number that we remember.
const NAMED_PHASES: usize = 1024;

/// One of our messages.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Own {
    pub(crate) phase: Phase,
    pub(crate) body: Vec<u8>,
}

/// A message of the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Message {
    pub(crate) side: Side,
    pub(crate) phase: Phase,
    pub(crate) body: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Named(MailboxId),
    /// The nameplate is given back, or was never asked for: no claim is under way any more.
    Unnamed,
    Add(Own),
    LinkUp,
    /// Our own message came back: the server has stored it.
    Echo(Phase),
    Message(Message),
    Closed,
    Close(Mood),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Open(MailboxId),
    Add(Own),
    Close(MailboxId, Mood),
    /// The peer's first message is there, whatever it may be.
    Heard,
    Deliver(Message),
    Finish,
    /// The peer's phases are more than we keep account of.
    TooMuch,
    /// The server spoke out of turn.
    Stray,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Mailbox {
    outbox: Outbox,
    seen: Seen,
    state: State,
}

impl Mailbox {
    pub(crate) fn handle(&mut self, input: Input, line: Line) -> Vec<Output> {
        let mut out = Vec::new();
        let state = mem::take(&mut self.state);
        self.state = state.step(input, &mut self.outbox, &mut self.seen, line, &mut out);
        out
    }

    /// Whether no server has named it.
    pub(crate) const fn is_unknown(&self) -> bool {
        matches!(self.state, State::Unknown)
    }

    /// Whether the peer was heard.
    pub(crate) const fn is_met(&self) -> bool {
        matches!(self.state, State::Met { .. })
    }

    /// How many messages wait for their echo.
    pub(crate) fn waiting(&self) -> usize {
        self.outbox.pending.len()
    }

    /// The bytes of the messages that wait for their echo.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.outbox.pending.iter().map(|own| own.body.len()).sum()
    }

    /// How it stands, for a trace.
    pub(super) fn state(&self) -> &impl core::fmt::Debug {
        &self.state
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum State {
    /// No server has named it.
    #[default]
    Unknown,
    /// Opened on this link; the peer was not heard, and the nameplate is held.
    Quiet(MailboxId),
    /// Named on an earlier link; the nameplate is being claimed again.
    Unconfirmed(MailboxId),
    /// This peer was heard.
    Met {
        mailbox: MailboxId,
        peer: Side,
    },
    /// To be closed, while a claim may be under way that names it anew.
    Leaving {
        before: Option<MailboxId>,
        mood: Mood,
    },
    Closing {
        mailbox: MailboxId,
        mood: Mood,
    },
    Closed,
}

impl State {
    fn step(
        self,
        input: Input,
        outbox: &mut Outbox,
        seen: &mut Seen,
        line: Line,
        out: &mut Vec<Output>,
    ) -> Self {
        match self {
            Self::Unknown => match input {
                Input::Named(mailbox) => {
                    outbox.open(&mailbox, out);
                    Self::Quiet(mailbox)
                }
                Input::Add(own) => outbox.keep(own, Self::Unknown),
                Input::LinkUp | Input::Unnamed => Self::Unknown,
                Input::Close(mood) => Self::Leaving { before: None, mood },
                Input::Echo(_) | Input::Message(_) | Input::Closed => stray(Self::Unknown, out),
            },
            Self::Quiet(mailbox) => match input {
                Input::Add(own) => outbox.add(own, Self::Quiet(mailbox), line, out),
                Input::LinkUp => Self::Unconfirmed(mailbox),
                Input::Echo(phase) => outbox.echoed(&phase, Self::Quiet(mailbox)),
                Input::Message(message) => {
                    out.push(Output::Heard);
                    let peer = message.side.clone();
                    outbox.stored.clear();
                    seen.deliver(message, Self::Met { mailbox, peer }, out)
                }
                Input::Close(mood) => close(mailbox, mood, line, out),
                Input::Unnamed => Self::Quiet(mailbox),
                Input::Named(_) | Input::Closed => stray(Self::Quiet(mailbox), out),
            },
            Self::Unconfirmed(before) => match input {
                Input::Named(mailbox) => {
                    if mailbox != before {
                        outbox.start_over();
                    }
                    outbox.open(&mailbox, out);
                    Self::Quiet(mailbox)
                }
                Input::Add(own) => outbox.keep(own, Self::Unconfirmed(before)),
                Input::LinkUp | Input::Unnamed => Self::Unconfirmed(before),
                Input::Close(mood) => Self::Leaving { before: Some(before), mood },
                Input::Echo(_) | Input::Message(_) | Input::Closed => stray(Self::Unconfirmed(before), out),
            },
            Self::Met { mailbox, peer } => match input {
                Input::Add(own) => outbox.add(own, Self::Met { mailbox, peer }, line, out),
                Input::LinkUp => {
                    outbox.open(&mailbox, out);
                    Self::Met { mailbox, peer }
                }
                Input::Echo(phase) => outbox.echoed(&phase, Self::Met { mailbox, peer }),
                Input::Message(message) if message.side == peer => {
                    seen.deliver(message, Self::Met { mailbox, peer }, out)
                }
                // A mailbox has one peer: what a third side says is not for us.
                Input::Message(_) | Input::Unnamed => Self::Met { mailbox, peer },
                Input::Close(mood) => close(mailbox, mood, line, out),
                Input::Named(_) | Input::Closed => stray(Self::Met { mailbox, peer }, out),
            },
            Self::Leaving { before, mood } => leaving(before, mood, input, line, out),
            Self::Closing { mailbox, mood } => closing(mailbox, mood, input, line, out),
            Self::Closed => match input {
                Input::Close(_) => finish(out),
                Input::Named(_)
                | Input::Unnamed
                | Input::Add(_)
                | Input::LinkUp
                | Input::Echo(_)
                | Input::Message(_)
                | Input::Closed => Self::Closed,
            },
        }
    }
}

fn leaving(before: Option<MailboxId>, mood: Mood, input: Input, line: Line, out: &mut Vec<Output>) -> State {
    match input {
        Input::Named(mailbox) => close(mailbox, mood, line, out),
        // The nameplate does not claim on a new link, and no answer comes on the old one.
        Input::LinkUp | Input::Unnamed => match before {
            Some(mailbox) => close(mailbox, mood, line, out),
            None => finish(out),
        },
        Input::Add(_) | Input::Echo(_) | Input::Message(_) | Input::Closed | Input::Close(_) => {
            State::Leaving { before, mood }
        }
    }
}

fn closing(mailbox: MailboxId, mood: Mood, input: Input, line: Line, out: &mut Vec<Output>) -> State {
    match input {
        Input::LinkUp => close(mailbox, mood, line, out),
        Input::Closed => finish(out),
        Input::Unnamed
        | Input::Named(_)
        | Input::Add(_)
        | Input::Echo(_)
        | Input::Message(_)
        | Input::Close(_) => State::Closing { mailbox, mood },
    }
}

fn close(mailbox: MailboxId, mood: Mood, line: Line, out: &mut Vec<Output>) -> State {
    match line {
        Line::Up => out.push(Output::Close(mailbox.clone(), mood)),
        Line::Down => {}
    }
    State::Closing { mailbox, mood }
}

fn finish(out: &mut Vec<Output>) -> State {
    out.push(Output::Finish);
    State::Closed
}

fn stray(state: State, out: &mut Vec<Output>) -> State {
    out.push(Output::Stray);
    state
}

/// What we say. Its bound is the one of [`super::Wormhole::send`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Outbox {
    /// The echo has not come: to be said again on each link.
    pending: VecDeque<Own>,
    /// The echo has come, but only until the peer was heard is it certain that we need not start over.
    stored: Vec<Own>,
}

impl Outbox {
    fn open(&self, mailbox: &MailboxId, out: &mut Vec<Output>) {
        out.push(Output::Open(mailbox.clone()));
        out.extend(self.pending.iter().cloned().map(Output::Add));
    }

    fn keep(&mut self, own: Own, state: State) -> State {
        self.pending.push_back(own);
        state
    }

    fn add(&mut self, own: Own, state: State, line: Line, out: &mut Vec<Output>) -> State {
        match line {
            Line::Up => out.push(Output::Add(own.clone())),
            Line::Down => {}
        }
        self.keep(own, state)
    }

    fn echoed(&mut self, phase: &Phase, state: State) -> State {
        let found = self.pending.iter().position(|own| own.phase == *phase);
        if let Some(own) = found.and_then(|at| self.pending.remove(at)) {
            match state {
                State::Quiet(_) => self.stored.push(own),
                State::Unknown
                | State::Unconfirmed(_)
                | State::Met { .. }
                | State::Leaving { .. }
                | State::Closing { .. }
                | State::Closed => {}
            }
        }
        state
    }

    fn start_over(&mut self) {
        for own in self.stored.drain(..).rev() {
            self.pending.push_front(own);
        }
    }
}

/// The phases of the peer that were delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Seen {
    /// Every number below this.
    below: u64,
    early: BTreeSet<u64>,
    named: BTreeSet<Phase>,
}

impl Seen {
    fn deliver(&mut self, message: Message, state: State, out: &mut Vec<Output>) -> State {
        match self.note(&message.phase) {
            Note::New => out.push(Output::Deliver(message)),
            Note::Repeated => {}
            Note::TooMuch => out.push(Output::TooMuch),
        }
        state
    }

    fn note(&mut self, phase: &Phase) -> Note {
        let Some(number) = phase.as_number() else {
            return match self.named.len() {
                _ if self.named.contains(phase) => Note::Repeated,
                NAMED_PHASES.. => Note::TooMuch,
                _ => {
                    self.named.insert(phase.clone());
                    Note::New
                }
            };
        };
        if number < self.below || self.early.contains(&number) {
            return Note::Repeated;
        }
        if number - self.below >= EARLY_PHASES {
            return Note::TooMuch;
        }
        self.early.insert(number);
        while self.early.remove(&self.below) {
            self.below = self.below.saturating_add(1);
        }
        Note::New
    }
}

enum Note {
    New,
    Repeated,
    TooMuch,
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;

    use super::*;
    use crate::table::Table;
    use crate::wormhole::samples::{mailbox, message, on_line, own, phase, theirs, with_lines};

    #[test]
    fn the_table_is_as_written() {
        let third = Message { side: Side::parse("third").unwrap(), ..message("0") };
        let inputs = [
            Input::Named(mailbox("mb")),
            Input::Named(mailbox("other")),
            Input::Unnamed,
            Input::Add(own("0")),
            Input::LinkUp,
            Input::Echo(phase("pake")),
            Input::Message(message("pake")),
            Input::Message(third),
            Input::Closed,
            Input::Close(Mood::Lonely),
        ];
        let down = [Input::Unnamed, Input::Add(own("0")), Input::Close(Mood::Lonely)];
        let states = [
            State::Unknown,
            State::Quiet(mailbox("mb")),
            State::Unconfirmed(mailbox("mb")),
            met(),
            State::Leaving { before: None, mood: Mood::Lonely },
            State::Leaving { before: Some(mailbox("mb")), mood: Mood::Lonely },
            State::Closing { mailbox: mailbox("mb"), mood: Mood::Happy },
            State::Closed,
        ];
        let outbox = Outbox { pending: VecDeque::from([own("pake")]), stored: Vec::new() };
        Table {
            name: "mailbox",
            source: "wormhole/mailbox.rs",
            about: "Our `pake` is pending in each state. `Stray`: the server spoke out of turn, which fails the \
                    wormhole.",
            states: states.map(|state| Mailbox { outbox: outbox.clone(), seen: Seen::default(), state }).to_vec(),
            inputs: with_lines(&inputs, &down),
        }
        .check(show, on_line, |it, (input, line)| it.handle(input, line));
    }

    #[test]
    fn messages_are_added_until_their_echo_comes() {
        let mut machine = Mailbox { state: met(), ..Mailbox::default() };
        machine.handle(Input::Add(own("0")), Line::Up);
        machine.handle(Input::Add(own("1")), Line::Down);
        machine.handle(Input::Add(own("2")), Line::Down);
        assert_eq!(machine.waiting(), 3);
        assert_eq!(machine.handle(Input::Echo(phase("0")), Line::Up), []);
        let again = machine.handle(Input::LinkUp, Line::Up);
        let expected = [Output::Open(mailbox("mb")), Output::Add(own("1")), Output::Add(own("2"))];
        assert_eq!(again, expected);
    }

    #[test]
    fn everything_is_said_again_in_another_mailbox() {
        let mut machine = Mailbox::default();
        machine.handle(Input::Named(mailbox("mb")), Line::Up);
        machine.handle(Input::Add(own("pake")), Line::Up);
        machine.handle(Input::Echo(phase("pake")), Line::Up);
        machine.handle(Input::LinkUp, Line::Up);
        let again = machine.handle(Input::Named(mailbox("other")), Line::Up);
        assert_eq!(again, [Output::Open(mailbox("other")), Output::Add(own("pake"))]);
    }

    #[test]
    fn what_was_stored_is_not_said_again_in_the_same_mailbox() {
        let mut machine = Mailbox::default();
        machine.handle(Input::Named(mailbox("mb")), Line::Up);
        machine.handle(Input::Add(own("pake")), Line::Up);
        machine.handle(Input::Echo(phase("pake")), Line::Up);
        machine.handle(Input::LinkUp, Line::Up);
        let again = machine.handle(Input::Named(mailbox("mb")), Line::Up);
        assert_eq!(again, [Output::Open(mailbox("mb"))]);
    }

    #[test]
    fn nothing_is_added_to_a_mailbox_that_is_not_open_on_this_link() {
        let mut machine = Mailbox { state: State::Quiet(mailbox("mb")), ..Mailbox::default() };
        machine.handle(Input::LinkUp, Line::Up);
        assert_eq!(machine.handle(Input::Add(own("pake")), Line::Up), []);
    }

    #[test]
    fn each_phase_is_delivered_once() {
        let mut machine = Mailbox { state: State::Quiet(mailbox("mb")), ..Mailbox::default() };
        let first = machine.handle(Input::Message(message("1")), Line::Up);
        assert_eq!(first, [Output::Heard, Output::Deliver(message("1"))]);
        for name in ["0", "version", "00"] {
            let new = machine.handle(Input::Message(message(name)), Line::Up);
            assert_eq!(new, [Output::Deliver(message(name))]);
        }
        for name in ["0", "1", "version", "00"] {
            assert_eq!(machine.handle(Input::Message(message(name)), Line::Up), []);
        }
    }

    #[test]
    fn a_flood_of_phases_is_refused() {
        let mut machine = Mailbox { state: met(), ..Mailbox::default() };
        let far = format!("{EARLY_PHASES}");
        assert_eq!(machine.handle(Input::Message(message(&far)), Line::Up), [Output::TooMuch]);
        for name in 0..NAMED_PHASES {
            machine.handle(Input::Message(message(&format!("x{name}"))), Line::Up);
        }
        assert_eq!(machine.handle(Input::Message(message("y")), Line::Up), [Output::TooMuch]);
        assert_eq!(machine.handle(Input::Message(message("x0")), Line::Up), []);
    }

    #[test]
    fn a_close_that_may_be_lost_is_said_again_without_an_open() {
        let mut machine = Mailbox { state: met(), ..Mailbox::default() };
        assert_eq!(machine.handle(Input::Close(Mood::Happy), Line::Down), []);
        let again = [Output::Close(mailbox("mb"), Mood::Happy)];
        assert_eq!(machine.handle(Input::LinkUp, Line::Up), again);
        assert_eq!(machine.handle(Input::LinkUp, Line::Up), again);
        assert_eq!(machine.handle(Input::Closed, Line::Up), vec![Output::Finish]);
    }

    #[test]
    fn the_answer_to_a_claim_under_way_is_waited_for_and_closed() {
        let close = |mailbox| [Output::Close(mailbox, Mood::Lonely)];
        for state in [State::Unknown, State::Unconfirmed(mailbox("mb"))] {
            let mut machine = Mailbox { state, ..Mailbox::default() };
            assert_eq!(machine.handle(Input::Close(Mood::Lonely), Line::Up), []);
            assert_eq!(machine.handle(Input::Named(mailbox("other")), Line::Up), close(mailbox("other")));
            assert_eq!(machine.handle(Input::Unnamed, Line::Up), []);
            assert_eq!(machine.handle(Input::Closed, Line::Up), [Output::Finish]);
        }
    }

    #[test]
    fn without_an_answer_what_is_known_is_closed() {
        for input in [Input::Unnamed, Input::LinkUp] {
            let mut machine = Mailbox { state: State::Unconfirmed(mailbox("mb")), ..Mailbox::default() };
            machine.handle(Input::Close(Mood::Lonely), Line::Up);
            let expected = [Output::Close(mailbox("mb"), Mood::Lonely)];
            assert_eq!(machine.handle(input.clone(), Line::Up), expected);
            let mut machine = Mailbox::default();
            machine.handle(Input::Close(Mood::Lonely), Line::Up);
            assert_eq!(machine.handle(input, Line::Up), [Output::Finish]);
        }
    }

    fn met() -> State {
        State::Met { mailbox: mailbox("mb"), peer: theirs() }
    }

    fn show(machine: &Mailbox) -> alloc::string::String {
        let pending: Vec<_> = machine.outbox.pending.iter().map(|own| own.phase.as_str()).collect();
        format!("{:?}, pending {}", machine.state, pending.join(" "))
    }
}
