//! What the node has to translate: each address and port of each Service, with its ready endpoints.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt as _;
use sidewall::manifest::endpoints::cluster_ips;
use sidewall::net::Protocol;

use crate::machine::nft::{Services, Translation};

/// All translations of these objects, in one order.
pub(crate) fn translations(
    services: &[&Service],
    slices: &[&EndpointSlice],
    node: &[IpAddr],
) -> Services {
    let mut all = Vec::new();
    let mut addresses = Vec::new();
    for service in services {
        addresses.extend(cluster_ips(service));
        let slices: Vec<&EndpointSlice> = slices
            .iter()
            .copied()
            .filter(|slice| belongs(slice, service))
            .collect();
        let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref());
        for port in ports.unwrap_or_default() {
            all.extend(of_port(service, port, &slices, node));
        }
    }
    all.sort_unstable();
    // Two Services with the same external IP and port: the first one wins.
    all.dedup_by_key(|t| (t.address, t.protocol, t.port));
    addresses.sort_unstable();
    addresses.dedup();
    Services {
        translations: all,
        cluster_ips: addresses,
    }
}

fn of_port(
    service: &Service,
    port: &ServicePort,
    slices: &[&EndpointSlice],
    node: &[IpAddr],
) -> Vec<Translation> {
    let protocol = port.protocol.as_deref().unwrap_or("TCP").parse();
    let (Ok(protocol), Ok(number)) = (protocol, u16::try_from(port.port)) else {
        return Vec::new();
    };
    let endpoints = endpoints(port, protocol, slices);
    let translation = |address: IpAddr, port: u16, masquerade: bool| Translation {
        address,
        protocol,
        port,
        endpoints: endpoints
            .iter()
            .copied()
            .filter(|(endpoint, _)| endpoint.is_ipv4() == address.is_ipv4())
            .collect(),
        masquerade,
    };
    let inside = cluster_ips(service).into_iter();
    let outside = external_ips(service).into_iter();
    // The node may only stand between client and endpoint where the answer has to come back to it:
    // kube-proxy masquerades what comes from outside, unless the policy is Local.
    let local = service
        .spec
        .as_ref()
        .and_then(|spec| spec.external_traffic_policy.as_deref());
    let masquerade = local != Some("Local");
    let node_port = port.node_port.and_then(|port| u16::try_from(port).ok());
    let on_node = node_port.into_iter().filter(|port| *port != 0);
    inside
        .map(|address| translation(address, number, false))
        .chain(outside.map(|address| translation(address, number, masquerade)))
        .chain(on_node.flat_map(|port| {
            let translation = &translation;
            node.iter()
                .map(move |address| translation(*address, port, masquerade))
        }))
        .collect()
}

/// Ready endpoints, with the port that the slice has under the Service port's name.
fn endpoints(
    port: &ServicePort,
    protocol: Protocol,
    slices: &[&EndpointSlice],
) -> Vec<(IpAddr, u16)> {
    let name = port.name.as_deref().unwrap_or_default();
    let mut endpoints = Vec::new();
    for slice in slices {
        let ports = slice.ports.as_deref().unwrap_or_default();
        let target = ports.iter().find(|known| {
            let its = known.protocol.as_deref().unwrap_or("TCP").parse();
            known.name.as_deref().unwrap_or_default() == name && its == Ok(protocol)
        });
        let Some(target) = target.and_then(|known| u16::try_from(known.port?).ok()) else {
            continue;
        };
        for endpoint in &slice.endpoints {
            let conditions = endpoint.conditions.as_ref();
            if conditions.and_then(|c| c.ready).unwrap_or(true) {
                let addresses = endpoint
                    .addresses
                    .iter()
                    .filter_map(|text| text.parse().ok());
                endpoints.extend(addresses.map(|address| (address, target)));
            }
        }
    }
    endpoints.sort_unstable();
    endpoints.dedup();
    endpoints
}

fn belongs(slice: &EndpointSlice, service: &Service) -> bool {
    slice.namespace() == service.namespace()
        && slice.labels().get("kubernetes.io/service-name") == Some(&service.name_any())
}

fn external_ips(service: &Service) -> Vec<IpAddr> {
    let spec = service.spec.as_ref();
    let external = spec
        .and_then(|spec| spec.external_ips.as_ref())
        .into_iter()
        .flatten();
    let balancer = service
        .status
        .as_ref()
        .and_then(|status| status.load_balancer.as_ref());
    let ingress = balancer
        .and_then(|status| status.ingress.as_ref())
        .into_iter()
        .flatten();
    external
        .chain(ingress.filter_map(|ingress| ingress.ip.as_ref()))
        .filter_map(|address| address.parse().ok())
        .collect()
}
