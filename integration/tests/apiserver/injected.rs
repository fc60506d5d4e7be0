//! The whole way: helm installs, the webhook injects, and the pod that came back runs in the lab from
//! its own mutated spec, under a service account with the chart's rights.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sidewall::net::Protocol;
use sidewall_lab::{Outcome, Target};

use super::webhook::installed;
use super::{Cluster, PATIENCE, QUICK, Source, eventually, of_each_source};

of_each_source!(a_pod_that_came_back_injected_enforces_from_its_own_spec);

/// One is guarded by its namespace's wish, one watches only, one opted out.
const PODS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: guarded, namespace: shop, labels: {app: server}}
spec: {containers: [{name: c, image: example.org/c, ports: [{containerPort: 8080}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: audited, namespace: shop, labels: {app: server}, annotations: {config.sidewall.dev/mode: audit}}
spec: {containers: [{name: c, image: example.org/c, ports: [{containerPort: 8080}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: shop, labels: {app: client, sidewall.dev/inject: disabled}}
spec: {containers: [{name: c, image: example.org/c}]}
"#;

const DENY: &str = r#"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: shop}
spec: {podSelector: {matchLabels: {app: server}}, policyTypes: [Ingress]}
"#;

async fn a_pod_that_came_back_injected_enforces_from_its_own_spec(source: Source) -> Result<()> {
    let Some(cluster) = Cluster::for_lab("injected pods").await? else {
        return Ok(());
    };
    let values = match source {
        Source::Api => "policySource=api,sidecarRbac.namespaces={shop}",
        Source::Lists => "policySource=allowlists",
    };
    let _controller = installed(&cluster, &["--set", values]).await?;
    let lab = cluster.lab(Source::Api).start().await?;
    cluster.kubectl.apply(PODS).await?;
    let guarded = lab.wait_for_pod("shop/guarded", PATIENCE).await?;
    let audited = lab.wait_for_pod("shop/audited", PATIENCE).await?;
    let client = lab.wait_for_pod("shop/client", PATIENCE).await?;
    lab.settled(PATIENCE).await?;

    // What runs is what the webhook wrote: its variables, and no others of ours.
    for (pod, mode) in [("guarded", "enforce"), ("audited", "audit")] {
        let object = cluster.get(&["pod", pod, "-n", "shop"]).await?;
        let container = &object["spec"]["initContainers"][0];
        assert_eq!(container["name"], "sidewall", "{object}");
        let written = container["env"].as_array().context("no env")?;
        let wants = |name: &str| {
            let mut all = written.iter();
            let found = all.find(|variable| variable["name"] == name);
            found.map(|variable| variable["value"].clone())
        };
        assert_eq!(wants("SIDEWALL_MODE"), Some(Value::from(mode)));
        let sidecar = lab.pod(&format!("shop/{pod}"))?.sidecar().context(pod)?;
        let pid = sidecar.pid().context("runs")?;
        let environment = std::fs::read(format!("/proc/{pid}/environ"))?;
        let environment = String::from_utf8_lossy(&environment).into_owned();
        let given: Vec<&str> = environment.split('\0').collect();
        for name in [
            "SIDEWALL_POLICY_SOURCE",
            "SIDEWALL_MODE",
            "SIDEWALL_FLOW_LOG",
            "SIDEWALL_ADMIN_ADDR",
        ] {
            let value = wants(name).context(name)?;
            let value = format!("{name}={}", value.as_str().unwrap_or_default());
            assert!(given.contains(&value.as_str()), "{value} in {given:?}");
        }
        assert!(
            given.contains(&format!("POD_NAME={pod}").as_str()),
            "{given:?}"
        );
        assert_eq!(sidecar.get("/policy").await?["mode"], mode);
    }
    assert!(client.sidecar().is_none());

    let reach = async |pod: &sidewall_lab::Pod, patience| {
        let to = Target::from((pod.ipv4().context("IPv4")?, 8080));
        anyhow::Ok(client.connect(&to, Protocol::TCP, patience).await)
    };
    for pod in [&guarded, &audited] {
        let first = reach(pod, PATIENCE).await?;
        assert!(
            first.is_connected(),
            "{}: open at first: {first}",
            pod.name()
        );
    }
    cluster.kubectl.apply(DENY).await?;
    lab.settled(PATIENCE).await?;
    assert_eq!(reach(&guarded, QUICK).await?, Outcome::TimedOut);
    let passes = reach(&audited, PATIENCE).await?;
    assert!(passes.is_connected(), "audit: {passes}");
    eventually("both say what they did", async || {
        let history = lab.flows().history();
        for (pod, verdict) in [("shop/guarded", "DROPPED"), ("shop/audited", "AUDIT")] {
            let mut lines = history.iter();
            let said = lines.any(|line| {
                *line.pod == *pod && line.flow.pointer("/flow/verdict") == Some(&verdict.into())
            });
            ensure!(said, "{pod} did not say {verdict}");
        }
        Ok(())
    })
    .await?;
    lab.stop().await
}
