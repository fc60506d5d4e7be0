//! What addresses alone decide.

use sidewall::engine::Mode;
use sidewall::net::{Direction, Protocol};
use sidewall::packet::Malformed;
use sidewall::verdict::{Because, Reason, Verdict};

use crate::support::*;
use Direction::{Egress, Ingress};

const ROUTER_LOCAL: &str = "fe80::1";
const POD_LOCAL: &str = "fe80::10";

/// An ICMPv6 message with this type and hop limit.
fn nd(from: &str, to: &str, kind: u8, hop_limit: u8) -> Vec<u8> {
    icmp(from, to, kind, 0, [0; 4], &[0; 16], hop_limit)
}

fn igmp(from: &str, to: &str, hop_limit: u8) -> Vec<u8> {
    packet(
        from,
        to,
        Protocol(2),
        hop_limit,
        &[0x22, 0, 0, 0, 0, 0, 0, 0],
    )
}

fn allow(because: Because) -> Verdict {
    Verdict::Allow(because)
}

fn block(reason: Reason) -> Verdict {
    Verdict::Block(reason)
}

#[test]
fn addresses_that_cannot_be_are_blocked_whatever_the_policy_allows() {
    let engine = engine(64);
    let open = policy(&open(), 1, Mode::Enforce);
    for (name, direction, bytes, wanted) in [
        (
            "the pod's address from outside",
            Ingress,
            udp((POD, 1), (POD, 2), b""),
            Reason::SpoofedSource,
        ),
        (
            "the pod's other address from outside",
            Ingress,
            udp((POD6, 1), (POD6, 2), b""),
            Reason::SpoofedSource,
        ),
        (
            "the pod's address to anybody",
            Ingress,
            udp((POD, 1), (PEER, 2), b""),
            Reason::SpoofedSource,
        ),
        (
            "somebody else's packet",
            Ingress,
            udp((PEER, 1), (OTHER, 2), b""),
            Reason::NotForPod,
        ),
        (
            "a foreign source",
            Egress,
            udp((OTHER, 1), (PEER, 2), b""),
            Reason::ForeignSource,
        ),
        (
            "a foreign IPv6 source",
            Egress,
            udp((PEER6, 1), (PEER6, 2), b""),
            Reason::ForeignSource,
        ),
        (
            "multicast in",
            Ingress,
            udp((PEER, 1), ("224.0.0.251", 5_353), b""),
            Reason::Multicast,
        ),
        (
            "multicast out",
            Egress,
            udp((POD, 1), ("224.0.0.251", 5_353), b""),
            Reason::Multicast,
        ),
        (
            "broadcast",
            Ingress,
            udp((PEER, 1), ("255.255.255.255", 67), b""),
            Reason::Multicast,
        ),
        (
            "IPv6 multicast",
            Egress,
            udp((POD6, 1), ("ff02::fb", 5_353), b""),
            Reason::Multicast,
        ),
        (
            "link-local without neighbour discovery",
            Ingress,
            udp((ROUTER_LOCAL, 1), (POD_LOCAL, 2), b""),
            Reason::NotForPod,
        ),
    ] {
        let judgement = judge(&engine, Some(&open), direction, &bytes, 0);
        assert_eq!(judgement.verdict, block(wanted), "{name}");
        assert!(!judgement.pass, "{name}");
        let record = judgement.record.expect("a record");
        assert_eq!(
            (record.verdict, record.direction),
            (block(wanted), direction),
            "{name}"
        );
    }
    assert!(engine.flows().is_empty());
}

