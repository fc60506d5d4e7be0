//! SW016: egress without DNS.

use std::collections::{BTreeMap, BTreeSet};

use super::Rule;
use crate::lint::Severity;
use crate::lint::context::{Context, Subject};
use crate::lint::finding::Found;
use crate::net::{Direction, Protocol};
use crate::policy::allow_list::{NamespaceCriterion, PeerCriterion};
use crate::policy::cluster::objects::Pod;
use crate::policy::convert::{PolicyPortCriterion, PolicyRule};

pub(super) static RULE: Rule = Rule {
    id: "SW016",
    name: "dns-forgotten",
    severity: Severity::Warning,
    means: "Pods may send to some destination, but not to the cluster's DNS (UDP and TCP 53). Names \
            then do not resolve, which looks like any connection failing.",
    fix: "add an egress rule to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: \
          kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{protocol: UDP, \
          port: 53}, {protocol: TCP, port: 53}]",
};

const DNS_PORT: u16 = 53;

pub(super) fn check(context: &Context<'_>, found: &mut Found) {
    if !context.knows_pods {
        return;
    }
    let servers: Vec<&Pod> = context.cluster.pods().filter(|pod| is_dns(pod)).collect();
    let mut without: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    let mut of_pod: BTreeMap<_, (&Pod, Vec<usize>)> = BTreeMap::new();
    for (at, subject) in context.policies.iter().enumerate() {
        if subject.policy.isolates(Direction::Egress) {
            for pod in subject.isolated() {
                let (_, policies) = of_pod.entry(&pod.id).or_insert((pod, Vec::new()));
                policies.push(at);
            }
        }
    }
    // What a policy says of DNS is the same for all its pods.
    let allows: Vec<bool> = context
        .policies
        .iter()
        .map(|subject| rules(subject).any(|rule| allows_dns(context, &servers, rule)))
        .collect();
    for (pod, policies) in of_pod.into_values() {
        let with_rules = |at: &&usize| {
            let subject = context.policies.get(**at);
            subject.is_some_and(|subject| rules(subject).next().is_some())
        };
        let dns = policies.iter().any(|at| allows.get(*at) == Some(&true));
        // A pod that may send nothing at all needs no names.
        if let (false, false, Some(first)) = (dns, is_dns(pod), policies.iter().find(with_rules)) {
            without.entry(*first).or_default().insert(name(pod));
        }
    }
    for (at, pods) in without {
        let Some(subject) = context.policies.get(at) else {
            continue;
        };
        let first = pods.first().map(String::as_str).unwrap_or_default();
        let (whom, they) = match pods.len() {
            1 => (first.to_owned(), "it"),
            more => (format!("{first} and {} more", more - 1), "they"),
        };
        let message = format!(
            "{whom} may send to what these rules name, but no rule lets {} ask DNS (UDP 53)",
            if they == "it" { "it" } else { "them" }
        );
        let fix = RULE.fix.to_owned();
        found.add(&RULE, subject.given, "spec.egress", message, fix);
    }
}

fn rules<'a>(subject: &'a Subject<'_>) -> impl Iterator<Item = &'a PolicyRule> {
    let policy = match &subject.policy {
        crate::policy::convert::AnyPolicy::Valid(policy) => policy.rules(Direction::Egress),
        crate::policy::convert::AnyPolicy::Invalid(_) => None,
    };
    policy.unwrap_or_default().iter()
}

fn allows_dns(context: &Context<'_>, servers: &[&Pod], rule: &PolicyRule) -> bool {
    let Some(ports) = &rule.ports else {
        return admits_dns(context, servers, rule, false);
    };
    ports.iter().any(|port| {
        port.protocol == Protocol::UDP
            && match &port.port {
                PolicyPortCriterion::All => admits_dns(context, servers, rule, false),
                PolicyPortCriterion::Range(from, to) => {
                    let is_dns = (*from..=*to).contains(&DNS_PORT);
                    let is_target = servers.iter().any(|pod| {
                        let ports = pod.named_ports.iter();
                        let mut udp = ports.filter(|port| port.protocol == Protocol::UDP);
                        udp.any(|port| (*from..=*to).contains(&port.number))
                    });
                    (is_dns || is_target) && admits_dns(context, servers, rule, true)
                }
                PolicyPortCriterion::Named(name) => {
                    let known = servers
                        .iter()
                        .any(|pod| pod.named_port(Protocol::UDP, name).is_some());
                    let meant = servers.is_empty() && name.contains("dns");
                    (known || meant) && admits_dns(context, servers, rule, true)
                }
            }
    })
}

/// Whether a rule admits a DNS server. A rule that names the port and an address block means a
/// server that is no pod (a node's cache, a resolver outside).
fn admits_dns(
    context: &Context<'_>,
    servers: &[&Pod],
    rule: &PolicyRule,
    names_port: bool,
) -> bool {
    let Some(peers) = &rule.peers else {
        return true;
    };
    peers.iter().any(|peer| match peer {
        PeerCriterion::Block { cidr, .. } => {
            let mut addresses = servers.iter().flat_map(|pod| &pod.addresses);
            names_port || addresses.any(|address| cidr.contains(address))
        }
        // Files without a DNS server: any other namespace may be the one where it is.
        PeerCriterion::Pods { namespaces, .. } if servers.is_empty() => match namespaces {
            NamespaceCriterion::Labels(_) => true,
            NamespaceCriterion::Own(own) => own == "kube-system",
        },
        PeerCriterion::Pods { .. } => {
            let peers = context.peers(peer);
            peers.iter().any(|pod| is_dns(pod))
        }
    })
}

/// A DNS server of the cluster, by the labels that kubeadm, the usual charts and OpenShift give it.
fn is_dns(pod: &Pod) -> bool {
    let label = |key: &str| pod.labels.get(key).map(String::as_str);
    matches!(
        label("k8s-app"),
        Some("kube-dns" | "coredns" | "node-local-dns")
    ) || label("app.kubernetes.io/name") == Some("coredns")
        || label("dns.operator.openshift.io/daemonset-dns").is_some()
}

/// A pod as people speak of it.
fn name(pod: &Pod) -> String {
    match &pod.workload {
        Some(workload) => format!("{} {}/{}", workload.kind, pod.id.namespace, workload.name),
        None => pod.id.to_string(),
    }
}
