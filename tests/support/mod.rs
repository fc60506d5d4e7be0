//! Packets and policies for tests and benches: a few words for what would be many lines.
//!
//! Shared by several test binaries through `mod support`; none uses all of it.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each binary uses the part it needs"
)]

use std::net::IpAddr;

use etherparse::{
    Icmpv4Type, Icmpv6Type, IpFragOffset, IpNumber, Ipv4Header, Ipv6Header, PacketBuilder,
    TcpHeader, UdpHeader,
};
use sidewall::engine::skipped::SkippedPorts;
use sidewall::engine::{Engine, EngineConfig, Judgement, Mode, Policy};
use sidewall::flow::{Counters, Millis};
use sidewall::net::{Direction, Protocol};
use sidewall::packet::{Packet, TcpFlags};
use sidewall::policy::allow_list::{
    AllowList, DirectionList, ObjectRef, Peer, PeerCriterion, PeerSet, PortCriterion, PortRule,
    Rule, RuleId,
};
use sidewall::policy::lookup::{Lookup, LookupOptions};

/// The pod that is guarded.
pub const POD: &str = "10.0.0.10";
/// The same, IPv6.
pub const POD6: &str = "fd00::10";
/// Somebody else.
pub const PEER: &str = "10.0.0.20";
/// The same, IPv6.
pub const PEER6: &str = "fd00::20";
/// A third.
pub const OTHER: &str = "10.0.0.30";

pub fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// An address and a port.
pub type End<'a> = (&'a str, u16);

/// A TCP segment.
pub fn tcp(from: End<'_>, to: End<'_>, flags: TcpFlags, seq: u32, ack: u32) -> Vec<u8> {
    tcp_data(from, to, flags, seq, ack, &[])
}

/// A TCP segment with data.
pub fn tcp_data(
    from: End<'_>,
    to: End<'_>,
    flags: TcpFlags,
    seq: u32,
    ack: u32,
    data: &[u8],
) -> Vec<u8> {
    let mut header = TcpHeader::new(from.1, to.1, seq, 1_000);
    header.acknowledgment_number = ack;
    header.fin = flags.has(TcpFlags::FIN);
    header.syn = flags.has(TcpFlags::SYN);
    header.rst = flags.has(TcpFlags::RST);
    header.psh = flags.has(TcpFlags::PSH);
    header.ack = flags.has(TcpFlags::ACK);
    header.urg = flags.has(TcpFlags::URG);
    let mut payload = header.to_bytes().to_vec();
    payload.extend(data);
    packet(from.0, to.0, Protocol::TCP, 64, &payload)
}

/// The first packet of a TCP connection.
pub fn syn(from: End<'_>, to: End<'_>) -> Vec<u8> {
    tcp(from, to, TcpFlags::SYN, 100, 0)
}

/// A UDP datagram.
pub fn udp(from: End<'_>, to: End<'_>, data: &[u8]) -> Vec<u8> {
    let header = UdpHeader::without_ipv4_checksum(from.1, to.1, data.len()).expect("it is short");
    let mut payload = header.to_bytes().to_vec();
    payload.extend(data);
    packet(from.0, to.0, Protocol::UDP, 64, &payload)
}

/// An SCTP packet with one chunk.
pub fn sctp(from: End<'_>, to: End<'_>, tag: u32, chunk: u8, body: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    payload.extend(from.1.to_be_bytes());
    payload.extend(to.1.to_be_bytes());
    payload.extend(tag.to_be_bytes());
    payload.extend([0; 4]);
    let len = u16::try_from(4 + body.len()).expect("it is short");
    payload.extend([chunk, 0]);
    payload.extend(len.to_be_bytes());
    payload.extend(body);
    packet(from.0, to.0, Protocol::SCTP, 64, &payload)
}

/// An echo request.
pub fn ping(from: &str, to: &str, id: u16) -> Vec<u8> {
    echo(from, to, id, true)
}

/// An echo reply.
pub fn pong(from: &str, to: &str, id: u16) -> Vec<u8> {
    echo(from, to, id, false)
}

