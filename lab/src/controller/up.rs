//! Bringing one pod up, in the order of a kubelet with native sidecars: network, address in the
//! status, sidecar, and only then the servers that stand for its containers.

use std::ffi::OsString;
use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Binding, ObjectReference, Pod as PodObject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::reflector::ObjectRef;
use serde_json::{Value, json};
use sidewall::net::Protocol;

use super::pods::full_name;
use super::{Shared, injected, status};
use crate::access::accounts;
use crate::network::Place;
use crate::options::Sidecars;
use crate::pod::{Parts, Pod};
use crate::serve;
use crate::sidecar::{Recipe, SOURCE, Sidecar};

/// Asks for a sidecar, or for none.
const INJECT: &str = "sidewall.dev/inject";
/// Makes a pod a DNS server.
const DNS: &str = "lab.sidewall.dev/dns";
/// Addresses for pods that come by `kubectl`, which cannot bring a status along.
const ADDRESSES: &str = "lab.sidewall.dev/ips";
/// More arguments for this pod's sidecar, behind those of the whole lab.
const SIDECAR_ARGS: &str = "lab.sidewall.dev/sidecar-args";
/// Where a sidecar keeps its last list (sidecar/src/config).
const CACHE: &str = "SIDEWALL_CACHE_DIR";

/// Brings a pod up; `None` for one that has ended, as its manifest says.
pub(super) async fn bring_up(shared: &Arc<Shared>, object: &PodObject) -> Result<Option<Pod>> {
    let name = full_name(object);
    let given = shared.given.get(&name).cloned().unwrap_or_default();
    let node = schedule(shared, object).await?;
    if let Some(phase) = given.ended {
        status::ended(shared, object, &node, &phase, &given.addresses).await?;
        return Ok(None);
    }
    let worker = shared.workers.acquire().await;
    let pod = network(shared, object, &node, given.addresses).await?;
    drop(worker);
    status::has_network(shared, object, &node, &pod).await?;
    let started = async {
        if wants_sidecar(shared, object) && !pod.is_on_node() {
            start_sidecar(shared, object, &pod, &node).await?;
        }
        start_servers(object, &pod).await?;
        status::running(shared, object, &node, &pod).await
    };
    if let Err(error) = started.await {
        take_down(shared, &pod).await;
        return Err(error);
    }
    Ok(Some(pod))
}

/// Ends what runs in a pod and removes its network.
pub(super) async fn take_down(shared: &Shared, pod: &Pod) {
    pod.silence();
    if let Some(sidecar) = pod.sidecar() {
        sidecar.kill_now();
    }
    shared.network.detach(pod.attachment()).await;
}

/// The scheduler's part: the name of the pod's node.
async fn schedule(shared: &Shared, object: &PodObject) -> Result<String> {
    let node = object.spec.as_ref().and_then(|spec| spec.node_name.clone());
    if let Some(node) = node.filter(|node| !node.is_empty()) {
        return Ok(node);
    }
    let node = shared.first_node().to_owned();
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<PodObject> = Api::namespaced(shared.client.clone(), &namespace);
    let name = object.name_any();
    let bound = if shared.embedded {
        // It has no schedulers to keep apart: whoever may write pods may say where they run.
        let patch = Patch::Merge(json!({"spec": {"nodeName": node}}));
        let params = PatchParams::default();
        api.patch(&name, &params, &patch).await.map(drop)
    } else {
        let binding = binding(&namespace, &name, &node);
        let params = PostParams::default();
        let bound: Result<Value, _> = api
            .create_subresource("binding", &name, &params, &binding)
            .await;
        bound.map(drop)
    };
    bound.with_context(|| format!("cannot bind {} to {node}", full_name(object)))?;
    Ok(node)
}

fn binding(namespace: &str, name: &str, node: &str) -> Binding {
    Binding {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        target: ObjectReference {
            kind: Some("Node".to_owned()),
            name: Some(node.to_owned()),
            ..ObjectReference::default()
        },
    }
}

async fn network(
    shared: &Shared,
    object: &PodObject,
    node: &str,
    mut given: Vec<IpAddr>,
) -> Result<Pod> {
    if let Some(texts) = object.annotations().get(ADDRESSES) {
        let parsed = texts.split(',').map(|text| text.trim().parse());
        given = parsed
            .collect::<Result<_, _>>()
            .with_context(|| format!("the annotation {ADDRESSES} is no list of addresses"))?;
    }
    let spec = object.spec.as_ref();
    let on_node = spec.and_then(|spec| spec.host_network) == Some(true);
    let name = full_name(object);
    let attachment = if on_node {
        if given.is_empty() {
            given = shared.node_addresses(node).to_vec();
        }
        shared.network.share_node(&given).await?
    } else {
        shared.network.attach(&name, &given, Place::Cluster).await?
    };
    Ok(Pod::new(Parts {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
        attachment,
        on_node,
        claim: Arc::clone(&shared.claim),
        cluster: Arc::clone(&shared.cluster),
    }))
}

