//! The URL of a mailbox server.

use std::net::Ipv6Addr;

use wormhole_core::driver::{Address, Why};

/// A `ws://` or `wss://` URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    /// Whether TLS is spoken.
    pub(super) secure: bool,
    pub(super) address: Address,
    /// Host and port as typed, for the `Host` header.
    pub(super) authority: String,
    /// Path and query as typed; `/` where there are none.
    pub(super) path: String,
}

impl Url {
    /// Takes a URL apart; refuses what could not be sent as it stands.
    pub(super) fn parse(text: &str) -> Result<Self, Why> {
        let bad = |what: &str| Err(Why::BadUrl(format!("{text:?}: {what}")));
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return bad("only printable ASCII characters are possible, and no spaces");
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return bad("it begins with ws:// or wss://");
        };
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "ws" => false,
            "wss" => true,
            "http" => return bad("write ws:// instead of http://"),
            "https" => return bad("write wss:// instead of https://"),
            _ => return bad("it begins with ws:// or wss://"),
        };
        let rest = rest.split('#').next().unwrap_or("");
        let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return bad("a user name has no meaning here");
        }
        let path = if tail.starts_with('/') { tail.to_owned() } else { format!("/{tail}") };
        let Some((host, port)) = split_port(authority) else {
            return bad("the host or the port cannot be read");
        };
        let port = port.unwrap_or(if secure { 443 } else { 80 });
        Ok(Self { secure, address: Address::new(host, port), authority: authority.to_owned(), path })
    }
}

/// Host without brackets, and the port where there is one.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() {
        return None;
    }
    match port {
        // "host:" is allowed, and means the usual port.
        None | Some("") => Some((host, None)),
        Some(port) => {
            let digits = port.bytes().all(|byte| byte.is_ascii_digit());
            let port = port.parse().ok().filter(|port| digits && *port != 0)?;
            Some((host, Some(port)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_as_typed_with_the_usual_ports() {
        let of = |text: &str| {
            let url = Url::parse(text).unwrap();
            (url.secure, url.address.host, url.address.port, url.authority, url.path)
        };
        let whole = |secure, host: &str, port, authority: &str, path: &str| {
            (secure, host.to_owned(), port, authority.to_owned(), path.to_owned())
        };
        assert_eq!(of("ws://relay:4000/v1"), whole(false, "relay", 4000, "relay:4000", "/v1"));
        assert_eq!(of("WSS://relay/v1?x=1#y"), whole(true, "relay", 443, "relay", "/v1?x=1"));
        assert_eq!(of("ws://relay"), whole(false, "relay", 80, "relay", "/"));
        assert_eq!(of("ws://relay?x"), whole(false, "relay", 80, "relay", "/?x"));
        assert_eq!(of("ws://[::1]:4000/"), whole(false, "::1", 4000, "[::1]:4000", "/"));
        assert_eq!(of("ws://[::1]"), whole(false, "::1", 80, "[::1]", "/"));
        assert_eq!(of("ws://h:/v1"), whole(false, "h", 80, "h:", "/v1"));
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_a_reason() {
        for text in [
            "",
            "relay",
            "relay:4000",
            "ftp://x",
            "ws://",
            "ws:///v1",
            "ws://:80",
            "ws://u@h/",
            "ws://h:0/",
            "ws://h:65536/",
            "ws://h:+1/",
            "ws://h:1:2/",
            "ws://[::1",
            "ws://[x]:1/",
            "ws://[::1]x/",
            "ws://h/a b",
            "ws://h/\r\nX: y",
            "ws://é/",
        ] {
            assert!(matches!(Url::parse(text), Err(Why::BadUrl(_))), "{text}");
        }
        let Err(Why::BadUrl(why)) = Url::parse("http://relay/v1") else { panic!("taken") };
        assert!(why.contains("write ws:// instead of http://"), "{why}");
    }
}
