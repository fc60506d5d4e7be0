//! What a client of the aggregated API sees when the replica that served it is killed: versions are a
//! replica's own, so the other one answers 410, and whoever begins again has all of it from there.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures::StreamExt as _;
use kube::api::{ApiResource, DynamicObject, ListParams, WatchEvent, WatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::Value;
use sidewall::lists::stream::{GROUP, VERSION};
use sidewall::net::Protocol;
use sidewall_integration::apiserver::Controller;
use sidewall_lab::{Lab, Outcome, Target};
use tokio::time::{Instant, sleep, timeout};

use super::{ALLOW_GOLD, Cluster, DENY, PATIENCE, QUICK, SHOP, Source, eventually, eventually_in};

/// A sidecar tries again within two seconds, and once more within four.
const MOVED: Duration = PATIENCE;
/// Between two looks at a sidecar.
const LOOK: Duration = Duration::from_millis(5);

fn lists(client: &Client) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(GROUP, VERSION, "AllowList");
    let resource = ApiResource::from_gvk_with_plural(&kind, "allowlists");
    Api::namespaced_with(client.clone(), "shop", &resource)
}

/// The names of all lists, each with its rules, and the version of the whole.
async fn listed(lists: &Api<DynamicObject>) -> Result<(Vec<(String, Value)>, String)> {
    let all = lists.list(&ListParams::default()).await?;
    let version = all.metadata.resource_version.context("no version")?;
    let list = |list: DynamicObject| Some((list.metadata.name?, list.data["spec"].clone()));
    Ok((all.items.into_iter().filter_map(list).collect(), version))
}

/// The code with which a watch from this version is refused, at once or in its first line; `None`: it
/// is granted.
async fn refusal(lists: &Api<DynamicObject>, version: &str) -> Result<Option<u16>> {
    let watch = match lists.watch(&WatchParams::default(), version).await {
        Ok(watch) => watch,
        Err(kube::Error::Api(status)) => return Ok(Some(status.code)),
        Err(other) => return Err(other.into()),
    };
    match timeout(QUICK, Box::pin(watch).next()).await {
        Ok(Some(Ok(WatchEvent::Error(status)))) => Ok(Some(status.code)),
        Ok(Some(Err(kube::Error::Api(status)))) => Ok(Some(status.code)),
        Ok(Some(Err(error))) => Err(error.into()),
        Ok(Some(Ok(_))) | Err(_) => Ok(None),
        Ok(None) => bail!("a watch that ends without a word"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_of_a_killed_replica_is_expired_and_a_fresh_list_comes_from_the_other_one()
-> Result<()> {
    let Some(cluster) = Cluster::start().await? else {
        return Ok(());
    };
    cluster.namespace("shop", None).await?;
    let mut controllers = cluster.serve(&[], 1).await?;
    let kubectl = &cluster.kubectl;
    eventually("pods are made", async || kubectl.apply(SHOP).await).await?;
    kubectl.apply(DENY).await?;
    let lists = lists(&cluster.server.client());
    let (before, version) = eventually("both lists", async || {
        let (all, version) = listed(&lists).await?;
        let isolated = all
            .iter()
            .any(|(_, spec)| spec.to_string().contains("deny"));
        ensure!(all.len() == 2 && isolated, "{all:?}");
        Ok((all, version))
    })
    .await?;
    assert_eq!(refusal(&lists, &version).await?, None, "while it is there");
    let mut watch = Box::pin(lists.watch(&WatchParams::default(), &version).await?);

    // The version is the first replica's: it was alone.
    controllers.push(Controller::start(&cluster.server, "sidewall-1").await?);
    drop(controllers.remove(0));
    let ended = timeout(PATIENCE, async {
        while let Some(event) = watch.next().await {
            match event {
                Ok(WatchEvent::Bookmark(_)) => {}
                Ok(WatchEvent::Error(_)) | Err(_) => break,
                Ok(other) => bail!("nothing has changed: {other:?}"),
            }
        }
        Ok(())
    });
    ended
        .await
        .context("the watch goes on without its replica")??;

    let code = eventually("the other one answers", async || {
        let code = refusal(&lists, &version).await?;
        ensure!(code != Some(503), "nobody answers yet");
        Ok(code)
    });
    assert_eq!(code.await?, Some(410));
    let (after, fresh) = eventually("a fresh list", async || listed(&lists).await).await?;
    assert_eq!(after, before);
    assert_ne!(fresh, version);
    // And from there it goes on.
    let mut watch = Box::pin(lists.watch(&WatchParams::default(), &fresh).await?);
    kubectl.apply(ALLOW_GOLD).await?;
    let changed = timeout(PATIENCE, async {
        while let Some(event) = watch.next().await {
            if let WatchEvent::Modified(list) = event? {
                return Ok(list.data["spec"].to_string());
            }
        }
        bail!("the watch ended")
    });
    let changed = changed.await.context("no change is told")??;
    assert!(changed.contains("allow-gold"), "{changed}");
    Ok(())
}

/// Asks again and again: nobody may come in.
async fn stays_closed(lab: &Lab, to: &Target) -> Result<Infallible> {
    let client = lab.pod("shop/client")?;
    loop {
        let denied = client.connect(to, Protocol::TCP, QUICK).await;
        ensure!(denied == Outcome::TimedOut, "{denied}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_that_moves_to_another_replica_takes_a_whole_list_and_is_never_without_one()
-> Result<()> {
    let Some(cluster) = Cluster::for_lab("a sidecar that moves").await? else {
        return Ok(());
    };
    cluster.namespace("shop", None).await?;
    let mut controllers = cluster.serve(&[], 1).await?;
    let lab = cluster.lab(Source::Lists).yaml(SHOP).start().await?;
    let (client, server) = (lab.pod("shop/client")?, lab.pod("shop/server")?);
    let to = Target::from((server.ipv4().context("IPv4")?, 8080));
    let sidecar = server.sidecar().context("a sidecar")?;
    cluster.kubectl.apply(DENY).await?;
    lab.settled(PATIENCE).await?;
    let before = sidecar.get("/policy").await?;

    controllers.push(Controller::start(&cluster.server, "sidewall-1").await?);
    drop(controllers.remove(0));
    let expired = "sidewall_list_resyncs_total{reason=\"expired\"} 1";
    let moving = async {
        let deadline = Instant::now() + MOVED;
        let mut looks = 0;
        loop {
            let now = sidecar.get("/policy").await?;
            for part in ["allowList", "generation"] {
                ensure!(now[part] == before[part], "{part} after {looks}: {now}");
            }
            looks += 1;
            let metrics = sidecar.text("/metrics").await?;
            let current = metrics.contains("sidewall_watch_current{kind=\"allowlists\"} 1");
            if metrics.contains(expired) && current {
                return Ok(looks);
            }
            ensure!(Instant::now() < deadline, "it does not move: {metrics}");
            sleep(LOOK).await;
        }
    };
    let looks = tokio::select! {
        looks = moving => looks?,
        wrong = stays_closed(&lab, &to) => match wrong? {},
    };
    ensure!(looks > 1, "it had moved before anybody looked");

    // The other replica's changes come.
    cluster.kubectl.apply(ALLOW_GOLD).await?;
    let gold = ["-n", "shop", "label", "pod", "client", "tier=gold"];
    cluster.kubectl.run(&gold, "").await?;
    eventually_in(PATIENCE, "the change", async || {
        let open = client.connect(&to, Protocol::TCP, QUICK).await;
        ensure!(open.is_connected(), "{open}");
        Ok(())
    })
    .await?;
    lab.settled(PATIENCE).await?;
    lab.stop().await
}