/// The injector's part, where it has not been done: what the pod says counts before what its
/// namespace says.
fn wants_sidecar(shared: &Shared, object: &PodObject) -> bool {
    if injected::container(object).is_some() {
        return shared.options.sidecars != Sidecars::None;
    }
    let own = object
        .annotations()
        .get(INJECT)
        .or_else(|| object.labels().get(INJECT))
        .cloned();
    let reference = ObjectRef::new(&object.namespace().unwrap_or_default());
    let of_namespace = || {
        let namespace = shared.cluster.namespaces.get(&reference)?;
        let label = namespace.labels().get(INJECT);
        label
            .or_else(|| namespace.annotations().get(INJECT))
            .cloned()
    };
    let said = own.or_else(of_namespace);
    match shared.options.sidecars {
        Sidecars::None => false,
        Sidecars::Labelled => said.as_deref() == Some("enabled"),
        Sidecars::All => said.as_deref() != Some("disabled"),
    }
}

async fn start_sidecar(shared: &Shared, object: &PodObject, pod: &Pod, node: &str) -> Result<()> {
    let binary = shared.sidecar_binary.clone();
    let host = pod.host();
    let sidecar = Sidecar::new(Recipe {
        pod: host.name,
        namespace: host.namespace,
        binary: binary.context("no sidecar binary was looked for")?,
        args: arguments(shared, object),
        env: environment(shared, object, pod, node).await?,
        claim: Arc::clone(&shared.claim),
        flows: shared.flows.clone(),
    });
    pod.set_sidecar(sidecar.clone());
    sidecar.restart().await?;
    // It is ready when it has seen the whole cluster once.
    sidecar.wait_ready(shared.options.start_timeout).await
}

/// What the injected container says, or else what the lab's sidecars get; then the caller's, and the
/// pod's own.
fn arguments(shared: &Shared, object: &PodObject) -> Vec<OsString> {
    let base = match injected::container(object) {
        Some(container) => injected::arguments(container),
        None => ["--flow-log", "json", "--admin-addr", "127.0.0.1:4391"]
            .map(OsString::from)
            .to_vec(),
    };
    let own = object.annotations().get(SIDECAR_ARGS).into_iter();
    let own = own.flat_map(|words| words.split_whitespace());
    base.into_iter()
        .chain(shared.options.sidecar_args.iter().cloned())
        .chain(own.map(OsString::from))
        .collect()
}

/// The whole environment: what the injector sets, what the lab's caller adds, and what any process
/// needs. The kubeconfig stands for the token that a kubelet would mount.
async fn environment(
    shared: &Shared,
    object: &PodObject,
    pod: &Pod,
    node: &str,
) -> Result<Vec<(OsString, OsString)>> {
    let (namespace, name) = pod.name().split_once('/').unwrap_or_default();
    let mut all: Vec<(OsString, OsString)> = match injected::container(object) {
        Some(container) => injected::environment(container, object, node)?,
        None => [
            ("POD_NAMESPACE", namespace),
            ("POD_NAME", name),
            ("NODE_NAME", node),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .to_vec(),
    };
    let kubeconfig = if shared.options.own_accounts && !shared.embedded {
        let folder = shared.claim.folder();
        accounts::kubeconfig(&shared.client, &shared.pod_access, object, folder).await?
    } else {
        shared.pod_kubeconfig.clone()
    };
    all.push(("KUBECONFIG".into(), kubeconfig.into()));
    if shared.options.allow_lists {
        all.push((SOURCE.into(), "allowlists".into()));
    }
    // Stands for the emptyDir, which is the pod's own and stays as long as the pod.
    if all
        .iter()
        .any(|(name, value)| name == SOURCE && value == "allowlists")
    {
        let folder = format!("cache-of-{}", object.uid().unwrap_or_default());
        let folder = shared.claim.folder().join(folder);
        std::fs::create_dir_all(&folder)?;
        all.retain(|(name, _)| name != CACHE);
        all.push((CACHE.into(), folder.into()));
    }
    let passed = ["PATH", "RUST_BACKTRACE", "RUST_LOG", "LLVM_PROFILE_FILE"];
    let passed = passed
        .iter()
        .filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)));
    all.extend(passed);
    all.extend(shared.options.sidecar_env.clone());
    Ok(all)
}

async fn start_servers(object: &PodObject, pod: &Pod) -> Result<()> {
    let mut ports = ports(object);
    let host = pod.host();
    if object.annotations().get(DNS).map(String::as_str) == Some("true") {
        ports.retain(|(_, port)| *port != serve::dns::PORT);
        pod.keep(serve::dns::start(&host, pod.cluster_arc()).await?);
    }
    pod.keep(serve::start(&host, &ports).await?);
    Ok(())
}

/// Every containerPort, of native sidecars too; but the injected one listens itself.
fn ports(object: &PodObject) -> Vec<(Protocol, u16)> {
    let Some(spec) = &object.spec else {
        return Vec::new();
    };
    let init = spec.init_containers.iter().flatten();
    let own = injected::container(object).map(|container| container.name.as_str());
    let native = init.filter(|container| {
        container.restart_policy.as_deref() == Some("Always")
            && Some(container.name.as_str()) != own
    });
    let containers = spec.containers.iter().chain(native);
    let ports = containers.flat_map(|container| container.ports.iter().flatten());
    ports
        .filter_map(|port| {
            let protocol = port.protocol.as_deref().unwrap_or("TCP").parse().ok()?;
            Some((protocol, u16::try_from(port.container_port).ok()?))
        })
        .collect()
}
