//! A NetworkPolicy as the API has it, into a form that cannot be misunderstood: all or nothing.
//!
//! The checks are the API server's own (kubernetes `pkg/apis/networking/validation`) and are made
//! again here, because a rule that is half understood is a rule that is wider than it was meant.
//! Every mistake is collected, with its field path in the API server's spelling.
//!
//! A policy with a mistake becomes an [`InvalidPolicy`]: it isolates what it selects, in the
//! directions it names, and allows nothing. Where even that cannot be read, it selects its whole
//! namespace and names both directions.
//!
//! Input is the JSON value, not the typed object: an object that the typed form would refuse or
//! silently shorten (an unknown operator, a port that is a list, a field of a later API) must
//! arrive here whole. Next: [`super::cluster`] keeps the result, [`super::compile`] uses it.

mod mistake;
mod peer;
mod port;
mod reader;
mod selector;
mod spec;

use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::Value;

pub use self::mistake::{Mistake, Problem};
pub(crate) use self::peer::{NO_PEER, OUTSIDE_CIDR};
pub(crate) use self::port::END_BEFORE_PORT;
use self::reader::{Mistakes, Place};
use super::allow_list::{ObjectRef, PeerCriterion, Selector};
use crate::net::{Direction, Protocol};

/// A policy that is understood in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its namespace and name.
    pub id: ObjectRef,
    /// Which pods of its namespace it selects.
    pub selects: Selector,
    /// The ingress rules; `None`: the policy does not name this direction.
    pub ingress: Option<Vec<PolicyRule>>,
    /// The egress rules; `None`: the policy does not name this direction.
    pub egress: Option<Vec<PolicyRule>>,
    /// Rules that are written, under a direction that the policy does not name: they do nothing. No
    /// verdict asks for them, who looks for mistakes does.
    pub idle: Vec<(Direction, Vec<PolicyRule>)>,
    /// Whether `policyTypes` is written out.
    pub types_given: bool,
}

/// One entry of `spec.ingress` or `spec.egress`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyRule {
    /// The entries of `from` or `to`; `None`: every peer.
    pub peers: Option<Vec<PeerCriterion>>,
    /// The entries of `ports`; `None`: every port and every protocol.
    pub ports: Option<Vec<PolicyPort>>,
}

/// One entry of `ports`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyPort {
    /// TCP, UDP or SCTP.
    pub protocol: Protocol,
    /// Which ports of it.
    pub port: PolicyPortCriterion,
}

/// What an entry of `ports` says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PolicyPortCriterion {
    /// Every port of the protocol.
    All,
    /// A number, or `port` to `endPort`, both included.
    Range(u16, u16),
    /// A name, resolved in the destination pod.
    Named(String),
}

/// A policy that is not understood: what can still be said of it, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("NetworkPolicy {}/{} is invalid: {}", id.namespace, id.name, mistake::list(mistakes))]
pub struct InvalidPolicy {
    /// Its namespace and name.
    pub id: ObjectRef,
    /// Which pods it selects; everything if that cannot be read.
    pub selects: Selector,
    /// Whether it names ingress, or its directions cannot be read.
    pub ingress: bool,
    /// Whether it names egress, or its directions cannot be read.
    pub egress: bool,
    /// Every mistake, in the order of the fields.
    pub mistakes: Vec<Mistake>,
}

impl InvalidPolicy {
    /// Every mistake, in one line.
    #[must_use]
    pub fn problem(&self) -> String {
        mistake::list(&self.mistakes)
    }
}

/// A policy as the index keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnyPolicy {
    /// Understood.
    Valid(Policy),
    /// Not understood.
    Invalid(InvalidPolicy),
}

impl AnyPolicy {
    /// Reads a policy as the API server sends it. Never fails: what is not understood is kept as
    /// what it is.
    #[must_use]
    pub fn from_value(value: &Value) -> Self {
        match Policy::try_from(value) {
            Ok(policy) => Self::Valid(policy),
            Err(invalid) => Self::Invalid(invalid),
        }
    }

    /// Its namespace and name.
    #[must_use]
    pub fn id(&self) -> &ObjectRef {
        match self {
            Self::Valid(policy) => &policy.id,
            Self::Invalid(invalid) => &invalid.id,
        }
    }

    /// Which pods of its namespace it selects.
    #[must_use]
    pub fn selects(&self) -> &Selector {
        match self {
            Self::Valid(policy) => &policy.selects,
            Self::Invalid(invalid) => &invalid.selects,
        }
    }

