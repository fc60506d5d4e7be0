//! Packets with a transport header: of a known flow, or the first of a new one.

use super::case::Case;
use super::known::{self, Known};
use super::{Engine, Judgement, Mode};
use crate::flow::table::Entered;
use crate::flow::tracker::Tracker;
use crate::flow::{Flow, FlowKey};
use crate::record::{FlowRecord, RecordKind};
use crate::verdict::{Reason, Verdict};

impl Engine {
    /// A packet with ports (or what stands for them).
    #[inline]
    pub(super) fn member_or_new(&self, case: &Case<'_>) -> Judgement {
        let key = FlowKey::of(case.packet, case.direction);
        let mut told = None;
        let judgement = match self.of_flow(case, &key, &mut told) {
            Some(Known::Passes { verdict, carry }) => Judgement {
                carry,
                ..Judgement::pass(verdict)
            },
            Some(Known::Revoked { pass }) => Judgement::revoked(pass, told),
            Some(Known::Stranger) => self.stranger(case, &key),
            Some(Known::NotReady) => case.block_flow(key, Reason::NotReady),
            Some(Known::Over) => Judgement {
                ended: told,
                ..self.begin(case, key)
            },
            None => self.begin(case, key),
        };
        if let Some(fragmented) = case.packet.fragment_key() {
            if judgement.pass {
                self.fragments.enter(fragmented, key, case.now);
            } else {
                self.fragments.forget(&fragmented);
            }
        }
        judgement
    }

    /// What a known flow says to the packet; `None`: the flow is not known. Flows that are over,
    /// and flows that lost their permission, have left the table when this returns, and `told` is
    /// their record.
    #[inline]
    pub(super) fn of_flow(
        &self,
        case: &Case<'_>,
        key: &FlowKey,
        told: &mut Option<FlowRecord>,
    ) -> Option<Known> {
        let (known, begun) = self.flows.update(key, |flow| {
            let known = known::judge(case, key, flow, told);
            if known == (Known::Revoked { pass: false }) {
                self.revoked.enter(key, flow, case.now);
            }
            (known, flow.begun)
        })?;
        // Another queue may have entered a new flow meanwhile: that one stays.
        if matches!(known, Known::Over | Known::Revoked { pass: false }) {
            self.flows.remove_if(key, |flow| flow.begun == begun);
        }
        Some(known)
    }

    /// The first packet of a flow: the policy is asked, and what it lets pass is entered.
    #[inline(never)]
    fn begin(&self, case: &Case<'_>, key: FlowKey) -> Judgement {
        let Some(policy) = case.policy else {
            return case.block_flow(key, Reason::NotReady);
        };
        let sender = case.direction.sender();
        let (tracker, verdict) = match Tracker::begin(case.packet, sender) {
            Some(tracker) => (tracker, self.ask(policy, &key, sender)),
            None => (
                Tracker::adopted(Some(case.packet.transport())),
                Verdict::Block(Reason::NoSyn),
            ),
        };
        let verdict = match verdict {
            Verdict::Allow(_) if self.revoked.is_late_answer(&key, sender, case.now) => {
                Verdict::Block(Reason::PolicyChanged)
            }
            verdict => verdict,
        };
        if let Verdict::Block(reason) = verdict
            && (policy.mode == Mode::Enforce || case.only_ends())
        {
            return case.block_flow(key, reason);
        }
        let mut flow = Flow::new(tracker, sender, verdict, policy.generation, case.now);
        flow.count(case.direction, case.size, case.now);
        // In a flood of SYN nobody answers, and each would pay for two system calls.
        let carry = !self.flows.is_pressed(sender) && flow.is_to_be_carried(case.now);
        match self.flows.enter(key, flow) {
            Entered::New => {
                let flags = case.packet.flags();
                let record = flow.record(RecordKind::Verdict, key, case.direction, flags, case.now);
                Judgement {
                    record: Some(record),
                    carry,
                    ..Judgement::pass(verdict)
                }
            }
            // Another queue was first, with the same policy or the one before.
            Entered::Known => {
                self.flows
                    .update(&key, |flow| flow.count(case.direction, case.size, case.now));
                Judgement::pass(verdict)
            }
            Entered::Full => case.block_flow(key, Reason::FlowTableFull),
        }
    }

    /// A SYN against the direction of a flow that is alive: it needs its own permission, and does
    /// not touch the flow.
    fn stranger(&self, case: &Case<'_>, key: &FlowKey) -> Judgement {
        let verdict = case
            .policy
            .map_or(Verdict::Block(Reason::NotReady), |policy| {
                self.ask(policy, key, case.direction.sender())
            });
        match verdict {
            Verdict::Allow(_) => Judgement::pass(verdict),
            Verdict::Block(reason) => case.block_flow(*key, reason),
        }
    }
}
