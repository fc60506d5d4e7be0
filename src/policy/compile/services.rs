//! What each Service address and port leads to, as kube-proxy would choose from the pod's own node.

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::fast::RandomState;

use crate::lists::wire::{PortEndpoints, ServiceMember};
use crate::policy::allow_list::{ObjectRef, ServiceEntry};
use crate::policy::cluster::Cluster;
use crate::policy::cluster::objects::Pod;
use crate::policy::cluster::services::{Endpoint, EndpointSlice, Service, ServicePort};

/// One entry per wanted Service, port and address family, by namespace, name and order of the ports.
pub(super) fn entries(
    cluster: &Cluster,
    node: Option<&str>,
    wanted: impl Fn(&Service, &[&EndpointSlice]) -> bool,
) -> Vec<ServiceEntry> {
    let mut slices: HashMap<(&str, &str), Vec<&EndpointSlice>, RandomState> = HashMap::default();
    for slice in cluster.endpoint_slices() {
        if let Some(service) = &slice.service {
            slices
                .entry((&slice.id.namespace, service))
                .or_default()
                .push(slice);
        }
    }
    let mut entries = Vec::new();
    for service in cluster.services() {
        let ObjectRef { namespace, name } = &service.id;
        let slices = slices.get(&(namespace.as_str(), name.as_str()));
        let slices = slices.map(Vec::as_slice).unwrap_or_default();
        if !wanted(service, slices) {
            continue;
        }
        for port in &service.ports {
            add(service, port, &endpoints(port, slices), node, &mut entries);
        }
    }
    entries
}

/// A Service with what stands behind it, for a receiver to make `of_members` of.
#[must_use]
pub fn member(service: &Service, slices: &[&EndpointSlice]) -> ServiceMember {
    let behind = |port: &ServicePort| PortEndpoints {
        port: port.clone(),
        endpoints: endpoints(port, slices)
            .into_iter()
            .map(|(endpoint, number)| (endpoint.clone(), number))
            .collect(),
    };
    ServiceMember {
        service: service.clone(),
        endpoints: service.ports.iter().map(behind).collect(),
    }
}

/// The entries of these Services, as [`entries`] gives them, in their order.
pub(crate) fn of_members<'a>(
    members: impl Iterator<Item = &'a ServiceMember>,
    node: Option<&str>,
) -> Vec<ServiceEntry> {
    let mut entries = Vec::new();
    for member in members {
        for behind in &member.endpoints {
            let all = behind.endpoints.iter();
            let all: Vec<_> = all.map(|(endpoint, number)| (endpoint, *number)).collect();
            add(&member.service, &behind.port, &all, node, &mut entries);
        }
    }
    entries
}

/// The entries of one Service as a client sees it; without a client, all nodes' endpoints count.
pub(super) fn entries_of(
    cluster: &Cluster,
    service: &Service,
    client: Option<&Pod>,
) -> Vec<ServiceEntry> {
    let slices = cluster.endpoint_slices();
    let slices: Vec<&EndpointSlice> = slices
        .filter(|slice| slice.id.namespace == service.id.namespace)
        .filter(|slice| slice.service.as_ref() == Some(&service.id.name))
        .collect();
    let node = client.and_then(|pod| pod.node.as_deref());
    let service = Service {
        local_only: service.local_only && client.is_some(),
        ..service.clone()
    };
    let mut entries = Vec::new();
    for port in &service.ports {
        add(
            &service,
            port,
            &endpoints(port, &slices),
            node,
            &mut entries,
        );
    }
    entries
}

fn add(
    service: &Service,
    port: &ServicePort,
    all: &[(&Endpoint, u16)],
    node: Option<&str>,
    entries: &mut Vec<ServiceEntry>,
) {
    // `internalTrafficPolicy: Local` is about the cluster addresses only. Under an external address
    // a pod reaches every endpoint, whatever `externalTrafficPolicy` says (kube-proxy sends traffic
    // that begins inside the cluster on the short way).
    let local = |endpoint: &Endpoint| !service.local_only || endpoint.node.as_deref() == node;
    let near: Vec<_> = all
        .iter()
        .filter(|(endpoint, _)| local(endpoint))
        .copied()
        .collect();
    let groups = [
        (&service.cluster_addresses, near.as_slice()),
        (&service.external_addresses, all),
    ];
    for (addresses, endpoints) in groups {
        for v6 in [false, true] {
            let addresses: Vec<IpAddr> = addresses
                .iter()
                .filter(|address| address.is_ipv6() == v6)
                .copied()
                .collect();
            if !addresses.is_empty() {
                entries.push(ServiceEntry {
                    service: service.id.clone(),
                    addresses,
                    protocol: port.protocol,
                    port: port.number,
                    endpoints: usable(endpoints, v6),
                });
            }
        }
    }
}

/// The endpoints of a Service port, with their target port. A slice names ports as the Service does;
/// the number is the target's.
fn endpoints<'a>(port: &ServicePort, slices: &[&'a EndpointSlice]) -> Vec<(&'a Endpoint, u16)> {
    let of = |slice: &'a EndpointSlice| {
        let target = slice.ports.iter().find(|target| same(port, target))?;
        Some(
            slice
                .endpoints
                .iter()
                .map(|endpoint| (endpoint, target.number)),
        )
    };
    slices
        .iter()
        .filter_map(|slice| of(slice))
        .flatten()
        .collect()
}

fn same(port: &ServicePort, target: &ServicePort) -> bool {
    port.protocol == target.protocol && port.name == target.name
}

/// The ready ones; if there are none, those that are going away but still answer (KEP-1669).
fn usable(endpoints: &[(&Endpoint, u16)], v6: bool) -> Vec<(IpAddr, u16)> {
    let family = || {
        endpoints
            .iter()
            .filter(|(endpoint, _)| endpoint.address.is_ipv6() == v6)
    };
    let pairs = |chosen: fn(&Endpoint) -> bool| -> Vec<(IpAddr, u16)> {
        let chosen = family().filter(|(endpoint, _)| chosen(endpoint));
        chosen
            .map(|(endpoint, port)| (endpoint.address, *port))
            .collect()
    };
    let mut usable = pairs(|endpoint| endpoint.ready);
    if usable.is_empty() {
        usable = pairs(|endpoint| endpoint.last_resort);
    }
    usable.sort_unstable();
    usable.dedup();
    usable
}
