//! The policy as a whole: where it is, what it selects, which directions it names.

use super::{Case, Hint, HintKind};
use crate::net::Direction;
use crate::policy::allow_list::{NamespaceCriterion, PeerCriterion};
use crate::policy::cluster::objects::Object;
use crate::policy::convert::{AnyPolicy, Policy, PolicyRule};
use crate::policy::explain::Explanation;

/// Policies of other namespaces that are tried in the pod's: each costs a compilation.
const MOST_MOVED: usize = 8;

pub(super) fn hints(case: &Case<'_>, hints: &mut Vec<Hint>) {
    rules_without_type(case, hints);
    if case.allowed {
        return;
    }
    elsewhere(case, hints);
    types_left_out(case, hints);
    empty_selector(case, hints);
}

/// A policy that cannot be understood.
pub(super) fn invalid(case: &Case<'_>, explanation: &Explanation, hints: &mut Vec<Hint>) {
    if case.allowed {
        return;
    }
    for invalid in &explanation.invalid {
        hints.push(Hint {
            kind: HintKind::InvalidPolicy,
            policy: Some(invalid.policy.clone()),
            text: format!(
                "{} cannot be understood ({}), so it isolates {} and allows nothing.",
                invalid.policy, invalid.problem, case.pod.id
            ),
            remedy: "Correct it, or take it away".to_owned(),
            fix: format!(
                "kubectl delete networkpolicy {} --namespace {}",
                invalid.policy.name, invalid.policy.namespace
            ),
        });
    }
}

/// Rules of a direction that `policyTypes` does not name do nothing.
fn rules_without_type(case: &Case<'_>, hints: &mut Vec<Hint>) {
    let direction = case.direction();
    for policy in case.cluster.policies_in(&case.pod.id.namespace) {
        let AnyPolicy::Valid(policy) = policy else {
            continue;
        };
        let idle = policy.idle.iter().find(|(idle, _)| *idle == direction);
        let Some((_, rules)) = idle.filter(|_| policy.selects.matches(&case.pod.labels)) else {
            continue;
        };
        let consequence = if case.isolated_by.is_empty() {
            // Nobody isolates the pod, so what the author wanted to limit is open.
            format!("so {} is open for {direction}", case.pod.id)
        } else if !case.allowed && would_allow(case, policy, rules) {
            format!("so {} stays blocked", case.peer_name())
        } else {
            continue;
        };
        let types = match direction {
            Direction::Ingress => "Ingress",
            Direction::Egress => "Egress",
        };
        let others = Direction::BOTH
            .into_iter()
            .filter(|other| policy.rules(*other).is_some());
        let others = others.map(|other| match other {
            Direction::Ingress => "Ingress",
            Direction::Egress => "Egress",
        });
        let mut all: Vec<&str> = others.collect();
        all.push(types);
        all.sort_by_key(|name| *name != "Ingress");
        let (what, why) = if rules.is_empty() {
            (
                format!("an empty `{direction}`"),
                "and policyTypes does not name that direction (left out, it is Ingress, and Egress only if there \
                 are egress rules)",
            )
        } else {
            (
                format!("rules under `{direction}`"),
                "and policyTypes does not name that direction: they do nothing",
            )
        };
        hints.push(Hint {
            kind: HintKind::RulesWithoutType,
            policy: Some(policy.id.clone()),
            text: format!("{} has {what}, {why}, {consequence}.", policy.id),
            remedy: format!("In `spec` of {}, write", policy.id),
            fix: format!("policyTypes: [{}]\n", all.join(", ")),
        });
    }
}

/// Whether the question would be allowed if these rules counted.
fn would_allow(case: &Case<'_>, policy: &Policy, rules: &[PolicyRule]) -> bool {
    let mut policy = policy.clone();
    match case.direction() {
        Direction::Ingress => policy.ingress = Some(rules.to_vec()),
        Direction::Egress => policy.egress = Some(rules.to_vec()),
    }
    allows(case, policy)
}

fn allows(case: &Case<'_>, policy: Policy) -> bool {
    let mut cluster = case.cluster.clone();
    cluster.apply(Object::from(AnyPolicy::Valid(policy)));
    let answer = case.ask_in(&cluster);
    answer.is_some_and(|answer| answer.allowed())
}

