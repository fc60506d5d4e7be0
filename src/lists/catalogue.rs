//! The allow lists of all pods, kept up to date: objects come in, what each receiver lacks goes out.
//!
//! One task owns it. Changes are collected ([`Catalogue::apply`] and its siblings) and become visible
//! together ([`Catalogue::publish`]), under one [`Revision`]. A receiver that was up to date at some
//! revision is told what it lacks ([`Catalogue::news`]); what it then holds ([`super::held`]) is the
//! list that [`crate::policy::compile`] gives for its pod alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use foldhash::fast::RandomState;

use super::definition::{Among, Definition, Family};
use super::graves::Graves;
use super::held::digest_of;
use super::template::{self, Keeper};
use super::trie::{Place, Trie};
use super::wire::{
    Modes, PeerMember, PeerSlice, PodList, ServiceMember, SetId, SharedList, SliceName,
};
use crate::policy::allow_list::{NamespaceCriterion, ObjectRef};
use crate::policy::cluster::objects::{NamedPort, Object, Pod};
use crate::policy::cluster::services::EndpointSlice;
use crate::policy::cluster::{Cluster, Kind};
use crate::policy::compile::near::{Homes, Scope};
use crate::policy::compile::{Subject, own_addresses, services};
use crate::policy::selector::Labels;

/// A state that was published: they count up by one. 0: before anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// A slice as published.
#[derive(Debug)]
pub struct Stored {
    /// Its name.
    pub name: SliceName,
    /// What it holds.
    pub slice: PeerSlice,
    /// Since when it is there.
    pub revision: Revision,
    text: OnceLock<Arc<[u8]>>,
}

/// What happened to a pod's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListChange {
    /// The pod is new.
    Added,
    /// Its list is another one. Members of its sets do not count.
    Modified,
    /// The pod is gone.
    Removed,
}

/// What publishing changed.
#[derive(Debug, Default)]
pub struct Published {
    /// The revision now.
    pub revision: Revision,
    /// The pods whose receivers lack something now, by namespace and name; also those that are gone.
    pub concerned: Vec<ObjectRef>,
    /// The lists that changed, by namespace and name.
    pub lists: Vec<(ObjectRef, ListChange)>,
    /// The slices that are new.
    pub added: Vec<Arc<Stored>>,
    /// The slices that are gone.
    pub removed: Vec<Arc<Stored>>,
}

/// What a receiver lacks. It removes, adds, takes the list, and drops slices of sets that the list
/// does not name ([`super::held::Held::tidy`]); then the digest must be its own.
#[derive(Debug)]
pub struct News {
    /// The receiver is up to date at this revision then.
    pub revision: Revision,
    /// Slices to add; one that it has already does no harm.
    pub added: Vec<Arc<Stored>>,
    /// Slices to remove; one that it does not have does no harm.
    pub removed: Vec<SliceName>,
    /// The list, if it changed.
    pub list: Option<PodList>,
    /// The pod is gone: there is no list any more.
    pub gone: bool,
    /// What [`super::held::Held::digest`] must be then.
    pub digest: String,
}

impl Stored {
    pub(crate) fn new(name: SliceName, slice: PeerSlice, revision: Revision) -> Self {
        Self {
            name,
            slice,
            revision,
            text: OnceLock::new(),
        }
    }

    /// The slice as it is sent; made once, for all receivers. Every caller must make the same of it.
    pub fn text(&self, make: impl FnOnce(&Self) -> Vec<u8>) -> Arc<[u8]> {
        Arc::clone(self.text.get_or_init(|| make(self).into()))
    }
}

impl News {
    /// Whether the receiver lacks nothing.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.list.is_none() && !self.gone
    }
}

/// The allow lists of all pods.
#[derive(Debug, Default)]
pub struct Catalogue {
    cluster: Cluster,
    modes: HashMap<(Kind, ObjectRef), String, RandomState>,
    changed: bool,
    revision: Revision,
    lists: BTreeMap<ObjectRef, (PodList, Revision)>,
    sets: HashMap<SetId, Vec<Arc<Stored>>, RandomState>,
    by_name: HashMap<SliceName, Arc<Stored>, RandomState>,
    graves: Graves,
}

