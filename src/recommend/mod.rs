//! From flow logs to least-privilege policies: what was seen is allowed, everything else is not.
//!
//! `evidence` reads lines into conversations, `groups` finds the labels that mean a workload (the
//! same choice as [`crate::policy::suggest`]), `rules` leads Services back to the pods behind them,
//! and `document` spells policies with a comment on each rule. `audit` goes the other way: which
//! rules of the policies in force were never used.
//!
//! Pure: lines and the cluster come in, documents go out.

pub mod audit;
mod document;
mod evidence;
mod groups;
mod rules;
mod seen;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

pub use self::document::{Noted, Recommended};
use self::evidence::Evidence;
use self::groups::Groups;
use self::rules::Maker;
pub use self::seen::Seen;
use crate::flows::Line;
use crate::policy::cluster::Cluster;
use crate::policy::cluster::objects::Object;

/// What is wanted.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Namespaces that get policies; empty: those of all pods that were seen.
    pub namespaces: BTreeSet<String>,
    /// Allow what was blocked too.
    pub include_blocked: bool,
    /// Addresses outside of the cluster as blocks of these lengths; `None`: one by one.
    pub aggregate_world: Option<PrefixLengths>,
    /// The cluster's addresses are those of the flows: it is the running one, and not manifests.
    pub real_addresses: bool,
}

/// Lengths of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrefixLengths {
    /// Of IPv4, 0 to 32.
    pub v4: u8,
    /// Of IPv6, 0 to 128.
    pub v6: u8,
}

/// Policies, and what they leave out.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recommendation {
    /// By namespace; in each the one that isolates everything first.
    pub policies: Vec<Recommended>,
    /// What was seen and is no reason for a rule.
    pub left_out: LeftOut,
}

/// Lines and conversations that led to no rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftOut {
    /// Lines of flows that were blocked.
    pub blocked: u64,
    /// Lines of what passes without a rule: the node, the pod itself.
    pub always: u64,
    /// Lines of protocols that no rule can name, by protocol.
    pub without_ports: BTreeMap<String, u64>,
    /// Conversations with Services of which no endpoint is known, by Service and port.
    pub unresolved: BTreeMap<String, u64>,
    /// Conversations without a pod of the namespaces that are wanted.
    pub elsewhere: u64,
    /// Lines that were lost before they were written.
    pub lost: u64,
}

/// Collects lines, then recommends.
#[derive(Debug)]
pub struct Recommender {
    options: Options,
    evidence: Evidence,
}

impl Recommender {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            options,
            evidence: Evidence::default(),
        }
    }

    /// One line more.
    pub fn take(&mut self, line: &Line) {
        self.evidence.take(line, &self.options);
    }

    /// The policies. `cluster` is what is known beside the logs: other pods, which the selectors must
    /// not mean, Services, and policies whose names are taken. It may be empty.
    #[must_use]
    pub fn finish(self, cluster: &Cluster) -> Recommendation {
        let mut known = cluster.clone();
        for (id, pod) in &self.evidence.pods {
            if known.pod(id).is_none() {
                known.apply(Object::Pod(Box::new(pod.clone())));
            }
        }
        let mut wanted = self.options.namespaces.clone();
        if wanted.is_empty() {
            wanted.extend(self.evidence.pods.keys().map(|pod| pod.namespace.clone()));
        }
        let mut left_out = self.evidence.left_out.clone();
        let mut groups = Groups::new(&known);
        let mut maker = Maker {
            cluster: &known,
            evidence: &self.evidence,
            options: &self.options,
            wanted: &wanted,
            groups: &mut groups,
            left_out: &mut left_out,
        };
        let rules = maker.make();
        Recommendation {
            policies: document::write(&known, &wanted, &groups, &rules),
            left_out,
        }
    }
}
