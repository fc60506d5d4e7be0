//! Names to what they mean in a cluster, and for those that mean nothing, what may have been meant.

use sidewall::manifest::endpoints::SERVICE_NAME;
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::reach;
use sidewall::spelling::nearest;

use super::{End, EndKind, EndName, world};
use crate::source::{Source, WorkloadPods};

/// A name that means nothing in this cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotFound {
    /// There is no such object.
    #[error("there is no {what}{}", in_brackets(.meant))]
    Nothing {
        /// What was looked for.
        what: String,
        /// What is there and is called alike.
        meant: Vec<String>,
    },
    /// It is there, and has no pods.
    #[error("{0} has no pods")]
    NoPods(String),
    /// A Service that has neither an address nor endpoints.
    #[error(
        "Service {service} has no address of its own and no endpoints (label {SERVICE_NAME}): ask about its pods"
    )]
    Nowhere {
        /// Which.
        service: ObjectRef,
    },
}

impl EndName {
    /// The ends that the name stands for, at least one.
    pub(crate) fn resolve(&self, source: &Source) -> Result<Vec<End>, NotFound> {
        match self {
            Self::World => Ok(vec![End {
                kind: EndKind::World,
                asked: world::addresses(&source.cluster)
                    .map(reach::End::Address)
                    .to_vec(),
            }]),
            Self::Address(address) => Ok(vec![End {
                kind: EndKind::Address(*address),
                asked: vec![reach::End::Address(*address)],
            }]),
            Self::Namespace(name) => namespace(name, source),
            Self::Service(id) => service(id, source),
            Self::Workload { kind, id } => {
                let found = source
                    .workloads
                    .iter()
                    .find(|workload| workload.kind == *kind && is_called(workload, id));
                match found {
                    Some(workload) => Ok(pods(&workload.pods, source)),
                    // `pod/web-7d4b9-x2x4z` is a Deployment's.
                    None if *kind == "Pod" && source.cluster.pod(id).is_some() => {
                        Ok(pods(std::slice::from_ref(id), source))
                    }
                    None => Err(self.nothing(source)),
                }
            }
            Self::PodOrWorkload(id) => {
                if source.cluster.pod(id).is_some() {
                    return Ok(pods(std::slice::from_ref(id), source));
                }
                let mut found = source.workloads.iter().filter(|one| is_called(one, id));
                match (found.next(), found.next()) {
                    (Some(workload), None) => Ok(pods(&workload.pods, source)),
                    _ => Err(self.nothing(source)),
                }
            }
        }
    }

    fn nothing(&self, source: &Source) -> NotFound {
        let what = match self {
            Self::PodOrWorkload(id) => format!("pod or workload {id}"),
            _ => self.to_string(),
        };
        NotFound::Nothing {
            what,
            meant: self.alike(source),
        }
    }

    /// How to type what is called alike: the same name elsewhere, or of another kind, else nearly the
    /// same name.
    fn alike(&self, source: &Source) -> Vec<String> {
        const MOST: usize = 4;
        let (Self::PodOrWorkload(id) | Self::Service(id) | Self::Workload { id, .. }) = self else {
            let Self::Namespace(name) = self else {
                return Vec::new();
            };
            let names = source.cluster.namespaces().map(|one| one.id.name.as_str());
            let meant = nearest(name, names).map(|name| format!("namespace:{name}"));
            return meant.into_iter().collect();
        };
        let workloads = source.workloads.iter().map(|workload| {
            let WorkloadPods {
                namespace,
                kind,
                name,
                ..
            } = workload;
            let typed = match kind.as_str() {
                "Pod" => format!("{namespace}/{name}"),
                kind => format!("{namespace}/{}/{name}", kind.to_lowercase()),
            };
            (namespace.as_str(), name.as_str(), typed)
        });
        let services = source.cluster.services().map(|service| {
            let ObjectRef { namespace, name } = &service.id;
            let typed = format!("{namespace}/svc/{name}");
            (namespace.as_str(), name.as_str(), typed)
        });
        let all: Vec<_> = workloads.chain(services).collect();
        let same_name = all.iter().filter(|(_, name, _)| *name == id.name);
        let same_name: Vec<String> = same_name
            .map(|(.., typed)| typed.clone())
            .take(MOST)
            .collect();
        if !same_name.is_empty() {
            return same_name;
        }
        let here = || all.iter().filter(|(space, ..)| *space == id.namespace);
        let best = nearest(&id.name, here().map(|(_, name, _)| *name));
        let there = here().filter(|(_, name, _)| Some(*name) == best.as_deref());
        there.map(|(.., typed)| typed.clone()).take(MOST).collect()
    }
}

fn in_brackets(meant: &[String]) -> String {
    match meant {
        [] => String::new(),
        meant => format!(" (did you mean {}?)", meant.join(" or ")),
    }
}

fn is_called(workload: &WorkloadPods, id: &ObjectRef) -> bool {
    workload.namespace == id.namespace && workload.name == id.name
}

fn pods(ids: &[ObjectRef], source: &Source) -> Vec<End> {
    let end = |id: &ObjectRef| {
        let workload = source
            .workloads
            .iter()
            .filter(|workload| workload.namespace == id.namespace && workload.kind != "Pod")
            .find(|workload| workload.pods.contains(id));
        End {
            kind: EndKind::Pod {
                pod: id.clone(),
                workload: workload.map(ToString::to_string),
            },
            asked: vec![reach::End::Pod(id.clone())],
        }
    };
    ids.iter().map(end).collect()
}

fn namespace(name: &str, source: &Source) -> Result<Vec<End>, NotFound> {
    let there = source.cluster.pods().filter(|pod| pod.id.namespace == name);
    let there: Vec<ObjectRef> = there.map(|pod| pod.id.clone()).collect();
    if !there.is_empty() {
        return Ok(pods(&there, source));
    }
    let named = EndName::Namespace(name.to_owned());
    if source.cluster.namespace(name).is_some() {
        return Err(NotFound::NoPods(named.to_string()));
    }
    Err(named.nothing(source))
}

/// A Service's addresses; a headless one is just its pods.
fn service(id: &ObjectRef, source: &Source) -> Result<Vec<End>, NotFound> {
    let cluster = &source.cluster;
    let Some(service) = cluster.services().find(|service| service.id == *id) else {
        return Err(EndName::Service(id.clone()).nothing(source));
    };
    let asked: Vec<reach::End> = service.all_addresses().map(reach::End::Address).collect();
    if !asked.is_empty() {
        return Ok(vec![End {
            kind: EndKind::Service(id.clone()),
            asked,
        }]);
    }
    let slices = cluster.endpoint_slices().filter(|slice| {
        slice.id.namespace == id.namespace && slice.service.as_ref() == Some(&id.name)
    });
    let behind = slices.flat_map(|slice| &slice.endpoints);
    let behind = behind.filter_map(|endpoint| cluster.pod_at(endpoint.address));
    let mut behind: Vec<ObjectRef> = behind.map(|pod| pod.id.clone()).collect();
    behind.sort_unstable();
    behind.dedup();
    if behind.is_empty() {
        let service = id.clone();
        return Err(NotFound::Nowhere { service });
    }
    Ok(pods(&behind, source))
}
