//! Later fragments and ICMP errors: what belongs to a flow by what it refers to.

use sidewall::engine::{Mode, Policy};
use sidewall::net::{Direction, Protocol};
use sidewall::verdict::{Because, Reason, Verdict};

use crate::support::*;
use Direction::{Egress, Ingress};

const STRAY: Verdict = Verdict::Block(Reason::StrayFragment);
const UNRELATED: Verdict = Verdict::Block(Reason::UnrelatedError);
const RELATED: Verdict = Verdict::Allow(Because::RelatedError);
const ESTABLISHED: Verdict = Verdict::Allow(Because::Established);

/// Peers may reach UDP 53 of the pod, and the pod theirs.
fn dns() -> Policy {
    let peers = [ip(PEER), ip(PEER6)];
    let list = allow(closed(), Ingress, &peers, Protocol::UDP, 53);
    let list = allow(list, Egress, &peers, Protocol::UDP, 53);
    policy(&list, 1, Mode::Enforce)
}

#[test]
fn later_fragments_follow_the_first() {
    for (peer, pod) in [(PEER, POD), (PEER6, POD6)] {
        let (engine, policy) = (engine(64), dns());
        let verdict = |bytes: &[u8]| judge(&engine, Some(&policy), Ingress, bytes, 0).verdict;
        let allowed = fragments(&udp((peer, 1), (pod, 53), &[0; 150]), 7, 64);
        assert_eq!(verdict(&allowed[1]), STRAY, "before the first");
        assert!(verdict(&allowed[0]).is_allowed());
        assert_eq!(verdict(&allowed[1]), ESTABLISHED);
        assert_eq!(verdict(&allowed[2]), ESTABLISHED);

        let blocked = fragments(&udp((peer, 1), (pod, 54), &[0; 150]), 8, 64);
        for (at, wanted) in [Verdict::Block(Reason::NoRule), STRAY, STRAY]
            .into_iter()
            .enumerate()
        {
            assert_eq!(verdict(&blocked[at]), wanted, "{at}");
        }
        assert_eq!(engine.flows().len(), 1);
    }
}

#[test]
fn a_blocked_first_fragment_ends_what_an_older_one_allowed() {
    let (engine, policy) = (engine(64), dns());
    let verdict = |bytes: &[u8]| judge(&engine, Some(&policy), Ingress, bytes, 0).verdict;
    let allowed = fragments(&udp((PEER, 1), (POD, 53), &[0; 150]), 7, 64);
    let blocked = fragments(&udp((PEER, 1), (POD, 54), &[0; 150]), 7, 64);
    assert!(verdict(&allowed[0]).is_allowed());
    assert!(!verdict(&blocked[0]).is_allowed());
    assert_eq!(verdict(&blocked[1]), STRAY);
}

#[test]
fn later_fragments_are_counted_to_their_flow() {
    let (engine, policy) = (engine(64), dns());
    let pieces = fragments(&udp((PEER, 1), (POD, 53), &[0; 150]), 7, 64);
    let mut key = None;
    for piece in &pieces {
        let judgement = judge(&engine, Some(&policy), Ingress, piece, 0);
        key = key.or(judgement.record.map(|record| record.key));
    }
    let flow = engine
        .flows()
        .get(&key.expect("a record"))
        .expect("the flow");
    assert_eq!(flow.received.packets, 3);
}

#[test]
fn a_policy_change_stops_a_packet_in_the_middle() {
    let engine = engine(64);
    let pieces = fragments(&udp((PEER, 1), (POD, 53), &[0; 150]), 7, 64);
    assert!(judge(&engine, Some(&dns()), Ingress, &pieces[0], 0).pass);
    let closed = policy(&closed(), 2, Mode::Enforce);
    let judgement = judge(&engine, Some(&closed), Ingress, &pieces[1], 1);
    assert_eq!(judgement.verdict, Verdict::Block(Reason::PolicyChanged));
    assert_eq!(
        judge(&engine, Some(&closed), Ingress, &pieces[2], 2).verdict,
        STRAY
    );
}

#[test]
fn errors_about_a_known_flow_pass_from_any_router_and_to_whoever_sent() {
    for (pod, peer, router) in [(POD, PEER, OTHER), (POD6, PEER6, "fd00::1")] {
        let (engine, policy) = (engine(64), dns());
        let question = udp((pod, 5_000), (peer, 53), b"?");
        let judged = |direction, bytes: &[u8]| judge(&engine, Some(&policy), direction, bytes, 1);
        assert_eq!(
            judged(Ingress, &too_big(router, pod, &question)).verdict,
            UNRELATED
        );
        assert!(judged(Egress, &question).pass);
        for from in [router, peer] {
            let judgement = judged(Ingress, &too_big(from, pod, &question));
            assert_eq!((judgement.verdict, judgement.record), (RELATED, None));
        }
        // The pod's own "port unreachable" about an answer.
        let answer = udp((peer, 53), (pod, 5_000), b"!");
        assert_eq!(
            judged(Egress, &too_big(pod, peer, &answer)).verdict,
            RELATED
        );
    }
}

#[test]
fn errors_that_quote_something_else_do_not() {
    let (engine, policy) = (engine(64), dns());
    let judged = |direction, bytes: &[u8]| judge(&engine, Some(&policy), direction, bytes, 1);
    let question = udp((POD, 5_000), (PEER, 53), b"?");
    assert!(judged(Egress, &question).pass);
    for (name, direction, error) in [
        (
            "another port",
            Ingress,
            too_big(OTHER, POD, &udp((POD, 5_001), (PEER, 53), b"?")),
        ),
        (
            "another protocol",
            Ingress,
            too_big(OTHER, POD, &syn((POD, 5_000), (PEER, 53))),
        ),
        (
            "the wrong way round",
            Ingress,
            too_big(OTHER, POD, &udp((PEER, 53), (POD, 5_000), b"?")),
        ),
        (
            "told to a third",
            Egress,
            too_big(POD, OTHER, &udp((PEER, 53), (POD, 5_000), b"?")),
        ),
    ] {
        let judgement = judged(direction, &error);
        assert_eq!(judgement.verdict, UNRELATED, "{name}");
        assert!(judgement.record.is_some(), "{name}");
    }
}

#[test]
fn an_error_neither_keeps_a_flow_alive_nor_counts_for_it() {
    let (engine, policy) = (engine(64), dns());
    let question = udp((POD, 5_000), (PEER, 53), b"?");
    let began = judge(&engine, Some(&policy), Egress, &question, 0)
        .record
        .expect("a record");
    assert!(
        judge(
            &engine,
            Some(&policy),
            Ingress,
            &too_big(OTHER, POD, &question),
            20_000
        )
        .pass
    );
    let flow = engine.flows().get(&began.key).expect("the flow");
    assert_eq!((flow.seen.0, flow.received.packets), (0, 0));
}

#[test]
fn errors_about_the_sidecars_own_connection_pass_before_the_first_sync() {
    let engine = engine(64);
    let key = sidewall::flow::FlowKey {
        pod: ip(POD),
        peer: ip(OTHER),
        pod_port: 45_000,
        peer_port: 6_443,
        protocol: Protocol::TCP,
    };
    engine.register_own(key, sidewall::flow::Millis(0));
    let error = too_big("10.0.0.1", POD, &syn((POD, 45_000), (OTHER, 6_443)));
    assert_eq!(judge(&engine, None, Ingress, &error, 0).verdict, RELATED);
}
