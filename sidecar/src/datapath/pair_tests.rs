//! Two pumps over devices in memory.

use std::net::{IpAddr, Ipv4Addr};

use sidewall::engine::skipped::SkippedPorts;
use sidewall::engine::{EngineConfig, Mode, Policy};
use sidewall::net::Direction;
use sidewall::packet::Packet;
use sidewall::policy::allow_list::{AllowList, DirectionList, ObjectRef};
use sidewall::policy::lookup::{Lookup, LookupOptions};
use sidewall::verdict::{Because, Reason, Verdict};

use super::*;
use crate::counters::slot;
use crate::datapath::pump::Role;
use crate::device::memory::{self, Wire};
use crate::device::vnet::HEADER_LEN;

const POD: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
const NO_RULE: Verdict = Verdict::Block(Reason::NoRule);
const NEW: Verdict = Verdict::Allow(Because::NotIsolated);

/// Pumps that run until the test has seen enough.
struct Bench {
    wire: Wire,
    /// Of the other direction.
    across: Wire,
    shared: Arc<Shared>,
    direction: Direction,
    pumps: Option<[Pump<memory::MemoryQueue>; 2]>,
}

impl Bench {
    fn new(direction: Direction, isolated: bool) -> Self {
        let config = EngineConfig {
            addresses: vec![IpAddr::V4(POD)],
            capacity: 64,
            skipped: SkippedPorts::default(),
        };
        let shared = Arc::new(Shared::new(config));
        shared.policy.store(Some(Arc::new(policy(isolated))));
        let (queue, wire) = memory::pair();
        let pump = |queue, direction| {
            let egress = direction == Direction::Egress;
            let role = Role {
                direction,
                lane: 0,
                forwarded: egress,
                reject: egress,
            };
            Pump::new(queue, role, Arc::clone(&shared))
        };
        let (other, across) = memory::pair();
        let pumps = [pump(queue, direction), pump(other, direction.reversed())];
        Self {
            wire,
            across,
            shared,
            direction,
            pumps: Some(pumps),
        }
    }

    /// Lets the pumps handle all that was fed.
    async fn settle(&mut self) {
        let stopped = CancellationToken::new();
        let running = run(
            self.pumps.take().unwrap(),
            Arc::clone(&self.shared),
            true,
            stopped,
        );
        // The frames are there: without more of them the pumps only wait.
        let ended = tokio::time::timeout(std::time::Duration::from_millis(50), running).await;
        assert!(ended.is_err(), "it goes on waiting: {ended:?}");
    }

    fn packets(&self, verdict: Verdict) -> u64 {
        self.shared
            .counters
            .total(self.direction, slot(verdict))
            .packets
    }
}

#[tokio::test]
async fn what_passes_is_written_back_as_it_came() {
    let mut bench = Bench::new(Direction::Ingress, false);
    let packet = udp(PEER, POD, 40);
    bench.wire.feed(&packet);
    bench.settle().await;
    assert_eq!(bench.wire.take().unwrap()[HEADER_LEN..], packet);
    assert_eq!(bench.packets(NEW), 1);
    assert_eq!(bench.shared.records.len(), 1);
}

#[tokio::test]
async fn a_flood_of_one_direction_does_not_keep_the_other_waiting() {
    let mut bench = Bench::new(Direction::Ingress, true);
    let flood = 1_000;
    for _ in 0..flood {
        bench.wire.feed(&udp(PEER, POD, 40));
    }
    bench.across.feed(&udp(POD, PEER, 40));
    bench.settle().await;
    let records = std::iter::from_fn(|| bench.shared.records.pop());
    let order: Vec<_> = records.map(|record| record.direction).collect();
    assert_eq!(order.len(), flood + 1);
    let turn = order.iter().position(|d| *d == Direction::Egress).unwrap();
    assert!(
        turn < flood / 2,
        "the other had its turn after {turn} packets"
    );
}

#[tokio::test]
async fn what_is_forwarded_has_one_hop_more() {
    let mut bench = Bench::new(Direction::Egress, false);
    bench.wire.feed(&udp(POD, PEER, 40));
    bench.settle().await;
    let written = bench.wire.take().unwrap();
    assert_eq!(written[HEADER_LEN + 8], 65);
    let parsed = Packet::parse(&written[HEADER_LEN..]).unwrap();
    assert_eq!(parsed.dst(), IpAddr::V4(PEER));
}

