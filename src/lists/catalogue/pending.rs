//! What changed since it was last published, as names: ten changes of one pod are one.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;

use foldhash::fast::RandomState;

use crate::policy::allow_list::{ObjectRef, Selector};
use crate::policy::cluster::{Cluster, Kind};

/// What changed since it was last published.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) spaces: BTreeSet<String>,
    pub(super) pods: BTreeSet<ObjectRef>,
    /// What the policies that changed selected, and select, by namespace.
    pub(super) policies: BTreeMap<String, Vec<Selector>>,
    pub(super) services: BTreeSet<ObjectRef>,
    /// Addresses that have, or had, another owner, or one in another state.
    pub(super) addresses: HashSet<IpAddr, RandomState>,
    /// Pods, and all pods of namespaces, whose mode is another one.
    pub(super) modes: BTreeSet<ObjectRef>,
    pub(super) modes_in: BTreeSet<String>,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        let Self {
            spaces,
            pods,
            policies,
            services,
            addresses,
            modes,
            modes_in,
        } = self;
        let names = spaces.is_empty() && modes_in.is_empty() && policies.is_empty();
        let objects = pods.is_empty() && services.is_empty() && modes.is_empty();
        names && objects && addresses.is_empty()
    }

    /// Notes an object as it is in the cluster: to be called before a change, and after it.
    pub(super) fn note(&mut self, cluster: &Cluster, kind: Kind, id: &ObjectRef) {
        match kind {
            Kind::Namespace => drop(self.spaces.insert(id.name.clone())),
            Kind::Pod => {
                self.pods.insert(id.clone());
                let pod = cluster.pod(id);
                self.addresses
                    .extend(pod.iter().flat_map(|pod| &pod.addresses));
            }
            Kind::NetworkPolicy => {
                let selectors = self.policies.entry(id.namespace.clone()).or_default();
                selectors.extend(cluster.policy(id).map(|policy| policy.selects().clone()));
            }
            Kind::Service => drop(self.services.insert(id.clone())),
            Kind::EndpointSlice => {
                let slice = cluster.endpoint_slice(id);
                self.services
                    .extend(slice.and_then(|slice| slice.service_id()));
            }
            Kind::Node => {
                let node = cluster.node(&id.name);
                self.addresses
                    .extend(node.iter().flat_map(|node| &node.addresses));
            }
        }
    }

    pub(super) fn note_mode(&mut self, kind: Kind, id: &ObjectRef) {
        match kind {
            Kind::Pod => drop(self.modes.insert(id.clone())),
            Kind::Namespace => drop(self.modes_in.insert(id.name.clone())),
            _ => {}
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.spaces.extend(other.spaces);
        self.pods.extend(other.pods);
        for (namespace, selectors) in other.policies {
            self.policies
                .entry(namespace)
                .or_default()
                .extend(selectors);
        }
        self.services.extend(other.services);
        self.addresses.extend(other.addresses);
        self.modes.extend(other.modes);
        self.modes_in.extend(other.modes_in);
    }
}
