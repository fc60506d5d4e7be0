//! A lab coming up: claim, node, API server, objects, controllers; then waiting for the pods.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Lab;
use super::server::{self, Server};
use crate::access::objects;
use crate::cluster::Cluster;
use crate::controller::pods::{Pods, State};
use crate::controller::{Given, Shared, pods, services};
use crate::flows::Flows;
use crate::machine::claim::Claim;
use crate::manifests;
use crate::network::{Network, Plan};
use crate::options::{Builder, Forwarding, Sidecars};
use crate::privileges;
use crate::sidecar::binary;

/// The node's name, when no manifest brings a Node.
const NODE: &str = "lab";
/// Pods that may be each other's neighbours: 16 times 15 entries in the machine's neighbour table.
const NEIGHBOURS: usize = 16;
/// Pods that come up at once: more would only wait for the kernel's one lock on interfaces.
const WORKERS: usize = 8;

pub(super) async fn build(mut options: Builder) -> Result<Lab> {
    if let Some(problem) = options.problem.take() {
        bail!("the lab's manifests: {problem}");
    }
    privileges::check()?;
    let sidecar_binary = match options.sidecars {
        Sidecars::None => None,
        Sidecars::Labelled if !mentions_sidecars(&options.objects) => {
            binary::find(options.sidecar_path.as_deref()).ok()
        }
        Sidecars::Labelled | Sidecars::All => Some(binary::find(options.sidecar_path.as_deref())?),
    };
    let given = given(&options.objects)?;
    let nodes = nodes(&options.objects)?;
    let taken: BTreeSet<IpAddr> = given
        .values()
        .flat_map(|given| given.addresses.clone())
        .collect();
    let node_addresses = nodes.iter().flat_map(|(_, addresses)| addresses.clone());
    let node_addresses = node_addresses.collect();
    let plan = Plan::new(
        &taken,
        node_addresses,
        &server::service_ranges(&options.api),
    );
    let forwarding = match options.forwarding {
        Forwarding::Auto if given.len() > NEIGHBOURS => Forwarding::Routed,
        chosen => chosen,
    };
    let claim = Arc::new(Claim::new()?);
    let network = Network::new(Arc::clone(&claim), plan, forwarding, options.mtu);
    let network = Arc::new(network.await?);
    let server = Server::start(&options.api, &claim, &network).await?;
    let client = server.access.client().await?;

    let (nodes, mut made) = create_nodes(&client, nodes, network.plan()).await?;
    made.extend(objects::create(&client, &without_nodes(&options.objects)).await?);
    let cluster = Arc::new(Cluster::watch(&client).await?);
    let flows = Flows::new();
    if let Some(embedded) = &server.embedded {
        embedded.serve_logs(flows.clone());
    }
    let patience = options.start_timeout;
    let shared = Arc::new(Shared {
        claim,
        network,
        cluster,
        client,
        embedded: server.embedded.is_some(),
        flows,
        options,
        sidecar_binary,
        pod_kubeconfig: server.pod_kubeconfig.clone(),
        pod_access: server.pod_access.clone(),
        nodes,
        given,
        pods: watch::Sender::new(Pods::new()),
        programmed: watch::Sender::new(None),
        workers: Semaphore::new(WORKERS),
    });
    let mut controllers = JoinSet::new();
    controllers.spawn(pods::run(Arc::clone(&shared)));
    controllers.spawn(services::run(Arc::clone(&shared)));
    let lab = Lab {
        shared,
        controllers,
        server,
        made,
        outside: std::sync::Mutex::default(),
    };
    timeout(patience, all_up(&lab.shared)).await.map_err(|_| {
        anyhow!(
            "not all pods are up after {patience:?}: {}",
            waiting(&lab.shared)
        )
    })??;
    Ok(lab)
}

/// Waits for the pods of the manifests, and for the Services.
async fn all_up(shared: &Shared) -> Result<()> {
    let mut pods = shared.pods.subscribe();
    let wanted: Vec<&String> = shared.given.keys().collect();
    let decided = pods.wait_for(|pods| {
        let decided = |name: &&String| !matches!(pods.get(*name), None | Some(State::Starting));
        let failed = pods.values().any(|state| matches!(state, State::Failed(_)));
        failed || wanted.iter().all(decided)
    });
    let failed = decided.await?.iter().find_map(|(name, state)| match state {
        State::Failed(problem) => Some(format!("the pod {name} does not come up: {problem}")),
        State::Starting | State::Up(_) | State::Ended => None,
    });
    if let Some(failed) = failed {
        bail!(failed);
    }
    let mut programmed = shared.programmed.subscribe();
    programmed.wait_for(Option::is_some).await?;
    Ok(())
}

