//! Pods by what makes them.

use std::collections::BTreeMap;

use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::cluster::Cluster;
use sidewall::policy::cluster::objects::Pod;

/// A workload with its pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WorkloadPods {
    /// Its namespace.
    pub(crate) namespace: String,
    /// `Deployment`, `StatefulSet`, `DaemonSet`, `ReplicaSet`, `ReplicationController`, `Job`,
    /// `CronJob`, another owner's kind, or `Pod` for a pod that nothing makes.
    pub(crate) kind: String,
    /// Its name.
    pub(crate) name: String,
    /// Its pods, by name; at least one.
    pub(crate) pods: Vec<ObjectRef>,
}

impl std::fmt::Display for WorkloadPods {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            namespace,
            kind,
            name,
            ..
        } = self;
        write!(f, "{kind} {namespace}/{name}")
    }
}

/// The pods of a cluster by what makes them, ordered by namespace, kind and name. Pods that have
/// finished count: a question about them has an answer.
pub(super) fn group(cluster: &Cluster) -> Vec<WorkloadPods> {
    let mut groups: BTreeMap<(String, String, String), Vec<ObjectRef>> = BTreeMap::new();
    for pod in cluster.pods() {
        let (kind, name) = maker(pod);
        let key = (pod.id.namespace.clone(), kind, name);
        groups.entry(key).or_default().push(pod.id.clone());
    }
    groups
        .into_iter()
        .map(|((namespace, kind, name), pods)| WorkloadPods {
            namespace,
            kind,
            name,
            pods,
        })
        .collect()
}

/// A static pod belongs to its node, which makes many that have nothing in common.
fn maker(pod: &Pod) -> (String, String) {
    let workload = pod.workload.as_ref().filter(|made| made.kind != "Node");
    match workload {
        Some(workload) => (workload.kind.clone(), workload.name.clone()),
        None => ("Pod".to_owned(), pod.id.name.clone()),
    }
}
