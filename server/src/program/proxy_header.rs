//! The header of the PROXY protocol, version 1 or 2, in which a proxy says for whom it connects.

use std::net::SocketAddr;

use ppp::PartialResult;

/// What a header of version 1 begins with, and the most bytes that it has.
const TEXT: &[u8] = b"PROXY ";
const TEXT_BYTES: usize = 107;

/// What the bytes that have come are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProxyHeader {
    /// It may become one.
    Begun,
    /// None.
    Bad,
    /// A header of this length. It may name nobody, as that of a health check does.
    From { peer: Option<SocketAddr>, length: usize },
}

impl ProxyHeader {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        if bytes.starts_with(TEXT) || TEXT.starts_with(bytes) {
            return Self::text(bytes);
        }
        let header = ppp::v2::Header::try_from(bytes);
        if header.is_incomplete() {
            return Self::Begun;
        }
        header.map_or(Self::Bad, |header| Self::From { peer: v2(&header), length: header.len() })
    }

    /// A line is read as a whole: half an address may be wrong, and half a port another one.
    fn text(bytes: &[u8]) -> Self {
        let Some(end) = bytes.iter().take(TEXT_BYTES).position(|byte| *byte == b'\n') else {
            return if bytes.len() < TEXT_BYTES { Self::Begun } else { Self::Bad };
        };
        let header = ppp::v1::Header::try_from(bytes.get(..=end).unwrap_or_default());
        header.map_or(Self::Bad, |header| Self::From { peer: v1(&header), length: header.header.len() })
    }
}

fn v1(header: &ppp::v1::Header<'_>) -> Option<SocketAddr> {
    use ppp::v1::Addresses;
    match header.addresses {
        Addresses::Tcp4(at) => Some(SocketAddr::new(at.source_address.into(), at.source_port)),
        Addresses::Tcp6(at) => Some(SocketAddr::new(at.source_address.to_canonical(), at.source_port)),
        Addresses::Unknown => None,
    }
}

fn v2(header: &ppp::v2::Header<'_>) -> Option<SocketAddr> {
    use ppp::v2::{Addresses, Command};
    match (header.command, header.addresses) {
        (Command::Local, _) => None,
        (Command::Proxy, Addresses::IPv4(at)) => {
            Some(SocketAddr::new(at.source_address.into(), at.source_port))
        }
        (Command::Proxy, Addresses::IPv6(at)) => {
            Some(SocketAddr::new(at.source_address.to_canonical(), at.source_port))
        }
        (Command::Proxy, Addresses::Unix(_) | Addresses::Unspecified) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_say_for_whom_a_proxy_connects() {
        for (header, peer) in [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 99 4000\r\n".as_slice(), Some("192.0.2.7:99")),
            (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 99 4000\r\n", Some("192.0.2.7:99")),
            (b"PROXY UNKNOWN\r\n", None),
            (&v2_header(0x21, &[192, 0, 2, 7, 10, 0, 0, 1, 0, 99, 15, 160]), Some("192.0.2.7:99")),
            (&v2_header(0x20, &[]), None),
        ] {
            let peer = peer.map(|peer| peer.parse().unwrap());
            let with_more = [header, b"GET /"].concat();
            let expected = ProxyHeader::From { peer, length: header.len() };
            assert_eq!(ProxyHeader::parse(&with_more), expected, "{}", header.escape_ascii());
        }
    }

    #[test]
    fn a_header_may_come_in_pieces() {
        for header in [
            b"PROXY TCP4 192.0.2.7 10.0.0.1 99 4000\r\n".as_slice(),
            b"PROXY UNKNOWN\r\n",
            &v2_header(0x21, &[192, 0, 2, 7, 10, 0, 0, 1, 0, 99, 15, 160]),
        ] {
            for end in 0..header.len() {
                assert_eq!(ProxyHeader::parse(&header[..end]), ProxyHeader::Begun, "{end}");
            }
        }
    }

    #[test]
    fn what_is_no_header_is_found_out() {
        for other in [
            "GET / HTTP/1.1\r\n",
            "PROXY TCP4 nonsense 10.0.0.1 99 4000\r\n",
            "please relay aaaa",
            "P of a TCP",
        ] {
            assert_eq!(ProxyHeader::parse(other.as_bytes()), ProxyHeader::Bad, "{other}");
        }
        let endless = [b"PROXY TCP4 ".as_slice(), &[b'1'; 96]].concat();
        assert_eq!(ProxyHeader::parse(&endless), ProxyHeader::Bad);
    }

    fn v2_header(command: u8, addresses: &[u8]) -> Vec<u8> {
        let family = if addresses.is_empty() { 0 } else { 0x11 };
        let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [b"\r\n\r\n\0\r\nQUIT\n", [command, family].as_slice(), &length, addresses].concat()
    }
}
