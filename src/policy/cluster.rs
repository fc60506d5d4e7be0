//! The index: what is known of the cluster, as far as it can bear on a verdict.
//!
//! One task owns it. Objects come in through [`Cluster::apply`], [`Cluster::delete`] and, for a
//! relist, [`Cluster::reset`], which swaps a kind in whole. Each answers with a [`Change`], which
//! tells whether a given pod's allow list could be another one now. Heavy fields are dropped at the
//! door ([`objects`], [`services`]). Next: [`super::compile`].

mod change;
mod directory;
pub mod objects;
pub mod services;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;

pub use self::change::Change;
pub use self::directory::{Identity, Known, PeerMember, Workload};
use self::objects::{Namespace, Node, Object, Pod};
use self::services::{EndpointSlice, Service};
use super::allow_list::ObjectRef;
use super::convert::AnyPolicy;

/// The kinds of objects that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `v1/Namespace`, for its labels.
    Namespace,
    /// `v1/Pod`, for labels, addresses and port names.
    Pod,
    /// `networking.k8s.io/v1/NetworkPolicy`.
    NetworkPolicy,
    /// `v1/Service`, for its addresses and ports.
    Service,
    /// `discovery.k8s.io/v1/EndpointSlice`, for what stands behind a Service.
    EndpointSlice,
    /// `v1/Node`, for names in logs only.
    Node,
}

impl Kind {
    /// All of them, in the order in which they are best loaded.
    pub const ALL: [Self; 6] = [
        Self::Namespace,
        Self::Node,
        Self::Pod,
        Self::Service,
        Self::EndpointSlice,
        Self::NetworkPolicy,
    ];
}

/// What is known of the cluster. Objects that belong to no namespace are kept under an empty one.
#[derive(Debug, Clone, Default)]
pub struct Cluster {
    namespaces: BTreeMap<Arc<ObjectRef>, Namespace>,
    pods: BTreeMap<Arc<ObjectRef>, Pod>,
    policies: BTreeMap<Arc<ObjectRef>, AnyPolicy>,
    services: BTreeMap<Arc<ObjectRef>, Service>,
    slices: BTreeMap<Arc<ObjectRef>, EndpointSlice>,
    nodes: BTreeMap<Arc<ObjectRef>, Node>,
    /// Who has, or may have, an address: one as a rule, so a list of just that many. In order.
    by_address: HashMap<IpAddr, Vec<(Kind, Arc<ObjectRef>)>, RandomState>,
}

impl Cluster {
    /// Adds an object or puts it in the place of an earlier one of its name.
    pub fn apply(&mut self, object: Object) -> Change {
        let kind = object.kind();
        let id = Arc::new(object.id().clone());
        for address in object.addresses() {
            let owners = self.by_address.entry(address).or_default();
            let owner = (kind, id.clone());
            if let Err(place) = owners.binary_search(&owner) {
                owners.reserve_exact(1);
                owners.insert(place, owner);
            }
        }
        let (old, change) = match object {
            Object::Namespace(new) => replace(&mut self.namespaces, id.clone(), *new),
            Object::Pod(new) => replace(&mut self.pods, id.clone(), *new),
            Object::NetworkPolicy(new) => replace(&mut self.policies, id.clone(), *new),
            Object::Service(new) => replace(&mut self.services, id.clone(), *new),
            Object::EndpointSlice(new) => replace(&mut self.slices, id.clone(), *new),
            Object::Node(new) => replace(&mut self.nodes, id.clone(), *new),
        };
        if let Some(old) = old {
            let now: Vec<IpAddr> = self.addresses_of(kind, &id);
            self.forget(
                kind,
                &id,
                old.into_iter().filter(|address| !now.contains(address)),
            );
        }
        if change {
            Change::of(kind, Arc::unwrap_or_clone(id))
        } else {
            Change::nothing()
        }
    }

    /// Takes an object away.
    pub fn delete(&mut self, kind: Kind, id: &ObjectRef) -> Change {
        let addresses = self.addresses_of(kind, id);
        self.forget(kind, id, addresses.into_iter());
        let there = match kind {
            Kind::Namespace => self.namespaces.remove(id).is_some(),
            Kind::Pod => self.pods.remove(id).is_some(),
            Kind::NetworkPolicy => self.policies.remove(id).is_some(),
            Kind::Service => self.services.remove(id).is_some(),
            Kind::EndpointSlice => self.slices.remove(id).is_some(),
            Kind::Node => self.nodes.remove(id).is_some(),
        };
        if there {
            Change::of(kind, id.clone())
        } else {
            Change::nothing()
        }
    }

    /// Swaps in all objects of a kind: what is not among them is gone. Objects of another kind are
    /// applied as they are.
    pub fn reset(&mut self, kind: Kind, objects: Vec<Object>) -> Change {
        let kept: BTreeSet<ObjectRef> = objects
            .iter()
            .filter(|object| object.kind() == kind)
            .map(|o| o.id().clone())
            .collect();
        let gone: Vec<ObjectRef> = self
            .ids(kind)
            .filter(|id| !kept.contains(id))
            .cloned()
            .collect();
        let mut change = Change::nothing();
        for id in gone {
            change.add(self.delete(kind, &id));
        }
        for object in objects {
            change.add(self.apply(object));
        }
        change
    }

