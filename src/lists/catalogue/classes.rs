//! Classes: pods of one namespace that no policy can tell apart share one compiled list.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Stored;
use super::entries::{ClassKey, SetKey};
use super::index::Index;
use super::ports::FamilyKey;
use crate::lists::definition::{Definition, Family};
use crate::lists::template::{self, Keeper};
use crate::lists::wire::{SetId, digest};
use crate::policy::allow_list::Selector;
use crate::policy::cluster::Cluster;
use crate::policy::compile::Subject;

impl Index {
    /// Policies of a namespace that select, or selected, these pods have changed.
    pub(super) fn touch(&mut self, namespace: &str, selectors: &[Selector]) {
        let Some(space) = self.spaces.get(namespace) else {
            return;
        };
        let selected = |class: &&ClassKey| {
            let class = self.classes.get(**class);
            class.is_some_and(|class| {
                !class.name.host_network
                    && selectors
                        .iter()
                        .any(|selector| selector.matches(&class.name.labels))
            })
        };
        self.dirty
            .classes
            .extend(space.classes.iter().filter(selected));
    }

    /// Compiles the classes that need it; those that have another list now.
    pub(super) fn compile(&mut self, cluster: &Cluster) -> Vec<ClassKey> {
        let mut changed = Vec::new();
        for key in std::mem::take(&mut self.dirty.classes) {
            let Some(class) = self.classes.get(key).filter(|class| !class.pods.is_empty()) else {
                continue;
            };
            let name = Arc::clone(&class.name);
            let subject = Subject {
                namespace: &name.namespace,
                labels: &name.labels,
                named_ports: &name.named_ports,
                host_network: name.host_network,
            };
            let mut naming = Naming {
                cluster,
                index: self,
                sets: BTreeSet::new(),
                families: BTreeSet::new(),
            };
            let shared = template::shared(cluster, subject, &mut naming);
            let Naming { sets, families, .. } = naming;
            self.names(key, sets, families);
            if let Some(class) = self.classes.get_mut(key)
                && class.shared.as_deref() != Some(&shared)
            {
                class.digest = digest(&shared).into();
                class.shared = Some(Arc::new(shared));
                changed.push(key);
            }
        }
        changed
    }

    /// Forgets classes without pods, and sets without classes; the slices of those.
    pub(super) fn sweep(&mut self) -> Vec<Arc<Stored>> {
        for key in std::mem::take(&mut self.dirty.left) {
            let empty = self
                .classes
                .get(key)
                .is_some_and(|class| class.pods.is_empty());
            if empty {
                self.names(key, BTreeSet::new(), BTreeSet::new());
                let class = self.classes.remove(key);
                self.class_keys.remove(&class.name);
                self.space(&class.name.namespace).classes.remove(&key);
                self.dirty.classes.remove(&key);
            }
        }
        let mut slices = Vec::new();
        for key in std::mem::take(&mut self.dirty.unnamed) {
            if self.sets.get(key).is_some_and(|set| set.users.is_empty()) {
                slices.extend(self.drop_set(key));
            }
        }
        slices
    }

    /// What a class's list names now.
    fn names(&mut self, key: ClassKey, sets: BTreeSet<SetKey>, families: BTreeSet<FamilyKey>) {
        let Some(class) = self.classes.get_mut(key) else {
            return;
        };
        let old_sets = std::mem::replace(&mut class.sets, sets.clone());
        let old_families = std::mem::replace(&mut class.families, families.clone());
        for &set in sets.difference(&old_sets) {
            if let Some(set) = self.sets.get_mut(set) {
                set.users.insert(key);
            }
        }
        for &set in old_sets.difference(&sets) {
            if let Some(entry) = self.sets.get_mut(set) {
                entry.users.remove(&key);
                self.dirty.unnamed.insert(set);
            }
        }
        for &family in families.difference(&old_families) {
            self.use_family(family, key);
        }
        for &family in old_families.difference(&families) {
            self.unuse_family(family, key);
        }
    }
}

/// Notes what a list names while it is compiled.
struct Naming<'a> {
    cluster: &'a Cluster,
    index: &'a mut Index,
    sets: BTreeSet<SetKey>,
    families: BTreeSet<FamilyKey>,
}

impl Keeper for Naming<'_> {
    fn name(&mut self, definition: Definition) -> SetId {
        let key = self.index.set(definition);
        self.sets.insert(key);
        // It is there: it was made just now, if not before.
        self.index.sets[key].id.clone()
    }

    fn numbers(&mut self, family: &Family) -> Vec<u16> {
        let key = self.index.family(self.cluster, family);
        self.families.insert(key);
        self.index.numbers(key)
    }
}
