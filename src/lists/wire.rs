//! What goes over the wire: an allow list without its members, and the members in slices.
//!
//! Plain serde values, the same on both sides. The controller wraps them into Kubernetes objects
//! (`spec` of `AllowList` and `PeerSlice`); [`super::held`] puts them together again.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::policy::allow_list::{DirectionList, ObjectRef};
pub use crate::policy::cluster::PeerMember;
use crate::policy::cluster::services::{Endpoint, Service, ServicePort};

/// Most members of a slice. A change of one pod costs each list that names it one slice, of which a
/// receiver reads every member; more slices cost names: of each there is one in every holder's memory, and
/// in every digest of its set.
pub const MOST_MEMBERS: usize = 64;

/// Names a set by what defines it (a selector, a named port among peers, the Services of a
/// namespace): equal definitions are one set for all lists. 24 hexadecimal digits.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct SetId(pub Arc<str>);

/// Names a slice by its set and its content, so that equal names mean equal bytes:
/// the [`SetId`], a dash, and 32 hexadecimal digits. A valid Kubernetes object name.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct SliceName(pub Arc<str>);

/// One pod's allow list: its own part, and the part that it shares with pods of equal labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodList {
    /// The pod it is for.
    pub pod: ObjectRef,
    /// The pod's addresses; none if it shares its node's network.
    pub addresses: Vec<IpAddr>,
    /// Addresses of the node the pod runs on, as the API knows them.
    pub node_addresses: Vec<IpAddr>,
    /// That node's name: of a Service with `internalTrafficPolicy: Local`, only its endpoints count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Enforce or audit, as annotations say.
    #[serde(default, skip_serializing_if = "Modes::is_empty")]
    pub modes: Modes,
    /// What holds for it.
    #[serde(flatten)]
    pub shared: Arc<SharedList>,
}

/// The words of the mode annotation, unread: the sidecar reads them, and says so if it cannot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Modes {
    /// The pod's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Its namespace's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// What pods of one namespace with equal labels and port names have in common: everything that
/// policies say, with the members of sets left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SharedList {
    /// What holds for packets towards the pods. Sets are positions in `peer_sets`.
    pub ingress: DirectionList,
    /// What holds for packets from the pods. Sets are positions in `peer_sets`.
    pub egress: DirectionList,
    /// The sets that rules name, in the order in which they first do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peer_sets: Vec<SetRef>,
    /// The sets of Services that bear on the pods' egress.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_sets: Vec<SetId>,
}

/// A peer set as a list refers to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SetRef {
    /// Pods: their addresses stand in the slices of this set, all of them together.
    Slices(SetId),
    /// CIDR blocks, sorted, disjoint, exceptions taken out: they never change, so they are here.
    Blocks(#[schemars(with = "Vec<String>")] Vec<IpNet>),
}

/// Some of a set's members, at most [`MOST_MEMBERS`]; never changed, only replaced by another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeerSlice {
    /// Whose members.
    pub set: SetId,
    /// The members.
    #[serde(flatten)]
    pub members: Members,
}

/// What a slice holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Members {
    /// Pods, by namespace and name.
    Peers(Vec<Arc<PeerMember>>),
    /// Services, by namespace and name.
    Services(Vec<Arc<ServiceMember>>),
}

/// A Service in a set, with what stands behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceMember {
    /// The Service.
    #[serde(flatten)]
    pub service: Service,
    /// Its endpoints by port, in the order of the Service's ports.
    pub endpoints: Vec<PortEndpoints>,
}

/// The endpoints behind one port of a Service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PortEndpoints {
    /// The Service's port.
    #[serde(flatten)]
    pub port: ServicePort,
    /// The endpoints and their target ports.
    #[schemars(schema_with = "pairs")]
    pub endpoints: Vec<(Endpoint, u16)>,
}

/// OpenAPI has no word for a list of pairs.
fn pairs(_: &mut SchemaGenerator) -> Schema {
    let items = json_schema!({"x-kubernetes-preserve-unknown-fields": true});
    json_schema!({"type": "array", "items": {"type": "array", "items": items}})
}

impl Modes {
    /// Whether no annotation is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl SetId {
    /// The set that a definition names. `kind` keeps sets of different sorts apart.
    #[must_use]
    pub fn of(kind: &str, definition: &impl Serialize) -> Self {
        Self(
            digest(&(kind, definition))
                .get(..24)
                .unwrap_or_default()
                .into(),
        )
    }
}

impl PeerSlice {
    /// The slice's name: what it holds, in short.
    #[must_use]
    pub fn name(&self) -> SliceName {
        let content = digest(self);
        let content = content.get(..32).unwrap_or_default();
        SliceName(format!("{}-{content}", self.set).into())
    }
}

impl SliceName {
    /// The set that the name says it belongs to.
    #[must_use]
    pub fn set(&self) -> &str {
        self.0.split_once('-').map_or("", |(set, _)| set)
    }
}

/// The SHA-256 of a value's JSON, in hexadecimal digits. Values here serialise in one way only:
/// structs in the order of their fields, maps by key.
#[must_use]
pub fn digest(value: &impl Serialize) -> String {
    // Into memory, and without maps that have other keys than strings, this cannot fail.
    let text = serde_json::to_vec(value).unwrap_or_default();
    let mut digits = String::with_capacity(64);
    for byte in Sha256::digest(text) {
        _ = fmt::Write::write_fmt(&mut digits, format_args!("{byte:02x}"));
    }
    digits
}

impl fmt::Display for SetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SliceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
