//! What the webhook costs a pod's creation, through the real API server.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use super::Cluster;
use super::webhook::installed;

/// As many at once as a ReplicaSet's controller has under way on a machine of this size.
const AT_ONCE: usize = 4;

/// How long each creation took, sorted. `--dry-run=server`: everything but the write.
async fn create(cluster: &Cluster, namespace: &str, pods: usize) -> Result<Vec<Duration>> {
    let api: Api<Pod> = Api::namespaced(cluster.server.client(), namespace);
    let template: Pod = serde_json::from_value(json!({
        "metadata": {"generateName": "many-", "labels": {"app": "many"}},
        "spec": {"containers": [{"name": "app", "image": "example.org/app"}]},
    }))?;
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let mut took: Vec<Duration> = futures::stream::iter(0..pods)
        .map(async |_| {
            let started = Instant::now();
            let made = api.create(&dry_run, &template).await?;
            let took = started.elapsed();
            let init = made.spec.and_then(|spec| spec.init_containers);
            ensure!(
                init.is_some() == (namespace == "shop"),
                "{namespace}: {init:?}"
            );
            Ok(took)
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    took.sort_unstable();
    Ok(took)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_creation_costs_with_and_without_the_webhook() -> Result<()> {
    let Some(cluster) = Cluster::start().await? else {
        return Ok(());
    };
    let controller = installed(&cluster, &[]).await?;
    cluster.namespace("open", None).await?;
    // A debug build takes some ten times as long for each.
    let pods = if cfg!(debug_assertions) { 500 } else { 5_000 };
    for namespace in ["open", "shop"] {
        create(&cluster, namespace, pods / 10).await?;
        let took = create(&cluster, namespace, pods).await?;
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
        println!(
            "{} pods in {namespace}: p50 {:?}, p99 {:?}, max {:?}",
            took.len(),
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
    let metrics = controller.metrics().await?;
    let buckets = metrics
        .lines()
        .filter(|line| line.starts_with("sidewall_injector_request_seconds"));
    for bucket in buckets {
        println!("{bucket}");
    }
    Ok(())
}
