//! `wormhole-server import`: once, before the first start in the place of Python's servers.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgMatches, value_parser};
use wormhole_server::import::{self, Imported};
use wormhole_server::usage::Part;

use super::config::Config;
use super::print;
use super::serve;
use super::settings::{Fault, Said};
use super::store::Place;

const CHANNEL: &str = "from-channel-db";
const USAGE: &str = "from-usage-db";
const RELAY_USAGE: &str = "from-relay-usage-db";

/// Which files to take over.
pub(crate) fn flags() -> Vec<Arg> {
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("FILE").value_parser(value_parser!(PathBuf)).help(help)
    };
    vec![
        flag(CHANNEL, "A channel database of Python's mailbox server, to go to --channel-db"),
        flag(USAGE, "A usage database of Python's mailbox server, to go to --usage-db"),
        flag(RELAY_USAGE, "A usage database of Python's relay, to go to --relay-usage-db"),
    ]
}

/// Takes over what is asked for, and says how much that was.
pub(crate) fn run(matches: &ArgMatches, configuration: Result<(Said, Config), Fault>) -> ExitCode {
    print(configuration.and_then(|(_, config)| take(matches, &config)))
}

fn take(matches: &ArgMatches, config: &Config) -> Result<String, Fault> {
    let given = |name| matches.get_one::<PathBuf>(name).map(PathBuf::as_path);
    let mut report = String::new();
    if let Some(from) = given(CHANNEL) {
        let Place::File(to) = &config.channel_db else {
            return Err(Fault::alone("channel-db must be a file to import into"));
        };
        let Imported { nameplates, mailboxes, messages, skipped } =
            import::channel(from, to, serve::now()).map_err(|error| failed(from, &error))?;
        report += &format!(
            "{}: {nameplates} nameplates, {mailboxes} mailboxes, {messages} messages; {skipped} rows made no sense\n",
            to.display()
        );
    }
    let usages = [
        (USAGE, "usage-db", &config.usage_db, Part::Mailbox),
        (RELAY_USAGE, "relay-usage-db", &config.relay_usage_db, Part::Relay),
    ];
    for (flag, setting, to, part) in usages {
        let Some(from) = given(flag) else { continue };
        let Some(to) = to else { return Err(Fault::alone(format!("--{flag} needs {setting}"))) };
        import::usage(from, to, part).map_err(|error| failed(from, &error))?;
        report += &format!("{}: taken over\n", to.display());
    }
    if report.is_empty() {
        return Err(Fault::alone(format!("say what to import: --{CHANNEL}, --{USAGE} or --{RELAY_USAGE}")));
    }
    Ok(report)
}

fn failed(from: &Path, error: &import::ImportError) -> Fault {
    Fault::alone(format!("{}: {error}", from.display()))
}
