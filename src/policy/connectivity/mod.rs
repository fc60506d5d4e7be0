//! All connections that policies allow: who in a cluster may reach whom, and which addresses outside.
//!
//! It is the same answer as [`super::reach`] gives for two ends and a port, for all ends and all ports
//! at once. Services are not ends: policies see the endpoints behind them. Nodes are not ends either:
//! a pod's own node may always reach it. Pods that policies treat alike form a class (`classes`) and
//! outside addresses that lie in the same blocks a zone (`criteria`); what the rules of one side allow
//! is worked out once per set of policies (`rows`), so that nothing here walks over pairs of pods.
//!
//! Next: `list` groups the result by workload for people, `diff` holds two clusters against each
//! other.

mod classes;
mod connections;
mod criteria;
mod diff;
mod entries;
mod grouping;
mod list;
mod range;
mod rows;
mod sets;
mod side;

use std::collections::BTreeMap;
use std::net::IpAddr;

use self::classes::Classes;
pub use self::connections::Connections;
use self::criteria::{Criteria, ZoneId};
pub use self::diff::{Change, Diff, diff};
pub use self::entries::Entries;
pub use self::list::{Choice, List, OutsideChoice, Row};
pub use self::range::AddressRange;
use self::rows::{PeerId, Peers, of_class, of_zone};
use self::sets::{ALL, NONE, SetId, Sets};
pub use self::side::{Group, Side, WorkloadRef};
use super::allow_list::ObjectRef;
use super::cluster::Cluster;
use super::cluster::objects::Pod;
use crate::net::Direction;

/// Who may reach whom in a cluster.
#[derive(Debug, Clone)]
pub struct Connectivity {
    classes: Vec<Class>,
    zones: Vec<Outside>,
    pieces: Vec<AddressRange>,
    zone_of: Vec<ZoneId>,
    /// What each peer may do with the pods of a profile.
    egress: Vec<Vec<SetId>>,
    ingress: Vec<Vec<SetId>>,
    sets: Sets,
    class_of: BTreeMap<ObjectRef, usize>,
    left_out: Vec<LeftOut>,
}

/// One end of connections, by number; the numbers hold for one [`Connectivity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EndId {
    /// Pods that are alike.
    Pods(usize),
    /// Addresses outside the cluster that lie in the same blocks.
    Outside(usize),
}

/// Pods that policies treat alike.
#[derive(Debug, Clone)]
pub struct Class {
    /// They, by namespace and name.
    pub pods: Vec<Member>,
    egress: Option<usize>,
    ingress: Option<usize>,
    /// Whether IPv6, for each family they have, the preferred one first.
    families: Vec<bool>,
    /// Peers that are their own node.
    node: Vec<PeerId>,
}

/// A pod of a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its namespace and name.
    pub id: ObjectRef,
    /// What it belongs to.
    pub workload: WorkloadRef,
}

/// Addresses outside the cluster that lie in the same blocks.
#[derive(Debug, Clone)]
struct Outside {
    v6: bool,
    ranges: Vec<AddressRange>,
}

/// A pod that has no part in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Which one.
    pub pod: ObjectRef,
    /// Why, for people.
    pub why: &'static str,
}

impl Connectivity {
    /// Works it out. The cluster is not needed afterwards.
    #[must_use]
    pub fn of(cluster: &Cluster) -> Self {
        let criteria = Criteria::of(cluster);
        let classes = Classes::of(cluster, &criteria);
        let peers = Peers::new(&criteria, &classes);
        let mut sets = Sets::new();
        let rows = |profiles: &[classes::Profile<'_>], direction, sets: &mut Sets| {
            let rows = profiles.iter();
            rows.map(|profile| peers.row(profile, direction, sets))
                .collect()
        };
        let egress = rows(&classes.egress, Direction::Egress, &mut sets);
        let ingress = rows(&classes.ingress, Direction::Ingress, &mut sets);
        let zones = outside(cluster, &criteria);
        let classes = described(&classes);
        let pods = classes.iter().enumerate().flat_map(|(class, of)| {
            let pods = of.pods.iter();
            pods.map(move |pod| (pod.id.clone(), class))
        });
        Self {
            class_of: pods.collect(),
            classes,
            zones,
            pieces: criteria.pieces,
            zone_of: criteria.zone_of,
            egress,
            ingress,
            sets,
            left_out: cluster.pods().filter_map(left_out).collect(),
        }
    }

    /// The classes of pods; the position of each is its number.
    #[must_use]
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// The ranges of an end outside the cluster; of an end that is pods, none.
    #[must_use]
    pub fn ranges(&self, end: EndId) -> &[AddressRange] {
        match end {
            EndId::Pods(_) => &[],
            EndId::Outside(zone) => self.zones.get(zone).map_or(&[], |zone| &zone.ranges),
        }
    }

