//! `wormhole-server`: the mailbox server and the transit relay as a program.

use std::process::ExitCode;

#[cfg(unix)]
mod program;

#[cfg(unix)]
fn main() -> ExitCode {
    program::main()
}

#[cfg(not(unix))]
fn main() -> ExitCode {
    eprintln!("wormhole-server runs on systems of the Unix kind; the crate itself runs on others, too.");
    ExitCode::FAILURE
}
