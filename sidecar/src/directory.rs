//! Who has which address: names for the flow log.
//!
//! Not here: any decision. A name that is late or missing changes a line of the log, never a
//! verdict. The task that owns the policy index writes; the log reads, without waiting for it.

use std::net::IpAddr;
use std::sync::Arc;

use dashmap::DashMap;
use foldhash::fast::RandomState;
use k8s_openapi::api::core::v1::{Pod, Service};
use sidewall::policy::allow_list::ObjectRef;

/// A pod as the log names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodIdentity {
    /// Namespace and name.
    pub pod: ObjectRef,
    /// Labels as Hubble writes them: `k8s:app=db`.
    pub labels: Vec<String>,
    /// What created the pod, as name and kind.
    pub workload: Option<(String, String)>,
    /// The node it runs on.
    pub node: Option<String>,
}

/// Addresses of pods and Services.
#[derive(Debug, Default)]
pub struct Directory {
    pods: DashMap<IpAddr, Arc<PodIdentity>, RandomState>,
    services: DashMap<IpAddr, ObjectRef, RandomState>,
}

impl Directory {
    /// The pod that has this address now.
    #[must_use]
    pub fn pod(&self, address: IpAddr) -> Option<Arc<PodIdentity>> {
        self.pods.get(&address).map(|entry| Arc::clone(&entry))
    }

    /// The Service that has this address now.
    #[must_use]
    pub fn service(&self, address: IpAddr) -> Option<ObjectRef> {
        self.services.get(&address).map(|entry| entry.clone())
    }

    /// A pod is there, like this.
    pub fn apply_pod(&self, pod: &Pod) {
        let identity = identity(pod);
        let addresses = pod_addresses(pod);
        let known = addresses.iter().all(|address| {
            self.pods
                .get(address)
                .is_some_and(|entry| **entry == identity)
        });
        // Most events of a pod are about its status and change nothing here.
        if known && !addresses.is_empty() {
            return;
        }
        self.delete_pod(&identity.pod);
        let identity = Arc::new(identity);
        for address in addresses {
            self.pods.insert(address, Arc::clone(&identity));
        }
    }

    /// A pod is gone.
    pub fn delete_pod(&self, pod: &ObjectRef) {
        self.pods.retain(|_, identity| identity.pod != *pod);
    }

    /// A Service is there, like this.
    pub fn apply_service(&self, service: &Service) {
        let name = crate::watch::kind::object_ref(&service.metadata);
        self.delete_service(&name);
        for address in service_addresses(service) {
            self.services.insert(address, name.clone());
        }
    }

    /// A Service is gone.
    pub fn delete_service(&self, service: &ObjectRef) {
        self.services.retain(|_, name| name != service);
    }

    /// Forgets all pods, before a new list of them.
    pub fn clear_pods(&self) {
        self.pods.clear();
    }

    /// Forgets all Services, before a new list of them.
    pub fn clear_services(&self) {
        self.services.clear();
    }
}

