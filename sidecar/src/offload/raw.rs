//! Flows as the kernel's map has them, and back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use sidewall::flow::carry::{Carriage, Numbers, Opening, Step};
use sidewall::flow::{Counters, FlowKey};
use sidewall::net::{Direction, Originator, Protocol};
use sidewall::packet::{Tcp, TcpFlags};

use super::carried::Noted;
use super::clock::nanos;
use crate::steering::bpf_sys::{ANSWER, LAST_ACK, RawFlow, RawKey};
use crate::steering::turns::RawTurn;

pub(super) fn key(flow: &FlowKey) -> RawKey {
    let (pod, family) = address(flow.pod);
    let (peer, _) = address(flow.peer);
    RawKey {
        pod,
        peer,
        pod_port: flow.pod_port.to_be_bytes(),
        peer_port: flow.peer_port.to_be_bytes(),
        protocol: flow.protocol.0,
        family,
        zero: [0; 2],
    }
}

/// `None`: no flow has such a key.
pub(super) fn read(raw: &RawKey) -> Option<FlowKey> {
    Some(FlowKey {
        pod: read_address(raw.pod, raw.family)?,
        peer: read_address(raw.peer, raw.family)?,
        pod_port: u16::from_be_bytes(raw.pod_port),
        peer_port: u16::from_be_bytes(raw.peer_port),
        protocol: Protocol(raw.protocol),
    })
}

/// A flow as it is entered, `now` being the kernel's clock.
pub(super) fn entry(
    carriage: Carriage,
    originator: Originator,
    serial: u64,
    now: u64,
    review: Duration,
) -> RawFlow {
    let with = |numbers: Numbers| RawFlow {
        seen: now,
        review: u64::MAX,
        pod_ack: numbers.pod_ack,
        peer_next: numbers.peer_next,
        serial,
        ..RawFlow::default()
    };
    match carriage {
        Carriage::Opening(lacking) => RawFlow {
            opening: opening(lacking, originator),
            expects: lacking.expects,
            ..with(lacking.numbers)
        },
        Carriage::Tcp(numbers) => with(numbers),
        Carriage::Reviewed => RawFlow {
            review: now + nanos(review),
            ..with(Numbers::default())
        },
    }
}

/// The step, and the direction in which it comes.
const fn opening(lacking: Opening, originator: Originator) -> u32 {
    match lacking.lacks {
        Step::Answer => ANSWER + originator.direction().reversed() as u32,
        Step::LastAck => LAST_ACK + originator.direction() as u32,
    }
}

/// A segment that the kernel tells of: whose, in which direction, and what it says.
pub(super) fn segment(turn: &RawTurn) -> Option<(FlowKey, Direction, Tcp)> {
    let key = read(&turn.key)?;
    let direction = match turn.direction {
        0 => Direction::Ingress,
        1 => Direction::Egress,
        _ => return None,
    };
    let (source, destination) = match direction {
        Direction::Ingress => (key.peer_port, key.pod_port),
        Direction::Egress => (key.pod_port, key.peer_port),
    };
    let segment = Tcp {
        source,
        destination,
        sequence: turn.sequence,
        acknowledgment: turn.acknowledgment,
        segment_len: turn.length,
        flags: TcpFlags(turn.flags),
    };
    Some((key, direction, segment))
}

/// All that was counted for an entry.
pub(super) fn noted(flow: &RawFlow) -> Noted {
    let of = |direction: usize| Counters {
        packets: flow.packets[direction],
        bytes: flow.bytes[direction],
    };
    Noted {
        serial: flow.serial,
        sent: of(Direction::Egress as usize),
        received: of(Direction::Ingress as usize),
    }
}

pub(super) const fn difference(now: Counters, before: Counters) -> Counters {
    Counters {
        packets: now.packets.saturating_sub(before.packets),
        bytes: now.bytes.saturating_sub(before.bytes),
    }
}

fn address(address: IpAddr) -> ([u8; 16], u8) {
    match address {
        IpAddr::V4(v4) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&v4.octets());
            (bytes, 4)
        }
        IpAddr::V6(v6) => (v6.octets(), 6),
    }
}

fn read_address(bytes: [u8; 16], family: u8) -> Option<IpAddr> {
    match family {
        4 => {
            let [a, b, c, d, ..] = bytes;
            Some(Ipv4Addr::new(a, b, c, d).into())
        }
        6 => Some(Ipv6Addr::from(bytes).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_as_it_went() {
        for (pod, peer) in [("10.0.0.1", "192.0.2.7"), ("fd00::1", "2001:db8::7")] {
            let flow = FlowKey {
                pod: pod.parse().unwrap(),
                peer: peer.parse().unwrap(),
                pod_port: 40_000,
                peer_port: 443,
                protocol: Protocol::TCP,
            };
            assert_eq!(read(&key(&flow)), Some(flow));
        }
        assert_eq!(read(&RawKey::default()), None);
    }

    #[test]
    fn ipv4_and_ipv6_never_share_a_key() {
        let flow = |pod: &str, peer: &str| FlowKey {
            pod: pod.parse().unwrap(),
            peer: peer.parse().unwrap(),
            pod_port: 1,
            peer_port: 2,
            protocol: Protocol::UDP,
        };
        let v4 = key(&flow("253.0.0.1", "253.0.0.2"));
        let v6 = key(&flow("fd00:1::", "fd00:2::"));
        assert_eq!((v4.pod, v4.peer), (v6.pod, v6.peer), "the same bytes");
        assert_ne!(v4, v6);
    }
}
