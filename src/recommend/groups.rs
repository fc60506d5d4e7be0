//! Pods by what a policy can call them: the labels that single out their workload.

use std::collections::BTreeMap;

use crate::policy::allow_list::{ObjectRef, Selector};
use crate::policy::cluster::Cluster;
use crate::policy::suggest::{name_of, single_out};

/// Pods that one selector means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) namespace: String,
    pub(super) selector: Selector,
    /// What to call it: the workload of the first of its pods that was met.
    pub(super) name: String,
    /// Kind of that workload; `Pod` for a bare one.
    pub(super) kind: String,
}

/// The groups that are needed, made when first asked for.
pub(super) struct Groups<'a> {
    cluster: &'a Cluster,
    all: Vec<Group>,
    of: BTreeMap<ObjectRef, Option<usize>>,
}

impl<'a> Groups<'a> {
    /// `cluster` has every pod that is known, by log or otherwise.
    pub(super) fn new(cluster: &'a Cluster) -> Self {
        Self {
            cluster,
            all: Vec::new(),
            of: BTreeMap::new(),
        }
    }

    /// The group of a pod; `None`: it shares its node's network, and no selector matches it.
    pub(super) fn of(&mut self, pod: &ObjectRef) -> Option<usize> {
        if let Some(known) = self.of.get(pod) {
            return *known;
        }
        let found = self.cluster.pod(pod).filter(|pod| !pod.host_network);
        let found = found.map(|found| {
            let singled = single_out(self.cluster, found);
            let selector = singled.without(&singled.also, found);
            let same =
                |group: &Group| group.namespace == pod.namespace && group.selector == selector;
            self.all.iter().position(same).unwrap_or_else(|| {
                let kind = found.workload.as_ref().map(|made| made.kind.clone());
                self.all.push(Group {
                    namespace: pod.namespace.clone(),
                    selector: selector.clone(),
                    name: name_of(found),
                    kind: kind.unwrap_or_else(|| "Pod".to_owned()),
                });
                self.all.len() - 1
            })
        });
        self.of.insert(pod.clone(), found);
        found
    }

    /// A group by its number.
    pub(super) fn get(&self, number: usize) -> Option<&Group> {
        self.all.get(number)
    }

    /// All that were asked for, each with its number.
    pub(super) fn all(&self) -> impl Iterator<Item = (usize, &Group)> {
        self.all.iter().enumerate()
    }
}
