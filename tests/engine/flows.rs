//! Flows: who may begin one, whose replies pass, when it is over.

use sidewall::engine::{Engine, Mode, Policy};
use sidewall::flow::{Counters, Millis, lifetime};
use sidewall::net::{Direction, Originator, Protocol};
use sidewall::packet::TcpFlags;
use sidewall::record::RecordKind;
use sidewall::verdict::{Because, Reason, RuleIndex, Verdict};

use crate::support::*;
use Direction::{Egress, Ingress};

const CLIENT: End<'_> = (PEER, 40_000);
const SERVER: End<'_> = (POD, 80);
const ESTABLISHED: Verdict = Verdict::Allow(Because::Established);
const NO_SYN: Verdict = Verdict::Block(Reason::NoSyn);

/// Peers may reach port 80 over TCP; the pod may reach nobody.
fn server() -> Policy {
    let list = allow(closed(), Ingress, &[ip(PEER), ip(PEER6)], Protocol::TCP, 80);
    policy(&list, 1, Mode::Enforce)
}

/// The pod may reach UDP 53; nobody may reach the pod.
fn client() -> Policy {
    let list = allow(closed(), Egress, &[ip(PEER)], Protocol::UDP, 53);
    policy(&list, 1, Mode::Enforce)
}

fn verdict(
    engine: &Engine,
    policy: &Policy,
    direction: Direction,
    bytes: &[u8],
    now: u64,
) -> Verdict {
    judge(engine, Some(policy), direction, bytes, now).verdict
}

/// A connection of the peer to port 80, established.
fn connect(engine: &Engine, policy: &Policy, now: u64) {
    let syn_ack = TcpFlags::SYN | TcpFlags::ACK;
    for (direction, bytes) in [
        (Ingress, tcp(CLIENT, SERVER, TcpFlags::SYN, 5_000, 0)),
        (Egress, tcp(SERVER, CLIENT, syn_ack, 1_000, 5_001)),
        (Ingress, tcp(CLIENT, SERVER, TcpFlags::ACK, 5_001, 1_001)),
    ] {
        assert!(judge(engine, Some(policy), direction, &bytes, now).pass);
    }
}

#[test]
fn a_rule_lets_a_flow_begin_and_its_replies_pass() {
    let (engine, policy) = (engine(64), server());
    let began = judge(&engine, Some(&policy), Ingress, &syn(CLIENT, SERVER), 7);
    assert_eq!(began.verdict, Verdict::Allow(Because::Rule(RuleIndex(0))));
    let record = began.record.expect("a new flow is a record");
    assert_eq!(record.kind, RecordKind::Verdict);
    assert_eq!(record.originator, Originator::Peer);
    assert_eq!((record.key.pod, record.key.pod_port), (ip(POD), 80));
    assert_eq!((record.key.peer, record.key.peer_port), (ip(PEER), 40_000));
    assert_eq!(
        (record.generation, record.began, record.at),
        (1, Millis(7), Millis(7))
    );
    assert_eq!(
        (record.received, record.sent),
        (Counters::one(40), Counters::default())
    );
    assert_eq!(record.flags, TcpFlags::SYN.0);

    let reply = tcp(SERVER, CLIENT, TcpFlags::SYN | TcpFlags::ACK, 1, 101);
    let judgement = judge(&engine, Some(&policy), Egress, &reply, 8);
    assert_eq!((judgement.verdict, judgement.record), (ESTABLISHED, None));
    assert_eq!(engine.flows().len(), 1);
}

#[test]
fn what_no_rule_allows_is_blocked_and_not_remembered() {
    let (engine, policy) = (engine(64), server());
    for (direction, bytes) in [
        (Ingress, syn(CLIENT, (POD, 81))),
        (Ingress, syn((OTHER, 1), SERVER)),
        (Ingress, udp(CLIENT, SERVER, b"")),
        (Egress, syn((POD, 5_000), (PEER, 80))),
        (Ingress, ping(PEER, POD, 1)),
    ] {
        let judgement = judge(&engine, Some(&policy), direction, &bytes, 0);
        assert_eq!(judgement.verdict, Verdict::Block(Reason::NoRule));
        let record = judgement.record.expect("a record");
        assert_eq!((record.kind, record.audit), (RecordKind::Verdict, false));
    }
    assert!(engine.flows().is_empty());
}

