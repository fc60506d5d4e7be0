//! What answers a blocked packet, and what nothing answers.

use etherparse::{Icmpv4Slice, Icmpv6Slice, Ipv4HeaderSlice, TcpHeaderSlice};
use sidewall::net::Protocol;
use sidewall::packet::{Packet, Tcp, TcpFlags, Transport, reject};

use crate::support::*;

const V4: (End<'_>, End<'_>) = ((POD, 40_000), (PEER, 80));
const V6: (End<'_>, End<'_>) = ((POD6, 40_000), (PEER6, 80));

fn answer(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = [0xaa; reject::MAX_LEN];
    let packet = Packet::parse(bytes).expect("a packet");
    let len = reject::build(&packet, bytes, &mut out)?;
    Some(out[..len].to_vec())
}

fn reset_of(bytes: &[u8]) -> Tcp {
    let answer = answer(bytes).expect("an answer");
    let packet = Packet::parse(&answer).expect("the answer is a packet");
    let asked = Packet::parse(bytes).expect("a packet");
    assert_eq!((packet.src(), packet.dst()), (asked.dst(), asked.src()));
    let Transport::Tcp(tcp) = *packet.transport() else {
        panic!("not TCP: {packet:?}");
    };
    assert_eq!(packet.ports(), (80, 40_000));
    tcp
}

#[test]
fn a_syn_is_refused_with_what_it_sent_acknowledged() {
    for (from, to) in [V4, V6] {
        let tcp = reset_of(&tcp(from, to, TcpFlags::SYN, 1_000, 0));
        assert_eq!(tcp.flags, TcpFlags::RST | TcpFlags::ACK);
        assert_eq!((tcp.sequence, tcp.acknowledgment), (0, 1_001));
    }
}

#[test]
fn a_syn_with_data_has_its_data_acknowledged_too() {
    let (from, to) = V4;
    let tcp = reset_of(&tcp_data(from, to, TcpFlags::SYN, u32::MAX, 0, b"early"));
    assert_eq!(tcp.acknowledgment, 5);
}

#[test]
fn a_segment_that_acknowledges_is_reset_with_the_number_it_expects() {
    for (from, to) in [V4, V6] {
        for flags in [
            TcpFlags::ACK,
            TcpFlags::ACK | TcpFlags::FIN,
            TcpFlags::SYN | TcpFlags::ACK,
        ] {
            let tcp = reset_of(&tcp_data(from, to, flags, 1_000, 77, b"data"));
            assert_eq!(tcp.flags, TcpFlags::RST);
            assert_eq!(tcp.sequence, 77);
        }
    }
}

#[test]
fn the_checksums_of_a_reset_are_right() {
    let (from, to) = V4;
    let bytes = answer(&syn(from, to)).expect("an answer");
    let header = Ipv4HeaderSlice::from_slice(&bytes).expect("an IPv4 header");
    assert_eq!(
        header.to_header().calc_header_checksum(),
        header.header_checksum()
    );
    let tcp = TcpHeaderSlice::from_slice(&bytes[20..]).expect("a TCP header");
    let checksum =
        tcp.to_header()
            .calc_checksum_ipv4_raw(header.source(), header.destination(), &[]);
    assert_eq!(checksum, Ok(tcp.checksum()));

    let (from, to) = V6;
    let bytes = answer(&syn(from, to)).expect("an answer");
    let tcp = TcpHeaderSlice::from_slice(&bytes[40..]).expect("a TCP header");
    let (source, destination) = (bytes[8..24].try_into(), bytes[24..40].try_into());
    let checksum = tcp.to_header().calc_checksum_ipv6_raw(
        source.expect("16 bytes"),
        destination.expect("16 bytes"),
        &[],
    );
    assert_eq!(checksum, Ok(tcp.checksum()));
}

