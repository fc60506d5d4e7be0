//! Connections as lists of segments. Numbers: the pod's begin at 1 000, the peer's at 5 000.

use super::*;
use Originator::{Peer, Pod};

const SYN: TcpFlags = TcpFlags::SYN;
const ACK: TcpFlags = TcpFlags::ACK;
const FIN: TcpFlags = TcpFlags(TcpFlags::FIN.0 | TcpFlags::ACK.0);
const RST: TcpFlags = TcpFlags::RST;
const SYN_ACK: TcpFlags = TcpFlags(TcpFlags::SYN.0 | TcpFlags::ACK.0);
const RST_ACK: TcpFlags = TcpFlags(TcpFlags::RST.0 | TcpFlags::ACK.0);

fn segment(flags: TcpFlags, sequence: u32, acknowledgment: u32, data: u32) -> Tcp {
    Tcp {
        source: 1,
        destination: 2,
        sequence,
        acknowledgment,
        segment_len: data
            + u32::from(flags.has(TcpFlags::SYN))
            + u32::from(flags.has(TcpFlags::FIN)),
        flags,
    }
}

/// A SYN of whoever begins, then these segments: sender, flags, number, acknowledged, data.
fn connection(
    originator: Originator,
    segments: &[(Originator, TcpFlags, u32, u32, u32)],
) -> Connection {
    let first = if originator == Pod { 1_000 } else { 5_000 };
    let syn = segment(SYN, first, 0, 0);
    let mut connection = Connection::begin(&syn, originator).expect("a SYN begins");
    for &(sender, flags, sequence, acknowledgment, data) in segments {
        let tcp = segment(flags, sequence, acknowledgment, data);
        connection.advance(&tcp, sender, originator);
    }
    connection
}

fn state(originator: Originator, segments: &[(Originator, TcpFlags, u32, u32, u32)]) -> State {
    connection(originator, segments).state
}

const POD_CONNECTS: [(Originator, TcpFlags, u32, u32, u32); 2] = [
    (Peer, SYN_ACK, 5_000, 1_001, 0),
    (Pod, ACK, 1_001, 5_001, 0),
];

const PEER_CONNECTS: [(Originator, TcpFlags, u32, u32, u32); 2] = [
    (Pod, SYN_ACK, 1_000, 5_001, 0),
    (Peer, ACK, 5_001, 1_001, 0),
];

/// Both handshakes, each followed by these segments.
fn after_handshakes(segments: &[(Originator, TcpFlags, u32, u32, u32)]) -> [State; 2] {
    [
        state(Pod, &[&POD_CONNECTS, segments].concat()),
        state(Peer, &[&PEER_CONNECTS, segments].concat()),
    ]
}

#[test]
fn only_a_syn_without_ack_begins() {
    for flags in [ACK, SYN_ACK, FIN, RST, RST_ACK] {
        assert_eq!(Connection::begin(&segment(flags, 1, 1, 0), Peer), None);
    }
    assert!(connection(Pod, &[]).is_half_open());
}

#[test]
fn the_handshake_has_three_steps_whoever_begins() {
    assert_eq!(state(Pod, &POD_CONNECTS[..1]), State::SynReceived);
    assert_eq!(state(Peer, &PEER_CONNECTS[..1]), State::SynReceived);
    assert_eq!(after_handshakes(&[]), [State::Established; 2]);
}

#[test]
fn a_simultaneous_open_is_established() {
    let both = [
        (Peer, SYN, 5_000, 0, 0),
        (Pod, SYN_ACK, 1_000, 5_001, 0),
        (Peer, SYN_ACK, 5_000, 1_001, 0),
        (Pod, ACK, 1_001, 5_001, 0),
    ];
    assert_eq!(state(Pod, &both), State::Established);
}

#[test]
fn an_answer_that_acknowledges_something_else_does_not_answer_the_pods_syn() {
    let forged = [(Peer, SYN_ACK, 9, 77, 0)];
    assert_eq!(state(Pod, &forged), State::SynSent);
    // The pod's stack resets it, with the number it named; the true answer still comes.
    let reset = [forged[0], (Pod, RST, 77, 0, 0)];
    assert_eq!(state(Pod, &reset), State::SynSent);
    let goes_on = [&reset[..], &POD_CONNECTS].concat();
    assert_eq!(state(Pod, &goes_on), State::Established);
}

#[test]
fn a_blind_flood_of_syn_and_ack_stays_half_open() {
    for guess in [0, 999, 1_000, 1_001 + EARLY_DATA + 1, u32::MAX] {
        let flood = [PEER_CONNECTS[0], (Peer, ACK, 5_001, guess, 0)];
        assert_eq!(state(Peer, &flood), State::SynReceived, "{guess}");
    }
}