#[test]
fn a_pod_that_is_not_isolated_has_its_flows_tracked_all_the_same() {
    let (engine, policy) = (engine(64), policy(&open(), 1, Mode::Enforce));
    let judgement = judge(&engine, Some(&policy), Ingress, &syn(CLIENT, SERVER), 0);
    assert_eq!(judgement.verdict, Verdict::Allow(Because::NotIsolated));
    assert!(judgement.record.is_some());
    assert_eq!(engine.flows().len(), 1);
}

#[test]
fn replies_pass_even_where_nothing_may_begin() {
    let (engine, policy) = (engine(64), client());
    let question = udp((POD, 5_000), (PEER, 53), b"?");
    let answer = udp((PEER, 53), (POD, 5_000), b"!");
    assert_eq!(
        verdict(&engine, &policy, Ingress, &answer, 0),
        Verdict::Block(Reason::NoRule)
    );
    assert!(verdict(&engine, &policy, Egress, &question, 1).is_allowed());
    assert_eq!(verdict(&engine, &policy, Ingress, &answer, 2), ESTABLISHED);
    let other_port = udp((PEER, 53), (POD, 5_001), b"!");
    assert_eq!(
        verdict(&engine, &policy, Ingress, &other_port, 3),
        Verdict::Block(Reason::NoRule)
    );
}

#[test]
fn the_middle_of_a_conversation_that_nobody_began_is_blocked() {
    let engine = engine(64);
    let open = policy(&open(), 1, Mode::Enforce);
    for (name, direction, bytes) in [
        ("ACK", Ingress, tcp(CLIENT, SERVER, TcpFlags::ACK, 1, 1)),
        (
            "SYN ACK",
            Ingress,
            tcp(CLIENT, SERVER, TcpFlags::SYN | TcpFlags::ACK, 1, 1),
        ),
        (
            "FIN",
            Egress,
            tcp(SERVER, CLIENT, TcpFlags::FIN | TcpFlags::ACK, 1, 1),
        ),
        ("RST", Egress, tcp(SERVER, CLIENT, TcpFlags::RST, 1, 0)),
        ("SCTP DATA", Ingress, sctp(CLIENT, SERVER, 1, 0, &[0; 12])),
        (
            "SCTP COOKIE ECHO",
            Ingress,
            sctp(CLIENT, SERVER, 1, 10, &[0; 12]),
        ),
        ("echo reply", Ingress, pong(PEER, POD, 1)),
        ("IPv6 echo reply", Egress, pong(POD6, PEER6, 1)),
    ] {
        assert_eq!(
            verdict(&engine, &open, direction, &bytes, 0),
            NO_SYN,
            "{name}"
        );
    }
    assert!(engine.flows().is_empty());
}

#[test]
fn an_echo_each_way_is_two_flows() {
    let engine = engine(64);
    let list = allow(closed(), Egress, &[ip(PEER)], Protocol::ICMP, 0);
    let policy = policy(&list, 1, Mode::Enforce);
    assert!(verdict(&engine, &policy, Egress, &ping(POD, PEER, 7), 0).is_allowed());
    assert_eq!(
        verdict(&engine, &policy, Ingress, &pong(PEER, POD, 7), 1),
        ESTABLISHED
    );
    let asks_too = verdict(&engine, &policy, Ingress, &ping(PEER, POD, 7), 2);
    assert_eq!(
        asks_too,
        Verdict::Block(Reason::NoRule),
        "the same identifier is no permission"
    );
}

#[test]
fn ipv6_flows_are_as_good() {
    let (engine, policy) = (engine(64), server());
    let (client, server) = ((PEER6, 40_000), (POD6, 80));
    assert!(verdict(&engine, &policy, Ingress, &syn(client, server), 0).is_allowed());
    let reply = tcp(server, client, TcpFlags::SYN | TcpFlags::ACK, 1, 101);
    assert_eq!(verdict(&engine, &policy, Egress, &reply, 1), ESTABLISHED);
}

