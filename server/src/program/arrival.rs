//! What lies between an accepted connection and the loop: a PROXY header, TLS, and the headers of a trusted proxy that
//! say whose connection it is. Only connections that have any of this before them pass through here.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ppp::{HeaderResult, PartialResult};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::config::Trusted;
use crate::forwarded;
use crate::net::{Ahead, Caller, NOBODY, Raw, Sealed};

/// How long all of it may take.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(10);
/// The longest PROXY header.
const PROXY_BYTES: usize = 1024;
/// The longest head of a request in which we look for an address.
const HEAD_BYTES: usize = 4 << 10;

/// What comes before the protocol at a listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    pub(crate) proxy: bool,
    pub(crate) tls: bool,
    /// It begins with an HTTP request, in which a trusted proxy may say for whom it connects.
    pub(crate) forwarded: bool,
}

/// What all listeners of the program share.
#[derive(Debug, Default)]
pub(crate) struct Arrival {
    trusted: Trusted,
    tls: RwLock<Option<Arc<ServerConfig>>>,
}

impl Arrival {
    pub(crate) fn new(trusted: Trusted, tls: Option<Arc<ServerConfig>>) -> Self {
        Self { trusted, tls: RwLock::new(tls) }
    }

    /// From now on callers get this certificate.
    pub(crate) fn renew(&self, tls: Arc<ServerConfig>) {
        *self.tls.write().unwrap_or_else(PoisonError::into_inner) = Some(tls);
    }

    /// Whether there is nothing to do for such a caller.
    pub(crate) fn is_ready(&self, manner: Manner, peer: Option<SocketAddr>) -> bool {
        !manner.proxy && !manner.tls && !(manner.forwarded && self.trusted.has(peer))
    }

    pub(crate) fn accept_failed(&self, error: &io::Error) {
        tracing::warn!(%error, "a connection could not be accepted; accepting rests for a moment");
    }

    /// Lets a caller in, or drops it.
    pub(crate) async fn arrive(
        self: Arc<Self>,
        raw: Raw,
        peer: Option<SocketAddr>,
        manner: Manner,
    ) -> Option<(Caller, SocketAddr)> {
        match timeout(ARRIVAL_LIMIT, self.let_in(raw, peer, manner)).await {
            Ok(Ok((caller, peer))) => Some((caller, peer.unwrap_or(NOBODY))),
            Ok(Err(why)) => {
                tracing::debug!(why = %why, "a connection was refused");
                None
            }
            Err(_) => {
                tracing::debug!("a connection was refused: it took too long");
                None
            }
        }
    }

    async fn let_in(
        &self,
        raw: Raw,
        mut peer: Option<SocketAddr>,
        manner: Manner,
    ) -> io::Result<(Caller, Option<SocketAddr>)> {
        let mut stream = Ahead::new(raw);
        if manner.proxy {
            if !self.trusted.has(peer) {
                return Err(io::Error::other("a PROXY header is believed from nobody but a trusted proxy"));
            }
            peer = proxy_header(&mut stream).await?.or(peer);
        }
        let tls = self.tls.read().unwrap_or_else(PoisonError::into_inner).clone();
        let is_forwarded = manner.forwarded && self.trusted.has(peer);
        let caller = match tls.filter(|_| manner.tls) {
            Some(tls) => {
                let mut stream = Ahead::new(TlsAcceptor::from(tls).accept(stream).await?);
                if is_forwarded {
                    peer = self.client(&mut stream, peer).await?;
                }
                Caller::Tls(Box::new(Sealed::new(stream)))
            }
            // The configuration is refused where there are listeners with TLS and no certificate.
            None if manner.tls => return Err(io::Error::other("there is no certificate")),
            None => {
                if is_forwarded {
                    peer = self.client(&mut stream, peer).await?;
                }
                Caller::Plain(stream)
            }
        };
        Ok((caller, peer))
    }

    /// For whom a trusted proxy connects, as its request says. The request stays to be read.
    async fn client<S: AsyncRead + Unpin>(
        &self,
        stream: &mut Ahead<S>,
        peer: Option<SocketAddr>,
    ) -> io::Result<Option<SocketAddr>> {
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < HEAD_BYTES {
            read_more(stream, &mut head).await?;
        }
        let client = forwarded::client(&head, |address| self.trusted.has(Some(SocketAddr::new(address, 0))));
        stream.put_back(head);
        Ok(client.or(peer))
    }
}

impl Trusted {
    /// Whether this one is believed; whoever has no address came through a Unix socket.
    pub(crate) fn has(&self, peer: Option<SocketAddr>) -> bool {
        match peer {
            None => self.unix,
            Some(peer) => {
                let address = peer.ip().to_canonical();
                self.networks.iter().any(|network| network.contains(&address))
            }
        }
    }
}

async fn read_more<S: AsyncRead + Unpin>(stream: &mut S, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; 1024];
    match stream.read(&mut buffer).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => {
            bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
            Ok(())
        }
    }
}

/// Reads a PROXY header of version 1 or 2; it may name nobody, as that of a health check does.
async fn proxy_header<S: AsyncRead + Unpin>(stream: &mut Ahead<S>) -> io::Result<Option<SocketAddr>> {
    let mut bytes = Vec::new();
    loop {
        read_more(stream, &mut bytes).await?;
        let header = HeaderResult::parse(&bytes);
        if header.is_incomplete() {
            if bytes.len() < PROXY_BYTES {
                continue;
            }
            return Err(io::Error::other("the PROXY header is too long"));
        }
        let (peer, length) = match header {
            HeaderResult::V1(Ok(header)) => (v1(&header), header.header.len()),
            HeaderResult::V2(Ok(header)) => (v2(&header), header.len()),
            HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => {
                return Err(io::Error::other("there is no PROXY header where one must be"));
            }
        };
        stream.put_back(bytes.split_off(length));
        return Ok(peer);
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
