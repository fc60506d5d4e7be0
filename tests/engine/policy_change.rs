//! Another policy judges every flow again.

use sidewall::engine::{Engine, Mode, Policy};
use sidewall::flow::Millis;
use sidewall::net::{Direction, Protocol};
use sidewall::packet::TcpFlags;
use sidewall::record::{FlowRecord, RecordKind};
use sidewall::verdict::{Because, Reason, RuleIndex, Verdict};

use crate::support::*;
use Direction::{Egress, Ingress};

const CLIENT: End<'_> = (PEER, 40_000);
const SERVER: End<'_> = (POD, 80);
const CHANGED: Verdict = Verdict::Block(Reason::PolicyChanged);

fn ingress_80(generation: u64) -> Policy {
    let list = allow(closed(), Ingress, &[ip(PEER)], Protocol::TCP, 80);
    policy(&list, generation, Mode::Enforce)
}

fn nothing(generation: u64) -> Policy {
    policy(&closed(), generation, Mode::Enforce)
}

/// An engine with one connection of the peer, begun under generation 1.
fn with_connection() -> Engine {
    let engine = engine(64);
    assert!(
        judge(
            &engine,
            Some(&ingress_80(1)),
            Ingress,
            &syn(CLIENT, SERVER),
            0
        )
        .pass
    );
    engine
}

fn swept(engine: &Engine, policy: &Policy) -> Vec<FlowRecord> {
    let mut told = Vec::new();
    engine.sweep(Some(policy), Millis(1), &mut |record| told.push(record));
    told
}

#[test]
fn the_next_packet_of_either_side_is_judged_in_the_direction_of_who_began() {
    for (direction, bytes) in [
        (Ingress, tcp(CLIENT, SERVER, TcpFlags::ACK, 101, 1)),
        (
            Egress,
            tcp(SERVER, CLIENT, TcpFlags::SYN | TcpFlags::ACK, 1, 101),
        ),
    ] {
        let engine = with_connection();
        let still = judge(&engine, Some(&ingress_80(2)), direction, &bytes, 1);
        assert_eq!(still.verdict, Verdict::Allow(Because::Established));
        assert_eq!(still.record, None);

        let lost = judge(&engine, Some(&nothing(3)), direction, &bytes, 2);
        assert_eq!((lost.verdict, lost.pass), (CHANGED, false));
        let record = lost.record.expect("a record");
        assert_eq!(
            (record.kind, record.verdict),
            (RecordKind::Revoked, CHANGED)
        );
        assert_eq!((record.generation, record.audit), (3, false));
        assert_eq!((record.direction, record.began), (direction, Millis(0)));
        assert!(engine.flows().is_empty());

        let after = judge(&engine, Some(&nothing(3)), direction, &bytes, 3);
        assert_eq!(after.verdict, Verdict::Block(Reason::NoSyn));
    }
}

#[test]
fn a_sweep_reaches_flows_that_are_silent_at_once_and_only_once() {
    let engine = with_connection();
    assert_eq!(swept(&engine, &ingress_80(2)), []);
    assert_eq!(engine.flows().len(), 1);
    let told = swept(&engine, &nothing(3));
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].kind, told[0].verdict),
        (RecordKind::Revoked, CHANGED)
    );
    assert_eq!(swept(&engine, &nothing(3)), []);
    assert!(engine.flows().is_empty());
}

#[test]
fn a_flow_knows_the_rule_that_allows_it_now() {
    let engine = with_connection();
    let list = allow(closed(), Ingress, &[ip(OTHER)], Protocol::TCP, 80);
    let list = allow(list, Ingress, &[ip(PEER)], Protocol::TCP, 80);
    let policy = policy(&list, 2, Mode::Enforce);
    assert_eq!(swept(&engine, &policy), []);
    let reset = tcp(SERVER, CLIENT, TcpFlags::RST | TcpFlags::ACK, 0, 101);
    assert!(judge(&engine, Some(&policy), Egress, &reset, 2).pass);
    let mut told = Vec::new();
    engine.sweep(Some(&policy), Millis(60_000), &mut |record| {
        told.push(record)
    });
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].verdict, Verdict::Allow(Because::Rule(RuleIndex(1))));
    assert_eq!(told[0].generation, 2);
}

