//! How this computer reaches the others: servers, relays, proxies and Tor, as the options and the environment say.

use std::env;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use clap::{ArgAction, Args};
use wormhole_core::defaults;
use wormhole_core::error::Misuse;
use wormhole_core::wire::hints::{DirectHint, parse_relay_argument};
use wormhole_tokio::Proxy;
use wormhole_tokio::transfer::Config;

use crate::failure::Failure;
use crate::prompt;
use crate::screen::note;

/// Variable that names the transit relay. Empty means the default, as with the reference.
pub(crate) const HELPER_VARIABLE: &str = "WORMHOLE_TRANSIT_HELPER";

/// Where Tor, and the Tor browser, have their SOCKS ports.
const TOR_PORTS: [&str; 2] = ["127.0.0.1:9050", "127.0.0.1:9150"];

/// How long Tor may take to take a call on this computer.
const TOR_PATIENCE: Duration = Duration::from_secs(3);

/// Options about the network, before or after every command.
#[derive(Clone, Debug, Args)]
pub(crate) struct Network {
    /// Relay for where no direct connection is possible, tcp:HOST:PORT; "" for none [env: WORMHOLE_TRANSIT_HELPER]
    ///
    /// Several are tried, each with this option.
    #[arg(long, global = true, value_name = "tcp:HOST:PORT", value_parser = relay, action = ArgAction::Append)]
    transit_helper: Vec<Relay>,
    /// Let the other side connect to this computer (the default)
    #[arg(long, global = true, overrides_with = "no_listen")]
    listen: bool,
    /// Open no port on this computer: connect to the other side, or meet it at the relay
    #[arg(long, global = true, overrides_with = "listen")]
    no_listen: bool,
    /// Dial everything through a proxy, socks5://HOST:PORT or http://HOST:PORT
    ///
    /// USER:PASSWORD@ stands before the host where they are needed. With a proxy no port is opened, unless --listen asks for
    /// it. "" is none.
    #[arg(long, global = true, value_name = "URL", env = "WORMHOLE_PROXY", value_parser = proxy)]
    #[arg(hide_env_values = true)]
    proxy: Option<Via>,
    /// Dial everything through Tor
    ///
    /// Each connection goes by a way of its own. No port is opened, no address of this computer is told, and names are looked
    /// up by Tor.
    #[arg(long, global = true)]
    pub(crate) tor: bool,
    /// Where Tor takes SOCKS connections
    ///
    /// Without it, 127.0.0.1:9050 and 127.0.0.1:9150 are tried.
    #[arg(long, global = true, value_name = "HOST:PORT", value_parser = socks)]
    tor_socks: Option<String>,
}

/// A relay as an option has it; the empty one is no relay.
#[derive(Clone, Debug)]
struct Relay(Option<DirectHint>);

/// A proxy as an option has it; the empty one is none.
#[derive(Clone, Debug)]
struct Via(Option<Proxy>);

impl Network {
    /// Whether no port is to be opened. Where both are said, the files of settings said that one.
    pub(crate) const fn no_listen(&self) -> bool {
        self.no_listen && !self.listen
    }

    /// The transit relays: the options', else the environment's, else the public one.
    pub(crate) fn relays(&self) -> Result<Vec<DirectHint>, Failure> {
        if !self.transit_helper.is_empty() {
            return Ok(self.transit_helper.iter().filter_map(|Relay(relay)| relay.clone()).collect());
        }
        let told = match env::var(HELPER_VARIABLE) {
            Ok(text) if !text.is_empty() => relay(&text)
                .map_err(|why| Failure::Usage(format!("the variable {HELPER_VARIABLE}: {why}")))?,
            Ok(_) | Err(_) => relay(defaults::RELAY)?,
        };
        Ok(told.0.into_iter().collect())
    }

