//! `sidewall list`, `matrix`, `graph` and `diff` over the examples, as a user would run them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sidewall(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidewall"));
    command.current_dir(project()).args(arguments);
    command.output().expect("the binary runs")
}

/// What is printed; there must be no error.
#[track_caller]
fn printed(arguments: &[&str]) -> String {
    let output = sidewall(arguments);
    let trouble = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() != Some(2), "{arguments:?}: {trouble}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

const STORIES: [&str; 3] = ["np-demo", "three-tier", "mysql"];

#[test]
fn lists_of_the_stories() {
    for story in STORIES {
        let (start, end) = (
            format!("examples/{story}/cluster.yaml"),
            format!("examples/{story}"),
        );
        let before = printed(&["list", "--manifests", &start]);
        let after = printed(&["list", "--manifests", &end]);
        insta::assert_snapshot!(format!("list-{story}"), format!("{before}\n{after}"));
    }
}

#[test]
fn every_format_of_a_list() {
    for format in ["json", "csv", "md", "dot"] {
        let list = printed(&["list", "--manifests", "examples/three-tier", "-o", format]);
        insta::assert_snapshot!(format!("list-{format}"), list);
    }
    insta::assert_snapshot!(
        "list-each",
        printed(&["list", "--manifests", "examples/three-tier", "--each"])
    );
}

#[test]
fn a_list_is_narrowed_by_namespace_and_ends() {
    let list =
        |more: &[&str]| printed(&[&["list", "--manifests", "examples/three-tier"], more].concat());
    insta::assert_snapshot!("list-namespace", list(&["-n", "database"]));
    insta::assert_snapshot!(
        "list-from-to",
        list(&["--from", "frontend/web", "--to", "namespace:backend"])
    );
    insta::assert_snapshot!("list-from-address", list(&["--from", "203.0.113.9"]));
}

#[test]
fn addresses_outside_are_ranges() {
    insta::assert_snapshot!(
        "list-ip-block",
        printed(&["list", "--manifests", "examples/ip-block"])
    );
}

#[test]
fn matrices_of_the_stories() {
    for story in STORIES {
        let folder = format!("examples/{story}");
        insta::assert_snapshot!(
            format!("matrix-{story}"),
            printed(&["matrix", "--manifests", &folder])
        );
    }
    insta::assert_snapshot!(
        "matrix-html",
        printed(&["matrix", "--manifests", "examples/three-tier", "-o", "html"])
    );
}

#[test]
fn graphs_of_the_stories() {
    for story in STORIES {
        let folder = format!("examples/{story}");
        insta::assert_snapshot!(
            format!("graph-{story}"),
            printed(&["graph", "--manifests", &folder])
        );
        assert_eq!(
            printed(&["list", "--manifests", &folder, "-o", "svg"]),
            printed(&["graph", "--manifests", &folder])
        );
    }
    let page = printed(&["graph", "--manifests", "examples/mysql", "-o", "html"]);
    assert!(
        page.starts_with("<!DOCTYPE html>") && page.contains("<svg"),
        "{page}"
    );
}

#[test]
fn a_diff_is_told_in_every_format_and_by_its_exit_code() {
    let [cluster, deny, tiers, dns] = ["cluster", "2-default-deny", "3-tiers", "4-dns"]
        .map(|name| format!("examples/three-tier/{name}.yaml"));
    let both = ["diff", "--manifests", &cluster, "--manifests", &deny];
    let arguments = [&both[..], &[&tiers, &dns]].concat();
    assert_eq!(sidewall(&arguments).status.code(), Some(1));
    insta::assert_snapshot!("diff-txt", printed(&arguments));
    for format in ["json", "md", "csv"] {
        insta::assert_snapshot!(
            format!("diff-{format}"),
            printed(&[&arguments[..], &["-o", format]].concat())
        );
    }
    let same = sidewall(&[&both[..], &[&deny, &deny]].concat());
    assert_eq!(same.status.code(), Some(0));
    assert_eq!(
        String::from_utf8_lossy(&same.stdout),
        "The same connections are allowed.\n"
    );
}

#[test]
fn workloads_that_came_and_went_are_named() {
    insta::assert_snapshot!(
        "diff-workloads",
        printed(&[
            "diff",
            "examples/mysql/cluster.yaml",
            "examples/np-demo/cluster.yaml"
        ])
    );
}

#[test]
fn what_cannot_be_read_is_told_with_exit_code_2() {
    for arguments in [
        &["list", "--manifests", "examples/nowhere"][..],
        &[
            "list",
            "--manifests",
            "examples/mysql",
            "--from",
            "shop/nobody",
        ],
        &["list", "--manifests", "examples/mysql", "-n", "nowhere"],
        &[
            "list",
            "--manifests",
            "examples/three-tier",
            "--to",
            "backend/svc/orders",
        ],
        &["diff", "examples/nowhere", "examples/mysql"],
    ] {
        let output = sidewall(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            output.stdout.is_empty() && !output.stderr.is_empty(),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_name_cannot_become_markup() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pods.yaml");
    let pods: Vec<String> = ["<script>alert(1)</script>", "a\\\"b&c"]
        .iter()
        .map(|name| format!("{{apiVersion: v1, kind: Pod, metadata: {{namespace: shop, name: \"{name}\"}}, spec: {{containers: [{{name: c}}]}}}}\n"))
        .collect();
    std::fs::write(&file, pods.join("---\n")).expect("a file");
    let file = file.to_str().expect("UTF-8");
    for arguments in [["graph", "svg"], ["graph", "html"], ["matrix", "html"]] {
        let [command, format] = arguments;
        let text = printed(&[command, "--manifests", file, "-o", format]);
        assert!(!text.contains("<script>"), "{text}");
        assert!(
            text.contains("&lt;script&gt;") && text.contains("a&quot;b&amp;c"),
            "{text}"
        );
    }
}
