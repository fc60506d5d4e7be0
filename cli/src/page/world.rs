//! What a page is about: the cluster as it is now, its flow log, and what may be done to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use serde::Serialize;
use serde_json::Value;
use sidewall::net::Protocol;
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::cluster::Cluster;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::flows::Entry;
use crate::story::Story;

/// Where the cluster comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// The lab of `sidewall demo`.
    Demo,
    /// A running cluster.
    Cluster,
    /// Files of flows and manifests.
    Files,
}

/// The cluster at one moment.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// Grows with every change.
    pub(crate) version: u64,
    /// Every object a verdict needs.
    pub(crate) cluster: Cluster,
    /// The policies as they were written.
    pub(crate) policies: BTreeMap<ObjectRef, Written>,
}

/// A policy as it was written.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) value: Value,
    /// As it would be typed.
    pub(crate) yaml: String,
}

impl Written {
    /// A policy with its text.
    pub(crate) fn new(value: Value) -> Self {
        let yaml = serde_saphyr::to_string(&value);
        let yaml = yaml.unwrap_or_else(|why| format!("# cannot be shown: {why}\n"));
        Self { value, yaml }
    }
}

/// What a page is served from.
pub(crate) struct World {
    pub(crate) mode: Mode,
    pub(crate) snapshot: watch::Receiver<Arc<Snapshot>>,
    /// What keeps the snapshots coming.
    pub(crate) following: Option<AbortOnDropHandle<()>>,
    pub(crate) lines: BoxStream<'static, Entry>,
    /// `None`: there is only something to look at.
    pub(crate) actions: Option<Arc<dyn Actions>>,
    pub(crate) story: Option<Arc<Story>>,
    /// The flags that make the commands in a terminal ask the same cluster.
    pub(crate) flags: String,
}

/// What came of a connection, or of a step's one.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Tried {
    /// Who to whom.
    pub(crate) title: String,
    /// Whether it went through.
    pub(crate) passed: bool,
    /// What the client saw.
    pub(crate) outcome: String,
    /// The deciding sidecar's sentence.
    pub(crate) summary: Option<String>,
    /// Where it did not happen as the story tells.
    pub(crate) mistakes: Vec<String>,
}

/// What a connection is tried to.
#[derive(Debug, Clone)]
pub(crate) enum Attempt {
    /// A pod, by `namespace/name`.
    Connect {
        to: String,
        protocol: Protocol,
        port: u16,
    },
    /// A name, by DNS.
    Resolve { name: String },
}

/// What may be done from the page, in the demo.
pub(crate) trait Actions: Send + Sync {
    /// Applies policies. The YAML has been checked.
    fn apply(&self, yaml: String) -> BoxFuture<'_, anyhow::Result<()>>;
    /// Deletes a policy.
    fn remove(&self, policy: ObjectRef) -> BoxFuture<'_, anyhow::Result<()>>;
    /// Removes every policy, and starts the story anew.
    fn reset(&self) -> BoxFuture<'_, anyhow::Result<()>>;
    /// Makes a connection from a pod (`namespace/name`).
    fn attempt(&self, from: String, attempt: Attempt) -> BoxFuture<'_, anyhow::Result<Tried>>;
    /// Plays a step of the story.
    fn step(&self, step: usize) -> BoxFuture<'_, anyhow::Result<Vec<Tried>>>;
    /// How many steps have been played.
    fn played(&self) -> usize;
}
