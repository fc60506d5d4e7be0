//! Publishing: what is pending is worked into the index, in an order in which every step finds the
//! steps before it done; then sets become slices, and classes become pods' lists.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::entries::{ClassKey, Own, PodEntry, PodKey};
use super::pending::Pending;
use super::{Catalogue, ListChange, Published, Revision, Stored};
use crate::lists::wire::{Modes, PodList, digest};
use crate::policy::allow_list::ObjectRef;
use crate::policy::cluster::objects::Pod;
use crate::policy::cluster::services::EndpointSlice;
use crate::policy::cluster::{Kind, unnamespaced};
use crate::policy::compile::own_addresses;

/// What working in the pending changes leaves to do.
struct Worked {
    /// Pods whose lists may be others now.
    affected: BTreeSet<PodKey>,
    /// Pods that are gone.
    gone: Vec<ObjectRef>,
    /// Slices of sets that nobody names any more.
    dropped: Vec<Arc<Stored>>,
}

impl Catalogue {
    /// Makes all changes so far visible. If nothing is different, the revision stays.
    pub fn publish(&mut self) -> Published {
        let mut published = Published {
            revision: self.revision,
            ..Published::default()
        };
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() {
            return published;
        }
        let revision = Revision(self.revision.0 + 1);
        let Worked {
            affected,
            gone,
            dropped,
        } = self.work(pending);
        published.removed = dropped;
        let classes = self.flush(revision, &mut published);
        let mut changed = BTreeSet::new();
        for key in affected {
            if let Some(change) = self.renew(key, revision) {
                changed.insert(key);
                let id = self.index.pods.get(key).map(|entry| entry.id.clone());
                published.lists.extend(id.map(|id| (id, change)));
            }
        }
        published.concerned = self.concerned(&classes, changed);
        published.concerned.extend(gone.iter().cloned());
        // Two runs in order each.
        published.concerned.sort();
        let removed = gone.iter().map(|id| (id.clone(), ListChange::Removed));
        published.lists.extend(removed);
        published
            .lists
            .sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        if published.lists.is_empty() && published.added.is_empty() && published.removed.is_empty()
        {
            return published;
        }
        self.revision = revision;
        published.revision = revision;
        for slice in &published.removed {
            let set = &slice.slice.set;
            self.graves.bury_slice(revision, set, slice.name.clone());
            self.index.slices.remove(&slice.name);
        }
        for slice in &published.added {
            self.index
                .slices
                .insert(slice.name.clone(), Arc::clone(slice));
        }
        for pod in gone {
            self.graves.bury_pod(revision, pod);
        }
        self.graves.tidy();
        published
    }

    fn work(&mut self, pending: Pending) -> Worked {
        let Pending {
            spaces,
            pods,
            policies,
            mut services,
            mut addresses,
            modes,
            modes_in,
        } = pending;
        let Self {
            cluster,
            index,
            slices_of,
            ..
        } = self;
        let labels = |name: &String| cluster.namespace(name).map(|namespace| &namespace.labels);
        let flips = spaces
            .iter()
            .flat_map(|name| index.relabel(name, labels(name)));
        let flips: Vec<_> = flips.collect();

        let mut affected = BTreeSet::new();
        let mut gone = Vec::new();
        for id in &pods {
            if let Some(pod) = cluster.pod(id) {
                affected.insert(index.put_pod(pod));
            } else if let Some(&key) = index.pod_keys.get(id) {
                index.unname_ports(key);
                // It may be one that was never published.
                let known = index
                    .pods
                    .get(key)
                    .is_some_and(|entry| entry.shared.is_some());
                gone.extend(known.then(|| id.clone()));
                index.remove_pod(id);
            }
        }
        // A position may have been given away again.
        affected.retain(|&key| index.pods.contains(key));
        for flip in &flips {
            addresses.extend(index.flip(flip));
            services.extend(index.space(&flip.namespace).services.iter().cloned());
        }

        let sharers = addresses
            .iter()
            .flat_map(|&address| cluster.peers_at(address));
        let renamed: BTreeSet<&ObjectRef> = pods.iter().chain(sharers.map(|pod| &pod.id)).collect();
        for id in renamed {
            if let (Some(&key), Some(pod)) = (index.pod_keys.get(id), cluster.pod(id)) {
                index.name_ports(cluster, key, pod);
            }
        }

        for &address in &addresses {
            services.extend(index.services_behind(address).cloned());
        }
        for id in &services {
            let slices = slices_of.get(id).into_iter().flatten();
            let slices: Vec<&EndpointSlice> = slices
                .filter_map(|slice| cluster.endpoint_slice(slice))
                .collect();
            index.put_service(cluster, id, &slices);
        }

        for (namespace, selectors) in &policies {
            index.touch(namespace, selectors);
        }
        let changed: Vec<ClassKey> = index.compile(cluster);
        let dropped = index.sweep();
        let classes = changed.iter().filter_map(|&key| index.classes.get(key));
        affected.extend(classes.flat_map(|class| &class.pods));
        affected.extend(modes.iter().filter_map(|id| index.pod_keys.get(id)));
        for name in &modes_in {
            affected.extend(index.spaces.get(name).iter().flat_map(|space| &space.pods));
        }
        let touched = spaces.iter().chain(pods.iter().map(|id| &id.namespace));
        let touched: BTreeSet<&String> = touched.chain(policies.keys()).collect();
        for name in touched {
            index.tidy_space(name);
        }
        Worked {
            affected,
            gone,
            dropped,
        }
    }

