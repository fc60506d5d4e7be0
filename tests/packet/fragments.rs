//! Fragments: the first has the ports, and none may change what was judged.

use sidewall::packet::{Fragment, Malformed, Packet, TcpFlags, Transport};

use crate::support::*;

const CLIENT: End<'_> = (PEER, 40_000);
const SERVER: End<'_> = (POD, 80);
const CLIENT6: End<'_> = (PEER6, 40_000);
const SERVER6: End<'_> = (POD6, 80);

#[test]
fn fragments_are_read_the_first_with_ports_and_the_later_without() {
    for (from, to) in [(CLIENT, SERVER), (CLIENT6, SERVER6)] {
        let whole = udp(from, to, &[1; 100]);
        let pieces = fragments(&whole, 77, 48);
        assert_eq!(pieces.len(), 3);
        let read: Vec<Packet> = pieces
            .iter()
            .map(|piece| Packet::parse(piece).expect("a fragment"))
            .collect();
        let place = |offset, more| {
            Some(Fragment {
                id: 77,
                offset,
                more,
            })
        };
        assert_eq!(read[0].fragment(), place(0, true));
        assert_eq!(read[1].fragment(), place(48, true));
        assert_eq!(read[2].fragment(), place(96, false));
        assert_eq!(read[0].ports(), (40_000, 80));
        for later in &read[1..] {
            assert_eq!(*later.transport(), Transport::LaterFragment);
            assert_eq!(later.fragment_key(), read[0].fragment_key());
        }
    }
}

#[test]
fn an_atomic_ipv6_fragment_is_a_whole_packet() {
    let whole = udp(CLIENT6, SERVER6, b"x");
    let atomic = &fragments(&whole, 1, 1_000)[0];
    assert_eq!(atomic[6], 44, "there is a fragment header");
    let packet = Packet::parse(atomic).expect("a whole packet");
    assert_eq!((packet.fragment(), packet.ports()), (None, (40_000, 80)));
}

#[test]
fn a_first_fragment_too_short_for_its_transport_header_is_refused() {
    for (from, to) in [(CLIENT, SERVER), (CLIENT6, SERVER6)] {
        let segment = tcp_data(from, to, TcpFlags::ACK, 1, 1, &[0; 40]);
        for size in [8, 16] {
            let first = &fragments(&segment, 1, size)[0];
            assert_eq!(Packet::parse(first), Err(Malformed::TinyFragment), "{size}");
        }
        let sctp = sctp(from, to, 1, 3, &[0; 40]);
        assert_eq!(
            Packet::parse(&fragments(&sctp, 1, 8)[0]),
            Err(Malformed::TinyFragment)
        );
        assert!(Packet::parse(&fragments(&segment, 1, 24)[0]).is_ok());
    }
}

#[test]
fn a_tcp_fragment_over_the_flags_of_the_first_is_refused() {
    for (from, to) in [(CLIENT, SERVER), (CLIENT6, SERVER6)] {
        let segment = tcp_data(from, to, TcpFlags::ACK, 1, 1, &[0; 40]);
        let datagram = udp(from, to, &[0; 40]);
        let second = |whole: &[u8]| Packet::parse(&fragments(whole, 1, 8)[1]);
        assert_eq!(second(&segment), Err(Malformed::OverlappingFragment));
        assert!(second(&datagram).is_ok());
    }
}
