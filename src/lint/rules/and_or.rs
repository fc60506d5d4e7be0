//! SW012: two entries that look like one.

use super::Rule;
use crate::lint::Severity;
use crate::lint::context::{Context, peer_field, rules_of};
use crate::lint::finding::Found;
use crate::policy::allow_list::{NamespaceCriterion, PeerCriterion};

pub(super) static RULE: Rule = Rule {
    id: "SW012",
    name: "and-or",
    severity: Severity::Warning,
    means: "An entry with only a namespaceSelector and one with only a podSelector stand side by \
            side: either is enough (OR), and the podSelector means the policy's own namespace. \
            Usually both were meant to hold (AND), which is one entry: one dash less.",
    fix: "if both must hold, take away the second dash, so that the selectors are one entry",
};

pub(super) fn check(context: &Context<'_>, found: &mut Found) {
    for (subject, policy) in context.valid() {
        for (direction, index, rule) in rules_of(policy) {
            let peers = rule.peers.as_deref().unwrap_or_default();
            for (at, pair) in peers.windows(2).enumerate() {
                let [first, second] = pair else { continue };
                let (namespaces, pods) = match (lone(first), lone(second)) {
                    (Some(Lone::Namespaces), Some(Lone::Pods)) => (first, second),
                    (Some(Lone::Pods), Some(Lone::Namespaces)) => (second, first),
                    _ => continue,
                };
                let message = format!(
                    "either is enough: {namespaces}, or {pods}; as one entry both would have to hold"
                );
                let field = peer_field(direction, index, at + 1);
                found.add(&RULE, subject.given, &field, message, RULE.fix.to_owned());
            }
        }
    }
}

enum Lone {
    Namespaces,
    Pods,
}

/// An entry with one selector that says something.
fn lone(peer: &PeerCriterion) -> Option<Lone> {
    match peer {
        PeerCriterion::Pods {
            namespaces: NamespaceCriterion::Labels(selector),
            pods: None,
        } if !selector.is_empty() => Some(Lone::Namespaces),
        PeerCriterion::Pods {
            namespaces: NamespaceCriterion::Own(_),
            pods: Some(selector),
        } if !selector.is_empty() => Some(Lone::Pods),
        _ => None,
    }
}
