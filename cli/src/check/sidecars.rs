//! The pods that ask for a sidecar, and the sidecars that are there.

use k8s_openapi::api::core::v1::{Container, Namespace, Pod};
use kube::ResourceExt as _;
use sidewall_controller::inject::CONTAINER;
use sidewall_controller::inject::consent::{Answers, Consent, INJECT};
use sidewall_controller::inject::tree::Node as Tree;

use super::catalogue::{FIRST, INJECTED, RBAC, SAME_IMAGE, STARTED};
use super::controller;
use super::facts::Facts;
use super::finding::{Finding, Verdict};

/// A pod's sidecar.
pub(super) fn sidecar(pod: &Pod) -> Option<&Container> {
    init_containers(pod)
        .iter()
        .find(|container| container.name == CONTAINER)
}

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let (pods, namespaces) = match (&facts.pods, &facts.namespaces) {
        (Ok(pods), Ok(namespaces)) => (pods, namespaces),
        (Err(why), _) | (_, Err(why)) => return vec![INJECTED.unknown(why.clone())],
    };
    let running: Vec<&Pod> = pods.iter().filter(|pod| running(pod)).collect();
    let without = running.iter().filter(|pod| {
        let namespace = pod.namespace();
        let namespace = namespaces.iter().find(|n| Some(n.name_any()) == namespace);
        sidecar(pod).is_none() && asks(pod, namespace, facts)
    });
    let without = without.map(|pod| name(pod)).collect();
    let with = || running.iter().filter_map(|pod| Some((*pod, sidecar(pod)?)));
    let behind = with()
        .filter(|(pod, _)| !is_first(pod))
        .map(|(pod, _)| name(pod));
    let mut findings = vec![
        INJECTED.unless_empty(Verdict::Bad, without),
        FIRST.unless_empty(Verdict::Bad, behind.collect()),
    ];
    if let Some(image) = controller::image(facts) {
        let others = with().filter(|(_, sidecar)| sidecar.image.as_ref() != Some(&image));
        let others = others.map(|(pod, sidecar)| {
            let has = sidecar.image.as_deref().unwrap_or("no image");
            format!("{} has {has}", name(pod))
        });
        findings.push(SAME_IMAGE.unless_empty(Verdict::Warning, others.collect()));
    }
    let waiting = with()
        .filter(|(pod, _)| !has_started(pod))
        .map(|(pod, _)| name(pod));
    findings.push(STARTED.unless_empty(Verdict::Bad, waiting.collect()));
    findings.push(rbac(facts));
    findings
}

fn rbac(facts: &Facts) -> Finding {
    let missing = match &facts.sidecar_rights {
        Ok(missing) => missing,
        Err(why) => return RBAC.unknown(why.clone()),
    };
    let missing = missing.iter().map(|(account, rights)| {
        let of_a_kind = rights.chunk_by(|one, next| one.resource == next.resource);
        let kinds = of_a_kind.map(|rights| {
            let verbs: Vec<&str> = rights.iter().map(|right| right.verb).collect();
            format!("{} {}", verbs.join(" and "), rights[0].resource)
        });
        let kinds: Vec<String> = kinds.collect();
        format!("service account {account} may not {}", kinds.join(", "))
    });
    RBAC.unless_empty(Verdict::Bad, missing.collect())
}

/// Whether the webhook would inject it, were it made now. A mistake in an answer refuses new pods; the
/// namespaces' own are told elsewhere.
fn asks(pod: &Pod, namespace: Option<&Namespace>, facts: &Facts) -> bool {
    let says = |map: Option<&std::collections::BTreeMap<String, String>>| {
        map.and_then(|map| map.get(INJECT).cloned())
    };
    let answers = Answers {
        label: says(namespace.map(|namespace| namespace.labels())),
        annotation: says(namespace.map(|namespace| namespace.annotations())),
    };
    let own = pod.namespace();
    let consent = Consent {
        namespace: own.as_deref(),
        own_namespace: Some(&facts.release_namespace),
        namespace_says: Some(&answers),
    };
    let tree = serde_json::to_value(pod).and_then(serde_json::from_value::<Tree>);
    tree.is_ok_and(|tree| consent.of(&tree) == Ok(None))
}

fn init_containers(pod: &Pod) -> &[Container] {
    let spec = pod.spec.as_ref();
    spec.and_then(|spec| spec.init_containers.as_deref())
        .unwrap_or_default()
}

fn is_first(pod: &Pod) -> bool {
    init_containers(pod)
        .first()
        .is_some_and(|first| first.name == CONTAINER)
}

/// A pod that nobody has given a node yet cannot have started, and is not the sidecar's fault.
fn has_started(pod: &Pod) -> bool {
    let scheduled = pod
        .spec
        .as_ref()
        .is_some_and(|spec| spec.node_name.is_some());
    let statuses = pod
        .status
        .as_ref()
        .and_then(|s| s.init_container_statuses.as_ref());
    let mut statuses = statuses.into_iter().flatten();
    let status = statuses.find(|status| status.name == CONTAINER);
    !scheduled || status.is_some_and(|status| status.started == Some(true))
}

/// Whether it has not ended.
pub(super) fn running(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    !matches!(phase, Some("Succeeded" | "Failed"))
}

pub(super) fn name(pod: &Pod) -> String {
    format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any())
}
