//! The API server dies, forgets, or is slow: sidecars keep what they know, catch up, and miss nothing.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sidewall::net::Protocol;
use sidewall_lab::{Api, Outcome, Sidecar, Target};

use super::{ALLOW_GOLD, Cluster, DENY, PATIENCE, QUICK, SHOP, Source, eventually, of_each_source};

of_each_source!(
    while_the_server_is_dead_the_last_list_holds_and_after_its_return_new_policies_do,
    what_happened_before_a_compaction_is_found_by_a_new_list,
    behind_a_slow_server_the_pod_stays_closed_until_the_list_is_complete,
);

/// The names of the policies that isolate the pod for ingress, as its sidecar enforces them.
async fn isolated_by(sidecar: &Sidecar) -> Result<Vec<String>> {
    let policy = sidecar.get("/policy").await?;
    let by = policy["allowList"]["ingress"]["isolatedBy"].as_array();
    let by = by.context("no isolatedBy")?.iter();
    Ok(by
        .filter_map(|policy| Some(policy["name"].as_str()?.to_owned()))
        .collect())
}

/// The sum over all kinds, or of one.
async fn metric(sidecar: &Sidecar, name: &str) -> Result<f64> {
    let text = sidecar.text("/metrics").await?;
    let lines = text.lines().filter(|line| line.starts_with(name));
    let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(values.sum())
}

async fn while_the_server_is_dead_the_last_list_holds_and_after_its_return_new_policies_do(
    source: Source,
) -> Result<()> {
    let Some(cluster) = Cluster::for_lab("dead API server").await? else {
        return Ok(());
    };
    cluster.namespace("shop", None).await?;
    let _controllers = cluster.provide(source, "shop").await?;
    let lab = cluster.lab(source).yaml(SHOP).start().await?;
    let (client, server) = (lab.pod("shop/client")?, lab.pod("shop/server")?);
    let to = Target::from((server.ipv4().expect("IPv4"), 8080));
    let sidecar = server.sidecar().expect("a sidecar");
    cluster.kubectl.apply(DENY).await?;
    lab.settled(PATIENCE).await?;

    cluster.server.kill().await;
    eventually("the sidecar notices", async || {
        let stale = metric(&sidecar, "sidewall_policy_source_stale_seconds").await?;
        ensure!(stale > 0.0, "not stale");
        Ok(())
    })
    .await?;
    sidecar.text("/readyz").await.context("it stays ready")?;
    assert_eq!(isolated_by(&sidecar).await?, ["deny"]);
    let denied = client.connect(&to, Protocol::TCP, QUICK).await;
    assert_eq!(denied, Outcome::TimedOut, "nothing opens without a server");

    cluster.server.start_again().await?;
    let gold = ["-n", "shop", "label", "pod", "client", "tier=gold"];
    cluster.kubectl.run(&gold, "").await?;
    cluster.kubectl.apply(ALLOW_GOLD).await?;
    // Both sidecars and lab wait for up to half a minute between their tries.
    lab.settled(2 * PATIENCE).await?;
    let open = client.connect(&to, Protocol::TCP, PATIENCE).await;
    assert!(
        open.is_connected(),
        "what was said after its return: {open}"
    );
    // Each kind's watch waits for its own next try.
    eventually("every watch is back", async || {
        let stale = metric(&sidecar, "sidewall_policy_source_stale_seconds").await?;
        ensure!(stale == 0.0, "stale for {stale} s");
        Ok(())
    })
    .await?;
    lab.stop().await
}

