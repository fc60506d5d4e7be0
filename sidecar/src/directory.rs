//! Who has which address: names for the flow log.
//!
//! Not here: any decision. A name that is late or missing changes a line of the log, never a
//! verdict. The task that owns the index (`watch`) writes; the log reads, without waiting for it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use dashmap::DashMap;
use foldhash::fast::RandomState;
use sidewall::lists::held::Held;
use sidewall::lists::wire::{Members, PeerMember};
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::cluster::objects::{Object, Pod};
use sidewall::policy::cluster::services::Service;
use sidewall::policy::cluster::{Identity, Kind};
use sidewall::policy::selector::Labels;

/// Addresses of pods and Services, and the labels of namespaces.
#[derive(Debug, Default)]
pub struct Directory {
    namespaces: DashMap<String, Labels, RandomState>,
    pods: DashMap<IpAddr, Arc<PeerMember>, RandomState>,
    services: DashMap<IpAddr, ObjectRef, RandomState>,
    /// The own pod, where no index tells who it is.
    own: ArcSwapOption<PeerMember>,
}

impl Directory {
    /// The pod that has this address now.
    #[must_use]
    pub fn pod(&self, address: IpAddr) -> Option<Arc<PeerMember>> {
        let known = self.pods.get(&address).map(|entry| Arc::clone(&entry));
        known.or_else(|| {
            let own = self.own.load_full()?;
            own.addresses.contains(&address).then_some(own)
        })
    }

    /// The Service that has this address now.
    #[must_use]
    pub fn service(&self, address: IpAddr) -> Option<ObjectRef> {
        self.services.get(&address).map(|entry| entry.clone())
    }

    /// The pod that has this address now, as explanations want it.
    #[must_use]
    pub fn identify(&self, address: IpAddr) -> Option<Identity> {
        let pod = self.pod(address)?;
        let namespace_labels = self.namespaces.get(&pod.id.namespace);
        Some(Identity {
            namespace: pod.id.namespace.clone(),
            name: pod.id.name.clone(),
            labels: Labels::clone(&pod.labels),
            namespace_labels: namespace_labels
                .map(|labels| labels.clone())
                .unwrap_or_default(),
            workload: pod.workload.clone(),
        })
    }

    /// An object is there, like this.
    pub fn apply(&self, object: &Object) {
        match object {
            Object::Pod(pod) => self.apply_pod(pod),
            Object::Service(service) => self.apply_service(service),
            Object::Namespace(namespace) => {
                let name = namespace.id.name.clone();
                self.namespaces.insert(name, namespace.labels.clone());
            }
            Object::NetworkPolicy(_) | Object::EndpointSlice(_) | Object::Node(_) => {}
        }
    }

    /// An object is gone.
    pub fn delete(&self, kind: Kind, id: &ObjectRef) {
        match kind {
            Kind::Pod => self.pods.retain(|_, identity| identity.id != *id),
            Kind::Service => self.services.retain(|_, name| name != id),
            Kind::Namespace => drop(self.namespaces.remove(&id.name)),
            Kind::NetworkPolicy | Kind::EndpointSlice | Kind::Node => {}
        }
    }

    /// Forgets all of a kind, before a new list of them.
    pub fn clear(&self, kind: Kind) {
        match kind {
            Kind::Pod => self.pods.clear(),
            Kind::Service => self.services.clear(),
            Kind::Namespace => self.namespaces.clear(),
            Kind::NetworkPolicy | Kind::EndpointSlice | Kind::Node => {}
        }
    }

    /// Takes the names from a list that came ready-made, in place of all before: its peers, without
    /// the labels of their namespaces, and its Services.
    pub fn list(&self, held: &Held) {
        let mut pods: HashMap<IpAddr, &Arc<PeerMember>, RandomState> = HashMap::default();
        let mut services: HashMap<IpAddr, &ObjectRef, RandomState> = HashMap::default();
        for slice in held.slices.values() {
            match &slice.members {
                Members::Peers(peers) => {
                    for peer in peers {
                        pods.extend(peer.addresses.iter().map(|address| (*address, peer)));
                    }
                }
                Members::Services(members) => {
                    for member in members {
                        let addresses = member.service.all_addresses();
                        services.extend(addresses.map(|address| (address, &member.service.id)));
                    }
                }
            }
        }
        // Never emptied in between: a line of the log may be on its way. Most stay as they are.
        self.pods.retain(|address, known| {
            let pod = pods.remove(address);
            if let Some(pod) = pod
                && !Arc::ptr_eq(known, pod)
            {
                *known = Arc::clone(pod);
            }
            pod.is_some()
        });
        for (address, pod) in pods {
            self.pods.insert(address, Arc::clone(pod));
        }
        self.services.retain(|address, known| {
            let service = services.remove(address);
            if let Some(service) = service
                && known != service
            {
                known.clone_from(service);
            }
            service.is_some()
        });
        for (address, service) in services {
            self.services.insert(address, service.clone());
        }
    }

