//! The lab as its users hold it.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::capture::{Capture, Point};
use crate::flows::Flows;
use crate::options::Builder;
use crate::pod::Pod;

/// A running cluster in a box. Everything it made goes away with [`Lab::stop`], or when it is dropped.
pub struct Lab {
    flows: Flows,
    kubeconfig: std::path::PathBuf,
    client: kube::Client,
}

impl Lab {
    /// Says what the lab is to be.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) async fn start(options: Builder) -> Result<Self> {
        let _ = (&options, Flows::new());
        bail!("not built yet")
    }

    /// A kubeconfig for this machine: `kubectl --kubeconfig …` works with it.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A client for the API server.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// A pod by `namespace/name`.
    ///
    /// # Errors
    /// When no such pod is up; the message names those that are.
    pub fn pod(&self, name: &str) -> Result<Pod> {
        bail!("no pod {name}")
    }

    /// Waits until a pod (`namespace/name`), made by `kubectl` say, is up.
    ///
    /// # Errors
    /// When it is not in time; with what is known of why.
    pub async fn wait_for_pod(&self, name: &str, timeout: Duration) -> Result<Pod> {
        bail!("no pod {name} within {timeout:?}")
    }

    /// Every pod that is up.
    #[must_use]
    pub fn pods(&self) -> Vec<Pod> {
        Vec::new()
    }

    /// A host outside of the cluster with this address, reached through the node without any
    /// translation; it listens on the given ports for TCP and UDP. For `ipBlock` rules.
    ///
    /// # Errors
    /// When the namespace cannot be made.
    pub async fn outside(&self, addresses: &[IpAddr], ports: &[u16]) -> Result<Pod> {
        bail!("no host for {addresses:?} {ports:?}")
    }

    /// Creates or changes objects through the API, as `kubectl apply` would.
    ///
    /// # Errors
    /// When a document is no object, or the API server refuses it.
    pub async fn apply(&self, yaml: &str) -> Result<()> {
        bail!("{yaml}")
    }

    /// Deletes the objects that these documents name, as `kubectl delete -f` would; those already
    /// gone are fine.
    ///
    /// # Errors
    /// When a document is no object, or the API server refuses.
    pub async fn delete(&self, yaml: &str) -> Result<()> {
        bail!("{yaml}")
    }

    /// The flow log of all sidecars.
    #[must_use]
    pub const fn flows(&self) -> &Flows {
        &self.flows
    }

    /// Waits until every sidecar enforces exactly what the cluster's present objects mean for its
    /// pod, and until every Service is translated to its present endpoints.
    ///
    /// # Errors
    /// When some sidecar does not in time; it is named, with the difference.
    pub async fn settled(&self, timeout: Duration) -> Result<()> {
        bail!("not settled within {timeout:?}")
    }

    /// Watches packets at a point of a pod (`namespace/name`) or of the node (`node`).
    ///
    /// # Errors
    /// When there is no such pod or interface.
    pub async fn capture(&self, place: &str, point: Point) -> Result<Capture> {
        bail!("no {place} {point:?}")
    }

    /// Ends everything and removes it.
    ///
    /// # Errors
    /// When something could not be removed; the rest is gone all the same.
    pub async fn stop(self) -> Result<()> {
        bail!("not running")
    }
}
