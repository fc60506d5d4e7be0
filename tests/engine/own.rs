//! Flows that are known without their first packet: the sidecar's own, those found after a
//! take-over, those that the kernel carries.

use sidewall::engine::{Mode, Policy};
use sidewall::flow::{Counters, FlowKey, Millis, lifetime};
use sidewall::net::{Direction, Originator, Protocol};
use sidewall::packet::TcpFlags;
use sidewall::verdict::{Because, Reason, Verdict};

use crate::support::*;
use Direction::{Egress, Ingress};

const CLIENT: End<'_> = (PEER, 40_000);
const SERVER: End<'_> = (POD, 80);

fn server_policy() -> Policy {
    let list = allow(closed(), Ingress, &[ip(PEER)], Protocol::TCP, 80);
    policy(&list, 1, Mode::Enforce)
}

#[test]
fn the_sidecars_own_connection_passes_whatever_the_policy_until_it_is_forgotten() {
    let engine = engine(64);
    let closed = policy(&closed(), 1, Mode::Enforce);
    let key = FlowKey {
        pod: ip(POD),
        peer: ip(OTHER),
        pod_port: 45_000,
        peer_port: 6_443,
        protocol: Protocol::TCP,
    };
    let out = syn((POD, 45_000), (OTHER, 6_443));
    let back = tcp(
        (OTHER, 6_443),
        (POD, 45_000),
        TcpFlags::SYN | TcpFlags::ACK,
        1,
        101,
    );
    engine.register_own(key, Millis(0));
    for policy in [None, Some(&closed)] {
        for (direction, bytes) in [(Egress, &out), (Ingress, &back)] {
            let judgement = judge(&engine, policy, direction, bytes, 1);
            assert_eq!(judgement.verdict, Verdict::Allow(Because::OwnConnection));
            assert!(judgement.pass && judgement.record.is_none());
        }
        let other = syn((POD, 45_001), (OTHER, 6_443));
        assert!(
            !judge(&engine, policy, Egress, &other, 1).pass,
            "only this one"
        );
    }
    let mut told = 0;
    engine.sweep(Some(&closed), Millis(u64::MAX), &mut |_| told += 1);
    assert_eq!(
        (told, engine.flows().len()),
        (0, 0),
        "it is not one of the flows"
    );
    engine.forget_own(&key);
    assert!(!judge(&engine, Some(&closed), Egress, &out, 2).pass);
}

#[test]
fn a_connection_found_after_a_take_over_goes_on_if_the_policy_allows_it() {
    let (engine, policy) = (engine(64), server_policy());
    let key = |peer_port, protocol| FlowKey {
        pod: ip(POD),
        peer: ip(PEER),
        pod_port: 80,
        peer_port,
        protocol,
    };
    let adopt = |key, originator| engine.adopt(&policy, key, originator, Millis(0));
    let tcp_key = key(40_000, Protocol::TCP);
    assert!(adopt(tcp_key, Originator::Peer).is_allowed());
    let middle = tcp(CLIENT, SERVER, TcpFlags::ACK, 77, 99);
    assert_eq!(
        judge(&engine, Some(&policy), Ingress, &middle, 1).verdict,
        Verdict::Allow(Because::Established)
    );

    let outwards = adopt(key(40_001, Protocol::TCP), Originator::Pod);
    assert_eq!(outwards, Verdict::Block(Reason::NoRule));
    assert_eq!(
        adopt(key(40_002, Protocol::UDP), Originator::Peer),
        Verdict::Block(Reason::NoSyn)
    );
    let foreign = FlowKey {
        pod: ip(OTHER),
        ..tcp_key
    };
    assert_eq!(
        adopt(foreign, Originator::Peer),
        Verdict::Block(Reason::NotForPod)
    );
    assert_eq!(engine.flows().len(), 1);
}

#[test]
fn what_the_kernel_carries_keeps_a_flow_alive_and_is_counted() {
    let (engine, policy) = (engine(64), server_policy());
    assert!(judge(&engine, Some(&policy), Ingress, &syn(CLIENT, SERVER), 0).pass);
    let key = FlowKey {
        pod: ip(POD),
        peer: ip(PEER),
        pod_port: 80,
        peer_port: 40_000,
        protocol: Protocol::TCP,
    };
    let late = lifetime::TCP_ESTABLISHED;
    let carried = Counters {
        packets: 5,
        bytes: 500,
    };
    assert!(engine.flows().refresh(&key, carried, carried, Millis(late)));
    let mut told = 0;
    engine.sweep(Some(&policy), Millis(late + 5), &mut |_| told += 1);
    assert_eq!(told, 0);
    let flow = engine.flows().get(&key).expect("the flow");
    assert_eq!((flow.sent.packets, flow.received.packets), (5, 6));
    assert!(
        flow.tracker.is_half_open(),
        "its numbers open a connection, counts do not"
    );
    let unknown = FlowKey {
        pod_port: 81,
        ..key
    };
    assert!(
        !engine
            .flows()
            .refresh(&unknown, carried, carried, Millis(late))
    );
}
