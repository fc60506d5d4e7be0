//! The objects as they are taken off the wire: only the fields that a policy can look at.
//!
//! A pod of a real cluster is 5 to 20 KB of JSON, of which we need some 300 bytes. Fields that are
//! not named here (managed fields, environments, volumes, conditions, foreign annotations) are
//! skipped by the parser and never allocated. A NetworkPolicy keeps its `spec` as plain JSON: one
//! that the typed form cannot hold must still isolate (see `index`), so it may not fail here.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, HostIP, Namespace, Node, NodeAddress, NodeStatus, Pod, PodIP,
    PodSpec, PodStatus, Service, ServicePort, ServiceSpec, ServiceStatus,
};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;
use serde::{Deserialize, Deserializer};

/// The annotation that chooses the mode, on a pod or a namespace.
pub const MODE_ANNOTATION: &str = "sidewall.dev/mode";

/// A NetworkPolicy whose `spec` is not looked at yet.
#[derive(Debug, Clone, Deserialize, Resource)]
#[resource(inherit = NetworkPolicy)]
pub struct SlimPolicy {
    /// Name and labels.
    #[serde(deserialize_with = "slim_meta")]
    pub metadata: ObjectMeta,
    /// Whatever the server sent.
    #[serde(default)]
    pub spec: serde_json::Value,
}

/// A Namespace: its labels, and our annotation.
#[derive(Debug, Clone, Deserialize, Resource)]
#[resource(inherit = Namespace)]
pub struct SlimNamespace {
    /// Name, labels, our annotation.
    #[serde(deserialize_with = "slim_meta")]
    pub metadata: ObjectMeta,
}

/// A Pod: labels, addresses, container ports, whether it has finished.
#[derive(Debug, Clone, Deserialize, Resource)]
#[resource(inherit = Pod)]
pub struct SlimPod {
    /// Name, labels, our annotation, owner.
    #[serde(deserialize_with = "slim_meta")]
    pub metadata: ObjectMeta,
    /// Container ports, node, host network.
    #[serde(default)]
    pub spec: SlimPodSpec,
    /// Phase and addresses.
    #[serde(default)]
    pub status: SlimPodStatus,
}

/// The part of a pod's spec that policies look at.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SlimPodSpec {
    node_name: Option<String>,
    host_network: Option<bool>,
    #[serde(deserialize_with = "null_as_default")]
    containers: Vec<SlimContainer>,
    #[serde(deserialize_with = "null_as_default")]
    init_containers: Vec<SlimContainer>,
}

/// A container: its ports, and (init containers only) whether it goes on running.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SlimContainer {
    ports: Option<Vec<ContainerPort>>,
    restart_policy: Option<String>,
}

/// The part of a pod's status that policies look at.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SlimPodStatus {
    phase: Option<String>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pod_ips: Option<Vec<PodIP>>,
    #[serde(rename = "hostIP")]
    host_ip: Option<String>,
    #[serde(rename = "hostIPs")]
    host_ips: Option<Vec<HostIP>>,
}

/// A Service: its addresses and ports.
#[derive(Debug, Clone, Deserialize, Resource)]
#[resource(inherit = Service)]
pub struct SlimService {
    /// Name and labels.
    #[serde(deserialize_with = "slim_meta")]
    pub metadata: ObjectMeta,
    /// Addresses and ports.
    #[serde(default)]
    pub spec: SlimServiceSpec,
    /// Load balancer addresses.
    #[serde(default)]
    pub status: ServiceStatusSlim,
}

/// The part of a Service's spec that a packet can meet.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SlimServiceSpec {
    #[serde(rename = "type")]
    type_: Option<String>,
    #[serde(rename = "clusterIP")]
    cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Option<Vec<String>>,
    #[serde(rename = "externalIPs")]
    external_ips: Option<Vec<String>>,
    ports: Option<Vec<ServicePort>>,
    internal_traffic_policy: Option<String>,
}

/// The part of a Service's status that a packet can meet.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceStatusSlim {
    load_balancer: Option<k8s_openapi::api::core::v1::LoadBalancerStatus>,
}

/// An EndpointSlice: ready addresses and ports of a Service.
#[derive(Debug, Clone, Deserialize, Resource)]
#[resource(inherit = EndpointSlice)]
#[serde(rename_all = "camelCase")]
pub struct SlimEndpointSlice {
    /// Name, and the label that names the Service.
    #[serde(deserialize_with = "slim_meta")]
    pub metadata: ObjectMeta,
    /// IPv4, IPv6 or FQDN.
    #[serde(default)]
    pub address_type: String,
    /// Addresses and whether they are ready.
    #[serde(default, deserialize_with = "null_as_default")]
    pub endpoints: Vec<Endpoint>,
    /// Ports; `None` for all ports.
    #[serde(default)]
    pub ports: Option<Vec<EndpointPort>>,
}

/// A Node: its addresses.
#[derive(Debug, Clone, Deserialize, Resource)]
#[resource(inherit = Node)]
pub struct SlimNode {
    /// Name and labels.
    #[serde(deserialize_with = "slim_meta")]
    pub metadata: ObjectMeta,
    /// Addresses.
    #[serde(default)]
    pub status: SlimNodeStatus,
}

/// The part of a node's status that names are found by.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct SlimNodeStatus {
    addresses: Option<Vec<NodeAddress>>,
}

impl From<SlimNode> for Node {
    fn from(slim: SlimNode) -> Self {
        Self {
            metadata: slim.metadata,
            status: Some(NodeStatus {
                addresses: slim.status.addresses,
                ..NodeStatus::default()
            }),
            ..Self::default()
        }
    }
}

