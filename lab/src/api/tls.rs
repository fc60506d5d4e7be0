//! A certificate authority for one server: it signs the server's own certificate and those of the
//! clients that a kubeconfig is written for. Keys live in memory and in those kubeconfigs only.
//! The embedded server uses it, and so do tests that start a real one.

use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;

/// The name that the server's certificate always carries, whatever address it is reached by.
pub const SERVER_NAME: &str = "kubernetes.default.svc";

/// The authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// A certificate with its key.
pub struct Identity {
    /// The certificate, as DER.
    pub certificate: CertificateDer<'static>,
    /// The certificate, as PEM.
    pub certificate_pem: String,
    /// Its key, as DER.
    pub key: PrivateKeyDer<'static>,
    /// Its key, as PEM.
    pub key_pem: String,
}

impl Authority {
    /// Makes one.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new() -> Result<Authority> {
        let mut params = CertificateParams::new(Vec::new())?;
        params
            .distinguished_name
            .push(DnType::CommonName, "sidewall-lab-ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyCertSign,
        ];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok(Authority {
            issuer: Issuer::new(params, key),
            certificate,
        })
    }

    /// Its certificate, as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A certificate for a server at these names and addresses, beside its usual ones.
    ///
    /// # Errors
    /// When a name cannot stand in a certificate.
    pub fn server(&self, names: &[String]) -> Result<Identity> {
        let mut all = vec![
            SERVER_NAME.to_owned(),
            "kubernetes".to_owned(),
            "kubernetes.default".to_owned(),
            "localhost".to_owned(),
            "127.0.0.1".to_owned(),
            "::1".to_owned(),
        ];
        all.extend(
            names
                .iter()
                .filter(|n| !all.contains(n))
                .cloned()
                .collect::<Vec<_>>(),
        );
        let mut params = CertificateParams::new(all).context("names of the API server")?;
        params
            .distinguished_name
            .push(DnType::CommonName, "kube-apiserver");
        self.sign(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A client certificate; the subject says who it is, as a real cluster's does.
    ///
    /// # Errors
    /// When a name cannot stand in a certificate.
    pub fn client(&self, user: &str, groups: &[String]) -> Result<Identity> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, user);
        if let Some(group) = groups.first() {
            params
                .distinguished_name
                .push(DnType::OrganizationName, group.as_str());
        }
        self.sign(params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Identity> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Identity {
            certificate: certificate.der().clone(),
            certificate_pem: certificate.pem(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            key_pem: key.serialize_pem(),
        })
    }

    /// The server's side of the handshake: client certificates of this authority are checked, none is
    /// demanded, HTTP/2 is offered as kubectl likes it.
    pub(crate) fn server_config(&self, names: &[String]) -> Result<Arc<rustls::ServerConfig>> {
        let identity = self.server(names)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone())?;
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                .allow_unauthenticated()
                .build()?;
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![identity.certificate], identity.key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}
