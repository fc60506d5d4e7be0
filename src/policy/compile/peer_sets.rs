//! The address sets of an allow list, each kept once: equal criteria share one, and so do different
//! criteria that mean the same addresses.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use foldhash::fast::RandomState;

use super::candidates::Candidates;
use super::{Sets, blocks};
use crate::net::Protocol;
use crate::policy::allow_list::{PeerCriterion, PeerSet, ResolvedPort, Selector};
use crate::policy::cluster::Cluster;

/// The sets so far, in the order in which rules first named them.
pub(super) struct ByContent<'a> {
    candidates: Candidates<'a>,
    sets: Vec<PeerSet>,
    by_criterion: HashMap<PeerCriterion, u32, RandomState>,
    by_content: HashMap<PeerSet, u32, RandomState>,
    /// The sets of pods in which a port name has a number, by name and the peers of the rule.
    named: BTreeMap<NamedKey, Vec<ResolvedPort>>,
}

/// A port name among the peers of a rule (`None`: everyone).
type NamedKey = (Protocol, String, Option<Vec<u32>>);

impl Sets for ByContent<'_> {
    fn of(&mut self, criterion: &PeerCriterion) -> u32 {
        if let Some(&set) = self.by_criterion.get(criterion) {
            return set;
        }
        let set = match criterion {
            PeerCriterion::Pods { namespaces, pods } => {
                let everyone = Selector::default();
                let pods = self
                    .candidates
                    .matching(namespaces, pods.as_ref().unwrap_or(&everyone));
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

    fn named(
        &mut self,
        protocol: Protocol,
        name: &str,
        peers: Option<Vec<u32>>,
    ) -> Vec<ResolvedPort> {
        let key = (protocol, name.to_owned(), peers);
        if let Some(known) = self.named.get(&key) {
            return known.clone();
        }
        let mut by_number: BTreeMap<u16, Vec<IpAddr>> = BTreeMap::new();
        for (pod, number) in self.candidates.with_port(protocol, name) {
            let admitted = pod.addresses.iter().filter(|address| match &key.2 {
                None => true,
                Some(sets) => sets.iter().any(|&set| self.contains(set, **address)),
            });
            by_number.entry(number).or_default().extend(admitted);
        }
        by_number.retain(|_, hosts| !hosts.is_empty());
        let mut resolved = Vec::with_capacity(by_number.len());
        for (port, addresses) in by_number {
            resolved.push(ResolvedPort {
                port,
                set: Some(self.intern(hosts(addresses))),
            });
        }
        self.named.insert(key, resolved.clone());
        resolved
    }
}

impl<'a> ByContent<'a> {
    pub(super) fn new(cluster: &'a Cluster) -> Self {
        Self {
            candidates: Candidates::new(cluster),
            sets: Vec::new(),
            by_criterion: HashMap::default(),
            by_content: HashMap::default(),
            named: BTreeMap::new(),
        }
    }

    /// Whether a set holds an address.
    fn contains(&self, set: u32, address: IpAddr) -> bool {
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
