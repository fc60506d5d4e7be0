//! The phases: a cluster is written, watchers come, changes are waited for, and one after the other
//! what they depend on is killed. Each phase prints its rows as it ends.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::Size;
use super::cluster::{self, Place};
use super::compare::differing;
use super::sampler::{Returns, all_current, changed};
use super::watcher::{Source, Watcher};
use crate::apiserver::{ApiServer, Controller};
use crate::helm::Helm;
use crate::stats::percentile;

/// Tokens and connections under way at once.
const AT_ONCE: usize = 16;
/// What Go's collector takes to give back what a phase left behind: two of its rounds of two minutes are
/// not waited for, but half a minute shows where it goes.
const REST: Duration = Duration::from_secs(15);
/// A blow is over when nobody was without contact for as long.
const QUIET: Duration = Duration::from_secs(4);

/// Runs all phases.
///
/// # Errors
/// What could not be done, or a watcher that enforces something else than a fresh compilation says.
pub async fn run(size: &Size) -> Result<()> {
    let server = ApiServer::start().await?;
    let server = server.context("needs kube-apiserver and etcd: .ci/build-kubernetes")?;
    let helm = Helm::find(server.kubeconfig())?.context("needs helm: .ci/fetch-kubectl")?;
    let lists = size.source == Source::Allowlists;
    let values = if lists {
        "policySource=allowlists"
    } else {
        "policySource=api,sidecarRbac.allNamespaces=true"
    };
    helm.install(&["--set", values]).await?;
    let mut controllers = Vec::new();
    for number in 0..2 {
        let name = format!("sidewall-{number}");
        controllers.push(Controller::start(&server, &name).await?);
    }
    let client = server.client();
    let began = Instant::now();
    cluster::write(&client, size.pods).await?;
    println!("{} pods written in {:.0?}", size.pods, began.elapsed());

    let before = Memory::of(&server, &controllers).await?;
    let began = Instant::now();
    let watchers = come(&server, size).await?;
    println!(
        "{} watchers current after {:.1?}",
        watchers.len(),
        began.elapsed()
    );
    let after = Memory::of(&server, &controllers).await?;
    before.tell(&after, watchers.len());
    let whole = sent(&controllers).await?;
    if lists {
        println!(
            "whole lists: {:.1} KB each",
            whole / number(watchers.len()) / 1e3
        );
    }
    agree(&client, &watchers, size.source).await?;

    println!("\n| | p50 | p99 | most | changes |\n|---|---|---|---|---|");
    latency(
        &client,
        &watchers,
        size.changes,
        Duration::from_millis(100),
        "one change at a time",
    )
    .await?;
    latency(
        &client,
        &watchers,
        size.changes,
        Duration::ZERO,
        "one after the other, without a pause",
    )
    .await?;
    let told = agree(&client, &watchers, size.source).await?;
    ensure!(told == watchers.len(), "only {told} agree");
    if lists {
        let news = sent(&controllers).await? - whole;
        println!(
            "\nfor each change: {:.1} KB to all {} together",
            news / number(2 * size.changes) / 1e3,
            watchers.len()
        );
    }

    println!(
        "\n| | lost contact | first back | p50 | last back | most within 0.1 s | agree afterwards |\n\
         |---|---|---|---|---|---|---|"
    );
    if lists {
        let killed = controllers.remove(0);
        drop(killed);
        let returns = Returns::after_a_blow(&watchers, QUIET).await?;
        println!(
            "{}",
            returns.row(
                "`kill -9` of one of two replicas",
                agree(&client, &watchers, size.source).await?
            )
        );

        controllers.push(Controller::start(&server, "sidewall-2").await?);
        let ending = controllers.remove(0);
        let (ended, returns) = tokio::join!(
            ending.terminate(),
            Returns::after_a_blow(&watchers, Duration::from_secs(14)),
        );
        ended?;
        println!(
            "{}",
            returns?.row(
                "SIGTERM to one of two",
                agree(&client, &watchers, size.source).await?
            )
        );

        drop(controllers.remove(0));
        sleep(Duration::from_secs(5)).await;
        controllers.push(Controller::start(&server, "sidewall-3").await?);
        let returns = Returns::after_a_blow(&watchers, QUIET).await?;
        println!(
            "{}",
            returns.row(
                "all replicas away for some seconds, from the return of one",
                agree(&client, &watchers, size.source).await?
            )
        );
    }
    server.kill().await;
    server.start_again().await?;
    let returns = Returns::after_a_blow(&watchers, QUIET).await?;
    println!(
        "{}",
        returns.row(
            "`kill -9` of kube-apiserver, from its return",
            agree(&client, &watchers, size.source).await?
        )
    );
    let end = Memory::of(&server, &controllers).await?;
    println!("at the end: {end:?}");
    Ok(())
}

