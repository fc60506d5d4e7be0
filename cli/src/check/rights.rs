//! Who may do what: the one who asks, in order to install the chart; and a sidecar, in order to enforce.

use std::fmt;

use super::catalogue::INSTALL;
use super::facts::Facts;
use super::finding::{Finding, Verdict};
use super::lists::GROUP;

/// A verb on a kind, in one namespace or in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Right {
    pub(super) verb: &'static str,
    pub(super) group: &'static str,
    pub(super) resource: &'static str,
    pub(super) namespace: Option<String>,
}

/// The kinds that the chart makes: of the cluster, and in the release's namespace.
const OF_THE_CLUSTER: [(&str, &str); 5] = [
    ("", "namespaces"),
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
    (
        "admissionregistration.k8s.io",
        "mutatingwebhookconfigurations",
    ),
    ("apiregistration.k8s.io", "apiservices"),
];
const OF_THE_RELEASE: [(&str, &str); 9] = [
    ("", "configmaps"),
    ("", "secrets"),
    ("", "serviceaccounts"),
    ("", "services"),
    ("apps", "deployments"),
    ("coordination.k8s.io", "leases"),
    ("networking.k8s.io", "networkpolicies"),
    ("rbac.authorization.k8s.io", "roles"),
    ("rbac.authorization.k8s.io", "rolebindings"),
];

/// The kinds that a sidecar watches when it reads the API itself, and whether only in its own namespace.
const OF_A_SIDECAR: [(&str, &str, bool); 5] = [
    ("", "namespaces", false),
    ("", "pods", false),
    ("", "services", false),
    ("discovery.k8s.io", "endpointslices", false),
    ("networking.k8s.io", "networkpolicies", true),
];

/// What `helm install` needs.
pub(super) fn to_install(namespace: &str) -> Vec<Right> {
    let right = |namespace: Option<&str>, (group, resource)| Right {
        verb: "create",
        group,
        resource,
        namespace: namespace.map(str::to_owned),
    };
    let cluster = OF_THE_CLUSTER.map(|kind| right(None, kind));
    let release = OF_THE_RELEASE.map(|kind| right(Some(namespace), kind));
    // By this binding the controller knows the API server.
    let kind = ("rbac.authorization.k8s.io", "rolebindings");
    let reader = right(Some("kube-system"), kind);
    let all = cluster.into_iter().chain(release).chain([reader]);
    all.collect()
}

/// What a sidecar in this namespace needs.
pub(super) fn of_a_sidecar(namespace: &str, takes_a_list: bool) -> Vec<Right> {
    if takes_a_list {
        return vec![Right {
            verb: "watch",
            group: GROUP,
            resource: "allowlists",
            namespace: Some(namespace.to_owned()),
        }];
    }
    let both = OF_A_SIDECAR.iter().flat_map(|(group, resource, own)| {
        ["list", "watch"].map(|verb| Right {
            verb,
            group,
            resource,
            namespace: own.then(|| namespace.to_owned()),
        })
    });
    both.collect()
}

/// What no sidecar needs that takes a list, and whoever has it may read the whole cluster.
pub(super) fn broad() -> Right {
    Right {
        verb: "list",
        group: "",
        resource: "pods",
        namespace: None,
    }
}

/// Whether the one who asks may install the chart.
pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let unread = facts
        .own_rights
        .iter()
        .find_map(|(_, allowed)| allowed.as_ref().err());
    if let Some(why) = unread {
        return vec![INSTALL.unknown(format!("asking what you may: {why}"))];
    }
    let missing = facts
        .own_rights
        .iter()
        .filter(|(_, allowed)| *allowed != Ok(true));
    let missing = missing
        .map(|(right, _)| format!("you may not {right}"))
        .collect();
    vec![INSTALL.unless_empty(Verdict::Bad, missing)]
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in namespace {namespace}"),
            None => f.write_str(" in all namespaces"),
        }
    }
}
