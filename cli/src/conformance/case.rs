//! The format of a conformance file: an array of cases, each with a cluster, policies and probes.
//!
//! A case becomes ordinary Kubernetes objects, so that it can be evaluated from them or applied to a
//! real cluster.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read};
use std::net::IpAddr;
use std::path::Path;

use anyhow::Context as _;
use flate2::read::GzDecoder;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use sidewall::net::Protocol;
use sidewall::policy::allow_list::ObjectRef;

use super::connections::Expected;
use crate::expect::Expect;

/// A cluster, its policies, and what may then reach what. Keys that only tell where a case comes from
/// are not kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Case {
    /// Its name within the suite.
    pub(crate) name: String,
    /// The namespaces.
    #[serde(default)]
    pub(crate) namespaces: Vec<CaseNamespace>,
    /// The nodes, where they matter.
    #[serde(default, deserialize_with = "null_as_default")]
    pub(crate) nodes: Vec<CaseNode>,
    /// The pods.
    #[serde(default)]
    pub(crate) pods: Vec<CasePod>,
    /// The policies, as a user would write them: not typed, since some are meant to be wrong.
    #[serde(default)]
    pub(crate) policies: Vec<serde_json::Value>,
    /// The questions.
    #[serde(default)]
    pub(crate) probes: Vec<Probe>,
    /// The API server would refuse a policy of this case. It must then block what it selects,
    /// whatever the suite expects. The value says why, or is just `true`.
    #[serde(default, deserialize_with = "is_given")]
    pub(crate) api_invalid: bool,
    /// All connections between workloads and addresses, as the suite publishes them.
    #[serde(default)]
    pub(crate) expected_connections: Option<Vec<Expected>>,
    /// What was left out of the case and why, in words.
    #[serde(default)]
    notes: Notes,
}

/// Some suites have one note, some several.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "serde_json::Value")]
struct Notes(String);

impl From<serde_json::Value> for Notes {
    fn from(value: serde_json::Value) -> Self {
        Self(value.to_string())
    }
}

/// A namespace.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct CaseNamespace {
    name: String,
    #[serde(default, deserialize_with = "null_as_default")]
    labels: BTreeMap<String, String>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct CaseNode {
    name: String,
    #[serde(default)]
    ips: Vec<IpAddr>,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CasePod {
    namespace: String,
    name: String,
    #[serde(default, deserialize_with = "null_as_default")]
    labels: BTreeMap<String, String>,
    ip: Option<IpAddr>,
    #[serde(default)]
    host_network: bool,
    node: Option<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    containers: Vec<core::Container>,
}

/// A new connection, and whether it can be made.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Probe {
    /// Who begins.
    pub(crate) from: Endpoint,
    /// Whom it is for.
    pub(crate) to: Endpoint,
    /// TCP, UDP or SCTP.
    pub(crate) protocol: Protocol,
    /// The destination's port.
    pub(crate) port: u16,
    /// What must come of it.
    pub(crate) expect: Expect,
    /// A pod to its own address: it never leaves the pod, and no policy sees it.
    #[serde(default)]
    pub(crate) loopback: bool,
}

/// One end of a probe: `namespace/pod`, or an address.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Endpoint {
    /// A pod.
    Pod(ObjectRef),
    /// An address outside the cluster, or a node's.
    Address(IpAddr),
}

