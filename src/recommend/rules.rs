//! From conversations to rules: for each group and direction whom it talks to, and at which ports.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::evidence::{Conversation, Evidence, Party, Sightings};
use super::groups::Groups;
use super::seen::Seen;
use super::{LeftOut, Options};
use crate::net::{Direction, Protocol};
use crate::policy::allow_list::ObjectRef;
use crate::policy::cluster::{Cluster, Known};
use crate::policy::compile::endpoints_of;

/// The other side of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Peer {
    /// A group by its number.
    Group(usize),
    /// Addresses outside of the cluster.
    Block(IpNet),
}

/// What is known of one port towards one peer.
#[derive(Debug, Clone, Default)]
pub(super) struct Port {
    pub(super) seen: Seen,
    /// Services through which it was called.
    pub(super) services: BTreeSet<ObjectRef>,
}

/// Ports by protocol and number.
pub(super) type Ports = BTreeMap<(Protocol, u16), Port>;

/// Peers and their ports, of each group and direction.
pub(super) type Rules = BTreeMap<(usize, Direction), BTreeMap<Peer, Ports>>;

/// Where a packet arrives: the peer, the pod that it is, and the port it then has.
type Target = (Peer, Option<ObjectRef>, u16);

/// Makes the rules of the namespaces that are wanted.
pub(super) struct Maker<'a, 'b> {
    pub(super) cluster: &'a Cluster,
    pub(super) evidence: &'a Evidence,
    pub(super) options: &'a Options,
    /// Namespaces that get policies.
    pub(super) wanted: &'a BTreeSet<String>,
    pub(super) groups: &'b mut Groups<'a>,
    pub(super) left_out: &'b mut LeftOut,
}

impl Maker<'_, '_> {
    /// Goes through everything that was seen.
    pub(super) fn make(&mut self) -> Rules {
        let mut rules = Rules::new();
        for (conversation, sightings) in &self.evidence.conversations {
            let Some(from) = self.end(&conversation.from) else {
                continue;
            };
            let (targets, service) = self.targets(conversation);
            let mut used = targets.is_empty() && service.is_some();
            for (to, to_pod, port) in targets {
                // A pod's connection to itself never leaves it.
                if to_pod.is_some() && to_pod == from.1 {
                    used = true;
                    continue;
                }
                let refused = to_pod.is_some_and(|pod| self.refused(conversation, pod, port));
                let sides = [
                    (from.0, to, Direction::Egress),
                    (to, from.0, Direction::Ingress),
                ];
                for (own, peer, direction) in sides {
                    let Peer::Group(own) = own else { continue };
                    if !self
                        .groups
                        .get(own)
                        .is_some_and(|group| self.wanted.contains(&group.namespace))
                    {
                        continue;
                    }
                    used = true;
                    // That it could leave is no reason to let it in where it was blocked.
                    if refused && direction == Direction::Ingress {
                        continue;
                    }
                    let peers = rules.entry((own, direction)).or_default();
                    let ports = peers.entry(peer).or_default();
                    let entry = ports.entry((conversation.protocol, port)).or_default();
                    entry.seen.merge(sightings.at(direction));
                    entry.services.extend(service.clone());
                }
            }
            self.left_out.elsewhere += u64::from(!used);
        }
        rules
    }

    /// Whether the pod's own sidecar blocked it, every time.
    fn refused(&self, conversation: &Conversation, pod: ObjectRef, port: u16) -> bool {
        let there = Conversation {
            to: Party::Pod(pod),
            port,
            ..conversation.clone()
        };
        let came_in = self.evidence.conversations.get(&there);
        self.evidence.refused.contains(&there) && !came_in.is_some_and(Sightings::came_in)
    }

    /// A party as a peer, and the pod that it is.
    fn end(&mut self, party: &Party) -> Option<(Peer, Option<ObjectRef>)> {
        match party {
            Party::Pod(pod) => {
                let group = self.groups.of(pod)?;
                Some((Peer::Group(group), Some(pod.clone())))
            }
            Party::Address(address) => match self.known(*address) {
                Some(Known::Pod(pod)) => self.end(&Party::Pod(pod.id.clone())),
                _ => Some((self.block(*address), None)),
            },
            Party::Service(_, address) => Some((self.block(*address), None)),
            Party::Node => None,
        }
    }

