//! What happens between packets: flows end in silence, and a new policy reaches those that are
//! silent.

use super::{Engine, Policy, known};
use crate::flow::{Millis, Pressure};
use crate::net::Originator;
use crate::record::FlowRecord;

impl Engine {
    /// Forgets flows that were silent for too long, and judges again all that another policy has
    /// judged. Tells of each that ends or loses its permission; `tell` must not use the engine.
    ///
    /// Call it every second or so, and at once when the policy has changed. It holds one shard of
    /// the table at a time. Flows that the kernel carries must be refreshed before
    /// ([`crate::flow::FlowTable::refresh`]).
    pub fn sweep(&self, policy: Option<&Policy>, now: Millis, tell: &mut impl FnMut(FlowRecord)) {
        let of = |originator| Pressure {
            half_open: self.flows.is_pressed(originator),
            over: self.flows.is_crowded(),
        };
        let (of_pod, of_peer) = (of(Originator::Pod), of(Originator::Peer));
        self.flows.retain(|key, flow| {
            if flow.is_own() {
                return true;
            }
            let pressure = match flow.originator {
                Originator::Pod => of_pod,
                Originator::Peer => of_peer,
            };
            if flow.is_expired(now, pressure) {
                tell(flow.end(*key, now));
                return false;
            }
            let Some(policy) = policy else {
                return true;
            };
            if known::is_current(flow, policy) {
                return true;
            }
            let direction = flow.originator.direction();
            if let Some(record) = known::judge_again(flow, policy, key, direction, 0, now) {
                tell(record);
            }
            let must_go = known::must_go(flow, policy);
            if must_go {
                self.revoked.enter(key, flow, now);
            }
            !must_go
        });
        self.revoked.sweep(now);
    }
}
