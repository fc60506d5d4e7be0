//! `sidewall test --offline` as a user runs it: every output, and its exit codes. With real packets it
//! runs in `.ci/run`.

use std::path::Path;
use std::process::{Command, Output};

fn test(arguments: &[&str]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidewall"));
    command.current_dir(root.join("tests")).arg("test");
    command
        .arg("--manifests=../../examples/three-tier")
        .args(arguments);
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

#[test]
fn the_examples_own_tests_hold() {
    insta::assert_snapshot!(
        "three-tier",
        told(&test(&["../../examples/three-tier/tests.txt"]))
    );
}

#[test]
fn what_does_not_hold_is_told_with_the_reason_in_every_format() {
    let file = "connectivity/netassert.yaml";
    for output in ["text", "tap", "junit", "json"] {
        insta::assert_snapshot!(output, told(&test(&[file, "-o", output])));
    }
}

#[test]
fn every_mistake_of_every_file_is_told_at_once() {
    let files = ["connectivity/bad.yaml", "connectivity/none.yaml"];
    assert_eq!(test(&files[1..]).status.code(), Some(2));
    insta::assert_snapshot!("mistakes", told(&test(&files[..1])));
    insta::assert_snapshot!("names", told(&test(&["connectivity/unknown.txt"])));
}

/// Ten thousand tests over two hundred pods: each pod's allow list is compiled once, so this is a
/// matter of seconds even unoptimised. No time is asserted; without that it would not end.
#[test]
fn thousands_of_tests_are_answered() {
    use std::fmt::Write as _;
    let (mut manifests, mut tests) = (String::new(), String::new());
    for pod in 0..200 {
        let next = (pod + 1) % 200;
        let _ = write!(
            manifests,
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p{pod}, namespace: shop, labels: {{p: \"{pod}\"}}}}\n\
             spec: {{containers: [{{name: c, image: i}}]}}\n\
             ---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
             metadata: {{name: p{next}, namespace: shop}}\nspec:\n  podSelector: {{matchLabels: {{p: \"{next}\"}}}}\n  \
             ingress: [{{from: [{{podSelector: {{matchLabels: {{p: \"{pod}\"}}}}}}], ports: [{{port: 80}}]}}]\n"
        );
        for other in 0..50 {
            let to = (pod + other) % 200;
            let word = if to == next || to == pod {
                "allow"
            } else {
                "block"
            };
            let _ = writeln!(tests, "{word}: p{pod} -> p{to}:80");
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (cluster, file) = (folder.path().join("c.yaml"), folder.path().join("t.txt"));
    std::fs::write(&cluster, manifests).expect("a file");
    std::fs::write(&file, tests).expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_sidewall"))
        .args(["test", "--offline", "-n", "shop", "--manifests"])
        .args([&cluster, &file])
        .output()
        .expect("the binary runs");
    let text = told(&output);
    assert!(
        text.ends_with("✓ 10000 tests, all hold\nexit code 0\n"),
        "{}",
        &text[text.len() - 200..]
    );
}
