//! What is remembered of a flow for the log: plain data, `Copy`. Formatting happens elsewhere, off
//! the hot path.

use crate::flow::{Counters, FlowKey, Millis};
use crate::net::{Direction, Originator};
use crate::verdict::Verdict;

/// What a record tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// A new flow was judged: allowed or blocked.
    Verdict,
    /// An allowed flow ended (closed, reset, timed out).
    End,
    /// An established flow lost its permission through a policy change.
    Revoked,
}

/// One line of the flow log before it is text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowRecord {
    /// What the record tells.
    pub kind: RecordKind,
    /// Whose flow: the pod's side and the peer's side.
    pub key: FlowKey,
    /// Who sent the first packet.
    pub originator: Originator,
    /// The direction in which the judged packet travelled.
    pub direction: Direction,
    /// Allow or block, and because of what.
    pub verdict: Verdict,
    /// Audit mode let the packet pass although the verdict is to block.
    pub audit: bool,
    /// The generation of the allow list that decided.
    pub generation: u64,
    /// TCP flags of the packet (RFC 9293 §3.1, low byte), or ICMP type for ICMP.
    pub flags: u8,
    /// Packets and bytes so far, from the pod.
    pub sent: Counters,
    /// Packets and bytes so far, towards the pod.
    pub received: Counters,
    /// When the flow's first packet came.
    pub began: Millis,
    /// When, in milliseconds of the caller's monotonic clock.
    pub at: Millis,
}
