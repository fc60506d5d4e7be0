//! What a packet is: one parse, with etherparse, into a small `Copy` value whose existence is the
//! proof that everything the firewall will ask of it was there and consistent.
//!
//! It does not verify checksums (a segmented packet from the TUN device carries a partial one, and
//! the receiver verifies them anyway), does not reassemble fragments, and keeps no reference to
//! the bytes. From here a [`Packet`] goes to [`crate::engine`]; [`reject`] builds the answer to a
//! blocked one.
//!
//! One file per protocol, each with the same order: what is kept, how it is read, tests.

pub mod fragment;
pub mod icmp;
mod malformed;
pub mod reject;
pub mod sctp;
pub mod tcp;
pub mod udp;

mod address;
mod extensions;
mod ipv4;
mod ipv6;

use std::net::IpAddr;

use crate::net::Protocol;

pub use fragment::{Fragment, FragmentKey};
pub use icmp::{Echo, Icmp, IcmpError, Quoted};
pub use malformed::Malformed;
pub use sctp::Sctp;
pub use tcp::{Tcp, TcpFlags};
pub use udp::Udp;

/// The longest IP packet there is: an IPv6 header and 65 535 bytes of payload. With segmentation
/// offload the TUN device hands over packets of nearly that size.
pub const MAX_LEN: usize = 40 + 65_535;

/// A packet that can be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    network: Network,
    transport: Transport,
}

/// What the transport header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp(Tcp),
    /// UDP.
    Udp(Udp),
    /// SCTP.
    Sctp(Sctp),
    /// ICMP or ICMPv6 that is not an error: echo, neighbour discovery, whatever else.
    Icmp(Icmp),
    /// ICMP or ICMPv6 error, with the flow it is about.
    IcmpError(IcmpError),
    /// A fragment other than the first: its transport header went before.
    LaterFragment,
    /// A protocol without ports, or one that is not looked into.
    Other,
}

/// What the IP header and its extensions say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    src: IpAddr,
    dst: IpAddr,
    /// What follows the last header that was walked.
    protocol: Protocol,
    hop_limit: u8,
    /// Header, options and extension headers.
    header_len: u16,
    total_len: u32,
    fragment: Option<Fragment>,
}

impl Packet {
    /// Reads a packet that begins with its IP header. Bytes after the packet's own end (padding of
    /// a short Ethernet frame) are left alone.
    ///
    /// # Errors
    /// The first thing found that makes it impossible to judge.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let (network, payload) = match bytes.first().ok_or(Malformed::Truncated)? >> 4 {
            4 => ipv4::parse(bytes)?,
            6 => ipv6::parse(bytes)?,
            _ => return Err(Malformed::BadVersion),
        };
        address::check(&network)?;
        let transport = Transport::parse(&network, payload)?;
        Ok(Self { network, transport })
    }

    /// 4 or 6.
    #[must_use]
    pub const fn version(&self) -> u8 {
        match self.network.src {
            IpAddr::V4(_) => 4,
            IpAddr::V6(_) => 6,
        }
    }

    /// Where it says it comes from.
    #[must_use]
    pub const fn src(&self) -> IpAddr {
        self.network.src
    }

    /// Where it goes.
    #[must_use]
    pub const fn dst(&self) -> IpAddr {
        self.network.dst
    }

    /// The transport protocol: what follows the last extension header.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.network.protocol
    }

    /// IPv4 time to live, or IPv6 hop limit.
    #[must_use]
    pub const fn hop_limit(&self) -> u8 {
        self.network.hop_limit
    }

    /// Bytes of the IP header with its options and extension headers.
    #[must_use]
    pub const fn header_len(&self) -> usize {
        self.network.header_len as usize
    }

    /// Bytes of the whole packet, as its header says; never more than were given.
    #[must_use]
    pub const fn total_len(&self) -> usize {
        self.network.total_len as usize
    }

    /// Bytes after the IP headers: the transport header and its data.
    #[must_use]
    pub const fn payload_len(&self) -> usize {
        self.total_len() - self.header_len()
    }

    /// Its place in a fragmented packet; `None`: it is whole.
    #[must_use]
    pub const fn fragment(&self) -> Option<Fragment> {
        self.network.fragment
    }

    /// What all fragments of one packet have in common; `None`: it is whole.
    #[must_use]
    pub fn fragment_key(&self) -> Option<FragmentKey> {
        self.network
            .fragment
            .map(|fragment| fragment.key(self.src(), self.dst(), self.protocol()))
    }

    /// What its transport header says.
    #[must_use]
    pub const fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Source and destination port. The identifier of an echo stands for the port of the side that
    /// asked, so that a ping in each direction is a flow of its own. 0 where there are none.
    #[must_use]
    pub const fn ports(&self) -> (u16, u16) {
        match self.transport {
            Transport::Tcp(tcp) => (tcp.source, tcp.destination),
            Transport::Udp(udp) => (udp.source, udp.destination),
            Transport::Sctp(sctp) => (sctp.source, sctp.destination),
            Transport::Icmp(icmp) => match icmp.echo {
                Some(Echo::Request(id)) => (id, 0),
                Some(Echo::Reply(id)) => (0, id),
                None => (0, 0),
            },
            Transport::IcmpError(_) | Transport::LaterFragment | Transport::Other => (0, 0),
        }
    }

    /// TCP flags (low byte), or ICMP type, or type of the first SCTP chunk; else 0.
    #[must_use]
    pub const fn flags(&self) -> u8 {
        match self.transport {
            Transport::Tcp(tcp) => tcp.flags.0,
            Transport::Sctp(sctp) => sctp.chunk.0,
            Transport::Icmp(icmp) => icmp.kind,
            Transport::IcmpError(error) => error.kind,
            Transport::Udp(_) | Transport::LaterFragment | Transport::Other => 0,
        }
    }
}

impl Transport {
    #[inline]
    fn parse(network: &Network, payload: &[u8]) -> Result<Self, Malformed> {
        let first = match network.fragment {
            Some(fragment) if fragment.offset > 0 => {
                return fragment::check_later(fragment, network.protocol)
                    .map(|()| Self::LaterFragment);
            }
            Some(_) => true,
            None => false,
        };
        let read = match network.protocol {
            Protocol::TCP => Tcp::parse(payload).map(Self::Tcp),
            Protocol::UDP => Udp::parse(payload, !first).map(Self::Udp),
            Protocol::SCTP => Sctp::parse(payload).map(Self::Sctp),
            Protocol::ICMP | Protocol::ICMPV6 => icmp::parse(network, payload),
            _ => Ok(Self::Other),
        };
        match read {
            Err(Malformed::Truncated) if first => Err(Malformed::TinyFragment),
            other => other,
        }
    }
}
