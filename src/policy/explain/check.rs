//! A rule against a peer and a port: which of its criteria hold, and what differs where one fails.

use serde::{Deserialize, Serialize};

use super::Question;
use crate::net::Protocol;
use crate::policy::allow_list::{
    AllowList, NamespaceCriterion, Peer, PeerCriterion, PortCriterion, PortRule, Rule, RuleId,
    Selector,
};
use crate::policy::cluster::Identity;
use crate::policy::selector::Labels;

/// A rule, criterion by criterion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCheck {
    /// Which rule.
    pub rule: RuleId,
    /// Its entries of `from` or `to`; `None`: it admits every peer.
    pub peers: Option<Vec<PeerCheck>>,
    /// Its entries of `ports`; `None`: it admits every port and protocol.
    pub ports: Option<Vec<PortCheck>>,
}

/// An entry of `from` or `to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerCheck {
    /// What it says, in words.
    pub says: String,
    /// What came of it.
    pub outcome: PeerOutcome,
}

/// What came of an entry of `from` or `to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerOutcome {
    /// The peer is among those it admits.
    Matches,
    /// It selects pods, and the peer's address is no pod's.
    NotAPod,
    /// It selects pods, and not this one.
    OtherPod {
        /// Its namespace.
        namespace: Part,
        /// The pod itself.
        pod: Part,
    },
    /// By its labels it would be admitted, and yet its address is not in the list: the pod is
    /// finished, shares its node's network, or its labels changed just now.
    NotInForce,
    /// The address is not in the block.
    OutsideBlock,
    /// The address is in the block, and in this exception.
    Excepted(ipnet::IpNet),
}

/// Half of an entry that selects pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// It holds, or nothing was asked.
    Holds,
    /// A label differs.
    Differs(Mismatch),
    /// The policy's own namespace is asked for, and the peer is in another.
    OtherNamespace {
        /// The policy's.
        wanted: String,
        /// The peer's.
        has: String,
    },
}

/// The first requirement that a peer does not meet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mismatch {
    /// What is asked for, such as `app=api`.
    pub wanted: String,
    /// What the peer has, such as `app=attacker` or `no label app`.
    pub has: String,
}

/// An entry of `ports`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortCheck {
    /// What it says, in words.
    pub says: String,
    /// What came of it.
    pub outcome: PortOutcome,
}

/// What came of an entry of `ports`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortOutcome {
    /// It names this protocol.
    pub protocol: bool,
    /// It admits this port.
    pub port: bool,
    /// It names the port instead of numbering it.
    pub named: bool,
    /// What that name means for this peer, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<u16>,
}

impl RuleCheck {
    pub(super) fn new(
        list: &AllowList,
        rule: &Rule,
        question: Question,
        identity: Option<&Identity>,
    ) -> Self {
        let peer = |peer: &Peer| PeerCheck {
            says: peer.criterion.to_string(),
            outcome: PeerOutcome::of(list, peer, question, identity),
        };
        let port = |port: &PortRule| PortCheck {
            says: port.to_string(),
            outcome: PortOutcome::of(list, port, question),
        };
        Self {
            rule: rule.id.clone(),
            peers: rule
                .peers
                .as_ref()
                .map(|peers| peers.iter().map(peer).collect()),
            ports: rule
                .ports
                .as_ref()
                .map(|ports| ports.iter().map(port).collect()),
        }
    }

    /// The entry of `from` or `to` that admits the peer.
    #[must_use]
    pub fn matching_peer(&self) -> Option<&PeerCheck> {
        self.peers
            .iter()
            .flatten()
            .find(|peer| peer.outcome == PeerOutcome::Matches)
    }

    /// The entry of `ports` that admits the port.
    #[must_use]
    pub fn matching_port(&self) -> Option<&PortCheck> {
        self.ports
            .iter()
            .flatten()
            .find(|port| port.outcome.matches())
    }

    /// Whether the peer is admitted.
    #[must_use]
    pub fn peer_matches(&self) -> bool {
        self.peers.is_none() || self.matching_peer().is_some()
    }

    /// Whether the port is admitted.
    #[must_use]
    pub fn port_matches(&self) -> bool {
        self.ports.is_none() || self.matching_port().is_some()
    }

    /// The entry of `from` or `to` that came nearest.
    #[must_use]
    pub fn nearest_peer(&self) -> Option<&PeerCheck> {
        self.peers
            .iter()
            .flatten()
            .min_by_key(|peer| peer.outcome.misses())
    }

    /// The entry of `ports` that came nearest.
    #[must_use]
    pub fn nearest_port(&self) -> Option<&PortCheck> {
        self.ports
            .iter()
            .flatten()
            .min_by_key(|port| port.outcome.misses())
    }
}

/// Whether a rule admits what is asked. This is the verdict; all else here is words.
pub(super) fn admits(list: &AllowList, rule: &Rule, question: Question) -> bool {
    let Question {
        peer,
        protocol,
        port,
        ..
    } = question;
    let sets = &list.peer_sets;
    rule.ports.as_ref().is_none_or(|ports| {
        ports
            .iter()
            .any(|entry| entry.admits(sets, peer, protocol, port))
    }) && rule.admits(sets, peer)
}

