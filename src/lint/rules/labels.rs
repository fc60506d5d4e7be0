//! SW009: a peer's labels that exist nowhere.

use super::Rule;
use crate::lint::Severity;
use crate::lint::context::{Context, Subject, peer_field, rules_of};
use crate::lint::finding::Found;
use crate::lint::near::miss;
use crate::policy::allow_list::{NamespaceCriterion, PeerCriterion, Selector};
use crate::policy::selector::Labels;
use crate::spelling::nearest;

pub(super) static RULE: Rule = Rule {
    id: "SW009",
    name: "label-nowhere",
    severity: Severity::Warning,
    means: "A selector in `from` or `to` matches no namespace, or no pod of the namespaces it means, \
            so the entry admits nobody.",
    fix: "correct the label, or label what is meant (kubectl label)",
};

/// The label that every namespace has (KEP-2161).
const NAME: &str = "kubernetes.io/metadata.name";

pub(super) fn check(context: &Context<'_>, found: &mut Found) {
    for (subject, policy) in context.valid() {
        for (direction, index, rule) in rules_of(policy) {
            for (at, peer) in rule.peers.iter().flatten().enumerate() {
                let field = peer_field(direction, index, at);
                if let PeerCriterion::Pods { namespaces, pods } = peer {
                    let entry = Entry {
                        subject,
                        field,
                        namespaces,
                        pods: pods.as_ref(),
                    };
                    entry.check(context, found);
                }
            }
        }
    }
}

/// An entry of `from` or `to`.
struct Entry<'a> {
    subject: &'a Subject<'a>,
    field: String,
    namespaces: &'a NamespaceCriterion,
    pods: Option<&'a Selector>,
}

impl Entry<'_> {
    fn check(&self, context: &Context<'_>, found: &mut Found) {
        let namespaces = context.namespaces(self.namespaces);
        match (self.namespaces, self.pods) {
            (NamespaceCriterion::Labels(selector), _) if namespaces.is_empty() => {
                self.no_namespace(context, selector, found);
            }
            (_, Some(pods)) if !pods.is_empty() && context.knows_pods => {
                self.no_pod(context, &namespaces, pods, found);
            }
            _ => {}
        }
    }

    fn no_namespace(&self, context: &Context<'_>, selector: &Selector, found: &mut Found) {
        let names: Vec<&str> = context
            .cluster
            .namespaces()
            .map(|namespace| namespace.id.name.as_str())
            .collect();
        let by_name = selector.match_labels.get(NAME);
        let (why, fix) = match by_name {
            // Files need not bring every namespace of which they speak; one that is spelled almost
            // like one of theirs is a slip.
            Some(name) => match nearest(name, names.iter().copied()) {
                Some(near) if near != *name => (
                    format!("there is no namespace {name}"),
                    format!("did you mean {near}?"),
                ),
                _ if context.input.whole && !names.contains(&name.as_str()) => {
                    (format!("there is no namespace {name}"), RULE.fix.to_owned())
                }
                _ => return,
            },
            None if !context.knows_namespaces() => return,
            None => {
                let miss = miss(selector, &context.namespace_labels(), "namespace");
                let named = selector.match_labels.values();
                let named = named.filter(|value| names.contains(&value.as_str())).min();
                let fix = match (&miss.meant, named) {
                    (_, Some(name)) => format!(
                        "select it by the label that every namespace has, {NAME}: {name}, or label \
                         it: kubectl label namespace {name} {selector}"
                    ),
                    _ => miss.fix(RULE.fix),
                };
                (miss.why, fix)
            }
        };
        let field = format!("{}.namespaceSelector", self.field);
        let message = format!("\"{selector}\" matches no namespace: {why}");
        found.add(&RULE, self.subject.given, &field, message, fix);
    }

    fn no_pod(
        &self,
        context: &Context<'_>,
        namespaces: &[&str],
        selector: &Selector,
        found: &mut Found,
    ) {
        let theirs = || namespaces.iter().flat_map(|name| context.pods_in(name));
        let labels: Vec<&Labels> = theirs().map(|pod| &*pod.labels).collect();
        // Of a namespace without pods nothing is known, unless the cluster is there as a whole.
        let unknown = labels.is_empty() && !context.input.whole;
        if unknown || labels.iter().any(|labels| selector.matches(labels)) {
            return;
        }
        let miss = miss(selector, &labels, "pod");
        let elsewhere = context
            .cluster
            .pods()
            .find(|pod| selector.matches(&pod.labels));
        let (whom, fix) = match (self.namespaces, elsewhere) {
            (NamespaceCriterion::Own(own), Some(pod)) => (
                format!("no pod of the policy's own namespace {own}"),
                format!(
                    "{} has these labels: add to the same entry namespaceSelector: {{matchLabels: \
                     {{{NAME}: {}}}}}",
                    pod.id, pod.id.namespace
                ),
            ),
            (NamespaceCriterion::Own(own), None) => (
                format!("no pod of the policy's own namespace {own}"),
                miss.fix(RULE.fix),
            ),
            (NamespaceCriterion::Labels(_), Some(pod)) => (
                format!("no pod of {}", listed(namespaces)),
                format!("{} has these labels, in another namespace", pod.id),
            ),
            (NamespaceCriterion::Labels(_), None) => (
                format!("no pod of {}", listed(namespaces)),
                miss.fix(RULE.fix),
            ),
        };
        let field = format!("{}.podSelector", self.field);
        let message = format!("\"{selector}\" matches {whom}: {}", miss.why);
        found.add(&RULE, self.subject.given, &field, message, fix);
    }
}

fn listed(namespaces: &[&str]) -> String {
    match namespaces {
        [one] => format!("namespace {one}"),
        [first, .., last] => format!("namespaces {first} to {last}, {} in all", namespaces.len()),
        [] => "any namespace".to_owned(),
    }
}
