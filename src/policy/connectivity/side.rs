//! The sides of connections in people's terms: workloads by name, and ranges of addresses.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::range::{self, AddressRange};
use crate::policy::allow_list::ObjectRef;
use crate::policy::cluster::objects::Pod;

/// A workload: what made a pod, or the pod itself where nothing did.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct WorkloadRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its kind, such as `Deployment`; `Pod` for a pod that nothing made.
    pub kind: String,
}

/// Pods of one workload that policies treat alike; nearly always all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// How it is written: `namespace/name`, with the kind or the pods where that is not clear.
    pub label: String,
    /// Of which workload.
    #[serde(flatten)]
    pub workload: WorkloadRef,
    /// The pods, by name.
    pub pods: Vec<String>,
}

/// One side of connections.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Side {
    /// Positions in the list of groups, ascending.
    pub workloads: Vec<usize>,
    /// Addresses outside the cluster: ascending, disjoint, neighbours joined.
    pub outside: Vec<AddressRange>,
}

impl WorkloadRef {
    pub(super) fn of(pod: &Pod) -> Self {
        let ObjectRef { namespace, name } = pod.id.clone();
        // A static pod belongs to its node, which makes many that have nothing in common.
        match pod.workload.as_ref().filter(|made| made.kind != "Node") {
            Some(workload) => Self {
                namespace,
                name: workload.name.clone(),
                kind: workload.kind.clone(),
            },
            None => Self {
                namespace,
                name,
                kind: "Pod".to_owned(),
            },
        }
    }

    /// Whether it is a single pod for ever: then there is no connection within it but the pod's own
    /// to itself, which policies do not see. Of everything else there may be more than one.
    #[must_use]
    pub fn is_lone(&self) -> bool {
        self.kind == "Pod"
    }
}

impl fmt::Display for WorkloadRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.namespace, self.name))
    }
}

impl Side {
    /// How it is written, shortest first: `*` for all workloads, `namespace/*` for all of a
    /// namespace, `world` for all addresses outside. `itself`: a lone pod on the other side, which
    /// may be missing here, since a pod always reaches itself.
    #[must_use]
    pub fn names(&self, groups: &[Group], itself: Option<usize>) -> Vec<String> {
        let mut names = Vec::new();
        let listed = |group: &usize| self.workloads.binary_search(group).is_ok();
        let here = |group: usize| listed(&group) || itself == Some(group);
        if self.workloads.len() > 1 && (0..groups.len()).all(here) {
            names.push("*".to_owned());
        } else {
            let mut namespaces: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
            for (position, group) in groups.iter().enumerate() {
                let namespace = namespaces.entry(&group.workload.namespace);
                namespace.or_default().push(position);
            }
            for (namespace, all) in namespaces {
                let named: Vec<&Group> = all
                    .iter()
                    .filter(|group| listed(group))
                    .filter_map(|group| groups.get(*group))
                    .collect();
                if named.len() > 1 && all.iter().all(|group| here(*group)) {
                    names.push(format!("{namespace}/*"));
                } else {
                    names.extend(named.into_iter().map(|group| group.label.clone()));
                }
            }
        }
        names.extend(range::names(&self.outside));
        names
    }

    /// Every one of it by itself: no `*`, and outside ranges as they are.
    #[must_use]
    pub fn each(&self, groups: &[Group]) -> Vec<String> {
        let workloads = self.workloads.iter().filter_map(|group| groups.get(*group));
        let workloads = workloads.map(|group| group.label.clone());
        let outside = self.outside.iter().map(ToString::to_string);
        workloads.chain(outside).collect()
    }

    /// Whether nobody is on it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.workloads.is_empty() && self.outside.is_empty()
    }
}

/// The lone pod that is all of `from`, if it is one.
pub(super) fn lone(from: &Side, groups: &[Group]) -> Option<usize> {
    match (from.workloads.as_slice(), from.outside.is_empty()) {
        (&[one], true) => groups
            .get(one)
            .is_some_and(|group| group.workload.is_lone())
            .then_some(one),
        _ => None,
    }
}

/// Labels that tell the groups apart. The groups must be sorted by workload.
pub(super) fn label(groups: &mut [Group]) {
    let same_name = |left: &Group, right: &Group| {
        (&left.workload.namespace, &left.workload.name)
            == (&right.workload.namespace, &right.workload.name)
    };
    for namesakes in groups.chunk_by_mut(same_name) {
        let of_one_kind = namesakes
            .windows(2)
            .all(|pair| pair[0].workload == pair[1].workload);
        for index in 0..namesakes.len() {
            let workload = namesakes[index].workload.clone();
            let kin = namesakes.iter().filter(|group| group.workload == workload);
            let parts = kin.count();
            let group = &mut namesakes[index];
            group.label = workload.to_string();
            if !of_one_kind {
                group.label = format!("{}[{}]", group.label, workload.kind);
            }
            if parts > 1 {
                group.label = format!("{} ({})", group.label, group.pods.join(", "));
            }
        }
    }
}
