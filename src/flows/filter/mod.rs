//! Which flows are shown: Hubble's filters, with Hubble's meaning.
//!
//! [`parse`] turns flags in the order in which they were typed into a [`Filter`], once, with every
//! mistake at once; matching a line then neither parses nor allocates. A flow must meet each flag
//! that is given, with one of its values; what follows a `--not` must not be met by it. A flag that
//! speaks of either end (`--pod`) is met by one end as a whole: `--pod a --port 80` is a flow from
//! `a` and port 80, or one to `a` and port 80. Nothing here knows where flows come from: the
//! command line and the web page share it.

pub mod flags;
mod grammar;
mod labels;
#[cfg(test)]
mod tests;
mod values;

use std::net::IpAddr;

use ipnet::IpNet;

pub use self::flags::{FLAGS, Flag};
pub use self::grammar::{Mistake, parse};
use self::labels::Labels;
use super::Endpoint;
use super::layer4::Layer4;
use super::line::{Flow, Line};
use super::parts::{EventType, Service, TrafficDirection, Verdict};

/// A filter, ready to be asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// One of these must hold; none: everything passes.
    allow: Vec<Clause>,
    /// None of these may hold.
    deny: Vec<Clause>,
}

/// Criteria that must all hold.
#[derive(Debug, Clone, Default, PartialEq)]
struct Clause {
    source: Side,
    destination: Side,
    verdicts: Vec<Verdict>,
    drop_reasons: Vec<String>,
    directions: Vec<TrafficDirection>,
    protocols: Vec<ProtocolName>,
    types: Vec<TypeFilter>,
    tcp_flags: Vec<u8>,
    ip_versions: Vec<IpVersion>,
    replies: Vec<bool>,
    uuids: Vec<String>,
}

/// Criteria of one end. An empty list holds for every end.
#[derive(Debug, Clone, Default, PartialEq)]
struct Side {
    pods: Vec<Named>,
    services: Vec<Named>,
    labels: Vec<Labels>,
    addresses: Vec<IpNet>,
    ports: Vec<u16>,
    workloads: Vec<WorkloadName>,
    identities: Vec<u32>,
}

/// `namespace/prefix`; an empty part is every namespace, or every name.
#[derive(Debug, Clone, PartialEq)]
struct Named {
    namespace: String,
    prefix: String,
}

/// `Kind/name`; an empty part is any.
#[derive(Debug, Clone, PartialEq)]
struct WorkloadName {
    kind: String,
    name: String,
}

/// A protocol as `--protocol` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProtocolName {
    Icmp,
    IcmpV4,
    IcmpV6,
    Tcp,
    Udp,
    Sctp,
    Vrrp,
    Igmp,
    Dns,
    Http,
}

/// A type of event, with or without its subtype; zero is every type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TypeFilter {
    number: i32,
    sub_type: Option<i32>,
}

/// Family of the addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IpVersion {
    /// Neither is known.
    None,
    V4,
    V6,
}

impl Filter {
    /// Whether a line is to be shown. One that tells of lost lines is a flow of which nothing is
    /// known, as in Hubble's reader.
    #[must_use]
    pub fn matches(&self, line: &Line) -> bool {
        line.flow.as_deref().map_or_else(
            || self.matches_flow(&Flow::default()),
            |flow| self.matches_flow(flow),
        )
    }

    /// Whether a flow is to be shown.
    #[must_use]
    pub fn matches_flow(&self, flow: &Flow) -> bool {
        (self.allow.is_empty() || self.allow.iter().any(|clause| clause.matches(flow)))
            && !self.deny.iter().any(|clause| clause.matches(flow))
    }
}

/// Whether one of a flag's values holds; a flag that was not given always holds.
fn one_of<T>(values: &[T], holds: impl FnMut(&T) -> bool) -> bool {
    values.is_empty() || values.iter().any(holds)
}

impl Clause {
    fn matches(&self, flow: &Flow) -> bool {
        one_of(&self.verdicts, |verdict| *verdict == flow.verdict)
            && one_of(&self.directions, |direction| {
                *direction == flow.traffic_direction
            })
            && one_of(&self.protocols, |protocol| protocol.matches(flow))
            && one_of(&self.drop_reasons, |reason| {
                flow.verdict == Verdict::Dropped && *reason == flow.drop_reason_desc
            })
            && one_of(&self.types, |wanted| {
                flow.event_type.is_some_and(|event| wanted.matches(event))
            })
            && one_of(&self.replies, |wanted| reply(flow) == Some(*wanted))
            && one_of(&self.ip_versions, |version| *version == IpVersion::of(flow))
            && one_of(&self.uuids, |uuid| *uuid == flow.uuid)
            && one_of(&self.tcp_flags, |wanted| match flow.l4 {
                Layer4::Tcp(_, Some(flags)) => flags & wanted == *wanted,
                _ => false,
            })
            && self.source.matches(&End::source(flow))
            && self.destination.matches(&End::destination(flow))
    }
}

