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

const PEERS: [u32; 4] = [10, 1_000, 10_000, 100_000];
/// Flows that packets come in turn from: one stays in the processor's first cache, 10 000 do not.
const FLOWS: [u16; 3] = [1, 1_000, 10_000];

/// These many single peers may reach port 80.
fn policy_of(peers: u32, generation: u64) -> Policy {
    let peers: Vec<_> = (0..peers).map(|n| peer(n).into()).collect();
    let list = allow(closed(), Direction::Ingress, &peers, Protocol::TCP, 80);
    policy(&list, generation, Mode::Enforce)
}

fn peer(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0a01_0000 + number)
}

/// Packets of one stream after the other. There is one packet, whose port changes: a device has just
/// copied what is judged, so its bytes are near, while the flows are not.
fn known_flow(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("known flow, parse and verdict");
    let policy = policy(&open(), 1, Mode::Enforce);
    for (family, client, server, ports_at) in [("IPv4", PEER, POD, 20), ("IPv6", PEER6, POD6, 40)] {
        let mut bytes = tcp_data(
            (client, 0),
            (server, 80),
            TcpFlags::ACK,
            101,
            1,
            &[0; 1_400],
        );
        let mut copy = bytes.clone();
        group.bench_function(format!("memcpy of the packet, {family}"), |bencher| {
            bencher.iter(|| black_box(&mut copy).copy_from_slice(black_box(&bytes)));
        });
        for flows in FLOWS {
            let engine = engine(65_536);
            for port in 0..flows {
                let syn = syn((client, port), (server, 80));
                let judged = judge(&engine, Some(&policy), Direction::Ingress, &syn, 0);
                assert!(judged.pass);
            }
            let mut port = 0;
            group.bench_function(
                BenchmarkId::new(format!("flows, {family}"), flows),
                |bencher| {
                    bencher.iter(|| {
                        port = (port + 1) % flows;
                        bytes[ports_at..ports_at + 2].copy_from_slice(&port.to_be_bytes());
                        let bytes = black_box(&bytes);
                        judge(&engine, Some(&policy), Direction::Ingress, bytes, 1)
                    });
                },
            );
        }
    }
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
