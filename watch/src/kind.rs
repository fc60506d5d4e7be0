//! The kinds of objects that are watched, and how the API calls them.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::cluster;

/// A kind that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `networkpolicies.networking.k8s.io`, of the pod's own namespace.
    NetworkPolicies,
    /// `namespaces`.
    Namespaces,
    /// `pods`, of all namespaces.
    Pods,
    /// `services`, of all namespaces.
    Services,
    /// `endpointslices.discovery.k8s.io`, of all namespaces.
    EndpointSlices,
    /// `nodes`: no verdict depends on them, but logs name them.
    Nodes,
}

impl Kind {
    /// All of them; a position in here is [`Kind::index`].
    pub const ALL: [Self; 6] = [
        Self::NetworkPolicies,
        Self::Namespaces,
        Self::Pods,
        Self::Services,
        Self::EndpointSlices,
        Self::Nodes,
    ];

    /// Those that decide over traffic: the first of [`Kind::ALL`], at the same positions.
    pub const DECIDING: [Self; 5] = [
        Self::NetworkPolicies,
        Self::Namespaces,
        Self::Pods,
        Self::Services,
        Self::EndpointSlices,
    ];

    /// The resource's plural, as in a URL and in an RBAC rule.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::NetworkPolicies => "networkpolicies",
            Self::Namespaces => "namespaces",
            Self::Pods => "pods",
            Self::Services => "services",
            Self::EndpointSlices => "endpointslices",
            Self::Nodes => "nodes",
        }
    }

    /// The API group, empty for the core group.
    #[must_use]
    pub const fn group(self) -> &'static str {
        match self {
            Self::NetworkPolicies => "networking.k8s.io",
            Self::EndpointSlices => "discovery.k8s.io",
            Self::Namespaces | Self::Pods | Self::Services | Self::Nodes => "",
        }
    }

    /// Position in [`Kind::ALL`], and in [`Kind::DECIDING`] if it is there.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The same kind in the core's index.
    #[must_use]
    pub const fn in_cluster(self) -> cluster::Kind {
        match self {
            Self::NetworkPolicies => cluster::Kind::NetworkPolicy,
            Self::Namespaces => cluster::Kind::Namespace,
            Self::Pods => cluster::Kind::Pod,
            Self::Services => cluster::Kind::Service,
            Self::EndpointSlices => cluster::Kind::EndpointSlice,
            Self::Nodes => cluster::Kind::Node,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.plural())
    }
}

/// The name under which the index knows an object; cluster-wide ones have an empty namespace.
pub fn object_ref(metadata: &ObjectMeta) -> ObjectRef {
    ObjectRef {
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
    }
}
