//! Keeps the certificate: makes it, renews it, and has the API server trust it. Only the leader
//! does this.
//!
//! The order matters. A new authority is first added to the caBundle of every webhook in the
//! configuration; only when every API server had time to notice does the Secret get the new
//! certificate. Whatever happens in between, the certificate in use is trusted, and the next
//! round repairs the rest.

use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};

use super::kept::{Before, Kept};
use super::make;
use super::secret;

/// How often everything is looked at: someone may have reset the caBundle.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// For how long a new authority stands in the caBundle before a certificate of it is served: API
/// servers see changes of webhook configurations through a watch, within a second or so.
const TRUST_TAKES: Duration = Duration::from_secs(10);

/// The last line of a certificate as PEM (RFC 7468).
const END_OF_CERTIFICATE: &str = "-----END CERTIFICATE-----";
/// Authorities that are carried over when the Secret was emptied: the newest stand first, and the one
/// that is served is among the first two.
const MOST_BEFORE: usize = 3;

/// Where the certificate is kept, and for whom.
#[derive(Clone)]
pub struct Keeper {
    /// The client.
    pub client: Client,
    /// The controller's namespace.
    pub namespace: String,
    /// The Secret's name.
    pub secret: String,
    /// The webhook configuration's name.
    pub configuration: String,
    /// The APIService's name, if allow lists are served.
    pub api_service: Option<String>,
    /// The names in the certificate.
    pub names: Vec<String>,
}

