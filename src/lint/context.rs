//! What rules look at: the policies as they are written and as they are understood, and whom they
//! select.

use std::collections::BTreeSet;

use super::{Given, Input};
use crate::net::Direction;
use crate::policy::allow_list::{NamespaceCriterion, PeerCriterion, Selector};
use crate::policy::cluster::objects::Pod;
use crate::policy::cluster::{Cluster, Kind};
use crate::policy::compile::Candidates;
use crate::policy::convert::{AnyPolicy, Policy, PolicyRule};
use crate::policy::selector::Labels;

/// Everything, prepared once.
pub(super) struct Context<'a> {
    pub(super) input: Input<'a>,
    pub(super) cluster: &'a Cluster,
    /// The policies in the order in which they were given.
    pub(super) policies: Vec<Subject<'a>>,
    /// Some pod is known: what is said of pods can be held against them.
    pub(super) knows_pods: bool,
    candidates: Candidates<'a>,
    /// Namespaces that are given as objects.
    defined: BTreeSet<&'a str>,
}

/// A policy.
pub(super) struct Subject<'a> {
    pub(super) given: &'a Given,
    pub(super) policy: AnyPolicy,
    /// The pods it selects, also those of their node's network.
    pub(super) selected: Vec<&'a Pod>,
}

impl<'a> Context<'a> {
    pub(super) fn new(input: Input<'a>) -> Self {
        let cluster = input.cluster;
        let of_kind = |kind| {
            input
                .objects
                .iter()
                .filter(move |object| object.kind == kind)
        };
        let policies = of_kind(Kind::NetworkPolicy).map(|given| {
            let policy = AnyPolicy::from_value(&given.value);
            let theirs = pods_in(cluster, &policy.id().namespace);
            let selected = theirs.filter(|pod| policy.selects().matches(&pod.labels));
            let selected = selected.collect();
            Subject {
                given,
                policy,
                selected,
            }
        });
        Self {
            input,
            cluster,
            policies: policies.collect(),
            knows_pods: cluster.pods().next().is_some(),
            candidates: Candidates::new(cluster),
            defined: of_kind(Kind::Namespace)
                .map(|object| object.id.name.as_str())
                .collect(),
        }
    }

    /// The policies that are understood.
    pub(super) fn valid(&self) -> impl Iterator<Item = (&Subject<'a>, &Policy)> {
        self.policies
            .iter()
            .filter_map(|subject| match &subject.policy {
                AnyPolicy::Valid(policy) => Some((subject, policy)),
                AnyPolicy::Invalid(_) => None,
            })
    }

    /// Whether there is such a namespace, as far as can be told: it is defined, or something that is
    /// no policy is in it.
    pub(super) fn has_namespace(&self, name: &str) -> bool {
        self.input.whole
            || name == "default"
            || self.defined.contains(name)
            || self.pods_in(name).next().is_some()
    }

    /// Some namespace is given with its labels.
    pub(super) fn knows_namespaces(&self) -> bool {
        self.input.whole || !self.defined.is_empty()
    }

    /// The pods of a namespace.
    pub(super) fn pods_in(&self, namespace: &str) -> impl Iterator<Item = &'a Pod> + use<'a> {
        pods_in(self.cluster, namespace)
    }

    /// The pods that a peer entry means.
    pub(super) fn peers(&self, criterion: &PeerCriterion) -> Vec<&'a Pod> {
        match criterion {
            PeerCriterion::Pods { namespaces, pods } => {
                let everyone = Selector::default();
                let pods = pods.as_ref().unwrap_or(&everyone);
                self.candidates.matching(namespaces, pods)
            }
            PeerCriterion::Block { .. } => Vec::new(),
        }
    }

    /// The names of the namespaces that a peer entry means.
    pub(super) fn namespaces<'b>(&'b self, criterion: &'b NamespaceCriterion) -> Vec<&'b str> {
        match criterion {
            NamespaceCriterion::Own(name) => vec![name],
            NamespaceCriterion::Labels(selector) => self
                .cluster
                .namespaces()
                .filter(|namespace| selector.matches(&namespace.labels))
                .map(|namespace| namespace.id.name.as_str())
                .collect(),
        }
    }

    /// The labels of all namespaces.
    pub(super) fn namespace_labels(&self) -> Vec<&'a Labels> {
        let all = self.cluster.namespaces();
        all.map(|namespace| &namespace.labels).collect()
    }
}

impl Subject<'_> {
    /// Its pods that a policy has a say over.
    pub(super) fn isolated(&self) -> impl Iterator<Item = &Pod> {
        let pods = self.selected.iter().copied();
        pods.filter(|pod| !pod.host_network && !pod.finished)
    }
}

/// Every rule of a policy with its direction and index.
pub(super) fn rules_of(policy: &Policy) -> impl Iterator<Item = (Direction, usize, &PolicyRule)> {
    Direction::BOTH.into_iter().flat_map(|direction| {
        let rules = policy.rules(direction).unwrap_or_default();
        let rules = rules.iter().enumerate();
        rules.map(move |(index, rule)| (direction, index, rule))
    })
}

/// `spec.ingress[0]`.
pub(super) fn rule_field(direction: Direction, index: usize) -> String {
    format!("spec.{direction}[{index}]")
}

/// `spec.ingress[0].from[1]`.
pub(super) fn peer_field(direction: Direction, index: usize, peer: usize) -> String {
    format!("spec.{direction}[{index}].{}[{peer}]", peers(direction))
}

/// `spec.ingress[0].ports[1]`.
pub(super) fn port_field(direction: Direction, index: usize, port: usize) -> String {
    format!("spec.{direction}[{index}].ports[{port}]")
}

/// What the list of peers is called.
pub(super) const fn peers(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    }
}

fn pods_in<'a>(cluster: &'a Cluster, namespace: &str) -> impl Iterator<Item = &'a Pod> + use<'a> {
    let namespace = namespace.to_owned();
    cluster
        .pods()
        .filter(move |pod| pod.id.namespace == namespace)
}
