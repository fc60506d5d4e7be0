//! Single packets.

use sidewall::net::Protocol;
use sidewall::packet::TcpFlags;

use super::support::*;
use super::{CLIENT, CLIENT6, SERVER, SERVER6};

pub(super) fn packets() -> Vec<(&'static str, Vec<u8>)> {
    let segment = tcp_data(CLIENT, SERVER, TcpFlags::ACK, 1, 1, &[0; 40]);
    let datagram6 = udp(CLIENT6, SERVER6, &[0; 100]);
    let with = |bytes: &[u8], at: usize, value: u8| {
        let mut bytes = bytes.to_vec();
        bytes[at] = value;
        bytes
    };
    let chain: Vec<u8> = [[60, 0, 1, 4, 0, 0, 0, 0]; 8].concat();
    vec![
        ("tcp-syn", syn(CLIENT, SERVER)),
        ("tcp-syn-v6", syn(CLIENT6, SERVER6)),
        ("tcp-cut-in-header", segment[..33].to_vec()),
        ("tcp-cut-before-flags", segment[..32].to_vec()),
        ("tcp-offset-past-end", with(&segment[..40], 32, 0xf0)),
        ("tcp-offset-too-small", with(&segment, 32, 0x10)),
        ("tcp-null-flags", with(&segment, 33, 0)),
        ("tcp-xmas-flags", with(&segment, 33, 0xff)),
        ("tiny-first-fragment", fragments(&segment, 1, 8)[0].clone()),
        ("fragment-over-flags", fragments(&segment, 1, 8)[1].clone()),
        ("later-fragment", fragments(&segment, 1, 24)[1].clone()),
        (
            "fragment-past-end",
            with(&fragments(&segment, 1, 24)[1], 6, 0x1f),
        ),
        ("fragment-v6", fragments(&datagram6, 1, 48)[1].clone()),
        (
            "atomic-fragment-v6",
            fragments(&datagram6, 1, 200)[0].clone(),
        ),
        ("total-length-zero", with(&with(&segment, 2, 0), 3, 0)),
        ("total-length-short", with(&segment, 3, 21)),
        ("header-length-15", with(&segment[..40], 0, 0x4f)),
        ("payload-length-zero", with(&with(&datagram6, 4, 0), 5, 0)),
        ("udp-length-long", with(&datagram6, 44, 0xff)),
        (
            "extensions-eight",
            packet(
                PEER6,
                POD6,
                Protocol(60),
                64,
                &[&chain[..], &[17, 0, 1, 4, 0, 0, 0, 0]].concat(),
            ),
        ),
        (
            "extension-past-end",
            packet(PEER6, POD6, Protocol(0), 64, &[6, 255, 0, 0, 0, 0, 0, 0]),
        ),
        (
            "routing-segments-left",
            packet(PEER6, POD6, Protocol(43), 64, &[17, 0, 0, 1, 0, 0, 0, 0]),
        ),
        (
            "authentication-header",
            packet(
                PEER6,
                POD6,
                Protocol(51),
                64,
                &[6, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1],
            ),
        ),
        (
            "sctp-init",
            sctp(CLIENT, SERVER, 0, 1, &[0, 0, 0, 9, 0, 0, 0, 0]),
        ),
        (
            "sctp-cut-init",
            packet(
                PEER,
                POD,
                Protocol::SCTP,
                64,
                &[0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 4],
            ),
        ),
        ("echo", ping(PEER, POD, 7)),
        (
            "icmp-quotes-udp",
            too_big(OTHER, POD, &udp(SERVER, CLIENT, b"x")),
        ),
        (
            "icmp-quotes-too-little",
            too_big(OTHER, POD, &udp(SERVER, CLIENT, b"x")[..27]),
        ),
        (
            "icmp-quotes-icmp-error",
            too_big(OTHER, POD, &too_big(POD, PEER, &segment)),
        ),
        (
            "icmpv6-quotes-extensions",
            too_big(
                "fd00::1",
                POD6,
                &fragments(&udp(SERVER6, CLIENT6, &[0; 100]), 1, 48)[0],
            ),
        ),
        ("icmpv6-quotes-ipv4", too_big("fd00::1", POD6, &segment)),
        (
            "icmp-in-ipv6",
            packet(PEER6, POD6, Protocol::ICMP, 64, &[3, 4, 0, 0, 0, 0, 0, 0]),
        ),
        ("mapped-source", syn(("::ffff:10.0.0.20", 1), SERVER6)),
        ("land", syn(SERVER, SERVER)),
        (
            "source-route",
            [
                &with(&with(&segment[..20], 0, 0x47), 3, 68)[..],
                &[131, 7, 4, 10, 0, 0, 9, 0],
                &segment[20..60],
            ]
            .concat(),
        ),
        (
            "option-without-length",
            [
                &with(&with(&segment[..20], 0, 0x46), 3, 64)[..],
                &[1, 1, 1, 7],
                &segment[20..60],
            ]
            .concat(),
        ),
    ]
}
