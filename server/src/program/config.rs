//! What the program does, from what was said: the one type from which every part takes its own.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use wormhole_core::driver::Terms;
use wormhole_server::limits::Bounds;
use wormhole_server::store::Limits;
use wormhole_server::usage::Manner;

use super::bounds::{self, Guarding};
use super::place::Place;
use super::settings::{Fault, Given, Kind, SETTINGS, Said, Source};
use super::store;

/// What the program does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    pub(crate) mailbox: Vec<Place>,
    pub(crate) relay: Vec<Place>,
    pub(crate) relay_websocket: Vec<Place>,
    pub(crate) monitor: Vec<Place>,
    /// The files of the certificate and of its key.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    pub(crate) trusted: Trusted,
    pub(crate) serving: wormhole_runtime::Serving,
    pub(crate) channel_db: store::Place,
    pub(crate) channel_db_synchronous: store::Safety,
    pub(crate) usage_db: Option<PathBuf>,
    pub(crate) relay_usage_db: Option<PathBuf>,
    pub(crate) relay_usage_log: Option<PathBuf>,
    pub(crate) usage: Manner,
    pub(crate) words: Words,
    pub(crate) disallow_list: bool,
    pub(crate) guarding: Guarding,
    pub(crate) bounds: Bounds,
    pub(crate) store: Limits,
    pub(crate) prune_interval: Duration,
    pub(crate) relay_line_timeout: Duration,
    pub(crate) relay_wait_timeout: Duration,
    pub(crate) relay_waiters: usize,
    pub(crate) relay_terms: Terms,
    pub(crate) drain_limit: Duration,
    pub(crate) log_level: Level,
    pub(crate) log_format: Format,
}

/// What clients of the mailbox server are told; it can change while the program runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) advertise_version: Option<String>,
    pub(crate) motd: Option<String>,
    pub(crate) signal_error: Option<String>,
}

/// Who is believed when it says for whom it connects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trusted {
    pub(crate) networks: Vec<IpNet>,
    /// Whoever comes through a Unix socket.
    pub(crate) unix: bool,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
}

impl Config {
    /// Makes sense of what was said.
    pub(crate) fn new(said: &Said) -> Result<Self, Fault> {
        let said = Reader(said);
        let config = Self {
            mailbox: said.all("mailbox")?,
            relay: said.all("relay")?,
            relay_websocket: said.all("relay-websocket")?,
            monitor: said.all("monitor")?,
            tls: said.tls()?,
            trusted: said.trusted()?,
            serving: wormhole_runtime::Serving {
                ping_every: said.seconds("ping-interval")?,
                silence_limit: said.seconds("ping-timeout")?,
                opening_limit: said.seconds("opening-timeout")?,
                origins: said.all("allowed-origin")?,
                ..wormhole_runtime::Serving::default()
            },
            channel_db: said.need("channel-db")?,
            channel_db_synchronous: said.need("channel-db-synchronous")?,
            usage_db: said.text("usage-db").map(Into::into),
            relay_usage_db: said.text("relay-usage-db").map(Into::into),
            relay_usage_log: said.text("relay-usage-log").map(Into::into),
            usage: Manner { blur: said.need("blur-usage")?, every: said.some_seconds("usage-interval")? },
            words: Words {
                advertise_version: said.text("advertise-version"),
                motd: said.text("motd"),
                signal_error: said.text("signal-error"),
            },
            disallow_list: said.need("disallow-list")?,
            guarding: Guarding::new(&said)?,
            bounds: bounds::bounds(&said)?,
            store: bounds::store(&said)?,
            prune_interval: said.some_seconds("prune-interval")?,
            relay_line_timeout: bounds::time(&said, "relay-line-timeout")?,
            relay_wait_timeout: bounds::time(&said, "relay-wait-timeout")?,
            relay_waiters: bounds::waiters(&said)?,
            relay_terms: bounds::terms(&said)?,
            drain_limit: said.seconds("drain-limit")?,
            log_level: said.need("log-level")?,
            log_format: said.need("log-format")?,
        };
        config.fits(&said)?;
        Ok(config)
    }

    /// Whether the settings fit together.
    fn fits(&self, said: &Reader<'_>) -> Result<(), Fault> {
        let places = [
            ("mailbox", &self.mailbox),
            ("relay", &self.relay),
            ("relay-websocket", &self.relay_websocket),
            ("monitor", &self.monitor),
        ];
        for (name, places) in places {
            for place in places {
                let fault = |what: &str| Err(Fault::new(said.source(name), format!("{place}: {what}")));
                if place.tls && self.tls.is_none() {
                    return fault("tls: needs tls-certificate and tls-key");
                }
                if place.proxy && self.trusted == Trusted::default() {
                    return fault("proxy: needs a trusted-proxy, since nobody else is believed");
                }
                if name == "monitor" && (place.proxy || place.tls) {
                    return fault("the monitor speaks plain HTTP only");
                }
            }
        }
        Ok(())
    }
}

pub(crate) struct Reader<'s>(&'s Said);