#[test]
fn everything_else_is_told_that_it_is_prohibited() {
    for (name, bytes) in [
        ("UDP", udp(V4.0, V4.1, b"question")),
        ("SCTP", sctp(V4.0, V4.1, 1, 1, &[0; 16])),
        ("echo", ping(POD, PEER, 1)),
        ("GRE", packet(POD, PEER, Protocol(47), 64, &[0; 8])),
    ] {
        let answer = answer(&bytes).unwrap_or_else(|| panic!("no answer to {name}"));
        let message = Icmpv4Slice::from_slice(&answer[20..]).expect("ICMP");
        assert_eq!((message.type_u8(), message.code_u8()), (3, 13), "{name}");
        assert_eq!(message.payload(), bytes, "{name}: quoted");
        let valid = message.header().icmp_type.calc_checksum(message.payload());
        assert_eq!(valid, message.checksum(), "{name}");
    }
    let bytes = udp(V6.0, V6.1, b"question");
    let answer = answer(&bytes).expect("an answer");
    let message = Icmpv6Slice::from_slice(&answer[40..]).expect("ICMPv6");
    assert_eq!((message.type_u8(), message.code_u8()), (1, 1));
    assert_eq!(message.payload(), bytes);
    let (from, to) = (answer[8..24].try_into(), answer[24..40].try_into());
    assert!(message.is_checksum_valid(from.expect("16 bytes"), to.expect("16 bytes")));
}

#[test]
fn the_flow_quoted_in_an_answer_is_the_flow_that_was_blocked() {
    for (from, to) in [V4, V6] {
        let bytes = answer(&udp(from, to, b"question")).expect("an answer");
        let packet = Packet::parse(&bytes).expect("a packet");
        let Transport::IcmpError(error) = *packet.transport() else {
            panic!("not an error: {packet:?}");
        };
        assert_eq!(
            (error.quoted.source, error.quoted.destination),
            (40_000, 80)
        );
    }
}

#[test]
fn an_answer_is_no_longer_than_every_host_must_take() {
    for ((from, to), most) in [(V4, 576), (V6, 1_280)] {
        let bytes = udp(from, to, &vec![0; 60_000]);
        assert_eq!(answer(&bytes).expect("an answer").len(), most);
    }
}

#[test]
fn padding_is_not_quoted() {
    let bytes = udp(V4.0, V4.1, b"x");
    let padded = [&bytes[..], &[0xff; 20]].concat();
    assert_eq!(answer(&padded), answer(&bytes));
}

#[test]
fn a_first_fragment_is_told_but_never_reset() {
    let whole = tcp_data(V4.0, V4.1, TcpFlags::ACK, 1, 1, &[0; 100]);
    let first = &fragments(&whole, 1, 48)[0];
    let answer = answer(first).expect("an answer");
    assert_eq!(answer[9], Protocol::ICMP.0);
}

#[test]
fn nothing_answers_errors_resets_later_fragments_and_groups() {
    let about = udp(V4.1, V4.0, b"x");
    let about6 = udp(V6.1, V6.0, b"x");
    for (name, bytes) in [
        ("an error", too_big(POD, PEER, &about)),
        ("an ICMPv6 error", too_big(POD6, PEER6, &about6)),
        ("a redirect", icmp(POD, PEER, 5, 0, [0; 4], &about, 64)),
        (
            "an ICMPv6 redirect",
            icmp(POD6, PEER6, 137, 0, [0; 4], &[0; 32], 255),
        ),
        ("RST", tcp(V4.0, V4.1, TcpFlags::RST, 1, 0)),
        (
            "a later fragment",
            fragments(&udp(V4.0, V4.1, &[0; 99]), 1, 48)[1].clone(),
        ),
        ("multicast", udp(V4.0, ("224.0.0.251", 5_353), b"x")),
        ("broadcast", udp(V4.0, ("255.255.255.255", 67), b"x")),
        ("IPv6 multicast", udp(V6.0, ("ff02::fb", 5_353), b"x")),
        (
            "no address",
            icmp("::", "ff02::1", 135, 0, [0; 4], &[0; 16], 255),
        ),
    ] {
        assert_eq!(answer(&bytes), None, "{name}");
    }
}

#[test]
fn a_buffer_that_is_too_short_gets_nothing() {
    let bytes = syn(V4.0, V4.1);
    let packet = Packet::parse(&bytes).expect("a packet");
    let mut out = [0; 40];
    assert_eq!(reject::build(&packet, &bytes, &mut out[..39]), None);
    assert_eq!(reject::build(&packet, &bytes, &mut out), Some(40));
}
