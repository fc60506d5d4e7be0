//! DNS, which the first egress policy nearly always forgets.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{Hint, HintKind};
use crate::net::{Direction, Protocol};
use crate::policy::allow_list::{ObjectRef, Selector};
use crate::policy::compile::PodNotFound;
use crate::policy::explain::{Explanation, Question, explain};
use crate::policy::lookup::LookupOptions;
use crate::policy::reach::Reacher;
use crate::policy::suggest::{
    PeerDocument, PolicyDocument, PortDocument, RuleDocument, name_of, select_own, single_out,
};

/// The port of DNS (RFC 1035 §4.2), as Services of DNS servers have it.
const DNS: u16 = 53;
/// Endpoints of DNS servers that are looked at.
const MOST_SERVERS: usize = 32;

/// A hint if a pod's egress is isolated and no DNS server can be asked.
pub(super) fn hint(
    reacher: &mut Reacher<'_>,
    egress: &Explanation,
) -> Result<Option<Hint>, PodNotFound> {
    if egress.isolated_by.is_empty() {
        return Ok(None);
    }
    let cluster = reacher.cluster();
    let servers = servers(reacher);
    // Whoever asks about DNS itself gets the answer to that.
    let asked = (egress.question.peer, egress.question.port);
    let about_dns = egress.question.port == DNS
        || servers
            .iter()
            .any(|&(address, port)| (address, port) == asked);
    if about_dns {
        return Ok(None);
    }
    let list = reacher.list(&egress.pod)?;
    let open = |peer: IpAddr, port: u16| {
        let question = Question {
            direction: Direction::Egress,
            peer,
            protocol: Protocol::UDP,
            port,
        };
        explain(list, LookupOptions::default(), question, &|_| None).allowed()
    };
    let names = if servers.is_empty() {
        // The files do not hold the cluster's DNS: any rule for its port will do.
        list.egress.rules.iter().any(|rule| {
            rule.ports.as_ref().is_none_or(|ports| {
                let sets = &list.peer_sets;
                let peer = egress.question.peer;
                ports
                    .iter()
                    .any(|port| port.admits(sets, peer, Protocol::UDP, DNS))
            })
        })
    } else {
        servers.iter().any(|&(address, port)| open(address, port))
    };
    if names {
        return Ok(None);
    }
    let (peer, ports) = match servers
        .iter()
        .find_map(|&(address, _)| cluster.pod_at(address))
    {
        Some(pod) => {
            let ports: BTreeSet<u16> = servers.iter().map(|&(_, port)| port).collect();
            let namespace = by_label("kubernetes.io/metadata.name", &pod.id.namespace);
            let selector = single_out(cluster, pod).selector;
            (PeerDocument::pods(Some(namespace), selector), ports)
        }
        // Where kubeadm, k3s, kind and the managed clusters have it.
        None => (
            PeerDocument::pods(
                Some(by_label("kubernetes.io/metadata.name", "kube-system")),
                by_label("k8s-app", "kube-dns"),
            ),
            BTreeSet::from([DNS]),
        ),
    };
    let ports = ports.into_iter().flat_map(|port| {
        [Protocol::UDP, Protocol::TCP].map(|protocol| PortDocument { protocol, port })
    });
    let rule = RuleDocument {
        peers: vec![peer],
        ports: ports.collect(),
    };
    let ObjectRef { namespace, name } = &egress.pod;
    let Some(pod) = cluster.pod(&egress.pod) else {
        return Ok(None);
    };
    let (selects, _) = select_own(reacher, pod, Direction::Egress)?;
    let policy = PolicyDocument::new(
        namespace,
        &format!("{}-to-dns", name_of(pod)),
        selects,
        Direction::Egress,
        vec![rule],
    );
    Ok(Some(Hint {
        kind: HintKind::Dns,
        policy: egress.isolated_by.first().cloned(),
        text: format!(
            "{namespace}/{name} is isolated for egress, and no rule lets it ask DNS: names of Services will not \
             resolve, addresses work."
        ),
        remedy: "Allow DNS".to_owned(),
        fix: policy.yaml(),
    }))
}

/// What is behind Services with UDP port 53, which is what a DNS server has: addresses and target ports.
fn servers(reacher: &Reacher<'_>) -> BTreeSet<(IpAddr, u16)> {
    let cluster = reacher.cluster();
    let mut servers = BTreeSet::new();
    for service in cluster.services() {
        let dns = service
            .ports
            .iter()
            .find(|port| (port.protocol, port.number) == (Protocol::UDP, DNS));
        let Some(dns) = dns else { continue };
        let slices = cluster.endpoint_slices().filter(|slice| {
            slice.id.namespace == service.id.namespace
                && slice.service.as_ref() == Some(&service.id.name)
        });
        for slice in slices {
            let target = slice
                .ports
                .iter()
                .find(|port| (port.protocol, &port.name) == (dns.protocol, &dns.name));
            let Some(target) = target else { continue };
            for endpoint in &slice.endpoints {
                servers.insert((endpoint.address, target.number));
                if servers.len() == MOST_SERVERS {
                    return servers;
                }
            }
        }
    }
    servers
}

fn by_label(key: &str, value: &str) -> Selector {
    Selector {
        match_labels: [(key.to_owned(), value.to_owned())].into(),
        match_expressions: Vec::new(),
    }
}
