//! How long a change takes, from the beginning of its write to the lists in force.
//!
//! Two kinds: of a pod that one workload admits, which concerns ten pods, and of a pod that every pod of
//! the cluster admits, which concerns all watchers at once. Each change takes a pod out or puts it back.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::cluster::Place;
use super::run::Crowd;
use super::sampler::{all_changed, changed};
use super::watcher::Watcher;
use crate::stats::percentile;

/// Between two changes, where they have one.
const PAUSE: Duration = Duration::from_millis(100);
/// So many changes of pods that a few admit come to one of a pod that everybody admits.
const FEW_TO_ALL: usize = 3;

/// Changes pods that one workload admits, each of which one watcher is waited for; how many there were.
pub(super) async fn few(crowd: &Crowd) -> Result<usize> {
    let changes = crowd.size.changes;
    let watchers = crowd.watchers.iter();
    let watchers = watchers.filter(|watcher| watcher.place.caller() != Place::MONITORS);
    let watchers: Vec<&Watcher> = watchers.collect();
    for (pause, how) in [
        (PAUSE, "one at a time"),
        (Duration::ZERO, "one after the other"),
    ] {
        let mut took = Vec::new();
        for number in 0..changes {
            let watcher = watchers[number / 2 % watchers.len()];
            let caller = watcher.place.caller();
            let app = match number % 2 {
                0 => "elsewhere".to_owned(),
                _ => format!("app-{caller}"),
            };
            let pod = format!("app-{caller}-5");
            let (before, since) = (watcher.generation(), Instant::now());
            label(crowd, &watcher.place.namespace, &pod, &json!({"app": app})).await?;
            took.push(changed(watcher, before, since).await?);
            sleep(pause).await;
        }
        row(changes, &format!("that one workload admits, {how}"), &took);
    }
    Ok(2 * changes)
}

/// Changes pods that everybody admits, each of which all watchers are waited for; how many there were.
pub(super) async fn all(crowd: &Crowd) -> Result<usize> {
    let changes = crowd.size.changes / FEW_TO_ALL;
    let (mut each, mut last) = (Vec::new(), Vec::new());
    for number in 0..changes {
        let place = Place::monitor(number / 2, crowd.size.pods);
        let role = ["service", "monitor"][number % 2];
        let watchers = &crowd.watchers;
        let before: Vec<u64> = watchers.iter().map(Watcher::generation).collect();
        let since = Instant::now();
        label(crowd, &place.namespace, &place.name, &json!({"role": role})).await?;
        let took = all_changed(watchers, &before, since).await?;
        last.extend(took.iter().copied().max_by(f64::total_cmp));
        each.extend(took);
        sleep(PAUSE).await;
    }
    row(changes, "that all admit, until one of them has it", &each);
    row(changes, "the same, until the last of them has it", &last);
    Ok(changes)
}

async fn label(crowd: &Crowd, namespace: &str, pod: &str, labels: &Value) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(crowd.client.clone(), namespace);
    let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
    pods.patch(pod, &PatchParams::default(), &patch).await?;
    Ok(())
}

fn row(changes: usize, what: &str, took: &[f64]) {
    let at = |share| percentile(took, share).unwrap_or(0.0) * 1e3;
    println!(
        "| {what} | {:.1} ms | {:.1} ms | {:.1} ms | {changes} |",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}
