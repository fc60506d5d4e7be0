//! SW021: pods that no policy isolates.

use std::collections::BTreeSet;

use super::Rule;
use crate::lint::Severity;
use crate::lint::context::Context;
use crate::lint::finding::{Finding, Found};
use crate::net::Direction;
use crate::policy::allow_list::ObjectRef;
use crate::policy::cluster::Kind;

pub(super) static RULE: Rule = Rule {
    id: "SW021",
    name: "unprotected-pod",
    severity: Severity::Info,
    means: "No policy isolates the pod for ingress, so every address that can reach it may connect.",
    fix: "add a policy that denies by default (podSelector: {}, policyTypes: [Ingress]), and then \
          allow what is needed",
};

/// Namespaces that the cluster's own pods live in.
const SYSTEM: &[&str] = &[
    "kube-system",
    "kube-public",
    "kube-node-lease",
    "kube-flannel",
];

pub(super) fn check(context: &Context<'_>, found: &mut Found) {
    let isolated: BTreeSet<&ObjectRef> = context
        .policies
        .iter()
        .filter(|subject| subject.policy.isolates(Direction::Ingress))
        .flat_map(|subject| subject.isolated())
        .map(|pod| &pod.id)
        .collect();
    let mut told = BTreeSet::new();
    for pod in context.cluster.pods() {
        let concerned = !pod.host_network
            && !pod.finished
            && !SYSTEM.contains(&pod.id.namespace.as_str())
            && !isolated.contains(&pod.id);
        // Pods of one workload are alike.
        let workload = pod.workload.as_ref();
        let owner = workload.map_or_else(
            || ("Pod".to_owned(), pod.id.clone()),
            |workload| {
                let id = ObjectRef {
                    namespace: pod.id.namespace.clone(),
                    name: workload.name.clone(),
                };
                (workload.kind.clone(), id)
            },
        );
        if !concerned || !told.insert(owner.clone()) {
            continue;
        }
        let (kind, id) = owner;
        let message = format!("no policy isolates {kind} {id} for ingress");
        let fix = RULE.fix.to_owned();
        let given = context.input.objects.iter();
        let mut given = given.filter(|given| given.kind == Kind::Pod && given.id == pod.id);
        match given.next() {
            Some(given) => found.add(&RULE, given, "", message, fix),
            None => found.push(Finding {
                rule: RULE.id,
                name: RULE.name,
                severity: RULE.severity,
                file: None,
                line: None,
                kind,
                object: Some(id),
                field: String::new(),
                message,
                fix,
            }),
        }
    }
}
