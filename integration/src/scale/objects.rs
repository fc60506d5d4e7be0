//! The simulated cluster as the API server would show it, with what a kubelet and controllers write
//! into a pod beside it: direct watching pays for all of that.

use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::cluster::objects::Object;
use sidewall::policy::convert::AnyPolicy;

use super::shapes::{namespace_labels, namespace_name, workload_name};
use super::world::{Pod, World};

/// Endpoints of a slice at most, as kube-controller-manager makes them.
const ENDPOINTS_OF_A_SLICE: usize = 100;

/// A pod's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not started, without an address.
    Pending,
    /// Running.
    Running,
    /// Asked to end.
    Ending,
}

/// A pod's namespace and name.
#[must_use]
pub fn id(pod: &Pod) -> ObjectRef {
    ObjectRef {
        namespace: namespace_name(pod.namespace),
        name: format!(
            "{}-{}-{:x}",
            workload_name(pod.namespace, pod.workload),
            template(pod),
            pod.serial
        ),
    }
}

/// A pod's address: 10.0.0.0/8, each once.
#[must_use]
pub fn address(pod: &Pod) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0a00_0000 + pod.serial)
}

fn template(pod: &Pod) -> String {
    format!("{:08x}", (pod.version + 1).wrapping_mul(0x9e37_79b9))
}

fn node_address(pod: &Pod) -> Ipv4Addr {
    Ipv4Addr::from_bits(0xac10_0000 + u32::try_from(pod.node).unwrap_or_default())
}

