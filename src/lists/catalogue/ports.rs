//! What port names mean among peers: a list says which numbers a name has, and each number is a set of
//! its own. Pods that come and go change these sets; only a number that appears or disappears changes
//! lists.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;
use slab::Slab;

use super::entries::{ClassKey, PodKey, SetKey};
use super::index::Index;
use crate::lists::definition::{Among, Definition, Family};
use crate::lists::wire::PeerMember;
use crate::net::Protocol;
use crate::policy::allow_list::ObjectRef;
use crate::policy::cluster::Cluster;
use crate::policy::cluster::objects::Pod;

/// Position of a family.
pub(super) type FamilyKey = usize;

/// All families that lists depend on.
#[derive(Debug, Default)]
pub(super) struct Ports {
    families: Slab<Members>,
    keys: HashMap<Family, FamilyKey, RandomState>,
    by_name: HashMap<(Protocol, String), BTreeSet<FamilyKey>, RandomState>,
    /// The families that a pod is in.
    of_pod: HashMap<PodKey, BTreeSet<FamilyKey>, RandomState>,
}

/// The pods of a family.
#[derive(Debug)]
struct Members {
    family: Family,
    /// The sets among the peers.
    peers: Vec<SetKey>,
    pods: BTreeMap<PodKey, (u16, Vec<IpAddr>)>,
    /// How many pods have each number.
    numbers: BTreeMap<u16, usize>,
    /// The classes whose lists depend on it.
    users: BTreeSet<ClassKey>,
}

impl Index {
    /// A family, made if it is not there. Its peers' sets are there already.
    pub(super) fn family(&mut self, cluster: &Cluster, family: &Family) -> FamilyKey {
        if let Some(&key) = self.ports.keys.get(family) {
            return key;
        }
        let sets = family
            .peers
            .iter()
            .flatten()
            .filter_map(|peers| match peers {
                Among::Set(id) => self.set_ids.get(id).copied(),
                Among::Blocks(_) => None,
            });
        let members = Members {
            family: family.clone(),
            peers: sets.collect(),
            pods: BTreeMap::new(),
            numbers: BTreeMap::new(),
            users: BTreeSet::new(),
        };
        let key = self.ports.families.insert(members);
        self.ports.keys.insert(family.clone(), key);
        let name = (family.protocol, family.name.clone());
        self.ports.by_name.entry(name).or_default().insert(key);
        for id in self.possible(cluster, key) {
            if let (Some(&pod), Some(object)) = (self.pod_keys.get(&id), cluster.pod(&id)) {
                self.judge(cluster, key, pod, object);
            }
        }
        key
    }

    /// The numbers that a family's name has, ascending.
    pub(super) fn numbers(&self, family: FamilyKey) -> Vec<u16> {
        let members = self.ports.families.get(family);
        members
            .into_iter()
            .flat_map(|members| members.numbers.keys().copied())
            .collect()
    }

    pub(super) fn use_family(&mut self, family: FamilyKey, class: ClassKey) {
        if let Some(members) = self.ports.families.get_mut(family) {
            members.users.insert(class);
        }
    }

    /// A class does not depend on a family any more; one on which none does is forgotten.
    pub(super) fn unuse_family(&mut self, family: FamilyKey, class: ClassKey) {
        let Some(members) = self.ports.families.get_mut(family) else {
            return;
        };
        members.users.remove(&class);
        if !members.users.is_empty() {
            return;
        }
        let Members {
            family: of, pods, ..
        } = self.ports.families.remove(family);
        for pod in pods.keys() {
            self.ports.forget(*pod, family);
        }
        self.ports.keys.remove(&of);
        let name = (of.protocol, of.name);
        if let Some(families) = self.ports.by_name.get_mut(&name) {
            families.remove(&family);
            if families.is_empty() {
                self.ports.by_name.remove(&name);
            }
        }
    }

    /// A pod changed, or the sets that it or another one of its address is in.
    pub(super) fn name_ports(&mut self, cluster: &Cluster, pod: PodKey, object: &Pod) {
        let mut families = self.ports.of_pod.get(&pod).cloned().unwrap_or_default();
        for port in &object.named_ports {
            let name = (port.protocol, port.name.clone());
            families.extend(self.ports.by_name.get(&name).into_iter().flatten());
        }
        for family in families {
            self.judge(cluster, family, pod, object);
        }
    }

    /// A pod is about to go.
    pub(super) fn unname_ports(&mut self, pod: PodKey) {
        for family in self.ports.of_pod.get(&pod).cloned().unwrap_or_default() {
            self.settle(family, pod, None);
        }
    }

    /// Whom a new set of a family's number holds.
    pub(super) fn fill_port(&mut self, set: SetKey, family: &Family, number: u16) {
        let key = self.ports.keys.get(family);
        let members = key.and_then(|&key| self.ports.families.get(key));
        let pods = members.into_iter().flat_map(|members| &members.pods);
        let pods = pods.filter(|(_, (of, _))| *of == number);
        let pods: Vec<(PodKey, Vec<IpAddr>)> =
            pods.map(|(&pod, (_, at))| (pod, at.clone())).collect();
        for (pod, addresses) in pods {
            self.show(set, pod, addresses);
        }
    }

