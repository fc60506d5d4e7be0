//! The parts of a line: small types with protobuf's spelling. Those above IP are in [`super::layer4`].

use std::fmt;
use std::net::IpAddr;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

use crate::policy::allow_list::{ObjectRef, RuleId};
use crate::policy::cluster::Workload;

/// Hubble's verdicts (cilium `api/v1/flow/flow.proto`). Ours are the first three after unknown.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// Not said.
    #[default]
    VerdictUnknown,
    /// It passed.
    Forwarded,
    /// It was blocked.
    Dropped,
    /// It passed in audit mode, and would have been blocked.
    Audit,
    /// Handed to a proxy.
    Redirected,
    /// Could not be handled.
    Error,
    /// Seen on its way.
    Traced,
    /// Given another address.
    Translated,
}

impl Verdict {
    /// All that can be asked for.
    pub const ALL: [Self; 8] = [
        Self::VerdictUnknown,
        Self::Forwarded,
        Self::Dropped,
        Self::Error,
        Self::Audit,
        Self::Redirected,
        Self::Traced,
        Self::Translated,
    ];

    /// Its name in Hubble's API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VerdictUnknown => "VERDICT_UNKNOWN",
            Self::Forwarded => "FORWARDED",
            Self::Dropped => "DROPPED",
            Self::Audit => "AUDIT",
            Self::Redirected => "REDIRECTED",
            Self::Error => "ERROR",
            Self::Traced => "TRACED",
            Self::Translated => "TRANSLATED",
        }
    }
}

/// At which end of a connection a packet was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TrafficDirection {
    /// Not said.
    #[default]
    #[serde(rename = "TRAFFIC_DIRECTION_UNKNOWN")]
    Unknown,
    /// Coming in.
    Ingress,
    /// Going out.
    Egress,
}

impl TrafficDirection {
    /// Its name in Hubble's API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "TRAFFIC_DIRECTION_UNKNOWN",
            Self::Ingress => "INGRESS",
            Self::Egress => "EGRESS",
        }
    }
}

/// Source and destination address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Addresses {
    /// Of the sender.
    pub source: Option<IpAddr>,
    /// Of the receiver.
    pub destination: Option<IpAddr>,
}

/// One end of a flow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Endpoint {
    /// Cilium's identity: 1 the node, 2 the outside, 0 where we have none.
    pub identity: u32,
    /// Namespace of the pod or Service.
    pub namespace: String,
    /// Labels, each with its source: `k8s:app=db`, `reserved:world`.
    pub labels: Vec<String>,
    /// Name of the pod.
    pub pod_name: String,
    /// What made the pod.
    pub workloads: Vec<Workload>,
}

impl Endpoint {
    /// The pod, if it is one.
    #[must_use]
    pub fn pod(&self) -> Option<ObjectRef> {
        (!self.pod_name.is_empty()).then(|| ObjectRef {
            namespace: self.namespace.clone(),
            name: self.pod_name.clone(),
        })
    }

    /// Whether it is Cilium's reserved `name`: `host`, `world`, …
    #[must_use]
    pub fn is_reserved(&self, name: &str) -> bool {
        let reserved = |label: &String| label.strip_prefix("reserved:") == Some(name);
        self.labels.iter().any(reserved)
    }

    /// Labels of the pod itself, as the API has them.
    pub fn pod_labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let labels = self
            .labels
            .iter()
            .filter_map(|label| label.strip_prefix("k8s:"));
        labels.map(|label| label.split_once('=').unwrap_or((label, "")))
    }
}

/// A Service by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A policy that is named for a verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Allowance {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its kind: `NetworkPolicy`.
    pub kind: String,
}

/// Type of an event (cilium `pkg/monitor/api/types.go`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct EventType {
    /// 4 trace, 5 policy verdict, 1 drop.
    #[serde(rename = "type")]
    pub number: i32,
    /// Of a trace: where it was seen.
    pub sub_type: i32,
}

/// What a line of a sidecar tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A verdict on a new flow.
    New,
    /// A blocked flow tried again; see [`Own::repeats`].
    Repeat,
    /// An allowed flow ended.
    End,
    /// An established flow lost its permission.
    Revoked,
    /// Something that this reader does not know, of a line that tells of lost lines, say.
    #[default]
    #[serde(other)]
    Other,
}

/// What Hubble has no field for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Own {
    /// What the line tells.
    pub kind: Kind,
    /// What decided, by [`crate::verdict::Verdict::as_str`].
    pub verdict: String,
    /// The generation of the allow list that decided.
    pub generation: u64,
    /// The rule that allowed it.
    pub rule: Option<RuleId>,
    /// How many more times a blocked flow was tried.
    pub repeats: Option<u64>,
    /// How long the flow lasted.
    pub duration_ms: Option<u64>,
    /// What the pod sent.
    pub sent: Option<Totals>,
    /// What the pod received.
    pub received: Option<Totals>,
}

/// Packets and bytes of a flow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Totals {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A 64-bit number, which protobuf's JSON writes as text.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Text(String),
    }
    match Either::deserialize(deserializer)? {
        Either::Number(number) => Ok(number),
        Either::Text(text) => text.parse().map_err(D::Error::custom),
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
