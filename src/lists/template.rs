//! From policies to a list without members: the same compiler as for a single pod's list
//! ([`crate::policy::compile`]), with sets by what defines them.
//!
//! A template depends on policies alone, and on the numbers that port names have among peers; no pod
//! that comes or goes changes it otherwise.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::definition::{Among, Definition, Family, Pods};
use super::wire::{SetId, SetRef, SharedList};
use crate::net::Protocol;
use crate::policy::allow_list::{PeerCriterion, ResolvedPort};
use crate::policy::cluster::Cluster;
use crate::policy::compile::{Sets, Subject, blocks, near, rules};

/// Who keeps the sets.
pub(crate) trait Keeper {
    /// A set of this definition is named by the list.
    fn name(&mut self, definition: Definition) -> SetId;

    /// Which numbers a port name has among peers now, ascending.
    fn numbers(&mut self, family: &Family) -> Vec<u16>;
}

/// The list of all pods like this one.
pub(crate) fn shared(
    cluster: &Cluster,
    subject: Subject<'_>,
    keeper: &mut impl Keeper,
) -> SharedList {
    let mut sets = ByDefinition {
        keeper,
        sets: Vec::new(),
        places: HashMap::default(),
    };
    let (ingress, egress) = rules(cluster, subject, &mut sets);
    let ByDefinition { keeper, sets, .. } = sets;
    let scopes = near::scopes(&egress, subject.namespace).into_iter();
    SharedList {
        ingress,
        service_sets: scopes
            .map(|scope| keeper.name(Definition::Services(scope)))
            .collect(),
        egress,
        peer_sets: sets,
    }
}

struct ByDefinition<'a, K> {
    keeper: &'a mut K,
    sets: Vec<SetRef>,
    places: HashMap<Among, u32, RandomState>,
}

impl<K: Keeper> Sets for ByDefinition<'_, K> {
    fn of(&mut self, criterion: &PeerCriterion) -> u32 {
        let set = match criterion {
            PeerCriterion::Pods { namespaces, pods } => {
                let definition = Definition::Pods(Pods {
                    namespaces: namespaces.clone(),
                    pods: pods.clone().unwrap_or_default(),
                });
                Among::Set(self.keeper.name(definition))
            }
            PeerCriterion::Block { cidr, except } => Among::Blocks(blocks::without(*cidr, except)),
        };
        self.place(set)
    }

    fn named(
        &mut self,
        protocol: Protocol,
        name: &str,
        peers: Option<Vec<u32>>,
    ) -> Vec<ResolvedPort> {
        let peers = peers.map(|places| {
            let mut peers: Vec<Among> = places.iter().filter_map(|&set| self.at(set)).collect();
            peers.sort_unstable();
            peers.dedup();
            peers
        });
        let family = Family {
            protocol,
            name: name.to_owned(),
            peers,
        };
        let numbers = self.keeper.numbers(&family).into_iter();
        let mut resolved = Vec::with_capacity(numbers.len());
        for port in numbers {
            let set = self.keeper.name(Definition::Port(family.clone(), port));
            resolved.push(ResolvedPort {
                port,
                set: Some(self.place(Among::Set(set))),
            });
        }
        resolved
    }
}

impl<K> ByDefinition<'_, K> {
    fn place(&mut self, set: Among) -> u32 {
        if let Some(&place) = self.places.get(&set) {
            return place;
        }
        // As for sets by content: there is no memory for four billion.
        let place = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
        self.sets.push(match set.clone() {
            Among::Set(id) => SetRef::Slices(id),
            Among::Blocks(blocks) => SetRef::Blocks(blocks),
        });
        self.places.insert(set, place);
        place
    }

    fn at(&self, place: u32) -> Option<Among> {
        let set = self.sets.get(usize::try_from(place).ok()?)?;
        Some(match set {
            SetRef::Slices(id) => Among::Set(id.clone()),
            SetRef::Blocks(blocks) => Among::Blocks(blocks.clone()),
        })
    }
}
