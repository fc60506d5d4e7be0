//! Whether it is the API server that asks: the front proxy's client certificate, against the authority
//! that the API server publishes in the ConfigMap `extension-apiserver-authentication`, followed as it
//! changes.
//!
//! A connection may be older than a change: its certificate is checked again at the first request
//! after one. Sessions are not resumed, so no certificate is believed from memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use axum::extract::connect_info::Connected;
use axum::http::{HeaderMap, HeaderName};
use axum::serve::IncomingStream;
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::runtime::{WatchStreamExt as _, watcher};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    WebPkiSupportedAlgorithms, ring::default_provider, verify_tls12_signature,
    verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};

use super::refusal::Refusal;
use super::user::{Headers, User};
use crate::webhook::listener::TlsListener;
use crate::why::why;

/// Where the API server says whom to believe (apiserver, `delegated authentication`).
pub const CONFIG_MAP: &str = "extension-apiserver-authentication";
/// Its namespace.
pub const NAMESPACE: &str = "kube-system";

/// Whom to believe, if that is known.
#[derive(Debug)]
pub struct FrontProxy {
    trust: ArcSwapOption<Trust>,
    changes: AtomicU64,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
struct Trust {
    verifier: Arc<dyn ClientCertVerifier>,
    /// Names that the certificate may have; none: any.
    names: Vec<String>,
    headers: Headers,
    /// Counts up.
    number: u64,
}

/// What is wrong with the ConfigMap.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// Something is missing.
    #[error(
        "the ConfigMap has no {0}: is kube-apiserver started with --requestheader-client-ca-file?"
    )]
    Missing(&'static str),
    /// Something is no list of texts in JSON.
    #[error("{0} in the ConfigMap: {1}")]
    NoList(&'static str, serde_json::Error),
    /// The authorities cannot be read or used.
    #[error("requestheader-client-ca-file in the ConfigMap: {0}")]
    Authority(String),
}

impl Default for FrontProxy {
    fn default() -> Self {
        Self {
            trust: ArcSwapOption::empty(),
            changes: AtomicU64::new(0),
            algorithms: default_provider().signature_verification_algorithms,
        }
    }
}

impl FrontProxy {
    /// Follows the ConfigMap for as long as it is polled. One that goes away or cannot be used changes
    /// nothing.
    pub async fn follow(self: Arc<Self>, api: Api<ConfigMap>) {
        let changes = watcher::watch_object(api, CONFIG_MAP).default_backoff();
        let mut changes = std::pin::pin!(changes);
        loop {
            match changes.try_next().await {
                Ok(Some(Some(map))) => match self.take(&map) {
                    Ok(true) => tracing::info!("the front proxy's authority is known"),
                    Ok(false) => {}
                    Err(error) => tracing::error!(%error, "cannot tell the API server from others"),
                },
                Ok(Some(None)) => tracing::warn!("there is no ConfigMap {NAMESPACE}/{CONFIG_MAP}"),
                Ok(None) => return,
                Err(error) => tracing::warn!(
                    error = why(&error),
                    "cannot watch ConfigMap {NAMESPACE}/{CONFIG_MAP}"
                ),
            }
        }
    }

    /// Takes over what the ConfigMap says; whether it is news.
    ///
    /// # Errors
    /// What is wrong with it; what was known stays.
    pub fn take(&self, map: &ConfigMap) -> Result<bool, Unusable> {
        let text = |key: &'static str| {
            let value = map.data.as_ref().and_then(|data| data.get(key));
            value.map(String::as_str).ok_or(Unusable::Missing(key))
        };
        let list = |key: &'static str| {
            serde_json::from_str::<Vec<String>>(text(key)?)
                .map_err(|error| Unusable::NoList(key, error))
        };
        let header = |key: &'static str| {
            let names = list(key)?.into_iter();
            // A name that is none is never sent.
            let names = names.filter_map(|name| name.to_lowercase().parse::<HeaderName>().ok());
            Ok::<_, Unusable>(names.collect::<Vec<_>>())
        };
        let headers = Headers {
            name: header("requestheader-username-headers")?,
            // Since Kubernetes 1.32.
            uid: header("requestheader-uid-headers").unwrap_or_default(),
            group: header("requestheader-group-headers")?,
            extra: list("requestheader-extra-headers-prefix")?
                .into_iter()
                .map(|prefix| prefix.to_lowercase())
                .collect(),
        };
        let names = list("requestheader-allowed-names")?;
        let verifier = verifier(text("requestheader-client-ca-file")?)?;
        let number = self.changes.fetch_add(1, Ordering::Relaxed) + 1;
        let trust = Trust {
            verifier,
            names,
            headers,
            number,
        };
        self.trust.store(Some(Arc::new(trust)));
        Ok(number == 1)
    }

    /// Whether it is known whom to believe.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.trust.load().is_some()
    }

    /// The user for whom the API server asks.
    ///
    /// # Errors
    /// 401 when it is not the API server that asks; 503 when that cannot be told yet.
    pub fn user(&self, peer: &Peer, headers: &HeaderMap) -> Result<User, Refusal> {
        let Some(trust) = self.trust.load_full() else {
            let message = format!("ConfigMap {NAMESPACE}/{CONFIG_MAP} is not read yet");
            return Err(Refusal::unavailable(message));
        };
        let Some((certificate, others)) = peer.chain.split_first() else {
            return Err(Refusal::unauthorized(
                "no client certificate: this API is reached through the API server only",
            ));
        };
        if peer.believed.load(Ordering::Relaxed) != trust.number {
            let now = UnixTime::now();
            let verified = trust.verifier.verify_client_cert(certificate, others, now);
            verified.map_err(|error| {
                Refusal::unauthorized(format!(
                    "the client certificate is not the front proxy's: {error}"
                ))
            })?;
            if !trust.names.is_empty() && !trust.names.contains(&common_name(certificate)) {
                return Err(Refusal::unauthorized(
                    "the client certificate's name is not among --requestheader-allowed-names",
                ));
            }
            peer.believed.store(trust.number, Ordering::Relaxed);
        }
        trust.headers.user(headers)
    }
}

