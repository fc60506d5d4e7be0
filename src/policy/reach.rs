//! Both ends of a connection: egress at its source and ingress at its destination.
//!
//! A sidecar enforces only its own pod's two directions. Who asks whether something *can* be
//! reached means both ends, and gets an [`Explanation`] for each that policies have a say over.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::allow_list::{AllowList, ObjectRef};
use super::cluster::objects::Pod;
use super::cluster::{Cluster, Known};
use super::compile::{PodNotFound, compile, endpoints_of};
use super::explain::{Explanation, Question, explain};
use super::lookup::LookupOptions;
use crate::net::{Direction, Protocol};

/// One end of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum End {
    /// A pod.
    Pod(ObjectRef),
    /// An address: a Service's, a node's, or one outside the cluster. A pod's address is the pod.
    Address(IpAddr),
}

/// Whether a connection can be made, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reach {
    /// What the source's policies say; `None`: the source is no pod with a network of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<Explanation>,
    /// What the destination's policies say. Of a Service, one for every endpoint behind it that is a
    /// pod; else at most one. None: the destination is no pod with a network of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ingress: Vec<Explanation>,
    /// It is a pod's connection to itself, which never leaves it.
    #[serde(default)]
    pub loopback: bool,
}

/// Why a question about two ends has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReachError {
    /// An end is a pod that is not known.
    #[error(transparent)]
    PodNotFound(#[from] PodNotFound),
    /// An end is a pod that has no address yet.
    #[error("pod {0} has no address yet")]
    NoAddress(ObjectRef),
    /// The ends have no address family in common.
    #[error("{from} and {to} have no address family in common")]
    NoCommonFamily {
        /// The source.
        from: String,
        /// The destination.
        to: String,
    },
}

impl Reach {
    /// Whether both ends allow it. Of a Service, every endpoint behind it must.
    #[must_use]
    pub fn allowed(&self) -> bool {
        self.loopback
            || self
                .egress
                .iter()
                .chain(&self.ingress)
                .all(Explanation::allowed)
    }

    /// The explanation that matters most: the first that blocks, else the first.
    #[must_use]
    pub fn decisive(&self) -> Option<&Explanation> {
        let mut all = self.egress.iter().chain(&self.ingress);
        all.clone()
            .find(|explanation| !explanation.allowed())
            .or_else(|| all.next())
    }
}

/// Allow lists of one cluster, each compiled once: for many questions in a row.
#[derive(Debug)]
pub struct Reacher<'a> {
    cluster: &'a Cluster,
    options: LookupOptions,
    lists: BTreeMap<ObjectRef, AllowList>,
}

/// Answers one question about two ends.
pub fn reach(
    cluster: &Cluster,
    options: LookupOptions,
    from: &End,
    to: &End,
    protocol: Protocol,
    port: u16,
) -> Result<Reach, ReachError> {
    Reacher::new(cluster, options).reach(from, to, protocol, port)
}

impl<'a> Reacher<'a> {
    /// Nothing compiled yet.
    #[must_use]
    pub fn new(cluster: &'a Cluster, options: LookupOptions) -> Self {
        Self {
            cluster,
            options,
            lists: BTreeMap::new(),
        }
    }

