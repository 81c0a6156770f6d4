//! For whom a proxy connects: the PROXY header, and the headers of an HTTP request.

use std::net::IpAddr;

use self::forwarded::client;
use self::proxy_header::ProxyHeader;

// They belong to the program of the server, of which nothing is public.
#[path = "../../../../server/src/program/forwarded.rs"]
mod forwarded;
#[path = "../../../../server/src/program/proxy_header.rs"]
mod proxy_header;

/// How much of a header may have come before it is decided: all that can come of it comes at once.
pub fn run(data: &[u8]) {
    let whole = ProxyHeader::parse(data);
    match whole {
        ProxyHeader::Begun | ProxyHeader::Bad => {}
        ProxyHeader::From { peer, length } => {
            assert!(0 < length && length <= data.len(), "it is longer than what came");
            assert!(peer.is_none_or(|peer| peer.ip() == peer.ip().to_canonical()));
        }
    }
    let cut = data.iter().enumerate().map(|(end, _)| ProxyHeader::parse(data.get(..end).unwrap_or_default()));
    let first = cut.chain([whole]).find(|header| *header != ProxyHeader::Begun).unwrap_or(whole);
    assert_eq!(first, whole, "it matters where it is cut");
    forwarded_for(data);
}

/// Of a request, nobody is believed whom all of its headers that are there do not name.
fn forwarded_for(data: &[u8]) {
    let trusted = |address: IpAddr| address.to_string().starts_with("10.");
    let head = [b"GET /v1 HTTP/1.1\r\n", data, b"\r\n\r\n"].concat();
    if let Some(found) = client(&head, trusted) {
        let text = String::from_utf8_lossy(data).to_lowercase();
        assert!(["x-real-ip", "forwarded"].iter().any(|name| text.contains(name)), "nobody said {found}");
        assert_eq!(found.ip(), found.ip().to_canonical());
        let lie = [b"GET /v1 HTTP/1.1\r\nX-Real-IP: nonsense\r\n", data, b"\r\n\r\n"].concat();
        let again = client(&lie, trusted);
        assert!(again.is_none_or(|again| again.ip() == found.ip()), "{again:?} instead of {found}");
    }
}
