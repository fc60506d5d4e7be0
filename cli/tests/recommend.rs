//! `sidewall recommend` on what a lab's sidecars wrote while the np-demo story was played.

use std::path::Path;
use std::process::{Command, Output};

const FLOWS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/observe/np-demo.jsonl");

/// Runs it in the repository's root: standard output, then standard error.
fn recommend(arguments: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_sidewall"))
        .args(["recommend", "--input-file", FLOWS])
        .args(arguments)
        .env_remove("KUBECONFIG")
        .current_dir(root)
        .output()
        .expect("the binary runs");
    format!(
        "{}--- stderr, exit code {:?}\n{}",
        String::from_utf8_lossy(&stdout),
        status.code(),
        String::from_utf8_lossy(&stderr)
    )
}

const CLUSTER: [&str; 2] = ["--manifests", "examples/np-demo/cluster.yaml"];

#[test]
fn policies_for_what_was_seen_with_the_services_led_back_to_pods() {
    insta::assert_snapshot!(recommend(&[&["-n", "np-demo"], &CLUSTER[..]].concat()));
}

#[test]
fn in_words_for_people() {
    insta::assert_snapshot!(recommend(&[&["-o", "text"], &CLUSTER[..]].concat()));
}

#[test]
fn what_was_blocked_is_allowed_when_asked_for() {
    insta::assert_snapshot!(recommend(
        &[
            &["-n", "np-demo", "--include-blocked", "-o", "text"],
            &CLUSTER[..]
        ]
        .concat()
    ));
}

#[test]
fn without_the_cluster_services_are_named_and_not_guessed() {
    insta::assert_snapshot!(recommend(&["-n", "np-demo", "-o", "text"]));
}

#[test]
fn an_audit_names_the_rules_that_nothing_needed() {
    let policies = [
        "--manifests",
        "examples/np-demo/3-db-allow-api.yaml",
        "--manifests",
        "examples/np-demo/6-api-allow-dns.yaml",
        "--manifests",
        "examples/mysql/3-both.yaml",
    ];
    insta::assert_snapshot!(recommend(
        &[&["--audit"], &CLUSTER[..], &policies[..]].concat()
    ));
}

#[test]
fn the_policies_of_the_output_are_read_back() {
    let said = recommend(&[&["-n", "np-demo"], &CLUSTER[..]].concat());
    let yaml = said.split("--- stderr").next().expect("the output");
    let read = sidewall::manifest::read("recommended", yaml);
    assert_eq!(read.mistakes, []);
    assert!(read.objects.len() > 1, "{yaml}");
}
