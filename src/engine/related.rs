//! Packets that belong to a flow by what they refer to: later fragments, and ICMP errors.

use super::case::Case;
use super::known::{self, Known};
use super::{Engine, Judgement};
use crate::flow::FlowKey;
use crate::packet::IcmpError;
use crate::verdict::{Because, Reason, Verdict};

impl Engine {
    /// A fragment without a transport header follows the first one.
    pub(super) fn later_fragment(&self, case: &Case<'_>) -> Judgement {
        let flow = case
            .packet
            .fragment_key()
            .and_then(|fragmented| self.fragments.flow_of(&fragmented, case.now));
        let mut told = None;
        match flow.and_then(|key| self.of_flow(case, &key, &mut told)) {
            Some(Known::Passes { verdict, .. }) => Judgement::pass(verdict),
            Some(Known::Revoked { pass }) => Judgement::revoked(pass, told),
            Some(Known::NotReady) => case.block(Reason::NotReady),
            Some(Known::Over | Known::Stranger) | None => Judgement {
                ended: told,
                ..case.block(Reason::StrayFragment)
            },
        }
    }

    /// An ICMP error passes when it tells an end of a known flow about that flow.
    pub(super) fn error(&self, case: &Case<'_>, error: &IcmpError) -> Judgement {
        let quoted = &error.quoted;
        let key = FlowKey::quoted(quoted, case.direction);
        let told = quoted.src == case.packet.dst() && self.addresses.contains(&key.pod);
        let related = told
            && self
                .flows
                .update(&key, |flow| known::may_pass(case, &key, flow))
                .unwrap_or(false);
        if related {
            Judgement::pass(Verdict::Allow(Because::RelatedError))
        } else {
            case.block(Reason::UnrelatedError)
        }
    }
}
