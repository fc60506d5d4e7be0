//! What the rules that isolate some pods allow, for each possible peer at once. A peer is one address
//! family of a class of pods, or a zone of addresses outside.

use super::classes::{Classes, Profile};
use super::connections::Connections;
use super::criteria::{Criteria, CriterionId, ZoneId};
use super::sets::{NONE, SetId, Sets};
use crate::net::Direction;
use crate::policy::convert::{AnyPolicy, PolicyPort, PolicyPortCriterion, PolicyRule};

/// A peer by number.
pub(super) type PeerId = usize;

/// All peers: first both families of each class, then the zones.
pub(super) struct Peers<'a, 'b> {
    criteria: &'b Criteria<'a>,
    classes: &'b Classes<'a>,
    /// Whom each peer entry means.
    meant: Vec<Vec<PeerId>>,
    count: usize,
}

/// The peer that a class is by its addresses of one family.
pub(super) fn of_class(class: usize, v6: bool) -> PeerId {
    2 * class + usize::from(v6)
}

/// The peer that a zone is, when there are this many classes.
pub(super) fn of_zone(classes: usize, zone: ZoneId) -> PeerId {
    2 * classes + zone
}

impl<'a, 'b> Peers<'a, 'b> {
    pub(super) fn new(criteria: &'b Criteria<'a>, classes: &'b Classes<'a>) -> Self {
        let mut meant: Vec<Vec<PeerId>> = vec![Vec::new(); criteria.len()];
        let mut mean = |criterion: CriterionId, peer: PeerId| {
            if let Some(peers) = meant.get_mut(criterion) {
                peers.push(peer);
            }
        };
        for (class, (likeness, _)) in classes.list.iter().enumerate() {
            for &(v6, zone) in &likeness.zones {
                let blocks = criteria.zones.get(zone).map(|zone| &zone.blocks);
                for &criterion in likeness.criteria.iter().chain(blocks.into_iter().flatten()) {
                    mean(criterion, of_class(class, v6));
                }
            }
        }
        let count = classes.list.len();
        for (id, zone) in criteria.zones.iter().enumerate() {
            for &block in &zone.blocks {
                mean(block, of_zone(count, id));
            }
        }
        Self {
            criteria,
            classes,
            meant,
            count: of_zone(count, criteria.zones.len()),
        }
    }

    /// What each peer may do with the pods of this profile.
    pub(super) fn row(
        &self,
        profile: &Profile<'_>,
        direction: Direction,
        sets: &mut Sets,
    ) -> Vec<SetId> {
        let mut row = vec![NONE; self.count];
        // A policy that cannot be understood isolates, and allows nothing.
        let rules = profile.policies.iter().flat_map(|policy| match policy {
            AnyPolicy::Valid(policy) => policy.rules(direction).unwrap_or_default(),
            AnyPolicy::Invalid(_) => &[],
        });
        for rule in rules {
            let Ports { fixed, by_peer } = self.ports(rule, direction, profile, sets);
            let mut admit = |peer: PeerId| {
                let Some(set) = row.get_mut(peer) else { return };
                *set = sets.union(*set, fixed);
                for named in &by_peer {
                    if let Some(port) = self.number(peer, *named) {
                        let port = sets.id(port);
                        *set = sets.union(*set, port);
                    }
                }
            };
            match &rule.peers {
                None => (0..self.count).for_each(admit),
                Some(peers) => {
                    let ids = peers.iter().filter_map(|peer| self.criteria.id(peer));
                    let meant = ids.filter_map(|id| self.meant.get(id)).flatten();
                    meant.for_each(|&peer| admit(peer));
                }
            }
        }
        row
    }

    fn ports(
        &self,
        rule: &PolicyRule,
        direction: Direction,
        profile: &Profile<'_>,
        sets: &mut Sets,
    ) -> Ports {
        let Some(entries) = &rule.ports else {
            return Ports {
                fixed: sets.id(Connections::all()),
                by_peer: Vec::new(),
            };
        };
        let (mut fixed, mut by_peer) = (Connections::none(), Vec::new());
        for PolicyPort { protocol, port } in entries {
            let range = match port {
                PolicyPortCriterion::All => Some((0, u16::MAX)),
                PolicyPortCriterion::Range(from, to) => Some((*from, *to)),
                PolicyPortCriterion::Named(name) if direction == Direction::Ingress => {
                    let number = profile.pod.named_port(*protocol, name);
                    number.map(|number| (number, number))
                }
                PolicyPortCriterion::Named(name) => {
                    let names = &self.criteria.names;
                    by_peer.extend(names.binary_search(&(*protocol, name.as_str())));
                    None
                }
            };
            if let Some((from, to)) = range {
                fixed = fixed.union(&Connections::range(*protocol, from, to));
            }
        }
        Ports {
            fixed: sets.id(fixed),
            by_peer,
        }
    }

    /// What a port name of an egress rule means in a peer: only pods have names for their ports.
    fn number(&self, peer: PeerId, name: usize) -> Option<Connections> {
        let (likeness, _) = self.classes.list.get(peer / 2)?;
        let number = likeness.names.get(name).copied().flatten()?;
        let (protocol, _) = self.criteria.names.get(name)?;
        Some(Connections::range(*protocol, number, number))
    }
}

/// Which ports a rule is about.
struct Ports {
    /// For all peers alike.
    fixed: SetId,
    /// By name: positions in [`Criteria::names`].
    by_peer: Vec<usize>,
}
