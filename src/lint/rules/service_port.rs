//! SW017: a Service's port where the pod's was needed.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::Value;

use super::Rule;
use crate::lint::Severity;
use crate::lint::context::{Context, Subject, port_field, rules_of};
use crate::lint::finding::Found;
use crate::net::{Direction, Protocol};
use crate::policy::allow_list::ObjectRef;
use crate::policy::cluster::Kind;
use crate::policy::cluster::objects::Pod;
use crate::policy::convert::{PolicyPortCriterion, PolicyRule};

pub(super) static RULE: Rule = Rule {
    id: "SW017",
    name: "service-port",
    severity: Severity::Warning,
    means: "The rule names the port on which a Service listens, but the pods behind it listen on \
            another (`targetPort`). Policies speak of the pod's port, never of the Service's.",
    fix: "give the pods' port",
};

pub(super) fn check(context: &Context<'_>, found: &mut Found) {
    let mappings = mappings(context);
    for (subject, policy) in context.valid() {
        for (direction, index, rule) in rules_of(policy) {
            for (at, port) in rule.ports.iter().flatten().enumerate() {
                let PolicyPortCriterion::Range(from, to) = port.port else {
                    continue;
                };
                if from != to {
                    continue;
                }
                let pods = destinations(context, subject, direction, rule);
                let missed = mappings.iter().find(|mapping| {
                    mapping.protocol == port.protocol
                        && mapping.port == from
                        && pods.iter().any(|pod| mapping.leads_to(pod))
                });
                let listens = |pod: &&Pod| listens(context, &mappings, pod, port.protocol, from);
                let Some(mapping) = missed.filter(|_| !pods.iter().any(listens)) else {
                    continue;
                };
                let message = format!(
                    "{} {from} is the port of Service {}; its pods listen on {}",
                    port.protocol, mapping.service, mapping.target
                );
                let field = format!("{}.port", port_field(direction, index, at));
                let fix = format!("port: {}", mapping.target);
                found.add(&RULE, subject.given, &field, message, fix);
            }
        }
    }
}

/// A Service's port that is another one in the pods.
struct Mapping {
    service: ObjectRef,
    protocol: Protocol,
    port: u16,
    target: u16,
    endpoints: BTreeSet<IpAddr>,
}

impl Mapping {
    fn leads_to(&self, pod: &Pod) -> bool {
        let mut addresses = pod.addresses.iter();
        addresses.any(|address| self.endpoints.contains(address))
    }
}

fn mappings(context: &Context<'_>) -> Vec<Mapping> {
    let mut mappings = Vec::new();
    for service in context.cluster.services() {
        let slices = context.cluster.endpoint_slices().filter(|slice| {
            slice.id.namespace == service.id.namespace
                && slice.service.as_ref() == Some(&service.id.name)
        });
        for slice in slices {
            for port in &service.ports {
                let same = |target: &&crate::policy::cluster::services::ServicePort| {
                    target.name == port.name && target.protocol == port.protocol
                };
                for target in slice.ports.iter().filter(same) {
                    let endpoints = slice.endpoints.iter().map(|endpoint| endpoint.address);
                    mappings.push(Mapping {
                        service: service.id.clone(),
                        protocol: port.protocol,
                        port: port.number,
                        target: target.number,
                        endpoints: endpoints.collect(),
                    });
                }
            }
        }
    }
    mappings
}

fn destinations<'a>(
    context: &Context<'a>,
    subject: &'a Subject<'_>,
    direction: Direction,
    rule: &PolicyRule,
) -> Vec<&'a Pod> {
    match direction {
        Direction::Ingress => subject.isolated().collect(),
        Direction::Egress => {
            let peers = rule.peers.iter().flatten();
            peers.flat_map(|peer| context.peers(peer)).collect()
        }
    }
}

/// Whether a pod is known to listen on a port: as a Service's target, or among its containers' ports.
fn listens(
    context: &Context<'_>,
    mappings: &[Mapping],
    pod: &Pod,
    protocol: Protocol,
    number: u16,
) -> bool {
    let is_target = mappings.iter().any(|mapping| {
        mapping.protocol == protocol && mapping.target == number && mapping.leads_to(pod)
    });
    let named = pod.named_ports.iter();
    let is_named = named
        .into_iter()
        .any(|port| port.protocol == protocol && port.number == number);
    is_target || is_named || declares(context, pod, protocol, number)
}

/// Among the containers' ports as written, which need no name.
fn declares(context: &Context<'_>, pod: &Pod, protocol: Protocol, number: u16) -> bool {
    let mut objects = context.input.objects.iter();
    let Some(given) = objects.find(|given| given.kind == Kind::Pod && given.id == pod.id) else {
        return false;
    };
    let spec = [
        "/spec/template/spec",
        "/spec/jobTemplate/spec/template/spec",
        "/spec",
    ];
    let spec = spec.iter().find_map(|path| given.value.pointer(path));
    let containers = spec.and_then(|spec| spec.get("containers")?.as_array());
    let ports = containers
        .into_iter()
        .flatten()
        .filter_map(|container| container.get("ports")?.as_array())
        .flatten();
    ports.into_iter().any(|port| {
        let its = port
            .get("protocol")
            .and_then(Value::as_str)
            .unwrap_or("TCP");
        let its_number = port.get("containerPort").and_then(Value::as_u64);
        its.parse() == Ok(protocol) && its_number == Some(number.into())
    })
}