    /// What stands behind the called address: itself, or the endpoints of a Service on their own
    /// ports, all of which must be allowed.
    fn targets(&mut self, conversation: &Conversation) -> (Vec<Target>, Option<ObjectRef>) {
        let service = match &conversation.to {
            Party::Service(service, _) => Some(service.clone()),
            Party::Address(address) => match self.known(*address) {
                Some(Known::Service(service)) => Some(service.id.clone()),
                _ => None,
            },
            Party::Pod(_) | Party::Node => None,
        };
        let Some(service) = service else {
            let end = self.end(&conversation.to);
            let end = end.map(|(peer, pod)| (peer, pod, conversation.port));
            return (end.into_iter().collect(), None);
        };
        let endpoints = self.endpoints(conversation, &service);
        if endpoints.is_empty() {
            let what = format!("{service} {} {}", conversation.protocol, conversation.port);
            *self.left_out.unresolved.entry(what).or_default() += 1;
        }
        let mut targets = Vec::new();
        for (address, port) in endpoints {
            let pod = self.cluster.pod_at(address).map(|pod| pod.id.clone());
            let end = match pod {
                Some(pod) => self.end(&Party::Pod(pod)),
                None => Some((Peer::Block(IpNet::from(address)), None)),
            };
            targets.extend(end.map(|(peer, pod)| (peer, pod, port)));
        }
        (targets, Some(service))
    }

    /// By the Service's name: the address in a log may be another than the one in a manifest.
    fn endpoints(&self, conversation: &Conversation, service: &ObjectRef) -> Vec<(IpAddr, u16)> {
        let Some(found) = self.cluster.services().find(|known| known.id == *service) else {
            return Vec::new();
        };
        let client = match &conversation.from {
            Party::Pod(pod) => self.cluster.pod(pod),
            _ => None,
        };
        let (protocol, port) = (conversation.protocol, conversation.port);
        let called = match &conversation.to {
            Party::Service(_, address) | Party::Address(address) => Some(*address),
            _ => None,
        };
        let addresses = found.all_addresses();
        let mut addresses: Vec<IpAddr> = addresses.collect();
        // The very address that was called, then one of its family.
        addresses.sort_by_key(|address| {
            (
                Some(*address) != called,
                Some(address.is_ipv4()) != called.map(|called| called.is_ipv4()),
            )
        });
        let ends = addresses
            .into_iter()
            .map(|address| endpoints_of(self.cluster, client, address, protocol, port));
        ends.into_iter()
            .find(|ends| !ends.is_empty())
            .unwrap_or_default()
    }

    /// Whose an address is, where the cluster's addresses are its real ones.
    fn known(&self, address: IpAddr) -> Option<Known<'_>> {
        self.options
            .real_addresses
            .then(|| self.cluster.at(address))?
    }

    /// An address as a block: by itself, or with its neighbours if none of the cluster's own addresses
    /// is among them.
    fn block(&self, address: IpAddr) -> Peer {
        let single = IpNet::from(address);
        let Some(lengths) = self.options.aggregate_world else {
            return Peer::Block(single);
        };
        let length = if address.is_ipv4() {
            lengths.v4
        } else {
            lengths.v6
        };
        let Ok(wide) = IpNet::new(address, length) else {
            return Peer::Block(single);
        };
        let wide = wide.trunc();
        let pods = self
            .cluster
            .pods()
            .flat_map(|pod| pod.addresses.iter().chain(&pod.node_addresses));
        let services = self
            .cluster
            .services()
            .flat_map(|service| service.all_addresses());
        let nodes = self.cluster.nodes().flat_map(|node| &node.addresses);
        let own = pods.chain(nodes).copied().chain(services);
        let mut own = own.chain(self.evidence.inside.iter().copied());
        Peer::Block(if own.any(|own| wide.contains(&own)) {
            single
        } else {
            wide
        })
    }
}