/// Bytes that these replicas sent to sidecars.
async fn sent(controllers: &[Controller]) -> Result<f64> {
    let mut sum = 0.0;
    for controller in controllers {
        let text = controller.metrics().await?;
        let lines = text.lines().filter(|line| {
            line.starts_with("sidewall_lists_sent_bytes_total") && line.contains("sidecar")
        });
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        sum += values.sum::<f64>();
    }
    Ok(sum)
}

async fn come(server: &ApiServer, size: &Size) -> Result<Vec<Watcher>> {
    let every = (size.pods / size.watchers.max(1)).max(1);
    let places = (0..size.watchers).map(|number| Place::of(number * every));
    let watchers: Vec<Watcher> = futures::stream::iter(places)
        .map(|place| Watcher::start(server, place, size.source))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    all_current(&watchers).await?;
    Ok(watchers)
}

/// How many agree with a fresh compilation. News that is under way gets a moment.
async fn agree(client: &Client, watchers: &[Watcher], source: Source) -> Result<usize> {
    let mut differ = Vec::new();
    for _ in 0..20 {
        differ = differing(client, watchers, source).await?;
        if differ.is_empty() {
            break;
        }
        sleep(Duration::from_millis(250)).await;
    }
    if let Some(first) = differ.first() {
        println!("‼ {} differ, {first} among them", differ.len());
    }
    Ok(watchers.len() - differ.len())
}

/// Takes a caller's pod out of its workload and puts it back, and waits each time until the watcher that
/// admits the workload enforces it: from the beginning of the write.
async fn latency(
    client: &Client,
    watchers: &[Watcher],
    changes: usize,
    pause: Duration,
    what: &str,
) -> Result<()> {
    let mut took = Vec::new();
    for number in 0..changes {
        let watcher = &watchers[number / 2 % watchers.len()];
        let place = &watcher.place;
        let pods: Api<Pod> = Api::namespaced(client.clone(), &place.namespace);
        let name = format!("app-{}-5", place.caller());
        let app = if number % 2 == 0 {
            "elsewhere".to_owned()
        } else {
            format!("app-{}", place.caller())
        };
        let patch = json!({"metadata": {"labels": {"app": app}}});
        let before = watcher.generation();
        let since = Instant::now();
        pods.patch(&name, &PatchParams::default(), &Patch::Merge(patch))
            .await?;
        took.push(changed(watcher, before, since).await? * 1e3);
        sleep(pause).await;
    }
    let at = |share| percentile(&took, share).unwrap_or(0.0);
    println!(
        "| {what} | {:.1} ms | {:.1} ms | {:.1} ms | {changes} |",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    Ok(())
}

/// Resident memory, in bytes.
#[derive(Debug)]
struct Memory {
    server: u64,
    controllers: Vec<u64>,
}

impl Memory {
    async fn of(server: &ApiServer, controllers: &[Controller]) -> Result<Self> {
        sleep(REST).await;
        let resident = |pid: Option<u32>| -> Result<u64> {
            let pid = i32::try_from(pid.context("it does not run")?)?;
            let status = procfs::process::Process::new(pid)?.status()?;
            Ok(status.vmrss.context("no VmRSS")? << 10)
        };
        let each = controllers
            .iter()
            .map(|controller| resident(controller.pid()));
        Ok(Self {
            server: resident(server.pid().await)?,
            controllers: each.collect::<Result<_>>()?,
        })
    }

    fn tell(&self, after: &Self, watchers: usize) {
        let mega = |bytes: u64| bytes >> 20;
        let more =
            after.server.saturating_sub(self.server) / u64::try_from(watchers).unwrap_or(1).max(1);
        println!(
            "kube-apiserver: {} MiB without watchers, {} MiB with {watchers}: {} KiB each",
            mega(self.server),
            mega(after.server),
            more >> 10
        );
        for (before, after) in self.controllers.iter().zip(&after.controllers) {
            println!(
                "a controller: {} MiB without watchers, {} MiB with",
                mega(*before),
                mega(*after)
            );
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "some hundreds")]
const fn number(count: usize) -> f64 {
    count as f64
}
