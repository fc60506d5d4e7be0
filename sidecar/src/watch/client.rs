//! The client that talks to the API server: whose credentials, and over which connections.
//!
//! [`load`] only reads files, so that mistakes are told before the pod is closed; [`connect`]
//! builds the stack over our own connector. What kube would add (decompression, its retries, a
//! trace span per request) is left out: retrying is the reflector's business, which reports it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use http::header::{AUTHORIZATION, HeaderValue};
use hyper_util::rt::TokioExecutor;
use kube::Client;
use kube::client::{Body, ConfigExt};
use kube::config::{KubeConfigOptions, Kubeconfig};
use tower::{BoxError, ServiceBuilder};

use super::connector::{OwnConnections, OwnConnector};

/// The API server's address, our credentials, its certificate authority.
pub async fn load(kubeconfig: Option<&Path>) -> anyhow::Result<kube::Config> {
    let Some(paths) = kubeconfig else {
        return kube::Config::incluster().context(
            "no API server to ask for policies: not inside a pod with a service account (is \
             automountServiceAccountToken false?); give --kubeconfig FILE or --manifests DIR",
        );
    };
    let mut merged = Kubeconfig::default();
    // KUBECONFIG may be a list; the first file that sets a value wins, as in kubectl.
    for path in std::env::split_paths(paths) {
        let file = Kubeconfig::read_from(&path)
            .with_context(|| format!("cannot read the kubeconfig {}", path.display()))?;
        merged = merged
            .merge(file)
            .with_context(|| format!("cannot merge the kubeconfig {}", path.display()))?;
    }
    kube::Config::from_custom_kubeconfig(merged, &KubeConfigOptions::default())
        .await
        .with_context(|| format!("the kubeconfig {} is not usable", paths.display()))
}

/// A client over connections that `known` lets pass.
pub fn connect(config: kube::Config, known: Arc<dyn OwnConnections>) -> anyhow::Result<Client> {
    // With a proxy the connection's other end is the proxy, and requests need another form.
    anyhow::ensure!(
        config.proxy_url.is_none(),
        "the kubeconfig asks for a proxy, which the sidecar does not use: give the API server's own address"
    );
    let mut config = config;
    // A token in the kubeconfig itself goes before one in a file, as in kubectl.
    let file = config.auth_info.token_file.take();
    let token = file
        .filter(|_| config.auth_info.token.is_none())
        .map(|path| Arc::new(TokenFile::new(path)));
    let https = config.rustls_https_connector_with_connector(OwnConnector::new(known))?;
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_request(move |mut request: http::Request<Body>| {
            if let Some(header) = token.as_deref().and_then(TokenFile::header) {
                request.headers_mut().insert(AUTHORIZATION, header);
            }
            request
        })
        .map_err(BoxError::from)
        .service(hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(https));
    Ok(Client::new(service, config.default_namespace))
}

/// A token that the kubelet renews in its file (at 80 % of its life, an hour by default).
///
/// Read anew for every request: there are five every five minutes. White space at its end, which
/// an editor or `echo` leaves behind, is no part of it; kube's own reader keeps it, and the header
/// would be refused.
struct TokenFile {
    path: PathBuf,
    last_good: Mutex<Option<HeaderValue>>,
}

impl TokenFile {
    fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            last_good: Mutex::new(None),
        }
    }

    fn header(&self) -> Option<HeaderValue> {
        let mut last_good = self
            .last_good
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match std::fs::read_to_string(&self.path) {
            Ok(token) => match HeaderValue::try_from(format!("Bearer {}", token.trim())) {
                Ok(mut header) => {
                    header.set_sensitive(true);
                    *last_good = Some(header);
                }
                Err(error) => {
                    tracing::warn!(path = %self.path.display(), %error, "the token file does not hold a token");
                }
            },
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "cannot read the token file");
            }
        }
        last_good.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(header: Option<HeaderValue>) -> Option<String> {
        header.map(|header| header.to_str().expect("ASCII").to_owned())
    }

    #[test]
    fn a_token_is_trimmed_renewed_and_kept_when_its_file_is_away() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token");
        let token = TokenFile::new(&path);
        assert_eq!(text(token.header()), None);
        std::fs::write(&path, "first\n").expect("written");
        assert_eq!(text(token.header()).as_deref(), Some("Bearer first"));
        std::fs::write(&path, "  second \r\n").expect("written");
        assert_eq!(text(token.header()).as_deref(), Some("Bearer second"));
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(text(token.header()).as_deref(), Some("Bearer second"));
    }

    #[tokio::test]
    async fn a_kubeconfig_that_is_not_there_is_named() {
        let error = load(Some(Path::new("/nowhere/config")))
            .await
            .expect_err("fails");
        assert!(error.to_string().contains("/nowhere/config"), "{error}");
    }
}
