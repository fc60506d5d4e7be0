//! Packets of a known flow, and what another policy does to it.

use super::case::Case;
use super::{Judgement, Mode, Policy};
use crate::flow::tracker::Fit;
use crate::flow::{Flow, FlowKey, Millis};
use crate::net::Direction;
use crate::record::{FlowRecord, RecordKind};
use crate::verdict::{Because, Reason, Verdict};

/// What a known flow says to a packet with its addresses and ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// The packet is the flow's.
    Judged(Judgement),
    /// The flow is over; this is its record. The packet may begin another.
    Over(FlowRecord),
    /// The packet asks for a connection of its own.
    Stranger,
}

/// Judges a packet by its flow, and takes note of it there when it passes.
#[inline]
pub(super) fn judge(case: &Case<'_>, key: &FlowKey, flow: &mut Flow) -> Known {
    if flow.is_own() {
        flow.count(case.direction, case.size, case.now);
        return Known::Judged(Judgement::pass(flow.verdict));
    }
    let Some(policy) = case.policy else {
        return Known::Judged(case.block_flow(*key, Reason::NotReady));
    };
    if flow.is_expired(case.now, false) {
        return Known::Over(flow.end(*key, case.now));
    }
    match flow.fit(case.packet, case.direction) {
        Fit::Member => {}
        Fit::Reopens => return Known::Over(flow.end(*key, case.now)),
        Fit::Stranger => return Known::Stranger,
    }
    let mut record = None;
    if !is_current(flow, policy) {
        record = judge_again(
            flow,
            policy,
            key,
            case.direction,
            case.packet.flags(),
            case.now,
        );
        if must_go(flow, policy) {
            return Known::Judged(Judgement {
                verdict: flow.verdict,
                pass: false,
                record,
                ended: None,
                carry: false,
            });
        }
    }
    flow.advance(case.packet, case.direction, case.size, case.now);
    let verdict = if flow.is_audited() {
        flow.verdict
    } else {
        Verdict::Allow(Because::Established)
    };
    Known::Judged(Judgement {
        record,
        carry: flow.is_to_be_carried(case.now),
        ..Judgement::pass(verdict)
    })
}

/// Whether an ICMP error about this flow may pass: it changes nothing, and counts for nothing.
pub(super) fn may_pass(case: &Case<'_>, key: &FlowKey, flow: &Flow) -> bool {
    if flow.is_own() {
        return true;
    }
    let Some(policy) = case.policy else {
        return false;
    };
    !flow.is_expired(case.now, false)
        && (is_current(flow, policy)
            || policy.mode == Mode::Audit
            || policy.ask(key, flow.originator).is_allowed())
}

/// Whether the flow was judged by this policy. In enforce mode no flow stays that was only audited.
#[inline]
pub(super) fn is_current(flow: &Flow, policy: &Policy) -> bool {
    flow.generation == policy.generation && !must_go(flow, policy)
}

/// Whether the flow has no permission that this policy honours.
#[inline]
pub(super) fn must_go(flow: &Flow, policy: &Policy) -> bool {
    flow.is_audited() && policy.mode == Mode::Enforce
}

/// Whether the judgement took the flow's permission away.
pub(super) const fn is_revoked(judgement: &Judgement) -> bool {
    matches!(
        judgement,
        Judgement {
            pass: false,
            record: Some(FlowRecord {
                kind: RecordKind::Revoked,
                ..
            }),
            ..
        }
    )
}

/// Asks the policy again, in the direction of whoever began, and keeps the answer. A record when
/// the flow has lost its permission.
pub(super) fn judge_again(
    flow: &mut Flow,
    policy: &Policy,
    key: &FlowKey,
    direction: Direction,
    flags: u8,
    now: Millis,
) -> Option<FlowRecord> {
    let was_allowed = flow.verdict.is_allowed();
    // Whoever was heard first in the middle of a conversation need not have begun it: the policy
    // could be asked about the wrong direction.
    let began_unseen = flow.verdict == Verdict::Block(Reason::NoSyn);
    let verdict = policy.ask(key, flow.originator);
    flow.generation = policy.generation;
    if verdict.is_allowed() && !began_unseen {
        flow.verdict = verdict;
        return None;
    }
    if was_allowed || policy.mode == Mode::Enforce {
        flow.verdict = Verdict::Block(Reason::PolicyChanged);
        let record = flow.record(RecordKind::Revoked, *key, direction, flags, now);
        return Some(FlowRecord {
            audit: policy.mode == Mode::Audit,
            ..record
        });
    }
    None
}
