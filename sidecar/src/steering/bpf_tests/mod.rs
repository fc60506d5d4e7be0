//! The eBPF programs on single frames (BPF_PROG_TEST_RUN): what passes without user space, what does
//! not, and what is noted. Next to these, `tests/` has real traffic.

mod frames;
mod link;
mod turns;

use super::bpf_load::{Maps, Parameters, Programs, load};
use super::bpf_sys::{RawFlow, RawKey, run_on};
use super::turns::RawTurn;
use frames::*;

/// TC_ACT_OK and TC_ACT_REDIRECT (linux/pkt_cls.h): on its way, and to user space.
const PASSES: u32 = 0;
const JUDGED: u32 = 7;
/// TC_ACT_SHOT.
const STOPS: u32 = 2;

#[test]
fn ordinary_packets_of_a_carried_flow_pass_and_those_of_others_do_not() {
    let Some(rig) = Rig::new() else { return };
    for (name, protocol, l4) in [
        ("a segment", TCP, tcp(ACK, b"data")),
        ("a segment that is pushed", TCP, tcp(ACK | PSH, b"data")),
        ("a bare acknowledgment", TCP, tcp(ACK, b"")),
        ("a datagram", UDP, udp(b"data")),
        ("an empty datagram", UDP, udp(b"")),
        ("a data chunk", SCTP, sctp(0, b"data", b"")),
        ("two data chunks", SCTP, sctp(0, b"data", &[0, 3, 0, 4])),
        ("a lone SACK", SCTP, sctp(3, b"0123456789ab", b"")),
    ] {
        for frame in [ipv4(protocol, &l4), ipv6(protocol, &l4)] {
            rig.forget();
            assert_eq!(
                rig.inwards(&frame),
                JUDGED,
                "{name} of a flow nobody entered"
            );
            rig.carry(protocol);
            assert_eq!(rig.inwards(&frame), PASSES, "{name}");
            rig.carry(if protocol == TCP { UDP } else { TCP });
            let outwards = rig.outwards(&frame);
            assert_eq!(
                outwards, JUDGED,
                "{name}: the other direction is another flow"
            );
        }
    }
}

#[test]
fn what_opens_or_ends_and_what_is_unusual_goes_to_user_space() {
    let Some(rig) = Rig::new() else { return };
    let data = tcp(ACK, b"data");
    let header = |change: fn(&mut Vec<u8>)| {
        let mut l4 = tcp(ACK, b"data");
        change(&mut l4);
        l4
    };
    for (name, protocol, l4) in [
        ("SYN", TCP, tcp(SYN, b"")),
        ("SYN ACK", TCP, tcp(SYN | ACK, b"")),
        ("SYN and FIN", TCP, tcp(SYN | FIN | ACK, b"")),
        ("a FIN without ACK", TCP, tcp(FIN, b"")),
        ("RST", TCP, tcp(RST, b"")),
        ("RST ACK", TCP, tcp(RST | ACK, b"")),
        ("no flag at all", TCP, tcp(0, b"data")),
        (
            "a header too short to be one",
            TCP,
            header(|l4| l4[12] = 4 << 4),
        ),
        (
            "a header longer than its packet",
            TCP,
            header(|l4| l4[12] = 15 << 4),
        ),
        ("half a header", TCP, data[..12].to_vec()),
        ("half a datagram header", UDP, udp(b"")[..4].to_vec()),
        ("the end of an association", SCTP, sctp(7, b"0123", b"")),
        ("an ABORT", SCTP, sctp(6, b"", b"")),
        (
            "a SHUTDOWN behind a SACK",
            SCTP,
            sctp(3, b"0123456789ab", &[7, 0, 0, 4]),
        ),
        (
            "a chunk without an end",
            SCTP,
            sctp(0, b"", b"")[..12].to_vec(),
        ),
        ("another protocol", 47, data.clone()),
    ] {
        rig.carry(protocol);
        for frame in [ipv4(protocol, &l4), ipv6(protocol, &l4)] {
            assert_eq!(rig.inwards(&frame), JUDGED, "{name}");
        }
    }

    rig.carry(TCP);
    let whole = ipv4(TCP, &data);
    let changed = |at: usize, byte: u8| {
        let mut frame = whole.clone();
        frame[at] = byte;
        frame
    };
    for (name, frame) in [
        ("IPv4 options", changed(14, 0x46)),
        ("IPv4 with the version of IPv6", changed(14, 0x65)),
        ("a first fragment", changed(20, 0x20)),
        ("a later fragment", changed(21, 0x01)),
        ("longer than its frame", changed(17, 200)),
        ("shorter than its header", changed(17, 19)),
        (
            "a VLAN tag",
            [&whole[..12], &[0x81, 0, 0, 1][..], &whole[12..]].concat(),
        ),
        ("an EtherType nobody knows", changed(12, 0x88)),
        ("hop-by-hop options before TCP", {
            ipv6(0, &[&[TCP, 0, 1, 4, 0, 0, 0, 0][..], &data].concat())
        }),
    ] {
        assert_eq!(rig.inwards(&frame), JUDGED, "{name}");
    }
    assert_eq!(rig.inwards(&whole), PASSES, "and the flow is still carried");
    let padded = [&whole[..], &[0; 6]].concat();
    assert_eq!(
        rig.inwards(&padded),
        PASSES,
        "a frame may be longer than its packet"
    );
}

#[test]
fn nothing_is_carried_past_its_time() {
    let Some(rig) = Rig::new() else { return };
    let frame = ipv4(UDP, &udp(b"data"));
    rig.enter(
        UDP,
        RawFlow {
            review: 1,
            ..RawFlow::default()
        },
    );
    assert_eq!(rig.inwards(&frame), JUDGED, "under review");
    rig.carry(UDP);
    assert_eq!(rig.inwards(&frame), PASSES);
    rig.maps.lease.set(1).unwrap();
    assert_eq!(
        rig.inwards(&frame),
        JUDGED,
        "user space has not been heard of"
    );
}

