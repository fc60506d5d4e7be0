//! The answer to a blocked packet, so that whoever sent it fails at once instead of hanging.
//!
//! Meant for packets of the own pod: the answer goes back to it, from the address it wanted to
//! reach. It is written into the caller's buffer; nothing is allocated. Whether to answer at all,
//! and how often, is the caller's choice.

use std::net::IpAddr;

use etherparse::icmpv4::DestUnreachableHeader;
use etherparse::icmpv6::DestUnreachableCode;
use etherparse::{
    Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type, IpNumber, Ipv4Header, Ipv6FlowLabel,
    Ipv6Header, TcpHeader,
};

use super::{Icmp, Packet, Tcp, TcpFlags, Transport};

/// The longest answer: an ICMPv6 error as long as the smallest MTU (RFC 4443 §2.4 (c)).
pub const MAX_LEN: usize = 1_280;

/// An ICMP error is no longer than what every host must take (RFC 1812 §4.3.2.3).
const MAX_LEN_V4: usize = 576;

/// What Linux sends from (`net.ipv4.ip_default_ttl`).
const HOP_LIMIT: u8 = 64;

/// Writes the answer to `packet`, which was parsed from `bytes`, to the beginning of `out`, and
/// returns its length. `None`: nothing may answer it, or `out` is shorter than [`MAX_LEN`] and too
/// short.
#[must_use]
pub fn build(packet: &Packet, bytes: &[u8], out: &mut [u8]) -> Option<usize> {
    if !may_be_answered(packet) {
        return None;
    }
    match packet.transport() {
        Transport::Tcp(tcp) if packet.fragment().is_none() => reset(packet, tcp, out),
        _ => prohibited(packet, bytes, out),
    }
}

/// Never about an error, a redirect, an RST, a later fragment, to or from more than one host
/// (RFC 1122 §3.2.2, RFC 4443 §2.4 (e), RFC 9293 §3.5.2).
fn may_be_answered(packet: &Packet) -> bool {
    const REDIRECT: u8 = 5;
    const REDIRECT_V6: u8 = 137;
    let v6 = packet.version() == 6;
    let answerable = match *packet.transport() {
        Transport::IcmpError(_) | Transport::LaterFragment => false,
        Transport::Icmp(Icmp { kind, .. }) => kind != if v6 { REDIRECT_V6 } else { REDIRECT },
        Transport::Tcp(tcp) => !tcp.flags.has(TcpFlags::RST),
        Transport::Udp(_) | Transport::Sctp(_) | Transport::Other => true,
    };
    let one_host = match packet.dst() {
        IpAddr::V4(dst) => !dst.is_multicast() && !dst.is_broadcast(),
        IpAddr::V6(dst) => !dst.is_multicast(),
    };
    answerable && one_host && !packet.src().is_unspecified()
}

/// RFC 9293 §3.10.7.1: the number that the sender expects if it has said so; else 0, and what it
/// has sent is acknowledged.
fn reset(packet: &Packet, tcp: &Tcp, out: &mut [u8]) -> Option<usize> {
    let acknowledges = tcp.flags.has(TcpFlags::ACK);
    let sequence = if acknowledges { tcp.acknowledgment } else { 0 };
    let mut header = TcpHeader::new(tcp.destination, tcp.source, sequence, 0);
    header.rst = true;
    if !acknowledges {
        header.ack = true;
        header.acknowledgment_number = tcp.end();
    }
    header.checksum = match (packet.dst(), packet.src()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            header.calc_checksum_ipv4_raw(from.octets(), to.octets(), &[])
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            header.calc_checksum_ipv6_raw(from.octets(), to.octets(), &[])
        }
        _ => return None,
    }
    .ok()?;
    let bytes = header.to_bytes();
    write(packet, IpNumber::TCP, &[&bytes], out)
}

/// Communication administratively prohibited: ICMP type 3 code 13 (RFC 1812 §5.2.7.1), ICMPv6
/// type 1 code 1 (RFC 4443 §3.1), quoting as much of the packet as fits.
fn prohibited(packet: &Packet, bytes: &[u8], out: &mut [u8]) -> Option<usize> {
    let whole = bytes.get(..packet.total_len())?;
    match (packet.dst(), packet.src()) {
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let quote = first(whole, MAX_LEN - Ipv6Header::LEN - Icmpv6Header::MIN_LEN);
            let kind = Icmpv6Type::DestinationUnreachable(DestUnreachableCode::Prohibited);
            let header =
                Icmpv6Header::with_checksum(kind, from.octets(), to.octets(), quote).ok()?;
            write(
                packet,
                IpNumber::IPV6_ICMP,
                &[&header.to_bytes(), quote],
                out,
            )
        }
        _ => {
            let quote = first(
                whole,
                MAX_LEN_V4 - Ipv4Header::MIN_LEN - Icmpv4Header::MIN_LEN,
            );
            let kind = Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::FilterProhibited);
            let header = Icmpv4Header::with_checksum(kind, quote);
            write(packet, IpNumber::ICMP, &[&header.to_bytes(), quote], out)
        }
    }
}

fn first(bytes: &[u8], most: usize) -> &[u8] {
    bytes.get(..most).unwrap_or(bytes)
}

/// Puts the IP header of an answer before its parts.
fn write(packet: &Packet, protocol: IpNumber, parts: &[&[u8]], out: &mut [u8]) -> Option<usize> {
    let payload_len = u16::try_from(parts.iter().map(|part| part.len()).sum::<usize>()).ok()?;
    let mut rest = match (packet.dst(), packet.src()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let (from, to) = (from.octets(), to.octets());
            let mut header = Ipv4Header::new(payload_len, HOP_LIMIT, protocol, from, to).ok()?;
            header.header_checksum = header.calc_header_checksum();
            put(&mut *out, &header.to_bytes())?
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let header = Ipv6Header {
                traffic_class: 0,
                flow_label: Ipv6FlowLabel::ZERO,
                payload_length: payload_len,
                next_header: protocol,
                hop_limit: HOP_LIMIT,
                source: from.octets(),
                destination: to.octets(),
            };
            put(&mut *out, &header.to_bytes())?
        }
        _ => return None,
    };
    for part in parts {
        rest = put(rest, part)?;
    }
    let unused = rest.len();
    Some(out.len() - unused)
}

/// Copies `part` to the beginning of `out` and returns what is left of it.
fn put<'a>(out: &'a mut [u8], part: &[u8]) -> Option<&'a mut [u8]> {
    let (place, rest) = out.split_at_mut_checked(part.len())?;
    place.copy_from_slice(part);
    Some(rest)
}
