//! What the data path and the control side share, and nothing more: the engine, the policy in
//! force, the records on their way to the log, the counters, the clock.
//!
//! Not here: how either side works. The data path (`datapath/`) writes records and counters and
//! reads the policy; the control side publishes the policy and reads the rest. Nothing in here
//! blocks and nothing waits for the other side.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use crossbeam_queue::ArrayQueue;
use sidewall::engine::{Engine, EngineConfig, Policy};
use sidewall::flow::Millis;
use sidewall::record::FlowRecord;
use tokio::sync::Notify;

use crate::counters::Counters;
use crate::offload::Offload;
use crate::takeover;

/// Records that wait for the log at most. At one record a new flow this is the burst of new flows
/// that the log may lag behind before lines are lost (and counted as lost): at 16 000 flows a second
/// what comes in while a cluster of 10 000 pods is compiled, a tenth of a second, twice over.
/// 4 096 × 144 bytes is some 0.6 MB, taken once at start.
pub const RECORDS_WAITING: usize = 4_096;

/// What the data path and the control side share.
#[derive(Debug)]
pub struct Shared {
    /// The pod's addresses.
    addresses: Box<[IpAddr]>,
    /// Judges packets; knows the flows.
    pub engine: Engine,
    /// The policy in force; none before the first full sync. Written by [`Shared::publish`].
    pub policy: ArcSwapOption<Policy>,
    /// Records on their way to the log: bounded, written by [`Shared::record`].
    pub records: ArrayQueue<FlowRecord>,
    /// Records that found the queue full.
    pub records_lost: AtomicU64,
    /// Told when records wait. A permit is kept when nobody listens, so none is overslept.
    pub records_ready: Notify,
    /// Told when another policy was published: the data path then sweeps its flows at once.
    pub policy_changed: Notify,
    /// Packets and bytes by direction and verdict.
    pub counters: Counters,
    /// The one clock of the process.
    pub clock: Clock,
    /// Hands flows over to the kernel: set when the data path starts, where that is possible.
    pub offload: OnceLock<Offload>,
}

impl Shared {
    /// No flow, no policy, nothing counted.
    #[must_use]
    pub fn new(config: EngineConfig) -> Self {
        Self {
            addresses: config.addresses.clone().into(),
            engine: Engine::new(config),
            policy: ArcSwapOption::const_empty(),
            records: ArrayQueue::new(RECORDS_WAITING),
            records_lost: AtomicU64::new(0),
            records_ready: Notify::new(),
            policy_changed: Notify::new(),
            counters: Counters::default(),
            clock: Clock::start(),
            offload: OnceLock::new(),
        }
    }

    /// Puts a policy in force, whole and at once. Before the first one, the connections that the pod
    /// already has are entered as far as it allows them: were it in force before that, the next
    /// packet of each would be blocked as one that nobody began.
    pub fn publish(&self, policy: Policy) {
        if self.policy.load().is_none() {
            self.adopt_connections(&policy);
        }
        self.policy.store(Some(Arc::new(policy)));
        self.policy_changed.notify_one();
    }

    fn adopt_connections(&self, policy: &Policy) {
        let connections = match takeover::connections(&self.addresses) {
            Ok(connections) => connections,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(
                    error,
                    "connections from before the start are unknown: they will break"
                );
                return;
            }
        };
        let now = self.clock.now();
        let verdicts = connections
            .iter()
            .map(|found| self.engine.adopt(policy, found.key, found.originator, now));
        let allowed = verdicts.filter(|verdict| verdict.is_allowed()).count();
        if !connections.is_empty() {
            let blocked = connections.len() - allowed;
            tracing::info!(
                allowed,
                blocked,
                "connections from before the start taken over"
            );
        }
    }

    /// Hands a record to the log, or counts it as lost when the log cannot follow. Whoever calls
    /// it tells [`Shared::records_ready`] once, after its last record.
    pub fn record(&self, record: FlowRecord) {
        if self.records.push(record).is_err() {
            self.records_lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The monotonic clock of the process in the core's milliseconds, and what it means on the wall.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    base: Instant,
    wall_at_base: SystemTime,
}

impl Clock {
    /// Starts at 0, now.
    #[must_use]
    pub fn start() -> Self {
        Self {
            base: Instant::now(),
            wall_at_base: SystemTime::now(),
        }
    }

    /// Milliseconds since the start.
    #[must_use]
    pub fn now(&self) -> Millis {
        // 2^64 ms are 584 million years.
        Millis(u64::try_from(self.base.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// The time of day at that moment. Steps of the wall clock after the start are not followed:
    /// times of one run stay in order.
    #[must_use]
    pub fn wall(&self, at: Millis) -> SystemTime {
        self.wall_at_base + Duration::from_millis(at.0)
    }
}
