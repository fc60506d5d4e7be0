//! The one sentence.

use super::check::{Part, PeerCheck, PeerOutcome, PortCheck, RuleCheck, asked};
use super::service::{EndpointCheck, ServiceCheck};
use super::{Explanation, Question};
use crate::net::Direction;
use crate::policy::allow_list::ObjectRef;
use crate::policy::cluster::Identity;
use crate::verdict::{Because, Reason, Verdict};

pub(super) fn of(explanation: &Explanation) -> String {
    match explanation.verdict {
        Verdict::Allow(because) => format!("Allowed: {}.", allowed(explanation, because)),
        Verdict::Block(reason) => format!("Blocked: {}.", blocked(explanation, reason)),
    }
}

fn allowed(explanation: &Explanation, because: Because) -> String {
    let Explanation { pod, question, .. } = explanation;
    let direction = question.direction;
    match because {
        Because::NotIsolated => format!("no policy isolates {pod} for {direction}"),
        Because::Node => format!("{} is the node of {pod}", question.peer),
        Because::Itself => format!("{} is {pod} itself", question.peer),
        Because::Rule(_) => allowed_by_rule(explanation),
        Because::Established => "it belongs to an allowed flow".to_owned(),
        Because::RelatedError => "it is an ICMP error about an allowed flow".to_owned(),
        Because::NeighbourDiscovery => "neighbour discovery is always allowed".to_owned(),
        Because::OwnConnection => "it is the sidecar's own connection".to_owned(),
        Because::SkippedPort => "the sidecar is told to skip this port".to_owned(),
    }
}

fn allowed_by_rule(explanation: &Explanation) -> String {
    let Some(rule) = &explanation.allowed_by else {
        return "a rule allows it".to_owned();
    };
    let check = explanation.rules.first();
    let peers = check.and_then(RuleCheck::matching_peer);
    let ports = check.and_then(RuleCheck::matching_port);
    let what = match (peers, ports) {
        (None, None) => "everything".to_owned(),
        (Some(peer), None) => format!("{} on every port", peer.says),
        (None, Some(port)) => format!("everyone on {}", port_in_words(port)),
        (Some(peer), Some(port)) => format!("{} on {}", peer.says, port_in_words(port)),
    };
    let service = explanation.service.as_ref();
    let service = service.map_or_else(String::new, |service| {
        format!(" (Service {})", service.service)
    });
    format!("{rule} admits {what}{service}")
}

fn blocked(explanation: &Explanation, reason: Reason) -> String {
    let Explanation { pod, question, .. } = explanation;
    match (reason, &explanation.service) {
        (Reason::ServiceNoEndpoints, Some(service)) => no_endpoints(service, *question),
        (Reason::ServiceMixed, Some(service)) => mixed(service),
        (Reason::InvalidPolicy, _) => match explanation.invalid.first() {
            Some(invalid) => format!(
                "policy {} cannot be understood, so it isolates {pod} and allows nothing ({})",
                invalid.policy, invalid.problem
            ),
            None => format!("a policy that cannot be understood isolates {pod}"),
        },
        (Reason::NoRule, Some(service)) => match service.blocked_endpoint() {
            Some(endpoint) => format!(
                "Service {} leads to {}, and {}",
                service.service,
                endpoint_in_words(endpoint),
                endpoint_miss(endpoint, *question),
            ),
            None => format!("no rule allows what Service {} leads to", service.service),
        },
        _ => no_rule(explanation),
    }
}

fn no_rule(explanation: &Explanation) -> String {
    let Explanation {
        pod,
        question,
        identity,
        ..
    } = explanation;
    let direction = question.direction;
    let isolated = match explanation.isolated_by.as_slice() {
        [one] => format!("{one} isolates {pod} for {direction}"),
        many => {
            let count = many.len() + explanation.more_policies;
            format!("{count} policies isolate {pod} for {direction}")
        }
    };
    match explanation.nearest_miss() {
        None => format!("{isolated}, and no rule allows anything"),
        Some(rule) => {
            let only = if explanation.rules.len() + explanation.more_rules == 1 {
                "the only rule"
            } else {
                "the nearest rule"
            };
            format!(
                "{isolated}; {only}, {}, {}",
                rule.rule,
                miss(rule, *question, identity.as_ref())
            )
        }
    }
}

