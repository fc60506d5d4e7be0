//! `sidewall-controller --check`: one call of the webhook from inside the cluster, as the API
//! server makes it. It is what `helm test` runs.
//!
//! It goes the whole way: the Service's name, the caBundle that the API server was given, TLS, and
//! a pod that must come back with the sidecar in front.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::{Api, Client};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::config::Args;
use crate::inject::CONTAINER;

/// The first certificate may still be on its way when a release was just installed.
const TRIES: u32 = 15;
const BETWEEN: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(10);

/// Calls the webhook until it injects, or too often.
///
/// # Errors
/// Why the last call did not go as it should.
pub async fn check(args: &Args) -> anyhow::Result<()> {
    let client = Client::try_default()
        .await
        .context("finding the API server")?;
    let name = args.dns_names().swap_remove(0);
    let mut last = Ok(());
    for number in 1..=TRIES {
        let call = call(&client, &args.webhook_configuration, &name);
        last = tokio::time::timeout(PATIENCE, call)
            .await
            .unwrap_or_else(|_| bail!("{name} did not answer within {PATIENCE:?}"));
        match &last {
            Ok(()) => {
                tracing::info!(name, "the webhook is trusted and injects");
                return Ok(());
            }
            Err(error) => tracing::warn!(number, error = format!("{error:#}"), "not yet"),
        }
        tokio::time::sleep(BETWEEN).await;
    }
    last
}

async fn call(client: &Client, configuration: &str, name: &str) -> anyhow::Result<()> {
    let api: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let configuration = api
        .get(configuration)
        .await
        .context("reading the MutatingWebhookConfiguration")?;
    let webhooks = configuration.webhooks.unwrap_or_default();
    ensure!(!webhooks.is_empty(), "there are no webhooks in it");
    for webhook in webhooks {
        let bundle = webhook.client_config.ca_bundle;
        let bundle = bundle.with_context(|| format!("{} has no caBundle", webhook.name))?;
        let answer = post(name, &bundle.0, &review().to_string()).await;
        injects(&answer.with_context(|| webhook.name.clone())?)?;
    }
    Ok(())
}

/// One request over a connection of its own. HTTP/1.0, so that its end is the connection's.
async fn post(name: &str, bundle: &[u8], body: &str) -> anyhow::Result<Vec<u8>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle) {
        roots.add(certificate.context("the caBundle is not PEM")?)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect((name, 443))
        .await
        .with_context(|| format!("connecting to {name}"))?;
    let server = ServerName::try_from(name.to_owned())?;
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(server, stream).await.context("TLS")?;
    let length = body.len();
    let request = format!(
        "POST /mutate HTTP/1.0\r\nhost: {name}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// A pod that asks by its own label, in a namespace that need not be there.
fn review() -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "check", "operation": "CREATE", "namespace": "sidewall-check", "dryRun": true,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "userInfo": {},
            "object": {
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "check", "labels": {"sidewall.dev/inject": "enabled"}},
                "spec": {"containers": [{"name": "app", "image": "app"}]},
            },
        },
    })
}

fn injects(answer: &[u8]) -> anyhow::Result<()> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text
        .split_once("\r\n\r\n")
        .context("the answer is not HTTP")?;
    let status = head.lines().next().unwrap_or_default();
    ensure!(status.contains(" 200 "), "the webhook answered {status}");
    let review: Value = serde_json::from_str(body).context("the answer is not JSON")?;
    let patch = review["response"]["patch"].clone();
    let patch: ByteString =
        serde_json::from_value(patch).with_context(|| format!("no patch in {body}"))?;
    let patch = String::from_utf8_lossy(&patch.0).into_owned();
    ensure!(patch.contains(CONTAINER), "no sidecar in {patch}");
    Ok(())
}
