//! A cluster in which something changes all the time: pods on nodes that nobody runs come, change their
//! labels and go, and a policy with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::task::JoinHandle;

/// Some fifty changes a second.
const PAUSE: Duration = Duration::from_millis(10);
/// Pods that are there at once.
const PODS: u32 = 50;

/// Changes until it is told to end.
pub(crate) struct Churn {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Result<usize>>,
}

impl Churn {
    /// In the namespace `shop`, which must be there.
    pub(crate) fn start(client: Client) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(change(client, Arc::clone(&stop)));
        Self { stop, task }
    }

    /// Ends it; how many changes there were.
    pub(crate) async fn end(self) -> Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.context("the churn panicked")?
    }
}

async fn change(client: Client, stop: Arc<AtomicBool>) -> Result<usize> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), "shop");
    let policies: Api<NetworkPolicy> = Api::namespaced(client, "shop");
    let (create, patch) = (PostParams::default(), PatchParams::default());
    let now = DeleteParams::default().grace_period(0);
    let mut changes = 0;
    for number in 0_u32.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let name = format!("passer-{number}");
        let tier = if number % 2 == 0 { "gold" } else { "silver" };
        let pod = json!({
            "metadata": {"name": name, "labels": {"app": "passer", "tier": tier}},
            "spec": {"nodeName": "elsewhere", "containers": [{"name": "c", "image": "example.org/c"}]},
        });
        pods.create(&create, &serde_json::from_value(pod)?).await?;
        let address = format!("198.18.{}.{}", number / 250 % 250, number % 250 + 1);
        let status = json!({"status": {
            "phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
        }});
        pods.patch_status(&name, &patch, &Patch::Merge(status))
            .await?;
        changes += 2;
        if number % 3 == 0 && number >= 10 {
            let turns = json!({"metadata": {"labels": {"tier": "gold"}}});
            let other = format!("passer-{}", number - 9);
            pods.patch(&other, &patch, &Patch::Merge(turns)).await?;
            changes += 1;
        }
        if let Some(oldest) = number.checked_sub(PODS) {
            pods.delete(&format!("passer-{oldest}"), &now).await?;
            changes += 1;
        }
        if number % 20 == 0 {
            let policy = json!({
                "metadata": {"name": "passing"},
                "spec": {
                    "podSelector": {"matchLabels": {"app": "vault"}}, "policyTypes": ["Ingress"],
                    "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "passer"}}}], "ports": [{"port": 9}]}],
                },
            });
            policies
                .create(&create, &serde_json::from_value(policy)?)
                .await?;
            changes += 1;
        } else if number % 20 == 10 {
            policies.delete("passing", &now).await?;
            changes += 1;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(changes)
}
