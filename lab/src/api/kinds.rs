//! The kinds that are served, as data: names, scope, what `api-resources` shows, and the type that
//! an object must decode into. Everything else (discovery, paths, tables, validation) asks this list.

use k8s_openapi::api::{
    admissionregistration, apps, coordination, core::v1 as core, discovery, networking,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// One served kind.
#[derive(Debug)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// The one served version.
    pub version: &'static str,
    /// Path segment, e.g. `networkpolicies`.
    pub plural: &'static str,
    /// Singular name, e.g. `networkpolicy`.
    pub singular: &'static str,
    /// Kind, e.g. `NetworkPolicy`.
    pub kind: &'static str,
    pub(crate) short_names: &'static [&'static str],
    pub(crate) categories: &'static [&'static str],
    /// Lives in a namespace?
    pub namespaced: bool,
    /// Has a `/status` subresource?
    pub(crate) status: bool,
    /// Counts changes of its spec in `metadata.generation`?
    pub(crate) generation: bool,
    /// Name of its definition in the schema.
    pub(crate) schema: &'static str,
    pub(crate) decode: fn(&Value) -> Result<(), serde_json::Error>,
}

impl Kind {
    /// `networkpolicies.networking.k8s.io`, or `pods` in the core group.
    pub(crate) fn resource(&self) -> String {
        qualified(self.plural, self.group)
    }

    /// `NetworkPolicy.networking.k8s.io`, or `Pod`.
    pub(crate) fn qualified_kind(&self) -> String {
        qualified(self.kind, self.group)
    }

    /// `networking.k8s.io/v1`, or `v1`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The kind behind a path segment.
    pub(crate) fn by_plural(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
        KINDS
            .iter()
            .find(|k| k.plural == plural && k.group == group && k.version == version)
    }

    /// The kind that an object says it is.
    pub fn of(object: &Value) -> Option<&'static Kind> {
        let (api_version, kind) = (object["apiVersion"].as_str()?, object["kind"].as_str()?);
        KINDS
            .iter()
            .find(|k| k.kind == kind && k.api_version() == api_version)
    }
}

fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() {
        name.to_owned()
    } else {
        format!("{name}.{group}")
    }
}

fn decode<T: DeserializeOwned>(value: &Value) -> Result<(), serde_json::Error> {
    T::deserialize(value).map(drop)
}

/// The group and version pairs that are served, in the order of discovery.
pub(crate) const GROUPS: [&str; 8] = [
    "",
    "admissionregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "networking.k8s.io",
];

