//! The cluster of the upstream suite: pods a, b and c in namespaces netpol-x, netpol-y and netpol-z,
//! and a Service for each pod.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use sidewall_controller::inject::CONTAINER;

use super::until;
use crate::cluster::image;

pub(super) const NAMESPACES: [&str; 3] = ["netpol-x", "netpol-y", "netpol-z"];
const PODS: [&str; 3] = ["a", "b", "c"];
/// What the suite's servers listen on.
const PORTS: [(&str, u16); 4] = [("TCP", 80), ("TCP", 81), ("UDP", 80), ("UDP", 81)];
/// Where a pod is asked to make connections: by the node, which policies always allow.
pub(super) const ASK: u16 = 9000;
/// For the kubelet.
const HTTP: u16 = 8080;

/// The running pods by `namespace/name`.
#[derive(Debug)]
pub(super) struct World {
    pub(super) pods: BTreeMap<String, Addresses>,
}

/// How a pod is reached.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addresses {
    pub(super) pod: IpAddr,
    pub(super) service: IpAddr,
}

impl World {
    pub(super) fn of(&self, name: &str) -> Result<Addresses> {
        self.pods
            .get(name)
            .copied()
            .with_context(|| format!("no pod {name}"))
    }
}

/// Makes the namespaces, which ask for sidecars.
pub(super) async fn namespaces(client: &Client) -> Result<()> {
    let api: Api<Namespace> = Api::all(client.clone());
    for name in NAMESPACES {
        let labels = json!({"sidewall.dev/inject": "enabled"});
        let namespace = json!({"metadata": {"name": name, "labels": labels}});
        let namespace = serde_json::from_value(namespace)?;
        api.create(&PostParams::default(), &namespace).await?;
    }
    Ok(())
}

/// Makes pods and Services, and waits until every pod is injected and ready.
pub(super) async fn pods(client: &Client) -> Result<World> {
    for namespace in NAMESPACES {
        for name in PODS {
            create(client, namespace, name).await?;
        }
    }
    until("every pod is ready", || not_ready(client)).await?;
    let mut pods = BTreeMap::new();
    for namespace in NAMESPACES {
        for pod in Api::<Pod>::namespaced(client.clone(), namespace)
            .list(&ListParams::default())
            .await?
        {
            let name = pod.name_any();
            anyhow::ensure!(
                is_guarded(&pod),
                "{namespace}/{name} is not injected: {:?}",
                pod.spec
            );
            let address = pod
                .status
                .and_then(|status| status.pod_ip)
                .context("no address")?;
            let services: Api<Service> = Api::namespaced(client.clone(), namespace);
            let service = services
                .get(&name)
                .await?
                .spec
                .and_then(|spec| spec.cluster_ip);
            let addresses = Addresses {
                pod: address.parse()?,
                service: service.context("no cluster IP")?.parse()?,
            };
            pods.insert(format!("{namespace}/{name}"), addresses);
        }
    }
    Ok(World { pods })
}

async fn create(client: &Client, namespace: &str, name: &str) -> Result<()> {
    let port = |(protocol, port): &(&str, u16)| {
        let lower = protocol.to_lowercase();
        json!({"name": format!("serve-{port}-{lower}"), "containerPort": port, "protocol": protocol})
    };
    let service_port = |(protocol, port): &(&str, u16)| {
        let lower = protocol.to_lowercase();
        json!({"name": format!("{lower}-{port}"), "port": port, "protocol": protocol})
    };
    let servers = PORTS
        .iter()
        .map(|(protocol, port)| format!("{}/{port}", protocol.to_lowercase()));
    let args = [
        "serve".to_owned(),
        format!("http/{HTTP}"),
        format!("ask/{ASK}"),
    ];
    let args: Vec<String> = args.into_iter().chain(servers).collect();
    let mut spec = app(&args, None);
    let container = &mut spec["containers"][0];
    container["ports"] = PORTS.iter().map(port).collect();
    container["readinessProbe"] =
        json!({"httpGet": {"path": "/", "port": HTTP}, "periodSeconds": 1});
    container["livenessProbe"] = json!({"tcpSocket": {"port": 80}, "periodSeconds": 2});
    let pod = json!({"metadata": {"name": name, "labels": {"pod": name}}, "spec": spec});
    let service = json!({
        "metadata": {"name": name},
        "spec": {"selector": {"pod": name}, "ports": PORTS.iter().map(service_port).collect::<Vec<Value>>()},
    });
    let params = PostParams::default();
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    services
        .create(&params, &serde_json::from_value(service)?)
        .await?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    pods.create(&params, &serde_json::from_value(pod)?).await?;
    Ok(())
}

/// The specification of a pod of the test image.
pub(super) fn app(args: &[String], restart: Option<&str>) -> Value {
    let mut spec = json!({
        "terminationGracePeriodSeconds": 1,
        // The suite's ports are below 1024.
        "securityContext": {"runAsUser": 0},
        "containers": [{"name": "app", "image": image::APP, "imagePullPolicy": "Never", "args": args}],
    });
    if let Some(restart) = restart {
        spec["restartPolicy"] = json!(restart);
    }
    spec
}

/// The first init container is the sidecar, it has started, and it is a native sidecar.
pub(super) fn is_guarded(pod: &Pod) -> bool {
    let first = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.init_containers.as_ref()?.first());
    let first = first.is_some_and(|first| {
        first.name == CONTAINER && first.restart_policy.as_deref() == Some("Always")
    });
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.init_container_statuses.as_ref());
    let mut statuses = statuses.into_iter().flatten();
    first && statuses.any(|status| status.name == CONTAINER && status.started == Some(true))
}

pub(super) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

async fn not_ready(client: &Client) -> Result<Option<String>> {
    for namespace in NAMESPACES {
        let pods = Api::<Pod>::namespaced(client.clone(), namespace)
            .list(&ListParams::default())
            .await?;
        if let Some(pod) = pods.iter().find(|pod| !is_ready(pod)) {
            let status = serde_json::to_string(&pod.status)?;
            return Ok(Some(format!("{namespace}/{}: {status}", pod.name_any())));
        }
    }
    Ok(None)
}
