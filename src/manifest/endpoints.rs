//! EndpointSlices as the controller manager would make them: pods behind a Service's selector, one
//! slice per address family and set of resolved ports. Pure; the lab writes them to its API server, and
//! [`super::complete`] adds them to manifests.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{ObjectReference, Pod, Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// The label that tells who looks after a slice.
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// The label that tells whose endpoints a slice holds.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// The name and number of a port in a slice, with its protocol.
type Port = (Option<String>, Option<String>, i32);

/// The slices that a Service should have, looked after by `manager`. One without a selector has none.
#[must_use]
pub fn slices(service: &Service, pods: &[&Pod], manager: &str) -> Vec<EndpointSlice> {
    let Some(spec) = &service.spec else {
        return Vec::new();
    };
    let Some(selector) = spec
        .selector
        .as_ref()
        .filter(|selector| !selector.is_empty())
    else {
        return Vec::new();
    };
    let unready_too = spec.publish_not_ready_addresses == Some(true);
    let mut groups: BTreeMap<(bool, Vec<Port>), Vec<Endpoint>> = BTreeMap::new();
    for pod in pods {
        let label = |key| pod.metadata.labels.as_ref()?.get(key);
        let selected = selector
            .iter()
            .all(|(key, value)| label(key) == Some(value));
        if !selected || pod.metadata.namespace != service.metadata.namespace || is_finished(pod) {
            continue;
        }
        let ports = resolved(spec.ports.as_deref().unwrap_or_default(), pod);
        for address in pod_ips(pod) {
            if serves_family(service, address) {
                let endpoint = endpoint(pod, address, unready_too, name_of(&service.metadata));
                let group = groups.entry((address.is_ipv6(), ports.clone()));
                group.or_default().push(endpoint);
            }
        }
    }
    let named = groups.into_iter().enumerate();
    named
        .map(|(n, ((ipv6, ports), endpoints))| slice(service, manager, n, ipv6, &ports, endpoints))
        .collect()
}

/// Whether `manager` looks after the slice.
#[must_use]
pub fn is_managed_by(slice: &EndpointSlice, manager: &str) -> bool {
    let labels = slice.metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get(MANAGED_BY))
        .is_some_and(|by| by == manager)
}

/// Whether two slices say the same.
#[must_use]
pub fn same(one: &EndpointSlice, other: &EndpointSlice) -> bool {
    one.address_type == other.address_type
        && one.endpoints == other.endpoints
        && one.ports.as_deref().unwrap_or_default() == other.ports.as_deref().unwrap_or_default()
}

/// A Service without a cluster IP of its own.
#[must_use]
pub fn is_headless(service: &Service) -> bool {
    let spec = service.spec.as_ref();
    spec.and_then(|spec| spec.cluster_ip.as_deref()) == Some("None")
}

/// A Service's addresses inside the cluster.
#[must_use]
pub fn cluster_ips(service: &Service) -> Vec<IpAddr> {
    let Some(spec) = &service.spec else {
        return Vec::new();
    };
    let all = spec.cluster_ips.as_deref().unwrap_or_default();
    let one = spec.cluster_ip.iter().filter(|_| all.is_empty());
    let texts = all.iter().chain(one);
    texts.filter_map(|address| address.parse().ok()).collect()
}

/// The addresses in a pod's status.
#[must_use]
pub fn pod_ips(pod: &Pod) -> Vec<IpAddr> {
    let Some(status) = &pod.status else {
        return Vec::new();
    };
    let all = status.pod_ips.as_deref().unwrap_or_default();
    let one = status.pod_ip.iter().filter(|_| all.is_empty());
    let texts = all.iter().map(|ip| &ip.ip).chain(one);
    texts.filter_map(|text| text.parse().ok()).collect()
}

