//! Services and their endpoints, as kube-proxy reads them (kubernetes `pkg/proxy`).

use std::net::IpAddr;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::objects::{addresses, namespaced, protocol};
use crate::net::Protocol;
use crate::policy::allow_list::ObjectRef;

/// A Service that has addresses of its own. A headless one, and an ExternalName, is kept without.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Its namespace and name.
    #[serde(flatten)]
    pub id: ObjectRef,
    /// Addresses inside the cluster.
    pub cluster_addresses: Vec<IpAddr>,
    /// External addresses and those of load balancers that the node translates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external_addresses: Vec<IpAddr>,
    /// Clients reach only endpoints of their own node under the cluster addresses
    /// (`internalTrafficPolicy: Local`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub local_only: bool,
    /// Its ports.
    pub ports: Vec<ServicePort>,
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// Its name, empty if it has none: by it the endpoints' ports are found.
    pub name: String,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub number: u16,
}

/// Some endpoints of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSlice {
    /// Its namespace and name.
    pub id: ObjectRef,
    /// The Service's name (label `kubernetes.io/service-name`).
    pub service: Option<String>,
    /// The endpoints' ports.
    pub ports: Vec<ServicePort>,
    /// The endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Its address. A slice may list several, of which kube-proxy takes the first.
    pub address: IpAddr,
    /// It takes new connections.
    pub ready: bool,
    /// It is going away but still answers: taken only when none is ready (KEP-1669).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub last_resort: bool,
    /// The node it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Its slice names no pod that it is (`targetRef`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub foreign: bool,
}

impl Service {
    /// Cluster addresses, then external ones.
    pub fn all_addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.cluster_addresses
            .iter()
            .chain(&self.external_addresses)
            .copied()
    }
}

impl EndpointSlice {
    /// The Service it belongs to.
    pub(crate) fn service_id(&self) -> Option<ObjectRef> {
        Some(ObjectRef {
            namespace: self.id.namespace.clone(),
            name: self.service.clone()?,
        })
    }
}

impl From<&core::Service> for Service {
    fn from(object: &core::Service) -> Self {
        let spec = object.spec.as_ref();
        let cluster_ip = spec.and_then(|spec| spec.cluster_ip.as_deref());
        let kind = spec.and_then(|spec| spec.type_.as_deref());
        // kube-proxy's `ShouldSkipService`: a headless Service is just its pods, whatever external
        // addresses it may list.
        let skipped =
            matches!(cluster_ip, None | Some("" | "None")) || kind == Some("ExternalName");
        let mut service = Self {
            id: namespaced(&object.metadata),
            cluster_addresses: Vec::new(),
            external_addresses: Vec::new(),
            local_only: spec.and_then(|spec| spec.internal_traffic_policy.as_deref())
                == Some("Local"),
            ports: Vec::new(),
        };
        let Some(spec) = spec.filter(|_| !skipped) else {
            return service;
        };
        let more = spec.cluster_ips.iter().flatten().map(String::as_str);
        service.cluster_addresses = addresses(cluster_ip.into_iter().chain(more));

        let external = spec.external_ips.iter().flatten().map(String::as_str);
        let balancer = object
            .status
            .as_ref()
            .and_then(|status| status.load_balancer.as_ref());
        // With `ipMode: Proxy` the node leaves the packet alone (KEP-1860): it goes to the load
        // balancer as to any address outside.
        let balancer = balancer
            .into_iter()
            .flat_map(|balancer| balancer.ingress.iter().flatten());
        let balancer = balancer.filter(|ingress| ingress.ip_mode.as_deref() != Some("Proxy"));
        let balancer = balancer.filter_map(|ingress| ingress.ip.as_deref());
        service.external_addresses = addresses(external.chain(balancer));

        let ports = spec.ports.iter().flatten();
        service.ports = ports
            .filter_map(|port| {
                service_port(port.name.as_deref(), port.protocol.as_deref(), port.port)
            })
            .collect();
        service
    }
}

impl From<&discovery::EndpointSlice> for EndpointSlice {
    fn from(object: &discovery::EndpointSlice) -> Self {
        let labels = object.metadata.labels.as_ref();
        let service = labels
            .and_then(|labels| labels.get("kubernetes.io/service-name"))
            .cloned();
        let ports = object.ports.iter().flatten();
        // A port without a number means all ports, which no Service port is.
        let ports = ports.filter_map(|port| {
            service_port(port.name.as_deref(), port.protocol.as_deref(), port.port?)
        });
        Self {
            id: namespaced(&object.metadata),
            service,
            ports: ports.collect(),
            endpoints: object.endpoints.iter().filter_map(endpoint).collect(),
        }
    }
}

fn service_port(
    name: Option<&str>,
    protocol_name: Option<&str>,
    number: i32,
) -> Option<ServicePort> {
    match (protocol(protocol_name), u16::try_from(number)) {
        (Some(protocol), Ok(number)) => Some(ServicePort {
            name: name.unwrap_or_default().to_owned(),
            protocol,
            number,
        }),
        _ => None,
    }
}

/// Conditions that are not set: ready, serving, not terminating (`pkg/proxy/endpointslicecache.go`).
fn endpoint(endpoint: &discovery::Endpoint) -> Option<Endpoint> {
    let conditions = endpoint.conditions.clone().unwrap_or_default();
    let serving = conditions.serving.unwrap_or(true);
    let terminating = conditions.terminating.unwrap_or(false);
    let address = endpoint
        .addresses
        .first()
        .map(|address| address.parse::<IpAddr>());
    match address {
        Some(Ok(address)) => Some(Endpoint {
            address,
            ready: conditions.ready.unwrap_or(true),
            last_resort: serving && terminating,
            node: endpoint.node_name.clone(),
            foreign: endpoint
                .target_ref
                .as_ref()
                .is_none_or(|target| target.kind.as_deref() != Some("Pod")),
        }),
        _ => None,
    }
}
