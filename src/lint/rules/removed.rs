//! SW003, SW004, SW022: APIs and fields that are gone, and policies of other kinds.

use super::Rule;
use crate::lint::Severity;
use crate::lint::context::Context;
use crate::lint::finding::{Finding, Found};
use crate::manifest::Ignored;

pub(super) static REMOVED_API: Rule = Rule {
    id: "SW003",
    name: "removed-api",
    severity: Severity::Error,
    means: "Kubernetes no longer serves this apiVersion, so nobody reads the object \
            (kubernetes.io/docs/reference/using-api/deprecation-guide).",
    fix: "write the apiVersion that is served now",
};

pub(super) static REMOVED_FIELD: Rule = Rule {
    id: "SW004",
    name: "removed-field",
    severity: Severity::Warning,
    means: "The field was in the API once and is no more; it decides nothing.",
    fix: "take it out",
};

pub(super) static OTHER_KIND: Rule = Rule {
    id: "SW022",
    name: "other-policy-kind",
    severity: Severity::Info,
    means: "The object is a policy of another API (Calico, Cilium, AdminNetworkPolicy). Only \
            networking.k8s.io/v1 is judged here, so answers leave it out.",
    fix: "keep in mind that this policy is not part of the answer",
};

/// Kinds, the apiVersions that are gone, and the one that is served (deprecation guide: removed in
/// 1.16, 1.22 and 1.25).
const REMOVED: &[(&str, &[&str], &str)] = &[
    (
        "NetworkPolicy",
        &["extensions/v1beta1"],
        "networking.k8s.io/v1",
    ),
    (
        "Deployment",
        &["extensions/v1beta1", "apps/v1beta1", "apps/v1beta2"],
        "apps/v1",
    ),
    (
        "DaemonSet",
        &["extensions/v1beta1", "apps/v1beta2"],
        "apps/v1",
    ),
    (
        "ReplicaSet",
        &["extensions/v1beta1", "apps/v1beta2"],
        "apps/v1",
    ),
    ("StatefulSet", &["apps/v1beta1", "apps/v1beta2"], "apps/v1"),
    ("CronJob", &["batch/v2alpha1", "batch/v1beta1"], "batch/v1"),
    (
        "EndpointSlice",
        &["discovery.k8s.io/v1beta1"],
        "discovery.k8s.io/v1",
    ),
];

/// Groups with policies of their own.
const OTHER_GROUPS: &[&str] = &[
    "cilium.io",
    "crd.projectcalico.org",
    "policy.networking.k8s.io",
    "projectcalico.org",
];

pub(super) fn check(context: &Context<'_>, found: &mut Found) {
    for (file, ignored) in context.input.ignored {
        let Ignored {
            api_version, kind, ..
        } = ignored;
        let gone = REMOVED.iter().find(|(its_kind, versions, _)| {
            kind == its_kind && versions.contains(&api_version.as_str())
        });
        if let Some((_, _, now)) = gone {
            let message = format!("{api_version} {kind} is served no more, so nobody reads it");
            let fix = format!("apiVersion: {now}");
            found.push(at(&REMOVED_API, file, ignored, message, fix));
        }
        let group = api_version.split('/').next().unwrap_or_default();
        if kind.contains("NetworkPolicy") && OTHER_GROUPS.contains(&group)
            || (kind.contains("NetworkPolicy") && group.ends_with(".antrea.io"))
        {
            let message = format!("{kind} of {api_version} is not judged here");
            let fix = OTHER_KIND.fix.to_owned();
            found.push(at(&OTHER_KIND, file, ignored, message, fix));
        }
    }
    for subject in &context.policies {
        // `status` came with 1.24 and went with 1.28 (KEP-2943). A running cluster may still store it.
        let status = subject.given.value.get("status");
        if status.is_some_and(|status| !status.is_null()) && !context.input.whole {
            let message = "a NetworkPolicy has no status any more (it had from 1.24 to 1.27)";
            let fix = REMOVED_FIELD.fix.to_owned();
            let message = message.to_owned();
            found.add(&REMOVED_FIELD, subject.given, "status", message, fix);
        }
    }
}

fn at(rule: &Rule, file: &str, ignored: &Ignored, message: String, fix: String) -> Finding {
    Finding {
        rule: rule.id,
        name: rule.name,
        severity: rule.severity,
        file: Some(file.to_owned()),
        line: Some(ignored.line),
        kind: ignored.kind.clone(),
        object: None,
        field: "apiVersion".to_owned(),
        message: format!("{message} ({})", ignored.name),
        fix,
    }
}
