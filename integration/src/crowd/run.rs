//! The phases: a cluster is written, watchers come, changes are waited for, and one after the other
//! what they depend on is killed. Each phase prints its rows as it ends.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use kube::Client;
use tokio::time::{Instant, sleep};

use super::cluster::{self, Place};
use super::compare::differing;
use super::cost::{Memory, Work, number};
use super::sampler::all_current;
use super::watcher::{Source, Watcher};
use super::{Phase, Size, blows, latency};
use crate::apiserver::{ApiServer, Controller};
use crate::helm::Helm;

/// Tokens and connections under way at once.
const AT_ONCE: usize = 16;

/// All that is there.
pub(super) struct Crowd {
    pub(super) server: ApiServer,
    pub(super) client: Client,
    pub(super) controllers: Vec<Controller>,
    pub(super) watchers: Vec<Watcher>,
    pub(super) size: Size,
}

/// Runs the phases that are asked for.
///
/// # Errors
/// What could not be done, or a watcher that enforces something else than a fresh compilation says.
pub async fn run(size: Size) -> Result<()> {
    let mut crowd = Crowd::gather(size).await?;
    if crowd.wants(Phase::Latency) {
        crowd.latency().await?;
    }
    if crowd.wants(Phase::Blows) {
        blows::strike(&mut crowd).await?;
    }
    Ok(())
}

impl Crowd {
    /// A cluster, and everybody in it.
    async fn gather(size: Size) -> Result<Self> {
        let server = ApiServer::start().await?;
        let server = server.context("needs kube-apiserver and etcd: .ci/build-kubernetes")?;
        let helm = Helm::find(server.kubeconfig())?.context("needs helm: .ci/fetch-kubectl")?;
        let values = match size.source {
            Source::Allowlists => "policySource=allowlists",
            Source::Api => "policySource=api,sidecarRbac.allNamespaces=true",
        };
        helm.install(&["--set", values]).await?;
        let mut controllers = Vec::new();
        for number in 0..2 {
            let name = format!("sidewall-{number}");
            controllers.push(Controller::start(&server, &name).await?);
        }
        let mut crowd = Self {
            client: server.client(),
            server,
            controllers,
            watchers: Vec::new(),
            size,
        };
        let began = Instant::now();
        cluster::write(&crowd.client, crowd.size.pods).await?;
        println!(
            "{} pods written in {:.0?}",
            crowd.size.pods,
            began.elapsed()
        );
        let before = match crowd.wants(Phase::Memory) {
            true => Some(Memory::of(&crowd).await?),
            false => None,
        };
        crowd.come().await?;
        if let Some(before) = before {
            before.tell(&Memory::of(&crowd).await?, crowd.watchers.len());
        }
        if crowd.is_served() {
            let each = crowd.sent().await? / number(crowd.watchers.len()) / 1e3;
            println!("whole lists: {each:.1} KB each");
        }
        crowd.all_agree().await?;
        Ok(crowd)
    }

    async fn come(&mut self) -> Result<()> {
        let began = Instant::now();
        let every = (self.size.pods / self.size.watchers.max(1)).max(1);
        let places = (0..self.size.watchers).map(|number| Place::of(number * every));
        self.watchers = futures::stream::iter(places)
            .map(|place| Watcher::start(&self.server, place, self.size.source))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        all_current(&self.watchers).await?;
        let took = began.elapsed();
        println!("{} watchers current after {took:.1?}", self.watchers.len());
        Ok(())
    }

    async fn latency(&self) -> Result<()> {
        println!("\n| a pod's label changes | p50 | p99 | most | changes |\n|---|---|---|---|---|");
        let start = (Work::of(self).await?, self.sent().await?);
        let few = latency::few(self).await?;
        let middle = (Work::of(self).await?, self.sent().await?);
        let all = latency::all(self).await?;
        let end = (Work::of(self).await?, self.sent().await?);
        self.all_agree().await?;
        println!(
            "\n| for each change | sent | watchers | kube-apiserver | controllers |\n|---|---|---|---|---|"
        );
        for (admit, changes, before, after) in [
            ("one workload admits", few, &start, &middle),
            ("all admit", all, &middle, &end),
        ] {
            let sent = (after.1 - before.1) / number(changes.max(1)) / 1e3;
            let work = before.0.row(&after.0, changes);
            println!("| {admit} | {sent:.0} KB | {work} |");
        }
        Ok(())
    }

    pub(super) fn wants(&self, phase: Phase) -> bool {
        self.size.phases.contains(&phase)
    }

    /// Whether lists come ready-made.
    pub(super) fn is_served(&self) -> bool {
        self.size.source == Source::Allowlists
    }

    /// Bytes that the replicas sent to sidecars.
    async fn sent(&self) -> Result<f64> {
        let mut sum = 0.0;
        for controller in &self.controllers {
            let text = controller.metrics().await?;
            let lines = text.lines().filter(|line| {
                line.starts_with("sidewall_lists_sent_bytes_total") && line.contains("sidecar")
            });
            let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
            sum += values.sum::<f64>();
        }
        Ok(sum)
    }

    async fn all_agree(&self) -> Result<()> {
        let agreed = self.agree().await?;
        ensure!(agreed == self.watchers.len(), "only {agreed} agree");
        Ok(())
    }

    /// How many agree with a fresh compilation. News that is under way gets a moment.
    pub(super) async fn agree(&self) -> Result<usize> {
        let mut differ = Vec::new();
        for _ in 0..20 {
            differ = differing(&self.client, &self.watchers, self.size.source).await?;
            if differ.is_empty() {
                break;
            }
            sleep(Duration::from_millis(250)).await;
        }
        if let Some(first) = differ.first() {
            println!("‼ {} differ, {first} among them", differ.len());
        }
        Ok(self.watchers.len() - differ.len())
    }
}