    /// What stands before the path of the content, as with the reference.
    pub(crate) const fn via(&self) -> &'static str {
        if self.tor { "tor" } else { "" }
    }

    /// What of it cannot be together.
    fn check(&self) -> Result<(), Failure> {
        let usage = |why: &str| Err(Failure::Usage(why.to_owned()));
        match (self.tor, &self.tor_socks) {
            (true, _) if self.listen => usage("--tor opens no port: leave --listen away"),
            (true, _) if self.proxy().is_some() => {
                usage("--tor is a proxy already: leave the other one away")
            }
            (false, Some(_)) => usage("--tor-socks says where Tor is; --tor uses it"),
            (true | false, _) => Ok(()),
        }
    }

    fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref().and_then(|Via(proxy)| proxy.as_ref())
    }

    /// Adds to the configuration what is said here. Where Tor is wanted, it is looked for.
    pub(crate) async fn apply(&self, config: Config) -> Result<Config, Failure> {
        self.check()?;
        let config = config.relay_hints(self.relays()?);
        if self.tor {
            let at = self.find_tor().await?;
            return Ok(config.proxy(Proxy::parse(&format!("tor://{at}"))?).listen(false));
        }
        let config = match self.proxy() {
            Some(proxy) => config.proxy(proxy.clone()),
            None => config,
        };
        Ok(match (self.listen, self.no_listen) {
            (true, _) => config.listen(true),
            (false, true) => config.listen(false),
            (false, false) => config,
        })
    }

    /// Where Tor takes a call. Nothing is asked of the network for it but what `--tor-socks` names.
    async fn find_tor(&self) -> Result<String, Failure> {
        let places: Vec<String> = match &self.tor_socks {
            Some(place) => vec![place.clone()],
            None => TOR_PORTS.map(str::to_owned).to_vec(),
        };
        let tried = places.join(" and ");
        let found =
            prompt::on_a_thread(move || places.into_iter().find(|place| answers(place).is_ok())).await;
        let Ok(Some(place)) = found else {
            return Err(Failure::Here(format!(
                "--tor was requested, but no Tor answers at {tried}. Start Tor, or say where its SOCKS port is with \
                 --tor-socks HOST:PORT"
            )));
        };
        note(format_args!(" using Tor via SOCKS at {place}"));
        Ok(place)
    }
}

fn answers(place: &str) -> io::Result<()> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for at in place.to_socket_addrs()? {
        match TcpStream::connect_timeout(&at, TOR_PATIENCE) {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn relay(text: &str) -> Result<Relay, Misuse> {
    parse_relay_argument(text).map(Relay)
}

fn proxy(url: &str) -> Result<Via, Misuse> {
    if url.is_empty() { Ok(Via(None)) } else { Proxy::parse(url).map(|proxy| Via(Some(proxy))) }
}

/// A place of Tor's, looked at as a proxy's address is.
fn socks(place: &str) -> Result<String, String> {
    match Proxy::parse(&format!("tor://{place}")) {
        Ok(_) => Ok(place.to_owned()),
        Err(_) => Err("a host and a port are wanted, as in 127.0.0.1:9050".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        network: Network,
    }

    fn parse(arguments: &[&str]) -> Network {
        Line::try_parse_from([&["x"], arguments].concat()).unwrap().network
    }

    #[test]
    fn the_last_of_listen_and_no_listen_counts() {
        assert!(parse(&["--listen", "--no-listen"]).no_listen());
        assert!(!parse(&["--no-listen", "--listen"]).no_listen());
    }

    #[test]
    fn an_empty_relay_is_none_and_several_are_several() {
        assert_eq!(parse(&["--transit-helper", ""]).relays(), Ok(Vec::new()));
        let two = parse(&["--transit-helper", "tcp:a:1", "--transit-helper", "tcp:b:2"]).relays().unwrap();
        assert_eq!(two.iter().map(|relay| relay.address.port).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn tor_is_the_only_proxy_and_opens_no_port() {
        for arguments in
            [&["--tor", "--listen"][..], &["--tor", "--proxy", "socks5://h:1"], &["--tor-socks", "h:1"]]
        {
            assert!(matches!(parse(arguments).check(), Err(Failure::Usage(_))), "{arguments:?}");
        }
        assert_eq!(
            parse(&["--tor", "--no-listen", "--tor-socks", "[::1]:9050", "--proxy", ""]).check(),
            Ok(())
        );
        for place in ["h", "h:0", "h:1:2", "a@h:1", "a:b@h:1", ""] {
            assert!(Line::try_parse_from(["x", "--tor", "--tor-socks", place]).is_err(), "{place}");
        }
    }
}
