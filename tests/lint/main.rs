//! Lint against the examples of docs/lint.md, and what comments and annotations leave out.

mod ignore;
mod page;
mod words;

use sidewall::lint::{Files, Report, check};

/// A look at one file.
fn lint(text: &str) -> Report {
    let files = Files::read([("policy.yaml".to_owned(), text.to_owned())]);
    check(files.input())
}

/// Rule and line of each finding.
fn found(report: &Report) -> Vec<(&'static str, u64)> {
    let findings = report.findings.iter();
    findings
        .map(|finding| (finding.rule, finding.line.unwrap_or(0)))
        .collect()
}
