//! What an application says once about all that it builds on a wormhole.

use std::ops::RangeInclusive;
use std::time::Duration;

use wormhole_core::defaults::{CODE_WORDS, Limits, MAILBOX, RELAY, TRANSFER_APPID};
use wormhole_core::error::Misuse;
use wormhole_core::wire::hints::{DirectHint, parse_relay_argument};
use wormhole_core::wormhole;

use crate::network::{Network, Roots};
use crate::proxied::Proxy;

/// What an application says once about all that it builds on a wormhole.
///
/// Nothing is looked at before it is used: what cannot be is told by whoever is given it, as
/// [`Wormhole::new`](crate::Wormhole::new).
///
/// ```
/// use std::time::Duration;
/// use wormhole_runtime::{Config, Proxy};
///
/// let config = Config::new("example.com/app")
///     .mailbox("wss://mailbox.example.com/v1")
///     .relays(["tcp:relay.example.com:4001"])
///     .app_versions(r#"{"chat": 2}"#)
///     .proxy(Proxy::socks5("localhost", 9050))
///     .wait_limit(Duration::from_secs(600));
/// assert!(!config.listens(), "with a proxy nobody is told where we are");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    appid: String,
    mailbox: String,
    relays: Result<Vec<DirectHint>, Misuse>,
    app_versions: String,
    client_version: Option<(String, String)>,
    code_words: usize,
    listen: Option<bool>,
    verify: bool,
    network: Network,
    wait_limit: Option<Duration>,
    limits: Limits,
}

impl Config {
    /// For this application, with the public servers. Both sides must name the same application; the name of a domain
    /// that is yours in it keeps it from meeting others.
    pub fn new(appid: &str) -> Self {
        Self {
            appid: appid.into(),
            mailbox: MAILBOX.into(),
            relays: parsed([RELAY]),
            app_versions: "{}".into(),
            client_version: None,
            code_words: CODE_WORDS,
            listen: None,
            verify: false,
            network: Network::default(),
            wait_limit: None,
            limits: Limits::default(),
        }
    }

    /// Another mailbox server, by its URL: `ws://` or `wss://`, host, port and path. Both sides must use the same.
    #[must_use]
    pub fn mailbox(self, url: &str) -> Self {
        Self { mailbox: url.into(), ..self }
    }

    /// Other transit relays, each as `tcp:HOST:PORT`; none leaves those of the other side. They carry content where no
    /// direct connection can be made.
    #[must_use]
    pub fn relays<T: AsRef<str>>(self, relays: impl IntoIterator<Item = T>) -> Self {
        Self { relays: parsed(relays), ..self }
    }

    /// As [`Config::relays`], where they are known as hints already.
    #[must_use]
    pub fn relay_hints(self, relays: Vec<DirectHint>) -> Self {
        Self { relays: Ok(relays), ..self }
    }

    /// What the other side is told as `app_versions`, a JSON text; `{}` if nothing is said.
    #[must_use]
    pub fn app_versions(self, json: &str) -> Self {
        Self { app_versions: json.into(), ..self }
    }

    /// Which program, and which version of it, the server is told.
    #[must_use]
    pub fn client_version(self, program: &str, version: &str) -> Self {
        Self { client_version: Some((program.into(), version.into())), ..self }
    }

    /// How many words a code has that is made here, where nothing else is said; two, to begin with.
    #[must_use]
    pub fn code_words(self, words: usize) -> Self {
        Self { code_words: words, ..self }
    }

    /// Whether peers may connect to us for content, for which they are told our addresses. They may, to begin with,
    /// unless there is a proxy: who uses one may not want to be found.
    #[must_use]
    pub fn listen(self, listen: bool) -> Self {
        Self { listen: Some(listen), ..self }
    }

    /// Whether our user compares verifiers with the other one's before a transfer offers, shows or answers anything; not,
    /// to begin with.
    #[must_use]
    pub fn verify(self, verify: bool) -> Self {
        Self { verify, ..self }
    }

    /// The ports of which one is taken to listen for peers, for whoever has to open them in a firewall.
    #[must_use]
    pub fn ports(mut self, ports: RangeInclusive<u16>) -> Self {
        self.network.ports = Some(ports);
        self
    }

