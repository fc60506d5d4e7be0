//! The demo's cluster as the live page may change it: policies, connections, and the story's steps.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use anyhow::{Context as _, anyhow, bail};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use sidewall::flows::Line;
use sidewall::policy::allow_list::ObjectRef;
use sidewall_lab::Lab;
use tokio::sync::Mutex;

use super::probe::{self, Report};
use super::tour;
use crate::expect::Expect;
use crate::flows::Entry;
use crate::page::{Actions, Attempt, Mode, Tried, World, follow};
use crate::story::{Action, Destination, Probe, Story};

/// A lab, and how far its story has been told. It does not keep the lab alive: the one who built it
/// takes it down.
struct Classroom {
    lab: Weak<Lab>,
    story: Arc<Story>,
    played: AtomicUsize,
    /// One change at a time: a step that is being played is not reset under its feet.
    turn: Mutex<()>,
}

/// What the page is served from.
pub(super) fn world(lab: &Arc<Lab>, story: &Arc<Story>) -> World {
    let classroom = Classroom {
        lab: Arc::downgrade(lab),
        story: Arc::clone(story),
        played: AtomicUsize::new(0),
        turn: Mutex::new(()),
    };
    let (snapshot, following) = follow(&lab.client());
    World {
        mode: Mode::Demo,
        snapshot,
        following: Some(following),
        lines: entries(lab),
        actions: Some(Arc::new(classroom)),
        story: Some(Arc::clone(story)),
        flags: format!("--kubeconfig {}", lab.kubeconfig().display()),
    }
}

/// The lab's flow log. A line that is none cannot come from our own sidecars.
fn entries(lab: &Lab) -> BoxStream<'static, Entry> {
    let lines = lab.flows().follow();
    let entries = lines.filter_map(|line| {
        let entry = Line::read(&line.flow).map(|read| Entry {
            text: line.flow.to_string(),
            line: read,
        });
        std::future::ready(match entry {
            Ok(entry) => Some(entry),
            Err(why) => {
                tracing::warn!("{}: {why}", line.pod);
                None
            }
        })
    });
    entries.boxed()
}

impl Classroom {
    fn lab(&self) -> anyhow::Result<Arc<Lab>> {
        self.lab.upgrade().context("the lab is being taken down")
    }

    async fn settled(lab: &Lab) -> anyhow::Result<()> {
        lab.settled(tour::SETTLE)
            .await
            .context("the sidecars did not take up the change")
    }

    async fn change(&self, yaml: &str) -> anyhow::Result<()> {
        let _turn = self.turn.lock().await;
        let lab = self.lab()?;
        lab.apply(yaml).await?;
        Self::settled(&lab).await
    }

    async fn take_away(&self, policy: &ObjectRef) -> anyhow::Result<()> {
        let _turn = self.turn.lock().await;
        let lab = self.lab()?;
        let api: Api<NetworkPolicy> = Api::namespaced(lab.client(), &policy.namespace);
        let deleted = api.delete(&policy.name, &DeleteParams::default()).await;
        deleted.with_context(|| format!("cannot delete {policy}"))?;
        Self::settled(&lab).await
    }

    async fn start_over(&self) -> anyhow::Result<()> {
        let _turn = self.turn.lock().await;
        let lab = self.lab()?;
        let all: Api<NetworkPolicy> = Api::all(lab.client());
        for policy in all.list(&ListParams::default()).await? {
            let metadata = policy.metadata;
            let namespace = metadata.namespace.unwrap_or_default();
            let name = metadata.name.unwrap_or_default();
            let api: Api<NetworkPolicy> = Api::namespaced(lab.client(), &namespace);
            api.delete(&name, &DeleteParams::default()).await?;
        }
        // Labels that a step changed, and policies that the story begins with.
        for manifest in &self.story.cluster {
            lab.apply(&manifest.text)
                .await
                .with_context(|| manifest.name.clone())?;
        }
        self.played.store(0, Ordering::Relaxed);
        Self::settled(&lab).await
    }

    async fn try_it(&self, from: &str, attempt: Attempt) -> anyhow::Result<Tried> {
        let lab = self.lab()?;
        let action = match attempt {
            Attempt::Connect { to, protocol, port } => Action::Connect {
                to: Destination::Pod(object(&to)?),
                port,
                protocol,
            },
            Attempt::Resolve { name } => Action::Resolve { name },
        };
        let probe = Probe {
            from: object(from)?,
            action,
            // Nothing is told beforehand, so nothing can be other than told.
            expect: Expect::Allow,
            at: None,
            by: None,
        };
        let report = probe::run(&lab, &probe).await?;
        Ok(Tried {
            mistakes: Vec::new(),
            ..tried(&probe, report)
        })
    }

    async fn play(&self, number: usize) -> anyhow::Result<Vec<Tried>> {
        let _turn = self.turn.lock().await;
        let lab = self.lab()?;
        let steps = &self.story.steps;
        let Some(step) = steps.get(number) else {
            bail!("the story has {} steps", steps.len());
        };
        tour::change(&lab, step).await?;
        let mut all = Vec::new();
        for probe in &step.probes {
            let report = probe::run(&lab, probe).await;
            all.push(tried(probe, report.with_context(|| probe.to_string())?));
        }
        self.played.fetch_max(number + 1, Ordering::Relaxed);
        Ok(all)
    }
}

impl Actions for Classroom {
    fn apply(&self, yaml: String) -> BoxFuture<'_, anyhow::Result<()>> {
        async move { self.change(&yaml).await }.boxed()
    }

    fn remove(&self, policy: ObjectRef) -> BoxFuture<'_, anyhow::Result<()>> {
        async move { self.take_away(&policy).await }.boxed()
    }

    fn reset(&self) -> BoxFuture<'_, anyhow::Result<()>> {
        self.start_over().boxed()
    }

    fn attempt(&self, from: String, attempt: Attempt) -> BoxFuture<'_, anyhow::Result<Tried>> {
        async move { self.try_it(&from, attempt).await }.boxed()
    }

    fn step(&self, step: usize) -> BoxFuture<'_, anyhow::Result<Vec<Tried>>> {
        self.play(step).boxed()
    }

    fn played(&self) -> usize {
        self.played.load(Ordering::Relaxed)
    }
}

fn tried(probe: &Probe, report: Report) -> Tried {
    let line = report.evidence.line.as_ref();
    Tried {
        title: probe.to_string(),
        passed: report.passed,
        outcome: report.outcome,
        summary: line.and_then(|line| line.why().pop()),
        mistakes: report.mistakes,
    }
}

fn object(text: &str) -> anyhow::Result<ObjectRef> {
    let (namespace, name) = text
        .split_once('/')
        .ok_or_else(|| anyhow!("{text:?} is not of the form namespace/name"))?;
    Ok(ObjectRef {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    })
}
