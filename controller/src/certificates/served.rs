//! The certificate that TLS handshakes get: swapped whole, so that the next handshake has the new
//! one and those under way finish with the old.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoClientAuth, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// The certificate in use, if there is one yet.
#[derive(Debug, Default)]
pub struct Served(ArcSwapOption<CertifiedKey>);

/// A certificate that cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// Not PEM, or not what was looked for.
    #[error("not readable as PEM: {0}")]
    Pem(#[from] pem::Error),
    /// The key is of an unknown kind, or another certificate's.
    #[error("certificate and key do not fit: {0}")]
    Pair(#[from] rustls::Error),
    /// There is no certificate in it.
    #[error("no certificate in it")]
    Empty,
}

impl Served {
    /// Serves this certificate from now on; when it cannot be used, the old one stays.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn serve(&self, certificate: &[u8], key: &[u8]) -> Result<(), Unusable> {
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(certificate).collect::<Result<_, _>>()?;
        if chain.is_empty() {
            return Err(Unusable::Empty);
        }
        let key = PrivateKeyDer::from_pem_slice(key)?;
        let pair = CertifiedKey::from_der(chain, key, &default_provider())?;
        self.0.store(Some(Arc::new(pair)));
        Ok(())
    }

    /// Whether there is a certificate.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.load().is_some()
    }

    /// The certificate in use, to be told from another.
    #[cfg(test)]
    pub(crate) fn fingerprint(&self) -> Option<Vec<u8>> {
        let pair = self.0.load_full()?;
        Some(pair.cert.first()?.to_vec())
    }

    /// The TLS side of a server: TLS 1.2 and 1.3, HTTP/2 and 1.1, no client certificates (the API
    /// server has none for webhooks unless it is told to).
    ///
    /// # Errors
    /// When the cryptography that was built in knows none of these versions.
    pub fn server_config(self: &Arc<Self>) -> Result<ServerConfig, rustls::Error> {
        self.config(Arc::new(NoClientAuth))
    }

    /// The same for clients with certificates. Sessions are not resumed: a certificate is looked at in
    /// every handshake.
    ///
    /// # Errors
    /// As [`Self::server_config`].
    pub fn server_config_for(
        self: &Arc<Self>,
        clients: Arc<dyn ClientCertVerifier>,
    ) -> Result<ServerConfig, rustls::Error> {
        let mut config = self.config(clients)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    fn config(
        self: &Arc<Self>,
        clients: Arc<dyn ClientCertVerifier>,
    ) -> Result<ServerConfig, rustls::Error> {
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let mut config = builder
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::make::{LIFETIME, make};

    #[test]
    fn what_cannot_be_served_leaves_the_old_one() {
        let made = || make(&["a.svc".to_owned()], jiff::Timestamp::now(), LIFETIME).unwrap();
        let (one, other) = (made(), made());
        let served = Served::default();
        served
            .serve(one.certificate.as_bytes(), one.key.as_bytes())
            .unwrap();
        let first = served.0.load_full().unwrap();
        for (certificate, key) in [
            (other.certificate.as_str(), one.key.as_str()),
            ("", one.key.as_str()),
            (other.certificate.as_str(), ""),
        ] {
            let result = served.serve(certificate.as_bytes(), key.as_bytes());
            assert!(result.is_err(), "{certificate} {key}");
            assert!(Arc::ptr_eq(&first, &served.0.load_full().unwrap()));
        }
    }
}
