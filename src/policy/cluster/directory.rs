//! Who has an address: for logs, explanations and the command line. No verdict depends on it.

use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::objects::{Node, Pod};
use super::services::Service;
use super::{Cluster, Kind, unnamespaced};
use crate::policy::allow_list::ObjectRef;
use crate::policy::selector::Labels;

/// What made a pod, as Hubble names it: a ReplicaSet stands for its Deployment.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct Workload {
    /// Its kind, such as `Deployment`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// A pod by name, addresses and labels. In a set only `addresses` decide; the rest is for the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeerMember {
    /// Its namespace and name.
    #[serde(flatten)]
    pub id: ObjectRef,
    /// Those of its addresses that are in the set.
    pub addresses: Vec<IpAddr>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "no_labels")]
    pub labels: Arc<Labels>,
    /// What made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
    /// The node it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

fn no_labels(labels: &Labels) -> bool {
    labels.is_empty()
}

/// Who a pod is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    #[serde(default)]
    pub labels: Labels,
    /// Its namespace's labels.
    #[serde(default)]
    pub namespace_labels: Labels,
    /// What made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
}

/// Whose an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known<'a> {
    /// A pod's own.
    Pod(&'a Pod),
    /// A Service's.
    Service(&'a Service),
    /// A node's, and that of the pods that share its network.
    Node(&'a str),
}

impl Cluster {
    /// Whose an address is; `None`: nobody's in the cluster.
    #[must_use]
    pub fn at(&self, address: IpAddr) -> Option<Known<'_>> {
        let owners = self.by_address.get(&address)?;
        let pods = || owners.iter().filter(|(kind, _)| *kind == Kind::Pod);
        let pods = || {
            pods()
                .filter_map(|(_, id)| self.pods.get(id))
                .filter(|pod| !pod.finished)
        };
        if let Some(pod) = pods().find(|pod| pod.is_peer()) {
            return Some(Known::Pod(pod));
        }
        let service = owners.iter().find(|(kind, _)| *kind == Kind::Service);
        if let Some(service) = service.and_then(|(_, id)| self.services.get(id)) {
            return Some(Known::Service(service));
        }
        let node = owners.iter().find(|(kind, _)| *kind == Kind::Node);
        let node = node.map(|(_, id)| id.name.as_str());
        let host = || pods().find_map(|pod| pod.node.as_deref());
        node.or_else(host).map(Known::Node)
    }

    /// All that have, or may have, an address, by kind and name.
    pub(crate) fn owners(&self, address: IpAddr) -> &[(Kind, Arc<ObjectRef>)] {
        self.by_address
            .get(&address)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// The pods that selectors can match at an address.
    pub(crate) fn peers_at(&self, address: IpAddr) -> impl Iterator<Item = &Pod> {
        let pods = self.owners(address).iter();
        let pods = pods.filter(|(kind, _)| *kind == Kind::Pod);
        pods.filter_map(|(_, id)| self.pods.get(id))
            .filter(|pod| pod.is_peer())
    }

    /// The pod that has an address of its own.
    #[must_use]
    pub fn pod_at(&self, address: IpAddr) -> Option<&Pod> {
        match self.at(address) {
            Some(Known::Pod(pod)) => Some(pod),
            _ => None,
        }
    }

    /// The Service that has an address.
    #[must_use]
    pub fn service_at(&self, address: IpAddr) -> Option<&Service> {
        match self.at(address) {
            Some(Known::Service(service)) => Some(service),
            _ => None,
        }
    }

    /// Who the pod at an address is.
    #[must_use]
    pub fn identify(&self, address: IpAddr) -> Option<Identity> {
        self.pod_at(address).map(|pod| self.identity(pod))
    }

    /// Who a pod is.
    #[must_use]
    pub fn identity(&self, pod: &Pod) -> Identity {
        let ObjectRef { namespace, name } = pod.id.clone();
        let namespace_labels = self
            .namespaces
            .get(&unnamespaced(&namespace))
            .map(|namespace| namespace.labels.clone());
        Identity {
            namespace,
            name,
            labels: Labels::clone(&pod.labels),
            namespace_labels: namespace_labels.unwrap_or_default(),
            workload: pod.workload.clone(),
        }
    }

    /// A node by name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(&unnamespaced(name))
    }
}

impl Workload {
    /// What made the object that has this metadata.
    #[must_use]
    pub fn of(metadata: &ObjectMeta) -> Option<Self> {
        let owners = metadata.owner_references.iter().flatten();
        let owner = owners.clone().find(|owner| owner.controller == Some(true));
        let owner = owner.or_else(|| owners.clone().next())?;
        let hash = metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get("pod-template-hash"));
        // A ReplicaSet of a Deployment is named after it and the hash of its template.
        let deployment = hash
            .filter(|_| owner.kind == "ReplicaSet")
            .and_then(|hash| owner.name.strip_suffix(hash.as_str())?.strip_suffix('-'));
        Some(match deployment {
            Some(name) => Self {
                kind: "Deployment".to_owned(),
                name: name.to_owned(),
            },
            None => Self {
                kind: owner.kind.clone(),
                name: owner.name.clone(),
            },
        })
    }
}
