//! One verdict with one reason per packet: the same enums in log, metric and test.
//!
//! `Copy`, without text: a reason is spelled when somebody reads it, never on the hot path.

use serde::{Deserialize, Serialize};

use crate::packet::Malformed;

/// What happens to a packet, and because of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It passes.
    Allow(Because),
    /// It stops here.
    Block(Reason),
}

/// Index of a rule in [`crate::policy::allow_list::DirectionList::rules`] of the allow list whose
/// generation the verdict carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleIndex(pub u32);

/// Why a packet passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Because {
    /// No policy isolates the pod in this direction.
    NotIsolated,
    /// This rule allows it.
    Rule(RuleIndex),
    /// It belongs to a flow that was allowed when it began.
    Established,
    /// The peer is the node that the pod runs on.
    Node,
    /// The peer is the pod itself (through a Service: its address or an endpoint behind it).
    Itself,
    /// An ICMP error about an allowed flow (path MTU discovery needs it).
    RelatedError,
    /// IPv6 neighbour discovery or a multicast listener report.
    NeighbourDiscovery,
    /// The sidecar's own connection to the API server.
    OwnConnection,
}

/// Why a packet is blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// No complete set of policies was loaded yet.
    NotReady,
    /// The pod is isolated in this direction and no rule allows it.
    NoRule,
    /// A policy that isolates the pod cannot be understood, and no other rule allows it.
    InvalidPolicy,
    /// The flow was allowed when it began; the policy in force now does not allow it.
    PolicyChanged,
    /// Behind the Service address no endpoint is ready.
    ServiceNoEndpoints,
    /// Some of the Service's endpoints are allowed and some are not; which, the explanation names
    /// ([`crate::policy::explain`]).
    ServiceMixed,
    /// The bytes are not a packet that can be judged.
    Malformed(Malformed),
    /// A packet from the network that carries the pod's own address as its source.
    SpoofedSource,
    /// A packet from the pod whose source is not an address of the pod.
    ForeignSource,
    /// A packet from the network for an address that is not the pod's.
    NotForPod,
    /// Broadcast or multicast, which no policy can name.
    Multicast,
    /// TCP without SYN, for a flow that nobody began.
    NoSyn,
    /// A later fragment whose first fragment was not seen, or was blocked.
    StrayFragment,
    /// An ICMP error about a flow that does not exist.
    UnrelatedError,
    /// The flow table is full: new flows wait until old ones end.
    FlowTableFull,
}
