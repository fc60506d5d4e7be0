//! The lab as its users hold it.

mod build;
mod outside;
mod server;
mod settle;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use tokio::task::JoinSet;

use crate::access::objects;
use crate::api::ApiServer;
use crate::capture::{Capture, Point};
use crate::controller::Shared;
use crate::controller::pods::{Pods, State};
use crate::flows::Flows;
use crate::manifests;
use crate::options::Builder;
use crate::pod::Pod;

/// How long objects may take to go: a pod takes milliseconds, a namespace of a busy cluster seconds.
const GOING: Duration = Duration::from_secs(30);

/// A running cluster in a box. Everything it made goes away with [`Lab::stop`], or when it is dropped.
pub struct Lab {
    shared: Arc<Shared>,
    controllers: JoinSet<()>,
    server: server::Server,
    /// What was created at start, in this order.
    made: Vec<serde_json::Value>,
    outside: std::sync::Mutex<Vec<Pod>>,
}

impl Lab {
    /// Says what the lab is to be.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) async fn start(options: Builder) -> Result<Self> {
        build::build(options).await
    }

    /// Six hexadecimal digits that are in the name of everything the lab makes on the machine.
    #[must_use]
    pub fn id(&self) -> &str {
        self.shared.claim.id()
    }

    /// A kubeconfig for this machine: `kubectl --kubeconfig …` works with it.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.server.kubeconfig
    }

    /// The kubeconfig of the sidecars: the API server as it is reached from inside of pods.
    #[must_use]
    pub fn pod_kubeconfig(&self) -> &Path {
        &self.server.pod_kubeconfig
    }

    /// Where pods and the node reach the API server, for a kubeconfig of their own
    /// ([`ApiServer::kubeconfig_for`]).
    #[must_use]
    pub const fn api_inside(&self) -> SocketAddr {
        self.server.inside
    }

    /// The embedded API server, to make it misbehave; `None` when a real one is used.
    #[must_use]
    pub const fn api(&self) -> Option<&ApiServer> {
        self.server.embedded.as_ref()
    }

    /// A client for the API server.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        self.shared.client.clone()
    }

    /// A pod by `namespace/name`.
    ///
    /// # Errors
    /// When no such pod is up; the message tells why, or which are.
    pub fn pod(&self, name: &str) -> Result<Pod> {
        let pods = self.shared.pods.borrow();
        match pods.get(name) {
            Some(State::Up(pod)) => Ok(pod.clone()),
            Some(State::Starting) => bail!("the pod {name} is not up yet"),
            Some(State::Ended) => bail!("the pod {name} has ended"),
            Some(State::Failed(problem)) => bail!("the pod {name} did not come up: {problem}"),
            None => {
                let known: Vec<&str> = pods.keys().map(String::as_str).collect();
                bail!("no pod {name}; there are: {}", known.join(", "))
            }
        }
    }

    /// Waits until a pod (`namespace/name`), made by `kubectl` say, is up.
    ///
    /// # Errors
    /// When it is not in time; with what is known of why.
    pub async fn wait_for_pod(&self, name: &str, timeout: Duration) -> Result<Pod> {
        let mut pods = self.shared.pods.subscribe();
        let decided = pods.wait_for(|pods| match pods.get(name) {
            Some(State::Starting) | None => false,
            Some(State::Up(_) | State::Ended | State::Failed(_)) => true,
        });
        let waited = tokio::time::timeout(timeout, decided).await.map(drop);
        let pod = self.pod(name);
        match waited {
            Ok(()) => pod,
            Err(_) => pod.with_context(|| format!("waited {timeout:?} for {name}")),
        }
    }

    /// Waits until a pod (`namespace/name`) is gone, with its network.
    ///
    /// # Errors
    /// When it is still there.
    pub async fn wait_for_no_pod(&self, name: &str, timeout: Duration) -> Result<()> {
        let mut pods = self.shared.pods.subscribe();
        let gone = pods.wait_for(|pods| !pods.contains_key(name));
        let gone = tokio::time::timeout(timeout, gone).await;
        gone.map(drop)
            .map_err(|_| anyhow!("the pod {name} is still there after {timeout:?}"))
    }

    /// Every pod that is up.
    #[must_use]
    pub fn pods(&self) -> Vec<Pod> {
        up(&self.shared.pods.borrow())
    }

    /// The node's own addresses.
    #[must_use]
    pub fn node_addresses(&self) -> &[IpAddr] {
        &self.shared.network.plan().node
    }

    /// A host outside of the cluster with this address, reached through the node without any
    /// translation; it listens on the given ports for TCP and UDP. For `ipBlock` rules.
    ///
    /// # Errors
    /// When the namespace cannot be made.
    pub async fn outside(&self, addresses: &[IpAddr], ports: &[u16]) -> Result<Pod> {
        outside::host(self, addresses, ports).await
    }

    /// Creates or changes objects through the API, as `kubectl apply --server-side` would.
    ///
    /// # Errors
    /// When a document is no object, or the API server refuses it.
    pub async fn apply(&self, yaml: &str) -> Result<()> {
        objects::apply(&self.shared.client, &manifests::documents(yaml)?).await
    }

    /// Deletes the objects that these documents name, as `kubectl delete -f` would; those already
    /// gone are fine.
    ///
    /// # Errors
    /// When a document is no object, or the API server refuses.
    pub async fn delete(&self, yaml: &str) -> Result<()> {
        objects::delete(&self.shared.client, &manifests::documents(yaml)?).await
    }

    /// The flow log of all sidecars.
    #[must_use]
    pub fn flows(&self) -> &Flows {
        &self.shared.flows
    }

    /// Waits until every pod is up, every sidecar enforces exactly what the cluster's present objects
    /// mean for its pod, and every Service is translated to its present endpoints.
    ///
    /// # Errors
    /// When something is not so in time; it is named, with the difference.
    pub async fn settled(&self, timeout: Duration) -> Result<()> {
        settle::settled(&self.shared, timeout).await
    }

    /// Watches packets at a point of a pod (`namespace/name`) or of the node (`node`).
    ///
    /// # Errors
    /// When there is no such pod or interface.
    pub async fn capture(&self, place: &str, point: Point) -> Result<Capture> {
        if place == "node" {
            let network = &self.shared.network;
            return Capture::start(network.node(), point, &network.plan().node).await;
        }
        self.pod(place)?.capture(point).await
    }

    /// Ends everything and removes it; from a real API server, the objects it was started with.
    ///
    /// # Errors
    /// When a sidecar could not be ended, or an object not deleted; everything else is gone all the
    /// same.
    pub async fn stop(mut self) -> Result<()> {
        let deleted = self.delete_made().await;
        self.controllers.shutdown().await;
        let ends = self.pods().into_iter().filter_map(|pod| pod.sidecar());
        let ends = ends.filter(|sidecar| sidecar.pid().is_some());
        let ends: Vec<_> = ends
            .map(|sidecar| async move { sidecar.kill_hard().await })
            .collect();
        let ended = futures::future::join_all(ends).await;
        self.shared.cluster.stop().await;
        if let Some(server) = self.server.embedded.take() {
            server.shutdown().await;
        }
        drop(self);
        ended.into_iter().collect::<Result<()>>()?;
        deleted
    }

    /// Deletes what was created at start, the last first: pods wait for this lab, their kubelet, to
    /// say that they are gone, and a namespace for everything in it. An embedded server goes away
    /// with all it has.
    async fn delete_made(&mut self) -> Result<()> {
        if self.shared.embedded {
            return Ok(());
        }
        let made = std::mem::take(&mut self.made);
        let (namespaces, others): (Vec<_>, Vec<_>) = made
            .into_iter()
            .rev()
            .partition(|object| object["kind"] == "Namespace");
        let client = &self.shared.client;
        for objects in [others, namespaces] {
            objects::delete(client, &objects).await?;
            let gone = tokio::time::timeout(GOING, objects::gone(client, &objects)).await;
            gone.map_err(|_| anyhow!("objects are still there after {GOING:?}"))??;
        }
        Ok(())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // No waiting here: kill, then let the claim take processes, names and folder away. A namespace
        // ends when the last socket in it does, which the aborted tasks hold.
        self.controllers.abort_all();
        let outside = std::mem::take(
            &mut *self
                .outside
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        );
        for pod in self.pods().iter().chain(&outside) {
            if let Some(sidecar) = pod.sidecar() {
                sidecar.kill_now();
            }
            pod.silence();
        }
        self.shared.pods.send_replace(Pods::new());
        self.shared.claim.release();
    }
}

fn up(pods: &Pods) -> Vec<Pod> {
    pods.values()
        .filter_map(|state| match state {
            State::Up(pod) => Some(pod.clone()),
            State::Starting | State::Ended | State::Failed(_) => None,
        })
        .collect()
}
