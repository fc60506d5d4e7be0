//! `sidewall conformance` over the public suites, as a user would run it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where the suites lie: beside the project, and not in it.
fn suites() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/conformance");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!(
            "\nSKIPPED: there is no {}: the public suites were not run\n",
            folder.display()
        );
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    let mut files: Vec<PathBuf> = paths
        .filter(|path| path.to_string_lossy().ends_with(".json.gz"))
        .collect();
    files.sort();
    files
}

fn run(arguments: &[&str], files: &[PathBuf]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidewall"));
    command.arg("conformance").args(arguments).args(files);
    command.output().expect("the binary runs")
}

#[test]
fn every_case_of_the_public_suites_agrees() {
    let files = suites();
    if files.is_empty() {
        return;
    }
    let output = run(&[], &files);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let skipped = "probes of a pod's own address, which never leave the pod.";
    assert!(text.contains(skipped), "{text}");
}

#[test]
fn a_disagreement_is_told_and_the_exit_code_is_1() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("wrong.json");
    let case = r#"[{"name": "wrong on purpose",
        "namespaces": [{"name": "a", "labels": {}}],
        "pods": [{"namespace": "a", "name": "web", "labels": {}, "ip": "10.0.0.1"}],
        "policies": [{"metadata": {"namespace": "a", "name": "deny"}, "spec": {"podSelector": {}}}],
        "probes": [{"from": "203.0.113.9", "to": "a/web", "protocol": "TCP", "port": 80,
                    "expect": "allow"}]}]"#;
    std::fs::write(&file, case).expect("a file");

    let output = run(&[], std::slice::from_ref(&file));
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("wrong on purpose: 203.0.113.9 → a/web TCP 80: expected allow"),
        "{text}"
    );

    let output = run(&["-o", "json"], &[file]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(json["files"][0]["disagreements"][0]["expected"], "allow");
}

#[test]
fn a_file_that_cannot_be_read_is_exit_code_2() {
    let output = run(&[], &[PathBuf::from("/there/is/no/such.json.gz")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot open"));
}