fn no_endpoints(service: &ServiceCheck, question: Question) -> String {
    let asked = asked(question.protocol, question.port);
    if service.known_port {
        format!(
            "Service {} has no ready endpoint for {asked}",
            service.service
        )
    } else {
        format!(
            "{} is the address of Service {}, which has no port {asked}",
            question.peer, service.service
        )
    }
}

fn mixed(service: &ServiceCheck) -> String {
    let endpoint = service
        .blocked_endpoint()
        .map_or_else(String::new, endpoint_in_words);
    format!(
        "Service {} leads to {} endpoints, of which {} is not allowed{}",
        service.service,
        service.allowed + service.blocked,
        endpoint,
        if service.blocked > 1 {
            format!(" (nor {} more)", service.blocked - 1)
        } else {
            String::new()
        },
    )
}

fn endpoint_miss(endpoint: &EndpointCheck, question: Question) -> String {
    let question = Question {
        peer: endpoint.address,
        port: endpoint.port,
        ..question
    };
    match &endpoint.nearest {
        None => "no rule allows anything".to_owned(),
        Some(rule) => format!(
            "the nearest rule, {}, {}",
            rule.rule,
            miss(rule, question, endpoint.identity.as_ref())
        ),
    }
}

fn endpoint_in_words(endpoint: &EndpointCheck) -> String {
    let address = match endpoint.address {
        std::net::IpAddr::V4(address) => format!("{address}:{}", endpoint.port),
        std::net::IpAddr::V6(address) => format!("[{address}]:{}", endpoint.port),
    };
    match &endpoint.identity {
        Some(identity) => format!("{address} ({})", name_of(identity)),
        None => address,
    }
}

/// What a rule admits and what it was asked for instead.
fn miss(rule: &RuleCheck, question: Question, identity: Option<&Identity>) -> String {
    let peer = rule.nearest_peer().filter(|_| !rule.peer_matches());
    let port = rule.nearest_port().filter(|_| !rule.port_matches());
    let mut parts = Vec::new();
    if let Some(peer) = peer {
        parts.push(peer_miss(peer, question, identity));
    }
    if let Some(port) = port {
        parts.push(port_miss(port, question));
    }
    parts.join(", and ")
}

fn peer_miss(peer: &PeerCheck, question: Question, identity: Option<&Identity>) -> String {
    let who = identity.map_or_else(|| question.peer.to_string(), |who| name_of(who).to_string());
    let says = &peer.says;
    match &peer.outcome {
        PeerOutcome::Matches => format!("admits {says}"),
        PeerOutcome::NotAPod => format!("admits {says}, but {who} is not the address of a pod"),
        PeerOutcome::NotInForce => {
            format!("admits {says}, but {who} is not among them (yet, or no more)")
        }
        PeerOutcome::OutsideBlock => format!("admits {says}, but {} is not in it", question.peer),
        PeerOutcome::Excepted(net) => {
            format!(
                "admits {says}, but {} is in the exception {net}",
                question.peer
            )
        }
        PeerOutcome::OtherPod { namespace, pod } => {
            let namespace = match namespace {
                Part::OtherNamespace { has, .. } => Some(format!("{who} is in namespace {has}")),
                Part::Differs(mismatch) => {
                    let name = identity.map_or("", |identity| identity.namespace.as_str());
                    Some(format!("namespace {name} has {}", mismatch.has))
                }
                Part::Holds => None,
            };
            let pod = match pod {
                Part::Differs(mismatch) => Some(format!("{who} has {}", mismatch.has)),
                Part::OtherNamespace { .. } | Part::Holds => None,
            };
            let differs: Vec<String> = namespace.into_iter().chain(pod).collect();
            format!("admits {says}, but {}", differs.join(" and "))
        }
    }
}

fn port_miss(port: &PortCheck, question: Question) -> String {
    let verb = match question.direction {
        Direction::Ingress => "is for",
        Direction::Egress => "goes to",
    };
    let asked = asked(question.protocol, question.port);
    format!(
        "admits {}, but the packet {verb} {asked}",
        port_in_words(port)
    )
}

/// An entry of `ports`, and for a name what it means.
fn port_in_words(port: &PortCheck) -> String {
    match (port.outcome.named, port.outcome.resolved) {
        (true, Some(number)) => format!("{} (which is {number} there)", port.says),
        (true, None) => format!("{} (which means nothing there)", port.says),
        (false, _) => port.says.clone(),
    }
}

fn name_of(identity: &Identity) -> ObjectRef {
    ObjectRef {
        namespace: identity.namespace.clone(),
        name: identity.name.clone(),
    }
}