    /// The cluster that is asked about.
    #[must_use]
    pub const fn cluster(&self) -> &'a Cluster {
        self.cluster
    }

    /// Answers a question about two ends. Of two-family pods the first family in common is asked.
    pub fn reach(
        &mut self,
        from: &End,
        to: &End,
        protocol: Protocol,
        port: u16,
    ) -> Result<Reach, ReachError> {
        let (source, target) = (self.resolve(from)?, self.resolve(to)?);
        let Some((from_address, to_address)) = source.towards(&target) else {
            return Err(ReachError::NoCommonFamily {
                from: source.to_string(),
                to: target.to_string(),
            });
        };
        if let (Some(source), Some(target)) = (source.pod, target.pod)
            && source.id == target.id
        {
            return Ok(Reach {
                egress: None,
                ingress: Vec::new(),
                loopback: true,
            });
        }
        let egress = match source.isolated_pod() {
            Some(pod) => {
                let question = Question {
                    direction: Direction::Egress,
                    peer: to_address,
                    protocol,
                    port,
                };
                Some(self.ask(pod, question)?)
            }
            None => None,
        };
        let mut ingress = Vec::new();
        for (pod, port) in self.targets(&source, &target, to_address, protocol, port) {
            let question = Question {
                direction: Direction::Ingress,
                peer: from_address,
                protocol,
                port,
            };
            ingress.push(self.ask(pod, question)?);
        }
        Ok(Reach {
            egress,
            ingress,
            loopback: false,
        })
    }

    /// The allow list of a pod, compiled when first asked for.
    pub fn list(&mut self, pod: &ObjectRef) -> Result<&AllowList, PodNotFound> {
        if !self.lists.contains_key(pod) {
            let list = compile(self.cluster, pod, &[])?;
            self.lists.insert(pod.clone(), list);
        }
        self.lists.get(pod).ok_or_else(|| PodNotFound(pod.clone()))
    }

    fn ask(&mut self, pod: &ObjectRef, question: Question) -> Result<Explanation, PodNotFound> {
        let (cluster, options) = (self.cluster, self.options);
        let list = self.list(pod)?;
        Ok(explain(list, options, question, &|address| {
            cluster.identify(address)
        }))
    }

    /// The pods at which the packet arrives, with the port it then has.
    fn targets(
        &self,
        source: &Resolved<'a>,
        target: &Resolved<'a>,
        address: IpAddr,
        protocol: Protocol,
        port: u16,
    ) -> Vec<(&'a ObjectRef, u16)> {
        if let Some(pod) = target.isolated_pod() {
            return vec![(pod, port)];
        }
        let endpoints = endpoints_of(self.cluster, source.pod, address, protocol, port);
        let pods = endpoints.into_iter().filter_map(|(address, port)| {
            let pod = self.cluster.pod_at(address)?;
            Some((&pod.id, port))
        });
        pods.collect()
    }

    fn resolve(&self, end: &End) -> Result<Resolved<'a>, ReachError> {
        match end {
            End::Pod(id) => {
                let pod = self
                    .cluster
                    .pod(id)
                    .ok_or_else(|| PodNotFound(id.clone()))?;
                if pod.addresses.is_empty() {
                    return Err(ReachError::NoAddress(id.clone()));
                }
                Ok(Resolved {
                    pod: Some(pod),
                    addresses: pod.addresses.clone(),
                })
            }
            End::Address(address) => {
                let pod = match self.cluster.at(*address) {
                    Some(Known::Pod(pod)) => Some(pod),
                    _ => None,
                };
                Ok(Resolved {
                    pod,
                    addresses: vec![*address],
                })
            }
        }
    }
}

/// An end with its addresses.
struct Resolved<'a> {
    pod: Option<&'a Pod>,
    addresses: Vec<IpAddr>,
}

impl<'a> Resolved<'a> {
    /// The pod whose policies have a say; `None`: it is no pod, or shares its node's network.
    fn isolated_pod(&self) -> Option<&'a ObjectRef> {
        self.pod.filter(|pod| !pod.host_network).map(|pod| &pod.id)
    }

    /// Addresses of one family for both ends.
    fn towards(&self, to: &Self) -> Option<(IpAddr, IpAddr)> {
        self.addresses.iter().find_map(|from| {
            let to = to
                .addresses
                .iter()
                .find(|to| to.is_ipv4() == from.is_ipv4())?;
            Some((*from, *to))
        })
    }
}

impl std::fmt::Display for Resolved<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.pod, self.addresses.first()) {
            (Some(pod), _) => write!(f, "{}", pod.id),
            (None, Some(address)) => write!(f, "{address}"),
            (None, None) => f.write_str("nobody"),
        }
    }
}
