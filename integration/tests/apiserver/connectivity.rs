//! `sidewall test` in a cluster: ephemeral containers that are made and read through a real API server.
//! What a kubelet does for them is done here, in the lab's pods.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::future::{Either, select};
use k8s_openapi::api::core::v1::{EphemeralContainer, Pod};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use sidewall_lab::Lab;
use tokio::process::Command;

use super::{Cluster, PATIENCE, SHOP, Source, eventually, of_each_source};

of_each_source!(tests_in_the_cluster_need_the_rights_that_the_page_names_and_no_more);

/// The server takes its clients' calls on one of two ports.
const POLICY: &str = r#"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: server, namespace: shop}
spec:
  podSelector: {matchLabels: {app: server}}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{podSelector: {matchLabels: {app: client}}}], ports: [{port: 8080}]}]
"#;

/// What docs/testing.md says that the command needs.
const RIGHTS: &str = r#"
apiVersion: v1
kind: ServiceAccount
metadata: {name: tester, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: tester}
rules:
  - apiGroups: [""]
    resources: [namespaces, pods, services]
    verbs: [list]
  - apiGroups: [discovery.k8s.io]
    resources: [endpointslices]
    verbs: [list]
  - apiGroups: [networking.k8s.io]
    resources: [networkpolicies]
    verbs: [list]
  - apiGroups: [""]
    resources: [pods]
    verbs: [get]
  - apiGroups: [""]
    resources: [pods/ephemeralcontainers]
    verbs: [patch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: tester}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: tester}
subjects: [{kind: ServiceAccount, name: tester, namespace: shop}]
"#;

/// The last does not hold.
const TESTS: &str = r"
- allow: client -> server:8080
  timeoutSeconds: 2
  attempts: 1
- block: client -> server:9090
  timeoutSeconds: 1
  attempts: 1
- block: server -> client:80
  timeoutSeconds: 1
  attempts: 1
- allow: server -> client:81
  timeoutSeconds: 1
  attempts: 1
";

async fn tests_in_the_cluster_need_the_rights_that_the_page_names_and_no_more(
    source: Source,
) -> Result<()> {
    let Some(cluster) = Cluster::for_lab("sidewall test with a real API server").await? else {
        return Ok(());
    };
    cluster.namespace("shop", None).await?;
    let _controllers = cluster.provide(source, "shop").await?;
    cluster.kubectl.apply(RIGHTS).await?;
    let lab = cluster.lab(source).yaml(SHOP).yaml(POLICY).start().await?;
    lab.settled(PATIENCE).await?;
    let kubeconfig = eventually("the account", async || {
        cluster.server.kubeconfig_of("shop", "tester").await
    });
    let kubeconfig = kubeconfig.await?;
    let folder = tempfile::tempdir()?;
    let tests = folder.path().join("tests.yaml");
    std::fs::write(&tests, TESTS)?;
    let mut command = Command::new(sidewall_lab::program("sidewall")?);
    command
        .args(["test", "-n", "shop", "-o", "json", "--kubeconfig"])
        .arg(&kubeconfig)
        .arg(&tests)
        .kill_on_drop(true);
    let output = {
        let output = command.output();
        let kubelet = kubelet(&lab, cluster.server.client());
        tokio::pin!(output, kubelet);
        match select(output, kubelet).await {
            Either::Left((output, _)) => output?,
            Either::Right((ended, _)) => return ended,
        }
    };
    let told = String::from_utf8_lossy(&output.stderr);
    let results: Value = serde_json::from_slice(&output.stdout).context(told.into_owned())?;
    let got: Vec<(&str, bool)> = results
        .as_array()
        .context("a list")?
        .iter()
        .map(|result| {
            (
                result["got"].as_str().unwrap_or("-"),
                result["pass"] == true,
            )
        })
        .collect();
    let expected = [
        ("allow", true),
        ("block", true),
        ("block", true),
        ("block", false),
    ];
    assert_eq!(got, expected, "{results:#}");
    assert_eq!(output.status.code(), Some(1));
    lab.stop().await
}

/// Runs each new ephemeral container's command in its pod and writes what came of it into the pod's
/// status, until it is dropped.
async fn kubelet(lab: &Lab, client: kube::Client) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(client, "shop");
    let mut done = BTreeSet::new();
    loop {
        for pod in pods.list(&ListParams::default()).await? {
            let name = pod.metadata.name.unwrap_or_default();
            let containers = pod.spec.and_then(|spec| spec.ephemeral_containers);
            for container in containers.into_iter().flatten() {
                if done.insert(container.name.clone()) {
                    let state = run(lab, &name, &container).await?;
                    let status = json!({"status": {"ephemeralContainerStatuses": [{
                        "name": container.name, "image": container.image, "imageID": "",
                        "ready": false, "restartCount": 0, "state": {"terminated": state},
                    }]}});
                    let params = PatchParams::default();
                    pods.patch_status(&name, &params, &Patch::Strategic(status))
                        .await?;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The container's end. The image's program is the one that was built; what it writes to its
/// termination log it also prints.
async fn run(lab: &Lab, pod: &str, container: &EphemeralContainer) -> Result<Value> {
    let command = container.command.as_deref().unwrap_or_default();
    let (program, args) = command.split_first().context("a command")?;
    assert_eq!(program, "/sidewall-sidecar");
    let log = "--answer-file=/dev/termination-log";
    assert!(args.iter().any(|arg| arg == log), "{args:?}");
    let program = sidewall_lab::program("sidewall-sidecar")?;
    let args = args.iter().filter(|arg| *arg != log);
    let pod = lab.pod(&format!("shop/{pod}"))?;
    let output = pod.exec(program, args).await?;
    let letters = String::from_utf8(output.stdout)?;
    Ok(json!({"exitCode": output.status.code(), "message": letters, "reason": "Completed"}))
}
