//! Every setting there is, in one table: from it come the flags, the variables of the environment, the keys of the
//! file, the manual page and what `check-config` prints.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches};

use super::file;

/// What the variables of the environment begin with.
pub(crate) const PREFIX: &str = "WORMHOLE_SERVER_";
/// The flag that names the file.
pub(crate) const CONFIG: &str = "config";

/// One setting.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The flag without its dashes, and the key in the file.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// What it is where nobody says anything.
    pub(crate) default: &'static [&'static str],
    pub(crate) help: &'static str,
}

/// How often a setting may be given, and as what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One value of this sort.
    One(&'static str),
    /// Any number of values of this sort; in the environment between commas.
    Many(&'static str),
    /// Yes or no.
    Switch,
}

const fn one(
    name: &'static str,
    sort: &'static str,
    default: &'static [&'static str],
    help: &'static str,
) -> Setting {
    Setting { name, kind: Kind::One(sort), default, help }
}

const fn many(
    name: &'static str,
    sort: &'static str,
    default: &'static [&'static str],
    help: &'static str,
) -> Setting {
    Setting { name, kind: Kind::Many(sort), default, help }
}

/// All settings, in the order in which they are shown.
pub(crate) const SETTINGS: &[Setting] = &[
    many(
        "mailbox",
        "PLACE",
        &[":4000"],
        "Where clients of the mailbox server come in: HOST:PORT (no host: every address of IPv4 and IPv6; port 0: any \
         that is free), unix:PATH, or fd:NAME for a socket from systemd. Before it may stand `tls:` for wss://, and \
         `proxy:` where each connection begins with a PROXY header",
    ),
    many("relay", "PLACE", &[":4001"], "Where clients of the transit relay come in, as for --mailbox"),
    many(
        "relay-websocket",
        "PLACE",
        &[],
        "Where clients of the transit relay come in that speak WebSocket, as for --mailbox",
    ),
    many(
        "monitor",
        "PLACE",
        &[],
        "Where /healthz, /readyz and /metrics are served over HTTP. Keep it away from the public",
    ),
    one(
        "tls-certificate",
        "FILE",
        &[],
        "The certificate and those above it in PEM, for `tls:`. It is read anew when it changes, and on SIGHUP",
    ),
    one("tls-key", "FILE", &[], "The private key of the certificate in PEM"),
    many(
        "trusted-proxy",
        "NETWORK",
        &[],
        "Who may say for whom it connects, by a PROXY header or by X-Real-IP, Forwarded or X-Forwarded-For: an \
         address, a network as 10.0.0.0/8, or `unix` for whoever comes through a Unix socket. Nobody else is believed",
    ),
    many(
        "allowed-origin",
        "ORIGIN",
        &[],
        "From which web pages browsers may come, as https://example.com; from all, where none is named. Programs are no \
         pages and always may",
    ),
    one("ping-interval", "SECONDS", &["60"], "How often each client that speaks WebSocket is pinged"),
    one("ping-timeout", "SECONDS", &["600"], "How long a client may then be silent before it is closed"),
    one(
        "opening-timeout",
        "SECONDS",
        &["10"],
        "How long a connection may take for what comes before the protocol: a PROXY header and TLS, and then its request",
    ),
    one(
        "channel-db",
        "FILE",
        &["wormhole.sqlite"],
        "Where the mailbox server keeps nameplates, mailboxes and messages: a file of SQLite; or the URL of a PostgreSQL \
         that several servers share, as postgres://USER:PASSWORD@HOST/NAME; `:memory:` forgets them at the end",
    ),
    one(
        "channel-db-synchronous",
        "MODE",
        &["full"],
        "What a stored message outlives: full, also the end of the power; normal, the end of the process",
    ),
    one(
        "usage-db",
        "FILE",
        &[],
        "Where the mailbox server writes how nameplates and mailboxes ended, in the tables of Python's server",
    ),
    one(
        "relay-usage-db",
        "FILE",
        &[],
        "Where the relay writes how its clients ended, in the tables of Python's relay",
    ),
    one(
        "relay-usage-log",
        "FILE",
        &[],
        "Where the relay adds a line of JSON about each pair and each client without a partner that is gone; /dev/fd/N for \
         a descriptor that is open",
    ),
    one(
        "blur-usage",
        "SECONDS",
        &["0"],
        "Rounds moments in the usage databases down to a multiple of this, and sizes up; 0 leaves them as they are",
    ),
    one(
        "usage-interval",
        "SECONDS",
        &["240"],
        "How often the usage databases are told how things are; Python's plugins hold a server for dead after six minutes",
    ),
    one("advertise-version", "VERSION", &[], "The version that clients are told to be current"),
    one(
        "motd",
        "TEXT",
        &[],
        "A message of the day for every client of the mailbox server. SIGHUP reads it anew",
    ),
    one(
        "signal-error",
        "TEXT",
        &[],
        "Asks every client of the mailbox server to leave, and says why. SIGHUP reads it anew",
    ),
    Setting {
        name: "disallow-list",
        kind: Kind::Switch,
        default: &["false"],
        help: "Answers `list` with an empty list, so that nobody learns the nameplates in use",
    },
    one(
        "mailbox-expiry",
        "SECONDS",
        &["660"],
        "How long a nameplate and its mailbox are kept that nobody has touched and nobody listens to",
    ),
    one("prune-interval", "SECONDS", &["300"], "How often those are looked for"),
    one(
        "message-bytes",
        "BYTES",
        &["1052672"],
        "The longest message of a client of the mailbox server: by default a body of 1 MiB, and what surrounds it",
    ),
    one(
        "name-bytes",
        "BYTES",
        &["256"],
        "The longest application id, side, phase and mailbox id; 0 and all limits below: no limit, where nothing else is said",
    ),
    one("id-bytes", "BYTES", &["64"], "The longest `id` of a command"),
    one(
        "nesting",
        "LEVELS",
        &["64"],
        "How deep the lists and objects in a message may be nested, 127 at most",
    ),
    one("orig-bytes", "BYTES", &["4096"], "How much of a refused command is sent back"),
    one("mailbox-messages", "COUNT", &["1000"], "Messages in one mailbox"),
    one("mailbox-bytes", "BYTES", &["8388608"], "Bytes of messages in one mailbox"),
    one(
        "send-buffer",
        "BYTES",
        &["2097152"],
        "What may wait for a client that does not read, before it is closed with 1013",
    ),
    one("app-nameplates", "COUNT", &["100000"], "Nameplates of one application"),
    one("all-mailboxes", "COUNT", &["1000000"], "Mailboxes of all applications"),
    one("all-bytes", "BYTES", &["1073741824"], "Bytes of messages in all mailboxes"),
    one(
        "nameplate-digits",
        "COUNT",
        &["1"],
        "The least digits of a nameplate that the server chooses, 18 at most",
    ),
    one(
        "nameplate-rest",
        "SECONDS",
        &["0"],
        "How long a nameplate that has come free is not chosen again; 0 gives it out at once",
    ),
    one(
        "list-pause",
        "SECONDS",
        &["1"],
        "How long after the last `list` of a client the next one is answered at the earliest",
    ),
    one(
        "address-connections",
        "COUNT",
        &["50"],
        "Connections to the mailbox server from one address at a time; of IPv6, 64 bits are one address. Clients of Unix \
         sockets have none and are not counted. SIGHUP reads this and all limits by address anew",
    ),
    one(
        "address-connects",
        "COUNT",
        &["10"],
        "New connections to the mailbox server from one address in a second",
    ),
    one(
        "address-allocates",
        "COUNT",
        &["30"],
        "Nameplates that the server chooses for one address in a minute",
    ),
    one(
        "address-claims",
        "COUNT",
        &["10"],
        "Claims from one address in a minute of nameplates that nobody has",
    ),
    one(
        "address-joins",
        "COUNT",
        &["60"],
        "Claims from one address in a minute of nameplates that somebody has",
    ),
    one("address-lists", "COUNT", &["5"], "Lists of all nameplates for one address in a minute"),
    one(
        "permission-bits",
        "BITS",
        &["0"],
        "How much work every client has to do before it is served, by hashcash: each bit doubles it; 0 asks for none. \
         Clients other than ours and magic-wormhole.rs cannot do it. SIGHUP reads it anew",
    ),
    Setting {
        name: "attack",
        kind: Kind::Switch,
        default: &["false"],
        help: "Attack mode: work is asked of every client, and a quarter of each limit by address is left. SIGHUP reads it \
               anew",
    },
    one("attack-bits", "BITS", &["20"], "How much work is asked for in attack mode, as --permission-bits"),
    one(
        "relay-line-timeout",
        "SECONDS",
        &["10"],
        "How long a client of the relay may take to say what it wants",
    ),
    one(
        "relay-wait-timeout",
        "SECONDS",
        &["600"],
        "How long a client of the relay waits for its partner; clients give up after two minutes by themselves",
    ),
    one(
        "relay-idle-timeout",
        "SECONDS",
        &["1800"],
        "How long a pair of the relay may be silent on both sides",
    ),
    one("relay-waiters", "COUNT", &["4"], "Clients of one side that may wait at the relay with one token"),
    one(
        "relay-address-connections",
        "COUNT",
        &["100"],
        "Connections to the relay from one address at a time. SIGHUP reads it anew",
    ),
    one("relay-pair-rate", "BYTES", &["0"], "How many bytes a pair of the relay may carry in a second"),
    one("relay-pair-bytes", "BYTES", &["0"], "How many bytes a pair of the relay may carry in all"),
    one(
        "drain-limit",
        "SECONDS",
        &["60"],
        "How long sessions may go on after SIGTERM before they are closed",
    ),
    one("log-level", "LEVEL", &["info"], "What is logged: error, warn, info, debug or trace"),
    one("log-format", "FORMAT", &["text"], "How it is logged on standard error: text or json"),
];

