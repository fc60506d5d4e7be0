//! What holds for all bytes.

use proptest::prelude::*;
use sidewall::flow::{Counters, Millis};
use sidewall::net::{Direction, Protocol};
use sidewall::packet::{MAX_LEN, Packet, TcpFlags, Transport, reject};

use crate::support::*;

fn address() -> impl Strategy<Value = (String, String)> {
    prop_oneof![
        (0_u32..1 << 24, 0_u32..1 << 24).prop_map(|(a, b)| {
            let v4 = |bits: u32| std::net::Ipv4Addr::from_bits(10 << 24 | bits).to_string();
            (v4(a), v4(b))
        }),
        (any::<u64>(), any::<u64>()).prop_map(|(a, b)| {
            let v6 =
                |low: u64| std::net::Ipv6Addr::from_bits(0xfd << 120 | u128::from(low)).to_string();
            (v6(a), v6(b))
        }),
    ]
}

/// A packet of any protocol between any two addresses.
fn some_packet() -> impl Strategy<Value = Vec<u8>> {
    let data = prop::collection::vec(any::<u8>(), 0..200);
    (address(), any::<(u16, u16, u8, u8)>(), data).prop_map(
        |((from, to), (source, destination, kind, chunk), data)| {
            let (from, to) = ((&*from, source), (&*to, destination));
            match kind % 6 {
                0 => tcp_data(from, to, TcpFlags::ACK, 1, 1, &data),
                1 => udp(from, to, &data),
                2 => sctp(from, to, 1, chunk, &[&[0; 8], &data[..]].concat()),
                3 => ping(from.0, to.0, source),
                4 => icmp(from.0, to.0, chunk, 0, [0; 4], &data, 64),
                _ => packet(from.0, to.0, Protocol(chunk), 64, &data),
            }
        },
    )
}

/// Everything that reads bytes reads these, and none of it may panic or write a wrong answer.
fn read_every_way(bytes: &[u8]) {
    let parsed = Packet::parse(bytes);
    if let Ok(packet) = &parsed {
        assert!(packet.total_len() <= bytes.len());
        assert!(packet.header_len() <= packet.total_len());
        let mut out = [0; reject::MAX_LEN];
        if let Some(len) = reject::build(packet, bytes, &mut out) {
            let answer = Packet::parse(&out[..len]).expect("an answer is a packet");
            assert_eq!((answer.src(), answer.dst()), (packet.dst(), packet.src()));
        }
    }
    let engine = engine(16);
    let policy = policy(&closed(), 1, sidewall::engine::Mode::Enforce);
    for direction in Direction::BOTH {
        let size = Counters::one(bytes.len() as u64);
        let judgement = engine.judge(Some(&policy), &parsed, direction, size, Millis(0));
        assert_eq!(judgement.pass, judgement.verdict.is_allowed());
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        read_every_way(&bytes);
    }

    #[test]
    fn damaged_packets_are_read_without_panic(
        mut bytes in some_packet(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        for (at, value) in damage {
            let at = at.index(bytes.len().min(80));
            bytes[at] = value;
        }
        read_every_way(&bytes);
        read_every_way(&bytes[..cut.index(bytes.len())]);
    }

    #[test]
    fn what_is_built_is_what_is_read(
        (from, to) in address(),
        ports in any::<(u16, u16)>(),
        (sequence, acknowledgment) in any::<(u32, u32)>(),
        data in prop::collection::vec(any::<u8>(), 0..1_500),
    ) {
        let (source, destination) = ((&*from, ports.0), (&*to, ports.1));
        let header = if ip(&from).is_ipv4() { 20 } else { 40 };

        let bytes = tcp_data(source, destination, TcpFlags::ACK, sequence, acknowledgment, &data);
        let packet = Packet::parse(&bytes).expect("TCP");
        prop_assert_eq!((packet.src(), packet.dst()), (ip(&from), ip(&to)));
        prop_assert_eq!(packet.ports(), ports);
        prop_assert_eq!(packet.header_len(), header);
        prop_assert_eq!(packet.total_len(), bytes.len());
        let Transport::Tcp(tcp) = *packet.transport() else { panic!("not TCP") };
        prop_assert_eq!((tcp.sequence, tcp.acknowledgment), (sequence, acknowledgment));
        prop_assert_eq!(tcp.segment_len as usize, data.len());

        let packet = Packet::parse(&udp(source, destination, &data)).expect("UDP");
        prop_assert_eq!((packet.protocol(), packet.ports()), (Protocol::UDP, ports));
        prop_assert_eq!(packet.payload_len(), data.len() + 8);
    }

    #[test]
    fn fragments_of_a_packet_share_their_key_and_cover_it(
        (from, to) in address(),
        data in prop::collection::vec(any::<u8>(), 100..2_000),
        size in (3_usize..40).prop_map(|eights| eights * 8),
        id in any::<u16>(),
    ) {
        let whole = udp((&from, 1), (&to, 2), &data);
        let pieces = fragments(&whole, id, size);
        let read: Vec<Packet> = pieces.iter().map(|piece| Packet::parse(piece).expect("a fragment")).collect();
        let keys: std::collections::HashSet<_> = read.iter().map(Packet::fragment_key).collect();
        prop_assert_eq!(keys.len(), 1);
        let covered: usize = read.iter().map(Packet::payload_len).sum();
        prop_assert_eq!(covered, data.len() + 8);
    }
}

#[test]
fn a_packet_as_long_as_the_buffer_is_read_without_panic() {
    for byte in [0x00, 0x45, 0x60, 0xff] {
        read_every_way(&vec![byte; MAX_LEN]);
    }
}
