//! `sidewall check` as it is typed, against an API server that keeps what a cluster would keep.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use sidewall_lab::api::{ApiServer, Options, Rule, User};
use tempfile::TempDir;

struct Cluster {
    server: ApiServer,
    home: TempDir,
}

impl Cluster {
    async fn new(objects: &[Value]) -> Self {
        let server = ApiServer::start("127.0.0.1:0".parse().unwrap(), Options::default());
        let server = server.await.unwrap();
        let home = tempfile::tempdir().unwrap();
        server
            .kubeconfig(&home.path().join("admin"), &server.address().to_string())
            .unwrap();
        for object in objects {
            server.store().apply(object.clone()).unwrap();
        }
        Self { server, home }
    }

    /// A kubeconfig of someone who may do this and nothing else.
    fn user(&self, rules: Vec<Rule>) {
        let path = self.home.path().join("user");
        let address = self.server.address().to_string();
        let user = User::restricted("someone", rules);
        self.server
            .kubeconfig_for(&path, &address, "token", user)
            .unwrap();
    }

    async fn check(&self, who: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sidewall"));
        command
            .args(["check", "--color", "never", "--kubeconfig"])
            .arg(self.home.path().join(who))
            .args(arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    }
}

/// Standard output and the exit code, without what differs from run to run.
fn told(output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let complaint = String::from_utf8(output.stderr.clone()).unwrap();
    format!("{text}{complaint}exit code {:?}\n", output.status.code())
}

fn namespace(name: &str, labels: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

fn pod(name: &str, sidecar: Option<&str>) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": "shop", "name": name},
        "spec": {"nodeName": "node1", "containers": [{"name": "app", "image": "app"}]},
        "status": {"phase": "Running"},
    });
    if let Some(image) = sidecar {
        pod["spec"]["initContainers"] =
            json!([{"name": "sidewall", "image": image, "restartPolicy": "Always"}]);
        pod["status"]["initContainerStatuses"] = json!([{
            "name": "sidewall", "image": image, "imageID": "", "ready": true, "restartCount": 0, "started": true,
        }]);
    }
    pod
}

fn workload(kind: &str, namespace: &str, name: &str, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": kind,
        "metadata": {"namespace": namespace, "name": name, "labels": {
            "app.kubernetes.io/part-of": "sidewall", "app.kubernetes.io/version": env!("CARGO_PKG_VERSION"),
        }},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": image}]},
            },
        },
    })
}

fn webhook() -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "sidewall", "labels": {"app.kubernetes.io/part-of": "sidewall"}},
        "webhooks": [{
            "name": "namespace.inject.sidewall.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "failurePolicy": "Fail",
            "clientConfig": {"service": {"namespace": "sidewall", "name": "sidewall-webhook"}},
        }],
    })
}

/// A cluster in which much is wrong.
fn sick() -> Vec<Value> {
    let mut controller = workload("Deployment", "sidewall", "sidewall", "sidewall:2");
    controller["status"] = json!({"replicas": 1});
    let inject = json!({"sidewall.dev/inject": "enabled"});
    let mut shop = inject.clone();
    shop["pod-security.kubernetes.io/enforce"] = json!("restricted");
    vec![
        namespace("shop", shop),
        namespace("lab", json!({"sidewall.dev/inject": "true"})),
        namespace("kube-system", inject),
        namespace("sidewall", json!({})),
        workload(
            "DaemonSet",
            "kube-system",
            "calico-node",
            "docker.io/calico/node:v3.31.0",
        ),
        controller,
        webhook(),
        pod("web", Some("sidewall:1")),
        pod("cart", None),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn beforehand_an_empty_cluster_is_good_and_a_sick_one_is_not() {
    let empty = Cluster::new(&[]).await;
    insta::assert_snapshot!("pre_empty", told(&empty.check("admin", &["--pre"]).await));
    let sick = Cluster::new(&sick()).await;
    let arguments = ["--pre", "--namespace", "nowhere"];
    insta::assert_snapshot!("pre_sick", told(&sick.check("admin", &arguments).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn afterwards_everything_that_is_wrong_is_named_with_a_hint_and_a_link() {
    let sick = Cluster::new(&sick()).await;
    insta::assert_snapshot!("sick", told(&sick.check("admin", &[]).await));
    insta::assert_snapshot!(
        "sick_short",
        told(&sick.check("admin", &["-o", "short"]).await)
    );
    let output = sick.check("admin", &["-o", "json"]).await;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["success"], json!(false));
    let categories = report["categories"].as_array().unwrap();
    let webhook = categories
        .iter()
        .find(|one| one["categoryName"] == "webhook");
    insta::assert_snapshot!("sick_json", serde_json::to_string_pretty(&webhook).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_look_is_told_so_and_that_is_neither_yes_nor_no() {
    let cluster = Cluster::new(&[]).await;
    cluster.user(vec![Rule::new(&["list"], "", "namespaces")]);
    insta::assert_snapshot!(
        "may_not_look",
        told(&cluster.check("user", &["--pre"]).await)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_cluster_nothing_can_be_told() {
    let cluster = Cluster::new(&[]).await;
    let gone = cluster.home.path().join("gone");
    std::fs::rename(cluster.home.path().join("admin"), &gone).unwrap();
    let Cluster { server, home } = cluster;
    server.shutdown().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidewall"));
    command
        .args(["check", "--kubeconfig"])
        .arg(Path::new(&gone));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    drop(home);
    assert_eq!(output.status.code(), Some(2));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(
        complaint.contains("the API server does not answer"),
        "{complaint}"
    );
}