/// What was given, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) values: Vec<String>,
    pub(crate) source: Source,
}

/// Where a value comes from; the later one wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Default,
    File { path: PathBuf, line: usize },
    Environment(String),
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(name) => write!(f, "--{name}"),
        }
    }
}

/// Why the configuration cannot be used: where it was said, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) source: Option<Source>,
    pub(crate) what: String,
}

impl Fault {
    pub(crate) fn new(source: Source, what: impl Into<String>) -> Self {
        Self { source: Some(source), what: what.into() }
    }

    pub(crate) fn alone(what: impl Into<String>) -> Self {
        Self { source: None, what: what.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{source}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl std::error::Error for Fault {}

/// Everything that was said, by the name of the setting.
pub(crate) type Said = BTreeMap<&'static str, Given>;

/// The setting of this name.
pub(crate) fn named(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// The variable of the environment for a setting.
pub(crate) fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.replace('-', "_").to_uppercase())
}

/// The flags, for clap.
pub(crate) fn flags() -> Vec<Arg> {
    let config = Arg::new(CONFIG)
        .long(CONFIG)
        .value_name("FILE")
        .env(variable(CONFIG))
        .hide_env_values(true)
        .help("A TOML file with any of these settings under the same names");
    let flags = SETTINGS.iter().map(|setting| {
        let arg = Arg::new(setting.name).long(setting.name).env(variable(setting.name)).hide_env_values(true);
        let help = match setting.default {
            [] | ["false"] => setting.help.to_owned(),
            default => format!("{} [default: {}]", setting.help, default.join(", ")),
        };
        let arg = arg.help(help);
        match setting.kind {
            Kind::One(sort) => arg.value_name(sort).action(ArgAction::Set),
            Kind::Many(sort) => arg.value_name(sort).action(ArgAction::Append).value_delimiter(','),
            Kind::Switch => arg
                .value_name("BOOL")
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .action(ArgAction::Set),
        }
    });
    std::iter::once(config).chain(flags).map(|arg| arg.global(true)).collect()
}

/// Everything that was said: what a flag says goes before the environment, and that before the file.
pub(crate) fn said(matches: &ArgMatches) -> Result<Said, Fault> {
    refuse_strange_variables(std::env::vars_os().map(|(name, _)| name))?;
    let mut said: Said = SETTINGS
        .iter()
        .map(|setting| {
            let values = setting.default.iter().map(|value| (*value).to_owned()).collect();
            (setting.name, Given { values, source: Source::Default })
        })
        .collect();
    if let Some(path) = matches.get_one::<String>(CONFIG) {
        said.extend(file::read(path.as_ref())?);
    }
    for setting in SETTINGS {
        let source = match matches.value_source(setting.name) {
            Some(ValueSource::CommandLine) => Source::Flag(setting.name),
            Some(ValueSource::EnvVariable) => Source::Environment(variable(setting.name)),
            Some(_) | None => continue,
        };
        let values = matches.get_many::<String>(setting.name).into_iter().flatten().cloned().collect();
        said.insert(setting.name, Given { values, source });
    }
    Ok(said)
}

/// A variable that looks like a setting and is none would else be passed over in silence.
fn refuse_strange_variables(names: impl Iterator<Item = OsString>) -> Result<(), Fault> {
    for name in names {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        let known = SETTINGS.iter().map(|setting| setting.name).chain([CONFIG]);
        if !known.into_iter().any(|known| variable(known) == name) {
            return Err(Fault::new(Source::Environment(name.into()), "there is no such setting"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_is_no_setting_is_refused() {
        let refuse = |name: &str| refuse_strange_variables([OsString::from(name)].into_iter());
        assert_eq!(
            refuse("WORMHOLE_SERVER_BLUR"),
            Err(Fault::new(Source::Environment("WORMHOLE_SERVER_BLUR".into()), "there is no such setting"))
        );
        for name in ["HOME", "WORMHOLE_SERVER_MOTD", "WORMHOLE_SERVER_CONFIG", "WORMHOLE_SERVER_DRAIN_LIMIT"]
        {
            assert_eq!(refuse(name), Ok(()));
        }
    }

    #[test]
    fn every_setting_has_a_name_of_its_own_and_a_default_of_its_kind() {
        for (place, setting) in SETTINGS.iter().enumerate() {
            assert!(SETTINGS[..place].iter().all(|other| other.name != setting.name), "{}", setting.name);
            match setting.kind {
                Kind::One(_) => assert!(setting.default.len() < 2),
                Kind::Many(_) => {}
                Kind::Switch => assert_eq!(setting.default.len(), 1),
            }
        }
    }
}
