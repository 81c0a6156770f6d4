//! What comes before a command: the command line, the environment, the files of settings, and how the program speaks.

use std::env;
use std::process;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::mode::Mode;
use crate::{completion, config, json, mode};

/// What the user wants. Ends the program where it is only to say something about itself.
pub(crate) fn arguments() -> Result<Arguments, Failure> {
    completion::answer();
    // A file with a mistake must not keep anybody from reading the help.
    let (command, mistake) = match config::apply(Arguments::command()) {
        Ok(command) => (command, None),
        Err(mistake) => (Arguments::command(), Some(mistake)),
    };
    let parsed = command.try_get_matches().and_then(|matches| Arguments::from_arg_matches(&matches));
    let arguments = parsed.unwrap_or_else(|error| leave(&error));
    mode::choose(Mode { quiet: arguments.common.quiet, json: arguments.common.json });
    json::hello(arguments.command.name());
    mistake.map_or(Ok(arguments), |mistake| Err(Failure::Usage(mistake)))
}

/// Shows the help that is asked for, or what is wrong with the command line.
fn leave(error: &clap::Error) -> ! {
    let is_help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if !is_help && env::args_os().any(|argument| argument == "--json") {
        mode::choose(Mode { quiet: true, json: true });
        json::usage(&error.to_string());
        process::exit(error.exit_code());
    }
    error.exit()
}
