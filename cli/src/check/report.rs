//! The findings as text, short text, or JSON.

use serde_json::json;

use super::catalogue::PAGE;
use super::finding::{Category, Finding, Verdict, verdict};
use crate::ui;

/// Every check.
pub(super) fn text(categories: &[Category]) {
    for category in categories {
        ui::line(ui::paint(ui::TITLE, category.name));
        ui::line(ui::paint(ui::FAINT, "─".repeat(category.name.len())));
        category.findings.iter().for_each(line);
        ui::line("");
    }
    status(categories);
}

/// What is not as it should be.
pub(super) fn short(categories: &[Category]) {
    for category in categories {
        let wrong = |finding: &&Finding| finding.verdict != Verdict::Good;
        category.findings.iter().filter(wrong).for_each(line);
    }
    status(categories);
}

/// One object, its fields named as linkerd's are.
pub(super) fn json(categories: &[Category]) -> anyhow::Result<()> {
    let one = |finding: &Finding| {
        let mut one = json!({
            "name": finding.check.name,
            "description": finding.check.says,
            "result": finding.verdict,
        });
        if finding.verdict != Verdict::Good {
            one["seen"] = json!(finding.seen);
            one["hint"] = json!(finding.check.hint);
            one["link"] = json!(link(finding));
        }
        one
    };
    let categories_out: Vec<_> = categories
        .iter()
        .map(|category| {
            let checks: Vec<_> = category.findings.iter().map(one).collect();
            json!({"categoryName": category.name, "checks": checks})
        })
        .collect();
    let success = verdict(categories) <= Verdict::Warning;
    let all = json!({"success": success, "categories": categories_out});
    ui::line(serde_json::to_string_pretty(&all)?);
    Ok(())
}

fn line(finding: &Finding) {
    let mark = match finding.verdict {
        Verdict::Good => ui::paint(ui::GOOD, "✓"),
        Verdict::Warning => ui::paint(ui::WARN, "‼"),
        Verdict::Unknown => ui::paint(ui::WARN, "?"),
        Verdict::Bad => ui::paint(ui::BAD, "✗"),
    };
    ui::line(format!("{mark} {}", finding.check.says));
    for seen in &finding.seen {
        ui::line(format!("    {seen}"));
    }
    if finding.verdict != Verdict::Good {
        if finding.verdict != Verdict::Unknown {
            ui::line(format!("    hint: {}", finding.check.hint));
        }
        ui::line(format!("    see {}", ui::paint(ui::FAINT, link(finding))));
    }
}

fn link(finding: &Finding) -> String {
    format!("{PAGE}#{}", finding.check.name)
}

fn status(categories: &[Category]) {
    ui::line(match verdict(categories) {
        Verdict::Good => format!("Status: {}", ui::paint(ui::GOOD, "all good")),
        Verdict::Warning => format!("Status: {}, with warnings", ui::paint(ui::GOOD, "good")),
        Verdict::Unknown => format!(
            "Status: {}: what is marked ? could not be told",
            ui::paint(ui::WARN, "unknown")
        ),
        Verdict::Bad => format!("Status: {}", ui::paint(ui::BAD, "not good")),
    });
}
