//! `sidewall why` and `can` as people run them, over the stories of `examples/`: every probe is
//! answered as the story says, and every block is undone by what the answer says.

mod stories;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// Runs the command in the project's root, so that outputs show paths as people type them.
fn sidewall(columns: usize, arguments: &[&str]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    Command::new(env!("CARGO_BIN_EXE_sidewall"))
        .args(arguments)
        .current_dir(root)
        .env("COLUMNS", columns.to_string())
        .output()
        .expect("the binary runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The command line and what comes of it.
fn session(columns: usize, arguments: &str) -> String {
    let words: Vec<&str> = arguments.split(' ').collect();
    let output = sidewall(columns, &words);
    format!(
        "$ sidewall {arguments}\n{}{}[{}]",
        stdout(&output),
        stderr(&output),
        output.status.code().unwrap_or(-1)
    )
}

#[test]
fn a_default_deny_and_a_label_that_differs() {
    let files = "--manifests examples/np-demo/cluster.yaml --manifests examples/np-demo/2-db-default-deny.yaml";
    insta::assert_snapshot!(session(
        80,
        &format!("why np-demo/api np-demo/db --port 80 {files}")
    ));
    let files = format!("{files} --manifests examples/np-demo/3-db-allow-api.yaml");
    insta::assert_snapshot!(session(
        80,
        &format!("why np-demo/attacker np-demo/db --port 80 {files}")
    ));
    insta::assert_snapshot!(session(
        120,
        &format!("why np-demo/api svc/db -n np-demo {files}")
    ));
    insta::assert_snapshot!(session(
        100,
        &format!("why namespace:np-demo namespace:np-demo {files}")
    ));
}

#[test]
fn dns_that_was_forgotten() {
    let files = "--manifests examples/three-tier/cluster.yaml --manifests examples/three-tier/2-default-deny.yaml";
    insta::assert_snapshot!(session(
        120,
        &format!("why frontend/web backend/orders --port 8080 {files}")
    ));
    let files = format!("{files} --manifests examples/three-tier/3-tiers.yaml");
    insta::assert_snapshot!(session(
        80,
        &format!("why frontend/web backend/svc/orders {files}")
    ));
    insta::assert_snapshot!(session(
        80,
        &format!("why frontend/web kube-system/svc/kube-dns --port dns/UDP {files}")
    ));
    insta::assert_snapshot!(session(
        120,
        &format!("why namespace:frontend namespace:database {files}")
    ));
}

#[test]
fn one_dash_too_many() {
    let cluster = "--manifests examples/mysql/cluster.yaml";
    let either = format!("{cluster} --manifests examples/mysql/2-either.yaml");
    let both = format!("{cluster} --manifests examples/mysql/3-both.yaml");
    insta::assert_snapshot!(session(80, &format!("why shop/batch mysql/mysql {either}")));
    insta::assert_snapshot!(session(
        80,
        &format!("why guests/client mysql/mysql {either}")
    ));
    insta::assert_snapshot!(session(
        80,
        &format!("why guests/client mysql/mysql {both}")
    ));
    insta::assert_snapshot!(session(80, &format!("why shop/batch mysql/mysql {both}")));
}

#[test]
fn the_world() {
    let files = "--manifests examples/ip-block";
    insta::assert_snapshot!(session(80, &format!("why world office/server {files}")));
}

/// `--manifests=a/{b,c}.yaml` as a shell would pass it.
fn expanded(word: &str) -> Vec<String> {
    let Some((before, rest)) = word.split_once('{') else {
        return vec![word.to_owned()];
    };
    let (inside, after) = rest.split_once('}').expect("a closed brace");
    let one = |part: &str| format!("{before}{part}{after}");
    inside.split(',').map(one).collect()
}

#[test]
fn the_manual_shows_what_is_printed() {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/why.md");
    let manual = std::fs::read_to_string(manual).expect("the manual");
    let blocks = manual.split("```console\n$ sidewall ").skip(1);
    let mut shown = 0;
    for block in blocks {
        let (block, _) = block.split_once("\n```").expect("an end");
        let (command, output) = block.split_once('\n').expect("an output");
        let words: Vec<String> = command.split(' ').flat_map(expanded).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let printed = stdout(&sidewall(100, &words));
        match output.strip_suffix("\n…") {
            Some(part) => assert!(printed.starts_with(part), "{command}\n{printed}"),
            None => assert_eq!(printed.trim_end(), output.trim_end(), "{command}"),
        }
        shown += 1;
    }
    assert!(shown >= 4, "{shown}");
}

#[test]
fn machines_get_the_same_as_json_and_yaml() {
    let files = "--manifests examples/mysql/cluster.yaml --manifests examples/mysql/3-both.yaml";
    let ask = |output: &str| {
        let arguments = format!("why guests/client mysql/mysql {files} -o {output}");
        let words: Vec<&str> = arguments.split(' ').collect();
        sidewall(80, &words)
    };
    let of_json: Value = serde_json::from_slice(&ask("json").stdout).expect("JSON");
    let of_yaml: Value = serde_saphyr::from_str(&stdout(&ask("yaml"))).expect("YAML");
    assert_eq!(of_json, of_yaml);
    assert_eq!(of_json["allowed"], false);
    let connection = &of_json["connections"][0];
    assert_eq!(connection["hints"][0]["kind"], "namespace-label");
    assert_eq!(
        connection["suggestions"][0]["policy"]["kind"],
        "NetworkPolicy"
    );
    assert_eq!(connection["ingress"][0]["nearest"], 0);
}

#[test]
fn what_cannot_be_told_is_exit_code_2_with_everything_that_is_wrong() {
    let cluster = "examples/np-demo/cluster.yaml";
    for (arguments, parts) in [
        (
            vec!["why", "np-demo/apu", "np-demo/dbs", "--manifests", cluster],
            vec!["did you mean np-demo/api?", "did you mean np-demo/db"],
        ),
        (
            vec!["can", "np-demo/api", "world", "--manifests", cluster],
            vec!["which port of world?"],
        ),
        (
            vec![
                "can",
                "np-demo/api",
                "np-demo/db",
                "--port",
                "http",
                "--manifests",
                cluster,
            ],
            vec!["has no port http/TCP: it has sql (80/TCP)"],
        ),
        (
            vec![
                "why",
                "np-demo/api",
                "np-demo/svc/db",
                "--port",
                "81",
                "--manifests",
                cluster,
            ],
            vec!["Service np-demo/db has no port 81/TCP: it has sql (80/TCP)"],
        ),
        (
            vec!["can", "a/b", "c/d", "--manifests", "/there/is/nothing"],
            vec!["/there/is/nothing: No such file"],
        ),
        (
            vec!["can", "a/b", "c/d", "--port", "0"],
            vec!["0 is no port: 1 to 65535"],
        ),
    ] {
        let output = sidewall(80, &arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        for part in parts {
            assert!(
                stderr(&output).contains(part),
                "{part}: {}",
                stderr(&output)
            );
        }
    }
}

#[test]
fn kubectl_calls_it_as_a_plugin_and_shells_complete_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let plugin = folder.path().join("kubectl-sidewall");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_sidewall"), &plugin).expect("a link");
    let help = Command::new(&plugin)
        .args(["why", "--help"])
        .output()
        .expect("it runs");
    assert!(
        stdout(&help).contains("Usage: kubectl sidewall why"),
        "{}",
        stdout(&help)
    );
    for shell in ["bash", "zsh", "fish"] {
        let output = sidewall(80, &["completions", shell]);
        assert!(stdout(&output).contains("sidewall"), "{shell}");
        assert!(stdout(&output).contains("why"), "{shell}");
    }
}
