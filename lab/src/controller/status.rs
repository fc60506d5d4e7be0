//! A pod's status, written as a kubelet would.

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod as PodObject;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use super::Shared;
use super::pods::full_name;
use crate::pod::Pod;
use crate::sidecar::SIDECAR_CONTAINER;

/// It has addresses; nothing runs yet. Policies count for it from now on.
pub(super) async fn has_network(
    shared: &Shared,
    object: &PodObject,
    node: &str,
    pod: &Pod,
) -> Result<()> {
    let mut status = status(shared, object, node, "Pending", pod.addresses());
    add_sidecar(&mut status, pod, false);
    write(shared, object, status).await
}

/// All of it runs.
pub(super) async fn running(
    shared: &Shared,
    object: &PodObject,
    node: &str,
    pod: &Pod,
) -> Result<()> {
    let mut status = status(shared, object, node, "Running", pod.addresses());
    add_sidecar(&mut status, pod, true);
    write(shared, object, status).await
}

/// It has ended, with the addresses that it had.
pub(super) async fn ended(
    shared: &Shared,
    object: &PodObject,
    node: &str,
    phase: &str,
    addresses: &[IpAddr],
) -> Result<()> {
    let status = status(shared, object, node, phase, addresses);
    write(shared, object, status).await
}

fn status(
    shared: &Shared,
    object: &PodObject,
    node: &str,
    phase: &str,
    addresses: &[IpAddr],
) -> Value {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let runs = phase == "Running";
    let ready = if runs { "True" } else { "False" };
    let condition = |kind: &str, value: &str| json!({"type": kind, "status": value, "lastProbeTime": null, "lastTransitionTime": now});
    let hosts = shared.node_addresses(node);
    // A real API server has computed it from the requests, and does not let it change.
    let qos = object
        .status
        .as_ref()
        .and_then(|status| status.qos_class.as_deref());
    let qos = qos.unwrap_or("BestEffort");
    let ips = |addresses: &[IpAddr]| -> Vec<Value> {
        addresses.iter().map(|ip| json!({"ip": ip})).collect()
    };
    let containers = object.spec.iter().flat_map(|spec| &spec.containers);
    let containers: Vec<Value> = containers
        .map(|container| {
            let state = match phase {
                "Running" => json!({"running": {"startedAt": now}}),
                "Pending" => json!({"waiting": {"reason": "ContainerCreating"}}),
                other => json!({"terminated": {
                    "exitCode": i32::from(other == "Failed"),
                    "reason": if other == "Failed" { "Error" } else { "Completed" },
                }}),
            };
            json!({
                "name": container.name,
                "image": container.image.clone().unwrap_or_default(),
                "imageID": "",
                "ready": runs,
                "started": runs,
                "restartCount": 0,
                "state": state,
            })
        })
        .collect();
    json!({
        "phase": phase,
        "podIP": addresses.first(),
        "podIPs": ips(addresses),
        "hostIP": hosts.first(),
        "hostIPs": ips(hosts),
        "startTime": now,
        "qosClass": qos,
        "conditions": [
            condition("PodScheduled", "True"),
            condition("Initialized", "True"),
            condition("ContainersReady", ready),
            condition("Ready", ready),
        ],
        "containerStatuses": containers,
    })
}

/// The sidecar runs beside the pod, and not as one of its spec's containers; who looks for its log
/// finds it here, as a native sidecar's.
fn add_sidecar(status: &mut Value, pod: &Pod, runs: bool) {
    if pod.sidecar().is_some() {
        status["initContainerStatuses"] = json!([{
            "name": SIDECAR_CONTAINER,
            "image": "",
            "imageID": "",
            "ready": runs,
            "started": runs,
            "restartCount": 0,
        }]);
    }
}

async fn write(shared: &Shared, object: &PodObject, status: Value) -> Result<()> {
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<PodObject> = Api::namespaced(shared.client.clone(), &namespace);
    let patch = Patch::Merge(json!({ "status": status }));
    let params = PatchParams::default();
    api.patch_status(&object.name_any(), &params, &patch)
        .await
        .with_context(|| format!("cannot write the status of {}", full_name(object)))?;
    Ok(())
}
