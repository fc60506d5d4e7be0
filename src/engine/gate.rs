//! What addresses alone decide, before any flow is looked up.

use std::net::IpAddr;

use crate::net::{Direction, Protocol};
use crate::packet::{Packet, Transport};
use crate::verdict::{Because, Reason, Verdict};

/// IGMP (RFC 3376).
const IGMP: Protocol = Protocol(2);

/// The verdict on packets that no policy is asked about; `None`: the policy decides.
#[inline]
pub(super) fn judge(pod: &[IpAddr], packet: &Packet, direction: Direction) -> Option<Verdict> {
    let (src, dst) = (packet.src(), packet.dst());
    let from_pod = pod.contains(&src);
    // A packet from the network with the pod's own address would be taken for the pod's.
    if direction == Direction::Ingress && from_pod {
        return Some(Verdict::Block(Reason::SpoofedSource));
    }
    if is_neighbour_discovery(packet) || is_membership_report(packet) {
        return Some(match direction {
            // A pod that speaks for its neighbours could take their traffic.
            Direction::Egress if !from_pod && !is_link_scoped(src) => {
                Verdict::Block(Reason::ForeignSource)
            }
            _ => Verdict::Allow(Because::NeighbourDiscovery),
        });
    }
    if is_multicast(dst) {
        return Some(Verdict::Block(Reason::Multicast));
    }
    let to_pod = pod.contains(&dst);
    match direction {
        Direction::Ingress if !to_pod => Some(Verdict::Block(Reason::NotForPod)),
        Direction::Egress if !from_pod => Some(Verdict::Block(Reason::ForeignSource)),
        Direction::Egress if to_pod => Some(Verdict::Allow(Because::Itself)),
        _ => None,
    }
}

/// Neighbour discovery must come from the link itself (hop limit 255, RFC 4861 §6.1, §7.1, §8.1)
/// and in one piece (RFC 6980); listener queries and reports stay on the link (hop limit 1,
/// RFC 2710 §3, RFC 3810 §5). Anything else with these types is a protocol without ports.
fn is_neighbour_discovery(packet: &Packet) -> bool {
    let Transport::Icmp(icmp) = packet.transport() else {
        return false;
    };
    if packet.protocol() != Protocol::ICMPV6 || packet.fragment().is_some() {
        return false;
    }
    match icmp.kind {
        133..=137 => packet.hop_limit() == 255,
        130..=132 | 143 => packet.hop_limit() == 1,
        _ => false,
    }
}

/// IGMP goes to groups, one hop far (RFC 3376 §4).
fn is_membership_report(packet: &Packet) -> bool {
    packet.protocol() == IGMP && packet.hop_limit() == 1 && packet.dst().is_multicast()
}

/// Addresses that a host has without being given one: link-local, and none yet.
fn is_link_scoped(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_unspecified(),
        IpAddr::V6(v6) => v6.is_unspecified() || v6.is_unicast_link_local(),
    }
}

fn is_multicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_multicast(),
    }
}