    /// A proxy, through which everything is dialled: the mailbox server, relays and peers. It resolves the names.
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.network.proxy = Some(proxy);
        self
    }

    /// Whose certificates are trusted by `wss://`, instead of those that the system trusts.
    #[must_use]
    pub fn tls_roots(mut self, roots: Roots) -> Self {
        self.network.roots = Some(roots);
        self
    }

    /// How long one call may wait: then it ends with [`Error::TimedOut`](wormhole_core::error::Error::TimedOut), nothing
    /// is lost, and it may be repeated. Without a limit it waits for as long as it takes.
    #[must_use]
    pub fn wait_limit(self, limit: Duration) -> Self {
        Self { wait_limit: Some(limit), ..self }
    }

    /// How long closing waits for the server, instead of three seconds; one of the [limits](Config::limits).
    #[must_use]
    pub fn close_limit(mut self, limit: Duration) -> Self {
        self.limits.close = limit;
        self
    }

    /// How long each wait for others may take before everything ends with an error that says who was waited for.
    ///
    /// ```
    /// use std::time::Duration;
    /// use wormhole_runtime::{Config, Limits};
    ///
    /// let hour = Some(Duration::from_secs(60 * 60));
    /// let config = Config::new("example.com/app").limits(Limits { peer: hour, ..Limits::default() });
    /// assert_eq!(config.time_limits().peer, hour);
    /// ```
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// What the session is made from.
    ///
    /// # Errors
    ///
    /// The application's name is too long, or its versions are not JSON or too long.
    pub fn session(&self) -> Result<wormhole::Config, Misuse> {
        let session = wormhole::Config::new(&self.appid)?
            .mailbox(&self.mailbox)
            .app_versions(&self.app_versions)?
            .limits(self.limits);
        Ok(match &self.client_version {
            Some((program, version)) => session.client_version(program, version),
            None => session,
        })
    }

    /// The transit relays.
    ///
    /// # Errors
    ///
    /// One of them cannot be read.
    pub fn transit_relays(&self) -> Result<Vec<DirectHint>, Misuse> {
        self.relays.clone()
    }

    /// Whether our user compares verifiers before anything is transferred.
    pub const fn verifies(&self) -> bool {
        self.verify
    }

    /// Whether everything is dialled through Tor.
    pub fn goes_through_tor(&self) -> bool {
        self.network.proxy.as_ref().is_some_and(Proxy::is_tor)
    }

    /// How many words a code has that is made here.
    pub const fn words(&self) -> usize {
        self.code_words
    }

    /// Whether peers may connect to us.
    pub fn listens(&self) -> bool {
        self.listen.unwrap_or_else(|| self.network.proxy.is_none())
    }

    /// What a runtime is to be told.
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// How long each wait for others may take.
    pub const fn time_limits(&self) -> &Limits {
        &self.limits
    }

    /// How long one call may wait.
    pub const fn waits(&self) -> Option<Duration> {
        self.wait_limit
    }
}

fn parsed<T: AsRef<str>>(relays: impl IntoIterator<Item = T>) -> Result<Vec<DirectHint>, Misuse> {
    let mut hints = Vec::new();
    for relay in relays {
        hints.extend(parse_relay_argument(relay.as_ref())?);
    }
    Ok(hints)
}

/// For the transfer of text, files and directories, so that it meets every program that does the same.
impl Default for Config {
    fn default() -> Self {
        Self::new(TRANSFER_APPID)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_proxy_listens_only_when_asked_to() {
        let config = || Config::new("app");
        assert!(config().listens());
        assert!(!config().listen(false).listens());
        let hidden = config().proxy(Proxy::http("h", 1));
        assert!(!hidden.listens());
        assert!(hidden.listen(true).listens());
    }

    #[test]
    fn what_cannot_be_is_told_when_it_is_used() {
        let limit = Misuse::TooLong { limit_bytes: 256 };
        assert_eq!(Config::new(&"x".repeat(257)).session(), Err(limit));
        assert_eq!(Config::new("app").app_versions("{").session(), Err(Misuse::NotJson));
        assert!(matches!(Config::new("app").relays(["h:1"]).transit_relays(), Err(Misuse::Address(_))));
        assert_eq!(Config::new("app").relays([""]).transit_relays(), Ok(Vec::new()));
        assert_eq!(Config::new("app").transit_relays().unwrap().len(), 1);
    }
}
