//! The allow list: what all policies of the cluster mean for one pod, as one plain value.
//!
//! The same value is enforced by the sidecar ([`super::lookup`]), shown by `sidewall policy`,
//! explained by `sidewall why` ([`super::explain`]), and can be fetched ready-made from a server:
//! it is serde all the way and needs nothing beside itself.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::net::{Direction, Protocol};

/// A pod, a policy or a Service by name.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct ObjectRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A rule of a policy: which policy, which direction, and its index in that list (from 0).
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct RuleId {
    /// The policy that holds it.
    pub policy: ObjectRef,
    /// `spec.ingress` or `spec.egress`.
    pub direction: Direction,
    /// Position in that list, from 0.
    pub index: u32,
}

/// Everything that decides over one pod's traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AllowList {
    /// The pod it is for.
    pub pod: ObjectRef,
    /// The pod's addresses.
    pub addresses: Vec<IpAddr>,
    /// Addresses of the node the pod runs on: always allowed.
    pub node_addresses: Vec<IpAddr>,
    /// What holds for packets towards the pod.
    pub ingress: DirectionList,
    /// What holds for packets from the pod.
    pub egress: DirectionList,
    /// The address sets that rules refer to by position.
    pub peer_sets: Vec<PeerSet>,
    /// Services as seen from inside the pod (egress only).
    pub services: Vec<ServiceEntry>,
}

/// One direction of an [`AllowList`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DirectionList {
    /// The policies that select the pod and name this direction; empty: not isolated, all allowed.
    pub isolated_by: Vec<ObjectRef>,
    /// Those of them that cannot be understood, with the reason. They isolate and allow nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invalid: Vec<InvalidPolicy>,
    /// The rules, ordered by [`RuleId`]: the first that matches is the one that is named.
    pub rules: Vec<Rule>,
}

/// A policy that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvalidPolicy {
    /// Which one.
    pub policy: ObjectRef,
    /// Field and mistake, for people.
    pub problem: String,
}

/// One rule: a peer and a port must both match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rule {
    /// Where it stands.
    pub id: RuleId,
    /// Whom it admits; `None`: everyone.
    pub peers: Option<Vec<Peer>>,
    /// Which ports; `None`: every port of every protocol, and protocols without ports.
    pub ports: Option<Vec<PortRule>>,
}

/// One entry of `from` or `to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Peer {
    /// What the policy says.
    pub criterion: PeerCriterion,
    /// Which addresses that is now: index into [`AllowList::peer_sets`].
    pub set: u32,
}

/// What a policy says of a peer, kept for explanations.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PeerCriterion {
    /// Pods by selectors.
    #[serde(rename_all = "camelCase")]
    Pods {
        /// Namespaces by label; `None`: the policy's own namespace, which is named here.
        namespaces: NamespaceCriterion,
        /// Pods by label; `None` and empty: all pods.
        pods: Option<Selector>,
    },
    /// Addresses by CIDR.
    Block {
        /// The block.
        #[schemars(with = "String")]
        cidr: IpNet,
        /// Blocks inside it that are not meant.
        #[schemars(with = "Vec<String>")]
        except: Vec<IpNet>,
    },
}

/// Which namespaces a peer entry means.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum NamespaceCriterion {
    /// No `namespaceSelector`: the policy's own.
    Own(String),
    /// By label.
    Labels(Selector),
}

/// A label selector: all must hold; without any, it selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Selector {
    /// Key has exactly this value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Further requirements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<Requirement>,
}

/// One entry of `matchExpressions`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what (`In` and `NotIn` only).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Operator {
    /// The key is there and its value is among those given.
    In,
    /// The key is missing or its value is not among those given.
    NotIn,
    /// The key is there.
    Exists,
    /// The key is missing.
    DoesNotExist,
}

/// One entry of `ports`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PortRule {
    /// TCP, UDP or SCTP.
    pub protocol: Protocol,
    /// Which ports of it.
    pub port: PortCriterion,
}

/// What an entry of `ports` says: the word `all`, a range, or a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PortCriterion {
    /// Every port of the protocol.
    // A word beside objects, for which structural schemas have no form.
    #[schemars(skip)]
    All,
    /// A number, or `port` to `endPort`, both included.
    Range {
        /// The first.
        from: u16,
        /// The last.
        to: u16,
    },
    /// A name, resolved in the destination pod.
    Named {
        /// The name.
        name: String,
        /// What it means now: ingress, in the pod itself (`set` is `None`); egress, for the
        /// addresses of a peer set.
        resolved: Vec<ResolvedPort>,
    },
}

