//! What a verdict costs, from the bytes on. Goals: a packet of a known flow below 100 ns, the first
//! of a new one below 1 µs, whatever the number of peers.

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sidewall::engine::{Mode, Policy};
use sidewall::flow::Millis;
use sidewall::net::{Direction, Protocol};
use sidewall::packet::TcpFlags;

use support::*;

const PEERS: [u32; 3] = [10, 1_000, 10_000];

/// These many single peers may reach port 80.
fn policy_of(peers: u32, generation: u64) -> Policy {
    let peers: Vec<_> = (0..peers).map(|n| peer(n).into()).collect();
    let list = allow(closed(), Direction::Ingress, &peers, Protocol::TCP, 80);
    policy(&list, generation, Mode::Enforce)
}

fn peer(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0a01_0000 + number)
}

fn known_flow(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("known flow, parse and verdict");
    for flows in [1_u16, 10_000] {
        let engine = engine(65_536);
        let policy = policy(&open(), 1, Mode::Enforce);
        let packets: Vec<_> = (0..flows)
            .map(|port| {
                let (client, server) = ((PEER, port), (POD, 80));
                assert!(
                    judge(
                        &engine,
                        Some(&policy),
                        Direction::Ingress,
                        &syn(client, server),
                        0
                    )
                    .pass
                );
                tcp(client, server, TcpFlags::ACK, 101, 1)
            })
            .collect();
        let mut next = packets.iter().cycle();
        group.bench_function(BenchmarkId::new("flows", flows), |bencher| {
            bencher.iter(|| {
                let bytes = next.next().expect("a cycle has no end");
                judge(
                    &engine,
                    Some(&policy),
                    Direction::Ingress,
                    black_box(bytes),
                    1,
                )
            });
        });
    }
    let engine = engine(65_536);
    let policy = policy(&open(), 1, Mode::Enforce);
    let (client, server) = ((PEER6, 1), (POD6, 80));
    assert!(
        judge(
            &engine,
            Some(&policy),
            Direction::Ingress,
            &syn(client, server),
            0
        )
        .pass
    );
    let bytes = tcp(client, server, TcpFlags::ACK, 101, 1);
    group.bench_function("IPv6", |bencher| {
        bencher.iter(|| {
            judge(
                &engine,
                Some(&policy),
                Direction::Ingress,
                black_box(&bytes),
                1,
            )
        });
    });
    group.finish();
}

fn new_flow(criterion: &mut Criterion) {
    const FLOWS: u32 = 10_000;
    let mut group = criterion.benchmark_group("new flow, parse and verdict");
    for peers in PEERS {
        let policy = policy_of(peers, 1);
        let packets: Vec<_> = (0..FLOWS)
            .map(|n| {
                let port = u16::try_from(n).expect("a port");
                syn((&peer(n % peers).to_string(), port), (POD, 80))
            })
            .collect();
        group.bench_function(BenchmarkId::new("allowed, peers", peers), |bencher| {
            bencher.iter_custom(|rounds| {
                let mut spent = Duration::ZERO;
                let mut left = rounds;
                while left > 0 {
                    let engine = engine(65_536);
                    let now = packets
                        .len()
                        .min(usize::try_from(left).unwrap_or(usize::MAX));
                    let start = Instant::now();
                    for bytes in &packets[..now] {
                        black_box(judge(&engine, Some(&policy), Direction::Ingress, bytes, 0));
                    }
                    spent += start.elapsed();
                    left -= now as u64;
                }
                spent
            });
        });
        let engine = engine(65_536);
        let stranger = syn((OTHER, 1), (POD, 80));
        group.bench_function(BenchmarkId::new("blocked, peers", peers), |bencher| {
            bencher.iter(|| {
                judge(
                    &engine,
                    Some(&policy),
                    Direction::Ingress,
                    black_box(&stranger),
                    0,
                )
            });
        });
    }
    group.finish();
}

fn sweep(criterion: &mut Criterion) {
    const FLOWS: u16 = 10_000;
    let mut group = criterion.benchmark_group("sweep");
    group.throughput(Throughput::Elements(u64::from(FLOWS)));
    let engine = engine(65_536);
    let policies = [policy_of(10, 1), policy_of(10, 2)];
    let from = peer(0).to_string();
    for port in 0..FLOWS {
        assert!(
            judge(
                &engine,
                Some(&policies[0]),
                Direction::Ingress,
                &syn((&from, port), (POD, 80)),
                0
            )
            .pass
        );
    }
    group.bench_function("nothing to do, 10000 flows", |bencher| {
        bencher.iter(|| engine.sweep(Some(&policies[0]), Millis(1), &mut |_| ()));
    });
    let mut turn = 0;
    group.bench_function("another policy, 10000 flows", |bencher| {
        bencher.iter(|| {
            turn += 1;
            engine.sweep(Some(&policies[turn % 2]), Millis(1), &mut |_| ());
        });
    });
    group.finish();
}

criterion_group!(benches, known_flow, new_flow, sweep);
criterion_main!(benches);
