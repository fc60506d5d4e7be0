//! Findings and rules for people.

use sidewall::lint::{Finding, Report, Rule, Severity};

use super::Subject;
use crate::ui;

/// Findings by file, each with its line, and a count.
pub(super) fn report(report: &Report, subject: &Subject) {
    let (mut file, mut last) = (None, None);
    for finding in &report.findings {
        if file != Some(&finding.file) {
            if file.is_some() {
                ui::line("");
            }
            let name = finding.file.as_deref().unwrap_or("the cluster");
            ui::line(ui::paint(ui::TITLE, name));
            file = Some(&finding.file);
        }
        one(finding, subject);
        // Of ten pods that want the same, once is enough.
        if last != Some(&finding.fix) {
            ui::paragraph(&format!("fix: {}", finding.fix), "    ");
        }
        last = Some(&finding.fix);
    }
    if !report.findings.is_empty() {
        ui::line("");
    }
    summary(report);
}

fn one(finding: &Finding, subject: &Subject) {
    let style = style(finding.severity);
    let object = match &finding.object {
        Some(object) => format!("  {} {object}", finding.kind),
        None => String::new(),
    };
    let what = ui::paint(
        style,
        format!("{} {}", finding.severity.as_str(), finding.rule),
    );
    ui::line(format!("  {what} {}{object}", finding.name));
    if let (Some(file), Some(line)) = (&finding.file, finding.line) {
        let text = subject.line(file, line).unwrap_or_default();
        let text = shortened(text.trim());
        ui::line(format!(
            "    {} {}",
            ui::paint(ui::FAINT, format!("{line:>4} │")),
            ui::paint(ui::FAINT, text)
        ));
    }
    ui::paragraph(&finding.message, "    ");
}

/// A line of JSON can be the whole file.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 90;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

fn summary(report: &Report) {
    let ignored = match report.suppressed.len() {
        0 => String::new(),
        count => format!(" ({count} marked as meant)"),
    };
    if report.findings.is_empty() {
        ui::line(ui::paint(ui::GOOD, format!("✓ nothing found{ignored}")));
        return;
    }
    let counts = [
        (Severity::Error, "error", "errors"),
        (Severity::Warning, "warning", "warnings"),
        (Severity::Info, "info", "infos"),
    ];
    let counts = counts.into_iter().filter_map(|(severity, one, many)| {
        let of_it = |finding: &&Finding| finding.severity == severity;
        let count = report.findings.iter().filter(of_it).count();
        let word = if count == 1 { one } else { many };
        (count > 0).then(|| ui::paint(style(severity), format!("{count} {word}")))
    });
    let counts: Vec<String> = counts.collect();
    ui::line(format!("{}{ignored}", counts.join(", ")));
    let rules = "sidewall lint --explain RULE";
    ui::line(format!(
        "more about a rule: {}",
        ui::paint(ui::COMMAND, rules)
    ));
}

/// One line per rule.
pub(super) fn list(rules: &[&Rule]) {
    for rule in rules {
        let severity = format!("{:<7}", rule.severity.as_str());
        ui::line(format!(
            "{}  {}  {}",
            rule.id,
            ui::paint(style(rule.severity), severity),
            rule.name
        ));
    }
}

/// A rule in full.
pub(super) fn explain(rule: &Rule) {
    ui::line(format!(
        "{} ({})",
        ui::paint(ui::TITLE, format!("{} {}", rule.id, rule.name)),
        ui::paint(style(rule.severity), rule.severity.as_str())
    ));
    ui::line("");
    ui::paragraph(rule.means, "");
    ui::line("");
    ui::paragraph(&format!("What to do: {}.", rule.fix), "");
    ui::line("");
    ui::line(format!("with examples: {}", rule.link()));
}

const fn style(severity: Severity) -> anstyle::Style {
    match severity {
        Severity::Error => ui::BAD,
        Severity::Warning => ui::WARN,
        Severity::Info => ui::FAINT,
    }
}
