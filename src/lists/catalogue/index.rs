//! Everything that is known of pods, sets and who names them, by small numbers.
//!
//! [`super::peers`] moves pods between sets, [`super::ports`] keeps port names, [`super::behind`]
//! Services, [`super::classes`] the lists that name the sets, [`super::publish`] calls them in turn.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;
use slab::Slab;

use super::Revision;
use super::Stored;
use super::entries::{
    Class, ClassKey, ClassName, Dirty, PodEntry, PodKey, ServiceEntry, Set, SetKey, SetMembers,
    Spaces,
};
use super::ports::Ports;
use super::space::Space;
use crate::lists::definition::{Definition, Pods};
use crate::lists::member::Place;
use crate::lists::trie::Trie;
use crate::lists::wire::{PeerMember, SetId, SliceName};
use crate::policy::allow_list::{NamespaceCriterion, ObjectRef, Selector};
use crate::policy::compile::near::Scope;

/// Everything, by position and by name.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) spaces: HashMap<String, Space, RandomState>,
    pub(super) selectors: HashMap<Selector, Spaces, RandomState>,
    pub(super) pods: Slab<PodEntry>,
    pub(super) pod_keys: BTreeMap<ObjectRef, PodKey>,
    pub(super) classes: Slab<Class>,
    pub(super) class_keys: HashMap<Arc<ClassName>, ClassKey, RandomState>,
    pub(super) sets: Slab<Set>,
    pub(super) set_keys: HashMap<Definition, SetKey, RandomState>,
    pub(super) set_ids: HashMap<SetId, SetKey, RandomState>,
    pub(super) ports: Ports,
    pub(super) services: BTreeMap<ObjectRef, ServiceEntry>,
    pub(super) by_endpoint: HashMap<IpAddr, BTreeSet<ObjectRef>, RandomState>,
    pub(super) slices: HashMap<SliceName, Arc<Stored>, RandomState>,
    /// What changed since it was last published.
    pub(super) dirty: Dirty,
}

impl Index {
    /// The set of a definition, made if it is not there.
    pub(super) fn set(&mut self, definition: Definition) -> SetKey {
        if let Some(&key) = self.set_keys.get(&definition) {
            return key;
        }
        let id = definition.id();
        let members = match &definition {
            Definition::Services(_) => SetMembers::Services(Trie::default()),
            _ => SetMembers::Peers(Trie::default()),
        };
        let key = self.sets.insert(Set {
            id: id.clone(),
            definition: definition.clone(),
            members,
            names: None,
            since: Revision(u64::MAX),
            users: BTreeSet::new(),
        });
        self.set_keys.insert(definition.clone(), key);
        self.set_ids.insert(id, key);
        self.dirty.sets.insert(key);
        self.dirty.unnamed.insert(key);
        match &definition {
            Definition::Pods(pods) => self.fill_pods(key, pods),
            Definition::Port(family, number) => self.fill_port(key, family, *number),
            Definition::Services(scope) => self.fill_services(key, scope),
        }
        key
    }

    /// Forgets a set that nobody names; its slices.
    pub(super) fn drop_set(&mut self, key: SetKey) -> Vec<Arc<Stored>> {
        let set = self.sets.remove(key);
        self.set_keys.remove(&set.definition);
        self.set_ids.remove(&set.id);
        self.dirty.sets.remove(&key);
        match &set.definition {
            Definition::Pods(pods) => self.empty_pods(key, pods, &set.members),
            Definition::Port(..) => {}
            Definition::Services(scope) => {
                if let Scope::Matching(selector) = scope {
                    if let Some(spaces) = self.selectors.get_mut(selector) {
                        spaces.services = None;
                    }
                    self.tidy_selector(selector);
                }
                for service in self.services.values_mut() {
                    service.sets.remove(&key);
                }
            }
        }
        set.members.into_slices()
    }

    /// The namespaces that a selector means, found out if nobody has asked yet.
    pub(super) fn spaces_of(&mut self, selector: &Selector) -> &mut Spaces {
        if !self.selectors.contains_key(selector) {
            let matching = self.spaces.iter().filter(|(_, space)| {
                let labels = space.labels.as_ref();
                labels.is_some_and(|labels| selector.matches(labels))
            });
            let spaces = Spaces {
                names: matching.map(|(name, _)| name.clone()).collect(),
                ..Spaces::default()
            };
            self.selectors.insert(selector.clone(), spaces);
        }
        self.selectors.entry(selector.clone()).or_default()
    }

