//! The Secret that all replicas read their certificate from.

use std::sync::Arc;

use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::runtime::{WatchStreamExt as _, watcher};

use super::kept::Kept;
use super::served::Served;
use crate::why::why;

/// Serves the certificate of a Secret, and each that follows it, for as long as it is polled.
/// A Secret that goes away changes nothing: the certificate in use stays until there is another.
pub async fn follow(api: Api<Secret>, name: &str, served: Arc<Served>) {
    let changes = watcher::watch_object(api, name).default_backoff();
    let mut changes = std::pin::pin!(changes);
    loop {
        match changes.try_next().await {
            Ok(Some(Some(secret))) => take(&secret, &served),
            Ok(Some(None)) => tracing::warn!(secret = name, "there is no such Secret yet"),
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(
                    secret = name,
                    error = why(&error),
                    "cannot watch the Secret"
                );
            }
        }
    }
}

/// The certificate in a Secret.
#[must_use]
pub fn kept(secret: &Secret) -> Option<Kept> {
    let data = secret.data.as_ref()?.iter();
    let data = data.map(|(key, value)| (key.clone(), value.0.clone()));
    Kept::from_data(&data.collect())
}

fn take(secret: &Secret, served: &Served) {
    let Some(kept) = kept(secret) else {
        tracing::warn!("the Secret holds no certificate yet");
        return;
    };
    match served.serve(kept.certificate.as_bytes(), kept.key.as_bytes()) {
        Ok(()) => {
            tracing::info!(not_after = %kept.not_after(), "serving the certificate of the Secret");
            let seconds = kept.not_after().as_second();
            crate::metrics::certificate_ends(seconds);
        }
        Err(error) => tracing::error!(%error, "the Secret's certificate cannot be served"),
    }
}
