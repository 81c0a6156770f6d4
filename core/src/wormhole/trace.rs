//! What the machines of a session did, for whoever looks for a fault.
//!
//! A transition is told by names alone: which machine, its state before, what it heard, its state after. What a state or
//! an input carries (keys, codes, records, addresses) is not told.

use alloc::collections::VecDeque;
use alloc::string::String;
use core::fmt::{self, Debug, Write};

use super::route::Task;
use super::{Event, Wormhole};

/// The most transitions that wait to be taken; the oldest are forgotten first.
const TRANSITIONS: usize = 1000;

/// One step of one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Which machine: its letter, as the reference's `--debug-state` has it where it has the machine.
    pub machine: &'static str,
    /// The name of its state before; empty where the application is told something.
    pub from: String,
    /// The name of what it heard, or of what the application is told.
    pub input: String,
    /// The name of its state after.
    pub to: String,
}

/// `N[Chosen].LinkUp -> [Claiming]`; what the application is told is `B.Code`.
impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machine, from, input, to } = self;
        if from.is_empty() {
            write!(f, "{machine}.{input}")
        } else {
            write!(f, "{machine}[{from}].{input} -> [{to}]")
        }
    }
}

/// What is kept of a session while it is traced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Trace {
    transitions: VecDeque<Transition>,
}

/// A step that is under way.
pub(super) struct Step {
    machine: &'static str,
    from: String,
    input: String,
    state: fn(&Wormhole) -> String,
}

impl Wormhole {
    /// From now on the transitions of its machines are kept for [`Wormhole::transition`].
    pub fn trace(&mut self) {
        self.trace.get_or_insert_default();
    }

    /// The oldest transition that was kept and not taken.
    pub fn transition(&mut self) -> Option<Transition> {
        self.trace.as_mut()?.transitions.pop_front()
    }

    /// What is known of a step before it is made, where it is to be kept.
    pub(super) fn before(&self, task: &Task) -> Option<Step> {
        self.trace.as_ref()?;
        let step = |machine, input: &dyn Debug, state: fn(&Self) -> String| {
            Some(Step { machine, from: state(self), input: name(input), state })
        };
        match task {
            Task::Link(input) => step("RC", input, |it| name(it.link.state())),
            Task::Permission(input) => step("P", input, |it| name(it.permission.state())),
            Task::Code(input) => step("C", input, |it| name(it.code.state())),
            Task::Allocator(input) => step("A", input, |it| name(it.allocator.state())),
            Task::Lister(input) => step("L", input, |it| name(it.lister.state())),
            Task::Typing(input) => step("I", input, |it| name(it.typing.state())),
            Task::Nameplate(input) => step("N", input, |it| name(it.nameplate.state())),
            Task::Mailbox(input) => step("M", input, |it| name(it.mailbox.state())),
            Task::Order(input) => step("O", input, |it| name(it.order.state())),
            Task::Key(input) => step("K", input, |it| name(it.key.state())),
            Task::Send(input) => step("S", input, |it| name(it.send.state())),
            Task::Receive(input) => step("R", input, |it| name(it.receive.state())),
            Task::Terminator(input) => step("T", input, |it| name(it.terminator.state())),
            Task::Closed(_) => None,
        }
    }

    /// Keeps a step that was made.
    pub(super) fn after(&mut self, step: Option<Step>) {
        let Some(Step { machine, from, input, state }) = step else { return };
        let to = state(self);
        self.keep(Transition { machine, from, input, to });
    }

    /// Keeps what the application is told.
    pub(super) fn trace_event(&mut self, event: &Event) {
        if self.trace.is_some() {
            let input = name(event);
            self.keep(Transition { machine: "B", from: String::new(), input, to: String::new() });
        }
    }

    fn keep(&mut self, transition: Transition) {
        let Some(trace) = &mut self.trace else { return };
        if trace.transitions.len() >= TRANSITIONS {
            trace.transitions.pop_front();
        }
        trace.transitions.push_back(transition);
    }
}

/// The name of a variant, without anything that it carries.
fn name(of: &dyn Debug) -> String {
    let mut name = Name { text: String::new() };
    // It ends early, by an error, when the name is complete.
    let _ = write!(name, "{of:?}");
    name.text
}

/// Takes letters, digits and underscores until something else comes.
struct Name {
    text: String,
}

impl Write for Name {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        for c in more.chars() {
            if !c.is_ascii_alphanumeric() && c != '_' {
                return Err(fmt::Error);
            }
            self.text.push(c);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec::Vec;

    use super::*;
    use crate::code::Code;
    use crate::driver::Conns;
    use crate::wormhole::Config;

    #[test]
    fn steps_are_told_by_names_alone() {
        let mut wormhole = Wormhole::new(Config::new("app").unwrap(), [7; 32], Conns::all());
        wormhole.set_code(Code::parse("4-early").unwrap()).unwrap();
        assert_eq!(wormhole.transition(), None);

        let mut wormhole = Wormhole::new(Config::new("app").unwrap(), [7; 32], Conns::all());
        wormhole.trace();
        wormhole.set_code(Code::parse("4-purple-sausages").unwrap()).unwrap();
        let mut lines = Vec::new();
        while let Some(transition) = wormhole.transition() {
            lines.push(transition.to_string());
        }
        assert!(lines.contains(&"N[Unset].Chosen -> [Chosen]".to_string()), "{lines:?}");
        assert!(lines.contains(&"B.Code".to_string()), "{lines:?}");
        assert!(!lines.iter().any(|line| line.contains("purple") || line.contains('4')), "{lines:?}");
    }

    #[test]
    fn a_name_ends_where_its_content_begins() {
        assert_eq!(name(&Some("secret")), "Some");
        assert_eq!(name(&"secret"), "");
    }

    #[test]
    fn the_oldest_transitions_are_forgotten() {
        let mut wormhole = Wormhole::new(Config::new("app").unwrap(), [7; 32], Conns::all());
        wormhole.trace();
        for _ in 0..=TRANSITIONS {
            wormhole.trace_event(&Event::LinkUp);
        }
        assert_eq!(wormhole.trace.unwrap().transitions.len(), TRANSITIONS);
    }
}
