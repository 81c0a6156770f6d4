//! What a runtime is told about the network it works on.

use std::fmt;
use std::ops::RangeInclusive;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use wormhole_core::error::Misuse;

use crate::driver::Runtime;
use crate::proxied::Proxy;

/// What a runtime is told about the network it works on. The default is the open internet.
///
/// An application says these things in a [`Config`](crate::Config), from which they come to the runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Whose certificates are trusted by `wss://`, instead of those that the system trusts.
    pub roots: Option<Roots>,
    /// Through which proxy everything is dialled.
    pub proxy: Option<Proxy>,
    /// The ports of which one is taken to listen for peers; any that is free, where there are none.
    pub ports: Option<RangeInclusive<u16>>,
}

/// A runtime that can be made for a network, so that whoever needs one can make it.
///
/// ```
/// use wormhole_runtime::{Network, OnNetwork, Proxy};
///
/// /// A runtime that dials through a proxy, of whatever kind it is.
/// fn hidden<R: OnNetwork>() -> R {
///     R::on_network(&Network { proxy: Some(Proxy::socks5("localhost", 9050)), ..Network::default() })
/// }
/// ```
pub trait OnNetwork: Runtime + Sized {
    /// A runtime without any connection.
    fn on_network(network: &Network) -> Self;
}

/// Certificates of those who vouch for servers.
///
/// ```
/// use wormhole_runtime::Roots;
///
/// let none = Roots::from_pem(b"not a certificate");
/// assert!(none.is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Roots(Vec<CertificateDer<'static>>);

impl Roots {
    /// Every certificate in this text, as `openssl` and most others write them.
    ///
    /// # Errors
    ///
    /// There is none, or one cannot be read.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Misuse> {
        let bad = || Misuse::Address("there is no certificate that can be read".into());
        let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let roots = roots.map_err(|_| bad())?;
        if roots.is_empty() { Err(bad()) } else { Ok(Self(roots)) }
    }

    /// These certificates, in DER.
    pub fn from_der(certificates: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self(certificates.into_iter().map(CertificateDer::from).collect())
    }

    pub(crate) fn into_certificates(self) -> Vec<CertificateDer<'static>> {
        self.0
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roots({})", self.0.len())
    }
}
