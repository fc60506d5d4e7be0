//! Manifests as a cluster would have made them: workloads become pods, pods and Services get
//! addresses, Services get EndpointSlices, and namespaces that objects are in exist.
//!
//! Pure, and the same for the same objects in any order. What the manifests say (a `status.podIPs`, a
//! `clusterIP`, an EndpointSlice) is left as it is, so that a dump of a cluster keeps its own
//! addresses.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use k8s_openapi::api::core::v1::{
    HostIP, Node, Pod, PodCondition, PodIP, PodSpec, PodStatus, Service,
};

use super::addresses::Pool;
use super::workload::WorkloadManifest;
use super::{Body, Manifest, endpoints, with_namespaces};
use crate::policy::allow_list::ObjectRef;
use crate::policy::cluster::objects::Object;
use crate::policy::cluster::{Kind, Workload};

/// Looks after the slices that are made here.
const MANAGER: &str = "sidewall.dev";

/// Where a pod with its node's network is, if nothing tells the node's address: an address that is
/// reserved for documentation (RFC 5737, RFC 3849), so that no ipBlock means it.
const UNKNOWN_NODE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// What a cluster would hold.
#[derive(Debug, Clone, Default)]
pub struct Completed {
    /// All objects, in the order in which they are best loaded within each kind's own order.
    pub objects: Vec<Object>,
    /// For each workload given, the pod that stands for it; `None`: its pods are among the manifests,
    /// or what made it is.
    pub stand_ins: Vec<Option<ObjectRef>>,
    /// The pods and Services whose addresses were made up.
    pub made_up: Vec<(Kind, ObjectRef)>,
}

/// Completes the objects of some files.
#[must_use]
pub fn complete(manifests: &[Manifest], workloads: &[WorkloadManifest]) -> Completed {
    let mut completed = Completed::default();
    let nodes: Vec<&Node> = bodies(manifests, |body| match body {
        Body::Node(node) => Some(node.as_ref()),
        _ => None,
    });
    let mut pods: Vec<Pod> = bodies(manifests, |body| match body {
        Body::Pod(pod) => Some(pod.as_ref().clone()),
        _ => None,
    });
    completed.stand_ins = stand_ins(workloads, &mut pods);
    pods.sort_by_cached_key(key);
    settle_pods(&mut pods, &nodes, &mut completed.made_up);

    let mut services: Vec<Service> = bodies(manifests, |body| match body {
        Body::Service(service) => Some(service.as_ref().clone()),
        _ => None,
    });
    services.sort_by_cached_key(|service| {
        let metadata = &service.metadata;
        (metadata.namespace.clone(), metadata.name.clone())
    });
    settle_services(&mut services, &mut completed.made_up);

    let others = manifests.iter().filter(|manifest| {
        let kind = manifest.kind();
        !matches!(kind, Kind::Pod | Kind::Service)
    });
    let mut objects: Vec<Object> = others.map(Manifest::object).collect();
    let sliced: HashSet<(&str, &str)> = manifests
        .iter()
        .filter_map(|manifest| match &manifest.body {
            Body::EndpointSlice(slice) => {
                let labels = slice.metadata.labels.as_ref()?;
                let service = labels.get(endpoints::SERVICE_NAME)?;
                Some((manifest.id.namespace.as_str(), service.as_str()))
            }
            _ => None,
        })
        .collect();
    let all_pods: Vec<&Pod> = pods.iter().collect();
    for service in &services {
        let (namespace, name) = (&service.metadata.namespace, &service.metadata.name);
        let (namespace, name) = (namespace.as_deref(), name.as_deref());
        let has_slices =
            sliced.contains(&(namespace.unwrap_or_default(), name.unwrap_or_default()));
        if !has_slices {
            let slices = endpoints::slices(service, &all_pods, MANAGER);
            objects.extend(slices.iter().map(Object::from));
        }
    }
    objects.extend(pods.iter().map(Object::from));
    objects.extend(services.iter().map(Object::from));
    completed.objects = with_namespaces(objects);
    completed
}

fn bodies<'a, T>(manifests: &'a [Manifest], of: impl Fn(&'a Body) -> Option<T>) -> Vec<T> {
    manifests
        .iter()
        .filter_map(|manifest| of(&manifest.body))
        .collect()
}

fn key(pod: &Pod) -> (String, String) {
    let (namespace, name) = (&pod.metadata.namespace, &pod.metadata.name);
    (
        namespace.clone().unwrap_or_default(),
        name.clone().unwrap_or_default(),
    )
}