impl Reader<'_> {
    fn given(&self, name: &str) -> Option<&Given> {
        debug_assert!(SETTINGS.iter().any(|setting| setting.name == name), "{name}");
        self.0.get(name)
    }

    fn source(&self, name: &str) -> Source {
        self.given(name).map_or(Source::Default, |given| given.source.clone())
    }

    fn text(&self, name: &str) -> Option<String> {
        self.given(name)?.values.first().cloned()
    }

    fn all<T: FromStr<Err: fmt::Display>>(&self, name: &str) -> Result<Vec<T>, Fault> {
        let Some(given) = self.given(name) else { return Ok(Vec::new()) };
        let parse = |text: &String| {
            text.parse().map_err(|why| {
                Fault::new(given.source.clone(), format!("{name}: {:?}: {why}", without_password(text)))
            })
        };
        given.values.iter().map(parse).collect()
    }

    fn one<T: FromStr<Err: fmt::Display>>(&self, name: &str) -> Result<Option<T>, Fault> {
        Ok(self.all(name)?.into_iter().next())
    }

    /// What has a default.
    pub(crate) fn need<T: FromStr<Err: fmt::Display>>(&self, name: &str) -> Result<T, Fault> {
        self.one(name)?.ok_or_else(|| Fault::new(self.source(name), format!("{name} needs a value")))
    }

    /// A time, in seconds with or without a fraction.
    pub(crate) fn seconds(&self, name: &str) -> Result<Duration, Fault> {
        let seconds = Duration::try_from_secs_f64(self.need(name)?);
        seconds.map_err(|_| Fault::new(self.source(name), format!("{name} must be a number of seconds")))
    }

    /// As [`Reader::seconds`], where none at all would never let anything happen, or let it happen without end.
    pub(crate) fn some_seconds(&self, name: &str) -> Result<Duration, Fault> {
        let seconds = self.seconds(name)?;
        if seconds.is_zero() {
            return Err(Fault::new(self.source(name), format!("{name} must be longer than nothing")));
        }
        Ok(seconds)
    }

    /// A number of this range.
    pub(crate) fn within(&self, name: &str, range: RangeInclusive<u32>) -> Result<u32, Fault> {
        let number = self.need(name)?;
        if !range.contains(&number) {
            let what = format!("{name} must be from {} to {}", range.start(), range.end());
            return Err(Fault::new(self.source(name), what));
        }
        Ok(number)
    }

    /// A limit, where 0 is none.
    pub(crate) fn limit(&self, name: &str) -> Result<u32, Fault> {
        let limit = self.need(name)?;
        Ok(if limit == 0 { u32::MAX } else { limit })
    }

    fn tls(&self) -> Result<Option<(PathBuf, PathBuf)>, Fault> {
        match (self.text("tls-certificate"), self.text("tls-key")) {
            (Some(certificate), Some(key)) => Ok(Some((certificate.into(), key.into()))),
            (None, None) => Ok(None),
            (Some(_), None) => Err(Fault::new(self.source("tls-certificate"), "there is no tls-key for it")),
            (None, Some(_)) => Err(Fault::new(self.source("tls-key"), "there is no tls-certificate for it")),
        }
    }

    fn trusted(&self) -> Result<Trusted, Fault> {
        let mut trusted = Trusted::default();
        for one in self.all::<TrustedOne>("trusted-proxy")? {
            match one {
                TrustedOne::Unix => trusted.unix = true,
                TrustedOne::Network(network) => trusted.networks.push(network),
            }
        }
        Ok(trusted)
    }
}

enum TrustedOne {
    Unix,
    Network(IpNet),
}

impl FromStr for TrustedOne {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        if text == "unix" {
            return Ok(Self::Unix);
        }
        let network = text.parse().or_else(|_| text.parse().map(|address: std::net::IpAddr| address.into()));
        network.map(Self::Network).map_err(|_| "it is no address and no network such as 10.0.0.0/8")
    }
}

impl FromStr for Level {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        Ok(match text {
            "error" => Self::Error,
            "warn" => Self::Warn,
            "info" => Self::Info,
            "debug" => Self::Debug,
            "trace" => Self::Trace,
            _ => return Err("it is none of error, warn, info, debug, trace"),
        })
    }
}

impl FromStr for Format {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        Ok(match text {
            "text" => Self::Text,
            "json" => Self::Json,
            _ => return Err("it is neither text nor json"),
        })
    }
}

/// A value as it may be seen: of the URL of a database the password is left out.
fn without_password(value: &str) -> String {
    let hidden = || {
        let (scheme, rest) = value.split_once("://")?;
        let (user, host) = rest.rsplit_once('@')?;
        let (name, _) = user.split_once(':')?;
        Some(format!("{scheme}://{name}:***@{host}"))
    };
    hidden().unwrap_or_else(|| value.to_owned())
}

/// Every setting as it is, and where it comes from: a file of settings again, with comments.
pub(crate) fn show(said: &Said) -> String {
    let mut text = String::new();
    for setting in SETTINGS {
        let Some(Given { values, source }) = said.get(setting.name) else { continue };
        // A string of JSON is one of TOML, too.
        let quoted = |value: &String| serde_json::to_string(&without_password(value)).unwrap_or_default();
        let value = match (setting.kind, values.first()) {
            (Kind::Many(_), _) => format!("[{}]", values.iter().map(quoted).collect::<Vec<_>>().join(", ")),
            (Kind::Switch, Some(value)) => value.clone(),
            (Kind::One(_), Some(value)) => quoted(value),
            (Kind::One(_) | Kind::Switch, None) => {
                text += &format!("# {} is not set\n", setting.name);
                continue;
            }
        };
        text += &format!("{} = {value}  # {source}\n", setting.name);
    }
    text
}
