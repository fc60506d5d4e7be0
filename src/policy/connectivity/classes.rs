//! Pods that policies treat alike: the same policies select them, the same peer entries mean them, and
//! port names mean the same numbers in them. Two pods of one class can stand for one another in every
//! question, so a question is answered once for each two classes.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use foldhash::fast::RandomState;

use super::criteria::{Criteria, CriterionId, ZoneId};
use crate::net::{Direction, Protocol};
use crate::policy::allow_list::NamespaceCriterion;
use crate::policy::cluster::Cluster;
use crate::policy::cluster::objects::Pod;
use crate::policy::compile::candidates::Candidates;
use crate::policy::convert::{AnyPolicy, PolicyPortCriterion};

/// A profile by number: position in [`Classes::egress`] or [`Classes::ingress`].
pub(super) type ProfileId = usize;

/// The classes of a cluster's pods.
pub(super) struct Classes<'a> {
    /// What is alike in each class, and its pods.
    pub(super) list: Vec<(Likeness, Vec<&'a Pod>)>,
    pub(super) egress: Vec<Profile<'a>>,
    pub(super) ingress: Vec<Profile<'a>>,
}

/// What two pods have in common that are alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Likeness {
    /// What isolates them; `None`: nothing.
    pub(super) egress: Option<ProfileId>,
    pub(super) ingress: Option<ProfileId>,
    /// The selectors that match them, ascending.
    pub(super) criteria: Vec<CriterionId>,
    /// The zone of the first address of each family, in the order of the addresses.
    pub(super) zones: Vec<(bool, ZoneId)>,
    /// What the port names of egress rules mean in them.
    pub(super) names: Vec<Option<u16>>,
    /// The addresses of a pod that shares its node's network, the first of each family: whether it
    /// is some pod's own node depends on them.
    pub(super) host: Option<Vec<IpAddr>>,
    /// The addresses of their node that such pods have.
    pub(super) node: Vec<IpAddr>,
}

/// The policies that isolate pods in a direction, and one of the pods: port names of ingress rules
/// mean the same in all of them.
pub(super) struct Profile<'a> {
    pub(super) policies: Vec<&'a AnyPolicy>,
    pub(super) pod: &'a Pod,
}

