//! Namespaces, pods and nodes with everything dropped that no verdict and no log line needs.
//!
//! The API server validates addresses and port numbers. Should one not be readable after all, it is
//! left out, which can only take permissions away: an address that is not known matches no
//! selector, a port that is not known is no named port's number.

use std::net::IpAddr;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1::EndpointSlice as ApiEndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::directory::{PeerMember, Workload};
use super::services::{EndpointSlice, Service};
use super::{Kind, unnamespaced};
use crate::net::Protocol;
use crate::policy::allow_list::ObjectRef;
use crate::policy::convert::AnyPolicy;
use crate::policy::selector::Labels;

/// An object of any kind that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// A namespace.
    Namespace(Box<Namespace>),
    /// A pod.
    Pod(Box<Pod>),
    /// A policy, understood or not.
    NetworkPolicy(Box<AnyPolicy>),
    /// A Service.
    Service(Box<Service>),
    /// Some of a Service's endpoints.
    EndpointSlice(Box<EndpointSlice>),
    /// A node.
    Node(Box<Node>),
}

/// A namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Its name, under an empty namespace.
    pub id: ObjectRef,
    /// Its labels, always with `kubernetes.io/metadata.name`.
    pub labels: Labels,
}

/// A pod: a [`PeerMember`] and more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Who it is, and its addresses (`status.podIPs`; the node's if it has the host's network). Shared
    /// with all that names it: most of what a pod takes in memory are its labels.
    pub member: Arc<PeerMember>,
    /// It shares its node's network.
    pub host_network: bool,
    /// It has finished (phase Succeeded or Failed): its addresses may already be another's.
    pub finished: bool,
    /// Its node's addresses (`status.hostIPs`).
    pub node_addresses: Vec<IpAddr>,
    /// Its containers' ports that have a name.
    pub named_ports: Vec<NamedPort>,
}

impl Deref for Pod {
    type Target = PeerMember;

    fn deref(&self) -> &PeerMember {
        &self.member
    }
}

/// Changes this pod only.
impl DerefMut for Pod {
    fn deref_mut(&mut self) -> &mut PeerMember {
        Arc::make_mut(&mut self.member)
    }
}

/// A container port with a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamedPort {
    /// Its name.
    pub name: String,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub number: u16,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name, under an empty namespace.
    pub id: ObjectRef,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

impl Pod {
    /// Whether selectors can match it as a peer: it lives, has an address, and the address is its
    /// own.
    #[must_use]
    pub fn is_peer(&self) -> bool {
        !self.finished && !self.host_network && !self.addresses.is_empty()
    }

    /// What a port name means in it.
    #[must_use]
    pub fn named_port(&self, protocol: Protocol, name: &str) -> Option<u16> {
        named_port(&self.named_ports, protocol, name)
    }
}

/// What a port name means. The first container that has it counts, as in `podutil.FindPort`.
pub(crate) fn named_port(ports: &[NamedPort], protocol: Protocol, name: &str) -> Option<u16> {
    let matches = |port: &&NamedPort| port.protocol == protocol && port.name == name;
    ports.iter().find(matches).map(|port| port.number)
}

impl Object {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Namespace(_) => Kind::Namespace,
            Self::Pod(_) => Kind::Pod,
            Self::NetworkPolicy(_) => Kind::NetworkPolicy,
            Self::Service(_) => Kind::Service,
            Self::EndpointSlice(_) => Kind::EndpointSlice,
            Self::Node(_) => Kind::Node,
        }
    }

    /// Its namespace and name.
    #[must_use]
    pub fn id(&self) -> &ObjectRef {
        match self {
            Self::Namespace(object) => &object.id,
            Self::Pod(object) => &object.id,
            Self::NetworkPolicy(object) => object.id(),
            Self::Service(object) => &object.id,
            Self::EndpointSlice(object) => &object.id,
            Self::Node(object) => &object.id,
        }
    }

    /// The addresses by which it is found.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        match self {
            Self::Pod(pod) => pod.addresses.clone(),
            Self::Service(service) => service.all_addresses().collect(),
            Self::Node(node) => node.addresses.clone(),
            Self::Namespace(_) | Self::NetworkPolicy(_) | Self::EndpointSlice(_) => Vec::new(),
        }
    }
}

impl From<&core::Namespace> for Object {
    fn from(object: &core::Namespace) -> Self {
        let id = unnamespaced(object.metadata.name.as_deref().unwrap_or_default());
        let mut labels = object.metadata.labels.clone().unwrap_or_default();
        // Set by the API server on every namespace since 1.21, and immutable; an object from a file
        // may not show it.
        labels.insert("kubernetes.io/metadata.name".to_owned(), id.name.clone());
        Self::Namespace(Box::new(Namespace { id, labels }))
    }
}