    /// All ends: the classes of pods, then the addresses outside.
    pub fn ends(&self) -> impl Iterator<Item = EndId> + '_ {
        let zones = self.zones.iter().enumerate();
        // Blocks may hold nothing but pods.
        let zones = zones.filter(|(_, zone)| !zone.ranges.is_empty());
        let zones = zones.map(|(zone, _)| EndId::Outside(zone));
        (0..self.classes.len()).map(EndId::Pods).chain(zones)
    }

    /// The end that a pod belongs to; none, if it has no part ([`Self::left_out`]).
    #[must_use]
    pub fn of_pod(&self, pod: &ObjectRef) -> Option<EndId> {
        self.class_of.get(pod).copied().map(EndId::Pods)
    }

    /// The end that an address outside the cluster belongs to.
    #[must_use]
    pub fn of_address(&self, address: IpAddr) -> Option<EndId> {
        let piece = range::position(&self.pieces, address);
        self.zone_of.get(piece).copied().map(EndId::Outside)
    }

    /// The pods that can neither connect nor be connected to.
    #[must_use]
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// What may pass from one end to another: from a pod of one class to another pod of the same or
    /// another class. (To itself a pod may always connect.) Nothing between addresses outside, and
    /// nothing where there is no address family in common.
    #[must_use]
    pub fn between(&self, from: EndId, to: EndId) -> Connections {
        match self.sides(from, to) {
            Some((egress, ingress)) => {
                let (egress, ingress) = (self.sets.get(egress), self.sets.get(ingress));
                egress.intersection(ingress)
            }
            None => Connections::none(),
        }
    }

    /// What the source's policies allow, and what the destination's do.
    fn sides(&self, from: EndId, to: EndId) -> Option<(SetId, SetId)> {
        let zone_peer = |zone| of_zone(self.classes.len(), zone);
        match (from, to) {
            (EndId::Pods(from), EndId::Pods(to)) => {
                let (source, target) = (self.classes.get(from)?, self.classes.get(to)?);
                let mut families = source.families.iter().copied();
                let v6 = families.find(|family| target.families.contains(family))?;
                let egress = side(source, source.egress, &self.egress, of_class(to, v6));
                let ingress = side(target, target.ingress, &self.ingress, of_class(from, v6));
                Some((egress, ingress))
            }
            (EndId::Pods(from), EndId::Outside(zone)) => {
                let source = self.classes.get(from)?;
                source
                    .families
                    .contains(&self.zones.get(zone)?.v6)
                    .then(|| {
                        let egress = side(source, source.egress, &self.egress, zone_peer(zone));
                        (egress, ALL)
                    })
            }
            (EndId::Outside(zone), EndId::Pods(to)) => {
                let target = self.classes.get(to)?;
                target
                    .families
                    .contains(&self.zones.get(zone)?.v6)
                    .then(|| {
                        let ingress = side(target, target.ingress, &self.ingress, zone_peer(zone));
                        (ALL, ingress)
                    })
            }
            (EndId::Outside(_), EndId::Outside(_)) => None,
        }
    }
}

/// What one side's policies allow with a peer.
fn side(class: &Class, profile: Option<usize>, rows: &[Vec<SetId>], peer: PeerId) -> SetId {
    match profile {
        None => ALL,
        Some(_) if class.node.contains(&peer) => ALL,
        Some(profile) => {
            let row = rows.get(profile);
            row.and_then(|row| row.get(peer)).copied().unwrap_or(NONE)
        }
    }
}

fn left_out(pod: &Pod) -> Option<LeftOut> {
    let why = if pod.finished {
        "it has finished"
    } else if pod.addresses.is_empty() {
        "it has no address yet"
    } else {
        return None;
    };
    let pod = pod.id.clone();
    Some(LeftOut { pod, why })
}

/// The classes without the cluster they were found in.
fn described(classes: &Classes<'_>) -> Vec<Class> {
    let hosts: Vec<(PeerId, IpAddr)> = classes
        .list
        .iter()
        .enumerate()
        .flat_map(|(class, (likeness, _))| {
            let addresses = likeness.host.iter().flatten();
            addresses.map(move |address| (of_class(class, address.is_ipv6()), *address))
        })
        .collect();
    let class = |(likeness, pods): &(classes::Likeness, Vec<&Pod>)| Class {
        pods: pods
            .iter()
            .map(|pod| Member {
                id: pod.id.clone(),
                workload: WorkloadRef::of(pod),
            })
            .collect(),
        egress: likeness.egress,
        ingress: likeness.ingress,
        families: likeness.zones.iter().map(|&(v6, _)| v6).collect(),
        node: hosts
            .iter()
            .filter(|(_, address)| likeness.node.contains(address))
            .map(|&(peer, _)| peer)
            .collect(),
    };
    classes.list.iter().map(class).collect()
}

/// The ranges of each zone in which there are addresses that are nobody's in the cluster.
fn outside(cluster: &Cluster, criteria: &Criteria<'_>) -> Vec<Outside> {
    let mut taken: Vec<IpAddr> = cluster
        .pods()
        .flat_map(|pod| pod.addresses.iter().chain(&pod.node_addresses))
        .chain(cluster.nodes().flat_map(|node| &node.addresses))
        .copied()
        .chain(
            cluster
                .services()
                .flat_map(|service| service.all_addresses()),
        )
        .collect();
    taken.sort_unstable();
    taken.dedup();
    let zones = criteria.zones.iter();
    let mut zones: Vec<Outside> = zones
        .map(|zone| Outside {
            v6: zone.v6,
            ranges: Vec::new(),
        })
        .collect();
    for (piece, &zone) in criteria.pieces.iter().zip(&criteria.zone_of) {
        let first = taken.partition_point(|address| *address < piece.first);
        let last = taken.partition_point(|address| *address <= piece.last);
        let taken = u128::try_from(last - first).unwrap_or(u128::MAX);
        if let Some(zone) = zones.get_mut(zone).filter(|_| taken < piece.size()) {
            zone.ranges.push(*piece);
        }
    }
    for zone in &mut zones {
        zone.ranges = range::joined(std::mem::take(&mut zone.ranges));
    }
    zones
}
