//! Pods created through the API server, with the controller as the chart runs it.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sidewall_integration::apiserver::Controller;

use super::{Cluster, PATIENCE, eventually, pod, refused};

/// The chart with real helm, the controller under the chart's own rights, and a namespace `shop`
/// that opted in.
pub(crate) async fn installed(cluster: &Cluster, args: &[&str]) -> Result<Controller> {
    cluster.namespace("shop", Some("enabled")).await?;
    cluster.helm.install(args).await?;
    let controller = Controller::start(&cluster.server, "sidewall-0").await?;
    asked(cluster).await?;
    Ok(controller)
}

/// Waits until the API server, which follows the webhook's configuration by a watch, has pods
/// injected.
pub(crate) async fn asked(cluster: &Cluster) -> Result<()> {
    let create = [
        "-n",
        "shop",
        "create",
        "--dry-run=server",
        "-o",
        "json",
        "-f",
        "-",
    ];
    eventually("the API server asks the webhook", async || {
        let made = cluster.kubectl.run(&create, &pod("try", "", "")).await?;
        ensure!(
            first_init(&serde_json::from_str(&made)?) == "sidewall",
            "{made}"
        );
        Ok(())
    })
    .await
}

/// The name of a pod's first init container.
pub(crate) fn first_init(pod: &Value) -> &str {
    let name = &pod["spec"]["initContainers"][0]["name"];
    name.as_str().unwrap_or("(none)")
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_of_an_opted_in_namespace_come_back_injected_and_others_as_they_were() -> Result<()> {
    let Some(cluster) = Cluster::start().await? else {
        return Ok(());
    };
    let kubectl = &cluster.kubectl;
    let controller = installed(&cluster, &[]).await?;
    cluster.namespace("open", None).await?;
    cluster.namespace("closed", Some("disabled")).await?;
    for (namespace, name, metadata, spec, first) in [
        ("shop", "plain", "", "", "sidewall"),
        // Whatever else starts early comes after it.
        (
            "shop",
            "early",
            "",
            ", initContainers: [{name: migrate, image: example.org/m}]",
            "sidewall",
        ),
        (
            "shop",
            "out",
            ", labels: {sidewall.dev/inject: disabled}",
            "",
            "(none)",
        ),
        ("shop", "host", "", ", hostNetwork: true", "(none)"),
        ("open", "plain", "", "", "(none)"),
        (
            "open",
            "label",
            ", labels: {sidewall.dev/inject: enabled}",
            "",
            "sidewall",
        ),
        (
            "open",
            "noted",
            ", annotations: {sidewall.dev/inject: enabled}",
            "",
            "sidewall",
        ),
        ("closed", "plain", "", "", "(none)"),
        (
            "kube-system",
            "label",
            ", labels: {sidewall.dev/inject: enabled}",
            "",
            "(none)",
        ),
        (
            "sidewall",
            "label",
            ", labels: {sidewall.dev/inject: enabled}",
            "",
            "(none)",
        ),
    ] {
        let made = kubectl
            .run(
                &["-n", namespace, "create", "-o", "json", "-f", "-"],
                &pod(name, metadata, spec),
            )
            .await?;
        let made: Value = serde_json::from_str(&made)?;
        assert_eq!(first_init(&made), first, "{namespace}/{name}: {made}");
    }
    let early = cluster.get(&["pod", "early", "-n", "shop"]).await?;
    let sidecar = &early["spec"]["initContainers"][0];
    assert_eq!(sidecar["restartPolicy"], "Always");
    assert_eq!(early["spec"]["initContainers"][1]["name"], "migrate");
    assert_eq!(early["metadata"]["labels"]["sidewall.dev/injected"], "true");

    // What kubectl shows when a pod asks for what cannot be.
    let bad = ", annotations: {config.sidewall.dev/mode: deny, config.sidewall.dev/mood: good}";
    let said = refused(
        kubectl
            .run(&["-n", "shop", "create", "-f", "-"], &pod("bad", bad, ""))
            .await,
    )?;
    for part in [
        "admission webhook \"namespace.inject.sidewall.dev\" denied the request: sidewall: ",
        "config.sidewall.dev/mode is \"deny\": it must be one of enforce, audit",
        "config.sidewall.dev/mood is not known: there are mode, ",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let gone = ["-n", "shop", "get", "pod", "bad"];
    assert!(refused(kubectl.run(&gone, "").await)?.contains("not found"));

    // Each skip and refusal that reached the webhook has its code in log and metrics.
    let metrics = controller.metrics().await?;
    for (outcome, code) in [
        ("injected", "added"),
        ("skipped", "host-network"),
        ("refused", "mistakes"),
    ] {
        let series =
            format!("sidewall_injector_pods_total{{outcome=\"{outcome}\",code=\"{code}\"}}");
        assert!(metrics.contains(&series), "{series} in {metrics}");
    }
    let reviewed = controller.log();
    let mut lines = reviewed
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    assert!(
        lines.any(|line| line["code"] == "host-network" && line["pod"] == "host"),
        "{reviewed}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_are_told_of_pods_that_stay_open_or_are_refused() -> Result<()> {
    let Some(cluster) = Cluster::start().await? else {
        return Ok(());
    };
    let kubectl = &cluster.kubectl;
    let _controller = installed(&cluster, &[]).await?;
    let replica_set = "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web, namespace: shop}, \
        spec: {replicas: 0, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, \
        spec: {containers: [{name: app, image: example.org/app}]}}}}";
    kubectl.apply(replica_set).await?;
    let owner = cluster.get(&["replicaset", "web", "-n", "shop"]).await?;
    let uid = owner["metadata"]["uid"].as_str().context("no uid")?;
    let owned = format!(
        ", ownerReferences: [{{apiVersion: apps/v1, kind: ReplicaSet, name: web, uid: {uid}, controller: true}}]"
    );
    let create = ["-n", "shop", "create", "-f", "-"];
    let host = pod("web-1", &owned, ", hostNetwork: true");
    kubectl.run(&create, &host).await?;
    let bad = format!("{owned}, annotations: {{config.sidewall.dev/mode: deny}}");
    refused(kubectl.run(&create, &pod("web-2", &bad, "")).await)?;
    // A trial leaves no trace.
    let trial = ["-n", "shop", "create", "--dry-run=server", "-f", "-"];
    kubectl
        .run(&trial, &pod("web-3", &owned, ", hostNetwork: true"))
        .await?;

    let for_owner = [
        "-n",
        "shop",
        "events",
        "--for",
        "replicaset/web",
        "--no-headers",
    ];
    let events = eventually("both events", async || {
        let events = kubectl.run(&for_owner, "").await?;
        let both = events.contains("SidewallSkipped") && events.contains("SidewallRefused");
        ensure!(both, "{events}");
        Ok(events)
    })
    .await?;
    for part in [
        "pod web-1 is not guarded: host-network: the pod uses the node's own network",
        "pod web-2 was refused: config.sidewall.dev/mode is \"deny\": it must be one of enforce, audit",
    ] {
        assert!(events.contains(part), "{part} in {events}");
    }
    assert!(!events.contains("web-3"), "{events}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_webhook_only_opted_in_pods_have_to_wait() -> Result<()> {
    let Some(cluster) = Cluster::start().await? else {
        return Ok(());
    };
    let kubectl = &cluster.kubectl;
    let controller = installed(&cluster, &[]).await?;
    cluster.namespace("open", None).await?;
    drop(controller);
    let said = refused(
        kubectl
            .run(&["-n", "shop", "create", "-f", "-"], &pod("one", "", ""))
            .await,
    )?;
    assert!(
        said.contains("failed calling webhook \"namespace.inject.sidewall.dev\""),
        "{said}"
    );
    let label = ", labels: {sidewall.dev/inject: enabled}";
    let said = refused(
        kubectl
            .run(&["-n", "open", "create", "-f", "-"], &pod("two", label, ""))
            .await,
    )?;
    assert!(said.contains("\"pod.inject.sidewall.dev\""), "{said}");
    for (namespace, name, metadata) in [
        ("open", "three", ""),
        ("shop", "four", ", labels: {sidewall.dev/inject: disabled}"),
        ("sidewall", "five", label),
        ("kube-system", "six", label),
    ] {
        kubectl
            .run(
                &["-n", namespace, "create", "-f", "-"],
                &pod(name, metadata, ""),
            )
            .await
            .with_context(|| format!("{namespace}/{name} is nobody's business"))?;
    }
    let _controller = Controller::start(&cluster.server, "sidewall-1").await?;
    let again = ["-n", "shop", "create", "-f", "-"];
    kubectl
        .run(&again, &pod("seven", "", ""))
        .await
        .with_context(|| format!("within {PATIENCE:?} of a new replica"))?;
    Ok(())
}
