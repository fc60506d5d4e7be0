//! What was found, in words.

use sidewall::policy::cluster::Kind;
use sidewall::recommend::Recommendation;
use sidewall::recommend::audit::{Audit, RuleUse};

use crate::source::Source;
use crate::ui;

/// Every rule, on standard output.
pub(super) fn rules(recommendation: &Recommendation) {
    for policy in &recommendation.policies {
        ui::line(format!(
            "{}  {}",
            ui::paint(ui::TITLE, policy.policy.id()),
            ui::paint(ui::FAINT, &policy.title)
        ));
        if policy.ingress.is_empty() && policy.egress.is_empty() {
            ui::line("  allows nothing, in both directions");
        }
        for (direction, rules) in [("from", &policy.ingress), ("to  ", &policy.egress)] {
            for rule in rules {
                ui::line(format!("  {direction} {}", rule.comment()));
            }
        }
    }
}

/// What was made of how much, and what was left out, on standard error.
pub(super) fn tell(recommendation: &Recommendation, lines: u64, has_cluster: bool) {
    let policies = &recommendation.policies;
    let count = policies
        .iter()
        .map(|policy| policy.ingress.len() + policy.egress.len());
    let count: usize = count.sum();
    let text = format!(
        "{} policies with {count} rules, from {lines} lines",
        policies.len()
    );
    ui::note(ui::paint(ui::GOOD, text));
    let left_out = &recommendation.left_out;
    let quiet = |text: String| ui::note(ui::paint(ui::FAINT, text));
    let loud = |text: String| ui::note(ui::paint(ui::WARN, text));
    if left_out.blocked > 0 {
        quiet(format!(
            "{} lines of blocked flows left out (--include-blocked allows what policies blocked)",
            left_out.blocked
        ));
    }
    if left_out.always > 0 {
        quiet(format!(
            "{} lines of what passes without a rule, such as the node",
            left_out.always
        ));
    }
    if left_out.elsewhere > 0 {
        quiet(format!(
            "{} conversations without a pod of these namespaces",
            left_out.elsewhere
        ));
    }
    for (protocol, lines) in &left_out.without_ports {
        loud(format!(
            "{protocol}: {lines} lines; only a rule that opens every port could allow it, so none is recommended"
        ));
    }
    for (service, times) in &left_out.unresolved {
        let hint = if has_cluster {
            "it has no endpoints now"
        } else {
            "give --manifests or --kubeconfig to lead it back to its pods"
        };
        loud(format!("Service {service}: {times} conversations; {hint}"));
    }
    if left_out.lost > 0 {
        loud(format!(
            "{} lines were lost before they were written: something may be missing",
            left_out.lost
        ));
    }
}

/// Every rule and its use, on standard output.
pub(super) fn audit(audit: &Audit, source: &Source) {
    for RuleUse { rule, used } in &audit.rules {
        let place = source
            .written
            .get(&(Kind::NetworkPolicy, rule.policy.clone()));
        let field = format!("spec.{}[{}]", rule.direction, rule.index);
        let place = place.map_or_else(String::new, |written| format!("  {}", written.at(&field)));
        let (sign, used) = match used {
            Some(seen) => (ui::paint(ui::GOOD, "✓"), seen.to_string()),
            None => (ui::paint(ui::WARN, "✗"), "never used".to_owned()),
        };
        ui::line(format!(
            "{sign} {rule}: {used}{}",
            ui::paint(ui::FAINT, place)
        ));
    }
    for invalid in &audit.invalid {
        ui::line(format!(
            "{} {invalid} cannot be understood: it allows nothing",
            ui::paint(ui::BAD, "✗")
        ));
    }
    for RuleUse { rule, .. } in &audit.gone {
        ui::line(ui::paint(
            ui::FAINT,
            format!("- {rule} was used and is no longer there"),
        ));
    }
}

/// How many, on standard error.
pub(super) fn tell_audit(audit: &Audit, unused: usize, lines: u64) {
    let text = format!(
        "{unused} of {} rules were never used in {lines} lines",
        audit.rules.len()
    );
    let style = if unused == 0 { ui::GOOD } else { ui::WARN };
    ui::note(ui::paint(style, text));
    if unused > 0 {
        let text = "Of several rules that allow a flow the first is named, so one behind it may seem unused.";
        ui::note(ui::paint(ui::FAINT, text));
    }
}