/// Every stored kind.
pub static KINDS: [Kind; 15] = [
    Kind {
        group: "",
        version: "v1",
        plural: "configmaps",
        singular: "configmap",
        kind: "ConfigMap",
        short_names: &["cm"],
        categories: &[],
        namespaced: true,
        status: false,
        generation: false,
        schema: "io.k8s.api.core.v1.ConfigMap",
        decode: decode::<core::ConfigMap>,
    },
    Kind {
        group: "",
        version: "v1",
        plural: "endpoints",
        singular: "endpoints",
        kind: "Endpoints",
        short_names: &["ep"],
        categories: &[],
        namespaced: true,
        status: false,
        generation: false,
        schema: "io.k8s.api.core.v1.Endpoints",
        decode: decode::<core::Endpoints>,
    },
    Kind {
        group: "",
        version: "v1",
        plural: "events",
        singular: "event",
        kind: "Event",
        short_names: &["ev"],
        categories: &[],
        namespaced: true,
        status: false,
        generation: false,
        schema: "io.k8s.api.core.v1.Event",
        decode: decode::<core::Event>,
    },
    Kind {
        group: "",
        version: "v1",
        plural: "namespaces",
        singular: "namespace",
        kind: "Namespace",
        short_names: &["ns"],
        categories: &[],
        namespaced: false,
        status: true,
        generation: false,
        schema: "io.k8s.api.core.v1.Namespace",
        decode: decode::<core::Namespace>,
    },
    Kind {
        group: "",
        version: "v1",
        plural: "nodes",
        singular: "node",
        kind: "Node",
        short_names: &["no"],
        categories: &[],
        namespaced: false,
        status: true,
        generation: false,
        schema: "io.k8s.api.core.v1.Node",
        decode: decode::<core::Node>,
    },
    Kind {
        group: "",
        version: "v1",
        plural: "pods",
        singular: "pod",
        kind: "Pod",
        short_names: &["po"],
        categories: &["all"],
        namespaced: true,
        status: true,
        generation: true,
        schema: "io.k8s.api.core.v1.Pod",
        decode: decode::<core::Pod>,
    },
    Kind {
        group: "",
        version: "v1",
        plural: "serviceaccounts",
        singular: "serviceaccount",
        kind: "ServiceAccount",
        short_names: &["sa"],
        categories: &[],
        namespaced: true,
        status: false,
        generation: false,
        schema: "io.k8s.api.core.v1.ServiceAccount",
        decode: decode::<core::ServiceAccount>,
    },
    Kind {
        group: "",
        version: "v1",
        plural: "services",
        singular: "service",
        kind: "Service",
        short_names: &["svc"],
        categories: &["all"],
        namespaced: true,
        status: true,
        generation: false,
        schema: "io.k8s.api.core.v1.Service",
        decode: decode::<core::Service>,
    },
    Kind {
        group: "admissionregistration.k8s.io",
        version: "v1",
        plural: "mutatingwebhookconfigurations",
        singular: "mutatingwebhookconfiguration",
        kind: "MutatingWebhookConfiguration",
        short_names: &[],
        categories: &["api-extensions"],
        namespaced: false,
        status: false,
        generation: true,
        schema: "io.k8s.api.admissionregistration.v1.MutatingWebhookConfiguration",
        decode: decode::<admissionregistration::v1::MutatingWebhookConfiguration>,
    },
    Kind {
        group: "admissionregistration.k8s.io",
        version: "v1",
        plural: "validatingadmissionpolicybindings",
        singular: "validatingadmissionpolicybinding",
        kind: "ValidatingAdmissionPolicyBinding",
        short_names: &[],
        categories: &["api-extensions"],
        namespaced: false,
        status: false,
        generation: true,
        schema: "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyBinding",
        decode: decode::<admissionregistration::v1::ValidatingAdmissionPolicyBinding>,
    },
    Kind {
        group: "apps",
        version: "v1",
        plural: "daemonsets",
        singular: "daemonset",
        kind: "DaemonSet",
        short_names: &["ds"],
        categories: &["all"],
        namespaced: true,
        status: true,
        generation: true,
        schema: "io.k8s.api.apps.v1.DaemonSet",
        decode: decode::<apps::v1::DaemonSet>,
    },
    Kind {
        group: "apps",
        version: "v1",
        plural: "deployments",
        singular: "deployment",
        kind: "Deployment",
        short_names: &["deploy"],
        categories: &["all"],
        namespaced: true,
        status: true,
        generation: true,
        schema: "io.k8s.api.apps.v1.Deployment",
        decode: decode::<apps::v1::Deployment>,
    },
    Kind {
        group: "coordination.k8s.io",
        version: "v1",
        plural: "leases",
        singular: "lease",
        kind: "Lease",
        short_names: &[],
        categories: &[],
        namespaced: true,
        status: false,
        generation: false,
        schema: "io.k8s.api.coordination.v1.Lease",
        decode: decode::<coordination::v1::Lease>,
    },
    Kind {
        group: "discovery.k8s.io",
        version: "v1",
        plural: "endpointslices",
        singular: "endpointslice",
        kind: "EndpointSlice",
        short_names: &[],
        categories: &[],
        namespaced: true,
        status: false,
        generation: true,
        schema: "io.k8s.api.discovery.v1.EndpointSlice",
        decode: decode::<discovery::v1::EndpointSlice>,
    },
    Kind {
        group: "networking.k8s.io",
        version: "v1",
        plural: "networkpolicies",
        singular: "networkpolicy",
        kind: "NetworkPolicy",
        short_names: &["netpol"],
        categories: &[],
        namespaced: true,
        status: false,
        generation: true,
        schema: "io.k8s.api.networking.v1.NetworkPolicy",
        decode: decode::<networking::v1::NetworkPolicy>,
    },
];