/// A policy that selects nothing where it is, and would help where the pod is.
fn elsewhere(case: &Case<'_>, hints: &mut Vec<Hint>) {
    let here = &case.pod.id.namespace;
    let candidates = case.cluster.policies().filter_map(|policy| match policy {
        AnyPolicy::Valid(policy) => Some(policy),
        AnyPolicy::Invalid(_) => None,
    });
    let candidates = candidates.filter(|policy| {
        let selects = &policy.selects;
        policy.id.namespace != *here
            && policy
                .rules(case.direction())
                .is_some_and(|rules| !rules.is_empty())
            && !selects.is_empty()
            && selects.matches(&case.pod.labels)
            && !case
                .cluster
                .pods()
                .any(|pod| pod.id.namespace == policy.id.namespace && selects.matches(&pod.labels))
    });
    for policy in candidates.take(MOST_MOVED) {
        let mut moved = policy.clone();
        moved.id.namespace.clone_from(here);
        for rules in [&mut moved.ingress, &mut moved.egress]
            .into_iter()
            .flatten()
        {
            for rule in rules {
                for peer in rule.peers.iter_mut().flatten() {
                    if let PeerCriterion::Pods {
                        namespaces: NamespaceCriterion::Own(own),
                        ..
                    } = peer
                    {
                        own.clone_from(here);
                    }
                }
            }
        }
        if !allows(case, moved) {
            continue;
        }
        let (id, pod) = (&policy.id, &case.pod.id);
        hints.push(Hint {
            kind: HintKind::OtherNamespace,
            policy: Some(id.clone()),
            text: format!(
                "{id} would allow it, but a policy selects only pods of its own namespace, and {pod} is in \
                 namespace {here}. In {} nothing has {}.",
                id.namespace, policy.selects
            ),
            remedy: format!("Move it: in `metadata` of {id}, write"),
            fix: format!("namespace: {here}\n"),
        });
    }
}

/// Only egress was written, and ingress is isolated as well.
fn types_left_out(case: &Case<'_>, hints: &mut Vec<Hint>) {
    if case.direction() != Direction::Ingress {
        return;
    }
    for policy in case.isolating().filter(|policy| !policy.types_given) {
        let nothing_in = policy.ingress.as_ref().is_some_and(Vec::is_empty);
        let something_out = policy
            .egress
            .as_ref()
            .is_some_and(|rules| !rules.is_empty());
        if nothing_in && something_out {
            hints.push(Hint {
                kind: HintKind::TypesLeftOut,
                policy: Some(policy.id.clone()),
                text: format!(
                    "{} has only egress rules and no policyTypes. Left out, policyTypes always has Ingress, so it \
                     isolates {} for ingress too, and lets nobody in.",
                    policy.id, case.pod.id
                ),
                remedy: format!("If only egress is meant, write in `spec` of {}", policy.id),
                fix: "policyTypes: [Egress]\n".to_owned(),
            });
        }
    }
}

/// Rules for somebody else, and an empty selector.
fn empty_selector(case: &Case<'_>, hints: &mut Vec<Hint>) {
    let mut all = case.isolating().peekable();
    if all.peek().is_none() || !case.isolating().all(|policy| policy.selects.is_empty()) {
        return;
    }
    let with_rules = all.find(|policy| {
        let rules = policy.rules(case.direction());
        rules.is_some_and(|rules| !rules.is_empty())
    });
    let Some(policy) = with_rules else { return };
    let namespace = &policy.id.namespace;
    let others = case
        .cluster
        .pods()
        .filter(|pod| pod.id.namespace == *namespace);
    if others.count() < 2 {
        return;
    }
    hints.push(Hint {
        kind: HintKind::EmptySelector,
        policy: Some(policy.id.clone()),
        text: format!(
            "The podSelector of {} is empty, so its {} rules are for every pod of namespace {namespace}, and \
             isolate {} too.",
            policy.id,
            case.direction(),
            case.pod.id
        ),
        remedy: format!("If it is meant for some pods only, name them in `spec` of {}, such as", policy.id),
        fix: "podSelector:\n  matchLabels:\n    app: NAME\n".to_owned(),
    });
}
