//! `sidewall lint` as a user runs it: what it prints, in every format, and its exit codes.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn lint(arguments: &[&str]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidewall"));
    command.current_dir(root.join("tests")).arg("lint");
    command.args(arguments).env("COLUMNS", "100");
    command.output().expect("the binary runs")
}

/// Exit code, standard output and standard error.
fn told(output: &Output) -> String {
    format!(
        "{}{}exit code {}\n",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout),
        output.status.code().expect("an exit code")
    )
}

const BOTH: [&str; 2] = [
    "--manifests=lint/shop.yaml",
    "--manifests=lint/policies.yaml",
];

#[test]
fn findings_are_told_by_file_with_line_and_fix() {
    insta::assert_snapshot!("text", told(&lint(&BOTH)));
}

#[test]
fn a_rule_is_explained_and_all_are_listed() {
    insta::assert_snapshot!("explain", told(&lint(&["--explain", "dns-forgotten"])));
    insta::assert_snapshot!("rules", told(&lint(&["--list-rules"])));
}

#[test]
fn a_rule_that_is_none_and_a_file_that_is_not_there_are_exit_code_2() {
    for arguments in [["--ignore=SW0016"], ["--manifests=lint/none.yaml"]] {
        assert_eq!(lint(&arguments).status.code(), Some(2), "{arguments:?}");
    }
    let output = told(&lint(&["--ignore=dns-forgoten"]));
    assert!(output.contains("did you mean dns-forgotten?"), "{output}");
}

#[test]
fn fail_on_and_ignore_decide_the_exit_code() {
    let code = |arguments: &[&str]| lint(&[&BOTH, arguments].concat()).status.code();
    assert_eq!(code(&[]), Some(1));
    assert_eq!(code(&["--fail-on=never"]), Some(0));
    // Of the errors, one is in a file of its own.
    let shop = |arguments: &[&str]| {
        let files = ["--manifests=lint/shop.yaml"];
        lint(&[&files, arguments].concat()).status.code()
    };
    assert_eq!(shop(&[]), Some(0), "unprotected pods are information");
    assert_eq!(shop(&["--fail-on=info"]), Some(1));
    assert_eq!(shop(&["--fail-on=info", "--ignore=SW021"]), Some(0));
    assert_eq!(
        shop(&["--fail-on=info", "--ignore=unprotected-pod"]),
        Some(0)
    );
}

#[test]
fn json_holds_what_the_text_holds() {
    let output = lint(&[&BOTH[..], &["-o", "json"]].concat());
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let findings = report["findings"].as_array().expect("a list");
    let dns = findings.iter().find(|finding| finding["rule"] == "SW009");
    let dns = dns.expect("the label that exists nowhere");
    assert_eq!(dns["file"], "lint/policies.yaml");
    assert_eq!(dns["line"], 10);
    assert_eq!(dns["severity"], "warning");
    assert_eq!(dns["object"]["name"], "web");
    assert_eq!(report["suppressed"][0]["rule"], "SW013");
}

#[test]
fn sarif_reads_back_and_every_result_has_a_rule_and_a_place() {
    let output = lint(&[&BOTH[..], &["-o", "sarif"]].concat());
    let log: serde_sarif::sarif::Sarif =
        serde_json::from_slice(&output.stdout).expect("what SARIF requires is there");
    let run = &log.runs[0];
    let rules = run.tool.driver.rules.as_deref().unwrap_or_default();
    let results = run.results.as_deref().unwrap_or_default();
    assert_eq!((rules.len(), results.is_empty()), (22, false));
    for result in results {
        let id = result.rule_id.as_deref().expect("a rule");
        assert!(rules.iter().any(|rule| rule.id == id), "{id}");
        let place = &result.locations.as_deref().expect("places")[0];
        let place = place.physical_location.as_ref().expect("a file");
        let region = place.region.as_ref().expect("a line");
        assert!(region.start_line.is_some_and(|line| line > 0));
    }
    let suppressed = results
        .iter()
        .filter(|result| result.suppressions.is_some());
    assert_eq!(suppressed.count(), 1);
}

/// What is found in the examples is what they are there to show.
#[test]
fn the_examples_hold_no_mistake() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut all = String::new();
    let mut folders: Vec<_> = std::fs::read_dir(&examples)
        .expect("examples")
        .map(|entry| entry.expect("a folder").file_name())
        .collect();
    folders.sort();
    for folder in folders {
        let path = format!("--manifests=../../examples/{}", folder.to_string_lossy());
        all.push_str(&format!("== {}\n", folder.to_string_lossy()));
        all.push_str(&told(&lint(&[&path])));
    }
    insta::assert_snapshot!("examples", all);
}