impl Keeper {
    /// Keeps the certificate for as long as it is polled.
    pub async fn keep(&self) {
        loop {
            if let Err(error) = self.round(TRUST_TAKES).await {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "keeping the certificate; will try again"
                );
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// One look, and what there is to do.
    ///
    /// # Errors
    /// What the API server refused.
    pub async fn round(&self, trust_takes: Duration) -> anyhow::Result<()> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let existing = secrets
            .get_opt(&self.secret)
            .await
            .with_context(|| format!("reading Secret {}", self.secret))?;
        let before = existing.as_ref().and_then(secret::kept);
        let now = Timestamp::now();
        let before = match before {
            Some(kept) if !kept.is_due(&self.names, now) => {
                return self.trust(&kept.bundle()).await;
            }
            Some(kept) => Some(kept.as_before()),
            // Someone emptied the Secret: replicas go on serving what was in it.
            None => self.trusted(now).await?,
        };
        let made = make::make(&self.names, now, make::LIFETIME)?;
        let replaces = before.is_some();
        let kept = Kept::new(made, &self.names, now, before);
        self.trust(&kept.bundle()).await?;
        if replaces {
            tokio::time::sleep(trust_takes).await;
        }
        self.write(&secrets, existing, &kept).await?;
        tracing::info!(not_after = %kept.not_after(), "made a certificate");
        Ok(())
    }

    /// Writes the Secret; fails when someone else wrote it meanwhile.
    async fn write(
        &self,
        secrets: &Api<Secret>,
        existing: Option<Secret>,
        kept: &Kept,
    ) -> anyhow::Result<()> {
        let data = kept.to_data().into_iter();
        let data = data.map(|(key, value)| (key, ByteString(value))).collect();
        let exists = existing.is_some();
        let mut secret = existing.unwrap_or_default();
        secret.metadata.name = Some(self.secret.clone());
        secret.metadata.managed_fields = None;
        secret.data = Some(data);
        let written = if exists {
            let params = PostParams::default();
            secrets.replace(&self.secret, &params, &secret).await
        } else {
            secret.type_ = Some("kubernetes.io/tls".to_owned());
            secrets.create(&PostParams::default(), &secret).await
        };
        written.with_context(|| format!("writing Secret {}", self.secret))?;
        Ok(())
    }

    /// What the API server trusts now, as far as the configuration tells; `None` when it trusts
    /// nobody yet. How long it lasts does not stand there: no longer than a certificate made now.
    async fn trusted(&self, now: Timestamp) -> anyhow::Result<Option<Before>> {
        let configuration = self.configuration().await?;
        let webhooks = configuration.webhooks.unwrap_or_default();
        let mut bundles = webhooks
            .into_iter()
            .filter_map(|webhook| webhook.client_config.ca_bundle);
        let bundle = bundles
            .next()
            .and_then(|bundle| String::from_utf8(bundle.0).ok());
        let authority: String = bundle
            .iter()
            .flat_map(|bundle| bundle.split_inclusive(END_OF_CERTIFICATE))
            .filter(|block| block.contains(END_OF_CERTIFICATE))
            .take(MOST_BEFORE)
            .collect();
        Ok((!authority.is_empty()).then(|| Before {
            authority: authority + "\n",
            not_after: now.saturating_add(make::LIFETIME).unwrap_or(now),
        }))
    }

    async fn configuration(&self) -> anyhow::Result<MutatingWebhookConfiguration> {
        let api: Api<MutatingWebhookConfiguration> = Api::all(self.client.clone());
        let name = &self.configuration;
        let configuration = api.get(name).await;
        configuration.with_context(|| format!("reading MutatingWebhookConfiguration {name}"))
    }

    /// Has the API server trust this bundle wherever it calls.
    async fn trust(&self, bundle: &str) -> anyhow::Result<()> {
        let bundle = ByteString(bundle.as_bytes().to_vec());
        self.trust_webhooks(&bundle).await?;
        match &self.api_service {
            Some(name) => self.trust_service(name, &bundle).await,
            None => Ok(()),
        }
    }

    /// Has the APIService trust this bundle, if it does not yet.
    async fn trust_service(&self, name: &str, bundle: &ByteString) -> anyhow::Result<()> {
        let api: Api<APIService> = Api::all(self.client.clone());
        let service = api.get(name).await;
        let service = service.with_context(|| format!("reading APIService {name}"))?;
        let trusted = service.spec.and_then(|spec| spec.ca_bundle);
        if trusted.as_ref() == Some(bundle) {
            return Ok(());
        }
        let add = serde_json::json!([{"op": "add", "path": "/spec/caBundle", "value": bundle}]);
        let patch = Patch::<()>::Json(serde_json::from_value(add)?);
        api.patch(name, &PatchParams::default(), &patch)
            .await
            .with_context(|| format!("patching APIService {name}"))?;
        tracing::info!(service = name, "wrote the caBundle");
        Ok(())
    }

    /// Has every webhook of the configuration trust this bundle, if it does not yet.
    async fn trust_webhooks(&self, bundle: &ByteString) -> anyhow::Result<()> {
        let api: Api<MutatingWebhookConfiguration> = Api::all(self.client.clone());
        let name = &self.configuration;
        let configuration = self.configuration().await?;
        let Some(patch) = trusting(&configuration, bundle) else {
            return Ok(());
        };
        let patch = Patch::<()>::Json(patch);
        api.patch(name, &PatchParams::default(), &patch)
            .await
            .with_context(|| format!("patching MutatingWebhookConfiguration {name}"))?;
        tracing::info!(configuration = name, "wrote the caBundle");
        Ok(())
    }
}

/// The patch that has every webhook trust the bundle; `None` when they do. It only holds for the
/// version that was read.
fn trusting(
    configuration: &MutatingWebhookConfiguration,
    bundle: &ByteString,
) -> Option<json_patch::Patch> {
    let webhooks = configuration.webhooks.as_deref().unwrap_or_default();
    let untrusting = webhooks
        .iter()
        .enumerate()
        .filter(|(_, webhook)| webhook.client_config.ca_bundle.as_ref() != Some(bundle));
    let mut operations: Vec<serde_json::Value> = untrusting
        .map(|(index, _)| {
            let path = format!("/webhooks/{index}/clientConfig/caBundle");
            serde_json::json!({"op": "add", "path": path, "value": bundle})
        })
        .collect();
    if operations.is_empty() {
        return None;
    }
    let version = configuration.metadata.resource_version.as_deref();
    let path = "/metadata/resourceVersion";
    operations.insert(
        0,
        serde_json::json!({"op": "test", "path": path, "value": version}),
    );
    serde_json::from_value(operations.into()).ok()
}