#[tokio::test]
async fn a_bad_packet_stops_neither_the_batch_nor_the_pump() {
    let mut bench = Bench::new(Direction::Ingress, false);
    let good = udp(PEER, POD, 40);
    bench.wire.feed(&good);
    for length in 0..good.len() {
        bench.wire.feed(&good[..length]);
    }
    bench.wire.feed_frame(vec![0; HEADER_LEN - 1]);
    bench.wire.feed(&[0xff; 1500]);
    bench.wire.feed(&good);
    bench.settle().await;
    let back: Vec<_> = std::iter::from_fn(|| bench.wire.take()).collect();
    assert_eq!(back.len(), 2, "the first and the last");
    assert_eq!(
        bench.packets(NEW) + bench.packets(Verdict::Allow(Because::Established)),
        2
    );
}

#[tokio::test]
async fn a_write_that_the_kernel_refuses_is_counted_and_the_next_one_tried() {
    let mut bench = Bench::new(Direction::Ingress, false);
    bench.wire.refuse_writes(Some(libc::ENOBUFS));
    bench.wire.feed(&udp(PEER, POD, 40));
    bench.wire.feed(&udp(PEER, POD, 40));
    bench.settle().await;
    assert_eq!(bench.shared.counters.write_errors(), 2);
    assert!(bench.wire.take().is_none());
}

#[tokio::test]
async fn the_own_pod_hears_of_a_block_and_the_network_does_not() {
    for (direction, from, to, answers) in [
        (Direction::Egress, POD, PEER, 1),
        (Direction::Ingress, PEER, POD, 0),
    ] {
        let mut bench = Bench::new(direction, true);
        bench.wire.feed(&udp(from, to, 40));
        bench.settle().await;
        assert_eq!(bench.packets(NO_RULE), 1);
        let back: Vec<_> = std::iter::from_fn(|| bench.wire.take()).collect();
        assert_eq!(back.len(), answers, "{direction}");
        assert_eq!(bench.shared.counters.rejects(), answers as u64);
        for answer in back {
            let answer = Packet::parse(&answer[HEADER_LEN..]).unwrap();
            assert_eq!(
                (answer.src(), answer.dst()),
                (IpAddr::V4(PEER), IpAddr::V4(POD))
            );
        }
    }
}

#[tokio::test]
async fn before_the_first_policy_nobody_is_answered() {
    let mut bench = Bench::new(Direction::Egress, true);
    bench.shared.policy.store(None);
    bench.wire.feed(&udp(POD, PEER, 40));
    bench.settle().await;
    assert_eq!(bench.packets(Verdict::Block(Reason::NotReady)), 1);
    assert!(bench.wire.take().is_none());
}

#[tokio::test]
async fn records_that_find_no_room_are_counted_as_lost() {
    let mut bench = Bench::new(Direction::Ingress, true);
    let room = bench.shared.records.capacity();
    let extra = 5;
    for _ in 0..room + extra {
        bench.wire.feed(&udp(PEER, POD, 40));
    }
    bench.settle().await;
    let lost = bench
        .shared
        .records_lost
        .load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(
        bench.shared.records.len() as u64 + lost,
        bench.packets(NO_RULE)
    );
    assert_eq!(lost, extra as u64);
}

/// Nobody may do anything, or everybody everything.
fn policy(isolated: bool) -> Policy {
    let name = || ObjectRef {
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
    };
    let side = || DirectionList {
        isolated_by: if isolated { vec![name()] } else { Vec::new() },
        ..DirectionList::default()
    };
    let list = AllowList {
        pod: name(),
        addresses: vec![IpAddr::V4(POD)],
        node_addresses: Vec::new(),
        ingress: side(),
        egress: side(),
        peer_sets: Vec::new(),
        services: Vec::new(),
    };
    Policy {
        generation: 1,
        lookup: Lookup::new(&list, LookupOptions::default()),
        mode: Mode::Enforce,
    }
}

/// A UDP datagram without checksums: the core leaves them to the receiver.
fn udp(from: Ipv4Addr, to: Ipv4Addr, length: u16) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, 17, 0, 0];
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet.extend(from.octets());
    packet.extend(to.octets());
    for field in [4000, 53, length - 20, 0] {
        packet.extend(u16::to_be_bytes(field));
    }
    packet.resize(length.into(), 7);
    packet
}
