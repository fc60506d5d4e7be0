//! Between packets: flows end in silence, and a new policy reaches flows that are silent.
//!
//! A thread of its own, so that a sweep of a full table (a millisecond or so) never stands in the
//! way of a packet.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::shared::Shared;

/// How often flows are looked at. Lifetimes are seconds to days; a log line may be this late.
const TICK: Duration = Duration::from_secs(1);

/// Sweeps until it is stopped.
#[derive(Debug)]
pub(super) struct Sweeper {
    shared: Arc<Shared>,
}

impl Sweeper {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(super) async fn run(self, stopped: CancellationToken) -> anyhow::Result<()> {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stopped.cancelled() => return Ok(()),
                () = self.shared.policy_changed.notified() => {}
                _ = tick.tick() => {
                    if let Some(offload) = self.shared.offload.get() {
                        offload.tick(&self.shared, self.shared.clock.now());
                    }
                }
            }
            self.sweep();
        }
    }

    fn sweep(&self) {
        let shared = &*self.shared;
        let policy = shared.policy.load();
        let now = shared.clock.now();
        let offload = shared.offload.get();
        let mut told = false;
        // Of these the flow stays in the table, which is held meanwhile.
        let mut audited = Vec::new();
        shared
            .engine
            .sweep(policy.as_deref(), now, &mut |mut record| {
                if let Some(offload) = offload {
                    if record.audit {
                        audited.push(record.key);
                    } else {
                        offload.settle(shared, &mut record);
                    }
                }
                shared.record(record);
                told = true;
            });
        if let Some(offload) = offload {
            audited
                .iter()
                .for_each(|key| offload.recall(shared, key, now));
        }
        if told {
            shared.records_ready.notify_one();
        }
    }
}
