//! The flows of one pod: a concurrent map that never holds more than it may.
//!
//! Queues of the device look flows up at the same time; they meet only in a shard of the map, never
//! in one lock. Room for all flows is taken at the start, so that looking one up allocates nothing,
//! and neither does entering one: only a shard that stays more than half full while its flows come
//! and go grows, once, to twice its size.

use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use foldhash::fast::RandomState;

use super::{Counters, Flow, FlowKey, Millis};
use crate::net::Originator;

/// The sweep holds one shard at a time: 64 keep a queue's wait short (1 000 flows at the default
/// capacity, some tens of microseconds).
const SHARDS: usize = 64;

/// Half-open flows that one side began may hold this part of the table: a flood of SYN from peers
/// displaces neither established flows nor what the pod itself begins.
const HALF_OPEN_SHARE: usize = 4;

/// A bounded table of flows.
#[derive(Debug)]
pub struct FlowTable {
    flows: DashMap<FlowKey, Flow, RandomState>,
    capacity: usize,
    len: AtomicUsize,
    /// By originator: the pod, the peer.
    half_open: [AtomicUsize; 2],
}

/// What became of a flow that was to be entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered {
    /// It is in the table.
    New,
    /// Another queue has entered the same flow meanwhile; that one stays.
    Known,
    /// There is no room.
    Full,
}

impl FlowTable {
    /// An empty table for at most `capacity` flows.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            flows: DashMap::with_capacity_and_hasher_and_shard_amount(
                capacity,
                RandomState::default(),
                SHARDS,
            ),
            capacity,
            len: AtomicUsize::new(0),
            half_open: [AtomicUsize::new(0), AtomicUsize::new(0)],
        }
    }

    /// How many flows it may hold.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many flows it holds; the sidecar's own connections do not count.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many half-open flows this side began.
    #[must_use]
    pub fn half_open(&self, originator: Originator) -> usize {
        self.half_open[side(originator)].load(Ordering::Relaxed)
    }

    /// How many half-open flows one side may have begun: a quarter of the capacity, both together
    /// half of it.
    #[must_use]
    pub const fn half_open_limit(&self) -> usize {
        self.capacity / HALF_OPEN_SHARE
    }

    /// Whether half-open flows of this side have to make room.
    #[must_use]
    pub fn is_pressed(&self, originator: Originator) -> bool {
        self.half_open(originator) > self.half_open_limit() / 2
    }

    /// Whether flows that are over have to make room: three quarters of the places are taken.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.len() > self.capacity - self.capacity / 4
    }

    /// Looks at a flow and changes it; `None` when there is none. Holds the flow's shard meanwhile.
    #[inline]
    pub fn update<R>(&self, key: &FlowKey, change: impl FnOnce(&mut Flow) -> R) -> Option<R> {
        let mut flow = self.flows.get_mut(key)?;
        let before = self.half_open_of(&flow);
        let result = change(&mut flow);
        let after = self.half_open_of(&flow);
        if before != after {
            self.move_half_open(before, after);
        }
        Some(result)
    }

    /// A copy of a flow.
    #[must_use]
    pub fn get(&self, key: &FlowKey) -> Option<Flow> {
        self.flows.get(key).map(|flow| *flow)
    }

    /// Enters a flow that is not there yet, if there is room.
    pub fn enter(&self, key: FlowKey, flow: Flow) -> Entered {
        match self.flows.entry(key) {
            Entry::Occupied(_) => Entered::Known,
            Entry::Vacant(vacant) => {
                if !self.reserve(&flow) {
                    return Entered::Full;
                }
                vacant.insert(flow);
                Entered::New
            }
        }
    }

    /// Takes a flow out when it is the one that is meant.
    pub fn remove_if(&self, key: &FlowKey, meant: impl FnOnce(&Flow) -> bool) -> Option<Flow> {
        let (_, flow) = self.flows.remove_if(key, |_, flow| meant(flow))?;
        self.release(&flow);
        Some(flow)
    }

    /// Enters the sidecar's own connection, whether there is room or not.
    pub fn pin(&self, key: FlowKey, now: Millis) {
        if let Some(before) = self.flows.insert(key, Flow::own(now)) {
            self.release(&before);
        }
    }

    /// Forgets the sidecar's own connection.
    pub fn unpin(&self, key: &FlowKey) {
        self.flows.remove_if(key, |_, flow| flow.is_own());
    }

    /// Takes note of packets that the kernel carried past the sidecar since the last call: they
    /// are counted and keep the flow alive. `false`: there is no such flow, and the kernel must
    /// not carry it.
    pub fn refresh(&self, key: &FlowKey, sent: Counters, received: Counters, now: Millis) -> bool {
        self.update(key, |flow| {
            if sent.is_zero() && received.is_zero() {
                return;
            }
            flow.sent += sent;
            flow.received += received;
            flow.seen = flow.seen.max(now);
            if !sent.is_zero() && !received.is_zero() {
                flow.tracker.carried_both_ways();
            }
        })
        .is_some()
    }

    /// Goes through all flows, one shard at a time, and keeps those for which `keep` says so.
    /// `keep` must not use the table.
    pub fn retain(&self, mut keep: impl FnMut(&FlowKey, &mut Flow) -> bool) {
        self.flows.retain(|key, flow| {
            let before = self.half_open_of(flow);
            let kept = keep(key, flow);
            if kept {
                self.move_half_open(before, self.half_open_of(flow));
            } else if !flow.is_own() {
                self.move_half_open(before, None);
                self.len.fetch_sub(1, Ordering::Relaxed);
            }
            kept
        });
    }

    /// Takes a place, or two limits say no. One atomic step each: queues that enter flows at the
    /// same time cannot both take the last place.
    fn reserve(&self, flow: &Flow) -> bool {
        if !take_one(&self.len, self.capacity) {
            return false;
        }
        if let Some(side) = self.half_open_of(flow)
            && !take_one(&self.half_open[side], self.half_open_limit())
        {
            self.len.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        true
    }

    fn release(&self, flow: &Flow) {
        if flow.is_own() {
            return;
        }
        self.move_half_open(self.half_open_of(flow), None);
        self.len.fetch_sub(1, Ordering::Relaxed);
    }

    #[inline]
    fn half_open_of(&self, flow: &Flow) -> Option<usize> {
        flow.tracker.is_half_open().then(|| side(flow.originator))
    }

    fn move_half_open(&self, before: Option<usize>, after: Option<usize>) {
        if before == after {
            return;
        }
        if let Some(side) = before {
            self.half_open[side].fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(side) = after {
            self.half_open[side].fetch_add(1, Ordering::Relaxed);
        }
    }
}

const fn side(originator: Originator) -> usize {
    match originator {
        Originator::Pod => 0,
        Originator::Peer => 1,
    }
}

fn take_one(count: &AtomicUsize, limit: usize) -> bool {
    count
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
            (held < limit).then_some(held + 1)
        })
        .is_ok()
}
