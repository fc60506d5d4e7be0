//! A second evaluator: straight from the API's objects, slow and plain, sharing no code with the
//! engine. No index, no sets, no classes; every question walks over everything.

mod objects;

use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use self::objects::{host_network, ips, named_port, node_ips, selects, service_ips, valid};

/// All objects.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) namespaces: Vec<Namespace>,
    pub(crate) pods: Vec<Pod>,
    pub(crate) policies: Vec<NetworkPolicy>,
    pub(crate) services: Vec<Service>,
    pub(crate) slices: Vec<EndpointSlice>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    NotIsolated,
    Node,
    Itself,
    /// Policy (its namespace is the pod's) and index.
    Rule(String, u32),
    NoRule,
    Invalid,
    NoEndpoints,
    Mixed,
}

impl Answer {
    fn allows(&self) -> bool {
        matches!(
            self,
            Self::NotIsolated | Self::Node | Self::Itself | Self::Rule(..)
        )
    }
}

/// A question about one pod.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) ingress: bool,
    pub(crate) peer: IpAddr,
    /// `None`: ICMP.
    pub(crate) protocol: Option<&'a str>,
    pub(crate) port: u16,
    pub(crate) mixed_allowed: bool,
}

/// Policy, index, peers and ports of a rule.
type FlatRule<'a> = (
    String,
    u32,
    &'a [NetworkPolicyPeer],
    &'a [NetworkPolicyPort],
);

impl World {
    pub(crate) fn answer(&self, ask: Ask<'_>) -> Answer {
        if self.isolating(ask).is_empty() {
            return Answer::NotIsolated;
        }
        let claims: Vec<&Service> = if ask.ingress {
            Vec::new()
        } else {
            self.services
                .iter()
                .filter(|service| service_ips(service).contains(&ask.peer))
                .collect()
        };
        let mut first = None;
        for service in &claims {
            for answer in self.behind(service, ask) {
                if !answer.allows() {
                    return answer;
                }
                first = first.or(Some(answer));
            }
        }
        if let Some(answer) = first {
            return answer;
        }
        if !claims.is_empty()
            && !node_ips(ask.pod).contains(&ask.peer)
            && !ips(ask.pod).contains(&ask.peer)
        {
            return self.unserved(ask);
        }
        self.direct(ask)
    }

    /// An answer for each of the Service's ports that is asked for (there is at most one).
    fn behind(&self, service: &Service, ask: Ask<'_>) -> Vec<Answer> {
        let mut answers = Vec::new();
        for port in service
            .spec
            .iter()
            .flat_map(|spec| spec.ports.iter().flatten())
        {
            if ask.protocol != Some(port.protocol.as_deref().unwrap_or("TCP"))
                || i32::from(ask.port) != port.port
            {
                continue;
            }
            let mut ready = Vec::new();
            let mut leaving = Vec::new();
            for slice in &self.slices {
                let labels = slice.metadata.labels.as_ref().expect("labels");
                if slice.metadata.namespace != service.metadata.namespace
                    || labels.get("kubernetes.io/service-name") != service.metadata.name.as_ref()
                {
                    continue;
                }
                let target = slice.ports.iter().flatten().find(|target| {
                    target.name == port.name
                        && target.protocol.as_deref().unwrap_or("TCP")
                            == port.protocol.as_deref().unwrap_or("TCP")
                });
                let Some(target) = target.and_then(|target| target.port) else {
                    continue;
                };
                for endpoint in &slice.endpoints {
                    let address: IpAddr = endpoint.addresses[0].parse().expect("an address");
                    if address.is_ipv4() != ask.peer.is_ipv4() {
                        continue;
                    }
                    let pair = (address, u16::try_from(target).expect("a port"));
                    let conditions = endpoint.conditions.clone().unwrap_or_default();
                    if conditions.ready != Some(false) {
                        ready.push(pair);
                    } else if conditions.serving != Some(false)
                        && conditions.terminating == Some(true)
                    {
                        leaving.push(pair);
                    }
                }
            }
            let mut endpoints = if ready.is_empty() { leaving } else { ready };
            endpoints.sort();
            let each = endpoints
                .iter()
                .map(|&(peer, port)| self.direct(Ask { peer, port, ..ask }));
            let each: Vec<Answer> = each.collect();
            let allowed = each.iter().find(|answer| answer.allows());
            let blocked = each.iter().find(|answer| !answer.allows());
            answers.push(match (allowed, blocked) {
                (None, None) => self.unserved(ask),
                (Some(answer), None) | (None, Some(answer)) => answer.clone(),
                (Some(answer), Some(_)) if ask.mixed_allowed => answer.clone(),
                (Some(_), Some(_)) => Answer::Mixed,
            });
        }
        answers
    }

    fn unserved(&self, ask: Ask<'_>) -> Answer {
        let rules = self.rules(ask);
        let open = rules
            .iter()
            .find(|(_, _, peers, ports)| peers.is_empty() && ports.is_empty());
        open.map_or(Answer::NoEndpoints, |(policy, index, ..)| {
            Answer::Rule(policy.clone(), *index)
        })
    }

