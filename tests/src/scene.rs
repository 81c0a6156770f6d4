//! Two programs that meet: which, through whose servers, and by which way the content goes.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Peers, Program, Servers, peers};

/// One of the two programs.
#[derive(Clone, Copy, Debug)]
pub enum Who<'a> {
    /// This project's, at this path.
    Ours(&'a str),
    /// The reference's.
    Reference(&'a Peers),
}

/// The way that the content goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// A connection between the two.
    Direct,
    /// The relay, since neither side listens.
    Relay,
}

/// Servers and a route, under which programs are run.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// Where they meet.
    pub servers: &'a Servers,
    /// How the content goes.
    pub route: Route,
}

impl Scene<'_> {
    /// A command of one side, run in `directory`, with what it needs to meet the other.
    pub fn command(&self, who: Who<'_>, command: &str, directory: &Path) -> Command {
        let mut line = match who {
            Who::Ours(path) => peers::quiet(Command::new(path)),
            Who::Reference(peers) => peers.wormhole(),
        };
        line.current_dir(directory).arg("--relay-url").arg(self.servers.mailbox_url());
        let relay = match self.route {
            Route::Direct => String::new(),
            Route::Relay => self.servers.relay_hint(),
        };
        // The reference takes these only before, and `--no-listen` only behind the command.
        line.arg("--transit-helper").arg(relay).arg(command).arg("--hide-progress");
        match self.route {
            Route::Direct => {}
            Route::Relay => drop(line.arg("--no-listen")),
        }
        line
    }

    /// Starts one side with these arguments.
    #[track_caller]
    pub fn start(&self, who: Who<'_>, command: &str, arguments: &[&str], directory: &Path) -> Program {
        let mut line = self.command(who, command, directory);
        line.args(arguments);
        Program::start(&format!("{who:?} {command}"), line)
    }
}

/// A code that no other test of this program has.
pub fn new_code() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1000);
    format!("{}-guitarist-revenge", NEXT.fetch_add(1, Ordering::Relaxed))
}
