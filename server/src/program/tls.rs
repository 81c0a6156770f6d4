//! The certificate, and how it is renewed while the program serves.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;

use super::arrival::Arrival;

/// The files of a certificate, and what they looked like when they were last read.
#[derive(Debug)]
pub(crate) struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
    seen: Option<[Look; 2]>,
}

/// What tells one version of a file from the next.
type Look = (u64, i64, i64, u64);

impl Certificate {
    pub(crate) fn new((certificate, key): (PathBuf, PathBuf)) -> Self {
        Self { certificate, key, seen: None }
    }

    /// Reads both files.
    pub(crate) fn read(&mut self) -> Result<Arc<ServerConfig>, String> {
        // Looked at first: what changes while it is read is read once more.
        self.seen = self.look().ok();
        let bad = |path: &Path, why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|why| bad(&self.certificate, &why))?;
        if chain.is_empty() {
            return Err(bad(&self.certificate, &"there is no certificate in it"));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|why| bad(&self.key, &why))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|why| why.to_string())?
            .with_no_client_auth()
            .with_single_cert(chain, key);
        let mut config = config.map_err(|why| bad(&self.certificate, &why))?;
        // Clients of ours connect seldom and stay long: what is kept for their return is not worth its memory.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    /// Reads them again where they have changed, or where one insists. A new certificate that cannot be used changes
    /// nothing.
    pub(crate) fn renew(&mut self, arrival: &Arrival, insist: bool) {
        if !insist && self.look().ok() == self.seen {
            return;
        }
        match self.read() {
            Ok(config) => {
                arrival.renew(config);
                tracing::info!("the certificate was read again");
            }
            Err(why) => tracing::warn!(why, "the new certificate cannot be used; the old one stays"),
        }
    }

    fn look(&self) -> io::Result<[Look; 2]> {
        let look =
            |path: &Path| fs::metadata(path).map(|of| (of.ino(), of.mtime(), of.mtime_nsec(), of.size()));
        Ok([look(&self.certificate)?, look(&self.key)?])
    }
}