    /// Whether it isolates the pods it selects in this direction.
    #[must_use]
    pub fn isolates(&self, direction: Direction) -> bool {
        match (self, direction) {
            (Self::Valid(policy), direction) => policy.rules(direction).is_some(),
            (Self::Invalid(invalid), Direction::Ingress) => invalid.ingress,
            (Self::Invalid(invalid), Direction::Egress) => invalid.egress,
        }
    }
}

impl From<&NetworkPolicy> for AnyPolicy {
    fn from(policy: &NetworkPolicy) -> Self {
        match Policy::try_from(policy) {
            Ok(policy) => Self::Valid(policy),
            Err(invalid) => Self::Invalid(invalid),
        }
    }
}

impl Policy {
    /// The rules of a direction; `None`: the policy does not name it.
    #[must_use]
    pub fn rules(&self, direction: Direction) -> Option<&[PolicyRule]> {
        match direction {
            Direction::Ingress => self.ingress.as_deref(),
            Direction::Egress => self.egress.as_deref(),
        }
    }
}

impl TryFrom<&NetworkPolicy> for Policy {
    type Error = InvalidPolicy;

    fn try_from(policy: &NetworkPolicy) -> Result<Self, Self::Error> {
        match serde_json::to_value(policy) {
            Ok(value) => Self::try_from(&value),
            // The typed object holds strings, numbers and lists, which JSON can always say. Were it
            // not so, the policy would still isolate.
            Err(error) => Err(InvalidPolicy {
                id: ObjectRef {
                    namespace: policy
                        .metadata
                        .namespace
                        .clone()
                        .unwrap_or_else(default_namespace),
                    name: policy.metadata.name.clone().unwrap_or_default(),
                },
                selects: Selector::default(),
                ingress: true,
                egress: true,
                mistakes: vec![Mistake {
                    path: String::new(),
                    problem: Problem::Invalid {
                        value: "{}".to_owned(),
                        why: error.to_string(),
                    },
                }],
            }),
        }
    }
}

/// Fields of `metadata` (apimachinery `ObjectMeta`).
const METADATA: &[&str] = &[
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

impl TryFrom<&Value> for Policy {
    type Error = InvalidPolicy;

    fn try_from(value: &Value) -> Result<Self, Self::Error> {
        let mut mistakes = Mistakes::default();
        let root = Place::root(value);
        // `status` was in the API from 1.24 to 1.27 and decides nothing.
        let fields = ["apiVersion", "kind", "metadata", "spec", "status"];
        let object = root.object(&fields, &mut mistakes);
        let unreadable = mistakes.count() > 0;
        let id = read_id(object.get("metadata").as_ref(), &mut mistakes);
        let spec = spec::read(object.get("spec").as_ref(), &id.namespace, &mut mistakes);
        let mistakes = mistakes.into_vec();
        if mistakes.is_empty() {
            return Ok(Self {
                id,
                selects: spec.selects,
                ingress: spec.ingress,
                egress: spec.egress,
                idle: spec.idle,
                types_given: spec.types_given,
            });
        }
        let spec::Spec {
            selects,
            ingress,
            egress,
            ..
        } = spec;
        Err(InvalidPolicy {
            id,
            selects,
            ingress: unreadable || ingress.is_some(),
            egress: unreadable || egress.is_some(),
            mistakes,
        })
    }
}

fn read_id(metadata: Option<&Place<'_>>, mistakes: &mut Mistakes) -> ObjectRef {
    let Some(metadata) = metadata else {
        mistakes.add("metadata.name", Problem::Required("name is required"));
        return ObjectRef {
            namespace: default_namespace(),
            name: String::new(),
        };
    };
    let object = metadata.object(METADATA, mistakes);
    let name = object.get("name").and_then(|name| name.string(mistakes));
    if name.is_none_or(str::is_empty) {
        mistakes.add("metadata.name", Problem::Required("name is required"));
    }
    let namespace = object
        .get("namespace")
        .and_then(|namespace| namespace.string(mistakes));
    ObjectRef {
        namespace: namespace.map_or_else(default_namespace, str::to_owned),
        name: name.unwrap_or_default().to_owned(),
    }
}

/// Where an object without a namespace goes, as kubectl has it.
fn default_namespace() -> String {
    "default".to_owned()
}
