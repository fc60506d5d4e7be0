//! One packet under judgement, and how it is refused.

use super::{Judgement, Mode, Policy};
use crate::flow::{Counters, FlowKey, Millis};
use crate::net::Direction;
use crate::packet::{Packet, TcpFlags, Transport};
use crate::record::{FlowRecord, RecordKind};
use crate::verdict::{Reason, Verdict};

/// One packet and everything that came with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) policy: Option<&'a Policy>,
    pub(super) packet: &'a Packet,
    pub(super) direction: Direction,
    pub(super) size: Counters,
    pub(super) now: Millis,
}

impl Case<'_> {
    /// Blocks a packet that belongs to no flow that could be named with ports.
    pub(super) fn block(&self, reason: Reason) -> Judgement {
        self.block_flow(FlowKey::of(self.packet, self.direction), reason)
    }

    /// Blocks a packet, or lets it pass with the same record when only audited.
    #[inline(never)]
    pub(super) fn block_flow(&self, key: FlowKey, reason: Reason) -> Judgement {
        let refused = refuse(self.policy, reason);
        let nothing = Counters::default();
        let (sent, received) = match self.direction {
            Direction::Egress => (self.size, nothing),
            Direction::Ingress => (nothing, self.size),
        };
        Judgement {
            record: Some(FlowRecord {
                kind: RecordKind::Verdict,
                key,
                originator: self.direction.sender(),
                direction: self.direction,
                verdict: refused.verdict,
                audit: refused.pass,
                generation: self.policy.map_or(0, |policy| policy.generation),
                flags: self.packet.flags(),
                sent,
                received,
                began: self.now,
                at: self.now,
            }),
            ..refused
        }
    }

    /// An RST for a connection that nobody knows begins nothing worth remembering, in audit mode
    /// neither.
    pub(super) fn only_ends(&self) -> bool {
        matches!(self.packet.transport(), Transport::Tcp(tcp) if tcp.flags.has(TcpFlags::RST))
    }
}

/// Without a policy nothing is known of a mode: blocked.
pub(super) fn refuse(policy: Option<&Policy>, reason: Reason) -> Judgement {
    let audited = policy.is_some_and(|policy| policy.mode == Mode::Audit);
    Judgement {
        verdict: Verdict::Block(reason),
        pass: audited,
        record: None,
        ended: None,
        carry: false,
    }
}
