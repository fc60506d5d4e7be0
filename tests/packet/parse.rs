//! One line of the table for everything that is read and everything that is refused.

use sidewall::net::Protocol;
use sidewall::packet::{Echo, Malformed, Packet, Quoted, TcpFlags, Transport, sctp::Chunk};

use crate::support::*;

const CLIENT: End<'_> = (PEER, 40_000);
const SERVER: End<'_> = (POD, 80);
const CLIENT6: End<'_> = (PEER6, 40_000);
const SERVER6: End<'_> = (POD6, 80);

/// One of each kind.
fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let flags = TcpFlags::ACK | TcpFlags::PSH;
    vec![
        ("TCP", tcp_data(CLIENT, SERVER, flags, 1, 2, b"hello")),
        (
            "TCP over IPv6",
            tcp_data(CLIENT6, SERVER6, flags, 1, 2, b"hello"),
        ),
        ("UDP", udp(CLIENT, SERVER, b"hello")),
        ("UDP over IPv6", udp(CLIENT6, SERVER6, b"hello")),
        (
            "SCTP",
            sctp(CLIENT, SERVER, 7, 1, &[0, 0, 0, 9, 0, 0, 0, 0]),
        ),
        ("echo", ping(PEER, POD, 7)),
        ("echo over IPv6", ping(PEER6, POD6, 7)),
        (
            "ICMP error",
            too_big(OTHER, POD, &udp(SERVER, CLIENT, b"hello")),
        ),
        (
            "ICMPv6 error",
            too_big("fd00::1", POD6, &udp(SERVER6, CLIENT6, b"hello")),
        ),
        ("GRE", packet(PEER, POD, Protocol(47), 64, &[0; 4])),
        (
            "extensions",
            extended(
                &[(0, 8), (60, 16), (43, 8), (60, 8)],
                17,
                &udp(CLIENT6, SERVER6, b"hello")[40..],
            ),
        ),
    ]
}

/// An IPv6 packet with these extension headers (kind, length) before its payload.
fn extended(chain: &[(u8, usize)], last: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, (_, len)) in chain.iter().enumerate() {
        let next = chain.get(at + 1).map_or(last, |(kind, _)| *kind);
        let mut header = vec![0; *len];
        header[0] = next;
        header[1] = u8::try_from(len / 8 - 1).expect("a length");
        bytes.extend(header);
    }
    bytes.extend(payload);
    packet(PEER6, POD6, Protocol(chain[0].0), 64, &bytes)
}

#[test]
fn a_packet_that_ends_too_early_is_malformed_wherever_it_ends() {
    for (name, bytes) in samples() {
        assert!(Packet::parse(&bytes).is_ok(), "{name}");
        for len in 0..bytes.len() {
            assert_eq!(
                Packet::parse(&bytes[..len]),
                Err(Malformed::Truncated),
                "{name} at {len}"
            );
        }
    }
}

#[test]
fn padding_after_the_packet_is_left_alone() {
    for (name, bytes) in samples() {
        let padded = [&bytes[..], &[0xff; 30]].concat();
        assert_eq!(Packet::parse(&padded), Packet::parse(&bytes), "{name}");
    }
}

#[test]
fn tcp_is_read_whole() {
    for (from, to, header) in [(CLIENT, SERVER, 20), (CLIENT6, SERVER6, 40)] {
        let bytes = tcp_data(from, to, TcpFlags::ACK | TcpFlags::FIN, 5, 9, b"abc");
        let packet = Packet::parse(&bytes).expect("TCP");
        assert_eq!((packet.src(), packet.dst()), (ip(from.0), ip(to.0)));
        assert_eq!(packet.version(), if header == 20 { 4 } else { 6 });
        assert_eq!(packet.protocol(), Protocol::TCP);
        assert_eq!(packet.hop_limit(), 64);
        assert_eq!(packet.ports(), (40_000, 80));
        assert_eq!(packet.header_len(), header);
        assert_eq!(packet.total_len(), header + 23);
        assert_eq!(packet.payload_len(), 23);
        assert_eq!(packet.flags(), 0x11);
        assert_eq!(packet.fragment(), None);
        let Transport::Tcp(tcp) = *packet.transport() else {
            panic!("not TCP: {packet:?}");
        };
        assert_eq!(
            (tcp.sequence, tcp.acknowledgment, tcp.segment_len),
            (5, 9, 4)
        );
    }
}