#[test]
fn neighbour_discovery_and_membership_reports_always_pass() {
    let engine = engine(64);
    let closed = policy(&closed(), 1, Mode::Enforce);
    for policy in [None, Some(&closed)] {
        for (name, direction, bytes) in [
            (
                "router advertisement",
                Ingress,
                nd(ROUTER_LOCAL, "ff02::1", 134, 255),
            ),
            (
                "solicitation for the pod",
                Ingress,
                nd(PEER6, "ff02::1:ff00:10", 135, 255),
            ),
            ("advertisement", Egress, nd(POD6, PEER6, 136, 255)),
            (
                "from its own link-local address",
                Egress,
                nd(POD_LOCAL, ROUTER_LOCAL, 136, 255),
            ),
            (
                "is my address taken?",
                Egress,
                nd("::", "ff02::1:ff00:10", 135, 255),
            ),
            (
                "listener query",
                Ingress,
                nd(ROUTER_LOCAL, "ff02::1", 130, 1),
            ),
            ("listener report", Egress, nd(POD_LOCAL, "ff02::16", 143, 1)),
            ("IGMP query", Ingress, igmp("10.0.0.1", "224.0.0.1", 1)),
            ("IGMP report", Egress, igmp(POD, "224.0.0.22", 1)),
        ] {
            let judgement = judge(&engine, policy, direction, &bytes, 0);
            assert_eq!(
                judgement.verdict,
                allow(Because::NeighbourDiscovery),
                "{name}"
            );
            assert!(judgement.pass && judgement.record.is_none(), "{name}");
        }
    }
}

#[test]
fn what_only_looks_like_neighbour_discovery_needs_a_rule() {
    let engine = engine(64);
    let closed = policy(&closed(), 1, Mode::Enforce);
    for (name, direction, bytes, wanted) in [
        ("routed", Ingress, nd(PEER6, POD6, 135, 254), Reason::NoRule),
        (
            "a report that went further",
            Egress,
            nd(POD6, PEER6, 143, 64),
            Reason::NoRule,
        ),
        (
            "another type",
            Ingress,
            nd(PEER6, POD6, 138, 255),
            Reason::NoRule,
        ),
        (
            "for a neighbour",
            Egress,
            nd(PEER6, "ff02::1", 136, 255),
            Reason::ForeignSource,
        ),
        (
            "with the pod's address",
            Ingress,
            nd(POD6, "ff02::1", 136, 255),
            Reason::SpoofedSource,
        ),
        (
            "IGMP to one host",
            Egress,
            igmp(POD, PEER, 1),
            Reason::NoRule,
        ),
        (
            "IGMP far away",
            Egress,
            igmp(POD, "224.0.0.22", 9),
            Reason::Multicast,
        ),
    ] {
        let judgement = judge(&engine, Some(&closed), direction, &bytes, 0);
        assert_eq!(judgement.verdict, block(wanted), "{name}");
    }
}

#[test]
fn the_pod_may_talk_to_itself() {
    let engine = engine(64);
    let closed = policy(&closed(), 1, Mode::Enforce);
    let bytes = udp((POD, 1), (POD, 2), b"");
    let judgement = judge(&engine, Some(&closed), Egress, &bytes, 0);
    assert_eq!(judgement.verdict, allow(Because::Itself));
    let early = judge(&engine, None, Egress, &bytes, 0);
    assert_eq!(early.verdict, block(Reason::NotReady));
}

#[test]
fn before_the_first_sync_everything_is_blocked() {
    let engine = engine(64);
    for (direction, bytes) in [
        (Ingress, syn((PEER, 1), (POD, 2))),
        (Egress, syn((POD, 1), (PEER, 2))),
        (Egress, ping(POD, "10.0.0.1", 1)),
    ] {
        let judgement = judge(&engine, None, direction, &bytes, 0);
        assert_eq!(judgement.verdict, block(Reason::NotReady));
        assert!(!judgement.pass);
        assert_eq!(judgement.record.map(|record| record.generation), Some(0));
    }
}

#[test]
fn malformed_bytes_are_blocked_by_name() {
    let engine = engine(64);
    let open = policy(&open(), 1, Mode::Enforce);
    for policy in [None, Some(&open)] {
        let judgement = judge(&engine, policy, Ingress, &[0x45; 3], 0);
        let wanted = block(Reason::Malformed(Malformed::Truncated));
        assert_eq!((judgement.verdict, judgement.pass), (wanted, false));
        assert_eq!(judgement.record, None, "it has no flow to name");
    }
}