    /// A namespace, made if it is not there.
    pub(super) fn space(&mut self, name: &str) -> &mut Space {
        if !self.spaces.contains_key(name) {
            self.spaces.insert(name.to_owned(), Space::default());
        }
        self.spaces.entry(name.to_owned()).or_default()
    }

    /// Forgets a namespace of which nothing is known and for which nothing asks.
    pub(super) fn tidy_space(&mut self, name: &str) {
        if self.spaces.get(name).is_some_and(Space::is_idle) {
            self.spaces.remove(name);
        }
    }

    /// Puts a pod into a set, or its new state in the place of its old one.
    pub(super) fn enter(&mut self, set: SetKey, pod: PodKey) {
        let Some(entry) = self.pods.get_mut(pod) else {
            return;
        };
        let Some(member) = &entry.member else { return };
        let member = Arc::clone(member);
        entry.sets.insert(set);
        let place = entry.place;
        self.put_peer(set, place, member);
    }

    /// Takes a pod out of a set.
    pub(super) fn leave(&mut self, set: SetKey, pod: PodKey) {
        let Some(entry) = self.pods.get_mut(pod) else {
            return;
        };
        entry.sets.remove(&set);
        let (place, id) = (entry.place, entry.id.clone());
        self.remove_peer(set, place, &id);
    }

    pub(super) fn put_peer(&mut self, set: SetKey, place: Place, member: Arc<PeerMember>) {
        if let Some(Set {
            members: SetMembers::Peers(trie),
            ..
        }) = self.sets.get_mut(set)
            && trie.put(place, member)
        {
            self.dirty.sets.insert(set);
        }
    }

    pub(super) fn remove_peer(&mut self, set: SetKey, place: Place, id: &ObjectRef) {
        if let Some(Set {
            members: SetMembers::Peers(trie),
            ..
        }) = self.sets.get_mut(set)
            && trie.remove(place, id)
        {
            self.dirty.sets.insert(set);
        }
    }

    /// The names of the namespaces whose pods a peer entry means.
    pub(super) fn reached(&mut self, namespaces: &NamespaceCriterion) -> Vec<String> {
        match namespaces {
            NamespaceCriterion::Own(name) => vec![name.clone()],
            NamespaceCriterion::Labels(selector) => {
                self.spaces_of(selector).names.iter().cloned().collect()
            }
        }
    }

    /// Forgets a selector of namespaces that no set asks for any more.
    pub(super) fn tidy_selector(&mut self, selector: &Selector) {
        let idle = |spaces: &Spaces| spaces.sets.is_empty() && spaces.services.is_none();
        if self.selectors.get(selector).is_some_and(idle) {
            self.selectors.remove(selector);
        }
    }

    fn fill_pods(&mut self, key: SetKey, pods: &Pods) {
        if let NamespaceCriterion::Labels(selector) = &pods.namespaces {
            self.spaces_of(selector).sets.insert(key);
        }
        for name in self.reached(&pods.namespaces) {
            let space = self.space(&name);
            space.sets.add(key, &pods.pods);
            for pod in self.matching(&name, &pods.pods) {
                self.enter(key, pod);
            }
        }
    }

    fn empty_pods(&mut self, key: SetKey, pods: &Pods, members: &SetMembers) {
        for name in self.reached(&pods.namespaces) {
            self.space(&name).sets.remove(key, &pods.pods);
        }
        if let NamespaceCriterion::Labels(selector) = &pods.namespaces {
            self.spaces_of(selector).sets.remove(&key);
            self.tidy_selector(selector);
        }
        for id in members.ids() {
            let pod = self.pod_keys.get(id);
            if let Some(pod) = pod.and_then(|&key| self.pods.get_mut(key)) {
                pod.sets.remove(&key);
            }
        }
    }

    /// The pods of a namespace that a selector matches.
    pub(super) fn matching(&self, namespace: &str, selector: &Selector) -> Vec<PodKey> {
        let Some(space) = self.spaces.get(namespace) else {
            return Vec::new();
        };
        let mut pods = space.peers.candidates(selector);
        pods.retain(|&pod| {
            let member = self.pods.get(pod).and_then(|pod| pod.member.as_ref());
            member.is_some_and(|member| selector.matches(&member.labels))
        });
        pods
    }
}