/// Adds a pod for each workload that has none. It has the workload's name, and if that is taken, the
/// kind behind it.
fn stand_ins(workloads: &[WorkloadManifest], pods: &mut Vec<Pod>) -> Vec<Option<ObjectRef>> {
    let given: BTreeSet<(String, Workload)> = pods
        .iter()
        .filter_map(|pod| {
            let workload = Workload::of(&pod.metadata)?;
            Some((key(pod).0, workload))
        })
        .collect();
    let mut made: BTreeMap<(&str, Workload), &WorkloadManifest> = BTreeMap::new();
    for workload in workloads {
        made.insert((&workload.id.namespace, workload.workload()), workload);
    }
    let has_pods = |namespace: &str, workload: &Workload| {
        given.contains(&(namespace.to_owned(), workload.clone()))
    };
    // A CronJob's pods belong to its Jobs.
    let represented = |workload: &WorkloadManifest| {
        let (namespace, this) = (&workload.id.namespace, workload.workload());
        let through = |child: &&WorkloadManifest| {
            child.id.namespace == *namespace
                && child.owner.as_ref() == Some(&this)
                && has_pods(namespace, &child.workload())
        };
        has_pods(namespace, &this) || workloads.iter().any(|child| through(&child))
    };
    let owned = |workload: &WorkloadManifest| {
        let owner = workload.owner.clone();
        owner.is_some_and(|owner| made.contains_key(&(workload.id.namespace.as_str(), owner)))
    };
    let mut taken: HashSet<(String, String)> = pods.iter().map(key).collect();
    let mut stand_ins = Vec::with_capacity(workloads.len());
    for workload in workloads {
        if owned(workload) || represented(workload) {
            stand_ins.push(None);
            continue;
        }
        let mut pod = workload.pod.clone();
        let mut id = workload.id.clone();
        if !taken.insert((id.namespace.clone(), id.name.clone())) {
            id.name = format!("{}-{}", id.name, workload.kind.to_lowercase());
            pod.metadata.name = Some(id.name.clone());
            taken.insert((id.namespace.clone(), id.name.clone()));
        }
        pods.push(pod);
        stand_ins.push(Some(id));
    }
    stand_ins
}

/// Gives pods that live and have no address one of each family, and their nodes' addresses.
fn settle_pods(pods: &mut [Pod], nodes: &[&Node], made_up: &mut Vec<(Kind, ObjectRef)>) {
    let nodes: HashMap<&str, Vec<IpAddr>> = nodes.iter().map(|node| addresses_of(node)).collect();
    let mut pool = Pool::of_pods(pods.iter().flat_map(endpoints::pod_ips));
    for pod in pods {
        if endpoints::is_finished(pod) {
            continue;
        }
        let addressed = !endpoints::pod_ips(pod).is_empty();
        let id = key(pod);
        let spec = pod.spec.get_or_insert_with(PodSpec::default);
        let node = spec.node_name.as_deref().and_then(|name| nodes.get(name));
        let on_host = spec.host_network == Some(true);
        let status = pod.status.get_or_insert_with(PodStatus::default);
        if status.host_ip.is_none() && status.host_ips.is_none() {
            let node = node.map(|addresses| addresses.iter().map(host_ip).collect());
            status.host_ips = node;
        }
        if !addressed {
            let addresses: Vec<IpAddr> = if on_host {
                node.cloned().unwrap_or_else(|| UNKNOWN_NODE.to_vec())
            } else {
                pool.v4().into_iter().chain(pool.v6()).collect()
            };
            status.pod_ips = Some(addresses.iter().map(pod_ip).collect());
            let (namespace, name) = id;
            made_up.push((Kind::Pod, ObjectRef { namespace, name }));
        }
        if status.conditions.is_none() {
            // A manifest is judged as if what it describes were up.
            status.conditions = Some(vec![PodCondition {
                type_: "Ready".to_owned(),
                status: "True".to_owned(),
                ..PodCondition::default()
            }]);
        }
    }
}

fn addresses_of(node: &Node) -> (&str, Vec<IpAddr>) {
    let name = node.metadata.name.as_deref().unwrap_or_default();
    match Object::from(node) {
        Object::Node(node) => (name, node.addresses),
        _ => (name, Vec::new()),
    }
}

fn pod_ip(address: &IpAddr) -> PodIP {
    PodIP {
        ip: address.to_string(),
    }
}

fn host_ip(address: &IpAddr) -> HostIP {
    HostIP {
        ip: address.to_string(),
    }
}

/// Gives Services that should have a cluster IP, and have none, one of each family they are for.
fn settle_services(services: &mut [Service], made_up: &mut Vec<(Kind, ObjectRef)>) {
    let mut pool = Pool::of_services(services.iter().flat_map(endpoints::cluster_ips));
    for service in services {
        let Some(spec) = &mut service.spec else {
            continue;
        };
        let external = spec.type_.as_deref() == Some("ExternalName");
        let given = spec.cluster_ip.as_deref().is_some_and(|ip| !ip.is_empty())
            || spec.cluster_ips.as_ref().is_some_and(|ips| !ips.is_empty());
        if external || given {
            continue;
        }
        let families = spec.ip_families.clone().unwrap_or_default();
        let serves = |family: &str| families.is_empty() || families.iter().any(|f| f == family);
        let v4 = serves("IPv4").then(|| pool.v4()).flatten();
        let v6 = serves("IPv6").then(|| pool.v6()).flatten();
        let ips: Vec<String> = v4.into_iter().chain(v6).map(|ip| ip.to_string()).collect();
        spec.cluster_ip = ips.first().cloned();
        spec.cluster_ips = Some(ips);
        let metadata = &service.metadata;
        let id = ObjectRef {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
        };
        made_up.push((Kind::Service, id));
    }
}
