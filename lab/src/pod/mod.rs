//! A pod that is up: a namespace, addresses, and what can be done from inside of it.

mod connect;
mod resolve;

use std::ffi::OsStr;
use std::net::IpAddr;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use sidewall::net::Protocol;

use crate::capture::{Capture, Point};
use crate::cluster::Cluster;
use crate::machine::claim::Claim;
use crate::network::Attachment;
use crate::outcome::{Outcome, ResolveError, Target};
use crate::serve::{Host, Servers};
use crate::sidecar::Sidecar;

/// A pod that is up. Clones share it.
#[derive(Debug, Clone)]
pub struct Pod {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: Arc<str>,
    namespace: String,
    uid: String,
    attachment: Attachment,
    on_node: bool,
    claim: Arc<Claim>,
    cluster: Arc<Cluster>,
    servers: Mutex<Vec<Servers>>,
    sidecar: Mutex<Option<Sidecar>>,
}

/// What a pod is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) attachment: Attachment,
    pub(crate) on_node: bool,
    pub(crate) claim: Arc<Claim>,
    pub(crate) cluster: Arc<Cluster>,
}

impl Pod {
    pub(crate) fn new(parts: Parts) -> Self {
        let inner = Inner {
            name: format!("{}/{}", parts.namespace, parts.name).into(),
            namespace: parts.namespace,
            uid: parts.uid,
            attachment: parts.attachment,
            on_node: parts.on_node,
            claim: parts.claim,
            cluster: parts.cluster,
            servers: Mutex::default(),
            sidecar: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// `namespace/name`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Its addresses, the primary family first.
    #[must_use]
    pub fn addresses(&self) -> &[IpAddr] {
        &self.inner.attachment.addresses
    }

    /// Its first IPv4 address.
    #[must_use]
    pub fn ipv4(&self) -> Option<IpAddr> {
        self.addresses().iter().copied().find(IpAddr::is_ipv4)
    }

    /// Its first IPv6 address.
    #[must_use]
    pub fn ipv6(&self) -> Option<IpAddr> {
        self.addresses().iter().copied().find(IpAddr::is_ipv6)
    }

    /// The name of its network namespace, as `ip netns exec` takes it.
    #[must_use]
    pub fn netns(&self) -> &str {
        self.inner.attachment.namespace.name()
    }

    /// Tries a new connection. TCP: handshake, a line, the answer's first line. UDP: a datagram and
    /// its answer. SCTP: an association.
    pub async fn connect(&self, target: &Target, protocol: Protocol, timeout: Duration) -> Outcome {
        connect::connect(self, target, protocol, timeout).await
    }

    /// Looks a name up by a real DNS query to the cluster's DNS Service, with the search list that a
    /// kubelet would write.
    ///
    /// # Errors
    /// When there is no answer, or none with an address.
    pub async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        resolve::resolve(self, name, resolve::PATIENCE).await
    }

    /// Runs a command in the pod's namespace to its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn exec<A: AsRef<OsStr>>(
        &self,
        command: impl AsRef<OsStr>,
        args: impl IntoIterator<Item = A>,
    ) -> Result<Output> {
        Ok(self.spawn(command, args)?.wait_with_output().await?)
    }

    /// Starts a command in the pod's namespace, its output piped. It is killed when dropped, and does
    /// not outlive the lab.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn<A: AsRef<OsStr>>(
        &self,
        command: impl AsRef<OsStr>,
        args: impl IntoIterator<Item = A>,
    ) -> Result<tokio::process::Child> {
        let mut prepared = tokio::process::Command::new(&command);
        prepared
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let spawned = self
            .inner
            .attachment
            .namespace
            .run_blocking(|| prepared.spawn())?;
        let child = spawned
            .with_context(|| format!("cannot run {}", command.as_ref().to_string_lossy()))?;
        if let Some(pid) = child.id() {
            self.inner.claim.note_process(pid);
        }
        Ok(child)
    }

    /// Runs a function on a thread inside the pod's namespace: sockets it opens belong to the pod.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or the function panics.
    pub async fn within<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        self.inner.attachment.namespace.run(work).await
    }

    /// Its sidecar, if it has one.
    #[must_use]
    pub fn sidecar(&self) -> Option<Sidecar> {
        self.inner
            .sidecar
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Watches packets at a point of the pod.
    ///
    /// # Errors
    /// When there is no such interface.
    pub async fn capture(&self, point: Point) -> Result<Capture> {
        Capture::start(&self.inner.attachment.namespace, point, self.addresses()).await
    }

    /// Its Kubernetes namespace.
    pub(crate) fn namespace(&self) -> &str {
        &self.inner.namespace
    }

    /// The object's uid: another pod of the same name has another one.
    pub(crate) fn uid(&self) -> &str {
        &self.inner.uid
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.inner.cluster
    }

    pub(crate) fn cluster_arc(&self) -> &Arc<Cluster> {
        &self.inner.cluster
    }

    pub(crate) fn attachment(&self) -> &Attachment {
        &self.inner.attachment
    }

    /// On the node's own network.
    pub(crate) fn is_on_node(&self) -> bool {
        self.inner.on_node
    }

    /// What its servers say of themselves, and where they listen.
    pub(crate) fn host(&self) -> Host {
        Host {
            name: Arc::clone(&self.inner.name),
            namespace: Arc::clone(&self.inner.attachment.namespace),
            addresses: self.addresses().to_vec(),
        }
    }

    pub(crate) fn keep(&self, servers: Servers) {
        let mut kept = self
            .inner
            .servers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        kept.push(servers);
    }

    pub(crate) fn set_sidecar(&self, sidecar: Sidecar) {
        let mut slot = self
            .inner
            .sidecar
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *slot = Some(sidecar);
    }

    /// Ends its servers: their ports refuse from now on.
    pub(crate) fn silence(&self) {
        let mut kept = self
            .inner
            .servers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        kept.clear();
    }
}
