//! A line of the flow log as the page shows it: a row of the table, and the edge it belongs to.

use std::net::IpAddr;

use serde::Serialize;
use sidewall::flows::{Endpoint, Flow, Kind, Line, Verdict as Said};
use sidewall::net::Direction;
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::cluster::{Cluster, Known};

use super::edges::{Key, Verdict};
use super::view::{node_id, node_of};
use crate::flows::Entry;

/// The id of what is outside of the cluster, or unknown in it and in the line.
const WORLD: &str = "world";

/// A row.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub(super) id: u64,
    /// RFC 3339.
    pub(super) time: String,
    /// The flow's end, of which there is nothing to judge.
    pub(super) end: bool,
    pub(super) verdict: Verdict,
    pub(super) direction: Direction,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) protocol: String,
    pub(super) port: u16,
    /// In one word, and in a sentence.
    pub(super) reason: String,
    pub(super) summary: String,
    pub(super) edge: String,
    /// The ends as `/api/v1/why` takes them.
    pub(super) from_end: String,
    pub(super) to_end: String,
    #[serde(skip)]
    pub(super) key: Key,
    /// The policies that decided.
    #[serde(skip)]
    pub(super) policies: Vec<ObjectRef>,
    /// How many flows it tells of.
    #[serde(skip)]
    pub(super) flows: u64,
    /// What it was made of: for filters, and for the export.
    #[serde(skip)]
    pub(super) entry: Entry,
}

impl Row {
    /// Reads a line; `None`: it tells of no flow that was judged at an end.
    pub(super) fn new(id: u64, entry: Entry, cluster: &Cluster) -> Option<Self> {
        let line = &entry.line;
        let flow = line.flow.as_deref()?;
        let verdict = match flow.verdict {
            Said::Forwarded => Verdict::Allowed,
            Said::Dropped => Verdict::Blocked,
            Said::Audit => Verdict::Audit,
            _ => return None,
        };
        let direction = flow.direction()?;
        let own = line.sidewall.as_ref();
        let (from, to) = (
            Party::new(&flow.source, flow.ip.source, cluster),
            Party::new(&flow.destination, flow.ip.destination, cluster),
        );
        let key = Key {
            from: from.node,
            to: to.node,
            protocol: protocol(flow),
            port: flow.l4.ports().destination,
        };
        let policies = flow.policies(verdict == Verdict::Allowed).collect();
        Some(Self {
            id,
            time: time(line, flow),
            end: own.is_some_and(|own| own.kind == Kind::End),
            verdict,
            direction,
            from: from.shown,
            to: to.shown,
            protocol: key.protocol.clone(),
            port: key.port,
            reason: own.map_or_else(|| flow.drop_reason_desc.clone(), |own| own.verdict.clone()),
            summary: line.reason().unwrap_or_default().to_owned(),
            edge: key.id(),
            from_end: from.end,
            to_end: to.end,
            key,
            policies,
            flows: own.and_then(|own| own.repeats).unwrap_or(1),
            entry,
        })
    }
}

/// A side of a flow.
struct Party {
    /// The workload it belongs to.
    node: String,
    /// In the table.
    shown: String,
    /// For the question why.
    end: String,
}

impl Party {
    /// Who is on a side: a pod by name, a Service by the workload behind it, or an address.
    fn new(said: &Endpoint, address: Option<IpAddr>, cluster: &Cluster) -> Self {
        if let Some(id) = said.pod() {
            // Of a pod that is gone, or that nobody told of, the line says what made it.
            let node = cluster
                .pod(&id)
                .map_or_else(|| said_node(said, &id), node_of);
            return Self {
                node,
                shown: id.to_string(),
                end: id.to_string(),
            };
        }
        let text = address.map(|address| address.to_string());
        let text = text.unwrap_or_default();
        match address.and_then(|address| cluster.at(address)) {
            Some(Known::Pod(pod)) => Self {
                node: node_of(pod),
                shown: pod.id.to_string(),
                end: pod.id.to_string(),
            },
            Some(Known::Service(service)) => {
                let behind = cluster.endpoint_slices().filter(|slice| {
                    slice.id.namespace == service.id.namespace
                        && slice.service.as_ref() == Some(&service.id.name)
                });
                let mut addresses = behind.flat_map(|slice| &slice.endpoints);
                let pod = addresses.find_map(|endpoint| cluster.pod_at(endpoint.address));
                Self {
                    node: pod.map_or_else(|| WORLD.to_owned(), node_of),
                    shown: format!("svc {}", service.id),
                    end: text,
                }
            }
            _ => Self {
                node: WORLD.to_owned(),
                shown: text.clone(),
                end: text,
            },
        }
    }
}

/// The workload of a pod as the line names it; a pod that nothing made is its own.
fn said_node(said: &Endpoint, pod: &ObjectRef) -> String {
    match said.workloads.first() {
        Some(workload) => node_id(&pod.namespace, &workload.kind, &workload.name),
        None => node_id(&pod.namespace, "Pod", &pod.name),
    }
}

fn protocol(flow: &Flow) -> String {
    let protocol = flow.l4.protocol();
    protocol.map_or_else(String::new, |protocol| protocol.to_string())
}

fn time(line: &Line, flow: &Flow) -> String {
    let time = flow.time.or(line.time);
    time.map_or_else(String::new, |time| time.to_string())
}