impl From<SlimNamespace> for Namespace {
    fn from(slim: SlimNamespace) -> Self {
        Self {
            metadata: slim.metadata,
            ..Self::default()
        }
    }
}

impl From<SlimPod> for Pod {
    fn from(slim: SlimPod) -> Self {
        Self {
            metadata: slim.metadata,
            spec: Some(PodSpec {
                node_name: slim.spec.node_name,
                host_network: slim.spec.host_network,
                containers: slim
                    .spec
                    .containers
                    .into_iter()
                    .map(Container::from)
                    .collect(),
                init_containers: Some(
                    slim.spec
                        .init_containers
                        .into_iter()
                        .map(Container::from)
                        .collect(),
                ),
                ..PodSpec::default()
            }),
            status: Some(PodStatus {
                phase: slim.status.phase,
                pod_ip: slim.status.pod_ip,
                pod_ips: slim.status.pod_ips,
                host_ip: slim.status.host_ip,
                host_ips: slim.status.host_ips,
                ..PodStatus::default()
            }),
        }
    }
}

impl From<SlimContainer> for Container {
    fn from(slim: SlimContainer) -> Self {
        Self {
            ports: slim.ports,
            restart_policy: slim.restart_policy,
            ..Self::default()
        }
    }
}

impl From<SlimService> for Service {
    fn from(slim: SlimService) -> Self {
        Self {
            metadata: slim.metadata,
            spec: Some(ServiceSpec {
                type_: slim.spec.type_,
                cluster_ip: slim.spec.cluster_ip,
                cluster_ips: slim.spec.cluster_ips,
                external_ips: slim.spec.external_ips,
                ports: slim.spec.ports,
                internal_traffic_policy: slim.spec.internal_traffic_policy,
                ..ServiceSpec::default()
            }),
            status: Some(ServiceStatus {
                load_balancer: slim.status.load_balancer,
                ..ServiceStatus::default()
            }),
        }
    }
}

impl From<SlimEndpointSlice> for EndpointSlice {
    fn from(slim: SlimEndpointSlice) -> Self {
        Self {
            metadata: slim.metadata,
            address_type: slim.address_type,
            endpoints: slim.endpoints,
            ports: slim.ports,
        }
    }
}

/// Reads the few metadata fields in use into the type that everything else expects.
fn slim_meta<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Meta {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
        labels: Option<BTreeMap<String, String>>,
        annotations: Option<Annotations>,
        owner_references: Option<Vec<OwnerReference>>,
    }
    #[derive(Deserialize)]
    struct Annotations {
        #[serde(rename = "sidewall.dev/mode")]
        mode: Option<String>,
    }

    let meta = Meta::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name: meta.name,
        namespace: meta.namespace,
        uid: meta.uid,
        resource_version: meta.resource_version,
        labels: meta.labels,
        annotations: meta
            .annotations
            .and_then(|annotations| annotations.mode)
            .map(|mode| BTreeMap::from([(MODE_ANNOTATION.to_owned(), mode)])),
        owner_references: meta.owner_references,
        ..ObjectMeta::default()
    })
}

/// Go writes a nil slice as `null`.
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_keeps_what_policies_look_at_and_nothing_else() {
        let slim: SlimPod = serde_json::from_value(json!({
            "metadata": {
                "name": "db-0", "namespace": "shop", "resourceVersion": "7",
                "labels": {"app": "db"},
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "…", "sidewall.dev/mode": "audit"},
                "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
                "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "2", "controller": true}]
            },
            "spec": {
                "nodeName": "n1", "volumes": [{"name": "v"}],
                "containers": [{"name": "db", "image": "db", "env": [{"name": "A", "value": "b"}],
                                "ports": [{"name": "sql", "containerPort": 5432}]}]
            },
            "status": {"phase": "Running", "podIP": "10.0.0.7", "podIPs": [{"ip": "10.0.0.7"}, {"ip": "fd00::7"}],
                       "hostIPs": [{"ip": "10.0.1.1"}], "conditions": [{"type": "Ready", "status": "True"}]}
        }))
        .expect("a pod");
        let pod = Pod::from(slim);
        assert_eq!(
            serde_json::to_value(pod).expect("json"),
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {
                    "name": "db-0", "namespace": "shop", "resourceVersion": "7",
                    "labels": {"app": "db"}, "annotations": {"sidewall.dev/mode": "audit"},
                    "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "2", "controller": true}]
                },
                "spec": {"nodeName": "n1", "initContainers": [],
                         "containers": [{"name": "", "ports": [{"name": "sql", "containerPort": 5432}]}]},
                "status": {"phase": "Running", "podIP": "10.0.0.7", "podIPs": [{"ip": "10.0.0.7"}, {"ip": "fd00::7"}],
                           "hostIPs": [{"ip": "10.0.1.1"}]}
            })
        );
    }

    #[test]
    fn nulls_of_go_are_empty_lists() {
        let slim: SlimEndpointSlice = serde_json::from_value(json!({
            "metadata": {"name": "s"}, "addressType": "IPv4", "endpoints": null, "ports": null
        }))
        .expect("a slice");
        assert!(slim.endpoints.is_empty());
        assert!(slim.ports.is_none());
    }

    #[test]
    fn a_policy_with_nonsense_in_its_spec_is_still_an_object() {
        let slim: SlimPolicy = serde_json::from_value(json!({
            "metadata": {"name": "odd", "namespace": "shop"}, "spec": {"podSelector": 7, "ingress": "yes"}
        }))
        .expect("an object");
        assert_eq!(slim.spec["ingress"], "yes");
    }
}
