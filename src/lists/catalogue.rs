//! The allow lists of all pods, kept up to date: objects come in, what each receiver lacks goes out.
//!
//! One task owns it. Changes are collected ([`Catalogue::apply`] and its siblings) and become visible
//! together ([`Catalogue::publish`]), under one [`Revision`]. A receiver that was up to date at some
//! revision is told what it lacks ([`Catalogue::news`]); what it then holds ([`super::held`]) is the
//! list that [`crate::policy::compile`] gives for its pod alone.
//!
//! ```text
//! apply ─► pending ─► publish ─► peers    pods enter and leave sets
//!                        │   ├─► ports    what port names mean among them
//!                        │   ├─► behind   Services, and who stands behind them
//!                        │   └─► classes  lists, one for all pods that no policy can tell apart
//!                        ▼
//!                      index (space: who matches whom, by label)     news ─► a receiver
//! ```
//!
//! Nothing here walks over all pods, sets or lists because of one change, unless it concerns a good part
//! of them.

mod behind;
mod classes;
mod entries;
mod index;
mod news;
mod peers;
mod pending;
mod ports;
mod publish;
mod space;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use foldhash::fast::RandomState;

use self::entries::{PodEntry, Set};
use self::index::Index;
use self::pending::Pending;
use super::graves::Graves;
use super::wire::{PeerSlice, PodList, SetId, SharedList, SliceName};
use crate::policy::allow_list::ObjectRef;
use crate::policy::cluster::objects::Object;
use crate::policy::cluster::{Cluster, Kind};

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
    /// The words of mode annotations.
    modes: HashMap<(Kind, ObjectRef), String, RandomState>,
    /// The endpoint slices of each Service.
    slices_of: HashMap<ObjectRef, BTreeSet<ObjectRef>, RandomState>,
    pending: Pending,
    index: Index,
    revision: Revision,
    graves: Graves,
}

impl Catalogue {
    /// Adds an object or puts it in the place of an earlier one of its name.
    pub fn apply(&mut self, object: Object) {
        let (kind, id) = (object.kind(), object.id().clone());
        let mut seen = Pending::default();
        seen.note(&self.cluster, kind, &id);
        let old = self.served(kind, &id);
        if self.cluster.apply(object).is_nothing() {
            return;
        }
        seen.note(&self.cluster, kind, &id);
        self.pending.add(seen);
        self.serve(kind, &id, old);
    }

    /// Takes an object away.
    pub fn delete(&mut self, kind: Kind, id: &ObjectRef) {
        self.set_mode(kind, id, None);
        let old = self.served(kind, id);
        self.pending.note(&self.cluster, kind, id);
        self.cluster.delete(kind, id);
        self.serve(kind, id, old);
    }

    /// Swaps in all objects of a kind: what is not among them is gone.
    pub fn reset(&mut self, kind: Kind, objects: Vec<Object>) {
        let kept: HashSet<&ObjectRef> = objects.iter().map(Object::id).collect();
        let known = self.cluster.ids(kind).chain(
            self.modes
                .keys()
                .filter(|(of, _)| *of == kind)
                .map(|(_, id)| id),
        );
        let gone: BTreeSet<ObjectRef> = known.filter(|id| !kept.contains(id)).cloned().collect();
        for id in gone {
            self.delete(kind, &id);
        }
        for object in objects {
            self.apply(object);
        }
    }

    /// The mode annotation of a pod or of a namespace; `None`: it has none.
    pub fn set_mode(&mut self, kind: Kind, id: &ObjectRef, mode: Option<String>) {
        let key = (kind, id.clone());
        let old = match &mode {
            Some(mode) => self.modes.insert(key, mode.clone()),
            None => self.modes.remove(&key),
        };
        if old != mode {
            self.pending.note_mode(kind, id);
        }
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
        self.index.pod_keys.keys()
    }

    /// A pod's list, and since when it is this one.
    #[must_use]
    pub fn list(&self, pod: &ObjectRef) -> Option<(PodList, Revision)> {
        let entry = self.entry(pod)?;
        Some((entry.list()?, entry.since))
    }

    /// The slices that a receiver of this list needs.
    pub fn slices(&self, list: &SharedList) -> impl Iterator<Item = &Arc<Stored>> {
        list.sets().flat_map(|set| self.slices_in(set))
    }

    /// All slices.
    pub fn all_slices(&self) -> impl Iterator<Item = &Arc<Stored>> {
        self.index.slices.values()
    }

    /// A slice by name.
    #[must_use]
    pub fn slice(&self, name: &SliceName) -> Option<&Arc<Stored>> {
        self.index.slices.get(name)
    }

    fn entry(&self, pod: &ObjectRef) -> Option<&PodEntry> {
        let key = self.index.pod_keys.get(pod)?;
        self.index.pods.get(*key)
    }

    fn slices_in(&self, set: &SetId) -> Vec<&Arc<Stored>> {
        let set = self.set(set);
        set.map(|set| set.members.slices()).unwrap_or_default()
    }

    fn set(&self, id: &SetId) -> Option<&Set> {
        self.index.sets.get(*self.index.set_ids.get(id)?)
    }

    /// The Service that an endpoint slice belongs to.
    fn served(&self, kind: Kind, id: &ObjectRef) -> Option<ObjectRef> {
        if kind != Kind::EndpointSlice {
            return None;
        }
        self.cluster.endpoint_slice(id)?.service_id()
    }

    /// Notes that the Service of an endpoint slice, which was this one, may be another.
    fn serve(&mut self, kind: Kind, id: &ObjectRef, old: Option<ObjectRef>) {
        if let Some(slices) = old.as_ref().and_then(|old| self.slices_of.get_mut(old)) {
            slices.remove(id);
            if slices.is_empty()
                && let Some(old) = &old
            {
                self.slices_of.remove(old);
            }
        }
        if let Some(service) = self.served(kind, id) {
            self.slices_of
                .entry(service)
                .or_default()
                .insert(id.clone());
        }
    }
}
