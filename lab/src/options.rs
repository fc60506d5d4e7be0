//! What a lab is to be, before it is: [`Builder`].

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod as PodObject;
use serde_json::Value;

use crate::{Lab, api};

/// Which pods get a sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sidecars {
    /// None: an open network, as without any enforcement.
    None,
    /// Pods, or pods of namespaces, with the label or annotation `sidewall.dev/inject: enabled`.
    #[default]
    Labelled,
    /// All but hostNetwork pods and those that say `sidewall.dev/inject: disabled`.
    All,
}

/// Where the cluster's objects live.
#[derive(Debug, Clone)]
pub enum Api {
    /// In the lab's own API server.
    Embedded(api::Options),
    /// In a real one: the current context of this file.
    Kubeconfig(PathBuf),
}

impl Default for Api {
    fn default() -> Self {
        Self::Embedded(api::Options {
            // The lab says when a pod is gone, as a kubelet does.
            graceful_pods: true,
            ..api::Options::default()
        })
    }
}

/// How packets travel between two pods of the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Forwarding {
    /// [`Self::Bridged`] where the kernel has `br_netfilter` and the manifests no more than 16 pods,
    /// else [`Self::Routed`]: neighbours of every namespace of the machine share one table of 1024
    /// (`net.ipv4.neigh.default.gc_thresh3`), and when it is full, packets are lost.
    #[default]
    Auto,
    /// Over the bridge, as with Flannel: pods find each other by ARP and neighbour discovery. The
    /// answers of a Service's endpoints pass the node's translation because `br_netfilter` shows
    /// bridged packets to netfilter. Pods whose manifest gives them an address are routed.
    Bridged,
    /// Through the node: every pod has a /32 and a /128, so all its packets go to its gateway.
    Routed,
}

/// Builds a [`Lab`]. Made by [`Lab::builder`].
#[derive(Debug, Clone)]
pub struct Builder {
    pub(crate) objects: Vec<Value>,
    pub(crate) sidecars: Sidecars,
    pub(crate) sidecar_path: Option<PathBuf>,
    pub(crate) sidecar_args: Vec<OsString>,
    pub(crate) sidecar_env: Vec<(OsString, OsString)>,
    pub(crate) api: Api,
    pub(crate) own_accounts: bool,
    pub(crate) allow_lists: bool,
    pub(crate) forwarding: Forwarding,
    pub(crate) mtu: u32,
    pub(crate) start_timeout: Duration,
    pub(crate) problem: Option<String>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            objects: Vec::new(),
            sidecars: Sidecars::default(),
            sidecar_path: None,
            sidecar_args: Vec::new(),
            sidecar_env: Vec::new(),
            api: Api::default(),
            own_accounts: false,
            allow_lists: false,
            forwarding: Forwarding::default(),
            // What Ethernet carries; Flannel's VXLAN takes 50 of it, host-gw none.
            mtu: 1500,
            start_timeout: Duration::from_secs(60),
            problem: None,
        }
    }
}

impl Builder {
    /// Adds objects from manifests: one or several YAML (or JSON) documents, `List`s included. They
    /// are created in the API server as `kubectl create` would. A namespace that is only mentioned is
    /// created too.
    #[must_use]
    pub fn yaml(mut self, text: &str) -> Self {
        match crate::manifests::documents(text) {
            Ok(objects) => self.objects.extend(objects),
            // Reported by `start`, so that building reads as one chain.
            Err(problem) => self.problem = Some(format!("{problem:#}")),
        }
        self
    }

    /// Adds objects as JSON values with `apiVersion` and `kind`.
    #[must_use]
    pub fn objects(mut self, objects: impl IntoIterator<Item = Value>) -> Self {
        self.objects.extend(objects);
        self
    }

    /// Adds pods. An address in `status.podIP(s)` is honoured.
    #[must_use]
    pub fn pods(mut self, pods: impl IntoIterator<Item = PodObject>) -> Self {
        for pod in pods {
            match serde_json::to_value(&pod) {
                Ok(value) => self.objects.push(value),
                Err(problem) => self.problem = Some(problem.to_string()),
            }
        }
        self
    }

    /// Which pods get a sidecar; [`Sidecars::Labelled`] unless said otherwise.
    #[must_use]
    pub const fn sidecars(mut self, sidecars: Sidecars) -> Self {
        self.sidecars = sidecars;
        self
    }

    /// Where the sidecar's binary is. Otherwise `$SIDEWALL_SIDECAR`, beside the current executable,
    /// or in the workspace's `target/`.
    #[must_use]
    pub fn sidecar_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.sidecar_path = Some(path.into());
        self
    }

    /// Adds arguments to every sidecar's command line.
    #[must_use]
    pub fn sidecar_args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.sidecar_args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds a variable to every sidecar's environment.
    #[must_use]
    pub fn sidecar_env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.sidecar_env.push((name.into(), value.into()));
        self
    }

    /// Where the objects live; [`Api::Embedded`] unless said otherwise.
    #[must_use]
    pub fn api(mut self, api: Api) -> Self {
        self.api = api;
        self
    }

    /// Every sidecar asks a real API server as its pod's own service account, with a token like the
    /// one a kubelet would mount. Otherwise, all of them ask as the kubeconfig's user.
    #[must_use]
    pub const fn own_accounts(mut self) -> Self {
        self.own_accounts = true;
        self
    }

    /// Every sidecar takes a ready-made allow list, as its pod's own service account. The API server is
    /// one that serves them: a real one, with the controller behind it.
    #[must_use]
    pub const fn allow_lists(mut self) -> Self {
        self.allow_lists = true;
        self.own_accounts()
    }

    /// How packets travel between pods.
    #[must_use]
    pub const fn forwarding(mut self, forwarding: Forwarding) -> Self {
        self.forwarding = forwarding;
        self
    }

    /// MTU of the pods' interfaces and of the bridge.
    #[must_use]
    pub const fn mtu(mut self, mtu: u32) -> Self {
        self.mtu = mtu;
        self
    }

    /// How long all pods together may take to come up, and any sidecar later on.
    #[must_use]
    pub const fn start_timeout(mut self, timeout: Duration) -> Self {
        self.start_timeout = timeout;
        self
    }

    /// Starts the lab: everything in the manifests is up, and every sidecar ready, when it returns.
    ///
    /// # Errors
    /// When the machine does not permit it (says what to run), a manifest is refused, or a pod or
    /// sidecar does not come up (with the tail of its stderr).
    pub async fn start(self) -> Result<Lab> {
        Lab::start(self).await
    }
}