impl Catalogue {
    /// Adds an object or puts it in the place of an earlier one of its name.
    pub fn apply(&mut self, object: Object) {
        self.changed |= !self.cluster.apply(object).is_nothing();
    }

    /// Takes an object away.
    pub fn delete(&mut self, kind: Kind, id: &ObjectRef) {
        self.changed |= !self.cluster.delete(kind, id).is_nothing();
        self.changed |= self.modes.remove(&(kind, id.clone())).is_some();
    }

    /// Swaps in all objects of a kind: what is not among them is gone.
    pub fn reset(&mut self, kind: Kind, objects: Vec<Object>) {
        let kept: BTreeSet<&ObjectRef> = objects.iter().map(Object::id).collect();
        self.modes
            .retain(|(of, id), _| *of != kind || kept.contains(id));
        drop(kept);
        self.cluster.reset(kind, objects);
        self.changed = true;
    }

    /// The mode annotation of a pod or of a namespace; `None`: it has none.
    pub fn set_mode(&mut self, kind: Kind, id: &ObjectRef, mode: Option<String>) {
        let key = (kind, id.clone());
        let old = match &mode {
            Some(mode) => self.modes.insert(key, mode.clone()),
            None => self.modes.remove(&key),
        };
        self.changed |= old != mode;
    }

    /// Makes all changes so far visible. If nothing is different, the revision stays.
    pub fn publish(&mut self) -> Published {
        let mut published = Published {
            revision: self.revision,
            ..Published::default()
        };
        if !std::mem::take(&mut self.changed) {
            return published;
        }
        let revision = Revision(self.revision.0 + 1);
        let mut fresh = Fresh::new(&self.cluster);
        let lists: BTreeMap<ObjectRef, PodList> = self
            .cluster
            .pods()
            .map(|pod| (pod.id.clone(), fresh.list(pod, &self.modes)))
            .collect();
        let sets = fresh.sets(revision, &self.by_name);

        let mut touched: BTreeSet<&SetId> = BTreeSet::new();
        let new = sets.values().flatten();
        published.added = new
            .filter(|slice| slice.revision == revision)
            .cloned()
            .collect();
        let live: BTreeSet<&SliceName> = sets.values().flatten().map(|slice| &slice.name).collect();
        let gone = self.by_name.values();
        published.removed = gone
            .filter(|slice| !live.contains(&slice.name))
            .cloned()
            .collect();
        let slices = published.added.iter().chain(&published.removed);
        touched.extend(slices.map(|slice| &slice.slice.set));

        for (id, list) in &lists {
            let old = self.lists.get(id).map(|(list, _)| list);
            let change = match old {
                None => Some(ListChange::Added),
                Some(old) => (old != list).then_some(ListChange::Modified),
            };
            if change.is_some() || list.shared.sets().any(|set| touched.contains(set)) {
                published.concerned.push(id.clone());
            }
            published
                .lists
                .extend(change.map(|change| (id.clone(), change)));
        }
        for id in self.lists.keys().filter(|id| !lists.contains_key(id)) {
            published.concerned.push(id.clone());
            published.lists.push((id.clone(), ListChange::Removed));
        }
        published.concerned.sort_unstable();
        published
            .lists
            .sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        if published.lists.is_empty() && published.added.is_empty() && published.removed.is_empty()
        {
            return published;
        }

        published.revision = revision;
        self.revision = revision;
        for slice in &published.removed {
            self.graves
                .bury_slice(revision, &slice.slice.set, slice.name.clone());
        }
        for (id, _) in published
            .lists
            .iter()
            .filter(|(_, change)| *change == ListChange::Removed)
        {
            self.graves.bury_pod(revision, id.clone());
        }
        self.graves.tidy();
        let changed: BTreeMap<&ObjectRef, ()> =
            published.lists.iter().map(|(id, _)| (id, ())).collect();
        let since = |id: &ObjectRef| match self.lists.get(id) {
            Some((_, since)) if !changed.contains_key(id) => *since,
            _ => revision,
        };
        self.lists = lists
            .into_iter()
            .map(|(id, list)| {
                let since = since(&id);
                (id, (list, since))
            })
            .collect();
        self.by_name = sets
            .values()
            .flatten()
            .map(|slice| (slice.name.clone(), Arc::clone(slice)))
            .collect();
        self.sets = sets;
        published
    }

