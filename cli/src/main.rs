//! The program `wormhole`: send text, files and directories to another computer with a short code.
//!
//! Everything runs on one thread, which never blocks: whatever may (a prompt, a disk) has a thread of its own.
//! That is why the program can leave within a second from wherever it is.

mod arguments;
#[cfg(feature = "clipboard")]
mod clipboard;
mod code_prompt;
mod completion;
mod config;
mod consent;
mod demo;
mod diagnosis;
mod doctor;
mod failure;
mod help;
mod interrupts;
mod json;
mod link;
mod manual;
mod mode;
mod network;
mod prompt;
mod qr;
mod receive;
mod receiving;
mod screen;
mod secret;
mod send;
mod sides;
mod sizes;
mod source;
mod ssh;
mod start;
mod suggestion;
mod terminal;
mod timing;
mod verifier;
mod view;

use std::process;

use crate::arguments::{Arguments, Command};
use crate::failure::Failure;
use crate::interrupts::Interrupts;

fn main() {
    let outcome = start::arguments().and_then(|arguments| run(&arguments));
    terminal::restore();
    timing::write();
    json::end(&outcome);
    let code = match &outcome {
        Ok(()) => 0,
        Err(failure) => {
            tell(failure);
            failure.exit_code()
        }
    };
    // Not by returning: a thread may still wait for an answer that will never come.
    process::exit(code)
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    arguments.common.diagnosis.begin()?;
    match &arguments.command {
        Command::Send(_) | Command::Receive(_) | Command::Ssh(_) => {}
        command @ (Command::Doctor | Command::Completions(_) | Command::Man(_) | Command::Demo(_)) => {
            arguments.common.secret.refuse(command.name())?;
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Here(format!("the program cannot start: {error}")))?;
    runtime.block_on(async {
        let interrupts = &mut Interrupts::listen()
            .map_err(|error| Failure::Here(format!("signals cannot be awaited: {error}")))?;
        let outcome = match &arguments.command {
            Command::Send(options) => send::run(&arguments.common, options, interrupts).await,
            Command::Receive(options) => receive::run(&arguments.common, options, interrupts).await,
            Command::Ssh(options) => ssh::run(&arguments.common, options, interrupts).await,
            Command::Doctor => doctor::run(&arguments.common, interrupts).await,
            Command::Completions(options) => completion::script(options.shell),
            Command::Man(options) => manual::write(options.of.as_deref()),
            Command::Demo(options) => demo::run(&arguments.common, options, interrupts).await,
        };
        outcome.map_err(|failure| interrupts.name(failure))
    })
}

fn tell(failure: &Failure) {
    match failure {
        // A line of its own, since a prompt or the terminal's `^C` may stand on the last one.
        Failure::Interrupted => screen::note(format_args!("\nInterrupted.")),
        Failure::Terminated => screen::note(format_args!("\nTerminated.")),
        Failure::Transfer(_) | Failure::Code(_) | Failure::Usage(_) | Failure::Here(_) | Failure::NoCode => {
            screen::note(format_args!("{}", screen::wrapped(&format!("ERROR: {failure}"))));
        }
    }
}