impl<'a> Classes<'a> {
    pub(super) fn of(cluster: &'a Cluster, criteria: &Criteria<'_>) -> Self {
        let candidates = Candidates::new(cluster);
        let mut matching = criteria.by_candidate(&candidates);
        let selecting = selecting(cluster, &candidates);
        let hosts: Vec<&Pod> = cluster
            .pods()
            .filter(|pod| pod.host_network && !pod.finished && !pod.addresses.is_empty())
            .collect();
        let host_addresses: Vec<IpAddr> = hosts.iter().flat_map(|pod| first(pod)).collect();

        let (mut egress, mut ingress) = (Profiles::default(), Profiles::default());
        let mut classes: HashMap<Likeness, Vec<&Pod>, RandomState> = HashMap::default();
        for (position, pod) in candidates.pods().iter().enumerate() {
            let policies = selecting.get(position).map_or(&[][..], Vec::as_slice);
            let likeness = Likeness {
                egress: egress.of(policies, Direction::Egress, pod),
                ingress: ingress.of(policies, Direction::Ingress, pod),
                criteria: matching
                    .get_mut(position)
                    .map(std::mem::take)
                    .unwrap_or_default(),
                zones: zones(pod, criteria),
                names: criteria
                    .names
                    .iter()
                    .map(|&(protocol, name)| pod.named_port(protocol, name))
                    .collect(),
                host: None,
                node: host_addresses
                    .iter()
                    .filter(|address| pod.node_addresses.contains(address))
                    .copied()
                    .collect(),
            };
            classes.entry(likeness).or_default().push(pod);
        }
        for pod in hosts {
            let likeness = Likeness {
                egress: None,
                ingress: None,
                criteria: Vec::new(),
                zones: zones(pod, criteria),
                names: vec![None; criteria.names.len()],
                host: Some(first(pod)),
                node: Vec::new(),
            };
            classes.entry(likeness).or_default().push(pod);
        }
        let mut list: Vec<(Likeness, Vec<&Pod>)> = classes.into_iter().collect();
        list.sort_by(|(_, left), (_, right)| {
            let id = |pods: &[&'a Pod]| pods.first().map(|pod| &pod.id);
            id(left).cmp(&id(right))
        });
        Self {
            list,
            egress: egress.list,
            ingress: ingress.list,
        }
    }
}

/// For each candidate, by position, the policies that select it, by name.
fn selecting<'a>(cluster: &'a Cluster, candidates: &Candidates<'a>) -> Vec<Vec<&'a AnyPolicy>> {
    let mut selecting = vec![Vec::new(); candidates.pods().len()];
    for policy in cluster.policies() {
        let namespace = NamespaceCriterion::Own(policy.id().namespace.clone());
        for position in candidates.positions(&namespace, policy.selects()) {
            if let Some(policies) = selecting.get_mut(position) {
                policies.push(policy);
            }
        }
    }
    selecting
}

/// The first address of each family, in their order.
fn first(pod: &Pod) -> Vec<IpAddr> {
    let mut first: Vec<IpAddr> = Vec::with_capacity(2);
    for address in &pod.addresses {
        if first
            .iter()
            .all(|other| other.is_ipv4() != address.is_ipv4())
        {
            first.push(*address);
        }
    }
    first
}

fn zones(pod: &Pod, criteria: &Criteria<'_>) -> Vec<(bool, ZoneId)> {
    let first = first(pod).into_iter();
    first
        .map(|address| (address.is_ipv6(), criteria.zone(address)))
        .collect()
}

/// The profiles of one direction.
#[derive(Default)]
struct Profiles<'a> {
    list: Vec<Profile<'a>>,
    ids: BTreeMap<Key<'a>, ProfileId>,
}

/// The policies by name, and what their port names mean in the pod itself.
type Key<'a> = (
    Vec<&'a crate::policy::allow_list::ObjectRef>,
    Vec<Option<u16>>,
);

impl<'a> Profiles<'a> {
    /// The profile of a pod among the policies that select it; `None`: none names the direction.
    fn of(
        &mut self,
        policies: &[&'a AnyPolicy],
        direction: Direction,
        pod: &'a Pod,
    ) -> Option<ProfileId> {
        let isolating = policies.iter().filter(|policy| policy.isolates(direction));
        let policies: Vec<&AnyPolicy> = isolating.copied().collect();
        if policies.is_empty() {
            return None;
        }
        let names = match direction {
            Direction::Ingress => own_names(&policies)
                .map(|(protocol, name)| pod.named_port(protocol, name))
                .collect(),
            Direction::Egress => Vec::new(),
        };
        let key = (policies.iter().map(|policy| policy.id()).collect(), names);
        let next = self.list.len();
        let id = *self.ids.entry(key).or_insert(next);
        if id == next {
            self.list.push(Profile { policies, pod });
        }
        Some(id)
    }
}

/// The port names of these policies' ingress rules, in the order of the rules.
fn own_names<'a>(policies: &[&'a AnyPolicy]) -> impl Iterator<Item = (Protocol, &'a str)> {
    let rules = policies.iter().flat_map(|policy| match policy {
        AnyPolicy::Valid(policy) => policy.rules(Direction::Ingress).unwrap_or_default(),
        AnyPolicy::Invalid(_) => &[],
    });
    let ports = rules.flat_map(|rule| rule.ports.iter().flatten());
    ports.filter_map(|port| match &port.port {
        PolicyPortCriterion::Named(name) => Some((port.protocol, name.as_str())),
        _ => None,
    })
}