#[test]
fn udp_sctp_and_other_protocols_are_read() {
    let read = |bytes: &[u8]| Packet::parse(bytes).expect("a packet");
    assert_eq!(read(&udp(CLIENT, SERVER, b"x")).ports(), (40_000, 80));
    let init = read(&sctp(CLIENT, SERVER, 0, 1, &[0, 0, 0, 9, 0, 0, 0, 0]));
    assert_eq!(init.ports(), (40_000, 80));
    assert_eq!(init.flags(), Chunk::INIT.0);
    let gre = read(&packet(PEER, POD, Protocol(47), 64, &[0; 4]));
    assert_eq!((gre.protocol(), gre.ports()), (Protocol(47), (0, 0)));
    assert_eq!(*gre.transport(), Transport::Other);
}

#[test]
fn an_echo_has_its_identifier_on_the_side_that_asked() {
    for (pod, peer) in [(POD, PEER), (POD6, PEER6)] {
        let ports = |bytes: &[u8]| Packet::parse(bytes).expect("an echo").ports();
        assert_eq!(ports(&ping(peer, pod, 7)), (7, 0));
        assert_eq!(ports(&pong(pod, peer, 7)), (0, 7));
        let Transport::Icmp(icmp) = *Packet::parse(&ping(peer, pod, 7))
            .expect("an echo")
            .transport()
        else {
            panic!("not ICMP");
        };
        assert_eq!(icmp.echo, Some(Echo::Request(7)));
    }
}

#[test]
fn extension_headers_are_walked_to_the_ports() {
    let datagram = &udp(CLIENT6, SERVER6, b"hello")[40..];
    let packet = Packet::parse(&extended(&[(0, 8), (60, 24), (43, 8)], 17, datagram));
    let packet = packet.expect("a chain in order");
    assert_eq!(packet.ports(), (40_000, 80));
    assert_eq!(packet.header_len(), 80);
    assert_eq!(packet.payload_len(), 13);
}

#[test]
fn an_error_is_read_with_the_flow_it_is_about() {
    for (router, pod, peer) in [(OTHER, POD, PEER), ("fd00::1", POD6, PEER6)] {
        let whole = udp((pod, 5_000), (peer, 53), &[0; 100]);
        let header = if router == OTHER { 20 } else { 40 };
        for quote in [&whole[..header + 8], &whole[..header + 20], &whole] {
            let packet = Packet::parse(&too_big(router, pod, quote)).expect("an error");
            let Transport::IcmpError(error) = *packet.transport() else {
                panic!("not an error: {packet:?}");
            };
            let quoted = Quoted {
                src: ip(pod),
                dst: ip(peer),
                protocol: Protocol::UDP,
                source: 5_000,
                destination: 53,
            };
            assert_eq!(error.quoted, quoted);
        }
        let short = too_big(router, pod, &whole[..header + 7]);
        assert_eq!(Packet::parse(&short), Err(Malformed::BadQuote));
        let stranger = ping(
            if header == 20 { PEER6 } else { PEER },
            if header == 20 { POD6 } else { POD },
            1,
        );
        assert_eq!(
            Packet::parse(&too_big(router, pod, &stranger)),
            Err(Malformed::BadQuote)
        );
        let later = &fragments(&whole, 1, 56)[1];
        assert_eq!(
            Packet::parse(&too_big(router, pod, later)),
            Err(Malformed::BadQuote)
        );
    }
}

#[test]
fn an_error_about_an_echo_names_its_identifier() {
    let packet = Packet::parse(&too_big(OTHER, POD, &ping(POD, PEER, 9))).expect("an error");
    let Transport::IcmpError(error) = *packet.transport() else {
        panic!("not an error: {packet:?}");
    };
    assert_eq!((error.quoted.source, error.quoted.destination), (9, 0));
}

#[test]
fn a_redirect_and_a_source_quench_are_no_errors_of_a_flow() {
    let about = udp((POD, 1), (PEER, 2), b"");
    for kind in [4, 5] {
        let bytes = icmp(OTHER, POD, kind, 0, [0; 4], &about, 64);
        let packet = Packet::parse(&bytes).expect("ICMP");
        assert!(matches!(packet.transport(), Transport::Icmp(_)), "{kind}");
    }
}

