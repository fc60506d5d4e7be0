//! Results: for people, as TAP 14, as JUnit's XML, as JSON.

use std::fmt::Write as _;

use anyhow::Context as _;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::json;

use super::Outcome;
use super::file::Test;
use crate::expect::Expect;
use crate::ui;

type Results<'a> = [(&'a Test, Outcome)];

/// What does not hold, with the reason, and a count.
pub(super) fn text(results: &Results<'_>) -> String {
    let mut text = String::new();
    let mut failed = 0;
    for (test, outcome) in results {
        if outcome.holds(test) {
            let _ = writeln!(text, "{} {}", ui::paint(ui::GOOD, "✓"), test.name);
            continue;
        }
        failed += 1;
        let _ = writeln!(
            text,
            "{} {}   {}",
            ui::paint(ui::BAD, "✗"),
            test.name,
            ui::paint(
                ui::BAD,
                format!("expected {}, got {}", test.expect.as_str(), got(outcome))
            )
        );
        let _ = writeln!(text, "    {}", outcome.why());
        let place = format!("{}:{}", test.file, test.line);
        let _ = writeln!(text, "    {}", ui::paint(ui::FAINT, place));
    }
    let of = results.len();
    let _ = match failed {
        0 => writeln!(
            text,
            "{}",
            ui::paint(ui::GOOD, format!("✓ {of} tests, all hold"))
        ),
        failed => writeln!(
            text,
            "{}",
            ui::paint(ui::BAD, format!("✗ {failed} of {of} tests do not hold"))
        ),
    };
    text
}

/// TAP 14 (testanything.org), with a YAML block behind each test.
pub(super) fn tap(results: &Results<'_>) -> String {
    let mut text = format!("TAP version 14\n1..{}\n", results.len());
    for (number, (test, outcome)) in (1..).zip(results) {
        let ok = if outcome.holds(test) { "ok" } else { "not ok" };
        let _ = writeln!(text, "{ok} {number} - {}", escaped(&test.name));
        // A JSON string is a YAML one, and needs no thought about quoting.
        let fields = [
            ("expected", json!(test.expect)),
            ("got", json!(got(outcome))),
            ("reason", json!(outcome.why())),
            ("at", json!(format!("{}:{}", test.file, test.line))),
        ];
        text.push_str("  ---\n");
        for (name, value) in fields {
            let _ = writeln!(text, "  {name}: {value}");
        }
        text.push_str("  ...\n");
    }
    text
}

/// A description: `#` begins a directive and `\` an escape; a line is a line.
fn escaped(name: &str) -> String {
    let name = name.replace('\\', "\\\\").replace('#', "\\#");
    name.split(['\n', '\r']).collect::<Vec<_>>().join(" ")
}

/// JUnit's XML, one suite per file.
pub(super) fn junit(results: &Results<'_>) -> anyhow::Result<String> {
    let mut report = Report::new("sidewall test");
    let mut suites: Vec<(&str, TestSuite)> = Vec::new();
    for (test, outcome) in results {
        let mut status = match &outcome.got {
            Ok(_) if outcome.holds(test) => TestCaseStatus::success(),
            Ok(_) => TestCaseStatus::non_success(NonSuccessKind::Failure),
            Err(_) => TestCaseStatus::non_success(NonSuccessKind::Error),
        };
        if !outcome.holds(test) {
            let message = format!("expected {}, got {}", test.expect.as_str(), got(outcome));
            status.set_message(message);
            status.set_description(format!("{} ({}:{})", outcome.why(), test.file, test.line));
        }
        let mut case = TestCase::new(&test.name, status);
        case.set_classname(&test.file);
        match suites.iter_mut().find(|(file, _)| *file == test.file) {
            Some((_, suite)) => {
                suite.add_test_case(case);
            }
            None => {
                let mut suite = TestSuite::new(&test.file);
                suite.add_test_case(case);
                suites.push((&test.file, suite));
            }
        }
    }
    report.add_test_suites(suites.into_iter().map(|(_, suite)| suite));
    report.to_string().context("JUnit")
}

/// A list, one object a test.
pub(super) fn json(results: &Results<'_>) -> anyhow::Result<String> {
    let results = results.iter().map(|(test, outcome)| {
        json!({
            "name": test.name,
            "file": test.file,
            "line": test.line,
            "from": test.from.to_string(),
            "to": test.to.to_string(),
            "port": test.port.to_string(),
            "expected": test.expect,
            "got": outcome.got.as_ref().ok(),
            "pass": outcome.holds(test),
            "reason": outcome.why(),
        })
    });
    serde_json::to_string_pretty(&results.collect::<Vec<_>>()).context("JSON")
}

fn got(outcome: &Outcome) -> &'static str {
    outcome
        .got
        .as_ref()
        .map_or("unknown", |got: &Expect| got.as_str())
}
