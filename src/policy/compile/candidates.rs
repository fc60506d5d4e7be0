//! The pods that selectors can match, sorted by label, namespace and port name, so that ten thousand
//! selectors over ten thousand pods are not a hundred million comparisons.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::net::Protocol;
use crate::policy::allow_list::{NamespaceCriterion, Operator, Selector};
use crate::policy::cluster::Cluster;
use crate::policy::cluster::objects::Pod;

/// The pods that selectors can match.
pub(crate) struct Candidates<'a> {
    cluster: &'a Cluster,
    /// By namespace and name.
    pods: Vec<&'a Pod>,
    /// Positions in `pods` by label, ascending.
    by_label: HashMap<(&'a str, &'a str), Vec<usize>, RandomState>,
    /// Positions in `pods` by port name, ascending.
    by_port: HashMap<(Protocol, &'a str), Vec<usize>, RandomState>,
}

impl<'a> Candidates<'a> {
    pub(crate) fn new(cluster: &'a Cluster) -> Self {
        let pods: Vec<&Pod> = cluster.pods().filter(|pod| pod.is_peer()).collect();
        let mut by_label: HashMap<_, Vec<usize>, _> = HashMap::default();
        let mut by_port: HashMap<_, Vec<usize>, _> = HashMap::default();
        for (position, pod) in pods.iter().enumerate() {
            for (key, value) in &*pod.labels {
                by_label
                    .entry((key.as_str(), value.as_str()))
                    .or_default()
                    .push(position);
            }
            for port in &pod.named_ports {
                let positions = by_port
                    .entry((port.protocol, port.name.as_str()))
                    .or_default();
                if positions.last() != Some(&position) {
                    positions.push(position);
                }
            }
        }
        Self {
            cluster,
            pods,
            by_label,
            by_port,
        }
    }

    /// All of them, by namespace and name.
    pub(crate) fn pods(&self) -> &[&'a Pod] {
        &self.pods
    }

    /// The pods that a peer entry means, by namespace and name.
    pub(crate) fn matching(
        &self,
        namespaces: &NamespaceCriterion,
        pods: &Selector,
    ) -> Vec<&'a Pod> {
        let positions = self.positions(namespaces, pods).into_iter();
        positions
            .filter_map(|position| self.pods.get(position).copied())
            .collect()
    }

    /// The same as positions in [`Self::pods`].
    pub(crate) fn positions(&self, namespaces: &NamespaceCriterion, pods: &Selector) -> Vec<usize> {
        let mut found = Vec::new();
        match namespaces {
            NamespaceCriterion::Own(namespace) => self.within(namespace, pods, &mut found),
            NamespaceCriterion::Labels(selector) => {
                // A namespace that is not known (yet) matches nothing, not even `{}`.
                let all = self.cluster.namespaces();
                for namespace in all.filter(|namespace| selector.matches(&namespace.labels)) {
                    self.within(&namespace.id.name, pods, &mut found);
                }
            }
        }
        found
    }

    /// The pods that have a port of this name, and its number in each.
    pub(crate) fn with_port<'b>(
        &'b self,
        protocol: Protocol,
        name: &'b str,
    ) -> impl Iterator<Item = (&'b Pod, u16)> {
        let positions = self.by_port.get(&(protocol, name)).into_iter().flatten();
        let pods = positions.filter_map(|&position| self.pods.get(position).copied());
        pods.filter_map(move |pod| Some((pod, pod.named_port(protocol, name)?)))
    }

    fn within(&self, namespace: &str, selector: &Selector, into: &mut Vec<usize>) {
        let matches = |position: &usize| {
            let pod = self.pods.get(*position);
            pod.is_some_and(|pod| selector.matches(&pod.labels))
        };
        match self.shortest(selector) {
            Some(positions) => {
                let before = |position: &usize| self.namespace(*position) < Some(namespace);
                let through = |position: &usize| self.namespace(*position) <= Some(namespace);
                let (first, last) = (
                    positions.partition_point(before),
                    positions.partition_point(through),
                );
                let positions = positions.get(first..last).unwrap_or_default();
                into.extend(positions.iter().copied().filter(matches));
            }
            None => {
                let first = self
                    .pods
                    .partition_point(|pod| pod.id.namespace.as_str() < namespace);
                let last = self
                    .pods
                    .partition_point(|pod| pod.id.namespace.as_str() <= namespace);
                into.extend((first..last).filter(matches));
            }
        }
    }

    fn namespace(&self, position: usize) -> Option<&str> {
        self.pods.get(position).map(|pod| pod.id.namespace.as_str())
    }

    /// The fewest pods among which all that the selector can match are: those of one of the labels
    /// that it asks for. `None` if it asks for none.
    fn shortest<'b>(&'b self, selector: &'b Selector) -> Option<&'b [usize]> {
        let labels = selector.match_labels.iter();
        let labels = labels.map(|(key, value)| (key.as_str(), value.as_str()));
        let single = selector.match_expressions.iter().filter_map(|requirement| {
            match (requirement.operator, requirement.values.as_slice()) {
                (Operator::In, [value]) => Some((requirement.key.as_str(), value.as_str())),
                _ => None,
            }
        });
        let pods = |label| self.by_label.get(&label).map_or(&[][..], Vec::as_slice);
        labels.chain(single).map(pods).min_by_key(|pods| pods.len())
    }
}
