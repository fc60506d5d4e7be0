//! What a sidecar takes that carries nothing, by the number of pods that it knows of.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sidewall_lab::Lab;

use super::machine::{self, Resident};
use super::run::Tell;

/// How many pods are known.
const KNOWN: [u32; 3] = [0, 1_000, 10_000];
/// What reading the cluster took is given back by then.
const REST: Duration = Duration::from_secs(5);
const COMING_UP: Duration = Duration::from_secs(60);

/// A sidecar without traffic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Idle {
    /// Pods in the cluster, beside its own.
    pub pods: u32,
    /// Its memory.
    pub memory: Resident,
}

/// The guarded pod; its policy speaks of all the others.
const GUARDED: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: guarded, namespace: bench, labels: {app: guarded, sidewall.dev/inject: enabled}}
spec: {containers: [{name: c, image: example.org/c}]}
"#;

/// Starts a sidecar in clusters of these sizes, one after the other.
///
/// # Errors
/// When one does not come up.
pub async fn measure(tell: Tell<'_>) -> Result<Vec<Idle>> {
    let mut all = Vec::new();
    for pods in KNOWN {
        let lab = Lab::builder().start_timeout(COMING_UP).start().await?;
        let memory = one(&lab, pods).await;
        lab.stop().await?;
        let memory = memory.with_context(|| format!("{pods} pods"))?;
        tell(&format!(
            "  {pods} pods known: {:.1} MB resident, {:.1} MB of it anonymous",
            memory.all, memory.anonymous
        ));
        all.push(Idle { pods, memory });
    }
    Ok(all)
}

async fn one(lab: &Lab, pods: u32) -> Result<Resident> {
    let store = lab
        .api()
        .context("the lab has a server of its own")?
        .store();
    store
        .create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bench"}}))?;
    for number in 0..pods {
        store.apply(elsewhere(number))?;
    }
    store.create(json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "guarded", "namespace": "bench"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "guarded"}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"tier": "web"}}}], "ports": [{"port": 80}]}],
            "egress": [{"to": [{"podSelector": {"matchLabels": {"tier": "db"}}}], "ports": [{"port": 5432}]}],
        },
    }))?;
    lab.apply(GUARDED).await?;
    let pod = lab.wait_for_pod("bench/guarded", COMING_UP).await?;
    lab.settled(COMING_UP).await?;
    tokio::time::sleep(REST).await;
    let sidecar = pod.sidecar().context("it has no sidecar")?;
    let pid = sidecar.pid().context("the sidecar does not run")?;
    machine::resident(pid)
}

/// A pod that runs on another node, as a Deployment's pods look; every tenth is one that the policy
/// speaks of.
fn elsewhere(number: u32) -> Value {
    let tier = match number % 10 {
        0 => "web",
        1 => "db",
        _ => "batch",
    };
    let app = number / 5;
    let (high, low) = (number / 250, number % 250 + 1);
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("app-{app}-6d4cf56db6-{number:05}"),
            "namespace": "bench",
            "labels": {"app": format!("app-{app}"), "tier": tier, "pod-template-hash": "6d4cf56db6"},
            "ownerReferences": [{
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "name": format!("app-{app}-6d4cf56db6"),
                "uid": format!("00000000-0000-4000-8000-{app:012}"),
                "controller": true,
            }],
        },
        "spec": {
            "nodeName": "elsewhere",
            "containers": [{
                "name": "c",
                "image": "example.org/c",
                "ports": [{"name": "http", "containerPort": 80}],
            }],
        },
        "status": {
            "phase": "Running",
            "podIP": format!("10.245.{high}.{low}"),
            "podIPs": [
                {"ip": format!("10.245.{high}.{low}")},
                {"ip": format!("fd00:10:245::{number:x}")},
            ],
        },
    })
}
