//! What all policies of a cluster name, each once: peers by selector or block, and port names. And who
//! is meant: for each pod the selectors that match it, for each piece of the address space the blocks
//! it lies in.

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::fast::RandomState;

use super::range::{self, AddressRange};
use crate::net::{Direction, Protocol};
use crate::policy::allow_list::PeerCriterion;
use crate::policy::cluster::Cluster;
use crate::policy::compile::blocks;
use crate::policy::compile::candidates::Candidates;
use crate::policy::convert::{AnyPolicy, Policy, PolicyPortCriterion, PolicyRule};

/// A peer entry by number: position in [`Criteria::list`].
pub(super) type CriterionId = usize;
/// Addresses that lie in the same blocks, by number: position in [`Criteria::zones`].
pub(super) type ZoneId = usize;

/// What policies name.
pub(super) struct Criteria<'a> {
    list: Vec<&'a PeerCriterion>,
    ids: HashMap<&'a PeerCriterion, CriterionId, RandomState>,
    /// Port names in egress rules: what they mean is up to the peer.
    pub(super) names: Vec<(Protocol, &'a str)>,
    /// The address space, cut where blocks begin and end.
    pub(super) pieces: Vec<AddressRange>,
    /// The zone of each piece.
    pub(super) zone_of: Vec<ZoneId>,
    /// The pieces of each zone, and the blocks they lie in.
    pub(super) zones: Vec<Zone>,
}

/// Addresses of one family that lie in the same blocks.
pub(super) struct Zone {
    /// Whether they are IPv6.
    pub(super) v6: bool,
    /// The blocks, ascending.
    pub(super) blocks: Vec<CriterionId>,
}

impl<'a> Criteria<'a> {
    pub(super) fn of(cluster: &'a Cluster) -> Self {
        let mut criteria = Self {
            list: Vec::new(),
            ids: HashMap::default(),
            names: Vec::new(),
            pieces: Vec::new(),
            zone_of: Vec::new(),
            zones: Vec::new(),
        };
        let valid = cluster.policies().filter_map(|policy| match policy {
            AnyPolicy::Valid(policy) => Some(policy),
            AnyPolicy::Invalid(_) => None,
        });
        for policy in valid {
            for direction in Direction::BOTH {
                criteria.add(policy, direction);
            }
        }
        criteria.names.sort_unstable();
        criteria.names.dedup();
        criteria.divide();
        criteria
    }

    /// The number of a peer entry; none, if no policy of the cluster has it.
    pub(super) fn id(&self, criterion: &PeerCriterion) -> Option<CriterionId> {
        self.ids.get(criterion).copied()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// For each candidate, by position, the selectors that match it, ascending.
    pub(super) fn by_candidate(&self, candidates: &Candidates<'_>) -> Vec<Vec<CriterionId>> {
        let mut matching = vec![Vec::new(); candidates.pods().len()];
        for (id, criterion) in self.list.iter().enumerate() {
            if let PeerCriterion::Pods { namespaces, pods } = criterion {
                let everyone = Default::default();
                let pods = pods.as_ref().unwrap_or(&everyone);
                for position in candidates.positions(namespaces, pods) {
                    if let Some(matching) = matching.get_mut(position) {
                        matching.push(id);
                    }
                }
            }
        }
        matching
    }

    /// The zone of an address.
    pub(super) fn zone(&self, address: IpAddr) -> ZoneId {
        let piece = range::position(&self.pieces, address);
        self.zone_of.get(piece).copied().unwrap_or_default()
    }

    fn add(&mut self, policy: &'a Policy, direction: Direction) {
        for PolicyRule { peers, ports } in policy.rules(direction).unwrap_or_default() {
            for criterion in peers.iter().flatten() {
                let next = self.list.len();
                let id = *self.ids.entry(criterion).or_insert(next);
                if id == next {
                    self.list.push(criterion);
                }
            }
            if direction == Direction::Egress {
                for port in ports.iter().flatten() {
                    if let PolicyPortCriterion::Named(name) = &port.port {
                        self.names.push((port.protocol, name));
                    }
                }
            }
        }
    }

    /// Cuts the address space, and finds the pieces that lie in the same blocks.
    fn divide(&mut self) {
        let blocks = self.list.iter().filter_map(|criterion| match criterion {
            PeerCriterion::Block { cidr, except } => Some([cidr].into_iter().chain(except)),
            PeerCriterion::Pods { .. } => None,
        });
        self.pieces = range::cut(blocks.flatten().map(|net| AddressRange::from(*net)));
        let mut inside = vec![Vec::new(); self.pieces.len()];
        for (id, criterion) in self.list.iter().enumerate() {
            let PeerCriterion::Block { cidr, except } = criterion else {
                continue;
            };
            for net in blocks::without(*cidr, except) {
                let first = range::position(&self.pieces, net.network());
                let last = range::position(&self.pieces, net.broadcast());
                // `without` may give two neighbours that one piece covers.
                for blocks in inside.get_mut(first..=last).unwrap_or_default() {
                    if blocks.last() != Some(&id) {
                        blocks.push(id);
                    }
                }
            }
        }
        let mut zones: HashMap<(bool, Vec<CriterionId>), ZoneId, RandomState> = HashMap::default();
        for (piece, blocks) in self.pieces.iter().zip(inside) {
            let v6 = piece.first.is_ipv6();
            let next = zones.len();
            let zone = *zones.entry((v6, blocks.clone())).or_insert(next);
            if zone == next {
                self.zones.push(Zone { v6, blocks });
            }
            self.zone_of.push(zone);
        }
    }
}
