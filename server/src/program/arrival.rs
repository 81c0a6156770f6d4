//! What lies between an accepted connection and the loop: a PROXY header, TLS, and the headers of a trusted proxy that
//! say whose connection it is. Only connections that have any of this before them pass through here.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use wormhole_server::counters::Named;

use super::caller::{Ahead, Caller, Raw, Sealed};
use super::config::Trusted;
use super::forwarded;
use super::net::NOBODY;
use super::proxy_header::ProxyHeader;

/// How long a warning is not repeated.
const QUIET: Duration = Duration::from_secs(30);
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
    /// How long all of it may take.
    limit: Duration,
    tls: RwLock<Option<Arc<ServerConfig>>>,
    pub(crate) refusals: Named,
    /// Until then it is not said again that nobody can be accepted.
    quiet_until: Mutex<Option<Instant>>,
}

impl Arrival {
    pub(crate) fn new(trusted: Trusted, limit: Duration, tls: Option<Arc<ServerConfig>>) -> Self {
        Self { trusted, limit, tls: RwLock::new(tls), ..Self::default() }
    }

    /// From now on callers get this certificate.
    pub(crate) fn renew(&self, tls: Arc<ServerConfig>) {
        *self.tls.write().unwrap_or_else(PoisonError::into_inner) = Some(tls);
    }

    /// Whether there is nothing to do for such a caller.
    pub(crate) fn is_ready(&self, manner: Manner, peer: Option<SocketAddr>) -> bool {
        !(manner.proxy || manner.tls || manner.forwarded && self.trusted.has(peer))
    }

    pub(crate) fn accept_failed(&self, error: &io::Error) {
        self.refusals.one("accept failed");
        // It is tried again ten times a second, for as long as descriptors are short.
        let now = Instant::now();
        let mut quiet_until = self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner);
        if quiet_until.is_none_or(|until| until <= now) {
            *quiet_until = Some(now + QUIET);
            tracing::warn!(%error, "connections cannot be accepted at the moment");
        }
    }

    /// Lets a caller in, or drops it.
    pub(crate) async fn arrive(
        self: Arc<Self>,
        raw: Raw,
        peer: Option<SocketAddr>,
        manner: Manner,
    ) -> Option<(Caller, SocketAddr)> {
        let arrived = timeout(self.limit, self.let_in(raw, peer, manner)).await;
        match arrived.unwrap_or(Err(Refusal::Late)) {
            Ok((caller, peer)) => Some((caller, peer.unwrap_or(NOBODY))),
            Err(refusal) => {
                self.refusals.one(refusal.as_str());
                tracing::debug!(reason = refusal.as_str(), "a connection was refused");
                None
            }
        }
    }

    async fn let_in(
        &self,
        raw: Raw,
        mut peer: Option<SocketAddr>,
        manner: Manner,
    ) -> Result<(Caller, Option<SocketAddr>), Refusal> {
        let mut stream = Ahead::new(raw);
        if manner.proxy {
            if !self.trusted.has(peer) {
                return Err(Refusal::Stranger);
            }
            peer = proxy_header(&mut stream).await?.or(peer);
        }
        let tls = self.tls.read().unwrap_or_else(PoisonError::into_inner).clone();
        let is_forwarded = manner.forwarded && self.trusted.has(peer);
        let caller = match tls.filter(|_| manner.tls) {
            Some(tls) => {
                let stream = TlsAcceptor::from(tls).accept(stream).await.map_err(|_| Refusal::Tls)?;
                let mut stream = Ahead::new(stream);
                if is_forwarded {
                    peer = self.client(&mut stream, peer).await?;
                }
                Caller::Tls(Box::new(Sealed::new(stream)))
            }
            // The configuration is refused where there are listeners with TLS and no certificate.
            None if manner.tls => return Err(Refusal::Tls),
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
    ) -> Result<Option<SocketAddr>, Refusal> {
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < HEAD_BYTES {
            read_more(stream, &mut head).await.map_err(|_| Refusal::Left)?;
        }
        let client = forwarded::client(&head, |address| self.trusted.has(Some(SocketAddr::new(address, 0))));
        stream.put_back(head);
        Ok(client.or(peer))
    }
}

/// Why a connection never became a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Late,
    Left,
    /// Who is no trusted proxy came to where only those may.
    Stranger,
    Header,
    Tls,
}

impl Refusal {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Late => "took too long",
            Self::Left => "left early",
            Self::Stranger => "not a trusted proxy",
            Self::Header => "no PROXY header",
            Self::Tls => "no TLS",
        }
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
async fn proxy_header<S: AsyncRead + Unpin>(stream: &mut Ahead<S>) -> Result<Option<SocketAddr>, Refusal> {
    let mut bytes = Vec::new();
    loop {
        read_more(stream, &mut bytes).await.map_err(|_| Refusal::Left)?;
        match ProxyHeader::parse(&bytes) {
            ProxyHeader::Begun if bytes.len() < PROXY_BYTES => {}
            ProxyHeader::Begun | ProxyHeader::Bad => return Err(Refusal::Header),
            ProxyHeader::From { peer, length } => {
                stream.put_back(bytes.split_off(length));
                return Ok(peer);
            }
        }
    }
}
