//! Which proxy, and as whom.

use std::fmt;

use data_encoding::HEXLOWER;
use wormhole_core::driver::Address;
use wormhole_core::error::Misuse;
use wormhole_core::rng::Seed;
use zeroize::Zeroizing;

/// The most bytes of a user name or a password (RFC 1929).
const LOGIN_BYTES: usize = 255;

/// A proxy through which everything goes that is dialled: the mailbox server, relays and peers. It resolves the names.
///
/// ```
/// use wormhole_runtime::Proxy;
///
/// let proxy = Proxy::parse("socks5://user:password@localhost:1080")?;
/// assert_eq!(proxy, Proxy::socks5("localhost", 1080).login("user", "password")?);
/// assert_eq!(Proxy::parse("http://proxy.example:8080")?, Proxy::http("proxy.example", 8080));
/// # Ok::<(), wormhole_core::error::Misuse>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    pub(super) kind: Kind,
    pub(super) address: Address,
    pub(super) login: Option<Login>,
    /// Each connection goes by a name and a password of its own.
    is_tor: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// SOCKS version 5 (RFC 1928).
    Socks5,
    /// HTTP `CONNECT` (RFC 9110, section 9.3.6).
    Http,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: Zeroizing<String>,
}

impl Proxy {
    /// A SOCKS5 proxy at this host, a name or an IP literal without brackets.
    pub fn socks5(host: &str, port: u16) -> Self {
        Self { kind: Kind::Socks5, address: Address::new(host, port), login: None, is_tor: false }
    }

    /// An HTTP proxy that knows `CONNECT`, at this host, a name or an IP literal without brackets.
    pub fn http(host: &str, port: u16) -> Self {
        Self { kind: Kind::Http, address: Address::new(host, port), login: None, is_tor: false }
    }

    /// Tor, at its SOCKS port. Each connection is made with a name and a password of its own, drawn at random, which Tor
    /// takes as the wish that no two of them share a way: nobody at their ends sees that they belong together. Names
    /// below `onion` lead somewhere.
    pub fn tor(host: &str, port: u16) -> Self {
        Self { is_tor: true, ..Self::socks5(host, port) }
    }

    /// Whether it is Tor.
    pub const fn is_tor(&self) -> bool {
        self.is_tor
    }

    /// As whom it is used.
    ///
    /// # Errors
    ///
    /// One of the two is empty or longer than 255 bytes, or the name has a colon.
    pub fn login(self, user: &str, password: &str) -> Result<Self, Misuse> {
        if user.len() > LOGIN_BYTES || password.len() > LOGIN_BYTES {
            return Err(Misuse::TooLong { limit_bytes: LOGIN_BYTES });
        }
        if user.is_empty() || password.is_empty() || user.contains(':') {
            return Err(Misuse::Address("a proxy takes a name without a colon, and a password".into()));
        }
        let login = Login { user: user.into(), password: Zeroizing::new(password.into()) };
        Ok(Self { login: Some(login), ..self })
    }

    /// The proxy as one connection uses it, if each has its own name and password.
    pub(super) fn alone(&self, seed: impl FnOnce() -> Seed) -> Option<Self> {
        if !self.is_tor {
            return None;
        }
        let seed = Zeroizing::new(seed());
        let (user, password) = seed.split_at(seed.len() / 2);
        let password = Zeroizing::new(HEXLOWER.encode(password));
        Some(Self { login: Some(Login { user: HEXLOWER.encode(user), password }), ..self.clone() })
    }

