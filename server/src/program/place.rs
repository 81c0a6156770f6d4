//! Where callers come in, as it is written in the configuration.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where callers come in, and what stands before the protocol there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Each connection begins with a PROXY header.
    pub(crate) proxy: bool,
    pub(crate) tls: bool,
    pub(crate) at: At,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// A host, or none for every address of both families; and a port.
    Tcp(String, u16),
    Unix(PathBuf),
    /// The sockets that systemd has opened under this name.
    Passed(String),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (proxy, rest) = cut(text, "proxy:");
        let (tls, rest) = cut(rest, "tls:");
        let at = if let Some(path) = rest.strip_prefix("unix:") {
            if path.is_empty() {
                return Err("unix: needs the path of a socket".into());
            }
            At::Unix(path.into())
        } else if let Some(name) = rest.strip_prefix("fd:") {
            At::Passed(name.into())
        } else {
            let wrong = || format!("{text:?} is no HOST:PORT, unix:PATH or fd:NAME");
            let (host, port) = rest.rsplit_once(':').ok_or_else(wrong)?;
            let port = port.parse().map_err(|_| wrong())?;
            let host = match host.strip_prefix('[').map(|host| host.strip_suffix(']')) {
                Some(Some(host)) => host,
                // An address of IPv6 needs its brackets, or its last group would be taken for the port.
                None if !host.contains(':') => host,
                Some(None) | None => return Err(wrong()),
            };
            At::Tcp(if host == "*" { String::new() } else { host.into() }, port)
        };
        Ok(Self { proxy, tls, at })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.proxy { "proxy:" } else { "" })?;
        f.write_str(if self.tls { "tls:" } else { "" })?;
        match &self.at {
            At::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            At::Tcp(host, port) => write!(f, "{host}:{port}"),
            At::Unix(path) => write!(f, "unix:{}", path.display()),
            At::Passed(name) => write!(f, "fd:{name}"),
        }
    }
}

fn cut<'t>(text: &'t str, prefix: &str) -> (bool, &'t str) {
    text.strip_prefix(prefix).map_or((false, text), |rest| (true, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_shown_as_it_is_written() {
        for text in [
            ":4000",
            "localhost:0",
            "0.0.0.0:4000",
            "[::1]:4000",
            "unix:/run/wormhole/mailbox",
            "fd:mailbox",
            "tls:[::]:443",
            "proxy:tls:unix:/x",
        ] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), text);
        }
        assert_eq!("*:1".parse::<Place>().unwrap().to_string(), ":1");
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in
            ["", "4000", "host", "host:", "host:70000", "::1:4000", "[::1:4000", "unix:", "tls:proxy:a:1"]
        {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
