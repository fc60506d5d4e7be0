//! `--lab`: the same cases with real pods, real sidecars and real connections.
//!
//! Cases with the same namespaces and pods share one lab; for each of them the policies are applied
//! through the API server, and all probes are made at once. What the lab cannot make (hostNetwork
//! pods, nodes' own traffic, policies that the API server refuses) is skipped and counted.

use std::net::{IpAddr, SocketAddr};

use anyhow::Context as _;
use futures::StreamExt as _;
use sidewall::net::Protocol;
use sidewall_lab::{Api, Forwarding, Lab, Pod, Sidecars};

use super::Args;
use super::case::{Case, Endpoint, Probe};
use super::evaluate::{Disagreement, Outcome};
use crate::expect::Expect;
use crate::packets::{AT_ONCE, Attempt, DROP, SETTLE, attempt, logged};
use crate::ui;

/// Runs the cases of one file.
pub(super) async fn run(cases: &[Case], args: &Args, outcome: &mut Outcome) -> anyhow::Result<()> {
    let mut groups: Vec<Vec<&Case>> = Vec::new();
    for case in cases {
        match groups
            .iter_mut()
            .find(|group| group.first().is_some_and(|first| first.same_cluster(case)))
        {
            Some(group) => group.push(case),
            None => groups.push(vec![case]),
        }
    }
    let progress = ui::progress(cases.len(), &outcome.file);
    for group in groups {
        let Some(first) = group.first() else { continue };
        let lab = build(first, args)
            .await
            .with_context(|| format!("a lab for {}", first.name))?;
        for case in group {
            let result = play(&lab, case, outcome)
                .await
                .with_context(|| case.name.clone());
            progress.inc(1);
            if let Err(why) = result {
                lab.stop().await?;
                return Err(why);
            }
        }
        lab.stop().await?;
    }
    progress.finish_and_clear();
    Ok(())
}

async fn build(case: &Case, args: &Args) -> anyhow::Result<Lab> {
    let mut objects = Vec::new();
    for namespace in case.namespace_objects() {
        objects.push(serde_json::to_value(namespace)?);
    }
    for mut pod in case.pod_objects() {
        let Some(spec) = &mut pod.spec else { continue };
        if spec.host_network == Some(true) {
            continue;
        }
        spec.node_name = None;
        for container in &mut spec.containers {
            // The API wants one; nothing is pulled.
            container
                .image
                .get_or_insert_with(|| "example.org/conformance".to_owned());
        }
        objects.push(serde_json::to_value(pod)?);
    }
    // Routed, a pod has one neighbour instead of all others: the kernel's neighbour table is one for
    // all namespaces of the machine (arp(7): gc_thresh3, 1024), and many labs follow each other here.
    let builder = Lab::builder()
        .objects(objects)
        .sidecars(Sidecars::All)
        .sidecar_args(DROP)
        .forwarding(Forwarding::Routed);
    let builder = match &args.kubeconfig {
        Some(path) => builder.api(Api::Kubeconfig(path.clone())),
        None => builder,
    };
    let builder = if args.allow_lists {
        builder.allow_lists()
    } else {
        builder
    };
    builder.start().await
}

async fn play(lab: &Lab, case: &Case, outcome: &mut Outcome) -> anyhow::Result<()> {
    outcome.cases += 1;
    if case.api_invalid {
        outcome.skipped += case.probes.len();
        return Ok(());
    }
    let policies: Vec<String> = case.policies.iter().map(ToString::to_string).collect();
    for policy in &policies {
        lab.apply(policy).await?;
    }
    lab.settled(SETTLE).await?;
    let mut outside = Vec::new();
    let mut plans = Vec::new();
    for probe in &case.probes {
        match plan(lab, case, probe, &mut outside).await? {
            Some(plan) => plans.push(plan),
            None => outcome.skipped += 1,
        }
    }
    let answers: Vec<(Plan<'_>, Attempt)> = futures::stream::iter(plans)
        .map(Plan::carry_out)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    for (plan, Attempt { passed, how }) in answers {
        let probe = plan.probe;
        let got = Expect::of(passed);
        outcome.probes += 1;
        if got == probe.expect {
            outcome.agree += 1;
        } else {
            outcome.disagreements.push(Disagreement {
                case: case.name.clone(),
                probe: format!(
                    "{} → {} {} {}",
                    probe.from, probe.to, probe.protocol, probe.port
                ),
                expected: probe.expect.to_string(),
                got: format!(
                    "{got} ({how}; {})",
                    logged(lab, &plan.from, plan.to, probe.protocol)
                ),
            });
        }
    }
    for policy in &policies {
        lab.delete(policy).await?;
    }
    Ok(())
}

/// A probe that can be made.
struct Plan<'a> {
    probe: &'a Probe,
    from: Pod,
    to: SocketAddr,
}

/// Finds both ends; `None` for what the lab cannot make.
async fn plan<'a>(
    lab: &Lab,
    case: &Case,
    probe: &'a Probe,
    outside: &mut Vec<(IpAddr, Pod)>,
) -> anyhow::Result<Option<Plan<'a>>> {
    if probe.loopback || case.is_on_host(&probe.from) || case.is_on_host(&probe.to) {
        return Ok(None);
    }
    let is_sctp_outside = probe.protocol == Protocol::SCTP
        && [&probe.from, &probe.to]
            .iter()
            .any(|end| matches!(end, Endpoint::Address(_)));
    if is_sctp_outside {
        return Ok(None);
    }
    let from = end(lab, case, &probe.from, outside).await?;
    let to = end(lab, case, &probe.to, outside).await?;
    let address = match &probe.to {
        Endpoint::Address(address) => Some(*address),
        Endpoint::Pod(_) => to.addresses().first().copied(),
    };
    let address = address.with_context(|| format!("{} has no address", probe.to))?;
    Ok(Some(Plan {
        probe,
        from,
        to: SocketAddr::new(address, probe.port),
    }))
}

/// A pod, or a host outside the cluster made for this case.
async fn end(
    lab: &Lab,
    case: &Case,
    end: &Endpoint,
    outside: &mut Vec<(IpAddr, Pod)>,
) -> anyhow::Result<Pod> {
    match end {
        Endpoint::Pod(pod) => lab.pod(&pod.to_string()),
        Endpoint::Address(address) => {
            if let Some((_, host)) = outside.iter().find(|(known, _)| known == address) {
                return Ok(host.clone());
            }
            let mut ports: Vec<u16> = case
                .probes
                .iter()
                .filter(|probe| probe.to == *end)
                .map(|probe| probe.port)
                .collect();
            ports.sort_unstable();
            ports.dedup();
            let host = lab.outside(&[*address], &ports).await?;
            outside.push((*address, host.clone()));
            Ok(host)
        }
    }
}

impl Plan<'_> {
    async fn carry_out(self) -> (Self, Attempt) {
        let expected = self.probe.expect == Expect::Allow;
        let attempt = attempt(&self.from, self.to, self.probe.protocol, expected).await;
        (self, attempt)
    }
}
