//! docs/install.md, typed as it stands: as far as it goes without nodes.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;
use sidewall_integration::apiserver::Controller;
use sidewall_integration::tool;
use tokio::process::Command;

use super::Cluster;
use super::webhook::{asked, first_init};

const GUIDE: &str = include_str!("../../../docs/install.md");
/// What only a pod that runs could answer.
const NEEDS_NODES: [&str; 3] = [" exec ", " logs ", "rollout status"];

/// The blocks of commands of a section.
fn blocks(section: &str) -> Vec<String> {
    let heading = format!("\n## {section}\n");
    let text = GUIDE.split_once(&heading).map_or("", |(_, text)| text);
    let text = text.split("\n## ").next().unwrap_or_default();
    let blocks = text.split("```sh\n").skip(1);
    blocks
        .filter_map(|block| Some(block.split_once("```")?.0.to_owned()))
        .collect()
}

/// Types a block into a shell at the top of the repository; what it printed.
async fn type_in(cluster: &Cluster, block: &str) -> Result<String> {
    let lines = block
        .lines()
        .filter(|line| !NEEDS_NODES.iter().any(|needs| line.contains(needs)));
    // Nobody runs the controller's pods, so nobody waits for them.
    let lines = lines.map(|line| line.replace(" --wait", ""));
    let script = lines.collect::<Vec<_>>().join("\n");
    let home = tempfile::tempdir()?;
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([tools].into_iter().chain(std::env::split_paths(&path)))?;
    let mut command = Command::new("bash");
    command
        .args(["-euo", "pipefail", "-c", &script])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .env("PATH", path)
        .env("KUBECONFIG", cluster.server.kubeconfig())
        .env("HOME", home.path());
    tool::run(command, "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_install_page_can_be_typed_as_it_stands() -> Result<()> {
    let Some(cluster) = Cluster::start().await? else {
        return Ok(());
    };
    let steps = blocks("Five minutes");
    let [install, connect, isolate] = steps.as_slice() else {
        anyhow::bail!("the page has other blocks now: {steps:?}");
    };
    let said = type_in(&cluster, install).await?;
    for part in [
        "STATUS: deployed",
        "deployment.apps/api restarted",
        "namespace/shop labeled",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let _controller = Controller::start(&cluster.server, "sidewall-0").await?;
    asked(&cluster).await?;
    type_in(&cluster, connect).await?;
    type_in(&cluster, isolate).await?;
    cluster
        .get(&["networkpolicy", "default-deny", "-n", "shop"])
        .await?;

    // What the Deployments' pods come out as, once somebody makes them.
    let web = cluster.get(&["deployment", "web", "-n", "shop"]).await?;
    let mut pod = web["spec"]["template"].clone();
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    pod["metadata"]["name"] = "web".into();
    let create = ["-n", "shop", "create", "-o", "json", "-f", "-"];
    let made = cluster.kubectl.run(&create, &pod.to_string()).await?;
    let made: Value = serde_json::from_str(&made)?;
    assert_eq!(first_init(&made), "sidewall", "{made}");
    let binding = "sidewall-sidewall-own-list";
    let granted = cluster.get(&["clusterrolebinding", binding]).await;
    granted.context("sidecars may fetch their lists")?;

    let steps = blocks("Uninstall");
    let uninstall = steps.first().context("no commands to uninstall")?;
    let said = type_in(&cluster, uninstall).await?;
    let last = said.trim_end().lines().last();
    assert_eq!(last, Some("release \"sidewall\" uninstalled"), "{said}");
    assert_eq!(cluster.left().await?, "");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_can_be_applied_without_helm_in_the_cluster() -> Result<()> {
    let Some(cluster) = Cluster::start().await? else {
        return Ok(());
    };
    let steps = blocks("Without helm in the cluster");
    let [apply, remove] = steps.as_slice() else {
        anyhow::bail!("the page has other blocks now: {steps:?}");
    };
    type_in(&cluster, apply).await?;
    let _controller = Controller::start(&cluster.server, "sidewall-0").await?;
    cluster.namespace("shop", Some("enabled")).await?;
    asked(&cluster).await?;
    type_in(&cluster, remove).await?;
    assert_eq!(cluster.left().await?, "");
    Ok(())
}