/// Whether the pod has ended: its address may be another's by now.
#[must_use]
pub fn is_finished(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// What a Service's port is in this pod; a name that the pod does not have is left out.
fn resolved(ports: &[ServicePort], pod: &Pod) -> Vec<Port> {
    let number = |port: &ServicePort| match &port.target_port {
        None => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => named_port(pod, name, port.protocol.as_deref()),
    };
    let ports = ports.iter();
    ports
        .filter_map(|port| Some((port.name.clone(), port.protocol.clone(), number(port)?)))
        .collect()
}

fn name_of(metadata: &ObjectMeta) -> &str {
    metadata.name.as_deref().unwrap_or_default()
}

fn named_port(pod: &Pod, name: &str, protocol: Option<&str>) -> Option<i32> {
    let spec = pod.spec.as_ref()?;
    let init = spec.init_containers.iter().flatten();
    let ports = spec
        .containers
        .iter()
        .chain(init)
        .flat_map(|c| c.ports.iter().flatten());
    let protocol = protocol.unwrap_or("TCP");
    let mut such = ports.filter(|port| {
        port.name.as_deref() == Some(name) && port.protocol.as_deref().unwrap_or("TCP") == protocol
    });
    such.next().map(|port| port.container_port)
}

fn serves_family(service: &Service, address: IpAddr) -> bool {
    let spec = service.spec.as_ref();
    let families = spec
        .and_then(|spec| spec.ip_families.as_deref())
        .unwrap_or_default();
    if families.is_empty() {
        let addresses = cluster_ips(service);
        return addresses.is_empty() || addresses.iter().any(|a| a.is_ipv4() == address.is_ipv4());
    }
    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
    families.iter().any(|known| known == family)
}

fn endpoint(pod: &Pod, address: IpAddr, unready_too: bool, service: &str) -> Endpoint {
    let spec = pod.spec.as_ref();
    let ready = pod.status.as_ref().is_some_and(|status| {
        let mut conditions = status.conditions.iter().flatten();
        conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
    });
    let leaving = pod.metadata.deletion_timestamp.is_some();
    // A pod's host name is published under the Service that its `subdomain` names.
    let hostname = spec
        .filter(|spec| spec.subdomain.as_deref() == Some(service))
        .map(|spec| {
            let own = || name_of(&pod.metadata).to_owned();
            spec.hostname.clone().unwrap_or_else(own)
        });
    Endpoint {
        addresses: vec![address.to_string()],
        conditions: Some(EndpointConditions {
            ready: Some(unready_too || ready && !leaving),
            serving: Some(unready_too || ready),
            terminating: Some(leaving),
        }),
        hostname,
        node_name: spec.and_then(|spec| spec.node_name.clone()),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            namespace: pod.metadata.namespace.clone(),
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
            ..ObjectReference::default()
        }),
        ..Endpoint::default()
    }
}

fn slice(
    service: &Service,
    manager: &str,
    n: usize,
    ipv6: bool,
    ports: &[Port],
    endpoints: Vec<Endpoint>,
) -> EndpointSlice {
    let family = if ipv6 { "IPv6" } else { "IPv4" };
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let name = name_of(&service.metadata);
    EndpointSlice {
        metadata: ObjectMeta {
            namespace: service.metadata.namespace.clone(),
            name: Some(format!("{name}-{n}")),
            labels: Some(BTreeMap::from([
                label(MANAGED_BY, manager),
                label(SERVICE_NAME, name),
            ])),
            owner_references: Some(vec![OwnerReference {
                api_version: "v1".to_owned(),
                kind: "Service".to_owned(),
                name: name.to_owned(),
                uid: service.metadata.uid.clone().unwrap_or_default(),
                controller: Some(true),
                block_owner_deletion: Some(true),
            }]),
            ..ObjectMeta::default()
        },
        address_type: family.to_owned(),
        endpoints,
        ports: Some(ports.iter().map(port).collect()),
    }
}

fn port((name, protocol, number): &Port) -> EndpointPort {
    EndpointPort {
        name: Some(name.clone().unwrap_or_default()),
        protocol: Some(protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
        port: Some(*number),
        ..EndpointPort::default()
    }
}
