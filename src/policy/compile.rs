//! From the index to one pod's allow list. Pure and total: what cannot be understood isolates, by
//! name, and nothing else is lost.
//!
//! Compiling the same index twice gives equal values, so a caller may compare before it publishes.
//! Next: [`super::allow_list`] goes to [`super::lookup`] for packets and [`super::explain`] for
//! people.

pub(crate) mod blocks;
pub(super) mod candidates;
pub(crate) mod near;
mod peer_sets;
pub mod services;

use std::net::IpAddr;

pub(crate) use self::candidates::Candidates;
use self::peer_sets::ByContent;
use super::allow_list::{
    AllowList, DirectionList, InvalidPolicy, ObjectRef, Peer, PeerCriterion, PortCriterion,
    PortRule, ResolvedPort, Rule, RuleId,
};
use super::cluster::Cluster;
use super::cluster::objects::{NamedPort, Pod, named_port};
use super::convert::{AnyPolicy, Policy, PolicyPort, PolicyPortCriterion, PolicyRule};
use super::selector::Labels;
use crate::net::{Direction, Protocol};

/// The pod is not in the index (not yet, or no more).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no pod {}/{} is known", .0.namespace, .0.name)]
pub struct PodNotFound(pub ObjectRef);

/// The allow list of a pod. `node_addresses` are added to those that the API knows of its node: the
/// pod's default gateway, from which the kubelet's probes come.
pub fn compile(
    cluster: &Cluster,
    pod: &ObjectRef,
    node_addresses: &[IpAddr],
) -> Result<AllowList, PodNotFound> {
    list(cluster, pod, node_addresses, |_, _| true)
}

/// The same with those Services alone that can lead to somebody whom the pod may reach: on any other
/// Service's address the list says no as well, of the address and not of the Service. What
/// [`crate::lists`] sends.
pub fn compile_near(
    cluster: &Cluster,
    pod: &ObjectRef,
    node_addresses: &[IpAddr],
) -> Result<AllowList, PodNotFound> {
    list(cluster, pod, node_addresses, |scopes, homes| {
        homes.are_in(cluster, scopes)
    })
}

fn list(
    cluster: &Cluster,
    pod: &ObjectRef,
    node_addresses: &[IpAddr],
    wanted: impl Fn(&[near::Scope], &near::Homes) -> bool,
) -> Result<AllowList, PodNotFound> {
    let pod = cluster.pod(pod).ok_or_else(|| PodNotFound(pod.clone()))?;
    let mut sets = ByContent::new(cluster);
    let (ingress, egress) = rules(cluster, Subject::of(pod), &mut sets);
    let scopes = near::scopes(&egress, &pod.id.namespace);
    let services = if scopes.is_empty() {
        Vec::new()
    } else {
        services::entries(cluster, pod.node.as_deref(), |service, slices| {
            wanted(&scopes, &near::Homes::of(cluster, service, slices))
        })
    };
    let mut nodes: Vec<IpAddr> = pod
        .node_addresses
        .iter()
        .chain(node_addresses)
        .copied()
        .collect();
    nodes.sort_unstable();
    nodes.dedup();
    Ok(AllowList {
        pod: pod.id.clone(),
        addresses: own_addresses(pod),
        node_addresses: nodes,
        ingress,
        egress,
        peer_sets: sets.into_vec(),
        services,
    })
}

/// A pod's addresses; none if they are its node's.
pub(crate) fn own_addresses(pod: &Pod) -> Vec<IpAddr> {
    if pod.host_network {
        Vec::new()
    } else {
        pod.addresses.clone()
    }
}

/// What stands behind a Service's address and port for a client pod; without a client, for anybody.
/// Nothing, if it is no Service's address.
#[must_use]
pub fn endpoints_of(
    cluster: &Cluster,
    client: Option<&Pod>,
    address: IpAddr,
    protocol: Protocol,
    port: u16,
) -> Vec<(IpAddr, u16)> {
    let Some(service) = cluster.service_at(address) else {
        return Vec::new();
    };
    let entries = services::entries_of(cluster, service, client);
    let here = entries.into_iter().filter(|entry| {
        entry.addresses.contains(&address) && (entry.protocol, entry.port) == (protocol, port)
    });
    here.flat_map(|entry| entry.endpoints).collect()
}

/// All that rules can know of the pod they hold for: pods that are equal in this have equal rules.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) labels: &'a Labels,
    pub(crate) named_ports: &'a [NamedPort],
    pub(crate) host_network: bool,
}

