//! The usual mistakes, seen in an answer: data and words, each with the fix to type.
//!
//! An explanation says which criterion fails; a hint says what was probably meant instead. It is a
//! guess about people, never about the verdict. Where to read on: `peers` (AND and OR, namespaces),
//! `ports` (Services, names), `policies` (where a policy is, which directions it names), `dns`.
//! Next: `sidewall why`, the web page.

mod dns;
mod peers;
mod policies;
mod ports;

use std::net::IpAddr;

use serde::Serialize;

use super::allow_list::{NamespaceCriterion, ObjectRef, PeerCriterion, RuleId};
use super::cluster::Cluster;
use super::cluster::objects::Pod;
use super::compile::PodNotFound;
use super::convert::{AnyPolicy, Policy, PolicyPort, PolicyPortCriterion, PolicyRule};
use super::explain::{Explanation, Question};
use super::reach::{Reach, Reacher};
use crate::net::Direction;

/// A mistake that was probably made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hint {
    /// Which mistake.
    pub kind: HintKind,
    /// The policy that has it, if it is one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<ObjectRef>,
    /// What is so, and what was probably meant.
    pub text: String,
    /// What to do about it, in words that end before what is to be typed.
    pub remedy: String,
    /// What is to be typed: commands, or YAML.
    pub fix: String,
}

/// The mistakes that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HintKind {
    /// A policy that cannot be understood isolates.
    InvalidPolicy,
    /// A namespace lacks the label that a rule asks for.
    NamespaceLabel,
    /// A podSelector alone means the policy's own namespace.
    OwnNamespaceOnly,
    /// Two entries where one with both selectors was meant.
    EitherWhereBoth,
    /// One entry with both selectors: both must hold.
    BothWhereEither,
    /// The port of a Service where the pod's is meant.
    ServicePort,
    /// A port name that no container has.
    NamedPort,
    /// The policy that would help is in another namespace than the pod.
    OtherNamespace,
    /// Rules of a direction that `policyTypes` does not name.
    RulesWithoutType,
    /// `policyTypes` was left out, and so ingress is isolated too.
    TypesLeftOut,
    /// An empty podSelector selects every pod of the namespace.
    EmptySelector,
    /// Egress is isolated, and names cannot be looked up.
    Dns,
}

impl HintKind {
    /// Whether it explains the answer, and is not only something that is so.
    #[must_use]
    pub const fn is_likely(self) -> bool {
        !matches!(
            self,
            Self::BothWhereEither | Self::EmptySelector | Self::Dns
        )
    }
}

/// The mistakes that an answer shows, the most likely first, each once.
pub fn hints(reacher: &mut Reacher<'_>, reach: &Reach) -> Result<Vec<Hint>, PodNotFound> {
    let cluster = reacher.cluster();
    let mut hints = Vec::new();
    for explanation in reach.egress.iter().chain(&reach.ingress) {
        if let Some(case) = Case::of(cluster, explanation) {
            policies::invalid(&case, explanation, &mut hints);
            peers::hints(&case, &mut hints);
            ports::hints(&case, &mut hints);
            policies::hints(&case, &mut hints);
        }
    }
    if let Some(egress) = &reach.egress {
        hints.extend(dns::hint(reacher, egress)?);
    }
    let mut seen = Vec::new();
    hints.retain(|hint| {
        let new = !seen.contains(hint);
        seen.push(hint.clone());
        new
    });
    hints.sort_by_key(|hint| hint.kind);
    // What is only remarkable is worth saying if nothing better is known.
    if hints.iter().any(|hint| hint.kind.is_likely()) {
        hints.retain(|hint| hint.kind.is_likely() || hint.kind == HintKind::Dns);
    }
    Ok(hints)
}

/// One end, with what is behind a Service's address put in the address's place.
struct Case<'a> {
    cluster: &'a Cluster,
    pod: &'a Pod,
    question: Question,
    /// The peer, if it is a pod.
    peer: Option<&'a Pod>,
    allowed: bool,
    isolated_by: &'a [ObjectRef],
    allowed_by: Option<&'a RuleId>,
}

