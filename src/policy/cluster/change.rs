//! What changed, and whether it can concern a pod. Cheap, and on the safe side: a change that is
//! said to concern a pod only costs one more compile, which then gives an equal allow list.

use std::collections::BTreeSet;

use super::{Cluster, Kind};
use crate::policy::allow_list::ObjectRef;

/// What one or more operations on the index changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Namespaces whose policies changed.
    policies: BTreeSet<String>,
    /// Pods that changed.
    pods: BTreeSet<ObjectRef>,
    /// Namespaces' labels, Services or their endpoints changed.
    surroundings: bool,
    /// Only what logs show changed.
    names: bool,
}

impl Change {
    /// No change.
    #[must_use]
    pub fn nothing() -> Self {
        Self::default()
    }

    pub(super) fn of(kind: Kind, id: ObjectRef) -> Self {
        let mut change = Self::default();
        match kind {
            Kind::NetworkPolicy => drop(change.policies.insert(id.namespace)),
            Kind::Pod => drop(change.pods.insert(id)),
            Kind::Namespace | Kind::Service | Kind::EndpointSlice => change.surroundings = true,
            Kind::Node => change.names = true,
        }
        change
    }

    /// Both changes.
    pub fn add(&mut self, other: Self) {
        self.policies.extend(other.policies);
        self.pods.extend(other.pods);
        self.surroundings |= other.surroundings;
        self.names |= other.names;
    }

    /// Whether nothing at all is different.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the pod's allow list could be another one now. A pod in whose namespace no policy is
    /// cares for nobody but itself.
    #[must_use]
    pub fn concerns(&self, cluster: &Cluster, pod: &ObjectRef) -> bool {
        self.policies.contains(&pod.namespace)
            || self.pods.contains(pod)
            || ((self.surroundings || !self.pods.is_empty())
                && cluster.policies_in(&pod.namespace).next().is_some())
    }
}
