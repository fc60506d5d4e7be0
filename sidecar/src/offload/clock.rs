//! The clock of the eBPF programs, bpf_ktime_get_ns(): nanoseconds of CLOCK_MONOTONIC.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Now.
pub(super) fn now() -> u64 {
    // It cannot fail on Linux; 0 would end every lease, which is the safe side.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| nanos(now.into()))
}

/// Milliseconds since a moment.
pub(super) fn age(moment: u64) -> u64 {
    now().saturating_sub(moment) / 1_000_000
}

/// In its unit.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
