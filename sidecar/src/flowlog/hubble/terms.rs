//! What Hubble calls things, and how it numbers them.

use serde_json::{Value, json};
use sidewall::net::{Direction, Protocol};
use sidewall::policy::allow_list::{ObjectRef, Rule};
use sidewall::verdict::{Reason, Verdict};

use super::super::entry::{Entry, Party, Who};

pub(super) const fn verdict(verdict: Verdict, audit: bool) -> &'static str {
    match verdict {
        Verdict::Allow(_) => "FORWARDED",
        Verdict::Block(_) if audit => "AUDIT",
        Verdict::Block(_) => "DROPPED",
    }
}

/// Whether policies forbade it, and not the packet's own shape.
pub(super) const fn is_policy(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::NoRule | Reason::InvalidPolicy | Reason::PolicyChanged | Reason::ServiceMixed
    )
}

/// The nearest of Hubble's drop reasons; ours, exactly, is in `sidewall.verdict`. Only names that
/// the oldest readers know: an unknown name makes them refuse the line.
pub(super) const fn drop_reason(reason: Reason) -> &'static str {
    match reason {
        Reason::NotReady => "NO_CONFIGURATION_AVAILABLE_TO_PERFORM_POLICY_DECISION",
        Reason::NoRule | Reason::InvalidPolicy | Reason::PolicyChanged | Reason::ServiceMixed => {
            "POLICY_DENIED"
        }
        Reason::ServiceNoEndpoints => "SERVICE_BACKEND_NOT_FOUND",
        Reason::Malformed(_) => "INVALID_PACKET_DROPPED",
        Reason::SpoofedSource | Reason::ForeignSource => "INVALID_SOURCE_IP",
        Reason::NotForPod => "NO_MATCHING_LOCAL_CONTAINER_FOUND",
        Reason::Multicast => "UNKNOWN_L3_TARGET_ADDRESS",
        Reason::NoSyn | Reason::UnrelatedError => "UNKNOWN_CONNECTION_TRACKING_STATE",
        Reason::StrayFragment => "FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND",
        Reason::FlowTableFull => "CT_MAP_INSERTION_FAILED",
    }
}

/// Cilium's policy match types (`pkg/monitor/api/types.go`): by peer, by peer and port, by port,
/// by neither.
pub(super) const fn match_type(rule: &Rule) -> u32 {
    match (&rule.peers, &rule.ports) {
        (Some(_), None) => 1,
        (Some(_), Some(_)) => 2,
        (None, Some(_)) => 3,
        (None, None) => 4,
    }
}

pub(super) const fn trace_point(direction: Direction) -> (i32, &'static str) {
    match direction {
        Direction::Ingress => (0, "TO_ENDPOINT"),
        Direction::Egress => (5, "FROM_ENDPOINT"),
    }
}

/// A policy as Cilium describes one that it derived from a NetworkPolicy.
pub(super) fn policy(policy: &ObjectRef) -> Value {
    json!({
        "name": policy.name,
        "namespace": policy.namespace,
        "kind": "NetworkPolicy",
        "labels": [
            "k8s:io.cilium.k8s.policy.derived-from=NetworkPolicy",
            format!("k8s:io.cilium.k8s.policy.name={}", policy.name),
            format!("k8s:io.cilium.k8s.policy.namespace={}", policy.namespace),
        ],
    })
}

pub(super) fn service(party: &Party) -> Option<ObjectRef> {
    match &party.who {
        Who::Service(service) => Some(service.clone()),
        _ => None,
    }
}

pub(super) fn layer4(entry: &Entry) -> Option<Value> {
    let ports = json!({
        "source_port": entry.source.port,
        "destination_port": entry.destination.port,
    });
    let record = &entry.record;
    Some(match record.key.protocol {
        Protocol::TCP => {
            let mut tcp = ports;
            tcp["flags"] = tcp_flags(record.flags)
                .map(|name| (name.to_owned(), Value::Bool(true)))
                .collect::<serde_json::Map<_, _>>()
                .into();
            json!({"TCP": tcp})
        }
        Protocol::UDP => json!({"UDP": ports}),
        Protocol::SCTP => json!({"SCTP": ports}),
        Protocol::ICMP => json!({"ICMPv4": {"type": record.flags}}),
        Protocol::ICMPV6 => json!({"ICMPv6": {"type": record.flags}}),
        _ => return None,
    })
}

pub(super) fn summary(entry: &Entry) -> String {
    let protocol = entry.record.key.protocol;
    match protocol {
        Protocol::TCP => {
            let flags: Vec<_> = tcp_flags(entry.record.flags).collect();
            format!("TCP Flags: {}", flags.join(", "))
        }
        Protocol::ICMP | Protocol::ICMPV6 => format!("{protocol} type {}", entry.record.flags),
        other => other.to_string(),
    }
}

/// RFC 9293 §3.1 and RFC 3168 §6.1, from the lowest bit.
fn tcp_flags(flags: u8) -> impl Iterator<Item = &'static str> {
    ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"]
        .into_iter()
        .enumerate()
        .filter(move |(bit, _)| flags & (1 << bit) != 0)
        .map(|(_, name)| name)
}

/// A random UUID (RFC 9562 §5.4, version 4).
pub(super) fn uuid() -> String {
    let random = (rand::random::<u128>() & !(0xf << 76) & !(0x3 << 62)) | (4 << 76) | (2 << 62);
    let hex = format!("{random:032x}");
    let (a, rest) = hex.split_at(8);
    let (b, rest) = rest.split_at(4);
    let (c, rest) = rest.split_at(4);
    let (d, e) = rest.split_at(4);
    format!("{a}-{b}-{c}-{d}-{e}")
}