/// Reads a file of cases; a name that ends in `.gz` is unpacked.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Case>> {
    let name = || path.display().to_string();
    let file = File::open(path).with_context(|| format!("cannot open {}", name()))?;
    let file = BufReader::new(file);
    let mut text = String::new();
    let packed = path.extension().is_some_and(|extension| extension == "gz");
    let read = if packed {
        GzDecoder::new(file).read_to_string(&mut text)
    } else {
        BufReader::new(file).read_to_string(&mut text)
    };
    read.with_context(|| format!("cannot read {}", name()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not a file of cases", name()))
}

impl Case {
    /// Whether another case has the same namespaces, nodes and pods.
    pub(crate) fn same_cluster(&self, other: &Self) -> bool {
        (&self.namespaces, &self.nodes, &self.pods)
            == (&other.namespaces, &other.nodes, &other.pods)
    }

    /// Whether an end is a hostNetwork pod or a node's own address: what comes from there is the
    /// node's traffic.
    pub(crate) fn is_on_host(&self, end: &Endpoint) -> bool {
        match end {
            Endpoint::Pod(id) => self.pods.iter().any(|pod| {
                pod.host_network && pod.namespace == id.namespace && pod.name == id.name
            }),
            Endpoint::Address(address) => self.nodes.iter().any(|node| node.ips.contains(address)),
        }
    }

    /// Whether the case says that it cannot tell a workload's pods apart.
    pub(crate) fn leaves_out(&self, label: &str) -> bool {
        let Notes(notes) = &self.notes;
        let list = notes.split_once("no probes for ").map(|(_, list)| list);
        let list = list
            .and_then(|list| list.split_once(" ("))
            .map(|(list, _)| list);
        list.is_some_and(|list| list.split(", ").any(|left_out| left_out == label))
    }

    /// The pods that do not share their node's network.
    pub(crate) fn own_network_pods(&self) -> impl Iterator<Item = ObjectRef> + '_ {
        let own = self.pods.iter().filter(|pod| !pod.host_network);
        own.map(|pod| ObjectRef {
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
        })
    }

    /// The namespaces as objects.
    pub(crate) fn namespace_objects(&self) -> impl Iterator<Item = core::Namespace> + '_ {
        self.namespaces.iter().map(|namespace| core::Namespace {
            metadata: ObjectMeta {
                name: Some(namespace.name.clone()),
                labels: Some(namespace.labels.clone()),
                ..ObjectMeta::default()
            },
            ..core::Namespace::default()
        })
    }

    /// The nodes as objects.
    pub(crate) fn node_objects(&self) -> impl Iterator<Item = core::Node> + '_ {
        self.nodes.iter().map(|node| {
            let address = |ip: &IpAddr| core::NodeAddress {
                address: ip.to_string(),
                type_: "InternalIP".to_owned(),
            };
            core::Node {
                metadata: ObjectMeta {
                    name: Some(node.name.clone()),
                    ..ObjectMeta::default()
                },
                status: Some(core::NodeStatus {
                    addresses: Some(node.ips.iter().map(address).collect()),
                    ..core::NodeStatus::default()
                }),
                ..core::Node::default()
            }
        })
    }

    /// The pods as objects, running on their nodes.
    pub(crate) fn pod_objects(&self) -> impl Iterator<Item = core::Pod> + '_ {
        self.pods.iter().map(|pod| {
            let node = self
                .nodes
                .iter()
                .find(|node| Some(&node.name) == pod.node.as_ref());
            let host_ips = node.map(|node| {
                let host_ip = |ip: &IpAddr| core::HostIP { ip: ip.to_string() };
                node.ips.iter().map(host_ip).collect()
            });
            core::Pod {
                metadata: ObjectMeta {
                    namespace: Some(pod.namespace.clone()),
                    name: Some(pod.name.clone()),
                    labels: Some(pod.labels.clone()),
                    ..ObjectMeta::default()
                },
                spec: Some(core::PodSpec {
                    containers: pod.containers.clone(),
                    host_network: Some(pod.host_network),
                    node_name: pod.node.clone(),
                    ..core::PodSpec::default()
                }),
                status: Some(core::PodStatus {
                    phase: Some("Running".to_owned()),
                    pod_ips: pod.ip.map(|ip| vec![core::PodIP { ip: ip.to_string() }]),
                    host_ips,
                    ..core::PodStatus::default()
                }),
            }
        })
    }
}

impl TryFrom<String> for Endpoint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if let Some((namespace, name)) = text.split_once('/') {
            let (namespace, name) = (namespace.to_owned(), name.to_owned());
            return Ok(Self::Pod(ObjectRef { namespace, name }));
        }
        text.parse()
            .map(Self::Address)
            .map_err(|_| format!("{text:?} is neither namespace/pod nor an address"))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod(pod) => pod.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// A null stands for nothing given, as in the Kubernetes API.
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Whether a key is there, whatever it says, unless it says no.
fn is_given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(!matches!(
        value,
        serde_json::Value::Null | serde_json::Value::Bool(false)
    ))
}
