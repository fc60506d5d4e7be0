//! Whole YAML streams, as the command line gets them.

use super::*;
use crate::inject::manifest::{Line, inject, uninject};

/// One of everything that has pods, and things that have none.
const EVERYTHING: &str = include_str!("everything.yaml");

#[test]
fn everything_with_pods_is_injected_and_comes_back() {
    let done = inject(EVERYTHING, &injector(), None).unwrap();
    let report: Vec<String> = done
        .report
        .iter()
        .map(|(name, line)| format!("{name}: {line:?}"))
        .collect();
    insta::assert_snapshot!("report", report.join("\n"));
    let yaml = done.yaml.unwrap();
    insta::assert_snapshot!("everything", yaml);
    let back = uninject(&yaml).unwrap().yaml.unwrap();
    assert_eq!(documents(&back), documents(EVERYTHING));
    let again = inject(&yaml, &injector(), None).unwrap();
    assert_eq!(again.yaml.unwrap(), yaml, "a second time changes nothing");
}

fn documents(yaml: &str) -> Vec<Node> {
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    serde_saphyr::from_multiple_with_options(yaml, options).unwrap()
}

#[test]
fn documents_without_pods_keep_every_letter() {
    let text = "# a comment\n---\nkind:   ConfigMap   # odd\napiVersion: v1\ndata: {a: |\n  ---x\n}\n---\n# nothing\n...\n";
    let text = text.replace("{a: |\n  ---x\n}", "{a: '---x'}");
    let done = inject(&text, &injector(), None).unwrap();
    assert_eq!(done.yaml.unwrap(), text);
}

#[test]
fn one_refused_pod_refuses_the_stream_and_the_rest_is_still_reported() {
    let bad = POD.replace("name: web,", "name: bad, labels: {sidewall.dev/inject: x},");
    let done = inject(&format!("{POD}---{bad}"), &injector(), None).unwrap();
    assert_eq!(done.yaml, None);
    assert!(matches!(done.report[0].1, Line::Changed("added", _)));
    assert!(matches!(done.report[1].1, Line::Refused(_)));
    let empty = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n";
    let done = inject(empty, &injector(), None).unwrap();
    assert_eq!(done.yaml, None);
}

#[test]
fn the_namespace_given_by_hand_is_for_those_that_say_none() {
    let text = POD.replace(", namespace: shop", "");
    let skip = |text: &str| {
        let done = inject(text, &injector(), Some("kube-system")).unwrap();
        done.report[0].1.clone()
    };
    assert_eq!(skip(&text), Line::Skipped(Skip::SystemNamespace));
    assert!(matches!(skip(POD), Line::Changed(..)));
}

#[test]
fn what_is_no_yaml_is_named_by_document_and_line() {
    let error = inject("a: 1\n---\nb: [\n", &injector(), None).unwrap_err();
    assert_eq!((error.number, error.line), (2, 2));
}

#[test]
fn kinds_that_only_share_a_name_are_left_alone() {
    let text = "apiVersion: serving.example.dev/v1\nkind: Deployment\nmetadata: {name: x}\n\
                spec: {template: {spec: {containers: [{name: a}]}}}\n";
    let done = inject(text, &injector(), None).unwrap();
    assert_eq!(done.report[0].1, Line::Skipped(Skip::NoPodTemplate));
}