/// How many criteria of a rule fail, in its nearest entries.
pub(super) fn misses(
    list: &AllowList,
    rule: &Rule,
    question: Question,
    identity: Option<&Identity>,
) -> u32 {
    let peer = |peer: &Peer| PeerOutcome::of(list, peer, question, identity).misses();
    let port = |port: &PortRule| PortOutcome::of(list, port, question).misses();
    // A list without any entry admits nothing: one miss. No list at all admits everything.
    let peers = rule
        .peers
        .as_ref()
        .map(|peers| peers.iter().map(peer).min().unwrap_or(1));
    let ports = rule
        .ports
        .as_ref()
        .map(|ports| ports.iter().map(port).min().unwrap_or(1));
    peers.unwrap_or(0) + ports.unwrap_or(0)
}

impl PeerOutcome {
    fn of(list: &AllowList, peer: &Peer, question: Question, identity: Option<&Identity>) -> Self {
        if peer.admits(&list.peer_sets, question.peer) {
            return Self::Matches;
        }
        match &peer.criterion {
            PeerCriterion::Block { cidr, except } => {
                let hit = except.iter().find(|net| net.contains(&question.peer));
                match hit.filter(|_| cidr.contains(&question.peer)) {
                    Some(net) => Self::Excepted(*net),
                    None => Self::OutsideBlock,
                }
            }
            PeerCriterion::Pods { namespaces, pods } => {
                let Some(identity) = identity else {
                    return Self::NotAPod;
                };
                let namespace = namespace_part(namespaces, identity);
                let pod = match pods {
                    Some(selector) => selector_part(selector, &identity.labels),
                    None => Part::Holds,
                };
                match (&namespace, &pod) {
                    (Part::Holds, Part::Holds) => Self::NotInForce,
                    _ => Self::OtherPod { namespace, pod },
                }
            }
        }
    }

    fn misses(&self) -> u32 {
        match self {
            Self::Matches => 0,
            // An address that is no pod's fails in whatever is asked of pods.
            Self::NotAPod => 2,
            Self::OtherPod { namespace, pod } => {
                u32::from(*namespace != Part::Holds) + u32::from(*pod != Part::Holds)
            }
            Self::NotInForce | Self::OutsideBlock | Self::Excepted(_) => 1,
        }
    }
}

impl PortOutcome {
    fn of(list: &AllowList, entry: &PortRule, question: Question) -> Self {
        let sets = &list.peer_sets;
        let (named, resolved) = match &entry.port {
            PortCriterion::Named { resolved, .. } => {
                let here = resolved
                    .iter()
                    .find(|port| port.holds_for(sets, question.peer));
                (true, here.map(|port| port.port))
            }
            PortCriterion::All | PortCriterion::Range { .. } => (false, None),
        };
        let asked = question.protocol;
        // A criterion that fails on its protocol may still hold on its port number.
        let port =
            asked.has_ports() && entry.admits(sets, question.peer, entry.protocol, question.port);
        Self {
            protocol: entry.protocol == asked,
            port,
            named,
            resolved,
        }
    }

    /// Whether the entry admits it.
    #[must_use]
    pub fn matches(self) -> bool {
        self.protocol && self.port
    }

    fn misses(self) -> u32 {
        u32::from(!self.protocol) + u32::from(!self.port)
    }
}

fn namespace_part(criterion: &NamespaceCriterion, identity: &Identity) -> Part {
    match criterion {
        NamespaceCriterion::Own(name) if *name == identity.namespace => Part::Holds,
        NamespaceCriterion::Own(name) => Part::OtherNamespace {
            wanted: name.clone(),
            has: identity.namespace.clone(),
        },
        NamespaceCriterion::Labels(selector) => selector_part(selector, &identity.namespace_labels),
    }
}

fn selector_part(selector: &Selector, labels: &Labels) -> Part {
    let has = |key: &str| match labels.get(key) {
        Some(value) => format!("{key}={value}"),
        None => format!("no label {key}"),
    };
    let differing = selector
        .match_labels
        .iter()
        .find(|(key, value)| labels.get(*key) != Some(value));
    if let Some((key, value)) = differing {
        return Part::Differs(Mismatch {
            wanted: format!("{key}={value}"),
            has: has(key),
        });
    }
    match selector
        .match_expressions
        .iter()
        .find(|requirement| !requirement.matches(labels))
    {
        Some(requirement) => Part::Differs(Mismatch {
            wanted: requirement.to_string(),
            has: has(&requirement.key),
        }),
        None => Part::Holds,
    }
}

/// What is asked for, in words: `TCP 80`, or only `ICMP`.
pub(super) fn asked(protocol: Protocol, port: u16) -> String {
    if protocol.has_ports() {
        format!("{protocol} {port}")
    } else {
        protocol.to_string()
    }
}