#[test]
fn early_data_may_be_acknowledged_with_the_handshake() {
    let fast_open = [
        PEER_CONNECTS[0],
        (Pod, ACK, 1_001, 5_001, 500),
        (Peer, ACK, 5_001, 1_501, 0),
    ];
    assert_eq!(state(Peer, &fast_open), State::Established);
}

#[test]
fn a_refusal_ends_it_at_once() {
    assert_eq!(state(Pod, &[(Peer, RST_ACK, 0, 1_001, 0)]), State::Closed);
    assert_eq!(state(Peer, &[(Pod, RST_ACK, 0, 5_001, 0)]), State::Closed);
}

#[test]
fn a_refusal_that_names_another_syn_does_not() {
    assert_eq!(state(Pod, &[(Peer, RST_ACK, 0, 77, 0)]), State::SynSent);
    assert_eq!(state(Pod, &[(Peer, RST, 77, 0, 0)]), State::SynSent);
}

#[test]
fn a_probe_that_resets_right_after_the_handshake_is_over_at_once() {
    let probe = [(Peer, RST, 5_001, 0, 0)];
    assert_eq!(after_handshakes(&probe), [State::Closed; 2]);
    // Also when the last step was not seen, because the kernel carried it.
    let carried = [PEER_CONNECTS[0], probe[0]];
    assert_eq!(state(Peer, &carried), State::Closed);
}

#[test]
fn a_reset_of_the_pod_counts() {
    assert_eq!(after_handshakes(&[(Pod, RST, 9, 0, 0)]), [State::Closed; 2]);
}

#[test]
fn a_reset_of_the_peer_counts_when_its_number_is_expected() {
    for (name, segments, wanted) in [
        (
            "what the pod acknowledged",
            &[(Peer, RST, 5_001, 0, 0)][..],
            State::Closed,
        ),
        ("one more", &[(Peer, RST, 5_002, 0, 0)], State::Doubtful),
        ("one less", &[(Peer, RST, 5_000, 0, 0)], State::Doubtful),
        ("zero", &[(Peer, RST, 0, 0, 0)], State::Doubtful),
        (
            "after data under way",
            &[(Peer, ACK, 5_001, 1_001, 100), (Peer, RST, 5_101, 0, 0)],
            State::Closed,
        ),
        (
            "after data that the pod has acknowledged",
            &[
                (Peer, ACK, 5_001, 1_001, 100),
                (Pod, ACK, 1_001, 5_101, 0),
                (Peer, RST, 5_101, 0, 0),
            ],
            State::Closed,
        ),
        (
            "after a forged segment far away",
            &[
                (Peer, ACK, 5_001 + NEAR, 1_001, 0),
                (Peer, RST, 5_001 + NEAR, 0, 0),
            ],
            State::Doubtful,
        ),
    ] {
        assert_eq!(after_handshakes(segments), [wanted; 2], "{name}");
    }
}

#[test]
fn a_forged_reset_is_forgotten_when_the_connection_goes_on() {
    let forged = (Peer, RST, 77, 0, 0);
    let challenged = [forged, (Pod, ACK, 1_001, 5_001, 0)];
    assert_eq!(after_handshakes(&challenged), [State::Doubtful; 2]);
    let goes_on = [forged, (Peer, ACK, 5_001, 1_001, 10)];
    assert_eq!(after_handshakes(&goes_on), [State::Established; 2]);
    assert!(connection(Pod, &[&POD_CONNECTS[..], &[forged]].concat()).lifetime() > 7_200_000);
}

#[test]
fn a_lucky_forged_reset_ends_nothing_while_the_pod_still_talks() {
    let lucky = [(Peer, RST, 5_001, 0, 0), (Pod, ACK, 1_001, 5_001, 10)];
    assert_eq!(after_handshakes(&lucky), [State::Doubtful; 2]);
    let goes_on = [lucky[0], lucky[1], (Peer, ACK, 5_001, 1_011, 0)];
    assert_eq!(after_handshakes(&goes_on), [State::Established; 2]);
}

#[test]
fn either_side_may_close_first_and_the_other_may_go_on() {
    let pod_first = [(Pod, FIN, 1_001, 5_001, 0), (Peer, ACK, 5_001, 1_002, 50)];
    assert_eq!(after_handshakes(&pod_first), [State::HalfClosed; 2]);
    let peer_first = [(Peer, FIN, 5_001, 1_001, 0), (Pod, ACK, 1_001, 5_002, 50)];
    assert_eq!(after_handshakes(&peer_first), [State::HalfClosed; 2]);
}

