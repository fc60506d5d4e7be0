//! The chart, by the real helm; `sidewall check` on what came of it; and its end.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use super::until;
use super::world::{NAMESPACES, app};
use crate::cluster::Cluster;
use crate::helm::Helm;

/// Installs the chart with the image that lies on the node, and waits as `helm install --wait` does.
pub(super) async fn install(helm: &Helm, image: &str) -> Result<()> {
    let (repository, tag) = image.rsplit_once(':').context("an image without a tag")?;
    let image = format!("image.repository={repository},image.tag={tag},image.pullPolicy=Never");
    let arguments = ["--set", &image, "--wait", "--timeout", "3m"];
    helm.install(&arguments).await.map(drop)
}

/// The command, as it is typed. It waits: between a ready replica and a Service that leads to it lies
/// kube-proxy.
pub(super) async fn check(cluster: &Cluster) -> Result<()> {
    let output = tokio::process::Command::new(sidewall_lab::program("sidewall")?)
        .args(["check", "--color", "never", "--wait", "1m", "--kubeconfig"])
        .arg(cluster.kubeconfig())
        .output()
        .await?;
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "sidewall check: {said}{complained}"
    );
    // A check that could not be made would be no success, a warning would be.
    ensure!(said.contains("Status: all good"), "sidewall check: {said}");
    Ok(())
}

/// Uninstalls; then nobody asks the webhook about pods that are made.
pub(super) async fn uninstall(client: &Client, helm: &Helm) -> Result<()> {
    helm.uninstall().await?;
    let webhooks: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let left = webhooks.list(&ListParams::default()).await?.items;
    ensure!(left.is_empty(), "left behind: {left:?}");
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACES[0]);
    let pod = json!({"metadata": {"name": "afterwards"}, "spec": app(&["pause".to_owned()], None)});
    // The API server hears of the end of a webhook a moment later.
    until("a pod is made without a sidecar", || async {
        let pod = serde_json::from_value(pod.clone())?;
        match pods.create(&PostParams::default(), &pod).await {
            Ok(pod) => {
                let spec = pod.spec.context("no spec")?;
                let plain = spec.init_containers.is_none_or(|all| all.is_empty());
                if plain {
                    return Ok(None);
                }
                pods.delete("afterwards", &DeleteParams::default().grace_period(0))
                    .await?;
                Ok(Some("it was injected".to_owned()))
            }
            Err(error) => Ok(Some(error.to_string())),
        }
    })
    .await
}