#[test]
fn both_directions_are_counted_and_the_end_tells_the_sum() {
    let (engine, policy) = (engine(64), server());
    connect(&engine, &policy, 0);
    let segmented = tcp_data(SERVER, CLIENT, TcpFlags::ACK, 1_001, 5_001, &[0; 3_000]);
    let size = Counters {
        packets: 3,
        bytes: 3_120,
    };
    let parsed = sidewall::packet::Packet::parse(&segmented);
    assert!(
        engine
            .judge(Some(&policy), &parsed, Egress, size, Millis(5))
            .pass
    );
    assert!(
        judge(
            &engine,
            Some(&policy),
            Ingress,
            &tcp(CLIENT, SERVER, TcpFlags::RST, 5_001, 0),
            6
        )
        .pass
    );
    let mut ended = Vec::new();
    engine.sweep(Some(&policy), Millis(6 + lifetime::CLOSED), &mut |record| {
        ended.push(record)
    });
    assert!(ended.is_empty(), "not yet");
    engine.sweep(Some(&policy), Millis(7 + lifetime::CLOSED), &mut |record| {
        ended.push(record)
    });
    let [record] = ended[..] else {
        panic!("one flow has ended: {ended:?}");
    };
    assert_eq!(record.kind, RecordKind::End);
    assert_eq!(
        record.sent,
        Counters {
            packets: 4,
            bytes: 3_160
        }
    );
    assert_eq!(
        record.received,
        Counters {
            packets: 3,
            bytes: 120
        }
    );
    assert_eq!((record.direction, record.began), (Ingress, Millis(0)));
    assert_eq!(record.verdict, Verdict::Allow(Because::Rule(RuleIndex(0))));
    assert!(engine.flows().is_empty());
}

#[test]
fn a_flow_is_over_when_its_time_is_over_though_nobody_has_swept() {
    let (engine, policy) = (engine(64), client());
    let question = udp((POD, 5_000), (PEER, 53), b"?");
    let answer = udp((PEER, 53), (POD, 5_000), b"!");
    assert!(judge(&engine, Some(&policy), Egress, &question, 0).pass);
    let late = lifetime::SHORT_EXCHANGE + 1;
    let judgement = judge(&engine, Some(&policy), Ingress, &answer, late);
    assert_eq!(judgement.verdict, Verdict::Block(Reason::NoRule));
    assert_eq!(
        judgement.ended.map(|record| record.kind),
        Some(RecordKind::End)
    );
    assert!(engine.flows().is_empty());
}

#[test]
fn a_port_used_again_is_a_new_flow() {
    let (engine, policy) = (engine(64), server());
    connect(&engine, &policy, 0);
    assert!(
        judge(
            &engine,
            Some(&policy),
            Egress,
            &tcp(SERVER, CLIENT, TcpFlags::RST, 1_001, 0),
            1
        )
        .pass
    );
    let again = judge(
        &engine,
        Some(&policy),
        Ingress,
        &tcp(CLIENT, SERVER, TcpFlags::SYN, 9_000, 0),
        2,
    );
    assert_eq!(again.verdict, Verdict::Allow(Because::Rule(RuleIndex(0))));
    assert_eq!(again.record.map(|record| record.began), Some(Millis(2)));
    assert_eq!(again.ended.map(|record| record.began), Some(Millis(0)));
    assert_eq!(engine.flows().len(), 1);
}

#[test]
fn a_syn_against_the_flow_needs_its_own_permission() {
    let engine = engine(64);
    let list = allow(closed(), Egress, &[ip(PEER)], Protocol::TCP, 443);
    let policy = policy(&list, 1, Mode::Enforce);
    let (pod, peer) = ((POD, 5_000), (PEER, 443));
    for (direction, bytes) in [
        (Egress, tcp(pod, peer, TcpFlags::SYN, 1_000, 0)),
        (
            Ingress,
            tcp(peer, pod, TcpFlags::SYN | TcpFlags::ACK, 5_000, 1_001),
        ),
        (Egress, tcp(pod, peer, TcpFlags::ACK, 1_001, 5_001)),
    ] {
        assert!(judge(&engine, Some(&policy), direction, &bytes, 0).pass);
    }
    let inwards = judge(&engine, Some(&policy), Ingress, &syn(peer, pod), 1);
    assert_eq!(
        (inwards.verdict, inwards.pass),
        (Verdict::Block(Reason::NoRule), false)
    );
    let goes_on = tcp(pod, peer, TcpFlags::ACK, 1_001, 5_001);
    assert_eq!(
        verdict(&engine, &policy, Egress, &goes_on, 2),
        ESTABLISHED,
        "untouched"
    );
}