async fn what_happened_before_a_compaction_is_found_by_a_new_list(source: Source) -> Result<()> {
    let Some(cluster) = Cluster::for_lab("compaction").await? else {
        return Ok(());
    };
    cluster.namespace("shop", None).await?;
    let _controllers = cluster.provide(source, "shop").await?;
    let (relay, kubeconfig) = cluster.server.relay().await?;
    let lab = cluster
        .lab(source)
        .api(Api::Kubeconfig(kubeconfig))
        .yaml(SHOP);
    // A new list is part of a cluster's day, and told only to those who ask.
    let talkative = "info,sidewall_sidecar::watch=debug";
    let lab = lab.sidecar_env("SIDEWALL_LOG_LEVEL", talkative);
    let lab = lab.start().await?;
    let (client, server) = (lab.pod("shop/client")?, lab.pod("shop/server")?);
    let to = Target::from((server.ipv4().expect("IPv4"), 8080));
    let sidecar = server.sidecar().expect("a sidecar");
    cluster.kubectl.apply(ALLOW_GOLD).await?;
    lab.settled(PATIENCE).await?;

    // Cut off, the sidecar sees neither the end of one policy nor the beginning of another; and the
    // versions in between are forgotten by etcd and, with a new process, by the server's cache.
    relay.cut();
    let delete = ["-n", "shop", "delete", "networkpolicy", "allow-gold"];
    cluster.kubectl.run(&delete, "").await?;
    cluster.kubectl.apply(DENY).await?;
    let gold = ["-n", "shop", "label", "pod", "client", "tier=gold"];
    cluster.kubectl.run(&gold, "").await?;
    cluster.server.compact().await?;
    cluster.server.kill().await;
    cluster.server.start_again().await?;
    assert_eq!(
        isolated_by(&sidecar).await?,
        ["allow-gold"],
        "the last it knew"
    );

    relay.open();
    lab.settled(2 * PATIENCE).await?;
    assert_eq!(isolated_by(&sidecar).await?, ["deny"]);
    let denied = client.connect(&to, Protocol::TCP, QUICK).await;
    assert_eq!(
        denied,
        Outcome::TimedOut,
        "the label is known, and the policy that it served is gone"
    );
    // With lists it is the controller that lists anew; the sidecar's stream is told what is news.
    if source == Source::Api {
        let log = sidecar.stderr_tail();
        let forgotten =
            "cannot watch networkpolicies from where we left off: the server has forgotten";
        assert!(log.contains(forgotten), "{log}");
    }
    lab.stop().await
}

async fn behind_a_slow_server_the_pod_stays_closed_until_the_list_is_complete(
    source: Source,
) -> Result<()> {
    let Some(cluster) = Cluster::for_lab("slow API server").await? else {
        return Ok(());
    };
    cluster.namespace("shop", None).await?;
    let _controllers = cluster.provide(source, "shop").await?;
    let (relay, kubeconfig) = cluster.server.relay().await?;
    let lab = cluster
        .lab(source)
        .api(Api::Kubeconfig(kubeconfig))
        .yaml(SHOP);
    let lab = lab.start().await?;
    lab.settled(PATIENCE).await?;
    let (client, server) = (lab.pod("shop/client")?, lab.pod("shop/server")?);
    let to = Target::from((server.ipv4().expect("IPv4"), 8080));
    let sidecar = server.sidecar().expect("a sidecar");
    let open = client.connect(&to, Protocol::TCP, PATIENCE).await;
    assert!(open.is_connected(), "open at first: {open}");

    // TLS alone takes two answers, and each list one or more.
    relay.slow(Duration::from_secs(2));
    sidecar.restart().await?;
    let closed = client.connect(&to, Protocol::TCP, QUICK).await;
    assert_eq!(closed, Outcome::TimedOut, "nothing is known yet");
    sidecar.wait_ready(2 * PATIENCE).await?;
    let open = client.connect(&to, Protocol::TCP, PATIENCE).await;
    assert!(open.is_connected(), "all is known: {open}");

    // Late, but not lost.
    cluster.kubectl.apply(DENY).await?;
    eventually("the policy comes", async || {
        let isolated = isolated_by(&sidecar).await?;
        ensure!(isolated == ["deny"], "{isolated:?}");
        Ok(())
    })
    .await?;
    relay.open();
    lab.stop().await
}
