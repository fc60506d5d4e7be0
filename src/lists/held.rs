//! What a receiver holds: the parts of one pod's allow list, and the list they make.
//!
//! Parts come in any order; only a complete state is ever put together. The sender says in a digest
//! what the receiver must hold by now ([`Held::digest`]): one that differs has lost something and
//! asks for all of it again.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

use super::wire::{Members, PeerSlice, PodList, SetId, SetRef, SliceName, digest};
use crate::policy::allow_list::{AllowList, DirectionList, PeerSet, PortCriterion, ServiceEntry};
use crate::policy::compile::services;

/// The parts of one pod's allow list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The list; `None`: the pod is not known (yet).
    pub list: Option<PodList>,
    /// The slices of its sets.
    pub slices: BTreeMap<SliceName, Arc<PeerSlice>>,
}

/// A slice whose content is not what its name says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("slice {0} does not hold what its name says")]
pub struct NotItsName(pub SliceName);

impl Held {
    /// Takes a slice in, under the name it was sent with.
    ///
    /// # Errors
    /// When its content has another name: nothing is taken in then.
    pub fn put(&mut self, name: SliceName, slice: PeerSlice) -> Result<(), NotItsName> {
        if slice.name() != name {
            return Err(NotItsName(name));
        }
        self.slices.insert(name, Arc::new(slice));
        Ok(())
    }

    /// Takes a slice away; whether it was there.
    pub fn remove(&mut self, name: &SliceName) -> bool {
        self.slices.remove(name).is_some()
    }

    /// Drops the slices of sets that the list does not name (any more).
    pub fn tidy(&mut self) {
        let list = self.list.as_ref().map(|list| &*list.shared);
        let named = |set: &SetId| list.is_some_and(|list| list.sets().any(|named| named == set));
        self.slices.retain(|_, slice| named(&slice.set));
    }

    /// What is held, in short: of the list and of the names of its slices.
    #[must_use]
    pub fn digest(&self) -> String {
        digest_of(self.list.as_ref(), self.slices.keys())
    }

    /// The allow list, `gateways` being addresses of the node that only the pod knows. Equal to what
    /// [`crate::policy::compile::compile_near`] gives for the same cluster. `None` without a list.
    #[must_use]
    pub fn assemble(&self, gateways: &[IpAddr]) -> Option<AllowList> {
        let list = self.list.as_ref()?;
        let mut members = self.members();
        let mut sets = Sets::default();
        let places = list.shared.peer_sets.iter().map(|set| match set {
            SetRef::Slices(id) => sets.place(PeerSet {
                hosts: members.remove(id).unwrap_or_default(),
                blocks: Vec::new(),
            }),
            SetRef::Blocks(blocks) => sets.place(PeerSet {
                hosts: Vec::new(),
                blocks: blocks.clone(),
            }),
        });
        let places: Vec<u32> = places.collect();
        let mut nodes = [list.node_addresses.as_slice(), gateways].concat();
        nodes.sort_unstable();
        nodes.dedup();
        Some(AllowList {
            pod: list.pod.clone(),
            addresses: list.addresses.clone(),
            node_addresses: nodes,
            ingress: placed(&list.shared.ingress, &places),
            egress: placed(&list.shared.egress, &places),
            peer_sets: sets.sets,
            services: self.services(list),
        })
    }

    /// The addresses of each set, sorted, each once.
    fn members(&self) -> HashMap<&SetId, Vec<IpAddr>, RandomState> {
        let mut members: HashMap<_, Vec<IpAddr>, RandomState> = HashMap::default();
        for slice in self.slices.values() {
            if let Members::Peers(peers) = &slice.members {
                let hosts = members.entry(&slice.set).or_default();
                hosts.extend(peers.iter().flat_map(|peer| peer.addresses.iter().copied()));
            }
        }
        for hosts in members.values_mut() {
            hosts.sort_unstable();
            hosts.dedup();
        }
        members
    }

