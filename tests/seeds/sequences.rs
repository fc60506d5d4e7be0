//! Sequences of packets, as steps of the engine.

use sidewall::packet::TcpFlags;

use super::support::*;
use super::{CLIENT, SERVER};

/// Steps of the engine: see the driver.
const INGRESS: u8 = 0;
const EGRESS: u8 = 1;
const PUBLISH: u8 = 2;
const SWEEP: u8 = 4;
const PAUSE: u8 = 0xf0;

fn steps(steps: &[(u8, Vec<u8>)]) -> Vec<u8> {
    steps
        .iter()
        .flat_map(|(step, packet)| {
            let len = u16::try_from(packet.len())
                .expect("it is short")
                .to_be_bytes();
            [&[*step, len[0], len[1]], &packet[..]].concat()
        })
        .collect()
}

pub(super) fn sequences() -> Vec<(&'static str, Vec<u8>)> {
    let syn_ack = tcp(SERVER, CLIENT, TcpFlags::SYN | TcpFlags::ACK, 1_000, 5_001);
    let ack = tcp(CLIENT, SERVER, TcpFlags::ACK, 5_001, 1_001);
    let reset = tcp(CLIENT, SERVER, TcpFlags::RST, 5_001, 0);
    let first = tcp(CLIENT, SERVER, TcpFlags::SYN, 5_000, 0);
    let pieces = fragments(&udp(CLIENT, (POD, 53), &[0; 150]), 9, 64);
    let flood = (0..40).map(|port| (INGRESS, syn((PEER, port), SERVER)));
    vec![
        (
            "before-any-policy",
            steps(&[(INGRESS, first.clone()), (EGRESS, ping(POD, PEER, 1))]),
        ),
        (
            "handshake-reset-reuse",
            steps(&[
                (PUBLISH | INGRESS, first.clone()),
                (EGRESS, syn_ack.clone()),
                (INGRESS, ack.clone()),
                (INGRESS, reset.clone()),
                (INGRESS, first.clone()),
                (PAUSE | SWEEP, vec![]),
            ]),
        ),
        (
            "revoked-in-the-middle",
            steps(&[
                (PUBLISH | INGRESS, first.clone()),
                (EGRESS, syn_ack.clone()),
                (PUBLISH | INGRESS, ack.clone()),
                (PUBLISH | INGRESS, ack.clone()),
                (PUBLISH | SWEEP | INGRESS, ack),
            ]),
        ),
        (
            "forged-answers",
            steps(&[
                (PUBLISH | INGRESS, first),
                (INGRESS, tcp(CLIENT, SERVER, TcpFlags::ACK, 9, 9)),
                (INGRESS, reset),
                (EGRESS, syn_ack),
                (INGRESS, syn(CLIENT, SERVER)),
                (EGRESS, syn(SERVER, CLIENT)),
            ]),
        ),
        (
            "flood",
            steps(
                &[
                    vec![(PUBLISH, vec![])],
                    flood.collect(),
                    vec![(PAUSE | SWEEP, vec![])],
                ]
                .concat(),
            ),
        ),
        (
            "fragments",
            steps(&[
                (PUBLISH | INGRESS, pieces[1].clone()),
                (INGRESS, pieces[0].clone()),
                (INGRESS, pieces[1].clone()),
                (PUBLISH | INGRESS, pieces[2].clone()),
            ]),
        ),
        (
            "association",
            steps(&[
                (
                    PUBLISH | INGRESS,
                    sctp(CLIENT, SERVER, 0, 1, &[0, 0, 0, 9, 0, 0, 0, 0]),
                ),
                (
                    EGRESS,
                    sctp(SERVER, CLIENT, 9, 2, &[0, 0, 0, 7, 0, 0, 0, 0]),
                ),
                (INGRESS, sctp(CLIENT, SERVER, 7, 10, &[])),
                (EGRESS, sctp(SERVER, CLIENT, 9, 11, &[])),
                (INGRESS, sctp(CLIENT, SERVER, 8, 6, &[])),
                (INGRESS, sctp(CLIENT, SERVER, 7, 6, &[])),
            ]),
        ),
        (
            "error-about-a-flow",
            steps(&[
                (PUBLISH | EGRESS, udp((POD, 5_000), (PEER, 53), b"?")),
                (
                    INGRESS,
                    too_big(OTHER, POD, &udp((POD, 5_000), (PEER, 53), b"?")),
                ),
                (
                    EGRESS,
                    too_big(POD, PEER, &udp((PEER, 53), (POD, 5_000), b"!")),
                ),
            ]),
        ),
    ]
}
