//! Which port: the pod's own counts, not the Service's, and a name must be a container's.

use super::{Case, Hint, HintKind};
use crate::net::Protocol;
use crate::policy::allow_list::{ObjectRef, RuleId};
use crate::policy::cluster::Cluster;
use crate::policy::cluster::objects::Pod;
use crate::policy::convert::{PolicyPort, PolicyPortCriterion};

pub(super) fn hints(case: &Case<'_>, hints: &mut Vec<Hint>) {
    if case.allowed {
        return;
    }
    let Some(destination) = case.destination() else {
        return;
    };
    let translations = translations(case.cluster, destination);
    let asked = (case.question.protocol, case.question.port);
    for (id, rule) in case.rules().filter(|(_, rule)| case.admits_peer(rule)) {
        for entry in rule
            .ports
            .iter()
            .flatten()
            .filter(|entry| !case.is_port(entry))
        {
            match &entry.port {
                &PolicyPortCriterion::Range(from, to) if from == to => {
                    let through = translations.iter().find(|way| {
                        (way.protocol, way.port) == (entry.protocol, from)
                            && (way.protocol, way.target) == asked
                    });
                    hints.extend(through.map(|way| service_port(&id, way, destination)));
                }
                PolicyPortCriterion::Named(name) => {
                    hints.extend(named_port(case, &id, entry, name, destination));
                }
                _ => {}
            }
        }
    }
    let mistaken = translations
        .iter()
        .find(|way| (way.protocol, way.port) == asked && way.target != way.port);
    let listens = destination
        .named_ports
        .iter()
        .any(|port| port.number == case.question.port);
    if let Some(way) = mistaken.filter(|_| !listens) {
        hints.push(asked_for_service_port(way, destination));
    }
}

/// A port of a Service, and what it is in the pod.
struct Translation {
    service: ObjectRef,
    protocol: Protocol,
    port: u16,
    target: u16,
}

/// What the Services that lead to a pod make of their ports.
fn translations(cluster: &Cluster, pod: &Pod) -> Vec<Translation> {
    let mut found = Vec::new();
    for slice in cluster.endpoint_slices() {
        let here = |endpoint: &crate::policy::cluster::services::Endpoint| {
            pod.addresses.contains(&endpoint.address)
        };
        if slice.id.namespace != pod.id.namespace || !slice.endpoints.iter().any(here) {
            continue;
        }
        let service = cluster.services().find(|service| {
            service.id.namespace == slice.id.namespace
                && Some(&service.id.name) == slice.service.as_ref()
        });
        let Some(service) = service else { continue };
        for port in &service.ports {
            let target = slice
                .ports
                .iter()
                .find(|target| (target.protocol, &target.name) == (port.protocol, &port.name));
            if let Some(target) = target {
                found.push(Translation {
                    service: service.id.clone(),
                    protocol: port.protocol,
                    port: port.number,
                    target: target.number,
                });
            }
        }
    }
    found
}

fn service_port(id: &RuleId, way: &Translation, destination: &Pod) -> Hint {
    let Translation {
        service,
        protocol,
        port,
        target,
    } = way;
    Hint {
        kind: HintKind::ServicePort,
        policy: Some(id.policy.clone()),
        text: format!(
            "{id} admits {protocol} {port}, which is the port of Service {service}. A policy sees the pod's own \
             port: the Service turns {port} into {target} (targetPort) before the packet reaches {}.",
            destination.id
        ),
        remedy: format!("In `ports` of {id}, write"),
        fix: format!("- protocol: {protocol}\n  port: {target}\n"),
    }
}

fn asked_for_service_port(way: &Translation, destination: &Pod) -> Hint {
    let Translation {
        service,
        protocol,
        port,
        target,
    } = way;
    Hint {
        kind: HintKind::ServicePort,
        policy: None,
        text: format!(
            "{port} is the port of Service {service}; the pod {} itself listens on {target} (targetPort).",
            destination.id
        ),
        remedy: "Ask for the Service, or for the pod's port".to_owned(),
        fix: format!(
            "{}/svc/{} --port {port}/{protocol}\n{} --port {target}/{protocol}",
            service.namespace, service.name, destination.id
        ),
    }
}

fn named_port(
    case: &Case<'_>,
    id: &RuleId,
    entry: &PolicyPort,
    name: &str,
    destination: &Pod,
) -> Option<Hint> {
    let protocol = entry.protocol;
    if destination.named_port(protocol, name).is_some() {
        return None;
    }
    let named: Vec<String> = destination
        .named_ports
        .iter()
        .map(|port| format!("{} ({} {})", port.name, port.protocol, port.number))
        .collect();
    let has = if named.is_empty() {
        "none of its ports has a name".to_owned()
    } else {
        format!("it has {}", named.join(", "))
    };
    let port = case.question.port;
    Some(Hint {
        kind: HintKind::NamedPort,
        policy: Some(id.policy.clone()),
        text: format!(
            "{id} admits the {protocol} port named {name:?}, and no container of {} has one of that name: {has}. A \
             name that means nothing admits nothing.",
            destination.id
        ),
        remedy: format!(
            "In `ports` of {id}, write the number, or give the container's port that name"
        ),
        fix: format!("- protocol: {protocol}\n  port: {port}\n"),
    })
}
