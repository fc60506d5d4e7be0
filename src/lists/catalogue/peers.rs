//! Pods that come, change and go, and namespaces that get other labels: who enters and leaves which
//! set of pods.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::Revision;
use super::entries::{Class, ClassName, Own, PodEntry, PodKey, SetKey};
use super::index::Index;
use crate::lists::definition::Definition;
use crate::lists::member::Place;
use crate::lists::wire::PeerMember;
use crate::policy::allow_list::{ObjectRef, Selector};
use crate::policy::cluster::objects::Pod;
use crate::policy::selector::Labels;

/// A namespace that a selector means now, or means no more.
#[derive(Debug)]
pub(super) struct Flip {
    pub(super) selector: Selector,
    pub(super) namespace: String,
    pub(super) now: bool,
}

impl Index {
    /// A namespace has these labels now (`None`: it is not known): which selectors see that?
    pub(super) fn relabel(&mut self, name: &str, labels: Option<&Labels>) -> Vec<Flip> {
        self.space(name).labels = labels.cloned();
        let mut flips = Vec::new();
        for (selector, spaces) in &mut self.selectors {
            let now = labels.is_some_and(|labels| selector.matches(labels));
            let before = spaces.names.contains(name);
            if now == before {
                continue;
            }
            if now {
                spaces.names.insert(name.to_owned());
            } else {
                spaces.names.remove(name);
            }
            flips.push(Flip {
                selector: selector.clone(),
                namespace: name.to_owned(),
                now,
            });
        }
        for flip in &flips {
            for (set, pods) in self.sets_of(&flip.selector) {
                let finder = &mut self.space(name).sets;
                if flip.now {
                    finder.add(set, &pods);
                } else {
                    finder.remove(set, &pods);
                }
            }
        }
        flips
    }

    /// Moves the pods of the namespace in or out; the addresses of those that moved.
    pub(super) fn flip(&mut self, flip: &Flip) -> Vec<IpAddr> {
        let mut moved = Vec::new();
        for (set, selector) in self.sets_of(&flip.selector) {
            for pod in self.matching(&flip.namespace, &selector) {
                if flip.now {
                    self.enter(set, pod);
                } else {
                    self.leave(set, pod);
                }
                let member = self.pods.get(pod).and_then(|pod| pod.member.as_ref());
                moved.extend(member.iter().flat_map(|member| &member.addresses));
            }
        }
        moved
    }

    /// A pod is there, in this state.
    pub(super) fn put_pod(&mut self, pod: &Pod) -> PodKey {
        let key = match self.pod_keys.get(&pod.id) {
            Some(&key) => key,
            None => self.new_pod(&pod.id),
        };
        self.classify(key, pod);
        let old = self.pods.get(key).and_then(|entry| entry.member.clone());
        let new = pod.is_peer().then(|| Arc::clone(&pod.member));
        if old != new {
            self.move_peer(key, old.as_deref(), new);
        }
        key
    }

    /// A pod is gone.
    pub(super) fn remove_pod(&mut self, id: &ObjectRef) {
        let Some(&key) = self.pod_keys.get(id) else {
            return;
        };
        let old = self.pods.get(key).and_then(|entry| entry.member.clone());
        self.move_peer(key, old.as_deref(), None);
        self.space(&id.namespace).pods.remove(&key);
        self.pod_keys.remove(id);
        let entry = self.pods.remove(key);
        if let Some(class) = self.classes.get_mut(entry.class) {
            class.pods.remove(&key);
            self.dirty.left.insert(entry.class);
        }
    }

    fn new_pod(&mut self, id: &ObjectRef) -> PodKey {
        let key = self.pods.insert(PodEntry {
            id: id.clone(),
            place: Place::of(id),
            class: usize::MAX,
            member: None,
            sets: HashSet::default(),
            own: Own::default(),
            shared: None,
            digest: "".into(),
            since: Revision::default(),
            joined: Revision::default(),
            before: None,
        });
        self.pod_keys.insert(id.clone(), key);
        self.space(&id.namespace).pods.insert(key);
        key
    }

    fn move_peer(&mut self, key: PodKey, old: Option<&PeerMember>, new: Option<Arc<PeerMember>>) {
        let Some(entry) = self.pods.get_mut(key) else {
            return;
        };
        entry.member.clone_from(&new);
        let (namespace, before) = (entry.id.namespace.clone(), entry.sets.clone());
        let space = self.space(&namespace);
        let labels = |member: Option<&PeerMember>| member.map(|member| member.labels.clone());
        if labels(old) != labels(new.as_deref()) {
            if let Some(old) = old {
                space.peers.remove(key, &old.labels);
            }
            if let Some(new) = &new {
                space.peers.add(key, &new.labels);
            }
        }
        let now = match &new {
            Some(member) => self.sets_with(&namespace, &member.labels),
            None => HashSet::default(),
        };
        for &set in before.difference(&now) {
            self.leave(set, key);
        }
        for set in now {
            self.enter(set, key);
        }
    }

    /// The sets that a pod of such labels is in.
    fn sets_with(&self, namespace: &str, labels: &Labels) -> HashSet<SetKey, RandomState> {
        let space = self.spaces.get(namespace);
        let candidates = space
            .into_iter()
            .flat_map(|space| space.sets.candidates(labels));
        let matches = |set: &SetKey| match self.sets.get(*set).map(|set| &set.definition) {
            Some(Definition::Pods(pods)) => pods.pods.matches(labels),
            _ => false,
        };
        candidates.filter(matches).collect()
    }

    /// The sets of pods that ask for namespaces by this selector, with what they ask of pods.
    fn sets_of(&self, selector: &Selector) -> Vec<(SetKey, Selector)> {
        let spaces = self.selectors.get(selector);
        let keys = spaces.into_iter().flat_map(|spaces| &spaces.sets);
        let of = |&key: &SetKey| match &self.sets.get(key)?.definition {
            Definition::Pods(pods) => Some((key, pods.pods.clone())),
            _ => None,
        };
        keys.filter_map(of).collect()
    }

    /// Finds the class of a pod, or makes it.
    fn classify(&mut self, key: PodKey, pod: &Pod) {
        let name = ClassName {
            namespace: pod.id.namespace.clone(),
            labels: Labels::clone(&pod.labels),
            named_ports: pod.named_ports.clone(),
            host_network: pod.host_network,
        };
        let known = self.class_keys.get(&name).copied();
        let class = known.unwrap_or_else(|| {
            let name = Arc::new(name);
            let class = self.classes.insert(Class {
                name: Arc::clone(&name),
                pods: Default::default(),
                shared: None,
                digest: "".into(),
                sets: Default::default(),
                families: Default::default(),
            });
            self.class_keys.insert(Arc::clone(&name), class);
            self.space(&name.namespace).classes.insert(class);
            self.dirty.classes.insert(class);
            class
        });
        let Some(entry) = self.pods.get_mut(key) else {
            return;
        };
        let old = std::mem::replace(&mut entry.class, class);
        if old != class {
            if let Some(old_class) = self.classes.get_mut(old) {
                old_class.pods.remove(&key);
                self.dirty.left.insert(old);
            }
            if let Some(class) = self.classes.get_mut(class) {
                class.pods.insert(key);
            }
        }
    }
}
