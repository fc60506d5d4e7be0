//! SW010: a port name that no pod has.

use std::collections::BTreeSet;

use super::Rule;
use crate::lint::Severity;
use crate::lint::context::{Context, Subject, port_field, rules_of};
use crate::lint::finding::Found;
use crate::net::{Direction, Protocol};
use crate::policy::allow_list::PeerCriterion;
use crate::policy::cluster::objects::Pod;
use crate::policy::convert::{PolicyPortCriterion, PolicyRule};
use crate::spelling::nearest;

pub(super) static RULE: Rule = Rule {
    id: "SW010",
    name: "named-port-nowhere",
    severity: Severity::Warning,
    means: "A port is given by name, and no destination pod has a container port of that name and \
            protocol: for ingress the selected pods, for egress the peers. The entry allows nothing.",
    fix: "name the port in the container's `ports`, or give its number",
};

pub(super) fn check(context: &Context<'_>, found: &mut Found) {
    for (subject, policy) in context.valid() {
        for (direction, index, rule) in rules_of(policy) {
            for (at, port) in rule.ports.iter().flatten().enumerate() {
                let PolicyPortCriterion::Named(name) = &port.port else {
                    continue;
                };
                let Some(destinations) = destinations(context, subject, direction, rule) else {
                    continue;
                };
                if let Some((message, fix)) = miss(&destinations, direction, port.protocol, name) {
                    let field = format!("{}.port", port_field(direction, index, at));
                    found.add(&RULE, subject.given, &field, message, fix);
                }
            }
        }
    }
}

/// The pods in which the name is looked up; `None`: there are none, which another rule tells.
fn destinations<'a>(
    context: &Context<'a>,
    subject: &'a Subject<'_>,
    direction: Direction,
    rule: &PolicyRule,
) -> Option<Vec<&'a Pod>> {
    let pods: Vec<&Pod> = match (direction, &rule.peers) {
        (Direction::Ingress, _) => subject.isolated().collect(),
        (Direction::Egress, None) => context.cluster.pods().collect(),
        (Direction::Egress, Some(peers)) => {
            let blocks_only = peers
                .iter()
                .all(|peer| matches!(peer, PeerCriterion::Block { .. }));
            if blocks_only {
                return Some(Vec::new());
            }
            peers.iter().flat_map(|peer| context.peers(peer)).collect()
        }
    };
    (!pods.is_empty()).then_some(pods)
}

fn miss(
    pods: &[&Pod],
    direction: Direction,
    protocol: Protocol,
    name: &str,
) -> Option<(String, String)> {
    if pods.is_empty() {
        let message = format!("the port name {name:?} is looked up in pods, and `to` means none");
        return Some((message, "give the number".to_owned()));
    }
    if pods
        .iter()
        .any(|pod| pod.named_port(protocol, name).is_some())
    {
        return None;
    }
    let ports = || pods.iter().flat_map(|pod| &pod.named_ports);
    let whose = match direction {
        Direction::Ingress => "selected pod",
        Direction::Egress => "peer pod",
    };
    let message = format!("no {whose} has a {protocol} port named {name:?}");
    let fix = match ports().find(|port| port.name == name) {
        Some(other) => format!(
            "the port of that name is {0}: protocol: {0}",
            other.protocol
        ),
        None => {
            let names: BTreeSet<&str> = ports()
                .filter(|port| port.protocol == protocol)
                .map(|port| port.name.as_str())
                .collect();
            match (nearest(name, names.iter().copied()), names.len()) {
                (Some(near), _) => format!("did you mean {near:?}?"),
                (None, 0) => RULE.fix.to_owned(),
                (None, _) => {
                    let names: Vec<&str> = names.into_iter().collect();
                    format!(
                        "the names there are: {}; or give the number",
                        names.join(", ")
                    )
                }
            }
        }
    };
    Some((message, fix))
}