#[test]
fn counts_and_numbers_are_noted() {
    let Some(rig) = Rig::new() else { return };
    rig.enter(
        TCP,
        RawFlow {
            pod_ack: 1000,
            review: u64::MAX,
            serial: 5,
            ..RawFlow::default()
        },
    );
    let segment = |seq: u32, ack: u32, data: &[u8]| {
        let mut l4 = tcp(ACK, data);
        l4[4..8].copy_from_slice(&seq.to_be_bytes());
        l4[8..12].copy_from_slice(&ack.to_be_bytes());
        ipv4(TCP, &l4)
    };
    assert_eq!(rig.inwards(&segment(1000, 1, b"0123456789")), PASSES);
    assert_eq!(rig.inwards(&segment(1010, 1, b"01234")), PASSES);
    let seen = rig.take(TCP);
    assert_eq!((seen.packets, seen.bytes), ([2, 0], [40 + 10 + 40 + 5, 0]));
    assert_eq!((seen.peer_next, seen.serial), (1015, 5));
    assert!(seen.seen > 0);

    // A blind guess moves nothing, and neither does what the pod has had already.
    rig.enter(
        TCP,
        RawFlow {
            pod_ack: 1000,
            peer_next: 1000,
            review: u64::MAX,
            ..RawFlow::default()
        },
    );
    for seq in [1000 + (1 << 20), 900] {
        assert_eq!(rig.inwards(&segment(seq, 1, b"x")), PASSES);
    }
    assert_eq!(rig.take(TCP).peer_next, 1000);

    // From the pod, what it acknowledges.
    let turned = rig.turned();
    let entry = RawFlow {
        review: u64::MAX,
        ..RawFlow::default()
    };
    rig.maps.flows.insert(&turned, &entry).unwrap();
    assert_eq!(rig.outwards(&segment(1, 7777, b"abc")), PASSES);
    let seen = rig.maps.flows.take(&turned).unwrap().unwrap();
    assert_eq!(
        (seen.packets, seen.bytes, seen.pod_ack),
        ([0, 1], [0, 43], 7777)
    );
}

/// Programs and maps, loaded for nobody's interface.
struct Rig {
    programs: Programs,
    maps: Maps,
}

impl Rig {
    /// `None`, said loudly, without the privilege to load them.
    fn new() -> Option<Self> {
        let own = ["10.1.0.7/24", "fd00:1::7/64"].map(|net| net.parse().unwrap());
        let parameters = Parameters {
            // Loopback is there in every namespace; nothing is sent.
            interface: 1,
            ingress: 1,
            egress: 1,
            addresses: own.to_vec(),
            flows: 16,
        };
        match load(&parameters) {
            Ok((programs, maps)) => {
                maps.lease.set(u64::MAX).unwrap();
                Some(Self { programs, maps })
            }
            Err(error) if nix::unistd::geteuid().is_root() => panic!("{error:#?}"),
            Err(error) => {
                assert!(
                    std::env::var_os("CI").is_none_or(|ci| ci != "true"),
                    "this test needs CAP_BPF, and CI must have it: {error}"
                );
                eprintln!("!!! SKIPPED: this test needs root (sudo -E cargo test): {error} !!!");
                None
            }
        }
    }

    fn inwards(&self, frame: &[u8]) -> u32 {
        run_on(&self.programs.eth_in, frame).unwrap()
    }

    fn outwards(&self, frame: &[u8]) -> u32 {
        run_on(&self.programs.eth_out, frame).unwrap()
    }

    /// Enters the flow of this protocol in both families, as of now.
    fn carry(&self, protocol: u8) {
        self.enter(
            protocol,
            RawFlow {
                review: u64::MAX,
                ..RawFlow::default()
            },
        );
    }

    fn enter(&self, protocol: u8, flow: RawFlow) {
        self.forget();
        for key in [v4_key(protocol), v6_key(protocol)] {
            self.maps.flows.insert(&key, &flow).unwrap();
        }
    }

    fn forget(&self) {
        for protocol in [TCP, UDP, SCTP, 47] {
            for key in [v4_key(protocol), v6_key(protocol)] {
                self.maps.flows.take(&key).unwrap();
            }
        }
    }

    /// The TCP flow of the IPv4 frames as it would be if the pod sent them.
    fn turned(&self) -> RawKey {
        let key = v4_key(TCP);
        RawKey {
            pod: key.peer,
            peer: key.pod,
            pod_port: key.peer_port,
            peer_port: key.pod_port,
            ..key
        }
    }

    /// What user space was told of since it was asked last.
    fn told(&self) -> Vec<RawTurn> {
        let mut told = Vec::new();
        self.maps.turns.take(|turn| told.push(turn));
        told
    }

    /// What was noted for IPv4.
    fn take(&self, protocol: u8) -> RawFlow {
        self.maps.flows.take(&v4_key(protocol)).unwrap().unwrap()
    }
}

fn v4_key(protocol: u8) -> RawKey {
    let wide = |address: [u8; 4]| {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&address);
        bytes
    };
    RawKey {
        pod: wide(POD),
        peer: wide(PEER),
        family: 4,
        ..v6_key(protocol)
    }
}

fn v6_key(protocol: u8) -> RawKey {
    RawKey {
        pod: POD6.octets(),
        peer: PEER6.octets(),
        pod_port: POD_PORT.to_be_bytes(),
        peer_port: PEER_PORT.to_be_bytes(),
        protocol,
        family: 6,
        zero: [0; 2],
    }
}