#[test]
fn isolation_alone_takes_flows_away_that_began_without_it() {
    let engine = engine(64);
    let open = policy(&open(), 1, Mode::Enforce);
    let question = udp((POD, 5_000), (PEER, 53), b"?");
    assert!(judge(&engine, Some(&open), Egress, &question, 0).pass);
    let list = isolate(crate::support::open(), Ingress);
    let inwards = policy(&list, 2, Mode::Enforce);
    let answer = udp((PEER, 53), (POD, 5_000), b"!");
    let reply = judge(&engine, Some(&inwards), Ingress, &answer, 1);
    assert!(reply.pass, "the pod began, and may");
    let outwards = policy(&isolate(list, Egress), 3, Mode::Enforce);
    assert_eq!(
        judge(&engine, Some(&outwards), Ingress, &answer, 2).verdict,
        CHANGED
    );
}

#[test]
fn errors_about_a_flow_that_lost_its_permission_do_not_pass() {
    let engine = with_connection();
    let about = tcp(SERVER, CLIENT, TcpFlags::ACK, 1, 1);
    let error = too_big(OTHER, POD, &about);
    let related = Verdict::Allow(Because::RelatedError);
    assert_eq!(
        judge(&engine, Some(&ingress_80(1)), Ingress, &error, 1).verdict,
        related
    );
    assert_eq!(
        judge(&engine, Some(&ingress_80(2)), Ingress, &error, 1).verdict,
        related
    );
    let judgement = judge(&engine, Some(&nothing(3)), Ingress, &error, 1);
    assert_eq!(judgement.verdict, Verdict::Block(Reason::UnrelatedError));
}

#[test]
fn a_late_answer_does_not_begin_the_other_way_round_what_lost_its_permission() {
    let (client, server) = ((PEER, 40_000), (POD, 53));
    let inwards = |generation| {
        let list = allow(open(), Ingress, &[ip(PEER)], Protocol::UDP, 53);
        policy(&list, generation, Mode::Enforce)
    };
    // Nobody may ask any more; what the pod begins is free.
    let shut = |generation| policy(&isolate(open(), Ingress), generation, Mode::Enforce);
    let (question, answer) = (udp(client, server, b"?"), udp(server, client, b"!"));
    for by_a_sweep in [false, true] {
        let engine = engine(64);
        assert!(judge(&engine, Some(&inwards(1)), Ingress, &question, 0).pass);
        if by_a_sweep {
            assert_eq!(swept(&engine, &shut(2)).len(), 1);
        } else {
            assert_eq!(
                judge(&engine, Some(&shut(2)), Ingress, &question, 1).verdict,
                CHANGED
            );
        }
        for at in [2, 3, 5_000] {
            let late = judge(&engine, Some(&shut(2)), Egress, &answer, at);
            assert_eq!((late.verdict, late.pass), (CHANGED, false), "after {at} ms");
            let again = judge(&engine, Some(&shut(2)), Ingress, &question, at);
            assert_eq!(
                again.verdict,
                Verdict::Block(Reason::NoRule),
                "after {at} ms"
            );
        }
        let elsewhere = udp(server, (PEER, 40_001), b"!");
        assert!(
            judge(&engine, Some(&shut(2)), Egress, &elsewhere, 4).pass,
            "from another port"
        );
        assert!(
            judge(&engine, Some(&inwards(3)), Ingress, &question, 5).pass,
            "asked anew"
        );
        assert!(
            judge(&engine, Some(&inwards(3)), Egress, &answer, 6).pass,
            "and answered"
        );
    }
    let engine = engine(64);
    assert!(judge(&engine, Some(&inwards(1)), Ingress, &question, 0).pass);
    assert_eq!(swept(&engine, &shut(2)).len(), 1);
    let own = judge(&engine, Some(&shut(2)), Egress, &answer, 5_002);
    assert!(
        own.pass,
        "nobody waits for an answer any more: it is the pod's own"
    );
}
