//! EndpointSlices as the controller manager would make them: pods behind a Service's selector, one
//! slice per address family and set of resolved ports.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{ObjectReference, Pod, Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt as _;

/// The value of the `managed-by` label: slices that carry it are ours to change.
pub(crate) const MANAGER: &str = "lab.sidewall.dev";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// The name and number of a port in a slice, with its protocol.
type Port = (Option<String>, Option<String>, i32);

/// The slices that a Service should have. One without a selector has none of ours.
pub(crate) fn slices(service: &Service, pods: &[&Pod]) -> Vec<EndpointSlice> {
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
        let labels = pod.labels();
        let selected = selector
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value));
        if !selected || pod.namespace() != service.namespace() || is_finished(pod) {
            continue;
        }
        let ports = resolved(spec.ports.as_deref().unwrap_or_default(), pod);
        for address in pod_ips(pod) {
            if serves_family(service, address) {
                let endpoint = endpoint(pod, address, unready_too, &service.name_any());
                let group = groups.entry((address.is_ipv6(), ports.clone()));
                group.or_default().push(endpoint);
            }
        }
    }
    let named = groups.into_iter().enumerate();
    named
        .map(|(n, ((ipv6, ports), endpoints))| slice(service, n, ipv6, &ports, endpoints))
        .collect()
}

/// Whether the slice is one of ours.
pub(crate) fn is_ours(slice: &EndpointSlice) -> bool {
    slice.labels().get(MANAGED_BY).map(String::as_str) == Some(MANAGER)
}

/// Whether two slices say the same.
pub(crate) fn same(one: &EndpointSlice, other: &EndpointSlice) -> bool {
    one.address_type == other.address_type
        && one.endpoints == other.endpoints
        && one.ports.as_deref().unwrap_or_default() == other.ports.as_deref().unwrap_or_default()
}

/// A Service without a cluster IP of its own.
pub(crate) fn is_headless(service: &Service) -> bool {
    let spec = service.spec.as_ref();
    spec.and_then(|spec| spec.cluster_ip.as_deref()) == Some("None")
}

/// The addresses in a pod's status.
pub(crate) fn pod_ips(pod: &Pod) -> Vec<IpAddr> {
    let Some(status) = &pod.status else {
        return Vec::new();
    };
    let all = status.pod_ips.as_deref().unwrap_or_default();
    let one = status.pod_ip.iter().filter(|_| all.is_empty());
    let texts = all.iter().map(|ip| &ip.ip).chain(one);
    texts.filter_map(|text| text.parse().ok()).collect()
}

/// Whether the pod has ended: its address may be another's by now.
pub(crate) fn is_finished(pod: &Pod) -> bool {
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
        let addresses = super::zone::cluster_ips(service);
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
        .map(|spec| spec.hostname.clone().unwrap_or_else(|| pod.name_any()));
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
            namespace: pod.namespace(),
            name: Some(pod.name_any()),
            uid: pod.uid(),
            ..ObjectReference::default()
        }),
        ..Endpoint::default()
    }
}

fn slice(
    service: &Service,
    n: usize,
    ipv6: bool,
    ports: &[Port],
    endpoints: Vec<Endpoint>,
) -> EndpointSlice {
    let family = if ipv6 { "IPv6" } else { "IPv4" };
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    EndpointSlice {
        metadata: ObjectMeta {
            namespace: service.namespace(),
            name: Some(format!("{}-{n}", service.name_any())),
            labels: Some(BTreeMap::from([
                label(MANAGED_BY, MANAGER),
                label(SERVICE_NAME, &service.name_any()),
            ])),
            owner_references: Some(vec![OwnerReference {
                api_version: "v1".to_owned(),
                kind: "Service".to_owned(),
                name: service.name_any(),
                uid: service.uid().unwrap_or_default(),
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
