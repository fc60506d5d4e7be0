//! What the tests of the API server share: a server, a kubectl that talks to it, objects.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use sidewall_lab::api::{ApiServer, Options};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// No command and no expectation of these tests takes longer on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn server(options: Options) -> ApiServer {
    ApiServer::start("127.0.0.1:0".parse().unwrap(), options)
        .await
        .unwrap()
}

/// The real kubectl with a server of its own.
pub(crate) struct Kubectl {
    pub(crate) server: ApiServer,
    home: TempDir,
    binary: PathBuf,
}

/// What a command printed.
#[derive(Debug)]
pub(crate) struct Printed {
    pub(crate) ok: bool,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Kubectl {
    /// `None`, and one loud line, when there is no kubectl here; in CI that is a failure.
    pub(crate) async fn new(options: Options) -> Option<Kubectl> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path)
            .map(|dir| dir.join("kubectl"))
            .find(|p| p.is_file());
        let Some(binary) = found else {
            assert_ne!(
                std::env::var("CI").as_deref(),
                Ok("true"),
                "CI needs kubectl, and it is not installed"
            );
            eprintln!(
                "SKIPPED: no kubectl on this machine, so nothing was tested against the API server with it"
            );
            return None;
        };
        let server = server(options).await;
        let home = tempfile::tempdir().unwrap();
        let address = server.address().to_string();
        server
            .kubeconfig(&home.path().join("config"), &address)
            .unwrap();
        Some(Kubectl {
            server,
            home,
            binary,
        })
    }

    /// Runs a command line, split at spaces.
    pub(crate) async fn run(&self, line: &str) -> Printed {
        self.args(&line.split_whitespace().collect::<Vec<_>>())
            .await
    }

    pub(crate) async fn args(&self, args: &[&str]) -> Printed {
        self.feed(args, "").await
    }

    /// Runs a command with something on its standard input.
    pub(crate) async fn feed(&self, args: &[&str], input: &str) -> Printed {
        let mut command = self.command();
        command.args(args).stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output());
        let output = output
            .await
            .unwrap_or_else(|_| panic!("kubectl {args:?} hangs"))
            .unwrap();
        Printed {
            ok: output.status.success(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .env("KUBECONFIG", self.home.path().join("config"))
            .env("HOME", self.home.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs a command that has to work; gives what it printed.
    pub(crate) async fn ok(&self, line: &str) -> String {
        let printed = self.run(line).await;
        assert!(printed.ok, "kubectl {line}: {printed:?}");
        printed.out
    }

    /// Runs a command that has to fail; gives what it complained.
    pub(crate) async fn fails(&self, line: &str) -> String {
        let printed = self.run(line).await;
        assert!(!printed.ok, "kubectl {line}: {printed:?}");
        printed.err
    }

    /// `kubectl VERB -f -` with this manifest, and more arguments.
    pub(crate) async fn with(&self, line: &str, manifest: &str) -> Printed {
        let mut args: Vec<&str> = line.split_whitespace().collect();
        args.extend(["-f", "-"]);
        self.feed(&args, manifest).await
    }

    /// A field of an object, by JSONPath.
    pub(crate) async fn field(&self, what: &str, path: &str) -> String {
        let mut args: Vec<&str> = vec!["get"];
        args.extend(what.split_whitespace());
        let path = format!("jsonpath={{{path}}}");
        args.extend(["-o", &path]);
        let printed = self.args(&args).await;
        assert!(printed.ok, "{what} {path}: {printed:?}");
        printed.out
    }

    pub(crate) fn home(&self) -> &std::path::Path {
        self.home.path()
    }
}

/// The lines of a table, their columns joined by one space, without ages.
pub(crate) fn rows(table: &str) -> Vec<String> {
    let is_age = |word: &&str| {
        let unit = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        unit.len() < word.len() && !unit.is_empty() && unit.chars().all(|c| c.is_ascii_digit())
    };
    table
        .lines()
        .map(|line| {
            line.split_whitespace()
                .filter(|w| !is_age(w))
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect()
}

pub(crate) fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

pub(crate) fn pod(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {"containers": [{"name": "app", "image": "app:1", "ports": [{"containerPort": 80, "name": "http"}]}]}
    })
}

pub(crate) fn policy(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [
            {"from": [{"podSelector": {"matchLabels": {"app": "api"}}}], "ports": [{"port": 80, "protocol": "TCP"}]}
        ]}
    })
}
