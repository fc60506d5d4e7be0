//! The address sets of an allow list, each kept once: equal criteria share one, and so do different
//! criteria that mean the same addresses.

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::fast::RandomState;

use super::blocks;
use super::candidates::Candidates;
use crate::policy::allow_list::{PeerCriterion, PeerSet, Selector};

/// The sets so far, in the order in which rules first named them.
#[derive(Default)]
pub(super) struct PeerSets {
    sets: Vec<PeerSet>,
    by_criterion: HashMap<PeerCriterion, u32, RandomState>,
    by_content: HashMap<PeerSet, u32, RandomState>,
}

impl PeerSets {
    /// The set of a peer entry.
    pub(super) fn of(&mut self, criterion: &PeerCriterion, candidates: &Candidates<'_>) -> u32 {
        if let Some(&set) = self.by_criterion.get(criterion) {
            return set;
        }
        let set = match criterion {
            PeerCriterion::Pods { namespaces, pods } => {
                let everyone = Selector::default();
                let pods = candidates.matching(namespaces, pods.as_ref().unwrap_or(&everyone));
                hosts(
                    pods.iter()
                        .flat_map(|pod| pod.addresses.iter().copied())
                        .collect(),
                )
            }
            PeerCriterion::Block { cidr, except } => PeerSet {
                hosts: Vec::new(),
                blocks: blocks::without(*cidr, except),
            },
        };
        let id = self.intern(set);
        self.by_criterion.insert(criterion.clone(), id);
        id
    }

    /// The set of these addresses.
    pub(super) fn of_hosts(&mut self, addresses: Vec<IpAddr>) -> u32 {
        self.intern(hosts(addresses))
    }

    /// Whether a set holds an address.
    pub(super) fn contains(&self, set: u32, address: IpAddr) -> bool {
        let set = usize::try_from(set)
            .ok()
            .and_then(|index| self.sets.get(index));
        set.is_some_and(|set| set.contains(address))
    }

    pub(super) fn into_vec(self) -> Vec<PeerSet> {
        self.sets
    }

    fn intern(&mut self, set: PeerSet) -> u32 {
        if let Some(&id) = self.by_content.get(&set) {
            return id;
        }
        // Four billion sets do not fit into memory; were there so many, the id would be one that
        // holds nobody.
        let id = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
        self.sets.push(set.clone());
        self.by_content.insert(set, id);
        id
    }
}

fn hosts(mut hosts: Vec<IpAddr>) -> PeerSet {
    hosts.sort_unstable();
    hosts.dedup();
    PeerSet {
        hosts,
        blocks: Vec::new(),
    }
}
