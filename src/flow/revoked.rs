//! Conversations that lost their permission lately: a late answer does not begin them anew.
//!
//! A datagram says nothing of who began. When a policy takes a conversation's permission away, the answer
//! to its last question may still be on its way, and would else look like the first datagram of a
//! conversation that its sender begins: often allowed, and with it all that the other side sends. So for
//! [`lifetime::LATE_ANSWER`] what comes against the direction of whoever began is taken for what it is.
//! Protocols with a handshake need none of this: an answer in the middle begins nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use foldhash::fast::RandomState;

use super::{Flow, FlowKey, Millis, lifetime};
use crate::flow::tracker::Tracker;
use crate::net::Originator;

/// What lost its permission, and when. A change of policy adds at most what the flow table held; each
/// sweep forgets what is old.
#[derive(Debug, Default)]
pub struct RevokedTable {
    flows: DashMap<FlowKey, (Originator, Millis), RandomState>,
    /// When the latest was entered, and 1 ms: 0 is never. New flows look here first.
    latest: AtomicU64,
}

impl RevokedTable {
    /// A flow has lost its permission. To be called before it leaves the flow table, so that there is no
    /// moment in which neither knows it.
    pub fn enter(&self, key: &FlowKey, flow: &Flow, now: Millis) {
        if matches!(flow.tracker, Tracker::Exchange(_)) {
            self.flows.insert(*key, (flow.originator, now));
            self.latest.fetch_max(now.0 + 1, Ordering::Release);
        }
    }

    /// Whether this would be a late answer, and not a beginning.
    #[inline]
    #[must_use]
    pub fn is_late_answer(&self, key: &FlowKey, sender: Originator, now: Millis) -> bool {
        let latest = self.latest.load(Ordering::Acquire);
        if latest == 0 || now.0 > latest.saturating_add(lifetime::LATE_ANSWER) {
            return false;
        }
        let revoked = self.flows.get(key);
        revoked.is_some_and(|revoked| {
            let (originator, at) = *revoked;
            originator != sender && now.since(at) <= lifetime::LATE_ANSWER
        })
    }

    /// Forgets what is old.
    pub fn sweep(&self, now: Millis) {
        if self.latest.load(Ordering::Acquire) == 0 {
            return;
        }
        self.flows
            .retain(|_, (_, at)| now.since(*at) <= lifetime::LATE_ANSWER);
    }
}