impl<'a> Case<'a> {
    /// The address asked about; for a Service the first endpoint that is blocked, else the first.
    fn of(cluster: &'a Cluster, explanation: &'a Explanation) -> Option<Self> {
        let mut question = explanation.question;
        let mut allowed_by = explanation.allowed_by.as_ref();
        if let Some(service) = &explanation.service {
            let endpoint = service.blocked_endpoint().or(service.endpoints.first())?;
            (question.peer, question.port) = (endpoint.address, endpoint.port);
            allowed_by = endpoint.allowed_by.as_ref();
        }
        Some(Self {
            cluster,
            pod: cluster.pod(&explanation.pod)?,
            question,
            peer: cluster.pod_at(question.peer),
            allowed: explanation.allowed(),
            isolated_by: &explanation.isolated_by,
            allowed_by,
        })
    }

    fn direction(&self) -> Direction {
        self.question.direction
    }

    /// `from` or `to`.
    fn section(&self) -> &'static str {
        match self.direction() {
            Direction::Ingress => "from",
            Direction::Egress => "to",
        }
    }

    /// The policies that isolate the pod and are understood.
    fn isolating(&self) -> impl Iterator<Item = &'a Policy> + '_ {
        let all = self.cluster.policies_in(&self.pod.id.namespace);
        all.filter_map(|policy| match policy {
            AnyPolicy::Valid(policy) => Some(policy),
            AnyPolicy::Invalid(_) => None,
        })
        .filter(|policy| {
            policy.rules(self.direction()).is_some() && policy.selects.matches(&self.pod.labels)
        })
    }

    /// Their rules.
    fn rules(&self) -> impl Iterator<Item = (RuleId, &'a PolicyRule)> + '_ {
        let direction = self.direction();
        self.isolating().flat_map(move |policy| {
            let rules = policy.rules(direction).unwrap_or_default();
            (0..).zip(rules).map(move |(index, rule)| {
                let policy = policy.id.clone();
                let id = RuleId {
                    policy,
                    direction,
                    index,
                };
                (id, rule)
            })
        })
    }

    /// The pod at which the packet arrives.
    fn destination(&self) -> Option<&'a Pod> {
        match self.direction() {
            Direction::Ingress => Some(self.pod),
            Direction::Egress => self.peer,
        }
    }

    fn admits_port(&self, rule: &PolicyRule) -> bool {
        let ports = rule.ports.as_ref();
        ports.is_none_or(|ports| ports.iter().any(|port| self.is_port(port)))
    }

    fn is_port(&self, entry: &PolicyPort) -> bool {
        let Question { protocol, port, .. } = self.question;
        entry.protocol == protocol
            && match &entry.port {
                PolicyPortCriterion::All => true,
                PolicyPortCriterion::Range(from, to) => (*from..=*to).contains(&port),
                PolicyPortCriterion::Named(name) => self
                    .destination()
                    .and_then(|pod| pod.named_port(protocol, name))
                    .is_some_and(|number| number == port),
            }
    }

    fn admits_peer(&self, rule: &PolicyRule) -> bool {
        let peers = rule.peers.as_ref();
        peers.is_none_or(|peers| peers.iter().any(|peer| self.is_peer(peer)))
    }

    fn is_peer(&self, criterion: &PeerCriterion) -> bool {
        match criterion {
            PeerCriterion::Block { cidr, except } => {
                let holds = |net: &ipnet::IpNet| net.contains(&self.question.peer);
                holds(cidr) && !except.iter().any(holds)
            }
            PeerCriterion::Pods { namespaces, pods } => {
                let pod = |peer: &Pod| {
                    let pods = pods.as_ref();
                    pods.is_none_or(|selector| selector.matches(&peer.labels))
                };
                self.in_namespaces(namespaces) && self.peer.is_some_and(pod)
            }
        }
    }

    /// Whether the peer's namespace is among those meant.
    fn in_namespaces(&self, criterion: &NamespaceCriterion) -> bool {
        let Some(peer) = self.peer else { return false };
        match criterion {
            NamespaceCriterion::Own(name) => *name == peer.id.namespace,
            NamespaceCriterion::Labels(selector) => self
                .cluster
                .namespace(&peer.id.namespace)
                .is_some_and(|namespace| selector.matches(&namespace.labels)),
        }
    }

    /// Who the peer is, in words.
    fn peer_name(&self) -> String {
        let peer = self.peer.map(|pod| pod.id.to_string());
        peer.unwrap_or_else(|| self.question.peer.to_string())
    }

    /// An explanation of this question in another cluster.
    fn ask_in(&self, cluster: &Cluster) -> Option<Explanation> {
        let list = super::compile::compile(cluster, &self.pod.id, &[]).ok()?;
        let who = |address: IpAddr| cluster.identify(address);
        let options = super::lookup::LookupOptions::default();
        Some(super::explain::explain(&list, options, self.question, &who))
    }
}
