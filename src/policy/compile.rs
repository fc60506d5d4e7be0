//! From the index to one pod's allow list. Pure and total: what cannot be understood isolates, by
//! name, and nothing else is lost.
//!
//! Compiling the same index twice gives equal values, so a caller may compare before it publishes.
//! Next: [`super::allow_list`] goes to [`super::lookup`] for packets and [`super::explain`] for
//! people.

pub(super) mod blocks;
pub(super) mod candidates;
mod peer_sets;
pub mod services;

use std::collections::BTreeMap;
use std::net::IpAddr;

pub(crate) use self::candidates::Candidates;
use self::peer_sets::PeerSets;
use super::allow_list::{
    AllowList, DirectionList, InvalidPolicy, ObjectRef, Peer, PortCriterion, PortRule,
    ResolvedPort, Rule, RuleId,
};
use super::cluster::Cluster;
use super::cluster::objects::Pod;
use super::convert::{AnyPolicy, Policy, PolicyPort, PolicyPortCriterion, PolicyRule};
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
    let pod = cluster.pod(pod).ok_or_else(|| PodNotFound(pod.clone()))?;
    let mut compiler = Compiler {
        pod,
        candidates: Candidates::new(cluster),
        sets: PeerSets::default(),
        named: BTreeMap::new(),
    };
    let policies: Vec<&AnyPolicy> = if pod.host_network {
        // Its traffic is its node's: no policy selects it.
        Vec::new()
    } else {
        let all = cluster.policies_in(&pod.id.namespace);
        all.filter(|policy| policy.selects().matches(&pod.labels))
            .collect()
    };
    let ingress = compiler.direction(&policies, Direction::Ingress);
    let egress = compiler.direction(&policies, Direction::Egress);
    let services = if egress.isolated_by.is_empty() {
        Vec::new()
    } else {
        services::entries(cluster, pod.node.as_deref())
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
        addresses: if pod.host_network {
            Vec::new()
        } else {
            pod.addresses.clone()
        },
        node_addresses: nodes,
        ingress,
        egress,
        peer_sets: compiler.sets.into_vec(),
        services,
    })
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

/// What compiling one pod's list needs at hand.
struct Compiler<'a> {
    pod: &'a Pod,
    candidates: Candidates<'a>,
    sets: PeerSets,
    /// The sets of pods in which a port name has a number, by name and the peers of the rule.
    named: BTreeMap<NamedKey, Vec<ResolvedPort>>,
}

/// A port name among the peers of a rule (`None`: everyone).
type NamedKey = (Protocol, String, Option<Vec<u32>>);

impl Compiler<'_> {
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
                set: self.sets.of(criterion, &self.candidates),
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
                        let number = self.pod.named_port(protocol, name);
                        number
                            .map(|port| ResolvedPort { port, set: None })
                            .into_iter()
                            .collect()
                    }
                    Direction::Egress => self.named(protocol, name, peers),
                },
            },
        };
        PortRule { protocol, port }
    }

    /// What a port name means in each of a rule's peers. Only pods have names for their ports:
    /// outside addresses that a block or an open rule admits are not among them.
    fn named(
        &mut self,
        protocol: Protocol,
        name: &str,
        peers: Option<&[Peer]>,
    ) -> Vec<ResolvedPort> {
        let sets = peers.map(|peers| {
            let mut sets: Vec<u32> = peers.iter().map(|peer| peer.set).collect();
            sets.sort_unstable();
            sets.dedup();
            sets
        });
        let key = (protocol, name.to_owned(), sets);
        if let Some(known) = self.named.get(&key) {
            return known.clone();
        }
        let mut by_number: BTreeMap<u16, Vec<IpAddr>> = BTreeMap::new();
        for (pod, number) in self.candidates.with_port(protocol, name) {
            let admitted = pod.addresses.iter().filter(|address| match &key.2 {
                None => true,
                Some(sets) => sets.iter().any(|&set| self.sets.contains(set, **address)),
            });
            by_number.entry(number).or_default().extend(admitted);
        }
        by_number.retain(|_, hosts| !hosts.is_empty());
        let mut resolved = Vec::with_capacity(by_number.len());
        for (port, hosts) in by_number {
            resolved.push(ResolvedPort {
                port,
                set: Some(self.sets.of_hosts(hosts)),
            });
        }
        self.named.insert(key, resolved.clone());
        resolved
    }
}
