//! The hot path allocates nothing, shown by an allocator that counts. A binary of its own, because
//! the counting allocator is the whole process's.

#[path = "support/mod.rs"]
mod support;

use sidewall::engine::{Engine, Mode, Policy};
use sidewall::net::{Direction, Protocol};
use sidewall::packet::{Packet, TcpFlags, reject};
use sidewall::verdict::{Because, Reason, RuleIndex, Verdict};

use Direction::{Egress, Ingress};
use support::*;

const CLIENT: End<'_> = (PEER, 40_000);
const SERVER: End<'_> = (POD, 80);

/// Counts what happens on this thread only.
fn allocations(of: impl FnOnce()) -> u64 {
    allocation_counter::measure(of).count_total
}

/// A thousand peers may reach port 80.
fn policy_of_thousand() -> Policy {
    let peers: Vec<_> = (0..1_000_u32)
        .map(|n| std::net::Ipv4Addr::from_bits(0x0a01_0000 + n).into())
        .chain([ip(PEER)])
        .collect();
    let list = allow(closed(), Ingress, &peers, Protocol::TCP, 80);
    policy(&list, 1, Mode::Enforce)
}

fn judged(engine: &Engine, policy: &Policy, direction: Direction, bytes: &[u8]) -> Verdict {
    judge(engine, Some(policy), direction, bytes, 0).verdict
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

#[test]
fn no_packet_makes_the_engine_allocate() {
    let engine = engine(4_096);
    let policy = policy_of_thousand();
    let whole = udp((PEER, 1), (POD, 53), &[0; 150]);
    let pieces = fragments(&whole, 1, 64);
    let reply = TcpFlags::SYN | TcpFlags::ACK;
    let rule = Verdict::Allow(Because::Rule(RuleIndex(0)));
    let block = Verdict::Block;
    for (name, direction, bytes, wanted) in [
        ("a new flow", Ingress, syn(CLIENT, SERVER), rule),
        (
            "its reply",
            Egress,
            tcp(SERVER, CLIENT, reply, 1, 101),
            Verdict::Allow(Because::Established),
        ),
        (
            "a known flow",
            Ingress,
            tcp(CLIENT, SERVER, TcpFlags::ACK, 101, 2),
            Verdict::Allow(Because::Established),
        ),
        (
            "a blocked one",
            Ingress,
            syn((OTHER, 1), SERVER),
            block(Reason::NoRule),
        ),
        (
            "no SYN",
            Ingress,
            tcp((OTHER, 1), SERVER, TcpFlags::ACK, 1, 1),
            block(Reason::NoSyn),
        ),
        (
            "spoofed",
            Ingress,
            syn((POD, 1), SERVER),
            block(Reason::SpoofedSource),
        ),
        (
            "an error",
            Ingress,
            too_big(OTHER, POD, &tcp(SERVER, CLIENT, TcpFlags::ACK, 1, 1)),
            Verdict::Allow(Because::RelatedError),
        ),
        (
            "a first fragment",
            Ingress,
            pieces[0].clone(),
            block(Reason::NoRule),
        ),
        (
            "a later fragment",
            Ingress,
            pieces[1].clone(),
            block(Reason::StrayFragment),
        ),
        (
            "IPv6",
            Ingress,
            syn((PEER6, 1), (POD6, 80)),
            block(Reason::NoRule),
        ),
    ] {
        let mut verdict = None;
        let count = allocations(|| verdict = Some(judged(&engine, &policy, direction, &bytes)));
        assert_eq!(verdict, Some(wanted), "{name}");
        assert_eq!(count, 0, "{name}");
    }
    let count = allocations(|| assert!(Packet::parse(&[0x45; 60]).is_err()));
    assert_eq!(count, 0, "malformed bytes");
}

#[test]
fn entering_flows_allocates_nothing_up_to_the_capacity() {
    let engine = engine(4_096);
    let policy = policy_of_thousand();
    let syns: Vec<_> = (0..1_024).map(|port| syn((PEER, port), SERVER)).collect();
    let count = allocations(|| {
        for bytes in &syns {
            assert!(judged(&engine, &policy, Ingress, bytes).is_allowed());
        }
    });
    assert_eq!((engine.flows().len(), count), (1_024, 0));
}

#[test]
fn a_policy_change_and_a_sweep_allocate_nothing() {
    let engine = engine(4_096);
    let allows = policy_of_thousand();
    let blocks = policy(&closed(), 2, Mode::Enforce);
    for port in 0..100 {
        assert!(judged(&engine, &allows, Ingress, &syn((PEER, port), SERVER)).is_allowed());
    }
    let next = tcp((PEER, 7), SERVER, TcpFlags::ACK, 101, 1);
    let mut told = 0;
    let count = allocations(|| {
        let verdict = judged(&engine, &blocks, Ingress, &next);
        assert_eq!(verdict, Verdict::Block(Reason::PolicyChanged));
        engine.sweep(Some(&blocks), sidewall::flow::Millis(1), &mut |_| told += 1);
    });
    assert_eq!((told, count), (99, 0));
}

#[test]
fn an_answer_is_built_without_allocating() {
    for bytes in [
        syn((POD, 1), (PEER, 2)),
        syn((POD6, 1), (PEER6, 2)),
        udp((POD, 1), (PEER, 2), &[0; 1_400]),
        udp((POD6, 1), (PEER6, 2), &[0; 60_000]),
    ] {
        let packet = Packet::parse(&bytes).expect("a packet");
        let mut out = [0; reject::MAX_LEN];
        let mut len = None;
        let count = allocations(|| len = reject::build(&packet, &bytes, &mut out));
        assert!(len.is_some());
        assert_eq!(count, 0);
    }
}
