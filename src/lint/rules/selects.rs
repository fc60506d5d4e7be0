//! SW008: a policy that selects no pod.

use super::Rule;
use crate::lint::Severity;
use crate::lint::context::Context;
use crate::lint::finding::Found;
use crate::lint::near::miss;

pub(super) static RULE: Rule = Rule {
    id: "SW008",
    name: "selects-no-pod",
    severity: Severity::Warning,
    means: "The policy's podSelector matches no pod of its namespace, so it protects nothing. A \
            policy never selects pods of another namespace, nor pods with the node's network.",
    fix: "give labels that the pods have (kubectl get pods --show-labels)",
};

pub(super) fn check(context: &Context<'_>, found: &mut Found) {
    if !context.knows_pods {
        return;
    }
    for (subject, policy) in context.valid() {
        let namespace = &policy.id.namespace;
        let isolates_some = subject.isolated().next().is_some();
        // An empty selector is meant for pods to come.
        if isolates_some || policy.selects.is_empty() || !context.has_namespace(namespace) {
            continue;
        }
        if !subject.selected.is_empty() {
            let message = format!(
                "\"{}\" selects only pods that no policy has a say over: with the node's network, or \
                 finished",
                policy.selects
            );
            let fix = "policies cannot limit hostNetwork pods; protect the node instead".to_owned();
            found.add(&RULE, subject.given, "spec.podSelector", message, fix);
            continue;
        }
        let labels: Vec<_> = context.pods_in(namespace).map(|pod| &*pod.labels).collect();
        let mut elsewhere = context
            .cluster
            .pods()
            .filter(|pod| policy.selects.matches(&pod.labels));
        let miss = miss(&policy.selects, &labels, "pod");
        let message = format!(
            "\"{}\" selects no pod of namespace {namespace}: {}",
            policy.selects, miss.why
        );
        let fix = match elsewhere.next() {
            Some(pod) => format!(
                "{} has these labels; a policy for it belongs into namespace {}",
                pod.id, pod.id.namespace
            ),
            None => miss.fix(RULE.fix),
        };
        found.add(&RULE, subject.given, "spec.podSelector", message, fix);
    }
}
