//! One verdict with one reason per packet: the same enums in log, metric and test.
//!
//! `Copy`, without text: a reason is spelled when somebody reads it, never on the hot path. Every
//! enum has a dense `index()` below its `COUNT`, so that counters are an array and counting is one
//! addition, and an `as_str()` in kebab-case: these names are metric labels and Hubble's
//! `drop_reason_desc`, and stay as they are.

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

impl Verdict {
    /// How many kinds there are: the length of an array of counters.
    pub const COUNT: usize = Because::COUNT + Reason::COUNT;

    /// Every kind once, each at the place its [`Verdict::index`] tells.
    pub const ALL: [Self; Self::COUNT] = {
        let mut all = [Self::Allow(Because::NotIsolated); Self::COUNT];
        let mut at = 0;
        while at < Because::COUNT {
            all[at] = Self::Allow(Because::ALL[at]);
            at += 1;
        }
        while at < Self::COUNT {
            all[at] = Self::Block(Reason::ALL[at - Because::COUNT]);
            at += 1;
        }
        all
    };

    /// Position in [`Verdict::ALL`]; the rule's own number does not count.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Allow(because) => because.index(),
            Self::Block(reason) => Because::COUNT + reason.index(),
        }
    }

    /// Whether it is to pass.
    #[must_use]
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Allow(_))
    }

    /// The name of what decided: see [`Because::as_str`] and [`Reason::as_str`].
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow(because) => because.as_str(),
            Self::Block(reason) => reason.as_str(),
        }
    }
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
    /// IPv6 neighbour discovery, or a multicast listener's report (MLD, IGMP).
    NeighbourDiscovery,
    /// The sidecar's own connection to the API server.
    OwnConnection,
    /// The pod's configuration takes the port out of the policies' hands
    /// ([`crate::engine::skipped`]).
    SkippedPort,
}

impl Because {
    /// How many kinds there are.
    pub const COUNT: usize = 9;

    /// Every kind once, each at the place its [`Because::index`] tells.
    pub const ALL: [Self; Self::COUNT] = [
        Self::NotIsolated,
        Self::Rule(RuleIndex(0)),
        Self::Established,
        Self::Node,
        Self::Itself,
        Self::RelatedError,
        Self::NeighbourDiscovery,
        Self::OwnConnection,
        Self::SkippedPort,
    ];

    /// Position in [`Because::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::NotIsolated => 0,
            Self::Rule(_) => 1,
            Self::Established => 2,
            Self::Node => 3,
            Self::Itself => 4,
            Self::RelatedError => 5,
            Self::NeighbourDiscovery => 6,
            Self::OwnConnection => 7,
            Self::SkippedPort => 8,
        }
    }

    /// Its name in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotIsolated => "not-isolated",
            Self::Rule(_) => "rule",
            Self::Established => "established",
            Self::Node => "node",
            Self::Itself => "itself",
            Self::RelatedError => "related-error",
            Self::NeighbourDiscovery => "neighbour-discovery",
            Self::OwnConnection => "own-connection",
            Self::SkippedPort => "skipped-port",
        }
    }
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
    /// A packet from the network that carries the pod's own address as its source.
    SpoofedSource,
    /// A packet from the pod whose source is not an address of the pod.
    ForeignSource,
    /// A packet from the network for an address that is not the pod's.
    NotForPod,
    /// Broadcast or multicast, which no policy can name.
    Multicast,
    /// The middle of a conversation that nobody began: TCP without SYN, SCTP without INIT, an
    /// echo reply without a request.
    NoSyn,
    /// A later fragment whose first fragment was not seen, or was blocked.
    StrayFragment,
    /// An ICMP error about a flow that does not exist.
    UnrelatedError,
    /// The flow table is full: new flows wait until old ones end.
    FlowTableFull,
    /// The bytes are not a packet that can be judged.
    Malformed(Malformed),
}

impl Reason {
    /// How many kinds there are, each kind of malformed packet being one.
    pub const COUNT: usize = Self::PLAIN.len() + Malformed::COUNT;

    /// All but the malformed packets.
    const PLAIN: [Self; 14] = [
        Self::NotReady,
        Self::NoRule,
        Self::InvalidPolicy,
        Self::PolicyChanged,
        Self::ServiceNoEndpoints,
        Self::ServiceMixed,
        Self::SpoofedSource,
        Self::ForeignSource,
        Self::NotForPod,
        Self::Multicast,
        Self::NoSyn,
        Self::StrayFragment,
        Self::UnrelatedError,
        Self::FlowTableFull,
    ];

    /// Every kind once, each at the place its [`Reason::index`] tells.
    pub const ALL: [Self; Self::COUNT] = {
        let mut all = [Self::NotReady; Self::COUNT];
        let mut at = 0;
        while at < Self::PLAIN.len() {
            all[at] = Self::PLAIN[at];
            at += 1;
        }
        while at < Self::COUNT {
            all[at] = Self::Malformed(Malformed::ALL[at - Self::PLAIN.len()]);
            at += 1;
        }
        all
    };

    /// Position in [`Reason::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::NotReady => 0,
            Self::NoRule => 1,
            Self::InvalidPolicy => 2,
            Self::PolicyChanged => 3,
            Self::ServiceNoEndpoints => 4,
            Self::ServiceMixed => 5,
            Self::SpoofedSource => 6,
            Self::ForeignSource => 7,
            Self::NotForPod => 8,
            Self::Multicast => 9,
            Self::NoSyn => 10,
            Self::StrayFragment => 11,
            Self::UnrelatedError => 12,
            Self::FlowTableFull => 13,
            Self::Malformed(malformed) => Self::PLAIN.len() + malformed.index(),
        }
    }

    /// Its name in metrics and logs. A malformed packet's begins with `malformed-`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotReady => "not-ready",
            Self::NoRule => "no-rule",
            Self::InvalidPolicy => "invalid-policy",
            Self::PolicyChanged => "policy-changed",
            Self::ServiceNoEndpoints => "service-no-endpoints",
            Self::ServiceMixed => "service-mixed",
            Self::SpoofedSource => "spoofed-source",
            Self::ForeignSource => "foreign-source",
            Self::NotForPod => "not-for-pod",
            Self::Multicast => "multicast",
            Self::NoSyn => "no-syn",
            Self::StrayFragment => "stray-fragment",
            Self::UnrelatedError => "unrelated-error",
            Self::FlowTableFull => "flow-table-full",
            Self::Malformed(malformed) => malformed.as_reason(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_stands_at_its_own_index() {
        for (at, verdict) in Verdict::ALL.into_iter().enumerate() {
            assert_eq!(verdict.index(), at, "{verdict:?}");
        }
    }

    #[test]
    fn no_two_verdicts_share_a_name_and_every_name_is_kebab_case() {
        let names: std::collections::BTreeSet<_> =
            Verdict::ALL.into_iter().map(Verdict::as_str).collect();
        assert_eq!(names.len(), Verdict::COUNT);
        for name in names {
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'),
                "{name}"
            );
        }
    }

    #[test]
    fn a_malformed_packets_reason_is_its_own_name_with_a_prefix() {
        for malformed in Malformed::ALL {
            assert_eq!(
                Reason::Malformed(malformed).as_str(),
                format!("malformed-{}", malformed.as_str())
            );
        }
    }

    #[test]
    fn every_rule_counts_as_the_same_kind() {
        let rule = |n| Verdict::Allow(Because::Rule(RuleIndex(n)));
        assert_eq!(rule(7).index(), rule(0).index());
        assert!(rule(7).is_allowed());
        assert!(!Verdict::Block(Reason::NoRule).is_allowed());
    }
}