    /// The revision that was last published.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// What is known of the cluster; changes that are not published yet are in it.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The pods that have a list, by namespace and name.
    pub fn pods(&self) -> impl Iterator<Item = &ObjectRef> {
        self.lists.keys()
    }

    /// A pod's list, and since when it is this one.
    #[must_use]
    pub fn list(&self, pod: &ObjectRef) -> Option<(PodList, Revision)> {
        self.lists.get(pod).cloned()
    }

    /// The slices that a receiver of this list needs.
    pub fn slices(&self, list: &SharedList) -> impl Iterator<Item = &Arc<Stored>> {
        list.sets().filter_map(|set| self.sets.get(set)).flatten()
    }

    /// All slices.
    pub fn all_slices(&self) -> impl Iterator<Item = &Arc<Stored>> {
        self.by_name.values()
    }

    /// A slice by name.
    #[must_use]
    pub fn slice(&self, name: &SliceName) -> Option<&Arc<Stored>> {
        self.by_name.get(name)
    }

    /// What a receiver that was up to date at `since` lacks; at 0 it has nothing. `None`: that is too
    /// long ago, or not of this catalogue, and the receiver must start over.
    #[must_use]
    pub fn news(&self, pod: &ObjectRef, since: Revision) -> Option<News> {
        let start = since == Revision(0);
        if since > self.revision || !(start || self.graves.reach_back_to(since)) {
            return None;
        }
        let mut news = News {
            revision: self.revision,
            added: Vec::new(),
            removed: Vec::new(),
            list: None,
            gone: false,
            digest: String::new(),
        };
        let Some((list, changed)) = self.lists.get(pod) else {
            news.gone = !start && self.graves.pod(pod, since);
            news.digest = digest_of(None, std::iter::empty());
            return Some(news);
        };
        let all: Vec<&Arc<Stored>> = self.slices(&list.shared).collect();
        let whole = *changed > since;
        let new = all.iter().filter(|slice| whole || slice.revision > since);
        news.added = new.map(|slice| Arc::clone(slice)).collect();
        if !start {
            let gone = list
                .shared
                .sets()
                .flat_map(|set| self.graves.slices(set, since));
            let gone = gone.filter(|name| !self.by_name.contains_key(*name));
            news.removed = gone.cloned().collect::<BTreeSet<_>>().into_iter().collect();
        }
        news.list = whole.then(|| list.clone());
        news.digest = digest_of(Some(list), all.iter().map(|slice| &slice.name));
        Some(news)
    }
}

/// Everything compiled anew.
struct Fresh<'a> {
    cluster: &'a Cluster,
    classes: HashMap<(String, Labels, Vec<NamedPort>, bool), Arc<SharedList>, RandomState>,
    sets: HashMap<SetId, Definition, RandomState>,
}

impl Keeper for Fresh<'_> {
    fn name(&mut self, definition: Definition) -> SetId {
        let id = definition.id();
        self.sets.insert(id.clone(), definition);
        id
    }

    fn numbers(&mut self, family: &Family) -> Vec<u16> {
        let pods = self.cluster.pods().filter(|pod| pod.is_peer());
        let named = pods.filter(|pod| !self.named(pod, family).is_empty());
        let numbers: BTreeSet<u16> = named
            .filter_map(|pod| pod.named_port(family.protocol, &family.name))
            .collect();
        numbers.into_iter().collect()
    }
}

impl<'a> Fresh<'a> {
    fn new(cluster: &'a Cluster) -> Self {
        Self {
            cluster,
            classes: HashMap::default(),
            sets: HashMap::default(),
        }
    }

    fn list(
        &mut self,
        pod: &Pod,
        modes: &HashMap<(Kind, ObjectRef), String, RandomState>,
    ) -> PodList {
        let key = (
            pod.id.namespace.clone(),
            pod.labels.clone(),
            pod.named_ports.clone(),
            pod.host_network,
        );
        let shared = match self.classes.get(&key) {
            Some(shared) => Arc::clone(shared),
            None => {
                let shared = Arc::new(template::shared(self.cluster, Subject::of(pod), self));
                self.classes.insert(key, Arc::clone(&shared));
                shared
            }
        };
        let mut node_addresses = pod.node_addresses.clone();
        node_addresses.sort_unstable();
        let namespace = crate::policy::cluster::unnamespaced(&pod.id.namespace);
        PodList {
            pod: pod.id.clone(),
            addresses: own_addresses(pod),
            node_addresses,
            node: pod.node.clone(),
            modes: Modes {
                pod: modes.get(&(Kind::Pod, pod.id.clone())).cloned(),
                namespace: modes.get(&(Kind::Namespace, namespace)).cloned(),
            },
            shared,
        }
    }