fn echo(from: &str, to: &str, id: u16, request: bool) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    let kind = match (ip(from).is_ipv6(), request) {
        (false, true) => 8,
        (false, false) => 0,
        (true, true) => 128,
        (true, false) => 129,
    };
    icmp(from, to, kind, 0, [high, low, 0, 1], b"ping", 64)
}

/// An ICMP or ICMPv6 message, as the addresses tell.
pub fn icmp(
    from: &str,
    to: &str,
    kind: u8,
    code: u8,
    rest: [u8; 4],
    body: &[u8],
    hop_limit: u8,
) -> Vec<u8> {
    let mut payload = Vec::new();
    let protocol = match (ip(from), ip(to)) {
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let builder = PacketBuilder::ipv6(from.octets(), to.octets(), hop_limit);
            let kind = Icmpv6Type::Unknown {
                type_u8: kind,
                code_u8: code,
                bytes5to8: rest,
            };
            builder
                .icmpv6(kind)
                .write(&mut payload, body)
                .expect("a vector takes it");
            return payload;
        }
        _ => Protocol::ICMP,
    };
    let kind = Icmpv4Type::Unknown {
        type_u8: kind,
        code_u8: code,
        bytes5to8: rest,
    };
    let header = etherparse::Icmpv4Header::with_checksum(kind, body);
    payload.extend(header.to_bytes());
    payload.extend(body);
    packet(from, to, protocol, hop_limit, &payload)
}

/// "Destination unreachable, fragmentation needed" or "packet too big", about these bytes.
pub fn too_big(from: &str, to: &str, about: &[u8]) -> Vec<u8> {
    let (kind, code) = if ip(from).is_ipv6() { (2, 0) } else { (3, 4) };
    icmp(from, to, kind, code, [0, 0, 5, 0], about, 64)
}

/// An IP packet with this payload.
pub fn packet(from: &str, to: &str, protocol: Protocol, hop_limit: u8, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).expect("it fits a packet");
    let number = IpNumber(protocol.0);
    let mut bytes = match (ip(from), ip(to)) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let (from, to) = (from.octets(), to.octets());
            let mut header =
                Ipv4Header::new(len, hop_limit, number, from, to).expect("it fits a packet");
            header.header_checksum = header.calc_header_checksum();
            header.to_bytes().to_vec()
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => Ipv6Header {
            payload_length: len,
            next_header: number,
            hop_limit,
            source: from.octets(),
            destination: to.octets(),
            ..Ipv6Header::default()
        }
        .to_bytes()
        .to_vec(),
        _ => panic!("addresses of two families: {from}, {to}"),
    };
    bytes.extend(payload);
    bytes
}

/// A whole IPv4 packet without options, or a whole IPv6 packet without extensions, cut into
/// fragments of this many bytes of payload.
pub fn fragments(whole: &[u8], id: u16, size: usize) -> Vec<Vec<u8>> {
    let v4 = whole[0] >> 4 == 4;
    let header_len = if v4 { 20 } else { 40 };
    let (header, payload) = whole.split_at(header_len);
    let count = payload.len().div_ceil(size);
    payload
        .chunks(size)
        .enumerate()
        .map(|(at, chunk)| {
            let offset = u16::try_from(at * size / 8).expect("an offset");
            let more = at + 1 < count;
            if v4 {
                fragment_v4(header, chunk, id, offset, more)
            } else {
                fragment_v6(header, chunk, id, offset, more)
            }
        })
        .collect()
}

fn fragment_v4(header: &[u8], chunk: &[u8], id: u16, offset: u16, more: bool) -> Vec<u8> {
    let (mut header, _) = Ipv4Header::from_slice(header).expect("an IPv4 header");
    header.identification = id;
    header.dont_fragment = false;
    header.more_fragments = more;
    header.fragment_offset = IpFragOffset::try_new(offset).expect("an offset");
    header.set_payload_len(chunk.len()).expect("it is short");
    header.header_checksum = header.calc_header_checksum();
    [&header.to_bytes()[..], chunk].concat()
}

