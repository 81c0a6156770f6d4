//! TLS over bytes in memory: the one place that knows of rustls.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, ClientConnection, Error, RootCertStore};
use wormhole_core::driver::Why;

use crate::network::Roots;

/// What certificates are checked against. Made when the first `wss://` is opened, since it reads files.
#[derive(Clone, Debug)]
pub(super) struct Trust(Arc<ClientConfig>);

impl Trust {
    /// Trusts these roots, or those of the system, or, where it has none, those that browsers trust.
    pub(super) fn new(roots: Option<Roots>) -> Result<Self, Why> {
        let system = || rustls_native_certs::load_native_certs().certs;
        let store = store(roots, system);
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| why(&error))?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }
}

/// What is trusted: the roots that were given, or else those of the system, or else those of browsers.
fn store(roots: Option<Roots>, system: impl FnOnce() -> Vec<CertificateDer<'static>>) -> RootCertStore {
    let mut store = RootCertStore::empty();
    let is_ours = roots.is_some();
    store.add_parsable_certificates(roots.map_or_else(system, Roots::into_certificates));
    if !is_ours && store.is_empty() {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    store
}

/// One TLS connection, as its client.
#[derive(Debug)]
pub(super) struct Tls(ClientConnection);

impl Tls {
    /// Begins to speak; `out` gets the first bytes.
    pub(super) fn new(trust: &Trust, host: &str, out: &mut Vec<u8>) -> Result<Self, Why> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Why::BadUrl(format!("{host:?} is no name that a certificate could have")))?;
        let mut session = ClientConnection::new(Arc::clone(&trust.0), name).map_err(|error| why(&error))?;
        // What is written is handed on at once; the limit would only cut a long message.
        session.set_buffer_limit(None);
        let mut tls = Self(session);
        tls.flush(out);
        Ok(tls)
    }

    /// Takes in what came from the network. `plain` gets what it says, `out` what is to be answered.
    /// Says whether the other end has closed in order.
    pub(super) fn take_in(
        &mut self,
        mut bytes: &[u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<bool, Why> {
        let mut closed = false;
        while !bytes.is_empty() {
            let before = bytes.len();
            let outcome = match self.0.read_tls(&mut bytes) {
                Ok(_) => self.0.process_new_packets(),
                Err(error) => return Err(Why::Tls(error.to_string())),
            };
            // Also an alert that says why we leave.
            self.flush(out);
            closed = outcome.map_err(|error| why(&error))?.peer_has_closed();
            if let Err(error) = self.0.reader().read_to_end(plain)
                && !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::UnexpectedEof)
            {
                return Err(Why::Tls(error.to_string()));
            }
            if closed || bytes.len() == before {
                break;
            }
        }
        Ok(closed)
    }

    /// Seals `plain` into `out`, or keeps it until the handshake is over.
    pub(super) fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        // Writing to memory does not fail.
        let _ = self.0.writer().write_all(plain);
        self.flush(out);
    }

    /// Says that nothing more will come.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        self.0.send_close_notify();
        self.flush(out);
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        while self.0.wants_write() {
            if self.0.write_tls(out).unwrap_or(0) == 0 {
                break;
            }
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the list of errors is open")]
fn why(error: &Error) -> Why {
    match error {
        Error::InvalidMessage(_) => Why::Tls("the other end does not speak it".into()),
        Error::InvalidCertificate(fault) => Why::Tls(certificate(fault)),
        other => Why::Tls(other.to_string()),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the list of faults is open")]
fn certificate(fault: &CertificateError) -> String {
    use CertificateError as Fault;
    match fault {
        // One that bears the name of a root that we trust, but not its signature, is a stranger too.
        Fault::UnknownIssuer | Fault::BadSignature => {
            "nobody whom we trust vouches for the server's certificate".into()
        }
        Fault::NotValidForName | Fault::NotValidForNameContext { .. } => {
            "the server's certificate is for another name".into()
        }
        Fault::Expired | Fault::ExpiredContext { .. } => "the server's certificate has expired".into(),
        Fault::NotValidYet | Fault::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet; is the clock right?".into()
        }
        Fault::Revoked => "the server's certificate was withdrawn".into(),
        other => format!("the server's certificate cannot be used: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_without_roots_trusts_those_of_browsers() {
        let bundled = webpki_roots::TLS_SERVER_ROOTS.len();
        assert!(bundled > 0);
        assert_eq!(store(None, Vec::new).len(), bundled);
        // What cannot be read is as good as nothing.
        assert_eq!(store(None, || vec![CertificateDer::from(vec![0; 8])]).len(), bundled);
    }

    #[test]
    fn roots_of_the_system_are_not_mixed_with_those_of_browsers() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let system = || vec![made.cert.der().clone()];
        assert_eq!(store(None, system).len(), 1);
    }

    #[test]
    fn who_names_no_root_trusts_nobody() {
        let asked = || -> Vec<CertificateDer<'static>> { panic!("the system was asked") };
        assert_eq!(store(Some(Roots::from_der([])), asked).len(), 0);
    }
}
