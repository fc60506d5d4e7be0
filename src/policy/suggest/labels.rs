//! Which labels single a workload's pods out from the others of their namespace.

use std::collections::BTreeSet;

use crate::policy::allow_list::{Operator, Requirement, Selector};
use crate::policy::cluster::Cluster;
use crate::policy::cluster::objects::Pod;
use crate::policy::selector::Labels;

/// Labels that controllers put on pods: another value after the next roll-out, or in each pod.
const GENERATED: [&str; 11] = [
    "pod-template-hash",
    "controller-revision-hash",
    "pod-template-generation",
    "rollouts-pod-template-hash",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "job-name",
    "batch.kubernetes.io/job-name",
    "controller-uid",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-completion-index",
];

/// Labels that say something else than who the pod is, and may change with the next release: taken
/// only where nothing else tells two workloads apart.
const PASSING: [&str; 9] = [
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
    "helm.sh/chart",
    "version",
    "chart",
    "heritage",
    "security.istio.io/tlsMode",
    "service.istio.io/canonical-revision",
    "sidewall.dev/inject",
];

/// Labels that people choose to say who a pod is, the most telling first.
const TELLING: [&str; 9] = [
    "app.kubernetes.io/name",
    "app",
    "k8s-app",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/component",
    "name",
    "component",
    "role",
    "tier",
];

/// More labels than this are not tried in all combinations; all of them are taken instead.
const MOST_TRIED: usize = 10;

/// The labels that mean a pod's workload.
#[derive(Debug, Clone)]
pub struct SingledOut<'a> {
    /// The fewest labels; none if the pod has none to go by.
    pub selector: Selector,
    /// Pods that these labels mean too, though they have other labels.
    pub also: Vec<&'a Pod>,
    /// Further pods with the same labels, but for generated ones: replicas, as far as anybody can
    /// tell.
    pub twins: Vec<&'a Pod>,
}

/// Whether a label is a controller's, and no policy should go by it.
#[must_use]
pub fn is_generated(key: &str) -> bool {
    GENERATED.contains(&key)
}

/// The fewest labels that mean no other pods of the namespace than all of the pod's labels do.
#[must_use]
pub fn single_out<'a>(cluster: &'a Cluster, pod: &Pod) -> SingledOut<'a> {
    let others = cluster.pods().filter(|other| {
        other.id.namespace == pod.id.namespace && other.id != pod.id && !other.finished
    });
    let others: Vec<&Pod> = others.collect();
    let lasting = own_labels(pod, |key| !is_generated(key));
    let steady = steady_labels(pod);
    let of_another = |other: &&Pod| {
        has(other, &steady) && !has(other, &lasting) && other.workload != pod.workload
    };
    let all = if others.iter().any(of_another) {
        lasting
    } else {
        steady.clone()
    };
    let chosen = fewest(&others, &all);
    let meant = others.into_iter().filter(|other| has(other, &chosen));
    let (twins, also) = meant.partition(|other| steady_labels(other) == steady);
    SingledOut {
        selector: Selector {
            match_labels: chosen,
            match_expressions: Vec::new(),
        },
        also,
        twins,
    }
}

impl SingledOut<'_> {
    /// The selector, made narrower so that none of `others` is meant: by a label that they have and
    /// the pod has not. One with the same labels stays.
    #[must_use]
    pub fn without(&self, others: &[&Pod], pod: &Pod) -> Selector {
        let mut lacking = BTreeSet::new();
        for other in others {
            let keys = || other.labels.keys().filter(|key| !is_generated(key));
            let further = || keys().filter(|key| !pod.labels.contains_key(*key));
            if !further().any(|key| lacking.contains(key)) {
                lacking.extend(further().min_by_key(|key| rank(key)));
            }
        }
        let requirement = |key: &String| Requirement {
            key: key.clone(),
            operator: Operator::DoesNotExist,
            values: Vec::new(),
        };
        Selector {
            match_labels: self.selector.match_labels.clone(),
            match_expressions: lacking.into_iter().map(requirement).collect(),
        }
    }
}

/// Those that stay over roll-outs and releases.
fn steady_labels(pod: &Pod) -> Labels {
    own_labels(pod, |key| !is_generated(key) && !PASSING.contains(&key))
}

fn own_labels(pod: &Pod, wanted: impl Fn(&str) -> bool) -> Labels {
    let labels = pod.labels.iter().filter(|(key, _)| wanted(key));
    labels
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn has(pod: &Pod, labels: &Labels) -> bool {
    labels
        .iter()
        .all(|(key, value)| pod.labels.get(key) == Some(value))
}

fn count(pods: &[&Pod], labels: &Labels) -> usize {
    pods.iter().filter(|pod| has(pod, labels)).count()
}

/// The smallest subset that means as few pods as all of the labels; of several the one with the most
/// telling keys.
fn fewest(others: &[&Pod], labels: &Labels) -> Labels {
    let mut keys: Vec<&String> = labels.keys().collect();
    keys.sort_by_key(|key| (rank(key), *key));
    if keys.len() > MOST_TRIED {
        return labels.clone();
    }
    let goal = count(others, labels);
    let subset = |mask: u32| -> Labels {
        let chosen = keys
            .iter()
            .enumerate()
            .filter(|(at, _)| mask & (1 << at) != 0);
        chosen
            .filter_map(|(_, key)| Some(((*key).clone(), labels.get(*key)?.clone())))
            .collect()
    };
    // By size, and within a size by the sum of ranks, which the order of the bits follows.
    let mut masks: Vec<u32> = (0..1_u32 << keys.len()).filter(|mask| *mask != 0).collect();
    masks.sort_by_key(|mask| (mask.count_ones(), *mask));
    let found = masks.into_iter().map(subset);
    found
        .into_iter()
        .find(|subset| count(others, subset) == goal)
        .unwrap_or_else(|| labels.clone())
}

fn rank(key: &str) -> usize {
    TELLING
        .iter()
        .position(|telling| *telling == key)
        .unwrap_or(if PASSING.contains(&key) {
            TELLING.len() + 1
        } else {
            TELLING.len()
        })
}
