//! What namespaces say: whether they ask, and whether Pod Security Admission lets the sidecar in.

use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt as _;
use sidewall_controller::inject::consent::{INJECT, SYSTEM_NAMESPACES};

use super::catalogue::{LABELS, POD_SECURITY};
use super::facts::Facts;
use super::finding::{Finding, Verdict};

/// Pod Security Admission's label (KEP-2579). Without it the server's default counts, which no API
/// tells; it is `privileged` unless configured otherwise.
const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

pub(super) fn check(facts: &Facts, asked: &[String]) -> Vec<Finding> {
    let namespaces = match &facts.namespaces {
        Ok(namespaces) => namespaces,
        Err(why) => {
            return vec![
                LABELS.unknown(why.clone()),
                POD_SECURITY.unknown(why.clone()),
            ];
        }
    };
    let labels = namespaces
        .iter()
        .filter_map(|namespace| label(namespace, facts));
    let mut labels: Vec<String> = labels.collect();
    let missing = asked
        .iter()
        .filter(|name| !namespaces.iter().any(|n| n.name_any() == **name));
    labels.extend(missing.map(|name| format!("{name}: there is no such namespace")));
    let opted_in = facts.opted_in();
    let refused = namespaces.iter().filter_map(|namespace| {
        let name = namespace.name_any();
        let concerned = opted_in.contains(&name) || asked.contains(&name);
        let level = namespace.labels().get(ENFORCE)?;
        (concerned && level != "privileged").then(|| format!("{name} enforces {level}"))
    });
    vec![
        LABELS.unless_empty(Verdict::Bad, labels),
        POD_SECURITY.unless_empty(Verdict::Bad, refused.collect()),
    ]
}

fn label(namespace: &Namespace, facts: &Facts) -> Option<String> {
    let name = namespace.name_any();
    let says = namespace.labels().get(INJECT)?;
    match says.as_str() {
        "disabled" => None,
        "enabled" if SYSTEM_NAMESPACES.contains(&name.as_str()) => Some(format!(
            "{name} says enabled, and is never injected: the cluster needs its pods in order to start"
        )),
        "enabled" if name == facts.release_namespace => Some(format!(
            "{name} says enabled, and is never injected: it is the controller's own"
        )),
        "enabled" => None,
        other => Some(format!("{name} says {other:?}: its pods are refused")),
    }
}
