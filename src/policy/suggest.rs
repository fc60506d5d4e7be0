//! The smallest policies that would allow a connection: these pods, this port, and nobody else.
//!
//! One policy for each end that blocks, in addition to those that are there (there is no other way to
//! give a permission: policies add up). Labels that are the same for all pods of a workload are chosen,
//! never a hash or a pod's own name, so that the policy still holds after the next roll-out. What
//! labels cannot say is said in a comment. Where to read on: `labels` (which labels single a pod
//! out), `own` (whom the policy is for), `document` (the policy as YAML). Next: people apply it, or `sidewall recommend` adds them up.

mod document;
mod labels;
mod own;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

pub use self::document::{PeerDocument, PolicyDocument, PortDocument, RuleDocument};
pub use self::labels::{SingledOut, is_generated, single_out};
pub use self::own::select_own;
use self::own::{others, unlabelled};
use super::allow_list::{ObjectRef, Selector};
use super::cluster::Cluster;
use super::cluster::objects::Pod;
use super::compile::PodNotFound;
use super::explain::{Explanation, Question, explain};
use super::lookup::LookupOptions;
use super::reach::{Reach, Reacher};
use crate::net::{Direction, Protocol};
use crate::verdict::{Reason, Verdict};

/// A policy that would give what is missing at one end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Suggestion {
    /// Which end.
    pub direction: Direction,
    /// The pod that was asked about. The policy selects all pods of its labels.
    pub pod: ObjectRef,
    /// What the policy does not say by itself: whom else its labels mean.
    pub remarks: Vec<String>,
    /// The policy.
    pub policy: PolicyDocument,
}

impl Suggestion {
    /// YAML to be applied, the remarks as comments above.
    #[must_use]
    pub fn yaml(&self) -> String {
        let mut text = String::new();
        for remark in &self.remarks {
            text.push_str("# ");
            text.push_str(remark);
            text.push('\n');
        }
        text + &self.policy.yaml()
    }
}

/// What a peer outside the cluster stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    /// Just the address that was asked about.
    Address,
    /// Everything outside the cluster, whatever address stood for it.
    World,
}

/// Networks that are not the world: private ones (RFC 1918), where clusters are, and for IPv6 unique
/// local addresses (RFC 4193).
const NOT_THE_WORLD: [&str; 4] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];

/// The policies that would turn a blocked connection into an allowed one; none if it is allowed, and
/// none for an end that no policy can open (a Service without endpoints).
pub fn suggest(
    reacher: &mut Reacher<'_>,
    reach: &Reach,
    outside: Outside,
) -> Result<Vec<Suggestion>, PodNotFound> {
    let cluster = reacher.cluster();
    let mut suggestions: Vec<Suggestion> = Vec::new();
    if reach.loopback {
        return Ok(suggestions);
    }
    let blocked = reach.egress.iter().chain(&reach.ingress);
    for explanation in blocked.filter(|explanation| !explanation.allowed()) {
        let Some(pod) = cluster.pod(&explanation.pod) else {
            continue;
        };
        if explanation.verdict == Verdict::Block(Reason::ServiceNoEndpoints) {
            continue;
        }
        let targets = targets(reacher, explanation)?;
        let mut draft = Draft::new(cluster, pod, explanation.question, outside);
        for (address, port) in targets {
            draft.admit(address, port);
        }
        let mut suggestion = draft.finish(reacher)?;
        // Endpoints of one workload ask for one and the same policy; of two of the same name, each
        // needs one of its own.
        let same = |other: &Suggestion| other.policy == suggestion.policy;
        if !suggestions.iter().any(same) {
            let id = suggestion.policy.id();
            let taken = suggestions.iter().filter(|other| other.policy.id() == id);
            let number = taken.count() + 1;
            if number > 1 {
                suggestion.policy.rename(format!("{}-{number}", id.name));
            }
            suggestions.push(suggestion);
        }
    }
    Ok(suggestions)
}

/// The addresses and ports that must be admitted: for a Service its endpoints that are not yet.
fn targets(
    reacher: &mut Reacher<'_>,
    explanation: &Explanation,
) -> Result<BTreeSet<(IpAddr, u16)>, PodNotFound> {
    let question = explanation.question;
    if explanation.service.is_none() {
        return Ok(BTreeSet::from([(question.peer, question.port)]));
    }
    let list = reacher.list(&explanation.pod)?;
    let asked = (question.protocol, question.port);
    let entries = list.services.iter().filter(|entry| {
        entry.addresses.contains(&question.peer) && (entry.protocol, entry.port) == asked
    });
    let endpoints: Vec<(IpAddr, u16)> = entries
        .flat_map(|entry| entry.endpoints.iter().copied())
        .collect();
    // An endpoint is asked about as the address it is, though it may be a Service's as well.
    let mut list = list.clone();
    list.services.clear();
    let blocked = endpoints.into_iter().filter(|&(peer, port)| {
        let question = Question {
            peer,
            port,
            ..question
        };
        !explain(&list, LookupOptions::default(), question, &|_| None).allowed()
    });
    Ok(blocked.collect())
}

