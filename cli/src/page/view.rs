//! The cluster as the page draws it: workloads, what isolates them, and policies with what they select.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sidewall::lint::Finding;
use sidewall::net::Direction;
use sidewall::policy::allow_list::{AllowList, ObjectRef};
use sidewall::policy::cluster::Cluster;
use sidewall::policy::cluster::objects::Pod;
use sidewall::policy::compile::compile;
use sidewall::policy::convert::AnyPolicy;
use sidewall::policy::selector::Labels;

use super::answers::findings;
use super::hub::Hub;
use super::world::{Mode, Snapshot};
use crate::story::{Story, Text};

/// `/api/v1/state`.
#[derive(Serialize)]
pub(super) struct State<'a> {
    version: u64,
    mode: Mode,
    can: Can,
    namespaces: Vec<Namespace<'a>>,
    nodes: Vec<Node<'a>>,
    policies: Vec<Policy<'a>>,
    lint: Vec<Finding>,
    story: Option<Told<'a>>,
}

/// What may be done.
#[derive(Serialize)]
struct Can {
    probe: bool,
    edit: bool,
}

#[derive(Serialize)]
struct Namespace<'a> {
    name: &'a str,
    labels: &'a Labels,
}

/// Pods of one workload.
#[derive(Serialize)]
struct Node<'a> {
    id: String,
    namespace: &'a str,
    kind: &'a str,
    name: &'a str,
    labels: &'a Labels,
    pods: Vec<PodView<'a>>,
    isolated: Isolated,
}

#[derive(Serialize)]
struct PodView<'a> {
    name: String,
    addresses: &'a [std::net::IpAddr],
}

#[derive(Serialize)]
struct Isolated {
    ingress: bool,
    egress: bool,
}

#[derive(Serialize)]
struct Policy<'a> {
    id: String,
    namespace: &'a str,
    name: &'a str,
    directions: Vec<&'static str>,
    /// Workloads.
    selects: Vec<String>,
    allowed: u64,
    blocked: u64,
    yaml: &'a str,
    problem: Option<String>,
}

#[derive(Serialize)]
struct Told<'a> {
    title: &'a Text,
    /// How many steps have been played.
    step: usize,
    steps: Vec<ToldStep<'a>>,
}

#[derive(Serialize)]
struct ToldStep<'a> {
    title: &'a Text,
    text: &'a Text,
    apply: Vec<ToldManifest<'a>>,
    delete: Vec<&'a str>,
    probes: Vec<String>,
}

#[derive(Serialize)]
struct ToldManifest<'a> {
    name: &'a str,
    yaml: &'a str,
}

/// The whole state. `story` comes with the number of steps played.
pub(super) fn state<'a>(
    mode: Mode,
    snapshot: &'a Snapshot,
    hub: &Hub,
    story: Option<(&'a Story, usize)>,
    acts: bool,
) -> State<'a> {
    let cluster = &snapshot.cluster;
    let groups = groups(cluster);
    let mut selects: BTreeMap<ObjectRef, BTreeSet<String>> = BTreeMap::new();
    let mut nodes = Vec::new();
    for (id, pods) in &groups {
        let Some(first) = pods.first() else { continue };
        let list = compile(cluster, &first.id, &[]).ok();
        let isolated = |side: fn(&AllowList) -> &Vec<ObjectRef>| list.as_ref().map(side);
        let ingress = isolated(|list| &list.ingress.isolated_by);
        let egress = isolated(|list| &list.egress.isolated_by);
        for policy in ingress.into_iter().chain(egress).flatten() {
            selects
                .entry(policy.clone())
                .or_default()
                .insert(id.clone());
        }
        let (kind, name) = workload(first);
        nodes.push(Node {
            id: id.clone(),
            namespace: &first.id.namespace,
            kind,
            name,
            labels: &first.labels,
            pods: pods
                .iter()
                .map(|pod| PodView {
                    name: pod.id.to_string(),
                    addresses: &pod.addresses,
                })
                .collect(),
            isolated: Isolated {
                ingress: ingress.is_some_and(|by| !by.is_empty()),
                egress: egress.is_some_and(|by| !by.is_empty()),
            },
        });
    }
    State {
        version: snapshot.version,
        mode,
        can: Can {
            probe: acts,
            edit: acts,
        },
        namespaces: cluster
            .namespaces()
            .map(|namespace| Namespace {
                name: &namespace.id.name,
                labels: &namespace.labels,
            })
            .collect(),
        nodes,
        policies: policies(snapshot, hub, &selects),
        lint: findings(cluster, &snapshot.policies),
        story: story.map(|(story, step)| told(story, step)),
    }
}

/// The id of the workload that a pod is one of.
pub(super) fn node_of(pod: &Pod) -> String {
    let (kind, name) = workload(pod);
    node_id(&pod.id.namespace, kind, name)
}

/// The id of a workload.
pub(super) fn node_id(namespace: &str, kind: &str, name: &str) -> String {
    format!("{namespace}/{kind}/{name}")
}

fn workload(pod: &Pod) -> (&str, &str) {
    match &pod.workload {
        Some(workload) => (&workload.kind, &workload.name),
        None => ("Pod", &pod.id.name),
    }
}

/// Pods that live, by workload.
fn groups(cluster: &Cluster) -> BTreeMap<String, Vec<&Pod>> {
    let mut groups: BTreeMap<String, Vec<&Pod>> = BTreeMap::new();
    for pod in cluster.pods().filter(|pod| pod.is_peer()) {
        groups.entry(node_of(pod)).or_default().push(pod);
    }
    groups
}

fn policies<'a>(
    snapshot: &'a Snapshot,
    hub: &Hub,
    selects: &BTreeMap<ObjectRef, BTreeSet<String>>,
) -> Vec<Policy<'a>> {
    let policies = snapshot.cluster.policies().map(|policy| {
        let id = policy.id();
        let (allowed, blocked) = hub.hits(id);
        Policy {
            id: id.to_string(),
            namespace: &id.namespace,
            name: &id.name,
            directions: directions(policy),
            selects: selects.get(id).into_iter().flatten().cloned().collect(),
            allowed,
            blocked,
            yaml: snapshot.policies.get(id).map_or("", |policy| &policy.yaml),
            problem: match policy {
                AnyPolicy::Valid(_) => None,
                AnyPolicy::Invalid(invalid) => Some(invalid.to_string()),
            },
        }
    });
    policies.collect()
}

fn directions(policy: &AnyPolicy) -> Vec<&'static str> {
    let both = [Direction::Ingress, Direction::Egress];
    let isolated = both.into_iter().filter(|one| policy.isolates(*one));
    isolated.map(Direction::as_str).collect()
}

fn told(story: &Story, step: usize) -> Told<'_> {
    let steps = story.steps.iter().map(|step| ToldStep {
        title: &step.title,
        text: &step.text,
        apply: step
            .apply
            .iter()
            .map(|manifest| ToldManifest {
                name: &manifest.name,
                yaml: &manifest.text,
            })
            .collect(),
        delete: step
            .delete
            .iter()
            .map(|manifest| manifest.name.as_str())
            .collect(),
        probes: step.probes.iter().map(ToString::to_string).collect(),
    });
    Told {
        title: &story.title,
        step,
        steps: steps.collect(),
    }
}