#[test]
fn bytes_that_are_no_packet_are_refused_by_name() {
    let segment = tcp(CLIENT, SERVER, TcpFlags::ACK, 1, 1);
    let datagram6 = udp(CLIENT6, SERVER6, b"hello");
    let with = |bytes: &[u8], at: usize, value: u8| {
        let mut bytes = bytes.to_vec();
        bytes[at] = value;
        bytes
    };
    let mut source_route = segment[..20].to_vec();
    source_route[0] = 0x47;
    source_route[3] = 48;
    source_route.extend([131, 7, 4, 10, 0, 0, 9, 0]);
    source_route.extend(&segment[20..]);
    for (name, bytes, wanted) in [
        ("nothing", vec![], Malformed::Truncated),
        ("version 5", with(&segment, 0, 0x55), Malformed::BadVersion),
        ("version 0", vec![0; 60], Malformed::BadVersion),
        ("IHL 4", with(&segment, 0, 0x44), Malformed::HeaderLength),
        (
            "data offset 4",
            with(&segment, 32, 0x40),
            Malformed::HeaderLength,
        ),
        (
            "total length 19",
            with(&segment, 3, 19),
            Malformed::LengthMismatch,
        ),
        (
            "total length 0",
            with(&segment, 3, 0),
            Malformed::LengthMismatch,
        ),
        (
            "UDP length 99",
            with(&datagram6, 45, 99),
            Malformed::LengthMismatch,
        ),
        (
            "UDP length 7",
            with(&datagram6, 45, 7),
            Malformed::LengthMismatch,
        ),
        (
            "payload length 0",
            with(&datagram6, 5, 0),
            Malformed::ZeroPayloadLength,
        ),
        ("no TCP flag", with(&segment, 33, 0), Malformed::TcpFlags),
        ("SYN and FIN", with(&segment, 33, 0x03), Malformed::TcpFlags),
        ("SYN and RST", with(&segment, 33, 0x06), Malformed::TcpFlags),
        ("FIN alone", with(&segment, 33, 0x01), Malformed::TcpFlags),
        ("all flags", with(&segment, 33, 0xff), Malformed::TcpFlags),
        ("loose source route", source_route, Malformed::SourceRoute),
        (
            "routing header with segments left",
            {
                let mut bytes = extended(&[(43, 8)], 17, &datagram6[40..]);
                bytes[43] = 1;
                bytes
            },
            Malformed::SourceRoute,
        ),
        (
            "nine extension headers",
            extended(&[(60, 8); 9], 17, &datagram6[40..]),
            Malformed::TooManyExtensions,
        ),
        (
            "late hop-by-hop",
            extended(&[(60, 8), (0, 8)], 17, &datagram6[40..]),
            Malformed::ExtensionOrder,
        ),
        (
            "ICMP over IPv6",
            packet(PEER6, POD6, Protocol::ICMP, 64, &[8, 0, 0, 0, 0, 0, 0, 0]),
            Malformed::IcmpVersion,
        ),
        (
            "ICMPv6 over IPv4",
            packet(PEER, POD, Protocol::ICMPV6, 64, &[128, 0, 0, 0, 0, 0, 0, 0]),
            Malformed::IcmpVersion,
        ),
        (
            "from loopback",
            syn(("127.0.0.1", 1), SERVER),
            Malformed::BogonAddress,
        ),
        (
            "IPv4-mapped",
            syn(("::ffff:10.0.0.20", 1), SERVER6),
            Malformed::BogonAddress,
        ),
        (
            "a fragment past the end",
            {
                let mut bytes = fragments(&udp(CLIENT, SERVER, &[0; 100]), 1, 48)[2].clone();
                bytes[6..8].copy_from_slice(&8_191_u16.to_be_bytes());
                bytes
            },
            Malformed::FragmentSize,
        ),
    ] {
        assert_eq!(Packet::parse(&bytes), Err(wanted), "{name}");
    }
}

#[test]
fn segmented_packets_as_long_as_they_can_be_are_read() {
    let v4 = tcp_data(CLIENT, SERVER, TcpFlags::ACK, 1, 1, &vec![0; 65_535 - 40]);
    assert_eq!(v4.len(), 65_535);
    let v6 = tcp_data(CLIENT6, SERVER6, TcpFlags::ACK, 1, 1, &vec![0; 65_535 - 20]);
    assert_eq!(v6.len(), sidewall::packet::MAX_LEN);
    for bytes in [v4, v6] {
        let packet = Packet::parse(&bytes).expect("a segmented packet");
        assert_eq!(packet.total_len(), bytes.len());
        assert_eq!(packet.ports(), (40_000, 80));
    }
}

#[test]
fn a_checksum_is_not_verified_because_a_segmented_packet_has_a_partial_one() {
    let mut bytes = syn(CLIENT, SERVER);
    let before = Packet::parse(&bytes);
    bytes[36] ^= 0xff;
    bytes[10] ^= 0xff;
    assert_eq!(Packet::parse(&bytes), before);
}

#[test]
fn a_packet_stays_small() {
    assert!(size_of::<Packet>() <= 112, "{}", size_of::<Packet>());
}
