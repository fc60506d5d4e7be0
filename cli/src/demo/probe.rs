//! One probe of a story, really made: the connection, what came of it, the sidecar's own line about
//! it, and what a capture saw.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context;
use sidewall::net::{Direction, Protocol};
use sidewall::policy::allow_list::ObjectRef;
use sidewall_lab::{Lab, Outcome, Target};

use super::evidence::{Evidence, FlowQuery, Watch};
use crate::expect::Expect;
use crate::packets;
use crate::story::{Action, Destination, Probe};

/// How long a connection may take before it counts as blocked: TCP sends its first SYN again after
/// one second (RFC 6298 §2), so a packet lost by chance is not taken for a block.
const PATIENCE: Duration = Duration::from_millis(1500);

/// DNS, as policies see it.
const DNS_PORT: u16 = 53;

/// What came of a probe.
pub(crate) struct Report {
    /// In words.
    pub(crate) outcome: String,
    /// Whether it went through.
    pub(crate) passed: bool,
    /// What the deciding sidecar and the captures say.
    pub(crate) evidence: Evidence,
    /// Where it did not happen as told.
    pub(crate) mistakes: Vec<String>,
}

/// Makes the probe and compares what happened with what the story tells.
///
/// # Errors
/// When the probe cannot be made at all (no such pod, no such Service).
pub(crate) async fn run(lab: &Lab, probe: &Probe) -> anyhow::Result<Report> {
    let from = lab.pod(&full_name(&probe.from))?;
    let (protocol, port) = match &probe.action {
        Action::Connect { port, protocol, .. } => (*protocol, *port),
        Action::Resolve { .. } => (Protocol::UDP, DNS_PORT),
    };
    let destination_pod = match &probe.action {
        Action::Connect {
            to: Destination::Pod(pod),
            ..
        } => Some(lab.pod(&full_name(pod))?),
        _ => None,
    };
    let watch = Watch::start(lab, destination_pod.as_ref()).await?;
    let (outcome, passed) = match &probe.action {
        Action::Connect { to, .. } => {
            let target = target(lab, to, port).await?;
            let outcome = from.connect(&target, protocol, PATIENCE).await;
            (
                outcome.to_string(),
                matches!(outcome, Outcome::Connected { .. }),
            )
        }
        Action::Resolve { name } => match from.resolve(name).await {
            Ok(addresses) => (listed(&addresses), true),
            Err(why) => (why.to_string(), false),
        },
    };
    let source = from.addresses().to_vec();
    let evidence = watch
        .evidence(FlowQuery {
            source,
            protocol,
            port,
            at: probe.at,
            passed,
        })
        .await;
    let mistakes = mistakes(probe, passed, &evidence);
    Ok(Report {
        outcome,
        passed,
        evidence,
        mistakes,
    })
}

fn mistakes(probe: &Probe, passed: bool, evidence: &Evidence) -> Vec<String> {
    let mut mistakes = Vec::new();
    match (probe.expect, passed) {
        (Expect::Allow, false) => mistakes.push("it should have gone through".to_owned()),
        (Expect::Block, true) => mistakes.push("it should have been blocked".to_owned()),
        _ => {}
    }
    if let Some(at) = probe.at
        && evidence.line.is_none()
    {
        mistakes.push(format!("no sidecar logged it in its {at} direction"));
    }
    if let (Some(policy), Some(line)) = (&probe.by, &evidence.line)
        && !line
            .policies(probe.expect == Expect::Allow)
            .contains(policy)
    {
        mistakes.push(format!(
            "the flow log does not name the policy {}/{}",
            policy.namespace, policy.name
        ));
    }
    if let (Expect::Block, Some(Direction::Ingress), Some(seen)) =
        (probe.expect, probe.at, &evidence.packets)
    {
        if seen.arrived == 0 {
            mistakes.push(
                "no packet arrived at the pod's eth0, so nothing was shown to be stopped"
                    .to_owned(),
            );
        }
        if seen.delivered > 0 {
            mistakes.push(format!(
                "{} packets reached the application",
                seen.delivered
            ));
        }
    }
    mistakes
}

async fn target(lab: &Lab, to: &Destination, port: u16) -> anyhow::Result<Target> {
    Ok(match to {
        Destination::Name(name) => Target::from((name.as_str(), port)),
        Destination::Pod(pod) => {
            let pod = lab.pod(&full_name(pod))?;
            let address = pod
                .addresses()
                .first()
                .copied()
                .context("the pod has no address")?;
            Target::from((address, port))
        }
        Destination::Service(service) => {
            Target::from((packets::service_address(lab, service).await?, port))
        }
    })
}

fn full_name(object: &ObjectRef) -> String {
    format!("{}/{}", object.namespace, object.name)
}

fn listed(addresses: &[IpAddr]) -> String {
    addresses
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
