//! What reading a packet and answering it costs, beside copying it once.

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use sidewall::packet::{Packet, TcpFlags, reject};

use support::*;

/// A full segment of an Ethernet frame, and one with offload.
const SIZES: [usize; 2] = [1_460, 65_000];

fn read(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("packet");
    for size in SIZES {
        let data = vec![0; size];
        let bytes = tcp_data((PEER, 1), (POD, 80), TcpFlags::ACK, 1, 1, &data);
        let mut copy = vec![0; bytes.len()];
        group.bench_function(format!("memcpy of the same packet/{size}"), |bencher| {
            bencher.iter(|| black_box(&mut copy).copy_from_slice(black_box(&bytes)));
        });
        group.bench_function(format!("parse TCP/{size}"), |bencher| {
            bencher.iter(|| Packet::parse(black_box(&bytes)));
        });
    }
    for (name, bytes) in [
        ("parse TCP over IPv6", syn((PEER6, 1), (POD6, 80))),
        ("parse UDP", udp((PEER, 1), (POD, 53), &[0; 100])),
        ("parse SCTP", sctp((PEER, 1), (POD, 80), 1, 0, &[0; 100])),
        (
            "parse ICMP error",
            too_big(OTHER, POD, &udp((POD, 1), (PEER, 53), &[0; 100])),
        ),
        ("parse malformed", vec![0x45; 60]),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| Packet::parse(black_box(&bytes)));
        });
    }
    group.finish();
}

fn answer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reject");
    for (name, bytes) in [
        ("RST", syn((POD, 1), (PEER, 80))),
        ("RST over IPv6", syn((POD6, 1), (PEER6, 80))),
        ("ICMP prohibited", udp((POD, 1), (PEER, 53), &[0; 1_400])),
        (
            "ICMPv6 prohibited",
            udp((POD6, 1), (PEER6, 53), &[0; 1_400]),
        ),
    ] {
        let packet = Packet::parse(&bytes).expect("a packet");
        let mut out = [0; reject::MAX_LEN];
        group.bench_function(name, |bencher| {
            bencher.iter(|| reject::build(black_box(&packet), &bytes, &mut out));
        });
    }
    group.finish();
}

criterion_group!(benches, read, answer);
criterion_main!(benches);