fn fragment_v6(header: &[u8], chunk: &[u8], id: u16, offset: u16, more: bool) -> Vec<u8> {
    let mut header = header.to_vec();
    let protocol = header[6];
    header[6] = 44;
    let len = u16::try_from(chunk.len() + 8).expect("it is short");
    header[4..6].copy_from_slice(&len.to_be_bytes());
    let place = (offset << 3 | u16::from(more)).to_be_bytes();
    let id = u32::from(id).to_be_bytes();
    let fragment = [&[protocol, 0], &place[..], &id[..]].concat();
    [header, fragment, chunk.to_vec()].concat()
}

/// An allow list for the pod, not isolated.
pub fn open() -> AllowList {
    AllowList {
        pod: name("db"),
        addresses: vec![ip(POD), ip(POD6)],
        node_addresses: vec![ip("10.0.0.1")],
        ingress: DirectionList::default(),
        egress: DirectionList::default(),
        peer_sets: Vec::new(),
        services: Vec::new(),
    }
}

fn name(name: &str) -> ObjectRef {
    ObjectRef {
        namespace: "test".into(),
        name: name.into(),
    }
}

/// Isolates the pod in this direction.
pub fn isolate(mut list: AllowList, direction: Direction) -> AllowList {
    side(&mut list, direction)
        .isolated_by
        .push(name("isolates"));
    list
}

/// Adds a rule: these peers, this port (0: everything).
pub fn allow(
    mut list: AllowList,
    direction: Direction,
    peers: &[IpAddr],
    protocol: Protocol,
    port: u16,
) -> AllowList {
    let mut hosts = peers.to_vec();
    hosts.sort();
    hosts.dedup();
    let set = u32::try_from(list.peer_sets.len()).expect("few sets");
    list.peer_sets.push(PeerSet {
        hosts,
        blocks: Vec::new(),
    });
    let rules = &mut side(&mut list, direction).rules;
    let index = u32::try_from(rules.len()).expect("few rules");
    rules.push(Rule {
        id: RuleId {
            policy: name("allows"),
            direction,
            index,
        },
        peers: Some(vec![Peer {
            criterion: PeerCriterion::Block {
                cidr: "10.0.0.0/8".parse().expect("a block"),
                except: Vec::new(),
            },
            set,
        }]),
        ports: (port != 0).then(|| {
            vec![PortRule {
                protocol,
                port: PortCriterion::Range {
                    from: port,
                    to: port,
                },
            }]
        }),
    });
    list
}

fn side(list: &mut AllowList, direction: Direction) -> &mut DirectionList {
    match direction {
        Direction::Ingress => &mut list.ingress,
        Direction::Egress => &mut list.egress,
    }
}

/// Isolated both ways, nothing allowed.
pub fn closed() -> AllowList {
    isolate(isolate(open(), Direction::Ingress), Direction::Egress)
}

/// A policy in force.
pub fn policy(list: &AllowList, generation: u64, mode: Mode) -> Policy {
    Policy {
        generation,
        lookup: Lookup::new(list, LookupOptions::default()),
        mode,
    }
}

/// An engine for the pod, with room for this many flows.
pub fn engine(capacity: usize) -> Engine {
    skipping(capacity, SkippedPorts::default())
}

/// An engine that asks no policy about these ports.
pub fn skipping(capacity: usize, skipped: SkippedPorts) -> Engine {
    Engine::new(EngineConfig {
        addresses: vec![ip(POD), ip(POD6)],
        capacity,
        skipped,
    })
}

/// Judges bytes as one packet of their length.
pub fn judge(
    engine: &Engine,
    policy: Option<&Policy>,
    direction: Direction,
    bytes: &[u8],
    now: u64,
) -> Judgement {
    let size = Counters::one(bytes.len() as u64);
    engine.judge(policy, &Packet::parse(bytes), direction, size, Millis(now))
}
