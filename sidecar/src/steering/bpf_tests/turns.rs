//! What opens and ends a connection: it passes in its place, and user space is told of it.

use super::super::bpf_sys::{ANSWER, LAST_ACK, RawFlow};
use super::super::turns::RawTurn;
use super::frames::*;
use super::{JUDGED, PASSES, Rig, v4_key, v6_key};

/// Of the frames of these tests, which are from the peer.
const INGRESS: u32 = 0;
const EGRESS: u32 = 1;

/// With numbers, in both families.
fn frames(flags: u8, sequence: u32, acknowledgment: u32) -> [Vec<u8>; 2] {
    let mut l4 = tcp(flags, b"");
    l4[4..8].copy_from_slice(&sequence.to_be_bytes());
    l4[8..12].copy_from_slice(&acknowledgment.to_be_bytes());
    [ipv4(TCP, &l4), ipv6(TCP, &l4)]
}

fn lacking(opening: u32, expects: u32) -> RawFlow {
    RawFlow {
        review: u64::MAX,
        opening,
        expects,
        ..RawFlow::default()
    }
}

#[test]
fn a_fin_passes_when_user_space_was_told_of_it_and_comes_itself_when_that_cannot_be() {
    let Some(rig) = Rig::new() else { return };
    let mut l4 = tcp(FIN | ACK | PSH, b"data");
    l4[4..8].copy_from_slice(&1000_u32.to_be_bytes());
    l4[8..12].copy_from_slice(&2000_u32.to_be_bytes());
    rig.forget();
    assert_eq!(
        rig.inwards(&ipv4(TCP, &l4)),
        JUDGED,
        "of a flow nobody entered"
    );
    assert_eq!(rig.told(), []);
    rig.carry(TCP);
    for (frame, key) in [(ipv4(TCP, &l4), v4_key(TCP)), (ipv6(TCP, &l4), v6_key(TCP))] {
        assert_eq!(rig.inwards(&frame), PASSES);
        let told = rig.told();
        let [turn] = told[..] else { panic!("{told:?}") };
        let wanted = RawTurn {
            key,
            at: turn.at,
            sequence: 1000,
            acknowledgment: 2000,
            length: 5,
            direction: 0,
            flags: FIN | ACK | PSH,
        };
        assert!(turn.at > 0);
        assert_eq!(turn, wanted);
    }
    rig.carry(TCP);
    let frame = ipv4(TCP, &l4);
    let passed = (0..10_000).take_while(|_| rig.inwards(&frame) == PASSES);
    let passed = passed.count();
    assert!((500..10_000).contains(&passed), "{passed}");
    assert_eq!(rig.inwards(&frame), JUDGED, "nobody has read");
    assert_eq!(
        rig.take(TCP).packets[0],
        passed as u64,
        "what is not told of is not carried"
    );
    assert_eq!(rig.told().len(), passed);
    rig.carry(TCP);
    assert_eq!(rig.inwards(&frame), PASSES);
}

#[test]
fn the_peers_answer_passes_once_and_only_if_it_acknowledges_the_pods_syn() {
    let Some(rig) = Rig::new() else { return };
    rig.enter(TCP, lacking(ANSWER + INGRESS, 1001));
    let answers = frames(SYN | ACK, 5000, 1001);
    for (name, others) in [
        ("of another SYN", frames(SYN | ACK, 5000, 1002)),
        (
            "an acknowledgment before the answer",
            frames(ACK, 5000, 1001),
        ),
        (
            "an answer that ends, too",
            frames(SYN | FIN | ACK, 5000, 1001),
        ),
        ("a SYN", frames(SYN, 5000, 0)),
        ("a refusal", frames(RST | ACK, 0, 1001)),
    ] {
        for frame in others {
            assert_eq!(rig.inwards(&frame), JUDGED, "{name}");
        }
    }
    assert_eq!(rig.told(), []);
    for frame in &answers {
        assert_eq!(rig.inwards(frame), PASSES);
    }
    let told = rig.told();
    let [v4, v6] = told[..] else {
        panic!("{told:?}")
    };
    assert_eq!((v4.key, v6.key), (v4_key(TCP), v6_key(TCP)));
    assert_eq!((v4.sequence, v4.acknowledgment, v4.length), (5000, 1001, 1));
    for frame in &answers {
        assert_eq!(rig.inwards(frame), JUDGED, "repeated");
    }
    let seen = rig.take(TCP);
    let numbers = (seen.opening, seen.pod_ack, seen.peer_next);
    assert_eq!(numbers, (LAST_ACK + EGRESS, 5001, 5001));
    assert_eq!(seen.packets, [1, 0]);
}

#[test]
fn the_pods_answer_passes_and_the_peer_has_to_acknowledge_it() {
    let Some(rig) = Rig::new() else { return };
    // As if the frames were the pod's: its key is the other way round.
    let turned = rig.turned();
    rig.maps
        .flows
        .insert(&turned, &lacking(ANSWER + EGRESS, 0))
        .unwrap();
    let [answer, _] = frames(SYN | ACK, 1000, 5001);
    assert_eq!(rig.outwards(&answer), PASSES);
    let seen = rig.maps.flows.take(&turned).unwrap().unwrap();
    let numbers = (seen.opening, seen.expects, seen.pod_ack);
    assert_eq!(numbers, (LAST_ACK + INGRESS, 1001, 5001));
    assert_eq!(rig.told().len(), 1);

    rig.enter(TCP, lacking(LAST_ACK + INGRESS, 1001));
    for blind in [1000, 1001 + (1 << 16) + 1] {
        for frame in frames(ACK, 5001, blind) {
            assert_eq!(rig.inwards(&frame), JUDGED, "acknowledges {blind}");
        }
    }
    for frame in frames(ACK, 5001, 1001) {
        assert_eq!(rig.inwards(&frame), PASSES);
        assert_eq!(rig.told().len(), 1);
        assert_eq!(rig.inwards(&frame), PASSES);
        assert_eq!(rig.told(), [], "it is open");
    }
}

#[test]
fn until_the_pod_has_acknowledged_user_space_is_told_of_every_packet() {
    let Some(rig) = Rig::new() else { return };
    rig.enter(TCP, lacking(LAST_ACK + EGRESS, 0));
    for told in 1..=3 {
        for frame in frames(ACK, 5001, told) {
            assert_eq!(rig.inwards(&frame), PASSES);
            assert_eq!(rig.told().len(), 1);
        }
    }
}