/// A pod.
#[must_use]
pub fn pod(pod: &Pod, state: State) -> Value {
    let id = id(pod);
    let name = workload_name(pod.namespace, pod.workload);
    let tier = ["front", "back", "data", "batch", "back"][pod.workload % 5];
    let owner = format!("{name}-{}", template(pod));
    let uid = format!("{:08x}-0000-4000-8000-000000000000", pod.serial);
    let mut ports = vec![json!({"name": "http", "containerPort": 8080, "protocol": "TCP"})];
    if pod.workload.is_multiple_of(3) {
        ports.push(json!({"name": "metrics", "containerPort": 9090, "protocol": "TCP"}));
    }
    let managed = |manager: &str, fields: Value| json!({"manager": manager, "operation": "Update", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": fields});
    let mut value = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": id.name, "namespace": id.namespace, "generateName": format!("{owner}-"), "uid": uid,
            "resourceVersion": "123456789", "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {
                "app.kubernetes.io/name": name, "app.kubernetes.io/instance": format!("{name}-{}", id.namespace),
                "app.kubernetes.io/version": format!("1.{}.0", pod.version), "tier": tier,
                "pod-template-hash": template(pod),
            },
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": uid, "controller": true, "blockOwnerDeletion": true}],
            "managedFields": [
                managed("kube-controller-manager", json!({"f:metadata": {"f:generateName": {}, "f:labels": {".": {}, "f:app.kubernetes.io/name": {}, "f:app.kubernetes.io/instance": {}, "f:app.kubernetes.io/version": {}, "f:tier": {}, "f:pod-template-hash": {}}, "f:ownerReferences": {".": {}, "k:{\"uid\":\"00000000\"}": {}}}, "f:spec": {"f:containers": {"k:{\"name\":\"app\"}": {".": {}, "f:image": {}, "f:imagePullPolicy": {}, "f:name": {}, "f:ports": {}, "f:resources": {}}}, "f:dnsPolicy": {}, "f:enableServiceLinks": {}, "f:restartPolicy": {}, "f:schedulerName": {}, "f:securityContext": {}, "f:terminationGracePeriodSeconds": {}}})),
            ],
        },
        "spec": {
            "containers": [{"name": "app", "image": format!("registry.example.org/{name}:1.{}.0", pod.version), "imagePullPolicy": "IfNotPresent", "ports": ports,
                "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}}, "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                "volumeMounts": [{"name": "kube-api-access", "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]}],
            "volumes": [{"name": "kube-api-access", "projected": {"defaultMode": 420, "sources": [{"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}, {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}]}}],
            "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "serviceAccountName": "default", "schedulerName": "default-scheduler",
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}, {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
        },
        "status": {"phase": "Pending", "qosClass": "Burstable"},
    });
    if state != State::Pending {
        let condition = |kind: &str| json!({"type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let conditions = [
            "PodReadyToStartContainers",
            "Initialized",
            "Ready",
            "ContainersReady",
            "PodScheduled",
        ]
        .map(condition);
        value["spec"]["nodeName"] = json!(format!("node-{}", pod.node));
        value["status"] = json!({
            "phase": "Running", "qosClass": "Burstable", "hostIP": node_address(pod), "hostIPs": [{"ip": node_address(pod)}],
            "podIP": address(pod), "podIPs": [{"ip": address(pod)}], "startTime": "2026-01-01T00:00:00Z", "conditions": conditions,
            "containerStatuses": [{"name": "app", "image": format!("registry.example.org/{name}:1.{}.0", pod.version), "imageID": format!("registry.example.org/{name}@sha256:{:064x}", pod.version),
                "containerID": format!("containerd://{:064x}", pod.serial), "ready": true, "started": true, "restartCount": 0, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}, "lastState": {}}],
        });
        let kubelet = managed(
            "kubelet",
            json!({"f:status": {"f:conditions": {"k:{\"type\":\"ContainersReady\"}": {".": {}, "f:lastProbeTime": {}, "f:lastTransitionTime": {}, "f:status": {}, "f:type": {}}, "k:{\"type\":\"Initialized\"}": {".": {}, "f:lastProbeTime": {}, "f:lastTransitionTime": {}, "f:status": {}, "f:type": {}}, "k:{\"type\":\"Ready\"}": {".": {}, "f:lastProbeTime": {}, "f:lastTransitionTime": {}, "f:status": {}, "f:type": {}}}, "f:containerStatuses": {}, "f:hostIP": {}, "f:hostIPs": {}, "f:phase": {}, "f:podIP": {}, "f:podIPs": {".": {}, "k:{\"ip\":\"10.0.0.1\"}": {".": {}, "f:ip": {}}}, "f:startTime": {}}}),
        );
        if let Some(all) = value["metadata"]["managedFields"].as_array_mut() {
            all.push(kubelet);
        }
    }
    if state == State::Ending {
        value["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:30Z");
        value["metadata"]["deletionGracePeriodSeconds"] = json!(30);
    }
    value
}

/// The endpoint slice in which a pod of this number stands.
#[must_use]
pub fn endpoint_slice(world: &World, namespace: usize, workload: usize, number: usize) -> Value {
    let name = workload_name(namespace, workload);
    let slice = number / ENDPOINTS_OF_A_SLICE;
    let pods = world.namespaces[namespace][workload]
        .chunks(ENDPOINTS_OF_A_SLICE)
        .nth(slice);
    let endpoint = |pod: &Pod| {
        let id = id(pod);
        json!({"addresses": [address(pod)], "conditions": {"ready": true, "serving": true, "terminating": false}, "nodeName": format!("node-{}", pod.node),
               "targetRef": {"kind": "Pod", "name": id.name, "namespace": id.namespace, "uid": format!("{:08x}-0000-4000-8000-000000000000", pod.serial)}})
    };
    let endpoints: Vec<Value> = pods.into_iter().flatten().map(endpoint).collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": format!("{name}-{slice}"), "namespace": namespace_name(namespace), "resourceVersion": "123456789", "generation": 7,
                     "labels": {"kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}},
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}], "endpoints": endpoints,
    })
}

/// A namespace.
#[must_use]
pub fn namespace(number: usize, team: Option<&str>) -> Object {
    let mut labels = namespace_labels(number);
    if let Some(team) = team {
        labels["team"] = json!(team);
    }
    Object::from(&typed::<core::Namespace>(
        json!({"metadata": {"name": namespace_name(number), "labels": labels}}),
    ))
}

/// Everything but the pods.
pub fn surroundings(world: &mut World, mut take: impl FnMut(Object)) {
    let mut service = 0_u32;
    for number in 0..world.namespaces.len() {
        take(namespace(number, None));
        let workloads = world.namespaces[number].len();
        for (name, spec) in super::shapes::policies(number, workloads, &mut world.random) {
            let metadata = json!({"namespace": namespace_name(number), "name": name});
            take(AnyPolicy::from_value(&json!({"metadata": metadata, "spec": spec})).into());
        }
        for workload in 0..workloads {
            service += 1;
            let metadata = json!({"namespace": namespace_name(number), "name": workload_name(number, workload)});
            let address = Ipv4Addr::from_bits(0xac40_0000 + service);
            let spec = json!({"clusterIP": address, "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]});
            take(Object::from(&typed::<core::Service>(
                json!({"metadata": metadata, "spec": spec}),
            )));
            let pods = world.namespaces[number][workload].len();
            for first in (0..pods).step_by(ENDPOINTS_OF_A_SLICE) {
                take(Object::from(&typed::<EndpointSlice>(endpoint_slice(
                    world, number, workload, first,
                ))));
            }
        }
    }
}

/// A value that is known to be of this type.
///
/// # Panics
/// When it is not: a mistake of the simulation.
#[must_use]
pub fn typed<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap_or_else(|error| panic!("a simulated object: {error}"))
}