    fn direct(&self, ask: Ask<'_>) -> Answer {
        if node_ips(ask.pod).contains(&ask.peer) {
            return Answer::Node;
        }
        if ips(ask.pod).contains(&ask.peer) {
            return Answer::Itself;
        }
        let namespace = ask.pod.metadata.namespace.as_deref().expect("a namespace");
        for (policy, index, peers, ports) in self.rules(ask) {
            let peer = peers.is_empty()
                || peers
                    .iter()
                    .any(|peer| self.peer_matches(peer, namespace, ask.peer));
            let port = ports.is_empty() || ports.iter().any(|port| self.port_matches(port, ask));
            if peer && port {
                return Answer::Rule(policy, index);
            }
        }
        if self.isolating(ask).iter().any(|policy| !valid(policy)) {
            Answer::Invalid
        } else {
            Answer::NoRule
        }
    }

    /// The policies that isolate, by name.
    fn isolating(&self, ask: Ask<'_>) -> Vec<&NetworkPolicy> {
        if host_network(ask.pod) {
            return Vec::new();
        }
        let labels = ask.pod.metadata.labels.clone().unwrap_or_default();
        let mut policies: Vec<&NetworkPolicy> = self
            .policies
            .iter()
            .filter(|policy| policy.metadata.namespace == ask.pod.metadata.namespace)
            .filter(|policy| {
                let spec = policy.spec.as_ref().expect("a spec");
                let types = spec.policy_types.clone().unwrap_or_default();
                let named = |name: &str| types.iter().any(|one| one == name);
                let isolates = match (types.is_empty(), ask.ingress) {
                    (true, true) => true,
                    (true, false) => !spec.egress.clone().unwrap_or_default().is_empty(),
                    (false, true) => named("Ingress"),
                    (false, false) => named("Egress"),
                };
                isolates
                    && spec
                        .pod_selector
                        .as_ref()
                        .is_none_or(|selector| selects(selector, &labels))
            })
            .collect();
        policies.sort_by_key(|policy| policy.metadata.name.clone());
        policies
    }

    fn rules(&self, ask: Ask<'_>) -> Vec<FlatRule<'_>> {
        let mut rules: Vec<FlatRule<'_>> = Vec::new();
        for policy in self
            .isolating(ask)
            .into_iter()
            .filter(|policy| valid(policy))
        {
            let name = policy.metadata.name.clone().expect("a name");
            let spec = policy.spec.as_ref().expect("a spec");
            if ask.ingress {
                for (index, rule) in (0..).zip(spec.ingress.iter().flatten()) {
                    let peers = rule.from.as_deref().unwrap_or_default();
                    rules.push((
                        name.clone(),
                        index,
                        peers,
                        rule.ports.as_deref().unwrap_or_default(),
                    ));
                }
            } else {
                for (index, rule) in (0..).zip(spec.egress.iter().flatten()) {
                    let peers = rule.to.as_deref().unwrap_or_default();
                    rules.push((
                        name.clone(),
                        index,
                        peers,
                        rule.ports.as_deref().unwrap_or_default(),
                    ));
                }
            }
        }
        rules
    }

    fn peer_matches(&self, peer: &NetworkPolicyPeer, namespace: &str, address: IpAddr) -> bool {
        if let Some(block) = &peer.ip_block {
            let net = |text: &str| text.parse::<IpNet>().expect("a CIDR");
            let excepted = block
                .except
                .iter()
                .flatten()
                .any(|text| net(text).contains(&address));
            return net(&block.cidr).contains(&address) && !excepted;
        }
        self.peers_at(address).any(|pod| {
            let theirs = pod.metadata.namespace.as_deref().expect("a namespace");
            let namespace_matches = match &peer.namespace_selector {
                None => theirs == namespace,
                Some(selector) => self.namespaces.iter().any(|namespace| {
                    namespace.metadata.name.as_deref() == Some(theirs)
                        && selects(
                            selector,
                            &namespace.metadata.labels.clone().unwrap_or_default(),
                        )
                }),
            };
            let labels = pod.metadata.labels.clone().unwrap_or_default();
            namespace_matches
                && peer
                    .pod_selector
                    .as_ref()
                    .is_none_or(|selector| selects(selector, &labels))
        })
    }

    fn port_matches(&self, port: &NetworkPolicyPort, ask: Ask<'_>) -> bool {
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        if ask.protocol != Some(protocol) {
            return false;
        }
        match &port.port {
            None => true,
            Some(IntOrString::Int(from)) => {
                (*from..=port.end_port.unwrap_or(*from)).contains(&i32::from(ask.port))
            }
            Some(IntOrString::String(name)) if ask.ingress => {
                named_port(ask.pod, protocol, name) == Some(ask.port)
            }
            Some(IntOrString::String(name)) => self
                .peers_at(ask.peer)
                .any(|pod| named_port(pod, protocol, name) == Some(ask.port)),
        }
    }

    /// Pods with a network of their own that live and have this address.
    fn peers_at(&self, address: IpAddr) -> impl Iterator<Item = &Pod> {
        self.pods.iter().filter(move |pod| {
            let phase = pod
                .status
                .as_ref()
                .and_then(|status| status.phase.as_deref());
            ips(pod).contains(&address)
                && !host_network(pod)
                && !matches!(phase, Some("Failed" | "Succeeded"))
        })
    }
}