    /// Takes an address apart: `socks5://HOST:PORT` or `http://HOST:PORT`, with `USER:PASSWORD@` before the host where
    /// they are needed; bytes that have a meaning in it are written as `%` and two hex digits. Tor is `tor://HOST:PORT`.
    ///
    /// # Errors
    ///
    /// It is no such address. The error does not repeat it, since it may hold a password.
    pub fn parse(url: &str) -> Result<Self, Misuse> {
        let bad = |what: &str| Misuse::Address(format!("proxy: {what}"));
        let (scheme, rest) =
            url.split_once("://").ok_or_else(|| bad("it begins with socks5:// or http://"))?;
        let (kind, is_tor) = match scheme.to_ascii_lowercase().as_str() {
            "socks5" | "socks5h" => (Kind::Socks5, false),
            "http" => (Kind::Http, false),
            "tor" => (Kind::Socks5, true),
            _ => return Err(bad("it begins with socks5:// or http://")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, rest),
        };
        let address =
            place_of(place).ok_or_else(|| bad("a host and a port are wanted, as in localhost:1080"))?;
        let proxy = Self { kind, address, login: None, is_tor };
        let Some(login) = login else { return Ok(proxy) };
        if is_tor {
            return Err(bad("Tor takes no name and password"));
        }
        let (user, password) =
            login.split_once(':').ok_or_else(|| bad("a password is wanted after the name"))?;
        let plain = |text: &str| plain(text).ok_or_else(|| bad("a % stands before two hex digits"));
        proxy.login(&plain(user)?, &plain(password)?)
    }
}

/// Host and port; an IPv6 address stands in brackets.
fn place_of(place: &str) -> Option<Address> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once("]:")?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, port)
        }
        None => place.split_once(':').filter(|(_, port)| !port.contains(':'))?,
    };
    let is_usable = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic());
    let port = port.parse().ok().filter(|port| *port != 0)?;
    is_usable.then(|| Address::new(host, port))
}

/// The text behind `%` and hex digits.
fn plain(text: &str) -> Option<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            other => other,
        });
    }
    Some(Zeroizing::new(std::str::from_utf8(&bytes).ok()?.to_owned()))
}

/// Without the password.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({:?}, {}", self.kind, self.address)?;
        match &self.login {
            Some(login) => write!(f, ", as {:?})", login.user),
            None => f.write_str(")"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        let of = |text: &str| Proxy::parse(text).unwrap();
        assert_eq!(of("socks5://[::1]:9050/"), Proxy::socks5("::1", 9050));
        assert_eq!(of("SOCKS5H://h:1"), Proxy::socks5("h", 1));
        assert_eq!(of("tor://[::1]:9050"), Proxy::tor("::1", 9050));
        let login = of("http://a%40b:c%3a%C3%A9@h:1").login.unwrap();
        assert_eq!((login.user.as_str(), login.password.as_str()), ("a@b", "c:é"));
    }

    #[test]
    fn what_cannot_be_used_is_refused_without_being_repeated() {
        for text in [
            "",
            "h:1",
            "https://h:1",
            "socks4://h:1",
            "socks5://h",
            "socks5://h:0",
            "socks5://:1",
            "socks5://h:1:2",
            "socks5://[x]:1",
            "socks5://a b:1",
            "tor://user:secret@h:1",
            "socks5://user@h:1",
            "socks5://:secret@h:1",
            "socks5://u:secret%2@h:1",
            "socks5://u:secret%ff@h:1",
        ] {
            let Err(Misuse::Address(why)) = Proxy::parse(text) else { panic!("taken: {text}") };
            assert!(!why.contains("secret"), "{why}");
        }
        let long = "x".repeat(256);
        assert!(Proxy::http("h", 1).login(&long, "x").is_err());
    }

    #[test]
    fn connections_through_tor_have_nothing_in_common() {
        let proxy = Proxy::socks5("h", 1);
        assert!(proxy.alone(|| [1; 32]).is_none());
        let tor = Proxy::tor("h", 1);
        let [one, two] = [1, 2].map(|seed| tor.alone(|| [seed; 32]).unwrap().login.unwrap());
        assert!(one.user != two.user && one.password != two.password);
        assert!(one.user.len() <= LOGIN_BYTES && one.password.len() <= LOGIN_BYTES);
    }

    #[test]
    fn a_password_is_not_printed() {
        let proxy = Proxy::http("h", 1).login("user", "secret").unwrap();
        assert_eq!(format!("{proxy:?}"), "Proxy(Http, h:1, as \"user\")");
    }
}