    fn sets(
        &self,
        revision: Revision,
        known: &HashMap<SliceName, Arc<Stored>, RandomState>,
    ) -> HashMap<SetId, Vec<Arc<Stored>>, RandomState> {
        let slices = |(id, definition): (&SetId, &Definition)| {
            let slices = match definition {
                Definition::Services(scope) => {
                    let mut trie = Trie::<ServiceMember>::default();
                    for service in self.services(scope) {
                        trie.put(Place::of(&service.service.id), Arc::new(service));
                    }
                    trie.flush(id, revision).added
                }
                peers => {
                    let mut trie = Trie::<PeerMember>::default();
                    for pod in self.cluster.pods().filter(|pod| pod.is_peer()) {
                        let addresses = self.addresses(pod, peers);
                        if !addresses.is_empty() {
                            let member = PeerMember {
                                pod: pod.id.clone(),
                                addresses,
                                labels: pod.labels.clone(),
                                workload: pod.workload.clone(),
                                node: pod.node.clone(),
                            };
                            trie.put(Place::of(&pod.id), Arc::new(member));
                        }
                    }
                    trie.flush(id, revision).added
                }
            };
            let known = |slice: Arc<Stored>| known.get(&slice.name).cloned().unwrap_or(slice);
            (id.clone(), slices.into_iter().map(known).collect())
        };
        self.sets.iter().map(slices).collect()
    }

    fn services(&self, scope: &Scope) -> Vec<ServiceMember> {
        let mut members = Vec::new();
        for service in self.cluster.services() {
            let slices: Vec<&EndpointSlice> = self
                .cluster
                .endpoint_slices()
                .filter(|slice| slice.id.namespace == service.id.namespace)
                .filter(|slice| slice.service.as_ref() == Some(&service.id.name))
                .collect();
            let homes = Homes::of(self.cluster, service, &slices);
            if homes.are_in(self.cluster, std::slice::from_ref(scope)) {
                members.push(services::member(service, &slices));
            }
        }
        members
    }

    /// Those of a pod's addresses that are in a set.
    fn addresses(&self, pod: &Pod, definition: &Definition) -> Vec<IpAddr> {
        match definition {
            Definition::Pods(_) if self.is_in(pod, definition) => pod.addresses.clone(),
            Definition::Port(family, number)
                if pod.named_port(family.protocol, &family.name) == Some(*number) =>
            {
                self.named(pod, family)
            }
            _ => Vec::new(),
        }
    }

    fn is_in(&self, pod: &Pod, definition: &Definition) -> bool {
        let Definition::Pods(pods) = definition else {
            return false;
        };
        let namespace = match &pods.namespaces {
            NamespaceCriterion::Own(namespace) => *namespace == pod.id.namespace,
            NamespaceCriterion::Labels(selector) => self
                .cluster
                .namespace(&pod.id.namespace)
                .is_some_and(|namespace| selector.matches(&namespace.labels)),
        };
        namespace && pods.pods.matches(&pod.labels)
    }

    /// Those of a pod's addresses that the family's peers hold, whosever they are beside.
    fn named(&self, pod: &Pod, family: &Family) -> Vec<IpAddr> {
        if pod.named_port(family.protocol, &family.name).is_none() {
            return Vec::new();
        }
        let Some(peers) = &family.peers else {
            return pod.addresses.clone();
        };
        let held = |address: &&IpAddr| {
            peers.iter().any(|peers| match peers {
                Among::Blocks(blocks) => blocks.iter().any(|block| block.contains(*address)),
                Among::Set(set) => self.sets.get(set).is_some_and(|set| {
                    self.cluster
                        .peers_at(**address)
                        .any(|pod| self.is_in(pod, set))
                }),
            })
        };
        pod.addresses.iter().filter(held).copied().collect()
    }
}
