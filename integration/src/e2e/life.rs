//! What a pod's life consists of beside its traffic: probes, and an end.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use super::until;
use super::world::{World, app, is_guarded, is_ready};

/// Longer than the kubelet needs to call a pod not ready (three failures, a second apart) and to kill
/// its container (three failures, two seconds apart), with a probe's own second of patience for each.
const LONG_ENOUGH: Duration = Duration::from_secs(12);

/// A Job's pod has a sidecar, connects, and ends; the sidecar does not keep it from ending.
pub(super) async fn a_job_completes(client: &Client, world: &World) -> Result<()> {
    let jobs: Api<Job> = Api::namespaced(client.clone(), "netpol-x");
    let target = format!("tcp/{}:80", world.of("netpol-y/b")?.service);
    let template = json!({
        "metadata": {"labels": {"job": "one"}},
        "spec": app(&["ask".to_owned(), target], Some("Never")),
    });
    let job =
        json!({"metadata": {"name": "one"}, "spec": {"backoffLimit": 0, "template": template}});
    jobs.create(&PostParams::default(), &serde_json::from_value(job)?)
        .await?;
    until("the Job is complete", || async {
        let status = jobs.get("one").await?.status.unwrap_or_default();
        let conditions = status.conditions.clone().unwrap_or_default();
        let failed = conditions
            .iter()
            .any(|one| one.type_ == "Failed" && one.status == "True");
        ensure!(!failed, "the Job failed: {conditions:?}");
        let complete = conditions
            .iter()
            .any(|one| one.type_ == "Complete" && one.status == "True");
        Ok((!complete).then(|| format!("{status:?}")))
    })
    .await?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), "netpol-x");
    let pods = pods.list(&ListParams::default().labels("job=one")).await?;
    let pod = pods.items.first().context("the Job has no pod")?;
    let first = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.init_containers.as_ref()?.first());
    ensure!(
        first.is_some_and(|first| first.name == "sidewall"),
        "its pod had no sidecar"
    );
    jobs.delete("one", &DeleteParams::background()).await?;
    Ok(())
}

/// Probes come from the node, which policies always allow.
pub(super) async fn probes_pass_while_everything_is_denied(
    client: &Client,
    world: &World,
) -> Result<()> {
    let policies: Api<NetworkPolicy> = Api::namespaced(client.clone(), "netpol-x");
    let deny = json!({
        "metadata": {"name": "deny-everything"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
    });
    policies
        .create(&PostParams::default(), &serde_json::from_value(deny)?)
        .await?;
    let target = format!("tcp/{}:80", world.of("netpol-x/a")?.pod);
    until("the policy is in force", || async {
        let connected = super::ask::ask(world, "netpol-y/b", std::slice::from_ref(&target)).await?;
        Ok((connected != [false]).then(|| "netpol-y/b gets in".to_owned()))
    })
    .await?;
    tokio::time::sleep(LONG_ENOUGH).await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), "netpol-x");
    for pod in pods.list(&ListParams::default().labels("pod")).await? {
        let name = pod.name_any();
        ensure!(
            is_guarded(&pod) && is_ready(&pod),
            "{name} is not ready: {:?}",
            pod.status
        );
        let statuses = pod
            .status
            .and_then(|status| status.container_statuses)
            .unwrap_or_default();
        let restarts: i32 = statuses.iter().map(|status| status.restart_count).sum();
        ensure!(
            restarts == 0,
            "{name}: a liveness probe failed: {statuses:?}"
        );
    }
    policies
        .delete("deny-everything", &DeleteParams::default())
        .await?;
    Ok(())
}
