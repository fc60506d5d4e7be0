//! What defines a set: equal definitions are one set, whichever policies they stand in.
//!
//! A definition says nothing of who is in the set now. [`super::template`] finds them in policies,
//! [`super::catalogue`] keeps their members.

use ipnet::IpNet;
use serde::Serialize;

use super::wire::SetId;
use crate::net::Protocol;
use crate::policy::allow_list::{NamespaceCriterion, Selector};
use crate::policy::compile::near::Scope;

/// What a set is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Definition {
    /// The pods that a peer entry means.
    Pods(Pods),
    /// Those pods of a family in which its port name has this number.
    Port(Family, u16),
    /// Services.
    Services(Scope),
}

/// The pods that a peer entry means.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub(crate) struct Pods {
    pub(crate) namespaces: NamespaceCriterion,
    pub(crate) pods: Selector,
}

/// The pods among a rule's peers that have a port of this name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub(crate) struct Family {
    pub(crate) protocol: Protocol,
    pub(crate) name: String,
    /// `None`: everyone. Sorted, each once.
    pub(crate) peers: Option<Vec<Among>>,
}

/// Peers of a rule that names a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub(crate) enum Among {
    /// The members of a set of pods.
    Set(SetId),
    /// Who has an address in these blocks.
    Blocks(Vec<IpNet>),
}

impl Definition {
    /// The set's name.
    pub(crate) fn id(&self) -> SetId {
        match self {
            Self::Pods(pods) => SetId::of("pods", pods),
            Self::Port(family, number) => SetId::of("port", &(family, number)),
            Self::Services(scope) => SetId::of("services", scope),
        }
    }
}