fn waiting(shared: &Shared) -> String {
    let pods = shared.pods.borrow();
    let late = shared
        .given
        .keys()
        .filter(|name| !matches!(pods.get(*name), Some(State::Up(_))));
    let late: Vec<&str> = late.map(String::as_str).collect();
    if late.is_empty() {
        "the Services are not translated".to_owned()
    } else {
        format!("waiting for {}", late.join(", "))
    }
}

/// Every pod of the manifests, with what they say of its status.
fn given(objects: &[Value]) -> Result<HashMap<String, Given>> {
    let mut all = HashMap::new();
    for object in objects.iter().filter(|object| object["kind"] == "Pod") {
        let named = object["metadata"]["name"].is_string();
        ensure!(named, "a pod without a name");
        let name = manifests::full_name(object);
        let status = &object["status"];
        let several = status["podIPs"].as_array().into_iter().flatten();
        let mut texts: Vec<&Value> = several.map(|ip| &ip["ip"]).collect();
        if texts.is_empty() && status["podIP"].is_string() {
            texts.push(&status["podIP"]);
        }
        let addresses = texts.into_iter().map(|text| {
            let text = text.as_str().unwrap_or_default();
            text.parse()
                .with_context(|| format!("the pod {name} has the address {text:?}"))
        });
        let phase = status["phase"].as_str();
        let given = Given {
            addresses: addresses.collect::<Result<_>>()?,
            ended: phase
                .filter(|phase| matches!(*phase, "Succeeded" | "Failed"))
                .map(ToOwned::to_owned),
        };
        ensure!(
            all.insert(name.clone(), given).is_none(),
            "the pod {name} is there twice"
        );
    }
    Ok(all)
}

/// The nodes of the manifests, with their addresses.
fn nodes(objects: &[Value]) -> Result<Vec<(String, Vec<IpAddr>)>> {
    let nodes = objects.iter().filter(|object| object["kind"] == "Node");
    nodes
        .map(|node| {
            let name = node["metadata"]["name"]
                .as_str()
                .context("a node without a name")?;
            let addresses = node["status"]["addresses"].as_array().into_iter().flatten();
            let addresses = addresses.filter(|address| address["type"] == "InternalIP");
            let addresses =
                addresses.filter_map(|address| address["address"].as_str()?.parse().ok());
            Ok((name.to_owned(), addresses.collect()))
        })
        .collect()
}

fn without_nodes(objects: &[Value]) -> Vec<Value> {
    let others = objects.iter().filter(|object| object["kind"] != "Node");
    others.cloned().collect()
}

/// Creates the Node objects: those of the manifests, or one. Their names and addresses, and those
/// that were not there before.
async fn create_nodes(
    client: &kube::Client,
    mut nodes: Vec<(String, Vec<IpAddr>)>,
    plan: &Plan,
) -> Result<(Vec<(String, Vec<IpAddr>)>, Vec<Value>)> {
    if nodes.is_empty() {
        nodes.push((NODE.to_owned(), Vec::new()));
    }
    if nodes.iter().all(|(_, addresses)| addresses.is_empty()) {
        nodes[0].1.clone_from(&plan.node);
    }
    let objects: Vec<Value> = nodes.iter().map(|(name, ips)| node(name, ips)).collect();
    let made = objects::create(client, &objects).await?;
    Ok((nodes, made))
}

fn node(name: &str, addresses: &[IpAddr]) -> Value {
    let addresses = addresses
        .iter()
        .map(|address| json!({"type": "InternalIP", "address": address}))
        .chain([json!({"type": "Hostname", "address": name})]);
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {
            "addresses": addresses.collect::<Vec<_>>(),
            "conditions": [{
                "type": "Ready",
                "status": "True",
                "reason": "LabReady",
                "message": "the lab's node routes",
            }],
            "nodeInfo": {
                "architecture": std::env::consts::ARCH,
                "bootID": "",
                "containerRuntimeVersion": "lab://",
                "kernelVersion": "",
                "kubeProxyVersion": "",
                "kubeletVersion": concat!("lab-", env!("CARGO_PKG_VERSION")),
                "machineID": "",
                "operatingSystem": "linux",
                "osImage": "",
                "systemUUID": "",
            },
        },
    })
}

/// Whether any object asks for a sidecar: only then is a missing binary a mistake at start.
fn mentions_sidecars(objects: &[Value]) -> bool {
    objects.iter().any(|object| {
        let metadata = &object["metadata"];
        let asks = |map: &Value| map["sidewall.dev/inject"] == "enabled";
        asks(&metadata["labels"]) || asks(&metadata["annotations"])
    })
}