    /// Makes slices of the sets that changed; the classes whose lists name them.
    fn flush(&mut self, revision: Revision, published: &mut Published) -> BTreeSet<ClassKey> {
        let index = &mut self.index;
        let mut classes = BTreeSet::new();
        for key in std::mem::take(&mut index.dirty.sets) {
            let Some(set) = index.sets.get_mut(key) else {
                continue;
            };
            let flushed = set.members.flush(&set.id, revision);
            if flushed.added.is_empty() && flushed.removed.is_empty() {
                continue;
            }
            let mut names: Vec<_> = set.members.slices().iter().map(|one| &one.name).collect();
            names.sort_unstable();
            set.names = (!names.is_empty()).then(|| digest(&names));
            set.since = revision;
            published.added.extend(flushed.added);
            published.removed.extend(flushed.removed);
            classes.extend(&set.users);
        }
        classes
    }

    /// The pods of these classes, and these, by namespace and name.
    fn concerned(
        &self,
        classes: &BTreeSet<ClassKey>,
        mut pods: BTreeSet<PodKey>,
    ) -> Vec<ObjectRef> {
        let index = &self.index;
        let of = classes.iter().filter_map(|&class| index.classes.get(class));
        let many = of.clone().map(|class| class.pods.len()).sum::<usize>();
        if many > index.pods.len() / 8 {
            // Whom everybody admits has changed. All pods are in order already; putting an eighth of
            // them in order takes as long as walking over all.
            let classes: HashSet<&ClassKey, RandomState> = classes.iter().collect();
            let is = |key: &PodKey| {
                let class = index.pods.get(*key).map(|entry| entry.class);
                pods.contains(key) || class.is_some_and(|class| classes.contains(&class))
            };
            let all = index.pod_keys.iter().filter(|(_, key)| is(key));
            return all.map(|(id, _)| id.clone()).collect();
        }
        pods.extend(of.flat_map(|class| &class.pods));
        let ids = pods.iter().filter_map(|&key| index.pods.get(key));
        let mut ids: Vec<ObjectRef> = ids.map(|entry| entry.id.clone()).collect();
        ids.sort_unstable();
        ids
    }

    /// Gives a pod the list it must have now; what that is to those who watch.
    fn renew(&mut self, key: PodKey, revision: Revision) -> Option<ListChange> {
        let entry = self.index.pods.get_mut(key)?;
        let pod = self.cluster.pod(&entry.id)?;
        let class = self.index.classes.get(entry.class)?;
        let shared = class.shared.clone()?;
        let namespace = (Kind::Namespace, unnamespaced(&entry.id.namespace));
        let modes = Modes {
            pod: self.modes.get(&(Kind::Pod, entry.id.clone())).cloned(),
            namespace: self.modes.get(&namespace).cloned(),
        };
        let own = Own::of(pod, modes);
        let same_own = entry.own == own;
        entry.own = own;
        entry.digest = Arc::clone(&class.digest);
        let old = entry.shared.replace(Arc::clone(&shared));
        let change = match old {
            None => {
                entry.joined = revision;
                ListChange::Added
            }
            Some(old) if !Arc::ptr_eq(&old, &shared) && old != shared => {
                entry.before = Some((old, entry.joined));
                entry.joined = revision;
                ListChange::Modified
            }
            Some(_) if same_own => return None,
            Some(_) => ListChange::Modified,
        };
        entry.since = revision;
        Some(change)
    }
}

impl Own {
    fn of(pod: &Pod, modes: Modes) -> Self {
        let mut node_addresses = pod.node_addresses.clone();
        node_addresses.sort_unstable();
        Self {
            addresses: own_addresses(pod),
            node_addresses,
            node: pod.node.clone(),
            modes,
        }
    }
}

impl PodEntry {
    /// The list; `None`: nothing is published of this pod yet.
    pub(super) fn list(&self) -> Option<PodList> {
        let own = &self.own;
        Some(PodList {
            pod: self.id.clone(),
            addresses: own.addresses.clone(),
            node_addresses: own.node_addresses.clone(),
            node: own.node.clone(),
            modes: own.modes.clone(),
            shared: Arc::clone(self.shared.as_ref()?),
        })
    }
}
