//! SW018, SW019, SW020: policies and rules that change nothing, because others say the same or more.

use super::{Rule, cover};
use crate::lint::Severity;
use crate::lint::context::{Context, Subject, rule_field, rules_of};
use crate::lint::finding::Found;
use crate::net::Direction;
use crate::policy::convert::{Policy, PolicyRule};

pub(super) static DUPLICATE: Rule = Rule {
    id: "SW018",
    name: "duplicate-policy",
    severity: Severity::Warning,
    means: "Two policies of a namespace say the same. Whoever changes one of them will wonder why \
            nothing changes.",
    fix: "delete one of them",
};

pub(super) static POLICY: Rule = Rule {
    id: "SW019",
    name: "shadowed-policy",
    severity: Severity::Warning,
    means: "Other policies isolate the same pods and allow everything that this one allows. Policies \
            only add up: it changes nothing.",
    fix: "delete it, or narrow the wider rule if that was not meant to be so wide",
};

pub(super) static RULE: Rule = Rule {
    id: "SW020",
    name: "shadowed-rule",
    severity: Severity::Warning,
    means: "Another rule for the same pods admits everything that this one admits. It changes \
            nothing.",
    fix: "take it out, or narrow the wider rule if that was not meant to be so wide",
};

pub(super) fn check(context: &Context<'_>, found: &mut Found) {
    let mut all: Vec<(&Subject<'_>, &Policy)> = context.valid().collect();
    all.sort_by(|(_, left), (_, right)| left.id.cmp(&right.id));
    // Of one name in several files, the last is in force.
    all.reverse();
    all.dedup_by(|(_, other), (_, kept)| other.id == kept.id);
    all.reverse();
    for theirs in all.chunk_by(|(_, left), (_, right)| left.id.namespace == right.id.namespace) {
        let kept = duplicates(theirs, found);
        let kept = shadowed(&kept, found);
        rules(&kept, found);
    }
}

type Policies<'a> = Vec<(&'a Subject<'a>, &'a Policy)>;

/// Tells of those that equal an earlier one; the rest comes back.
fn duplicates<'a>(all: &[(&'a Subject<'a>, &'a Policy)], found: &mut Found) -> Policies<'a> {
    let mut kept: Policies<'_> = Vec::new();
    for &(subject, policy) in all {
        let earlier = kept.iter().find(|(_, other)| {
            other.id != policy.id
                && other.selects == policy.selects
                && other.ingress == policy.ingress
                && other.egress == policy.egress
        });
        match earlier {
            Some((_, earlier)) => {
                let message = format!("{} says the same as {}", policy.id, earlier.id);
                let fix = DUPLICATE.fix.to_owned();
                found.add(&DUPLICATE, subject.given, "metadata.name", message, fix);
            }
            None => kept.push((subject, policy)),
        }
    }
    kept
}

/// Tells of those of which others say all; the rest comes back. One that only denies is left alone:
/// it is there for the day when the others are gone.
fn shadowed<'a>(all: &[(&'a Subject<'a>, &'a Policy)], found: &mut Found) -> Policies<'a> {
    let mut kept: Policies<'_> = all.to_vec();
    // From the last to the first, so that of two that say the same the later one goes.
    for &(subject, policy) in all.iter().rev() {
        let wider: Vec<&Policy> = kept
            .iter()
            .map(|(_, other)| *other)
            .filter(|other| {
                other.id != policy.id && cover::selector(&other.selects, &policy.selects)
            })
            .collect();
        let covered = Direction::BOTH.into_iter().all(|direction| {
            let Some(rules) = policy.rules(direction) else {
                return true;
            };
            let theirs = || wider.iter().filter_map(|other| other.rules(direction));
            theirs().next().is_some()
                && rules
                    .iter()
                    .all(|rule| theirs().flatten().any(|other| cover::rule(other, rule)))
        });
        if covered && rules_of(policy).next().is_some() {
            kept.retain(|(_, other)| other.id != policy.id);
            let names: Vec<String> = wider.iter().map(|other| other.id.to_string()).collect();
            let message = format!("{} allows nothing beyond {}", policy.id, names.join(", "));
            let fix = POLICY.fix.to_owned();
            found.add(&POLICY, subject.given, "metadata.name", message, fix);
        }
    }
    kept
}

/// A rule and where it stands.
struct Placed<'a> {
    subject: &'a Subject<'a>,
    policy: &'a Policy,
    direction: Direction,
    index: usize,
    rule: &'a PolicyRule,
}

impl Placed<'_> {
    fn covers(&self, other: &Placed<'_>) -> bool {
        self.direction == other.direction
            && cover::selector(&self.policy.selects, &other.policy.selects)
            && cover::rule(self.rule, other.rule)
    }
}

fn rules(policies: &[(&Subject<'_>, &Policy)], found: &mut Found) {
    let all: Vec<Placed<'_>> = policies
        .iter()
        .flat_map(|&(subject, policy)| {
            rules_of(policy).map(move |(direction, index, rule)| Placed {
                subject,
                policy,
                direction,
                index,
                rule,
            })
        })
        .collect();
    for (at, inner) in all.iter().enumerate() {
        // Of two that admit the same, the later one is told.
        let outer = all.iter().enumerate().find(|(other_at, outer)| {
            *other_at != at && outer.covers(inner) && (*other_at < at || !inner.covers(outer))
        });
        let Some((_, outer)) = outer else { continue };
        let field = rule_field(inner.direction, inner.index);
        let wider = rule_field(outer.direction, outer.index);
        let message = format!("{wider} of {} admits all of this", outer.policy.id);
        found.add(
            &RULE,
            inner.subject.given,
            &field,
            message,
            RULE.fix.to_owned(),
        );
    }
}
