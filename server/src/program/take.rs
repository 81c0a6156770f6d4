//! `import`: the databases of Python's servers are taken over into those of the configuration.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Arg, ArgMatches};
use wormhole_server::Stamp;
use wormhole_server::import::{self, ImportError, Imported};
use wormhole_server::usage::Part;

use super::config::Config;
use super::settings::Fault;
use super::store::Place;

const CHANNEL: &str = "from-channel-db";
const USAGE: &str = "from-usage-db";
const RELAY: &str = "from-relay-usage-db";

/// What is to be taken over.
pub(crate) fn flags() -> Vec<Arg> {
    let flag =
        |name: &'static str, help: &'static str| Arg::new(name).long(name).value_name("FILE").help(help);
    vec![
        flag(
            CHANNEL,
            "The channel database of Python's mailbox server, which must have ended; it goes into --channel-db",
        ),
        flag(USAGE, "The usage database of Python's mailbox server; it goes into --usage-db"),
        flag(RELAY, "The usage database of Python's relay; it goes into --relay-usage-db"),
    ]
}

/// Takes over what is named, and says what that was.
pub(crate) fn over(matches: &ArgMatches, config: &Config) -> Result<String, Fault> {
    let named = |name: &str| matches.get_one::<String>(name).map(Path::new);
    let mut said = String::new();
    if let Some(from) = named(CHANNEL) {
        let Place::File(to) = &config.channel_db else {
            return Err(Fault::alone("--channel-db must be a file to import into"));
        };
        let Imported { nameplates, mailboxes, messages, skipped } =
            import::channel(from, to, now()).map_err(|error| fault(from, &error))?;
        said += &format!(
            "{}: {nameplates} nameplates, {mailboxes} mailboxes, {messages} messages; {skipped} rows made no sense\n",
            to.display()
        );
    }
    for (name, part, setting, to) in [
        (USAGE, Part::Mailbox, "--usage-db", &config.usage_db),
        (RELAY, Part::Relay, "--relay-usage-db", &config.relay_usage_db),
    ] {
        let Some(from) = named(name) else { continue };
        let Some(to) = to else {
            return Err(Fault::alone(format!("{setting} must name the file to import into")));
        };
        import::usage(from, to, part).map_err(|error| fault(from, &error))?;
        said += &format!("{}: taken over\n", to.display());
    }
    if said.is_empty() {
        return Err(Fault::alone(format!("nothing to import: name --{CHANNEL}, --{USAGE} or --{RELAY}")));
    }
    Ok(said)
}

fn fault(from: &Path, error: &ImportError) -> Fault {
    Fault::alone(format!("{}: {error}", from.display()))
}

#[expect(clippy::disallowed_methods, reason = "what is taken over lives from now on")]
fn now() -> Stamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Stamp::at(since.as_secs_f64())
}
