//! The chart, installed and removed with the real tools: everything is accepted, nothing is left.

use std::time::Duration;

use anyhow::{Context as _, Result};
use sidewall_integration::helm::Helm;

use super::webhook::{asked, installed};
use super::{Cluster, eventually, pod, refused};

/// A round of the controller's certificate keeper takes ten seconds; one and a half are waited for.
const A_ROUND: Duration = Duration::from_secs(15);

/// Values files, and what is turned off in them because its kinds come with other operators.
fn variants() -> Vec<Vec<String>> {
    let chart = Helm::chart();
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    vec![
        texts(&[]),
        texts(&[
            "-f",
            &format!("{chart}/values-ha.yaml"),
            "--set",
            "sidecarRbac.namespaces={shop}",
        ]),
        texts(&[
            "-f",
            &format!("{chart}/../golden/everything.values"),
            "--set",
            "monitoring.podMonitor.enabled=false,monitoring.prometheusRule.enabled=false",
        ]),
        texts(&["--set", "requireSidecar.enabled=true"]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_template_and_kubectl_apply_install_it_and_kubectl_delete_removes_all() -> Result<()> {
    let Some(cluster) = Cluster::start().await? else {
        return Ok(());
    };
    let kubectl = &cluster.kubectl;
    cluster.namespace("sidewall", None).await?;
    cluster.namespace("shop", None).await?;
    for values in variants() {
        let mut args: Vec<&str> = values.iter().map(String::as_str).collect();
        args.push("--skip-tests");
        let yaml = cluster.helm.template(&args).await?;
        // Every field is known to the server, and every expression compiles.
        let strict = ["apply", "--validate=strict", "-f", "-"];
        let applied = kubectl.run(&strict, &yaml).await;
        let applied = applied.with_context(|| format!("{values:?}"))?;
        assert!(
            applied.contains("mutatingwebhookconfiguration"),
            "{applied}"
        );
        kubectl.run(&strict, &yaml).await.context("a second time")?;
        kubectl.run(&["delete", "-f", "-"], &yaml).await?;
        assert_eq!(cluster.left().await?, "", "{values:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_installs_upgrades_and_uninstalls_it_and_nothing_is_left() -> Result<()> {
    let Some(cluster) = Cluster::start().await? else {
        return Ok(());
    };
    let kubectl = &cluster.kubectl;
    let controller = installed(&cluster, &["--wait=false"]).await?;
    for values in variants() {
        // Another full name is another release's objects.
        if values.iter().any(|value| value.contains("everything")) {
            continue;
        }
        let mut args: Vec<&str> = values.iter().map(String::as_str).collect();
        args.extend(["--reset-values", "--wait=false"]);
        cluster.helm.upgrade(&args).await?;
        asked(&cluster).await?;
    }
    let notes = cluster
        .helm
        .run(&["get", "notes", "sidewall", "-n", "sidewall"]);
    assert!(notes.await?.contains("kubectl label namespace"));

    cluster.helm.uninstall().await?;
    assert_eq!(cluster.left().await?, "");
    // The replicas that end now must not bring anything back.
    tokio::time::sleep(A_ROUND).await;
    assert_eq!(cluster.left().await?, "", "{}", controller.log());
    // And nobody stands in the way of pods.
    let create = ["-n", "shop", "create", "-f", "-"];
    kubectl.run(&create, &pod("free", "", "")).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_sidecar_is_required_the_server_itself_refuses_pods_without_one() -> Result<()> {
    let Some(cluster) = Cluster::start().await? else {
        return Ok(());
    };
    let kubectl = &cluster.kubectl;
    let create = ["-n", "shop", "create", "--dry-run=server", "-f", "-"];
    // With Ignore, an absent webhook leaves pods alone: the policy does not.
    let required = "requireSidecar.enabled=true,webhook.failurePolicy=Ignore";
    let controller = installed(&cluster, &["--set", required]).await?;
    drop(controller);
    let said = eventually("the policy is in force", async || {
        let made = kubectl.run(&create, &pod("bare", "", "")).await;
        refused(made)
    })
    .await?;
    assert!(
        said.contains("The namespace asks for sidewall, and this pod's first init container is not its sidecar"),
        "{said}"
    );
    let second = ", initContainers: [{name: migrate, image: example.org/m}, \
        {name: sidewall, image: example.org/s, restartPolicy: Always}]";
    let said = refused(kubectl.run(&create, &pod("late", "", second)).await)?;
    assert!(said.contains("first init container"), "{said}");
    let plain = ", initContainers: [{name: sidewall, image: example.org/s}]";
    let said = refused(kubectl.run(&create, &pod("ends", "", plain)).await)?;
    assert!(said.contains("first init container"), "{said}");
    let first = ", initContainers: [{name: sidewall, image: example.org/s, restartPolicy: Always}]";
    let out = ", labels: {sidewall.dev/inject: disabled}";
    for (name, metadata, spec) in [
        ("first", "", first),
        ("out", out, ""),
        ("host", "", ", hostNetwork: true"),
    ] {
        let made = kubectl.run(&create, &pod(name, metadata, spec)).await;
        made.with_context(|| name.to_owned())?;
    }
    let stricter = "requireSidecar.allowOptOut=false,requireSidecar.allowHostNetwork=false";
    let stricter = format!("{required},{stricter}");
    cluster.helm.upgrade(&["--set", &stricter]).await?;
    for (name, metadata, spec) in [("out", out, ""), ("host", "", ", hostNetwork: true")] {
        eventually(name, async || {
            refused(kubectl.run(&create, &pod(name, metadata, spec)).await)
        })
        .await?;
    }
    let other = ["create", "--dry-run=server", "-f", "-"];
    kubectl.run(&other, &pod("elsewhere", "", "")).await?;
    Ok(())
}
