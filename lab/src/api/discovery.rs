//! What there is: `/version`, `/api`, `/apis` and the resource lists, in the form of old and in the
//! aggregated one (KEP-3352) that a current kubectl asks for first.

use serde_json::{Value, json};

use super::kinds::{GROUPS, KINDS, Kind};

/// The Kubernetes version whose API this is; `schema/make.py` was run on the same.
pub(crate) const VERSION: &str = "v1.36.0";

const VERBS: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

/// Kinds that are asked and not stored: group, plural, singular, kind.
pub(crate) const REVIEWS: [(&str, &str, &str, &str); 4] = [
    (
        "authentication.k8s.io",
        "selfsubjectreviews",
        "selfsubjectreview",
        "SelfSubjectReview",
    ),
    (
        "authorization.k8s.io",
        "selfsubjectaccessreviews",
        "selfsubjectaccessreview",
        "SelfSubjectAccessReview",
    ),
    (
        "authorization.k8s.io",
        "selfsubjectrulesreviews",
        "selfsubjectrulesreview",
        "SelfSubjectRulesReview",
    ),
    (
        "authorization.k8s.io",
        "subjectaccessreviews",
        "subjectaccessreview",
        "SubjectAccessReview",
    ),
];

pub(crate) fn version() -> Value {
    json!({
        "major": "1",
        "minor": "36",
        "gitVersion": VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

/// `/api`
pub(crate) fn core_versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
}

/// `/apis`
pub(crate) fn groups() -> Value {
    let groups: Vec<Value> = GROUPS
        .iter()
        .filter(|g| !g.is_empty())
        .map(|g| group_entry(g))
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/GROUP`
pub(crate) fn group(name: &str) -> Option<Value> {
    let known = !name.is_empty() && GROUPS.contains(&name);
    known.then(|| {
        let mut group = group_entry(name);
        group["kind"] = json!("APIGroup");
        group["apiVersion"] = json!("v1");
        group
    })
}

fn group_entry(group: &str) -> Value {
    let version = json!({"groupVersion": format!("{group}/v1"), "version": "v1"});
    json!({"name": group, "versions": [version], "preferredVersion": version})
}

/// `/api/v1` and `/apis/GROUP/v1`
pub(crate) fn resources(group: &str) -> Option<Value> {
    if !GROUPS.contains(&group) {
        return None;
    }
    let mut list = Vec::new();
    for kind in kinds(group) {
        let mut entry = json!({
            "name": kind.plural,
            "singularName": kind.singular,
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": VERBS,
        });
        for (field, values) in [
            ("shortNames", kind.short_names),
            ("categories", kind.categories),
        ] {
            if !values.is_empty() {
                entry[field] = json!(values);
            }
        }
        list.push(entry);
        if kind.status {
            list.push(json!({
                "name": format!("{}/status", kind.plural),
                "singularName": "",
                "namespaced": kind.namespaced,
                "kind": kind.kind,
                "verbs": ["get", "patch", "update"],
            }));
        }
    }
    for (_, plural, singular, kind) in reviews(group) {
        list.push(json!({
            "name": plural, "singularName": singular, "namespaced": false, "kind": kind, "verbs": ["create"],
        }));
    }
    let version = if group.is_empty() {
        "v1".to_owned()
    } else {
        format!("{group}/v1")
    };
    Some(
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": list}),
    )
}

/// The aggregated form of `/api` (the core group) or `/apis` (all others).
pub(crate) fn aggregated(core: bool) -> Value {
    let items: Vec<Value> = GROUPS
        .iter()
        .filter(|g| g.is_empty() == core)
        .map(|group| {
            let mut resources: Vec<Value> = kinds(group).map(aggregated_kind).collect();
            resources.extend(reviews(group).map(|(group, plural, singular, kind)| {
                json!({
                    "resource": plural,
                    "responseKind": {"group": group, "version": "v1", "kind": kind},
                    "scope": "Cluster",
                    "singularResource": singular,
                    "verbs": ["create"],
                })
            }));
            json!({
                "metadata": {"name": group, "creationTimestamp": null},
                "versions": [{"version": "v1", "resources": resources, "freshness": "Current"}],
            })
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    })
}

fn aggregated_kind(kind: &Kind) -> Value {
    let response = json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
    let mut entry = json!({
        "resource": kind.plural,
        "responseKind": response,
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular,
        "verbs": VERBS,
    });
    if !kind.short_names.is_empty() {
        entry["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        entry["categories"] = json!(kind.categories);
    }
    if kind.status {
        entry["subresources"] = json!([{
            "subresource": "status", "responseKind": response, "verbs": ["get", "patch", "update"],
        }]);
    }
    entry
}

fn kinds(group: &str) -> impl Iterator<Item = &'static Kind> {
    KINDS.iter().filter(move |k| k.group == group)
}

fn reviews(
    group: &str,
) -> impl Iterator<Item = (&'static str, &'static str, &'static str, &'static str)> {
    REVIEWS.iter().copied().filter(move |(g, ..)| *g == group)
}