/// Where the sets come from that rules refer to by number: [`ByContent`], or by what defines them.
pub(crate) trait Sets {
    /// The set of a peer entry.
    fn of(&mut self, criterion: &PeerCriterion) -> u32;

    /// What a port name means in each of a rule's peers (`None`: everyone). Only pods have names for
    /// their ports: outside addresses that a block or an open rule admits are not among them.
    fn named(
        &mut self,
        protocol: Protocol,
        name: &str,
        peers: Option<Vec<u32>>,
    ) -> Vec<ResolvedPort>;
}

impl<'a> Subject<'a> {
    pub(crate) fn of(pod: &'a Pod) -> Self {
        Self {
            namespace: &pod.id.namespace,
            labels: &pod.labels,
            named_ports: &pod.named_ports,
            host_network: pod.host_network,
        }
    }
}

/// What all policies say of such a pod: ingress and egress.
pub(crate) fn rules(
    cluster: &Cluster,
    subject: Subject<'_>,
    sets: &mut impl Sets,
) -> (DirectionList, DirectionList) {
    let policies: Vec<&AnyPolicy> = if subject.host_network {
        // Its traffic is its node's: no policy selects it.
        Vec::new()
    } else {
        let all = cluster.policies_in(subject.namespace);
        all.filter(|policy| policy.selects().matches(subject.labels))
            .collect()
    };
    let mut compiler = Compiler { subject, sets };
    let ingress = compiler.direction(&policies, Direction::Ingress);
    let egress = compiler.direction(&policies, Direction::Egress);
    (ingress, egress)
}

/// What compiling one pod's rules needs at hand.
struct Compiler<'a, S> {
    subject: Subject<'a>,
    sets: &'a mut S,
}

impl<S: Sets> Compiler<'_, S> {
    fn direction(&mut self, policies: &[&AnyPolicy], direction: Direction) -> DirectionList {
        let mut list = DirectionList::default();
        for policy in policies.iter().filter(|policy| policy.isolates(direction)) {
            list.isolated_by.push(policy.id().clone());
            match policy {
                AnyPolicy::Valid(policy) => self.rules(policy, direction, &mut list.rules),
                AnyPolicy::Invalid(invalid) => list.invalid.push(InvalidPolicy {
                    policy: invalid.id.clone(),
                    problem: invalid.problem(),
                }),
            }
        }
        list
    }

    fn rules(&mut self, policy: &Policy, direction: Direction, into: &mut Vec<Rule>) {
        let rules = policy.rules(direction).unwrap_or_default();
        for (index, rule) in (0..u32::MAX).zip(rules) {
            let id = RuleId {
                policy: policy.id.clone(),
                direction,
                index,
            };
            let rule = self.rule(id, rule);
            into.push(rule);
        }
    }

    fn rule(&mut self, id: RuleId, rule: &PolicyRule) -> Rule {
        let direction = id.direction;
        let peers: Option<Vec<Peer>> = rule.peers.as_ref().map(|peers| {
            let peer = |criterion| Peer {
                set: self.sets.of(criterion),
                criterion: criterion.clone(),
            };
            peers.iter().map(peer).collect()
        });
        let ports = rule.ports.as_ref().map(|ports| {
            ports
                .iter()
                .map(|port| self.port(port, direction, peers.as_deref()))
                .collect()
        });
        Rule { id, peers, ports }
    }

    fn port(
        &mut self,
        port: &PolicyPort,
        direction: Direction,
        peers: Option<&[Peer]>,
    ) -> PortRule {
        let PolicyPort { protocol, ref port } = *port;
        let port = match port {
            PolicyPortCriterion::All => PortCriterion::All,
            &PolicyPortCriterion::Range(from, to) => PortCriterion::Range { from, to },
            PolicyPortCriterion::Named(name) => PortCriterion::Named {
                name: name.clone(),
                resolved: match direction {
                    Direction::Ingress => {
                        let number = named_port(self.subject.named_ports, protocol, name);
                        number
                            .map(|port| ResolvedPort { port, set: None })
                            .into_iter()
                            .collect()
                    }
                    Direction::Egress => {
                        let peers = peers.map(numbers);
                        self.sets.named(protocol, name, peers)
                    }
                },
            },
        };
        PortRule { protocol, port }
    }
}

/// The sets of a rule's peers, each once.
fn numbers(peers: &[Peer]) -> Vec<u32> {
    let mut sets: Vec<u32> = peers.iter().map(|peer| peer.set).collect();
    sets.sort_unstable();
    sets.dedup();
    sets
}
