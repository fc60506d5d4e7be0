//! SW014, SW015: `policyTypes` and the rules that are there do not fit each other.

use serde_json::Value;

use super::Rule;
use crate::lint::Severity;
use crate::lint::context::Context;
use crate::lint::finding::Found;
use crate::net::Direction;

pub(super) static TYPES_MISSING: Rule = Rule {
    id: "SW014",
    name: "policy-types-missing",
    severity: Severity::Warning,
    means: "Without `policyTypes` a policy always isolates for ingress, and for egress only if it \
            has an egress rule. With egress rules alone it therefore blocks all ingress as well; with \
            `egress: []` it does not isolate for egress at all.",
    fix: "write policyTypes with the directions that are meant",
};

pub(super) static RULES_NOT_READ: Rule = Rule {
    id: "SW015",
    name: "rules-not-read",
    severity: Severity::Warning,
    means: "There are rules for a direction that `policyTypes` does not name. Nobody reads them: the \
            direction is not isolated by this policy.",
    fix: "add the direction to policyTypes, or take the rules out",
};

pub(super) fn check(context: &Context<'_>, found: &mut Found) {
    for (subject, policy) in context.valid() {
        let Some(spec) = subject.given.value.get("spec") else {
            continue;
        };
        let rules = |direction: Direction| spec.get(direction.as_str()).and_then(Value::as_array);
        let types = spec.get("policyTypes").and_then(Value::as_array);
        if types.is_none_or(Vec::is_empty) {
            let (ingress, egress) = (rules(Direction::Ingress), rules(Direction::Egress));
            let fixed = |types: &str| format!("policyTypes: [{types}]");
            match (ingress.map(Vec::len), egress.map(Vec::len)) {
                (None, Some(1..)) => {
                    let message = "egress rules without policyTypes isolate for ingress too, and \
                                   allow nothing there"
                        .to_owned();
                    let fix = format!("{}, or {}", fixed("Egress"), fixed("Ingress, Egress"));
                    found.add(&TYPES_MISSING, subject.given, "spec.egress", message, fix);
                }
                (_, Some(0)) => {
                    let message =
                        "without policyTypes an empty `egress` does not isolate for egress"
                            .to_owned();
                    let fix = format!("{}, or {}", fixed("Egress"), fixed("Ingress, Egress"));
                    found.add(&TYPES_MISSING, subject.given, "spec.egress", message, fix);
                }
                _ => {}
            }
            continue;
        }
        for direction in Direction::BOTH {
            let written = rules(direction).is_some_and(|rules| !rules.is_empty());
            if written && policy.rules(direction).is_none() {
                let message =
                    format!("policyTypes does not name {direction}, so nobody reads these rules");
                let field = format!("spec.{direction}");
                let fix = RULES_NOT_READ.fix.to_owned();
                found.add(&RULES_NOT_READ, subject.given, &field, message, fix);
            }
        }
    }
}