/// A named port as a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResolvedPort {
    /// The number.
    pub port: u16,
    /// For which peers (index into [`AllowList::peer_sets`]); `None`: for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<u32>,
}

/// A set of addresses: single hosts (pods) and blocks without their exceptions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "PeerSetAsWritten")]
pub struct PeerSet {
    /// Single addresses, sorted, each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<IpAddr>,
    /// CIDR blocks, sorted, disjoint, exceptions taken out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<IpNet>,
}

/// A set as somebody else may have written it: in any order, and with blocks that overlap.
#[derive(Deserialize)]
struct PeerSetAsWritten {
    #[serde(default)]
    hosts: Vec<IpAddr>,
    #[serde(default)]
    blocks: Vec<IpNet>,
}

impl From<PeerSetAsWritten> for PeerSet {
    fn from(set: PeerSetAsWritten) -> Self {
        let PeerSetAsWritten {
            mut hosts,
            mut blocks,
        } = set;
        hosts.sort_unstable();
        hosts.dedup();
        // Joining neighbours would be right as well, but a list must come back as it was sent.
        blocks = blocks.iter().map(IpNet::trunc).collect();
        blocks.sort_unstable_by_key(|block| (block.network(), block.prefix_len()));
        blocks.dedup_by(|later, earlier| earlier.contains(&*later));
        Self { hosts, blocks }
    }
}

/// A port of a Service under one of its addresses, as a client inside the pod sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceEntry {
    /// Which Service.
    pub service: ObjectRef,
    /// Cluster IPs, external IPs and load balancer IPs.
    pub addresses: Vec<IpAddr>,
    /// The Service's protocol.
    pub protocol: Protocol,
    /// The Service's port.
    pub port: u16,
    /// Its ready endpoints: address and target port, sorted.
    pub endpoints: Vec<(IpAddr, u16)>,
}

impl Rule {
    /// Whether the rule's peers hold this address.
    #[must_use]
    pub fn admits(&self, sets: &[PeerSet], address: IpAddr) -> bool {
        let Some(peers) = &self.peers else {
            return true;
        };
        peers.iter().any(|peer| peer.admits(sets, address))
    }
}

impl PortRule {
    /// Whether this entry admits a port, `peer` being the other side: a named port of a peer set
    /// means pods only, so the set's blocks do not count.
    #[must_use]
    pub fn admits(&self, sets: &[PeerSet], peer: IpAddr, protocol: Protocol, port: u16) -> bool {
        self.protocol == protocol
            && match &self.port {
                PortCriterion::All => true,
                PortCriterion::Range { from, to } => (*from..=*to).contains(&port),
                PortCriterion::Named { resolved, .. } => resolved
                    .iter()
                    .any(|named| named.port == port && named.holds_for(sets, peer)),
            }
    }
}

impl ResolvedPort {
    /// Whether this number is what the name means for a peer.
    #[must_use]
    pub fn holds_for(&self, sets: &[PeerSet], peer: IpAddr) -> bool {
        let Some(set) = self.set else { return true };
        let set = usize::try_from(set).ok().and_then(|index| sets.get(index));
        set.is_some_and(|set| set.hosts.binary_search(&peer).is_ok())
    }
}

impl Peer {
    /// Whether this entry's addresses hold this one. A set that is not there holds nobody.
    #[must_use]
    pub fn admits(&self, sets: &[PeerSet], address: IpAddr) -> bool {
        let set = usize::try_from(self.set)
            .ok()
            .and_then(|index| sets.get(index));
        set.is_some_and(|set| set.contains(address))
    }
}

impl PeerSet {
    /// Whether an address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        if self.hosts.binary_search(&address).is_ok() {
            return true;
        }
        // Disjoint and sorted by address: only the last block that begins at or before it can.
        let after = self
            .blocks
            .partition_point(|block| block.network() <= address);
        after
            .checked_sub(1)
            .and_then(|index| self.blocks.get(index))
            .is_some_and(|block| block.contains(&address))
    }
}