fn verifier(authorities: &str) -> Result<Arc<dyn ClientCertVerifier>, Unusable> {
    let unusable = |error: &dyn std::error::Error| Unusable::Authority(error.to_string());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
        let certificate = certificate.map_err(|error| unusable(&error))?;
        roots.add(certificate).map_err(|error| unusable(&error))?;
    }
    let provider = Arc::new(default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let verifier = verifier.build().map_err(|error| unusable(&error))?;
    Ok(verifier)
}

fn common_name(certificate: &CertificateDer<'_>) -> String {
    let parsed = x509_parser::parse_x509_certificate(certificate);
    let name = parsed.ok().and_then(|(_, certificate)| {
        let mut names = certificate.subject().iter_common_name();
        names.next()?.as_str().ok().map(str::to_owned)
    });
    name.unwrap_or_default()
}

/// Who is at the other end of a connection, as far as the handshake has shown.
#[derive(Debug, Clone, Default)]
pub struct Peer {
    chain: Arc<[CertificateDer<'static>]>,
    /// The number of the trust that this was last checked against.
    believed: Arc<AtomicU64>,
}

impl Peer {
    /// Somebody with this chain of certificates.
    #[must_use]
    pub fn of(chain: &[CertificateDer<'static>]) -> Self {
        Self {
            chain: chain.into(),
            believed: Arc::default(),
        }
    }
}

impl Connected<IncomingStream<'_, TlsListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        let (_, connection) = stream.io().get_ref();
        Self::of(connection.peer_certificates().unwrap_or_default())
    }
}

/// In the handshake: a certificate is asked for, and one that is shown must be the front proxy's. Who
/// shows none is told so by a 401, which says more than a broken handshake.
impl ClientCertVerifier for FrontProxy {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        match self.trust.load_full() {
            Some(trust) => trust
                .verifier
                .verify_client_cert(end_entity, intermediates, now),
            None => Err(rustls::Error::General(
                "the front proxy's authority is not known yet".to_owned(),
            )),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