#[test]
fn both_fins_end_it() {
    for segments in [
        // The pod first, the peer with its acknowledgment.
        [
            (Pod, FIN, 1_001, 5_001, 0),
            (Peer, FIN, 5_001, 1_002, 0),
            (Pod, ACK, 1_002, 5_002, 0),
        ],
        // The peer first, the pod with its acknowledgment.
        [
            (Peer, FIN, 5_001, 1_001, 0),
            (Pod, FIN, 1_001, 5_002, 0),
            (Peer, ACK, 5_002, 1_002, 0),
        ],
        // Both at once.
        [
            (Pod, FIN, 1_001, 5_001, 0),
            (Peer, FIN, 5_001, 1_001, 0),
            (Pod, ACK, 1_002, 5_002, 0),
        ],
    ] {
        assert_eq!(
            after_handshakes(&segments),
            [State::TimeWait; 2],
            "{segments:?}"
        );
    }
}

#[test]
fn a_fin_that_the_pod_does_not_acknowledge_is_a_forgery() {
    let forged = [(Peer, FIN, 77, 1_001, 0), (Pod, ACK, 1_001, 5_001, 0)];
    assert_eq!(after_handshakes(&forged), [State::Established; 2]);
}

#[test]
fn sequence_numbers_wrap_around() {
    let segments = [
        (Peer, ACK, 5_001, 1_001, 0),
        (Pod, ACK, 1_001, u32::MAX, 0),
        (Pod, ACK, 1_001, 10, 0),
        (Pod, ACK, 1_001, u32::MAX, 0),
    ];
    let connection = connection(Pod, &[&POD_CONNECTS[..], &segments].concat());
    // 5 001 → 2³²-1 is more than half the circle: that one is older. 10 too.
    assert_eq!(connection.pod_ack, Some(5_001));
    assert!(is_after(10, u32::MAX) && !is_after(u32::MAX, 10) && !is_after(7, 7));
}

#[test]
fn a_syn_on_a_flow_that_is_known() {
    let closed = [(Peer, RST, 5_001, 0, 0)];
    let finished = [
        (Pod, FIN, 1_001, 5_001, 0),
        (Peer, FIN, 5_001, 1_002, 0),
        (Pod, ACK, 1_002, 5_002, 0),
    ];
    let none: [(Originator, TcpFlags, u32, u32, u32); 0] = [];
    for (name, originator, after, sender, wanted) in [
        ("over, the pod again", Pod, &closed[..], Pod, Fit::Reopens),
        ("over, the peer again", Peer, &closed, Peer, Fit::Reopens),
        ("over, the other way", Pod, &finished, Peer, Fit::Reopens),
        (
            "alive, the pod knows that it is not",
            Pod,
            &none,
            Pod,
            Fit::Reopens,
        ),
        (
            "alive, the pod the other way",
            Peer,
            &none,
            Pod,
            Fit::Reopens,
        ),
        (
            "alive, the peer has restarted",
            Peer,
            &none,
            Peer,
            Fit::Member,
        ),
        (
            "alive, the peer the other way",
            Pod,
            &none,
            Peer,
            Fit::Stranger,
        ),
    ] {
        let handshake = if originator == Pod {
            POD_CONNECTS
        } else {
            PEER_CONNECTS
        };
        let connection = connection(originator, &[&handshake, after].concat());
        let fit = connection.fit(&segment(SYN, 9_000, 0, 0), sender, originator);
        assert_eq!(fit, wanted, "{name}");
    }
    let half_open = connection(Pod, &[]);
    let syn = segment(SYN, 1_000, 0, 0);
    assert_eq!(half_open.fit(&syn, Pod, Pod), Fit::Member, "repeated");
    assert_eq!(half_open.fit(&syn, Peer, Pod), Fit::Member, "simultaneous");
    let answered = connection(Pod, &POD_CONNECTS[..1]);
    assert_eq!(answered.fit(&syn, Peer, Pod), Fit::Stranger);
}

#[test]
fn what_the_kernel_carried_disproves_an_rst_and_completes_no_handshake() {
    let mut half_open = connection(Peer, &PEER_CONNECTS[..1]);
    half_open.carried_both_ways();
    assert_eq!(half_open.state, State::SynReceived);
    let blind = [&PEER_CONNECTS[..], &[(Peer, RST, 9_999_999, 0, 0)]].concat();
    let mut doubtful = connection(Peer, &blind);
    assert_eq!(doubtful.state, State::Doubtful);
    doubtful.carried_both_ways();
    assert_eq!(doubtful.state, State::Established);
}

#[test]
fn the_numbers_that_the_kernel_noted_count_when_they_are_near() {
    for (peer_next, reset, wanted) in [
        (9_100, 9_100, State::Closed),
        (9_000, 9_000, State::Closed),
        (9_000 + NEAR, 9_000 + NEAR, State::Doubtful),
    ] {
        let mut connection = connection(Pod, &POD_CONNECTS);
        connection.learn(Numbers {
            pod_ack: 9_000,
            peer_next,
        });
        connection.advance(&segment(RST, reset, 0, 0), Peer, Pod);
        assert_eq!(connection.state, wanted, "{peer_next}");
    }
}
