//! Packets of a known flow, and what another policy does to it.

use super::case::Case;
use super::{Mode, Policy};
use crate::flow::tracker::Fit;
use crate::flow::{Flow, FlowKey, Millis, Pressure};
use crate::net::Direction;
use crate::record::{FlowRecord, RecordKind};
use crate::verdict::{Because, Reason, Verdict};

/// What a known flow says to a packet with its addresses and ports. Small: it is what every packet
/// of every flow comes back with; records, which few have, go another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// The packet is the flow's and passes.
    Passes {
        /// As what it counts.
        verdict: Verdict,
        /// Whether the kernel may carry the flow from now on.
        carry: bool,
    },
    /// Another policy has taken the flow's permission away, which is told. Only audit mode lets the
    /// packet pass.
    Revoked {
        /// Whether it does.
        pass: bool,
    },
    /// The flow is over, which is told. The packet may begin another.
    Over,
    /// The packet asks for a connection of its own.
    Stranger,
    /// There is no policy yet.
    NotReady,
}

/// Judges a packet by its flow, and takes note of it there when it passes.
#[inline]
pub(super) fn judge(
    case: &Case<'_>,
    key: &FlowKey,
    flow: &mut Flow,
    told: &mut Option<FlowRecord>,
) -> Known {
    if flow.is_own() {
        flow.count(case.direction, case.size, case.now);
        return Known::Passes {
            verdict: flow.verdict,
            carry: false,
        };
    }
    let Some(policy) = case.policy else {
        return Known::NotReady;
    };
    let fit = if flow.is_expired(case.now, Pressure::default()) {
        Fit::Reopens
    } else {
        flow.fit(case.packet, case.direction)
    };
    match fit {
        Fit::Member => {}
        Fit::Reopens => {
            *told = Some(flow.end(*key, case.now));
            return Known::Over;
        }
        Fit::Stranger => return Known::Stranger,
    }
    if !is_current(flow, policy) {
        let flags = case.packet.flags();
        *told = judge_again(flow, policy, key, case.direction, flags, case.now);
        if must_go(flow, policy) {
            return Known::Revoked { pass: false };
        }
    }
    flow.advance(case.packet, case.direction, case.size, case.now);
    if told.is_some() {
        return Known::Revoked { pass: true };
    }
    Known::Passes {
        verdict: if flow.is_audited() {
            flow.verdict
        } else {
            Verdict::Allow(Because::Established)
        },
        carry: flow.is_to_be_carried(case.now),
    }
}

/// Whether an ICMP error about this flow may pass: it changes nothing, and counts for nothing.
pub(super) fn may_pass(case: &Case<'_>, key: &FlowKey, flow: &Flow) -> bool {
    if flow.is_own() {
        return true;
    }
    let Some(policy) = case.policy else {
        return false;
    };
    !flow.is_expired(case.now, Pressure::default())
        && (is_current(flow, policy)
            || policy.mode == Mode::Audit
            || flow.is_skipped()
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

/// Asks the policy again, in the direction of whoever began, and keeps the answer. A record when
/// the flow has lost its permission.
#[cold]
pub(super) fn judge_again(
    flow: &mut Flow,
    policy: &Policy,
    key: &FlowKey,
    direction: Direction,
    flags: u8,
    now: Millis,
) -> Option<FlowRecord> {
    // What is skipped is so for as long as the process lives.
    if flow.is_skipped() {
        flow.generation = policy.generation;
        return None;
    }
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
