//! Which Services can bear on a verdict: a pod that may reach three namespaces need not hear of the
//! Services of the other thousand.
//!
//! A Service's address is allowed only if some endpoint behind it is. Where no egress rule is open
//! and none names a block, an allowed endpoint is a pod that a selector means, the pod itself, or its
//! node. So a Service is kept under the namespaces of the pods behind it, and under its own; one that
//! may lead to a node, or whose address may be a node's, is kept for everybody ([`Scope::Outside`]).

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use crate::policy::allow_list::{
    DirectionList, NamespaceCriterion, ObjectRef, PeerCriterion, Selector,
};
use crate::policy::cluster::services::{Endpoint, EndpointSlice, Service};
use crate::policy::cluster::{Cluster, Kind};

/// Some of the Services of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub(crate) enum Scope {
    /// Every one.
    All,
    /// Those at home in a namespace.
    In(String),
    /// Those at home in namespaces that have these labels.
    Matching(Selector),
    /// Those that lead, or may lead, out of the pods' network.
    Outside,
}

/// Where a Service is at home.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Homes {
    /// Its own namespace, and those of the pods behind it.
    pub(crate) namespaces: BTreeSet<String>,
    /// Whether it belongs to [`Scope::Outside`].
    pub(crate) outside: bool,
}

/// The Services that can bear on what leaves a pod of this namespace; none if it is not isolated.
pub(crate) fn scopes(egress: &DirectionList, namespace: &str) -> Vec<Scope> {
    if egress.isolated_by.is_empty() {
        return Vec::new();
    }
    let mut scopes = vec![Scope::Outside, Scope::In(namespace.to_owned())];
    for rule in &egress.rules {
        let Some(peers) = &rule.peers else {
            return vec![Scope::All];
        };
        for peer in peers {
            let scope = match &peer.criterion {
                PeerCriterion::Block { .. } => Scope::All,
                PeerCriterion::Pods { namespaces, .. } => match namespaces {
                    NamespaceCriterion::Own(namespace) => Scope::In(namespace.clone()),
                    NamespaceCriterion::Labels(selector) if selector.is_empty() => Scope::All,
                    NamespaceCriterion::Labels(selector) => Scope::Matching(selector.clone()),
                },
            };
            if scope == Scope::All {
                return vec![scope];
            }
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
    }
    scopes
}

impl Homes {
    /// Where a Service with these slices is at home now.
    pub(crate) fn of(cluster: &Cluster, service: &Service, slices: &[&EndpointSlice]) -> Self {
        let mut homes = Self {
            namespaces: BTreeSet::from([service.id.namespace.clone()]),
            outside: !service.external_addresses.is_empty(),
        };
        for endpoint in slices.iter().flat_map(|slice| &slice.endpoints) {
            homes.add(cluster, endpoint);
        }
        homes
    }

    /// Whether any of these holds it.
    pub(crate) fn are_in(&self, cluster: &Cluster, scopes: &[Scope]) -> bool {
        scopes.iter().any(|scope| match scope {
            Scope::All => true,
            Scope::In(namespace) => self.namespaces.contains(namespace),
            Scope::Matching(selector) => self.namespaces.iter().any(|namespace| {
                let namespace = cluster.namespace(namespace);
                namespace.is_some_and(|namespace| selector.matches(&namespace.labels))
            }),
            Scope::Outside => self.outside,
        })
    }

    fn add(&mut self, cluster: &Cluster, endpoint: &Endpoint) {
        let mut known = false;
        for pod in cluster.peers_at(endpoint.address) {
            known = true;
            if !self.namespaces.contains(&pod.id.namespace) {
                self.namespaces.insert(pod.id.namespace.clone());
            }
        }
        let of_node = |(kind, id): &(Kind, Arc<ObjectRef>)| match kind {
            Kind::Node => true,
            Kind::Pod => cluster.pod(id).is_some_and(|pod| pod.host_network),
            _ => false,
        };
        // A pod that is gone while its slice still names it leads nowhere: no selector means it.
        self.outside |= cluster.owners(endpoint.address).iter().any(of_node);
        self.outside |= endpoint.foreign && !known;
    }
}
