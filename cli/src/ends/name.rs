//! What people type for an end, read without looking at a cluster.

use std::fmt;
use std::net::IpAddr;

use sidewall::policy::allow_list::ObjectRef;

/// The kinds that can be typed, as kubectl knows them.
const KINDS: [(&str, &[&str]); 9] = [
    ("Pod", &["pod", "pods", "po"]),
    ("Service", &["service", "services", "svc"]),
    ("Deployment", &["deployment", "deployments", "deploy"]),
    ("StatefulSet", &["statefulset", "statefulsets", "sts"]),
    ("DaemonSet", &["daemonset", "daemonsets", "ds"]),
    ("ReplicaSet", &["replicaset", "replicasets", "rs"]),
    (
        "ReplicationController",
        &["replicationcontroller", "replicationcontrollers", "rc"],
    ),
    ("Job", &["job", "jobs"]),
    ("CronJob", &["cronjob", "cronjobs", "cj"]),
];

/// A name for one or several ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EndName {
    /// A pod, or the workload of that name.
    PodOrWorkload(ObjectRef),
    /// The pods of a workload (or a pod), by its kind.
    Workload {
        /// `Deployment` and so on, or `Pod`.
        kind: &'static str,
        /// Its namespace and name.
        id: ObjectRef,
    },
    /// A Service.
    Service(ObjectRef),
    /// All pods of a namespace.
    Namespace(String),
    /// An address.
    Address(IpAddr),
    /// Everything outside the cluster.
    World,
}

/// What was typed names no end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{typed:?} names no end{hint}: NAMESPACE/POD, POD, deploy/NAME, NAMESPACE/deploy/NAME, svc/NAME, \
     NAMESPACE/svc/NAME, namespace:NAME, world, or an IP address"
)]
pub(crate) struct NotAnEnd {
    typed: String,
    hint: &'static str,
}

/// Reads a name; one without a namespace is in `default_namespace`.
pub(crate) fn parse(text: &str, default_namespace: &str) -> Result<EndName, NotAnEnd> {
    let not_an_end = |hint| NotAnEnd {
        typed: text.to_owned(),
        hint,
    };
    if text == "world" {
        return Ok(EndName::World);
    }
    if let Ok(address) = text.trim_matches(['[', ']']).parse() {
        return Ok(EndName::Address(address));
    }
    if let Some((kind, name)) = text.split_once(':') {
        let is_namespace = matches!(kind, "namespace" | "ns") && is_name(name);
        let named = is_namespace.then(|| EndName::Namespace(name.to_owned()));
        return named.ok_or_else(|| not_an_end(""));
    }
    let id = |namespace: &str, name: &str| ObjectRef {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    let words: Vec<&str> = text.split('/').collect();
    if !words.iter().all(|word| is_name(word)) {
        return Err(not_an_end(""));
    }
    match words.as_slice() {
        [name] => match service_of_dns_name(name) {
            Some((service, namespace)) => Ok(EndName::Service(id(namespace, service))),
            None => Ok(EndName::PodOrWorkload(id(default_namespace, name))),
        },
        [first, name] => Ok(match kind_of(first) {
            Some(kind) => of_kind(kind, id(default_namespace, name)),
            None => EndName::PodOrWorkload(id(first, name)),
        }),
        [namespace, kind, name] => match kind_of(kind) {
            Some(kind) => Ok(of_kind(kind, id(namespace, name))),
            None => Err(not_an_end(" (the word in the middle is no kind)")),
        },
        _ => Err(not_an_end("")),
    }
}

fn of_kind(kind: &'static str, id: ObjectRef) -> EndName {
    if kind == "Service" {
        EndName::Service(id)
    } else {
        EndName::Workload { kind, id }
    }
}

fn kind_of(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    let row = KINDS
        .iter()
        .find(|(_, words)| words.contains(&word.as_str()));
    row.map(|(kind, _)| *kind)
}

/// `orders.backend.svc`, with or without the cluster's domain.
fn service_of_dns_name(name: &str) -> Option<(&str, &str)> {
    let mut labels = name.trim_end_matches('.').split('.');
    match (labels.next(), labels.next(), labels.next()) {
        (Some(service), Some(namespace), Some("svc")) => Some((service, namespace)),
        _ => None,
    }
}

/// What an object's name can be (RFC 1123 subdomains, as Kubernetes has them).
fn is_name(word: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    !word.is_empty() && word.bytes().all(allowed)
}

impl fmt::Display for EndName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PodOrWorkload(id) => id.fmt(f),
            Self::Workload { kind, id } => write!(f, "{kind} {id}"),
            Self::Service(id) => write!(f, "Service {id}"),
            Self::Namespace(name) => write!(f, "namespace {name}"),
            Self::Address(address) => address.fmt(f),
            Self::World => f.write_str("world"),
        }
    }
}
