//! The answers of a running cluster. Beside each pod that connects, an ephemeral container with
//! `sidewall-sidecar probe` tries its connections; what came of them stands in its termination
//! message, so nothing but `pods/ephemeralcontainers` and `pods` is asked of the API server.
//!
//! An ephemeral container cannot be taken away again (KEP-277): it stays listed in the pod, ended.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::{ContainerState, Pod};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use sidewall::net::Protocol;
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::reach;

use super::Outcome;
use super::file::Destination;
use super::plan::{Pair, Plan};
use crate::ends::{End, EndKind};
use crate::expect::Expect;
use crate::source::Source;
use crate::ui;

/// The image of the chart.
pub(crate) const IMAGE: &str = concat!("ghcr.io/sidewall-dev/sidewall:", env!("CARGO_PKG_VERSION"));

/// How long an image may take to be pulled and its container to start.
const START: Duration = Duration::from_secs(120);
/// How often a container is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Connections of one container: a letter each in its termination message, of which a kubelet keeps
/// 4096 bytes (kubernetes `pkg/kubelet/container.MaxContainerTerminationMessageLength`), and about 30
/// bytes each on its command line.
const MOST: usize = 1000;
/// The user of the image.
const USER: i64 = 65_532;

/// Makes one connection of each test: from the first of its pods to the first of its destinations,
/// as netassert does. What came of it takes the place of the engine's answer, whose reason stays.
pub(crate) async fn run(
    client: &kube::Client,
    plans: &[Plan<'_>],
    source: &Source,
    image: &str,
    outcomes: &mut [Outcome],
) -> Result<()> {
    let mut jobs: BTreeMap<(ObjectRef, Duration, u32), Vec<(usize, String)>> = BTreeMap::new();
    for (number, plan) in plans.iter().enumerate() {
        let test = plan.test;
        match connection(plan, source) {
            Ok((pod, target)) => {
                let key = (pod, test.timeout, test.attempts);
                jobs.entry(key).or_default().push((number, target));
            }
            Err(why) => settle(outcomes, number, Err(why), String::new()),
        }
    }
    let progress = ui::progress(plans.len(), "connections");
    for ((pod, timeout, attempts), targets) in jobs {
        for targets in targets.chunks(MOST) {
            let job = Job {
                pod: &pod,
                timeout,
                attempts,
                targets,
            };
            let letters = job.run(client, image).await;
            let letters = letters.with_context(|| format!("connecting from {pod}"))?;
            for ((number, target), letter) in targets.iter().zip(letters.chars()) {
                let Some(plan) = plans.get(*number) else {
                    continue;
                };
                let (got, how) = judged(plan, letter);
                settle(outcomes, *number, got, format!("{pod} to {target} {how}"));
                progress.inc(1);
            }
        }
    }
    progress.finish_and_clear();
    Ok(())
}

fn settle(outcomes: &mut [Outcome], number: usize, got: Result<Expect, String>, seen: String) {
    if let Some(outcome) = outcomes.get_mut(number) {
        outcome.got = got;
        outcome.seen = seen;
    }
}

/// Who connects, and the probe's word for whom to.
fn connection(plan: &Plan<'_>, source: &Source) -> Result<(ObjectRef, String), String> {
    let protocol = match plan.test.port.protocol {
        Protocol::TCP => "tcp",
        Protocol::UDP => "udp",
        other => {
            return Err(format!(
                "It cannot be tried: the probe does not speak {other}."
            ));
        }
    };
    let pair = plan.pairs.first().ok_or("It means no connection.")?;
    let Some(pod) = pair.from.pod() else {
        return Err(format!(
            "It cannot be tried: {} is no pod to connect from.",
            pair.from
        ));
    };
    let address = match (&plan.test.to, &pair.to.kind) {
        (Destination::Host(name), _) => format!("{name}:{}", pair.port),
        (_, EndKind::World) => {
            return Err("It cannot be tried: \"world\" is no address; give one.".to_owned());
        }
        _ => {
            let address = address(pair, source)
                .ok_or_else(|| format!("{} has no address for {}.", pair.to, pair.from))?;
            SocketAddr::new(address, pair.port).to_string()
        }
    };
    Ok((pod.clone(), format!("{protocol}/{address}")))
}

/// The first address of the destination in a family that the source has.
fn address(pair: &Pair, source: &Source) -> Option<IpAddr> {
    let of = |end: &End| -> Vec<IpAddr> {
        let addresses = end.asked.iter().flat_map(|asked| match asked {
            reach::End::Address(address) => vec![*address],
            reach::End::Pod(id) => {
                let pod = source.cluster.pod(id);
                pod.map(|pod| pod.addresses.clone()).unwrap_or_default()
            }
        });
        addresses.collect()
    };
    let from = of(&pair.from);
    let same = |to: &IpAddr| from.iter().any(|from| from.is_ipv4() == to.is_ipv4());
    of(&pair.to).into_iter().find(same)
}

/// What a letter says of a connection. A refused TCP connection is none, as netassert has it: the RST
/// may be the application's or a firewall's. Of UDP only an answer tells: silence looks the same from
/// a block and from a program that has nothing to say.
fn judged(plan: &Plan<'_>, letter: char) -> (Result<Expect, String>, &'static str) {
    let udp = plan.test.port.protocol == Protocol::UDP;
    match letter {
        'c' => (Ok(Expect::Allow), "was answered"),
        // A port unreachable comes from the destination's own kernel.
        'r' if udp => (Ok(Expect::Allow), "reached a closed port"),
        'r' => (Ok(Expect::Block), "was refused"),
        't' if udp && plan.test.expect == Expect::Allow => (
            Err(
                "It cannot be told: nothing answers, and UDP that is blocked looks the same."
                    .to_owned(),
            ),
            "was not answered",
        ),
        't' => (Ok(Expect::Block), "was not answered"),
        'u' => (Ok(Expect::Block), "was unreachable"),
        'n' => (
            Err("It cannot be told: the name does not resolve in the pod.".to_owned()),
            "had no name",
        ),
        _ => (
            Err("It cannot be told: the probe said nothing.".to_owned()),
            "is unknown",
        ),
    }
}

/// The connections of one container.
struct Job<'a> {
    pod: &'a ObjectRef,
    timeout: Duration,
    attempts: u32,
    targets: &'a [(usize, String)],
}

