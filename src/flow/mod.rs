//! Flows: who talks with the pod, since when, and who began.

use std::net::IpAddr;

use crate::net::Protocol;

/// Milliseconds of the caller's monotonic clock. The core has no clock of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Millis(pub u64);

/// One flow, named from the pod's side, so that both directions have the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// The pod's address.
    pub pod: IpAddr,
    /// The other side's address.
    pub peer: IpAddr,
    /// The pod's port; the identifier of an ICMP echo; 0 for protocols without ports.
    pub pod_port: u16,
    /// The other side's port; 0 where the protocol has none.
    pub peer_port: u16,
    /// The transport protocol.
    pub protocol: Protocol,
}

/// Packets and bytes (of IP packets, headers included).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Packets; a segmented packet counts its segments.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}
