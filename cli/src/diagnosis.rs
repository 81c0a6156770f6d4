//! What somebody needs who looks for a fault: when things happened, and what the machines did.

use std::path::PathBuf;

use clap::Args;
use wormhole_core::wormhole::Transition;

use crate::failure::Failure;
use crate::screen::Screen;
use crate::timing;

/// The machines by their letters, as the reference has them: what the application is told (its "boss"), nameplate,
/// mailbox, send, order, key (there in two parts), receive, connection, lister, code, terminator; and those that it
/// cannot show: allocator, input, permission.
const MACHINES: [&str; 15] = ["B", "N", "M", "S", "O", "K", "SK", "R", "RC", "L", "C", "T", "A", "I", "P"];

/// Options for whoever looks for a fault, before or after every command.
#[derive(Clone, Debug, Args)]
pub(crate) struct Diagnosis {
    /// Write down when things happened, as JSON
    #[arg(long, global = true, value_name = "FILE")]
    dump_timing: Option<PathBuf>,
    /// Show what the machines of the session do
    ///
    /// On standard error, and without secrets: all of them, or some of B,N,M,S,O,K,SK,R,RC,L,C,T,A,I,P.
    #[arg(long, global = true, value_name = "MACHINES", value_parser = machines)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "")]
    debug_state: Option<Machines>,
}

/// The machines that are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Machines(Vec<&'static str>);

impl Diagnosis {
    /// Begins to keep what is asked for.
    pub(crate) fn begin(&self) -> Result<(), Failure> {
        match &self.dump_timing {
            Some(path) => timing::keep(path),
            None => Ok(()),
        }
    }

    /// What shows the machines of one side, if they are to be shown.
    pub(crate) fn trace(&self, role: &'static str) -> Option<Trace> {
        self.debug_state.clone().map(|machines| Trace { role, machines })
    }
}

/// Shows what the machines of one side do.
pub(crate) struct Trace {
    role: &'static str,
    machines: Machines,
}

impl Trace {
    /// Shows one step, if its machine is wanted.
    pub(crate) fn show(&self, step: &Transition, screen: &Screen) {
        if self.machines.0.contains(&step.machine) {
            screen.note(format_args!("{}.{step}", self.role));
        }
    }
}

/// A list of letters; the empty one is all of them.
fn machines(list: &str) -> Result<Machines, String> {
    if list.is_empty() {
        return Ok(Machines(MACHINES.to_vec()));
    }
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for letters in list.split(',') {
        match MACHINES.iter().find(|machine| **machine == letters) {
            // One machine of ours does the work of these two.
            Some(&"SK") => known.push("K"),
            Some(machine) => known.push(*machine),
            None => unknown.push(letters),
        }
    }
    if unknown.is_empty() {
        return Ok(Machines(known));
    }
    Err(format!("Cannot debug unknown machines: {}", unknown.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_listed_by_letter() {
        assert_eq!(machines("N,RC,SK"), Ok(Machines(vec!["N", "RC", "K"])));
        assert_eq!(machines("").unwrap().0.len(), MACHINES.len());
        assert_eq!(machines("N,ZZ,"), Err("Cannot debug unknown machines: ZZ,".to_owned()));
    }
}
