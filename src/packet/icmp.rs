//! ICMP (RFC 792) and ICMPv6 (RFC 4443): echo by identifier, errors with the flow they quote,
//! everything else by type.

use std::net::IpAddr;

use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice};

use super::{Malformed, Network, Transport, extensions};
use crate::net::Protocol;

/// What is kept of an ICMP or ICMPv6 message that is not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Icmp {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Echo request or reply.
    pub echo: Option<Echo>,
}

/// An echo, by its identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// Asks.
    Request(u16),
    /// Answers.
    Reply(u16),
}

/// What is kept of an ICMP or ICMPv6 error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IcmpError {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// The packet it is about.
    pub quoted: Quoted,
}

/// The packet that an error is about, as its sender sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoted {
    /// Source: whoever is told of the error.
    pub src: IpAddr,
    /// Destination.
    pub dst: IpAddr,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Source port, or the identifier of an echo request.
    pub source: u16,
    /// Destination port, or the identifier of an echo reply.
    pub destination: u16,
}

#[inline]
pub(super) fn parse(network: &Network, payload: &[u8]) -> Result<Transport, Malformed> {
    let v6 = network.src.is_ipv6();
    if v6 != (network.protocol == Protocol::ICMPV6) {
        return Err(Malformed::IcmpVersion);
    }
    // Type, code, checksum, and four bytes that every message has (RFC 792; RFC 4443 §3, §4).
    let (header, body) = payload
        .split_first_chunk::<8>()
        .ok_or(Malformed::Truncated)?;
    let [kind, code, _, _, id_high, id_low, ..] = *header;
    if is_error(v6, kind) {
        let quoted = Quoted::parse(v6, body).ok_or(Malformed::BadQuote)?;
        return Ok(Transport::IcmpError(IcmpError { kind, code, quoted }));
    }
    let echo = echo(v6, kind, u16::from_be_bytes([id_high, id_low]));
    Ok(Transport::Icmp(Icmp { kind, code, echo }))
}

/// The errors that a flow needs: unreachable (with "fragmentation needed"), packet too big, time
/// exceeded, parameter problem. Source quench is dead (RFC 6633) and a redirect would move the
/// pod's routes: neither belongs to an allowed flow.
pub(super) const fn is_error(v6: bool, kind: u8) -> bool {
    if v6 {
        matches!(kind, 1..=4)
    } else {
        matches!(kind, 3 | 11 | 12)
    }
}

const fn echo(v6: bool, kind: u8, id: u16) -> Option<Echo> {
    match (v6, kind) {
        (false, 8) | (true, 128) => Some(Echo::Request(id)),
        (false, 0) | (true, 129) => Some(Echo::Reply(id)),
        _ => None,
    }
}

impl Quoted {
    /// Reads the beginning of a packet that may be cut anywhere after its eighth transport byte; a
    /// protocol that is not looked into may have fewer.
    /// `None`: too short, the other family, or a later fragment, of which the flow is not known.
    fn parse(v6: bool, bytes: &[u8]) -> Option<Self> {
        let (src, dst, protocol, transport) = if v6 {
            Self::split_v6(bytes)?
        } else {
            Self::split_v4(bytes)?
        };
        let is_icmp = matches!(protocol, Protocol::ICMP | Protocol::ICMPV6);
        let (source, destination) = if protocol.has_ports() || is_icmp {
            let [a, b, c, d, e, f, ..] = *transport.first_chunk::<8>()?;
            if is_icmp {
                match echo(v6, a, u16::from_be_bytes([e, f])) {
                    Some(Echo::Request(id)) => (id, 0),
                    Some(Echo::Reply(id)) => (0, id),
                    None => (0, 0),
                }
            } else {
                (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
            }
        } else {
            (0, 0)
        };
        Some(Self {
            src,
            dst,
            protocol,
            source,
            destination,
        })
    }

    fn split_v4(bytes: &[u8]) -> Option<(IpAddr, IpAddr, Protocol, &[u8])> {
        let header = Ipv4HeaderSlice::from_slice(bytes).ok()?;
        if header.fragments_offset().value() > 0 {
            return None;
        }
        Some((
            IpAddr::V4(header.source_addr()),
            IpAddr::V4(header.destination_addr()),
            Protocol(header.protocol().0),
            bytes.get(header.slice().len()..)?,
        ))
    }

    fn split_v6(bytes: &[u8]) -> Option<(IpAddr, IpAddr, Protocol, &[u8])> {
        let header = Ipv6HeaderSlice::from_slice(bytes).ok()?;
        let rest = bytes.get(header.slice().len()..)?;
        let chain = extensions::walk(header.next_header().0, rest).ok()?;
        if matches!(chain.fragment, Some(fragment) if fragment.offset > 0) {
            return None;
        }
        Some((
            IpAddr::V6(header.source_addr()),
            IpAddr::V6(header.destination_addr()),
            chain.protocol,
            rest.get(chain.len..)?,
        ))
    }
}
