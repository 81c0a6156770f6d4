//! For whom a proxy connects, as it says in the headers of a request: `X-Real-IP` with `X-Real-Port`, `Forwarded`
//! (RFC 7239), `X-Forwarded-For`.
//!
//! A proxy overwrites or extends those that it knows, and passes the others on as the client wrote them. So where
//! several are there and do not name the same client, none is believed.

use std::net::{IpAddr, SocketAddr};

/// The most headers of a request.
const HEADERS: usize = 64;

/// The client that the request is from; `trusted` tells proxies from clients. `None` where nothing believable is said.
pub(crate) fn client(head: &[u8], trusted: impl Fn(IpAddr) -> bool) -> Option<SocketAddr> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    if !request.parse(head).is_ok_and(|status| status.is_complete()) {
        return None;
    }
    let values = |name: &'static str| {
        let of_name = request.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        of_name.map(|header| std::str::from_utf8(header.value).unwrap_or_default())
    };
    let port = values("X-Real-Port").next_back().and_then(|port| port.trim().parse().ok()).unwrap_or(0);
    let mut real = values("X-Real-IP").map(|value| address(value).map(|at| SocketAddr::new(at.ip(), port)));
    let listed = values("X-Forwarded-For").flat_map(|value| value.split(',')).map(address);
    let elements = values("Forwarded").flat_map(|value| value.split(',')).map(element);
    let said = [
        real.next_back(),
        first_stranger(listed.collect(), &trusted),
        first_stranger(elements.collect(), &trusted),
    ];
    let mut said = said.into_iter().flatten();
    let client = said.next()??;
    said.all(|other| other.is_some_and(|other| other.ip() == client.ip())).then_some(client)
}

/// From the nearest on, the first that is no proxy of ours; `Some(None)` where it cannot be read.
fn first_stranger(
    hops: Vec<Option<SocketAddr>>,
    trusted: impl Fn(IpAddr) -> bool,
) -> Option<Option<SocketAddr>> {
    let stranger = hops.iter().rev().find(|hop| !hop.is_some_and(|hop| trusted(hop.ip())));
    stranger.or_else(|| hops.first()).copied()
}

/// One element of `Forwarded`: pairs between semicolons, of which `for` counts.
fn element(text: &str) -> Option<SocketAddr> {
    let mut pairs = text.split(';').filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for")).and_then(|(_, value)| address(value))
}

/// An address with or without a port, brackets and quotes.
fn address(text: &str) -> Option<SocketAddr> {
    let text = text.trim().trim_matches('"');
    let bare = |text: &str| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
    let at = text.parse().or_else(|_| bare(text)).or_else(|_| {
        bare(text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or_default())
    });
    at.ok().map(|at: SocketAddr| SocketAddr::new(at.ip().to_canonical(), at.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_found_in_every_header() {
        for (headers, client) in [
            ("X-Real-IP: 192.0.2.7\r\nX-Real-Port: 99\r\n", Some("192.0.2.7:99")),
            ("x-real-ip: 2001:db8::1\r\n", Some("[2001:db8::1]:0")),
            ("X-Forwarded-For: 203.0.113.9, 192.0.2.7\r\n", Some("192.0.2.7:0")),
            ("X-Forwarded-For: 192.0.2.7:5, 10.0.0.2\r\nX-Forwarded-For: 10.0.0.3\r\n", Some("192.0.2.7:5")),
            ("X-Forwarded-For: 10.0.0.2\r\n", Some("10.0.0.2:0")),
            (
                "Forwarded: proto=https;for=\"[2001:db8::1]:5\";by=x, for=10.0.0.9\r\n",
                Some("[2001:db8::1]:5"),
            ),
            ("Forwarded: for=\"[2001:db8::1]\"\r\n", Some("[2001:db8::1]:0")),
            ("X-Real-IP: 192.0.2.7\r\nX-Forwarded-For: 1.1.1.1, 192.0.2.7\r\n", Some("192.0.2.7:0")),
            ("X-Forwarded-For: ::ffff:192.0.2.7\r\n", Some("192.0.2.7:0")),
            ("", None),
            ("X-Real-Port: 99\r\n", None),
        ] {
            assert_eq!(of(headers), client.map(|client| client.parse().unwrap()), "{headers}");
        }
    }

    #[test]
    fn what_a_client_could_have_written_is_not_believed() {
        for headers in [
            "X-Real-IP: 198.51.100.1\r\nX-Forwarded-For: 192.0.2.7\r\n",
            "Forwarded: for=198.51.100.1\r\nX-Forwarded-For: 192.0.2.7\r\n",
            "X-Real-IP: nonsense\r\nX-Forwarded-For: 192.0.2.7\r\n",
            "X-Forwarded-For: 198.51.100.1, unknown, 10.0.0.1\r\n",
            "Forwarded: for=_hidden\r\n",
        ] {
            assert_eq!(of(headers), None, "{headers}");
        }
    }

    #[test]
    fn half_a_request_says_nothing() {
        assert_eq!(client(b"GET /v1 HTTP/1.1\r\nX-Real-IP: 192.0.2.7\r\n", |_| false), None);
    }

    fn of(headers: &str) -> Option<SocketAddr> {
        let head = format!("GET /v1 HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
        client(head.as_bytes(), |address| address.to_string().starts_with("10."))
    }
}
