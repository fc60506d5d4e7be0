//! What a link needs to work at all.

use std::net::Ipv6Addr;

use super::frames::*;
use super::{JUDGED, PASSES, Rig, STOPS};

#[test]
fn what_keeps_the_link_alive_passes_and_nothing_that_looks_like_it() {
    let Some(rig) = Rig::new() else { return };
    let nd = |kind: u8, hop_limit: u8, code: u8, to: Ipv6Addr| {
        let mut frame = ipv6(ICMPV6, &[kind, code, 0, 0, 0, 0, 0, 0]);
        frame[21] = hop_limit;
        frame[38..54].copy_from_slice(&to.octets());
        frame
    };
    let link_local: Ipv6Addr = "fe80::1".parse().unwrap();
    let solicited: Ipv6Addr = "ff02::1:ff00:7".parse().unwrap();
    let neighbour: Ipv6Addr = "fd00:1::99".parse().unwrap();
    for to in [link_local, solicited, neighbour] {
        assert_eq!(rig.outwards(&nd(135, 255, 0, to)), PASSES, "to {to}");
    }
    assert_eq!(rig.outwards(&nd(135, 255, 0, PEER6)), JUDGED, "by a router");
    assert_eq!(rig.inwards(&nd(136, 255, 0, POD6)), PASSES);
    assert_eq!(
        rig.inwards(&nd(136, 254, 0, POD6)),
        JUDGED,
        "came through a router"
    );
    assert_eq!(rig.inwards(&nd(136, 255, 1, POD6)), JUDGED, "no such code");
    assert_eq!(rig.inwards(&nd(128, 255, 0, POD6)), JUDGED, "an echo");

    let report = |kind: u8, hop_limit: u8, to: &str| {
        let mut frame = ipv6(
            0,
            &[&[ICMPV6, 0, 5, 2, 0, 0, 1, 0, kind][..], &[0; 7]].concat(),
        );
        frame[21] = hop_limit;
        let to: Ipv6Addr = to.parse().unwrap();
        frame[38..54].copy_from_slice(&to.octets());
        frame
    };
    assert_eq!(rig.outwards(&report(143, 1, "ff02::16")), PASSES);
    assert_eq!(
        rig.outwards(&report(143, 2, "ff02::16")),
        JUDGED,
        "it would go further"
    );
    assert_eq!(
        rig.outwards(&report(143, 1, "fd00:1::1")),
        JUDGED,
        "not to a group"
    );
    assert_eq!(rig.outwards(&report(128, 1, "ff02::16")), JUDGED, "an echo");

    let mut others = ipv4(TCP, &tcp(ACK, b""));
    others[0] = 6;
    assert_eq!(
        rig.inwards(&others),
        STOPS,
        "a frame that a bridge has flooded"
    );
    let arp = arp();
    assert_eq!((rig.inwards(&arp), rig.outwards(&arp)), (PASSES, PASSES));
}