/// What a blocked flow does not say of being a reply counts as no reply (cilium
/// `pkg/hubble/filters/reply.go`).
fn reply(flow: &Flow) -> Option<bool> {
    flow.is_reply
        .or((flow.verdict == Verdict::Dropped).then_some(false))
}

/// One end of a flow, as far as filters look at it.
struct End<'a> {
    endpoint: &'a Endpoint,
    service: Option<&'a Service>,
    address: Option<IpAddr>,
    /// `None`: the protocol has no ports.
    port: Option<u16>,
}

impl<'a> End<'a> {
    fn source(flow: &'a Flow) -> Self {
        Self {
            endpoint: &flow.source,
            service: flow.source_service.as_ref(),
            address: flow.ip.source,
            port: has_ports(flow.l4).then_some(flow.l4.ports().source),
        }
    }

    fn destination(flow: &'a Flow) -> Self {
        Self {
            endpoint: &flow.destination,
            service: flow.destination_service.as_ref(),
            address: flow.ip.destination,
            port: has_ports(flow.l4).then_some(flow.l4.ports().destination),
        }
    }
}

const fn has_ports(l4: Layer4) -> bool {
    matches!(l4, Layer4::Tcp(..) | Layer4::Udp(_) | Layer4::Sctp(_))
}

impl Side {
    fn matches(&self, end: &End<'_>) -> bool {
        let endpoint = end.endpoint;
        one_of(&self.pods, |name| {
            name.matches(&endpoint.namespace, &endpoint.pod_name)
        }) && one_of(&self.services, |name| {
            end.service
                .is_some_and(|service| name.matches(&service.namespace, &service.name))
        }) && one_of(&self.labels, |labels| labels.match_all(&endpoint.labels))
            && one_of(&self.addresses, |block| {
                end.address.is_some_and(|address| block.contains(&address))
            })
            && one_of(&self.ports, |port| end.port == Some(*port))
            && one_of(&self.workloads, |wanted| {
                endpoint.workloads.iter().any(|workload| {
                    (wanted.name.is_empty() || wanted.name == workload.name)
                        && (wanted.kind.is_empty() || wanted.kind == workload.kind)
                })
            })
            && one_of(&self.identities, |identity| *identity == endpoint.identity)
    }
}

impl Named {
    fn matches(&self, namespace: &str, name: &str) -> bool {
        !(namespace.is_empty() && name.is_empty())
            && name.starts_with(&self.prefix)
            && (self.namespace.is_empty() || self.namespace == namespace)
    }
}

impl ProtocolName {
    fn matches(self, flow: &Flow) -> bool {
        match self {
            Self::Icmp => matches!(flow.l4, Layer4::IcmpV4 | Layer4::IcmpV6),
            Self::IcmpV4 => flow.l4 == Layer4::IcmpV4,
            Self::IcmpV6 => flow.l4 == Layer4::IcmpV6,
            Self::Tcp => matches!(flow.l4, Layer4::Tcp(..)),
            Self::Udp => matches!(flow.l4, Layer4::Udp(_)),
            Self::Sctp => matches!(flow.l4, Layer4::Sctp(_)),
            Self::Vrrp => flow.l4 == Layer4::Vrrp,
            Self::Igmp => flow.l4 == Layer4::Igmp,
            Self::Dns => flow.l7.is_some_and(|l7| l7.dns),
            Self::Http => flow.l7.is_some_and(|l7| l7.http),
        }
    }
}

impl TypeFilter {
    fn matches(self, event: EventType) -> bool {
        (self.number == 0 || self.number == event.number)
            && self
                .sub_type
                .is_none_or(|sub_type| sub_type == event.sub_type)
    }
}

impl IpVersion {
    fn of(flow: &Flow) -> Self {
        match flow.ip.source.or(flow.ip.destination) {
            None => Self::None,
            Some(IpAddr::V4(_)) => Self::V4,
            Some(IpAddr::V6(_)) => Self::V6,
        }
    }
}
