//! `wormhole-server`: the mailbox server and the transit relay as a program.

mod arrival;
mod bound;
mod config;
mod file;
mod forwarded;
mod log;
mod metrics;
mod monitor;
mod net;
mod place;
mod run;
mod serve;
mod settings;
mod tls;

use std::process::ExitCode;

use clap::Command;

use crate::config::Config;
use crate::run::Parts;

/// The configuration cannot be used.
const EXIT_CONFIGURATION: u8 = 2;

fn main() -> ExitCode {
    let matches = command().get_matches();
    let (name, matches) = match matches.subcommand() {
        Some(found) => found,
        // clap insists on a subcommand.
        None => return ExitCode::from(EXIT_CONFIGURATION),
    };
    let config = settings::said(matches).and_then(|said| Config::new(&said).map(|config| (said, config)));
    let (said, config) = match config {
        Ok(config) => config,
        Err(fault) => {
            eprintln!("wormhole-server: {fault}");
            return ExitCode::from(EXIT_CONFIGURATION);
        }
    };
    let parts = match name {
        "mailbox" => Parts { mailbox: true, relay: false },
        "relay" => Parts { mailbox: false, relay: true },
        "all" => Parts { mailbox: true, relay: true },
        _ => {
            print!("{}", config::show(&said));
            return ExitCode::SUCCESS;
        }
    };
    let reload = || settings::said(&matches).and_then(|said| Config::new(&said));
    run::run(&config, parts, &reload)
}

/// The whole command line.
fn command() -> Command {
    let part =
        |name: &'static str, about: &'static str| Command::new(name).about(about).args(settings::flags());
    Command::new("wormhole-server")
        .version(env!("CARGO_PKG_VERSION"))
        .about("The servers of magic-wormhole: where two clients find each other, and where their bytes pass")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(part("mailbox", "Serves as a mailbox server"))
        .subcommand(part("relay", "Serves as a transit relay"))
        .subcommand(part("all", "Serves as both"))
        .subcommand(part("check-config", "Shows the configuration, and where each value comes from"))
}
