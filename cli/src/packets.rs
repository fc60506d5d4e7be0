//! Real connections between the pods of a lab whose sidecars drop what they block. What several
//! commands share: `conformance --lab`, `test --lab`, the demo.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use sidewall::flows::Line;
use sidewall::net::Protocol;
use sidewall::policy::allow_list::ObjectRef;
use sidewall_lab::{Lab, Outcome, Pod, Target};

/// How long the sidecars may take to enforce what was applied. It takes milliseconds.
pub(crate) const SETTLE: Duration = Duration::from_secs(20);
/// An answer within the lab takes a millisecond; what has not come by then is blocked, or the machine
/// is busy.
const PATIENCE: Duration = Duration::from_millis(400);
/// So an unexpected silence is asked again, for as long as TCP takes to send its first SYN twice more
/// (RFC 6298 §2 and §5.5: after 1 s, and 2 s later).
const SECOND_PATIENCE: Duration = Duration::from_millis(3500);
/// Connections under way at once.
pub(crate) const AT_ONCE: usize = 48;

/// Arguments of sidecars whose blocks cannot be taken for an answer: with `reject` a refusal could be
/// the sidecar's or the application's; with `drop` it is the other end's own, and so proof that the
/// packet got there.
pub(crate) const DROP: [&str; 2] = ["--on-block", "drop"];

/// What came of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// The other end answered, if only by refusing.
    pub(crate) passed: bool,
    /// In words.
    pub(crate) how: String,
}

/// Tries a connection; longer, if it is expected to pass and does not.
pub(crate) async fn attempt(
    from: &Pod,
    to: SocketAddr,
    protocol: Protocol,
    expected: bool,
) -> Attempt {
    let first = once(from, to, protocol, PATIENCE).await;
    if expected && !first.passed {
        return once(from, to, protocol, SECOND_PATIENCE).await;
    }
    first
}

/// An answer of any kind comes from the other end, so the packet got there.
async fn once(from: &Pod, to: SocketAddr, protocol: Protocol, patience: Duration) -> Attempt {
    let answer = from.connect(&Target::from(to), protocol, patience).await;
    let passed = match answer {
        Outcome::Connected { .. } | Outcome::Refused => true,
        Outcome::TimedOut | Outcome::Unreachable(_) | Outcome::NameNotResolved(_) => false,
    };
    Attempt {
        passed,
        how: answer.to_string(),
    }
}

/// What the sidecars said last of a connection.
pub(crate) fn logged(lab: &Lab, from: &Pod, to: SocketAddr, protocol: Protocol) -> String {
    let history = lab.flows().history();
    let mut lines = history.iter().rev().filter_map(|logged| {
        let line = Line::read(&logged.flow).ok()?;
        Some((&logged.pod, line))
    });
    let found = lines.find(|(_, line)| {
        line.flow.as_deref().is_some_and(|flow| {
            flow.ip.destination == Some(to.ip())
                && flow.is_from(from.addresses(), protocol, to.port())
        })
    });
    let said = found.and_then(|(pod, line)| Some((pod, line.flow?.verdict, line.sidewall?)));
    said.map_or_else(
        || "no sidecar logged it".to_owned(),
        |(pod, verdict, own)| format!("{pod} said {verdict} {}", own.verdict),
    )
}

/// A Service's cluster IP.
pub(crate) async fn service_address(lab: &Lab, service: &ObjectRef) -> anyhow::Result<IpAddr> {
    let api: Api<Service> = Api::namespaced(lab.client(), &service.namespace);
    let object = api.get(&service.name).await;
    let object = object.with_context(|| format!("service {service}"))?;
    let address = object.spec.and_then(|spec| spec.cluster_ip);
    match address.unwrap_or_default().parse() {
        Ok(address) => Ok(address),
        Err(_) => bail!("service {service} has no cluster IP"),
    }
}