    fn services(&self, list: &PodList) -> Vec<ServiceEntry> {
        let slices = self.slices.values();
        let named = slices.filter(|slice| list.shared.service_sets.contains(&slice.set));
        let mut services: Vec<_> = named
            .filter_map(|slice| match &slice.members {
                Members::Services(services) => Some(services),
                Members::Peers(_) => None,
            })
            .flatten()
            .collect();
        services.sort_unstable_by(|one, other| one.service.id.cmp(&other.service.id));
        // One that leads into several namespaces is in the set of each.
        services.dedup_by(|one, other| one.service.id == other.service.id);
        services::of_members(
            services.into_iter().map(|member| &**member),
            list.node.as_deref(),
        )
    }
}

/// [`Held::digest`] for a sender, who need not hold what it has sent.
#[must_use]
pub fn digest_of<'a>(
    list: Option<&PodList>,
    slices: impl Iterator<Item = &'a SliceName>,
) -> String {
    let mut slices: Vec<&SliceName> = slices.collect();
    slices.sort_unstable();
    let of_sets = slices.chunk_by(|one, other| one.set() == other.set());
    let of_sets = of_sets.filter_map(|names| Some((names.first()?.set(), digest(&names))));
    let of_sets: Vec<(&str, String)> = of_sets.collect();
    let of_sets: Vec<(&str, &str)> = of_sets
        .iter()
        .map(|(set, of)| (*set, of.as_str()))
        .collect();
    let shared = list.map(|list| digest(&*list.shared));
    digest_of_digests(list, shared.as_deref(), &of_sets)
}

/// [`digest_of`] for a sender to many, who keeps the digest of what they share: of the shared list, and
/// of the sorted names of each set's slices. The sets in order, without those that have none.
pub(crate) fn digest_of_digests(
    list: Option<&PodList>,
    shared: Option<&str>,
    of_sets: &[(&str, &str)],
) -> String {
    let own = list.map(|list| {
        let PodList {
            pod,
            addresses,
            node_addresses,
            node,
            modes,
            shared: _,
        } = list;
        (pod, addresses, node_addresses, node, modes)
    });
    digest(&(own, shared, of_sets))
}

/// The sets of an assembled list: sets with equal members are one, as in a compiled list.
#[derive(Default)]
struct Sets {
    sets: Vec<PeerSet>,
    by_content: HashMap<PeerSet, u32, RandomState>,
}

impl Sets {
    fn place(&mut self, set: PeerSet) -> u32 {
        if let Some(&place) = self.by_content.get(&set) {
            return place;
        }
        let place = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
        self.sets.push(set.clone());
        self.by_content.insert(set, place);
        place
    }
}

/// A direction with every set at its new place. One that was never there stays nowhere, and holds
/// nobody.
fn placed(direction: &DirectionList, places: &[u32]) -> DirectionList {
    let place = |set: &mut u32| {
        let new = usize::try_from(*set).ok().and_then(|at| places.get(at));
        *set = new.copied().unwrap_or(u32::MAX);
    };
    let mut direction = direction.clone();
    for rule in &mut direction.rules {
        for peer in rule.peers.iter_mut().flatten() {
            place(&mut peer.set);
        }
        for port in rule.ports.iter_mut().flatten() {
            if let PortCriterion::Named { resolved, .. } = &mut port.port {
                for set in resolved.iter_mut().filter_map(|port| port.set.as_mut()) {
                    place(set);
                }
            }
        }
    }
    direction
}

impl super::wire::SharedList {
    /// The sets whose slices a receiver of this list needs.
    pub fn sets(&self) -> impl Iterator<Item = &SetId> {
        let peers = self.peer_sets.iter().filter_map(|set| match set {
            SetRef::Slices(id) => Some(id),
            SetRef::Blocks(_) => None,
        });
        peers.chain(&self.service_sets)
    }
}