impl From<&core::Pod> for Object {
    fn from(object: &core::Pod) -> Self {
        let spec = object.spec.as_ref();
        let status = object.status.as_ref();
        let phase = status.and_then(|status| status.phase.as_deref());
        let pod_ips = status
            .and_then(|status| status.pod_ips.as_deref())
            .unwrap_or_default();
        let pod_ips = pod_ips.iter().map(|ip| ip.ip.as_str());
        let pod_ip = status.and_then(|status| status.pod_ip.as_deref());
        let host_ips = status
            .and_then(|status| status.host_ips.as_deref())
            .unwrap_or_default();
        let host_ips = host_ips.iter().map(|ip| ip.ip.as_str());
        let host_ip = status.and_then(|status| status.host_ip.as_deref());
        let member = PeerMember {
            id: namespaced(&object.metadata),
            labels: Arc::new(object.metadata.labels.clone().unwrap_or_default()),
            addresses: addresses(pod_ip.into_iter().chain(pod_ips)),
            node: spec.and_then(|spec| spec.node_name.clone()),
            workload: Workload::of(&object.metadata),
        };
        Self::Pod(Box::new(Pod {
            member: Arc::new(member),
            host_network: spec.and_then(|spec| spec.host_network).unwrap_or(false),
            finished: matches!(phase, Some("Succeeded" | "Failed")),
            node_addresses: addresses(host_ip.into_iter().chain(host_ips)),
            named_ports: spec.map(named_ports).unwrap_or_default(),
        }))
    }
}

impl From<&core::Node> for Object {
    fn from(object: &core::Node) -> Self {
        let status = object.status.as_ref();
        let all = status
            .and_then(|status| status.addresses.as_deref())
            .unwrap_or_default();
        let ips = all.iter().filter(|address| address.type_.ends_with("IP"));
        Self::Node(Box::new(Node {
            id: unnamespaced(object.metadata.name.as_deref().unwrap_or_default()),
            addresses: addresses(ips.map(|address| address.address.as_str())),
        }))
    }
}

impl From<&NetworkPolicy> for Object {
    fn from(object: &NetworkPolicy) -> Self {
        Self::NetworkPolicy(Box::new(AnyPolicy::from(object)))
    }
}

impl From<AnyPolicy> for Object {
    fn from(policy: AnyPolicy) -> Self {
        Self::NetworkPolicy(Box::new(policy))
    }
}

impl From<&core::Service> for Object {
    fn from(object: &core::Service) -> Self {
        Self::Service(Box::new(Service::from(object)))
    }
}

impl From<&ApiEndpointSlice> for Object {
    fn from(object: &ApiEndpointSlice) -> Self {
        Self::EndpointSlice(Box::new(EndpointSlice::from(object)))
    }
}

/// The key of an object in a namespace.
pub(super) fn namespaced(metadata: &ObjectMeta) -> ObjectRef {
    ObjectRef {
        namespace: metadata
            .namespace
            .clone()
            .unwrap_or_else(|| "default".to_owned()),
        name: metadata.name.clone().unwrap_or_default(),
    }
}

/// Addresses, each once, in their order.
pub(super) fn addresses<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for text in texts {
        if let Ok(address) = text.parse::<IpAddr>()
            && !addresses.contains(&address)
        {
            addresses.push(address);
        }
    }
    addresses
}

/// A protocol as ports spell it; missing means TCP.
pub(super) fn protocol(name: Option<&str>) -> Option<Protocol> {
    match name {
        None | Some("TCP" | "") => Some(Protocol::TCP),
        Some("UDP") => Some(Protocol::UDP),
        Some("SCTP") => Some(Protocol::SCTP),
        Some(_) => None,
    }
}

/// Ports of containers and then of sidecars, which are init containers that are always restarted
/// (KEP-753).
fn named_ports(spec: &core::PodSpec) -> Vec<NamedPort> {
    let init = spec.init_containers.iter().flatten();
    let sidecars = init.filter(|container| container.restart_policy.as_deref() == Some("Always"));
    let containers = spec.containers.iter().chain(sidecars);
    containers
        .flat_map(|container| container.ports.iter().flatten())
        .filter_map(|port| {
            let name = port.name.as_deref().filter(|name| !name.is_empty())?;
            match (
                protocol(port.protocol.as_deref()),
                u16::try_from(port.container_port),
            ) {
                (Some(protocol), Ok(number)) => Some(NamedPort {
                    name: name.to_owned(),
                    protocol,
                    number,
                }),
                _ => None,
            }
        })
        .collect()
}
