//! One thread's two queues, one of each direction, in turns.
//!
//! A flow's packets and their answers come to the queues of one number (the kernel spreads both
//! devices by the same hash), so one thread sees both: the answer to what it just wrote is often
//! there before it would sleep, and nobody is woken for it. Not here: what happens to a frame
//! ([`super::pump`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use arc_swap::Cache;
use tokio_util::sync::CancellationToken;

use super::pump::Pump;
use crate::device::Queue;
use crate::shared::Shared;

/// How long a thread looks on when both queues are empty before it sleeps. Sleeping and being woken
/// costs tens of microseconds in a virtual machine, for each packet of a handshake anew.
const LINGER: Duration = Duration::from_micros(50);

/// It looks on only where the packet before came within this time, waking up included: packets far
/// apart are not worth it, and a pod that is idle costs nothing.
const CLOSE: Duration = Duration::from_micros(150);

/// Whether there is a core for looking on: with one alone, whoever would send the next packet waits.
pub(super) fn may_linger() -> bool {
    std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1)
}

/// Moves the packets of both queues until it is stopped.
///
/// # Errors
/// When a device is gone.
pub(super) async fn run<Q: Queue>(
    mut pumps: [Pump<Q>; 2],
    shared: Arc<Shared>,
    may_linger: bool,
    stopped: CancellationToken,
) -> anyhow::Result<()> {
    let mut policy = Cache::new(&shared.policy);
    let mut empty = Instant::now();
    let mut came_close = false;
    while !stopped.is_cancelled() {
        let moved = {
            let policy = policy.load().as_deref();
            let [one, other] = &mut pumps;
            // Both: neither direction starves the other.
            one.batch(policy)? | other.batch(policy)?
        };
        if moved {
            came_close = empty.elapsed() < CLOSE;
            empty = Instant::now();
        } else if may_linger && came_close && empty.elapsed() < LINGER {
            // Looks again at once. Whoever yields gives its whole slice away (yield_task_fair in
            // kernel/sched/fair.c), and packets wait for it: a stream out of the pod lost a tenth by that.
            std::hint::spin_loop();
        } else {
            let [one, other] = &mut pumps;
            tokio::select! {
                read = one.wait() => read,
                read = other.wait() => read,
                () = stopped.cancelled() => Ok(()),
            }
            .context("reading from the TUN device")?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "pair_tests.rs"]
mod tests;