    /// The pods among which all are that a family can hold: where only selectors say who is meant, those
    /// at the addresses of the sets' members, and everyone otherwise.
    fn possible(&self, cluster: &Cluster, family: FamilyKey) -> BTreeSet<ObjectRef> {
        let Some(members) = self.ports.families.get(family) else {
            return BTreeSet::new();
        };
        let peers = members.family.peers.as_deref();
        let only_sets = |peers: &[Among]| peers.iter().all(|one| matches!(one, Among::Set(_)));
        if !peers.is_some_and(only_sets) {
            return self.pod_keys.keys().cloned().collect();
        }
        let sets = members.peers.iter().filter_map(|&set| self.sets.get(set));
        let ids = sets.flat_map(|set| set.members.ids());
        let pods = ids.filter_map(|id| cluster.pod(id));
        let addresses = pods.flat_map(|pod| &pod.addresses);
        let pods = addresses.flat_map(|&address| cluster.peers_at(address));
        pods.map(|pod| pod.id.clone()).collect()
    }

    /// Whether a pod is in a family, with which number and addresses.
    fn judge(&mut self, cluster: &Cluster, family: FamilyKey, pod: PodKey, object: &Pod) {
        let Some(members) = self.ports.families.get(family) else {
            return;
        };
        let Family {
            protocol,
            name,
            peers,
        } = &members.family;
        let number = object
            .named_port(*protocol, name)
            .filter(|_| object.is_peer());
        let in_set = |address: IpAddr| {
            let mut pods = cluster.peers_at(address);
            pods.any(|pod| {
                let pod = self
                    .pod_keys
                    .get(&pod.id)
                    .and_then(|&key| self.pods.get(key));
                pod.is_some_and(|pod| members.peers.iter().any(|set| pod.sets.contains(set)))
            })
        };
        let in_block = |address: &IpAddr| {
            peers.iter().flatten().any(|peers| match peers {
                Among::Blocks(blocks) => blocks.iter().any(|block| block.contains(address)),
                Among::Set(_) => false,
            })
        };
        let state = number.map(|number| {
            let addresses = object.addresses.iter().copied();
            let held = |address: &IpAddr| peers.is_none() || in_block(address) || in_set(*address);
            (number, addresses.filter(held).collect::<Vec<_>>())
        });
        self.settle(
            family,
            pod,
            state.filter(|(_, addresses)| !addresses.is_empty()),
        );
    }

    fn settle(&mut self, family: FamilyKey, pod: PodKey, state: Option<(u16, Vec<IpAddr>)>) {
        let Some(members) = self.ports.families.get_mut(family) else {
            return;
        };
        let old = match &state {
            Some(state) => members.pods.insert(pod, state.clone()),
            None => members.pods.remove(&pod),
        };
        let (before, now) = (
            old.map(|(number, _)| number),
            state.as_ref().map(|(number, _)| *number),
        );
        if before != now {
            let mut changed = false;
            if let Some(number) = now {
                let count = members.numbers.entry(number).or_default();
                *count += 1;
                changed |= *count == 1;
            }
            if let Some(number) = before
                && let Some(count) = members.numbers.get_mut(&number)
            {
                *count -= 1;
                if *count == 0 {
                    members.numbers.remove(&number);
                    changed = true;
                }
            }
            if changed {
                self.dirty.classes.extend(&members.users);
            }
        }
        let of = members.family.clone();
        match &state {
            Some(_) => drop(self.ports.of_pod.entry(pod).or_default().insert(family)),
            None => self.ports.forget(pod, family),
        }
        if let Some(number) = before.filter(|_| before != now)
            && let Some(&set) = self.set_keys.get(&Definition::Port(of.clone(), number))
            && let Some(entry) = self.pods.get(pod)
        {
            let (place, id) = (entry.place, entry.id.clone());
            self.remove_peer(set, place, &id);
        }
        if let Some((number, addresses)) = state
            && let Some(&set) = self.set_keys.get(&Definition::Port(of, number))
        {
            self.show(set, pod, addresses);
        }
    }

    /// Puts a pod with some of its addresses into a set.
    fn show(&mut self, set: SetKey, pod: PodKey, addresses: Vec<IpAddr>) {
        let Some(entry) = self.pods.get(pod) else {
            return;
        };
        let Some(whole) = &entry.member else { return };
        let member = if whole.addresses == addresses {
            Arc::clone(whole)
        } else {
            Arc::new(PeerMember {
                addresses,
                ..PeerMember::clone(whole)
            })
        };
        let place = entry.place;
        self.put_peer(set, place, member);
    }
}

impl Ports {
    fn forget(&mut self, pod: PodKey, family: FamilyKey) {
        if let Some(families) = self.of_pod.get_mut(&pod) {
            families.remove(&family);
            if families.is_empty() {
                self.of_pod.remove(&pod);
            }
        }
    }
}
