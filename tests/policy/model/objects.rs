//! What the plain evaluator reads from single objects.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

type Labels = BTreeMap<String, String>;

pub(crate) fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    let equal = selector
        .match_labels
        .iter()
        .flatten()
        .all(|(key, value)| labels.get(key) == Some(value));
    equal
        && selector
            .match_expressions
            .iter()
            .flatten()
            .all(|expression| {
                let value = labels.get(&expression.key);
                let listed = value.is_some_and(|value| {
                    expression.values.iter().flatten().any(|one| one == value)
                });
                match expression.operator.as_str() {
                    "In" => listed,
                    "NotIn" => !listed,
                    "Exists" => value.is_some(),
                    "DoesNotExist" => value.is_none(),
                    other => panic!("{other} is not generated"),
                }
            })
}

/// The one mistake that is generated: an exception outside its block.
pub(crate) fn valid(policy: &NetworkPolicy) -> bool {
    let spec = policy.spec.as_ref().expect("a spec");
    let from = spec
        .ingress
        .iter()
        .flatten()
        .flat_map(|rule| rule.from.iter().flatten());
    let to = spec
        .egress
        .iter()
        .flatten()
        .flat_map(|rule| rule.to.iter().flatten());
    let mut blocks = from.chain(to).filter_map(|peer| peer.ip_block.as_ref());
    blocks.all(|block| {
        let cidr: IpNet = block.cidr.parse().expect("a CIDR");
        let inside = |text: &String| {
            let except: IpNet = text.parse().expect("a CIDR");
            cidr.contains(&except) && cidr.trunc() != except.trunc()
        };
        block.except.iter().flatten().all(inside)
    })
}

pub(crate) fn named_port(pod: &Pod, protocol: &str, name: &str) -> Option<u16> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
    let port = ports.find(|port| {
        port.name.as_deref() == Some(name) && port.protocol.as_deref().unwrap_or("TCP") == protocol
    })?;
    u16::try_from(port.container_port).ok()
}

pub(crate) fn ips(pod: &Pod) -> Vec<IpAddr> {
    let status = pod.status.as_ref().expect("a status");
    status
        .pod_ips
        .iter()
        .flatten()
        .map(|ip| ip.ip.parse().expect("an address"))
        .collect()
}

pub(crate) fn node_ips(pod: &Pod) -> Vec<IpAddr> {
    let status = pod.status.as_ref().expect("a status");
    status
        .host_ips
        .iter()
        .flatten()
        .map(|ip| ip.ip.parse().expect("an address"))
        .collect()
}

pub(crate) fn host_network(pod: &Pod) -> bool {
    pod.spec
        .as_ref()
        .and_then(|spec| spec.host_network)
        .unwrap_or(false)
}

pub(crate) fn service_ips(service: &Service) -> Vec<IpAddr> {
    let spec = service.spec.as_ref().expect("a spec");
    if spec.cluster_ip.as_deref() == Some("None") {
        return Vec::new();
    }
    let texts = spec
        .cluster_ips
        .iter()
        .flatten()
        .chain(spec.external_ips.iter().flatten());
    texts.map(|ip| ip.parse().expect("an address")).collect()
}
