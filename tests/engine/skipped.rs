//! Ports that no policy is asked about.

use sidewall::engine::Mode;
use sidewall::engine::skipped::SkippedPorts;
use sidewall::flow::Millis;
use sidewall::net::Direction::{Egress, Ingress};
use sidewall::packet::TcpFlags;
use sidewall::record::RecordKind;
use sidewall::verdict::{Because, Reason, Verdict};

use crate::support::*;

const SKIPPED: Verdict = Verdict::Allow(Because::SkippedPort);
const NO_RULE: Verdict = Verdict::Block(Reason::NoRule);

fn ports() -> SkippedPorts {
    SkippedPorts {
        inbound: "80".parse().expect("a port"),
        outbound: "443,53/UDP".parse().expect("ports"),
    }
}

#[test]
fn a_skipped_port_passes_where_nothing_else_does_and_only_in_its_direction() {
    let engine = skipping(64, ports());
    let closed = policy(&closed(), 1, Mode::Enforce);
    for (direction, bytes, wanted) in [
        (Ingress, syn((PEER, 1), (POD, 80)), SKIPPED),
        (Ingress, syn((PEER6, 1), (POD6, 80)), SKIPPED),
        (Ingress, syn((PEER, 1), (POD, 443)), NO_RULE),
        (Egress, syn((POD, 1), (PEER, 443)), SKIPPED),
        (Egress, syn((POD, 1), (PEER, 80)), NO_RULE),
        (Egress, udp((POD, 1), (PEER, 53), b"?"), SKIPPED),
        (Ingress, udp((PEER, 1), (POD, 80), b"?"), NO_RULE),
    ] {
        let judged = judge(&engine, Some(&closed), direction, &bytes, 0);
        assert_eq!(judged.verdict, wanted);
        let record = judged.record.expect("each is told once");
        assert_eq!((record.kind, record.verdict), (RecordKind::Verdict, wanted));
    }
}

#[test]
fn no_policy_takes_a_skipped_flow_back_and_its_packets_are_not_told() {
    let engine = skipping(64, ports());
    let first = policy(&closed(), 1, Mode::Enforce);
    assert!(
        judge(
            &engine,
            Some(&first),
            Ingress,
            &syn((PEER, 1), (POD, 80)),
            0
        )
        .pass
    );
    for (generation, mode) in [(2, Mode::Enforce), (3, Mode::Audit), (4, Mode::Enforce)] {
        let next = policy(&closed(), generation, mode);
        engine.sweep(Some(&next), Millis(1), &mut |record| panic!("{record:?}"));
        let reply = tcp((POD, 80), (PEER, 1), TcpFlags::SYN | TcpFlags::ACK, 1, 101);
        let judged = judge(&engine, Some(&next), Egress, &reply, 2);
        assert_eq!(judged.verdict, Verdict::Allow(Because::Established));
        assert_eq!(judged.record, None);
    }
}

#[test]
fn errors_about_a_skipped_flow_pass_under_every_policy() {
    let engine = skipping(64, ports());
    let (first, second) = (
        policy(&closed(), 1, Mode::Enforce),
        policy(&closed(), 2, Mode::Enforce),
    );
    let question = udp((POD, 1), (PEER, 53), b"?");
    assert!(judge(&engine, Some(&first), Egress, &question, 0).pass);
    let error = too_big(OTHER, POD, &question);
    let judged = judge(&engine, Some(&second), Ingress, &error, 1);
    assert_eq!(judged.verdict, Verdict::Allow(Because::RelatedError));
}

#[test]
fn before_the_first_policy_skipped_ports_are_as_closed_as_others() {
    let engine = skipping(64, ports());
    let judged = judge(&engine, None, Ingress, &syn((PEER, 1), (POD, 80)), 0);
    assert_eq!(judged.verdict, Verdict::Block(Reason::NotReady));
}

#[test]
fn what_begins_without_a_syn_is_no_connection_on_a_skipped_port_either() {
    let engine = skipping(64, ports());
    let closed = policy(&closed(), 1, Mode::Enforce);
    let middle = tcp((PEER, 1), (POD, 80), TcpFlags::ACK, 1, 1);
    let judged = judge(&engine, Some(&closed), Ingress, &middle, 0);
    assert_eq!(judged.verdict, Verdict::Block(Reason::NoSyn));
}