    /// A pod by name.
    #[must_use]
    pub fn pod(&self, id: &ObjectRef) -> Option<&Pod> {
        self.pods.get(id)
    }

    /// All pods, by namespace and name.
    pub fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.values()
    }

    /// A namespace by name.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.get(&unnamespaced(name))
    }

    /// All namespaces, by name.
    pub fn namespaces(&self) -> impl Iterator<Item = &Namespace> {
        self.namespaces.values()
    }

    /// All policies, by namespace and name.
    pub fn policies(&self) -> impl Iterator<Item = &AnyPolicy> {
        self.policies.values()
    }

    /// The policies of a namespace, by name.
    pub fn policies_in(&self, namespace: &str) -> impl Iterator<Item = &AnyPolicy> {
        let first = ObjectRef {
            namespace: namespace.to_owned(),
            name: String::new(),
        };
        let theirs = self.policies.range(first..);
        let theirs = theirs.take_while(move |(id, _)| id.namespace == namespace);
        theirs.map(|(_, policy)| policy)
    }

    /// A policy by name.
    pub(crate) fn policy(&self, id: &ObjectRef) -> Option<&AnyPolicy> {
        self.policies.get(id)
    }

    /// A Service by name.
    pub(crate) fn service(&self, id: &ObjectRef) -> Option<&Service> {
        self.services.get(id)
    }

    /// An endpoint slice by name.
    pub(crate) fn endpoint_slice(&self, id: &ObjectRef) -> Option<&EndpointSlice> {
        self.slices.get(id)
    }

    /// All Services, by namespace and name.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.services.values()
    }

    /// All endpoint slices, by namespace and name.
    pub fn endpoint_slices(&self) -> impl Iterator<Item = &EndpointSlice> {
        self.slices.values()
    }

    /// All nodes, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// The names of all objects of a kind, in order.
    pub(crate) fn ids(&self, kind: Kind) -> Box<dyn Iterator<Item = &ObjectRef> + '_> {
        match kind {
            Kind::Namespace => Box::new(self.namespaces.keys().map(Arc::as_ref)),
            Kind::Pod => Box::new(self.pods.keys().map(Arc::as_ref)),
            Kind::NetworkPolicy => Box::new(self.policies.keys().map(Arc::as_ref)),
            Kind::Service => Box::new(self.services.keys().map(Arc::as_ref)),
            Kind::EndpointSlice => Box::new(self.slices.keys().map(Arc::as_ref)),
            Kind::Node => Box::new(self.nodes.keys().map(Arc::as_ref)),
        }
    }

    fn addresses_of(&self, kind: Kind, id: &ObjectRef) -> Vec<IpAddr> {
        match kind {
            Kind::Pod => self.pods.get(id).map(Addressed::addresses),
            Kind::Service => self.services.get(id).map(Addressed::addresses),
            Kind::Node => self.nodes.get(id).map(Addressed::addresses),
            Kind::Namespace | Kind::NetworkPolicy | Kind::EndpointSlice => None,
        }
        .unwrap_or_default()
    }

    fn forget(&mut self, kind: Kind, id: &ObjectRef, addresses: impl Iterator<Item = IpAddr>) {
        for address in addresses {
            if let Some(owners) = self.by_address.get_mut(&address) {
                owners.retain(|(of, owner)| (*of, &**owner) != (kind, id));
                if owners.is_empty() {
                    self.by_address.remove(&address);
                }
            }
        }
    }
}

/// The key of an object that belongs to no namespace.
#[must_use]
pub fn unnamespaced(name: &str) -> ObjectRef {
    ObjectRef {
        namespace: String::new(),
        name: name.to_owned(),
    }
}

/// What has addresses that the directory finds it by.
trait Addressed: PartialEq {
    fn addresses(&self) -> Vec<IpAddr>;
}

/// Puts a value in; the old one's addresses, if there was one, and whether anything is different.
fn replace<T: Addressed>(
    map: &mut BTreeMap<Arc<ObjectRef>, T>,
    id: Arc<ObjectRef>,
    new: T,
) -> (Option<Vec<IpAddr>>, bool) {
    match map.get_mut(&id) {
        Some(old) if *old == new => (None, false),
        Some(old) => {
            let addresses = old.addresses();
            *old = new;
            (Some(addresses), true)
        }
        None => {
            map.insert(id, new);
            (None, true)
        }
    }
}

impl Addressed for Namespace {
    fn addresses(&self) -> Vec<IpAddr> {
        Vec::new()
    }
}

impl Addressed for AnyPolicy {
    fn addresses(&self) -> Vec<IpAddr> {
        Vec::new()
    }
}

impl Addressed for EndpointSlice {
    fn addresses(&self) -> Vec<IpAddr> {
        Vec::new()
    }
}

impl Addressed for Pod {
    fn addresses(&self) -> Vec<IpAddr> {
        self.addresses.clone()
    }
}

impl Addressed for Service {
    fn addresses(&self) -> Vec<IpAddr> {
        self.all_addresses().collect()
    }
}

impl Addressed for Node {
    fn addresses(&self) -> Vec<IpAddr> {
        self.addresses.clone()
    }
}
