//! Flows: who talks with the pod, since when, and who began.
//!
//! A table of flows, bounded, with a lifetime for each state. It decides nothing about policy:
//! [`crate::engine`] asks the policy, enters what passes, and asks the table about every further
//! packet. What ends leaves as a [`crate::record::FlowRecord`].
//!
//! Where to read on: [`FlowKey`] (what makes a flow), [`table`] (where they are kept), [`entry`]
//! (what is known of one), then per protocol [`tcp`], [`sctp`] and [`exchange`]; all numbers are
//! in [`lifetime`]. [`fragments`] lets later fragments follow the first; [`revoked`] keeps late answers
//! from beginning anew what lost its permission; [`carry`] says which flows the kernel may carry.

pub mod carry;
pub mod entry;
pub mod exchange;
pub mod fragments;
pub mod lifetime;
pub mod revoked;
pub mod sctp;
pub mod table;
pub mod tcp;
pub mod tracker;

use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::ops::AddAssign;

use crate::net::{Direction, Originator, Protocol};
use crate::packet::{Packet, Quoted};

pub use entry::{Flow, Pressure};
pub use table::FlowTable;

/// Milliseconds of the caller's monotonic clock. The core has no clock of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Millis(pub u64);

impl Millis {
    /// Milliseconds since `earlier`; 0 when that is later (two queues read their clocks apart).
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// One flow, named from the pod's side, so that both directions have the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowKey {
    /// The pod's address.
    pub pod: IpAddr,
    /// The other side's address.
    pub peer: IpAddr,
    /// The pod's port; the identifier of an echo that the pod asked for; 0 for protocols without
    /// ports.
    pub pod_port: u16,
    /// The other side's port; the identifier of an echo that the peer asked for; 0 where there is
    /// none.
    pub peer_port: u16,
    /// The transport protocol.
    pub protocol: Protocol,
}

impl FlowKey {
    /// The flow that a packet belongs to when it travels in this direction.
    #[inline]
    #[must_use]
    pub const fn of(packet: &Packet, direction: Direction) -> Self {
        let (source, destination) = packet.ports();
        Self::new(
            (packet.src(), source),
            (packet.dst(), destination),
            packet.protocol(),
            direction,
        )
    }

    /// The flow that an ICMP error travelling in this direction is about. What is quoted travelled
    /// the other way.
    #[inline]
    #[must_use]
    pub const fn quoted(quoted: &Quoted, direction: Direction) -> Self {
        Self::new(
            (quoted.src, quoted.source),
            (quoted.dst, quoted.destination),
            quoted.protocol,
            direction.reversed(),
        )
    }

    const fn new(
        src: (IpAddr, u16),
        dst: (IpAddr, u16),
        protocol: Protocol,
        direction: Direction,
    ) -> Self {
        let ((pod, pod_port), (peer, peer_port)) = match direction {
            Direction::Egress => (src, dst),
            Direction::Ingress => (dst, src),
        };
        Self {
            pod,
            peer,
            pod_port,
            peer_port,
            protocol,
        }
    }

    /// The port that a policy is asked about: the one on the side that did not begin. 0 for
    /// protocols without ports.
    #[must_use]
    pub const fn destination_port(&self, originator: Originator) -> u16 {
        if !self.protocol.has_ports() {
            return 0;
        }
        match originator {
            Originator::Pod => self.peer_port,
            Originator::Peer => self.pod_port,
        }
    }
}

/// The derived hash feeds an address byte by byte with its length; this one feeds three to five
/// whole words, which foldhash takes in about 4 ns. The hasher's random seed keeps peers, who
/// choose their ports, from choosing collisions.
impl Hash for FlowKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let ports = u64::from(self.pod_port) << 16 | u64::from(self.peer_port);
        let tail = u64::from(self.protocol.0) << 32 | ports;
        match (self.pod, self.peer) {
            (IpAddr::V4(pod), IpAddr::V4(peer)) => {
                state.write_u64(u64::from(pod.to_bits()) << 32 | u64::from(peer.to_bits()));
            }
            (pod, peer) => {
                for address in [pod, peer] {
                    match address {
                        IpAddr::V4(v4) => state.write_u32(v4.to_bits()),
                        IpAddr::V6(v6) => state.write_u128(v6.to_bits()),
                    }
                }
            }
        }
        state.write_u64(tail);
    }
}

/// Packets and bytes (of IP packets, headers included).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Packets; a segmented packet counts its segments.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Counters {
    /// One packet of this many bytes.
    #[must_use]
    pub const fn one(bytes: u64) -> Self {
        Self { packets: 1, bytes }
    }

    /// Nothing counted.
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.packets == 0 && self.bytes == 0
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, more: Self) {
        self.packets = self.packets.saturating_add(more.packets);
        self.bytes = self.bytes.saturating_add(more.bytes);
    }
}
