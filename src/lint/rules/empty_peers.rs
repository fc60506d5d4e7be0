//! SW011: an empty `from` or `to`, which admits everyone.

use super::Rule;
use crate::lint::Severity;
use crate::lint::context::{Context, peers, rule_field, rules_of};
use crate::lint::finding::Found;

pub(super) static RULE: Rule = Rule {
    id: "SW011",
    name: "empty-peers",
    severity: Severity::Warning,
    means: "`from: []` and `to: []` do not mean nobody but everybody, addresses outside the cluster \
            included; an entry `{}` among them is refused by the API server.",
    fix: "to admit nobody take the rule out; to admit everybody leave `from` (`to`) out, which says \
          so plainly",
};

/// What to do about an entry without any field.
pub(super) const FIX_ENTRY: &str = "for all pods of the namespace write podSelector: {}; for all of the cluster \
     namespaceSelector: {}; for everybody leave the list out";

pub(super) fn check(context: &Context<'_>, found: &mut Found) {
    for (subject, policy) in context.valid() {
        for (direction, index, _) in rules_of(policy) {
            let list = peers(direction);
            let rules = subject
                .given
                .value
                .pointer(&format!("/spec/{direction}/{index}"));
            let written = rules.and_then(|rule| rule.get(list));
            let empty = written.is_some_and(|written| {
                written.is_null() || written.as_array().is_some_and(Vec::is_empty)
            });
            if empty {
                let field = format!("{}.{list}", rule_field(direction, index));
                let message = format!("an empty `{list}` admits everybody, also from outside");
                let message = match direction {
                    crate::net::Direction::Ingress => message,
                    crate::net::Direction::Egress => {
                        format!("an empty `{list}` admits every destination, also outside")
                    }
                };
                found.add(&RULE, subject.given, &field, message, RULE.fix.to_owned());
            }
        }
    }
}