/// A policy in the making.
struct Draft<'a> {
    cluster: &'a Cluster,
    pod: &'a Pod,
    direction: Direction,
    protocol: Protocol,
    outside: Outside,
    /// By port, whom it is for.
    peers: BTreeMap<u16, Vec<PeerDocument>>,
    /// Of the first peer, for the policy's name.
    peer_name: Option<String>,
    remarks: Vec<String>,
}

impl<'a> Draft<'a> {
    fn new(cluster: &'a Cluster, pod: &'a Pod, question: Question, outside: Outside) -> Self {
        Self {
            cluster,
            pod,
            direction: question.direction,
            protocol: question.protocol,
            outside,
            peers: BTreeMap::new(),
            peer_name: None,
            remarks: Vec::new(),
        }
    }

    fn admit(&mut self, address: IpAddr, port: u16) {
        let (name, peers) = match self.cluster.pod_at(address) {
            Some(peer) => (name_of(peer), vec![self.pods_like(peer)]),
            None => match self.outside {
                Outside::World => ("world".to_owned(), world(&self.pod.addresses)),
                Outside::Address => {
                    let block = IpNet::from(address);
                    let name = address.to_string().replace([':', '.'], "-");
                    (name, vec![PeerDocument::block(block, Vec::new())])
                }
            },
        };
        self.peer_name.get_or_insert(name);
        let here = self.peers.entry(port).or_default();
        for peer in peers {
            if !here.contains(&peer) {
                here.push(peer);
            }
        }
    }

    fn pods_like(&mut self, peer: &Pod) -> PeerDocument {
        let singled = single_out(self.cluster, peer);
        let selector = if singled.selector.is_empty() {
            self.remark(unlabelled(peer));
            singled.without(&singled.also, peer)
        } else {
            if let Some(remark) = others(peer, &singled) {
                self.remark(remark);
            }
            singled.selector
        };
        let elsewhere = peer.id.namespace != self.pod.id.namespace;
        let namespace = elsewhere.then(|| Selector {
            match_labels: [(
                "kubernetes.io/metadata.name".to_owned(),
                peer.id.namespace.clone(),
            )]
            .into(),
            match_expressions: Vec::new(),
        });
        PeerDocument::pods(namespace, selector)
    }

    fn remark(&mut self, remark: String) {
        if !self.remarks.contains(&remark) {
            self.remarks.push(remark);
        }
    }

    fn finish(mut self, reacher: &mut Reacher<'_>) -> Result<Suggestion, PodNotFound> {
        let (selects, remarks) = select_own(reacher, self.pod, self.direction)?;
        for remark in remarks {
            self.remark(remark);
        }
        let rules = std::mem::take(&mut self.peers);
        let rules = rules.into_iter().map(|(port, peers)| RuleDocument {
            peers,
            ports: if self.protocol.has_ports() {
                vec![PortDocument {
                    protocol: self.protocol,
                    port,
                }]
            } else {
                Vec::new()
            },
        });
        let rules: Vec<RuleDocument> = rules.collect();
        let name = self.name(&rules);
        let namespace = self.pod.id.namespace.clone();
        Ok(Suggestion {
            direction: self.direction,
            pod: self.pod.id.clone(),
            policy: PolicyDocument::new(&namespace, &name, selects, self.direction, rules),
            remarks: self.remarks,
        })
    }

    /// Such as `db-from-web-5432`. The port is in it, so that two answers do not take each other's
    /// place.
    fn name(&self, rules: &[RuleDocument]) -> String {
        let word = match self.direction {
            Direction::Ingress => "from",
            Direction::Egress => "to",
        };
        let peer = self.peer_name.as_deref().unwrap_or("nobody");
        let mut name = format!("{}-{word}-{peer}", name_of(self.pod));
        if let Some(port) = rules.first().and_then(|rule| rule.ports.first()) {
            name.push_str(&format!("-{}", port.port));
            if port.protocol != Protocol::TCP {
                name.push_str(&format!("-{}", port.protocol.to_string().to_lowercase()));
            }
        }
        let taken = |name: &str| {
            let mut there = self.cluster.policies_in(&self.pod.id.namespace);
            there.any(|policy| policy.id().name == name)
        };
        let name = document::as_name(&name);
        (2..)
            .map(|n| format!("{name}-{n}"))
            .find(|other| !taken(other))
            .filter(|_| taken(&name))
            .unwrap_or(name)
    }
}

/// What a pod is called in a policy's name: its workload.
pub(crate) fn name_of(pod: &Pod) -> String {
    let workload = pod.workload.as_ref().filter(|made| made.kind != "Node");
    workload.map_or(&pod.id.name, |made| &made.name).clone()
}

/// Both families as far as the pod has them, without private networks.
fn world(own: &[IpAddr]) -> Vec<PeerDocument> {
    let private: Vec<IpNet> = NOT_THE_WORLD
        .iter()
        .filter_map(|net| net.parse().ok())
        .collect();
    let whole = ["0.0.0.0/0", "::/0"]
        .into_iter()
        .filter_map(|net| net.parse::<IpNet>().ok());
    let whole = whole.filter(|net| own.iter().any(|own| net.contains(own)));
    whole
        .map(|net| {
            let except = private.iter().copied().filter(|inner| net.contains(inner));
            PeerDocument::block(net, except.collect())
        })
        .collect()
}
