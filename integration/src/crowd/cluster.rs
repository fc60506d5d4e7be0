//! The objects: namespaces of ten workloads with ten pods each, and a policy for every workload.
//!
//! The shape is that of a cluster of microservices: each namespace is isolated by default, each workload
//! admits the next one of its namespace and whoever monitors. Nobody runs the pods.

use anyhow::Result;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

/// Pods of a workload, and workloads of a namespace.
const EACH: usize = 10;
/// Pods of a namespace.
pub(super) const PER_NAMESPACE: usize = EACH * EACH;
/// Writes under way at once.
const AT_ONCE: usize = 16;

/// Where pod number so-and-so is.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) app: usize,
    pub(super) address: std::net::Ipv4Addr,
}

impl Place {
    pub(super) fn of(number: usize) -> Self {
        let namespace = number / PER_NAMESPACE;
        let (app, pod) = (number % PER_NAMESPACE / EACH, number % EACH);
        // 198.18.0.0/15 is for benchmarks (RFC 2544).
        let address = 0xC612_0000 + u32::try_from(number + 1).unwrap_or(0);
        Self {
            namespace: format!("team-{namespace}"),
            name: format!("app-{app}-{pod}"),
            app,
            address: address.into(),
        }
    }

    /// The workload whose pods everybody admits, in every other namespace.
    pub(super) const MONITORS: usize = 0;

    /// A pod that everybody admits: of another namespace than the last one.
    pub(super) fn monitor(number: usize, pods: usize) -> Self {
        let namespaces = pods.div_ceil(2 * PER_NAMESPACE).max(1);
        Self::of(number % namespaces * 2 * PER_NAMESPACE + EACH / 2)
    }

    /// The workload whose pods it admits.
    pub(super) const fn caller(&self) -> usize {
        (self.app + 1) % EACH
    }
}

/// Writes everything.
pub(super) async fn write(client: &Client, pods: usize) -> Result<()> {
    let namespaces = pods.div_ceil(PER_NAMESPACE);
    let all: Api<Namespace> = Api::all(client.clone());
    let nodes: Api<Node> = Api::all(client.clone());
    for number in 0..namespaces {
        let name = format!("team-{number}");
        let labels = json!({"team": name, "env": if number % 2 == 0 { "prod" } else { "test" }});
        let namespace = json!({"metadata": {"name": name, "labels": labels}});
        create(&all, namespace).await?;
        create(
            &nodes,
            json!({"metadata": {"name": format!("node-{number}")}}),
        )
        .await?;
        // Pods are admitted once their account is there.
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &name);
        while accounts.get_opt("default").await?.is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let policies: Api<NetworkPolicy> = Api::namespaced(client.clone(), &name);
        for policy in policies_of_a_namespace() {
            create(&policies, policy).await?;
        }
    }
    futures::stream::iter(0..pods)
        .map(|number| pod(client, number))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

async fn pod(client: &Client, number: usize) -> Result<()> {
    let place = Place::of(number);
    let pods: Api<Pod> = Api::namespaced(client.clone(), &place.namespace);
    let labels = json!({
        "app": format!("app-{}", place.app), "pod-template-hash": format!("{:08x}", place.app * 7919),
        "role": if place.app == Place::MONITORS { "monitor" } else { "service" },
    });
    let node = format!("node-{}", number % 50);
    let pod = json!({
        "metadata": {"name": place.name, "labels": labels},
        "spec": {"nodeName": node, "containers": [{
            "name": "app", "image": "registry.example/team/app:1.2.3",
            "ports": [{"name": "http", "containerPort": 8080}],
            "env": [{"name": "MODE", "value": "production"}],
        }]},
    });
    create(&pods, pod).await?;
    let status = json!({"status": {
        "phase": "Running", "podIP": place.address, "podIPs": [{"ip": place.address}],
    }});
    pods.patch_status(&place.name, &PatchParams::default(), &Patch::Merge(status))
        .await?;
    Ok(())
}

fn policies_of_a_namespace() -> Vec<Value> {
    let mut all = vec![json!({
        "metadata": {"name": "default-deny"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    })];
    all.extend((0..EACH).map(|app| {
        let from =
            |app: usize| json!({"podSelector": {"matchLabels": {"app": format!("app-{app}")}}});
        let monitors = json!({
            "namespaceSelector": {"matchLabels": {"env": "prod"}},
            "podSelector": {"matchLabels": {"role": "monitor"}},
        });
        json!({
            "metadata": {"name": format!("app-{app}")},
            "spec": {
                "podSelector": {"matchLabels": {"app": format!("app-{app}")}},
                "policyTypes": ["Ingress"],
                "ingress": [
                    {"from": [from((app + 1) % EACH)], "ports": [{"port": 8080}]},
                    {"from": [monitors], "ports": [{"port": "http"}]},
                ],
            },
        })
    }));
    all
}

async fn create<K>(api: &Api<K>, object: Value) -> Result<()>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + serde::Serialize,
{
    let object: K = serde_json::from_value(object)?;
    api.create(&PostParams::default(), &object).await?;
    Ok(())
}
