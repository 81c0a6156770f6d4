//! The mailbox server and the transit relay as a program, for systems of the Unix kind.

mod arrival;
mod bound;
mod bounds;
mod caller;
mod config;
mod file;
mod forwarded;
mod health;
mod import;
mod log;
mod man;
mod metrics;
mod monitor;
mod net;
mod place;
mod proxy_header;
mod run;
mod serve;
mod settings;
mod store;
mod tls;
mod usage_log;

use std::process::ExitCode;

use clap::{ArgMatches, Command};

use self::config::Config;
use self::run::Parts;
use self::settings::{Fault, Said};

/// The configuration cannot be used.
const EXIT_CONFIGURATION: u8 = 2;

/// Does what the command line says.
pub(crate) fn main() -> ExitCode {
    let matches = command().get_matches();
    // clap insists on a subcommand.
    let Some((name, matches)) = matches.subcommand() else { return ExitCode::from(EXIT_CONFIGURATION) };
    let parts = match name {
        "mailbox" => Parts { mailbox: true, relay: false },
        "relay" => Parts { mailbox: false, relay: true },
        "all" => Parts { mailbox: true, relay: true },
        "import" => return import::run(matches, configuration(matches)),
        "check-config" => return print(configuration(matches).map(|(said, _)| config::show(&said))),
        _ => {
            let mut page = Vec::new();
            let written = man::write(command(), &mut page).map_err(|error| Fault::alone(error.to_string()));
            return print(written.map(|()| String::from_utf8_lossy(&page).into_owned()));
        }
    };
    match configuration(matches) {
        Ok((_, config)) => run::run(&config, parts, &|| configuration(matches).map(|(_, config)| config)),
        Err(fault) => print(Err(fault)),
    }
}

/// What was said, and what it means.
fn configuration(matches: &ArgMatches) -> Result<(Said, Config), Fault> {
    let said = settings::said(matches)?;
    let config = Config::new(&said)?;
    Ok((said, config))
}

/// The last that is printed: what was asked for, or why there is none.
pub(crate) fn print(outcome: Result<String, Fault>) -> ExitCode {
    match outcome {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(fault) => {
            eprintln!("wormhole-server: {fault}");
            ExitCode::from(EXIT_CONFIGURATION)
        }
    }
}

/// The whole command line.
fn command() -> Command {
    let part = |name: &'static str, about: &'static str| Command::new(name).about(about);
    Command::new("wormhole-server")
        .version(env!("CARGO_PKG_VERSION"))
        .about("The servers of magic-wormhole: where two clients find each other, and where their bytes pass")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .args(settings::flags())
        .subcommand(part("mailbox", "Serves as a mailbox server"))
        .subcommand(part("relay", "Serves as a transit relay"))
        .subcommand(part("all", "Serves as both"))
        .subcommand(
            part(
                "import",
                "Takes over what Python's servers have kept, into new files where the settings say",
            )
            .args(import::flags()),
        )
        .subcommand(part("check-config", "Shows the configuration, and where each value comes from"))
        .subcommand(part("man", "Writes the manual page").hide(true))
}
