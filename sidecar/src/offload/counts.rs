//! What the kernel has counted for its flows, and what of that is news.

use std::sync::atomic::{AtomicU64, Ordering};

use sidewall::flow::Counters;
use sidewall::flow::carry::Numbers;
use sidewall::net::Direction;
use sidewall::verdict::{Because, Verdict};

use super::carried::Noted;
use super::raw;
use crate::shared::Shared;
use crate::steering::bpf_sys::{ANSWER, RawFlow};

/// Of all flows together.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) handed_over: AtomicU64,
    /// By direction: packets, bytes.
    carried: [[AtomicU64; 2]; 2],
}

/// What the kernel carried of a flow since it was asked last.
#[derive(Debug, Clone, Copy)]
pub(super) struct More {
    pub(super) sent: Counters,
    pub(super) received: Counters,
    /// `None`: not known before a connection is answered.
    pub(super) numbers: Option<Numbers>,
    pub(super) seen: u64,
}

impl Totals {
    /// What was carried in this direction, as far as it was read.
    pub(super) fn carried(&self, direction: Direction) -> Counters {
        let [packets, bytes] = &self.carried[direction as usize];
        Counters {
            packets: packets.load(Ordering::Relaxed),
            bytes: bytes.load(Ordering::Relaxed),
        }
    }

    /// What is new since it was noted; counted for the process as a whole.
    pub(super) fn more(&self, shared: &Shared, noted: Noted, flow: &RawFlow) -> More {
        let now = raw::noted(flow);
        let more = More {
            sent: raw::difference(now.sent, noted.sent),
            received: raw::difference(now.received, noted.received),
            numbers: (flow.opening < ANSWER).then_some(Numbers {
                pod_ack: flow.pod_ack,
                peer_next: flow.peer_next,
            }),
            seen: flow.seen,
        };
        for (direction, size) in [
            (Direction::Ingress, more.received),
            (Direction::Egress, more.sent),
        ] {
            let [packets, bytes] = &self.carried[direction as usize];
            packets.fetch_add(size.packets, Ordering::Relaxed);
            bytes.fetch_add(size.bytes, Ordering::Relaxed);
            let verdict = Verdict::Allow(Because::Established);
            let lane = shared.counters.lane(0);
            lane.count(direction, verdict, size.packets, size.bytes);
        }
        more
    }
}
