//! The truth tables of the upstream suite, between real pods: by their own addresses, and by those of
//! their Services.
//!
//! A case holds when one whole round of all its connections comes out as it should. Rounds are repeated,
//! as the suite itself does, because nobody says when a policy has reached every pod.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Result, bail};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Map, Value, json};

use super::ask::ask;
use super::case::{self, Case, Probe};
use super::world::{NAMESPACES, World};

/// A round takes two seconds. Policies are in force within milliseconds, on a busy machine within one.
const ROUNDS: usize = 8;

/// One connection of a round.
struct Question<'a> {
    probe: &'a Probe,
    by: &'static str,
    target: String,
}

/// Runs the cases; how many connections were made, in words.
pub(super) async fn hold(
    client: &Client,
    world: &World,
    file: &Path,
    all: bool,
    say: impl Fn(&str),
) -> Result<String> {
    let cases = case::read(file, all)?;
    let labels = Labels::of(&cases);
    let (mut connections, mut again) = (0, 0);
    for (number, case) in cases.iter().enumerate() {
        labels.set(client, case).await?;
        policies(client, world, case).await?;
        let questions = questions(world, case)?;
        connections += questions.len();
        let mut rounds = 0;
        loop {
            rounds += 1;
            let wrong = round(world, &questions).await?;
            if wrong.is_empty() {
                break;
            }
            if rounds == ROUNDS {
                bail!("{}: after {rounds} rounds: {}", case.name, wrong.join("; "));
            }
        }
        again += rounds - 1;
        if (number + 1) % 10 == 0 {
            say(&format!("{} of {} truth tables", number + 1, cases.len()));
        }
    }
    for namespace in NAMESPACES {
        let api: Api<NetworkPolicy> = Api::namespaced(client.clone(), namespace);
        api.delete_collection(&DeleteParams::default(), &ListParams::default())
            .await?;
    }
    Ok(format!(
        "{} truth tables of the upstream suite hold: {connections} connections between pods, by pod and by Service \
         ({again} rounds more than one each)",
        cases.len()
    ))
}

/// Which labels cases change, of namespaces and of pods: those that a case does not name are removed.
struct Labels {
    namespaces: BTreeSet<String>,
    pods: BTreeSet<String>,
}

impl Labels {
    fn of(cases: &[Case]) -> Self {
        let keys = |labels: &BTreeMap<String, String>| labels.keys().cloned().collect::<Vec<_>>();
        let namespaces = cases.iter().flat_map(|case| &case.namespaces);
        let pods = cases.iter().flat_map(|case| &case.pods);
        Self {
            namespaces: namespaces.flat_map(|one| keys(&one.labels)).collect(),
            pods: pods.flat_map(|one| keys(&one.named.labels)).collect(),
        }
    }

    async fn set(&self, client: &Client, case: &Case) -> Result<()> {
        let params = PatchParams::default();
        for namespace in &case.namespaces {
            let api: Api<Namespace> = Api::all(client.clone());
            let patch = patch(&self.namespaces, &namespace.labels);
            api.patch(&namespace.name, &params, &patch).await?;
        }
        for pod in &case.pods {
            let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace);
            let patch = patch(&self.pods, &pod.named.labels);
            api.patch(&pod.named.name, &params, &patch).await?;
        }
        Ok(())
    }
}

fn patch(keys: &BTreeSet<String>, labels: &BTreeMap<String, String>) -> Patch<Value> {
    let all: Map<String, Value> = keys
        .iter()
        .map(|key| (key.clone(), json!(labels.get(key))))
        .collect();
    Patch::Merge(json!({"metadata": {"labels": all}}))
}

/// Puts a case's policies in the place of all others. Its addresses are those of the suite's pods, of
/// which ours have others.
async fn policies(client: &Client, world: &World, case: &Case) -> Result<()> {
    for namespace in NAMESPACES {
        let api: Api<NetworkPolicy> = Api::namespaced(client.clone(), namespace);
        api.delete_collection(&DeleteParams::default(), &ListParams::default())
            .await?;
    }
    for policy in &case.policies {
        let mut text = policy.to_string();
        for pod in &case.pods {
            let ours = world
                .of(&format!("{}/{}", pod.namespace, pod.named.name))?
                .pod;
            text = text.replace(&format!("\"{}/32\"", pod.ip), &format!("\"{ours}/32\""));
        }
        let policy: NetworkPolicy = serde_json::from_str(&text)?;
        let namespace = policy.metadata.namespace.clone().unwrap_or_default();
        let api: Api<NetworkPolicy> = Api::namespaced(client.clone(), &namespace);
        api.create(&PostParams::default(), &policy).await?;
    }
    Ok(())
}

fn questions<'a>(world: &World, case: &'a Case) -> Result<Vec<Question<'a>>> {
    let mut questions = Vec::new();
    for probe in &case.probes {
        let to = world.of(&probe.to)?;
        for (by, address) in [("pod", to.pod), ("Service", to.service)] {
            let target = format!("{}/{address}:{}", probe.protocol.to_lowercase(), probe.port);
            questions.push(Question { probe, by, target });
        }
    }
    Ok(questions)
}

/// Makes every connection, and tells those that came out wrong.
async fn round(world: &World, questions: &[Question<'_>]) -> Result<Vec<String>> {
    let mut by_source: BTreeMap<&str, Vec<&Question<'_>>> = BTreeMap::new();
    for question in questions {
        by_source
            .entry(&question.probe.from)
            .or_default()
            .push(question);
    }
    let asked = by_source.into_iter().map(|(from, questions)| async move {
        let targets: Vec<String> = questions
            .iter()
            .map(|question| question.target.clone())
            .collect();
        let answers = ask(world, from, &targets).await?;
        let wrong = questions
            .into_iter()
            .zip(answers)
            .filter_map(|(question, connected)| {
                let expected = question.probe.expect == "allow";
                (connected != expected).then(|| {
                    let Question { probe, by, target } = question;
                    let got = if connected { "connected" } else { "blocked" };
                    format!("{} → {} by {by} ({target}): {got}", probe.from, probe.to)
                })
            });
        anyhow::Ok(wrong.collect::<Vec<String>>())
    });
    Ok(try_join_all(asked).await?.concat())
}
