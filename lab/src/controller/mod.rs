//! What makes the cluster's objects real: pods as namespaces ([`pods`]), Services as slices and
//! translations ([`services`]). Level-triggered: after every change they look at everything and bring
//! the machine to what the objects say, so a missed event cannot stay missed.

mod injected;
pub(crate) mod pods;
pub(crate) mod services;
mod status;
mod up;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use kube::Client;
use tokio::sync::{Semaphore, watch};

use crate::access::kubeconfig::Access;
use crate::cluster::Cluster;
use crate::flows::Flows;
use crate::machine::claim::Claim;
use crate::machine::nft::Services;
use crate::network::Network;
use crate::options::Builder;

/// What the controllers and the lab share.
pub(crate) struct Shared {
    pub(crate) claim: Arc<Claim>,
    pub(crate) network: Arc<Network>,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) client: Client,
    /// The API server is the lab's own.
    pub(crate) embedded: bool,
    pub(crate) flows: Flows,
    pub(crate) options: Builder,
    /// The sidecar's binary, when any pod may need it.
    pub(crate) sidecar_binary: Option<PathBuf>,
    /// The kubeconfig that works inside of pods.
    pub(crate) pod_kubeconfig: PathBuf,
    /// The same, to be written for others.
    pub(crate) pod_access: Access,
    /// Names of the nodes with their addresses; the first one runs what names none.
    pub(crate) nodes: Vec<(String, Vec<IpAddr>)>,
    /// What manifests said of a pod's status, by `namespace/name`.
    pub(crate) given: HashMap<String, Given>,
    /// Every pod, by `namespace/name`.
    pub(crate) pods: watch::Sender<pods::Pods>,
    /// What the node translates now; `None` before the first time.
    pub(crate) programmed: watch::Sender<Option<Services>>,
    /// How many pods come up at once.
    pub(crate) workers: Semaphore,
}

/// What a manifest says of a pod's status.
#[derive(Debug, Clone, Default)]
pub(crate) struct Given {
    /// `status.podIPs` or `status.podIP`.
    pub(crate) addresses: Vec<IpAddr>,
    /// `Succeeded` or `Failed`: a pod that has ended.
    pub(crate) ended: Option<String>,
}

impl Shared {
    /// The addresses of a node; of the first one if the name is not known.
    pub(crate) fn node_addresses(&self, name: &str) -> &[IpAddr] {
        let named = self.nodes.iter().find(|(node, _)| node == name);
        named
            .or(self.nodes.first())
            .map_or(&[], |(_, addresses)| addresses)
    }

    /// Whether the node is one of the lab's.
    pub(crate) fn is_our_node(&self, name: &str) -> bool {
        self.nodes.iter().any(|(node, _)| node == name)
    }

    /// The node for pods that name none.
    pub(crate) fn first_node(&self) -> &str {
        self.nodes.first().map_or("lab", |(name, _)| name)
    }
}