    /// Who the own pod is, where no index tells.
    pub fn set_own(&self, own: PeerMember) {
        self.own.store(Some(Arc::new(own)));
    }

    fn apply_pod(&self, pod: &Pod) {
        let addresses: &[IpAddr] = if pod.is_peer() { &pod.addresses } else { &[] };
        let known = |address| {
            let entry = self.pods.get(address);
            entry.is_some_and(|entry| **entry == *pod.member)
        };
        // Most events of a pod are about its status and change nothing here.
        if !addresses.is_empty() && addresses.iter().all(known) {
            return;
        }
        self.delete(Kind::Pod, &pod.id);
        for address in addresses {
            self.pods.insert(*address, Arc::clone(&pod.member));
        }
    }

    fn apply_service(&self, service: &Service) {
        self.delete(Kind::Service, &service.id);
        for address in service.all_addresses() {
            self.services.insert(address, service.id.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1 as core;
    use serde_json::json;

    fn pod(name: &str, address: &str, phase: &str, host_network: bool) -> Object {
        let pod: core::Pod = serde_json::from_value(json!({
            "metadata": {"namespace": "shop", "name": name, "labels": {"app": "web", "tier": "front"}},
            "spec": {"containers": [], "hostNetwork": host_network},
            "status": {"phase": phase, "podIP": address, "podIPs": [{"ip": address}]}
        }))
        .expect("a pod");
        Object::from(&pod)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_identity_has_the_labels_of_its_namespace() {
        let directory = Directory::default();
        directory.apply(&pod("web", "10.0.0.1", "Running", false));
        let namespace: core::Namespace =
            serde_json::from_value(json!({"metadata": {"name": "shop", "labels": {"team": "a"}}}))
                .expect("a namespace");
        directory.apply(&Object::from(&namespace));
        let identity = directory.identify(address("10.0.0.1")).expect("known");
        assert_eq!(identity.labels["tier"], "front");
        assert_eq!(identity.namespace_labels["team"], "a");
    }

    #[test]
    fn an_address_follows_its_pod() {
        let directory = Directory::default();
        directory.apply(&pod("a", "10.0.0.1", "Running", false));
        directory.apply(&pod("a", "10.0.0.2", "Running", false));
        assert!(directory.pod(address("10.0.0.1")).is_none());
        directory.apply(&pod("a", "10.0.0.2", "Succeeded", false));
        assert!(directory.pod(address("10.0.0.2")).is_none());
    }

    #[test]
    fn a_pod_on_the_nodes_network_has_no_address_of_its_own() {
        let directory = Directory::default();
        directory.apply(&pod("a", "10.0.1.1", "Running", true));
        assert!(directory.pod(address("10.0.1.1")).is_none());
    }

    #[test]
    fn an_address_that_another_pod_took_over_stays_with_it() {
        let directory = Directory::default();
        directory.apply(&pod("old", "10.0.0.1", "Running", false));
        directory.apply(&pod("new", "10.0.0.1", "Running", false));
        let old = ObjectRef {
            namespace: "shop".into(),
            name: "old".into(),
        };
        directory.delete(Kind::Pod, &old);
        assert_eq!(
            directory.pod(address("10.0.0.1")).expect("known").id.name,
            "new"
        );
    }

    #[test]
    fn a_service_is_known_by_its_address_until_a_new_list() {
        let directory = Directory::default();
        let service: core::Service = serde_json::from_value(json!({
            "metadata": {"namespace": "shop", "name": "db"},
            "spec": {"clusterIP": "10.96.0.5", "clusterIPs": ["10.96.0.5"]}
        }))
        .expect("a Service");
        directory.apply(&Object::from(&service));
        assert_eq!(
            directory.service(address("10.96.0.5")).expect("known").name,
            "db"
        );
        directory.clear(Kind::Service);
        assert!(directory.service(address("10.96.0.5")).is_none());
    }
}