impl Job<'_> {
    async fn run(&self, client: &kube::Client, image: &str) -> Result<String> {
        let pods: Api<Pod> = Api::namespaced(client.clone(), &self.pod.namespace);
        let name = format!("sidewall-probe-{:06x}", rand::random_range(0..0x0100_0000));
        let patch = json!({"spec": {"ephemeralContainers": [self.container(&name, image)]}});
        let params = PatchParams::default();
        pods.patch_ephemeral_containers(&self.pod.name, &params, &Patch::Strategic(patch))
            .await
            .context("an ephemeral container (patch on pods/ephemeralcontainers)")?;
        let rounds = self
            .targets
            .len()
            .div_ceil(32)
            .try_into()
            .unwrap_or(u32::MAX);
        let patience = START
            + self
                .timeout
                .saturating_mul(self.attempts)
                .saturating_mul(rounds);
        let ended = tokio::time::timeout(patience, self.ended(&pods, &name)).await;
        let message = ended.with_context(|| format!("{name} has not ended in {patience:?}"))??;
        let letters = message.trim();
        if letters.chars().count() != self.targets.len() {
            bail!(
                "{name} told {letters:?}, not one letter for each of {}",
                self.targets.len()
            );
        }
        Ok(letters.to_owned())
    }

    fn container(&self, name: &str, image: &str) -> Value {
        let mut command = vec![
            "/sidewall-sidecar".to_owned(),
            "probe".to_owned(),
            "--answer-file=/dev/termination-log".to_owned(),
            format!("--timeout-ms={}", self.timeout.as_millis()),
            format!("--attempts={}", self.attempts),
        ];
        command.extend(self.targets.iter().map(|(_, target)| target.clone()));
        json!({
            "name": name,
            "image": image,
            "command": command,
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": true,
                "runAsNonRoot": true,
                "runAsUser": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        })
    }

    /// The termination message; an error as soon as the container cannot start.
    async fn ended(&self, pods: &Api<Pod>, name: &str) -> Result<String> {
        loop {
            let pod = pods.get(&self.pod.name).await?;
            let status = pod
                .status
                .and_then(|status| status.ephemeral_container_statuses);
            let ours = status
                .into_iter()
                .flatten()
                .find(|status| status.name == name);
            match ours.and_then(|status| status.state) {
                Some(ContainerState {
                    terminated: Some(ended),
                    ..
                }) => {
                    let message = ended.message.unwrap_or_default();
                    if ended.exit_code != 0 {
                        let reason = ended.reason.unwrap_or_default();
                        bail!(
                            "{name} ended with {} ({reason}): {message}",
                            ended.exit_code
                        );
                    }
                    return Ok(message);
                }
                Some(ContainerState {
                    waiting: Some(waiting),
                    ..
                }) => {
                    let reason = waiting.reason.unwrap_or_default();
                    // ContainerCreating and PodInitializing pass; these do not.
                    if reason.contains("Err")
                        || reason.contains("BackOff")
                        || reason.contains("Invalid")
                    {
                        let why = waiting.message.unwrap_or_default();
                        bail!("{name} does not start: {reason} {why}");
                    }
                }
                _ => {}
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

#[cfg(test)]
mod tests;