/// The addresses that are the pod's own: none with the node's network, none once it has finished.
fn pod_addresses(pod: &Pod) -> Vec<IpAddr> {
    let host_network = pod.spec.as_ref().and_then(|spec| spec.host_network);
    let Some(status) = pod.status.as_ref() else {
        return Vec::new();
    };
    if host_network == Some(true)
        || matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"))
    {
        return Vec::new();
    }
    let mut addresses: Vec<IpAddr> = status
        .pod_ips
        .iter()
        .flatten()
        .map(|entry| entry.ip.as_str())
        .chain(status.pod_ip.as_deref())
        .filter_map(|text| text.parse().ok())
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

fn service_addresses(service: &Service) -> Vec<IpAddr> {
    let spec = service.spec.as_ref();
    let cluster = spec.and_then(|spec| spec.cluster_ips.as_ref());
    let single = spec.and_then(|spec| spec.cluster_ip.as_ref());
    let external = spec.and_then(|spec| spec.external_ips.as_ref());
    let balancer = service
        .status
        .as_ref()
        .and_then(|status| status.load_balancer.as_ref())
        .and_then(|balancer| balancer.ingress.as_ref());
    // "None" of a headless Service and host names do not parse, as they should not.
    cluster
        .into_iter()
        .flatten()
        .chain(single)
        .chain(external.into_iter().flatten())
        .chain(balancer.into_iter().flatten().filter_map(|entry| entry.ip.as_ref()))
        .filter_map(|text| text.parse().ok())
        .collect()
}

fn identity(pod: &Pod) -> PodIdentity {
    let labels = pod.metadata.labels.iter().flatten();
    PodIdentity {
        pod: crate::watch::kind::object_ref(&pod.metadata),
        labels: labels
            .map(|(key, value)| format!("k8s:{key}={value}"))
            .collect(),
        workload: workload(pod),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
    }
}

/// The controller that made the pod; for a ReplicaSet named after its template's hash, the
/// Deployment behind it, as Hubble and kubectl see it.
fn workload(pod: &Pod) -> Option<(String, String)> {
    let owner = pod
        .metadata
        .owner_references
        .iter()
        .flatten()
        .find(|owner| owner.controller == Some(true))?;
    let hash = pod
        .metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get("pod-template-hash"));
    let deployment = hash
        .and_then(|hash| owner.name.strip_suffix(hash.as_str()))
        .and_then(|name| name.strip_suffix('-'))
        .filter(|_| owner.kind == "ReplicaSet");
    Some(match deployment {
        Some(name) => (name.to_owned(), "Deployment".to_owned()),
        None => (owner.name.clone(), owner.kind.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, address: &str, phase: &str, host_network: bool) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"namespace": "shop", "name": name,
                "labels": {"app": "web", "pod-template-hash": "6d4cf56db6"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "uid": "1",
                                     "name": "web-6d4cf56db6", "controller": true}]},
            "spec": {"containers": [], "hostNetwork": host_network},
            "status": {"phase": phase, "podIP": address, "podIPs": [{"ip": address}]}
        }))
        .expect("a pod")
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_pod_of_a_deployment_is_named_after_the_deployment() {
        let directory = Directory::default();
        directory.apply_pod(&pod("web-6d4cf56db6-x", "10.0.0.1", "Running", false));
        let identity = directory.pod(address("10.0.0.1")).expect("known");
        assert_eq!(identity.workload, Some(("web".into(), "Deployment".into())));
        assert_eq!(identity.labels, ["k8s:app=web", "k8s:pod-template-hash=6d4cf56db6"]);
    }

    #[test]
    fn an_address_follows_its_pod() {
        let directory = Directory::default();
        directory.apply_pod(&pod("a", "10.0.0.1", "Running", false));
        directory.apply_pod(&pod("a", "10.0.0.2", "Running", false));
        assert!(directory.pod(address("10.0.0.1")).is_none());
        directory.apply_pod(&pod("a", "10.0.0.2", "Succeeded", false));
        assert!(directory.pod(address("10.0.0.2")).is_none());
    }

    #[test]
    fn a_pod_on_the_nodes_network_has_no_address_of_its_own() {
        let directory = Directory::default();
        directory.apply_pod(&pod("a", "10.0.1.1", "Running", true));
        assert!(directory.pod(address("10.0.1.1")).is_none());
    }

    #[test]
    fn an_address_that_another_pod_took_over_stays_with_it() {
        let directory = Directory::default();
        directory.apply_pod(&pod("old", "10.0.0.1", "Running", false));
        directory.apply_pod(&pod("new", "10.0.0.1", "Running", false));
        directory.delete_pod(&ObjectRef { namespace: "shop".into(), name: "old".into() });
        assert_eq!(directory.pod(address("10.0.0.1")).expect("known").pod.name, "new");
    }

    #[test]
    fn a_headless_service_has_no_address() {
        let directory = Directory::default();
        let service: Service = serde_json::from_value(json!({
            "metadata": {"namespace": "shop", "name": "db"},
            "spec": {"clusterIP": "None", "clusterIPs": ["None"], "externalIPs": ["192.0.2.1"]}
        }))
        .expect("a Service");
        directory.apply_service(&service);
        assert_eq!(directory.service(address("192.0.2.1")).expect("known").name, "db");
        assert_eq!(directory.services.len(), 1);
    }
}
