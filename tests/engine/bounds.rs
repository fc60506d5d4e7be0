//! What a flood can take, and what it cannot.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use sidewall::engine::{Engine, Mode, Policy};
use sidewall::flow::{Millis, lifetime};
use sidewall::net::{Direction, Originator};
use sidewall::packet::TcpFlags;
use sidewall::verdict::{Reason, Verdict};

use crate::support::*;
use Direction::{Egress, Ingress};

const FULL: Verdict = Verdict::Block(Reason::FlowTableFull);
const CAPACITY: usize = 64;

fn enforced() -> Policy {
    policy(&open(), 1, Mode::Enforce)
}

/// The peer's SYN from this port.
fn knock(engine: &Engine, policy: &Policy, port: u16, now: u64) -> Verdict {
    judge(
        engine,
        Some(policy),
        Ingress,
        &syn((PEER, port), (POD, 80)),
        now,
    )
    .verdict
}

/// Completes the handshake that [`knock`] began.
fn complete(engine: &Engine, policy: &Policy, port: u16) {
    let (client, server) = ((PEER, port), (POD, 80));
    let syn_ack = TcpFlags::SYN | TcpFlags::ACK;
    for (direction, bytes) in [
        (Egress, tcp(server, client, syn_ack, 1_000, 101)),
        (Ingress, tcp(client, server, TcpFlags::ACK, 101, 1_001)),
    ] {
        assert!(judge(engine, Some(policy), direction, &bytes, 0).pass);
    }
}

#[test]
fn a_flood_of_syn_takes_a_quarter_and_leaves_the_pod_its_own() {
    let (engine, policy) = (engine(CAPACITY), enforced());
    let admitted = (0..1_000)
        .filter(|&port| knock(&engine, &policy, port, 0).is_allowed())
        .count();
    assert_eq!(admitted, CAPACITY / 4);
    assert_eq!(knock(&engine, &policy, 2_000, 0), FULL);
    assert_eq!(engine.flows().half_open(Originator::Peer), CAPACITY / 4);

    let own = (0..1_000)
        .filter(|&port| {
            judge(
                &engine,
                Some(&policy),
                Egress,
                &syn((POD, port), (PEER, 443)),
                0,
            )
            .pass
        })
        .count();
    assert_eq!(own, CAPACITY / 4, "the other quarter");
    assert_eq!(
        engine.flows().len(),
        CAPACITY / 2,
        "half of the table is for established flows"
    );
}

#[test]
fn a_flood_drains_in_seconds() {
    let (engine, policy) = (engine(CAPACITY), enforced());
    for port in 0..100 {
        knock(&engine, &policy, port, 0);
    }
    engine.sweep(
        Some(&policy),
        Millis(lifetime::HALF_OPEN_UNDER_PRESSURE),
        &mut |_| (),
    );
    assert_eq!(knock(&engine, &policy, 3_000, 3_000), FULL);
    engine.sweep(
        Some(&policy),
        Millis(lifetime::HALF_OPEN_UNDER_PRESSURE + 1),
        &mut |_| (),
    );
    assert!(knock(&engine, &policy, 3_000, 3_001).is_allowed());
}

#[test]
fn without_a_flood_a_slow_handshake_has_its_time() {
    let (engine, policy) = (engine(CAPACITY), enforced());
    knock(&engine, &policy, 1, 0);
    engine.sweep(Some(&policy), Millis(lifetime::HALF_OPEN), &mut |_| ());
    assert_eq!(engine.flows().len(), 1);
    engine.sweep(Some(&policy), Millis(lifetime::HALF_OPEN + 1), &mut |_| ());
    assert_eq!(engine.flows().len(), 0);
}

#[test]
fn connections_that_are_over_make_room_in_seconds_once_the_table_is_crowded() {
    for (connections, left) in [(CAPACITY * 3 / 4, CAPACITY * 3 / 4), (CAPACITY * 7 / 8, 1)] {
        let (engine, policy) = (engine(CAPACITY), enforced());
        for port in 0..connections as u16 {
            assert!(knock(&engine, &policy, port, 0).is_allowed());
            complete(&engine, &policy, port);
            // All but the first are reset by the peer.
            if port > 0 {
                let reset = tcp((PEER, port), (POD, 80), TcpFlags::RST, 101, 0);
                assert!(judge(&engine, Some(&policy), Ingress, &reset, 0).pass);
            }
        }
        let mut told = 0;
        let now = Millis(lifetime::OVER_UNDER_PRESSURE + 1);
        engine.sweep(Some(&policy), now, &mut |_| told += 1);
        assert_eq!(engine.flows().len(), left);
        assert_eq!(told, connections - left, "the end of each is told");
    }
}

#[test]
fn a_full_table_blocks_new_flows_and_established_ones_go_on() {
    let (engine, policy) = (engine(CAPACITY), enforced());
    for port in 0..CAPACITY as u16 {
        assert!(knock(&engine, &policy, port, 0).is_allowed());
        complete(&engine, &policy, port);
    }
    assert_eq!(engine.flows().len(), CAPACITY);
    assert_eq!(engine.flows().half_open(Originator::Peer), 0);
    assert_eq!(knock(&engine, &policy, 5_000, 0), FULL);
    let out = judge(
        &engine,
        Some(&policy),
        Egress,
        &syn((POD, 1), (PEER, 443)),
        0,
    );
    assert_eq!((out.verdict, out.pass), (FULL, false));
    let goes_on = tcp((PEER, 3), (POD, 80), TcpFlags::ACK, 101, 1_001);
    assert!(judge(&engine, Some(&policy), Ingress, &goes_on, 1).pass);

    let reset = tcp((POD, 80), (PEER, 3), TcpFlags::RST, 1_001, 0);
    assert!(judge(&engine, Some(&policy), Egress, &reset, 1).pass);
    engine.sweep(Some(&policy), Millis(20_000), &mut |_| ());
    assert!(
        knock(&engine, &policy, 5_000, 20_000).is_allowed(),
        "one has made room"
    );
}

#[test]
fn queues_that_enter_flows_at_the_same_time_never_exceed_the_bounds() {
    const QUEUES: u16 = 4;
    let (engine, policy) = (engine(CAPACITY), enforced());
    let start = Barrier::new(usize::from(QUEUES));
    let admitted = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for queue in 0..QUEUES {
            let (engine, policy, start, admitted) = (&engine, &policy, &start, &admitted);
            scope.spawn(move || {
                start.wait();
                for port in 0..500 {
                    // Half of the ports are everybody's, half are the queue's own.
                    let port = if port % 2 == 0 {
                        port
                    } else {
                        port + queue * 1_000
                    };
                    let began = judge(
                        engine,
                        Some(policy),
                        Ingress,
                        &syn((PEER, port), (POD, 80)),
                        0,
                    );
                    if began.record.is_some_and(|_| began.pass) {
                        admitted.fetch_add(1, Ordering::Relaxed);
                        complete(engine, policy, port);
                    }
                    assert!(engine.flows().len() <= CAPACITY);
                    assert!(engine.flows().half_open(Originator::Peer) <= CAPACITY / 4);
                }
            });
        }
    });
    assert_eq!(admitted.load(Ordering::Relaxed), CAPACITY);
    assert_eq!(engine.flows().len(), CAPACITY);
    assert_eq!(engine.flows().half_open(Originator::Peer), 0);
    engine.sweep(Some(&policy), Millis(u64::MAX), &mut |_| ());
    assert!(engine.flows().is_empty());
}
