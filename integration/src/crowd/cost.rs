//! What the processes take: memory and processor time.

use std::time::Duration;

use anyhow::{Context as _, Result};
use procfs::process::Process;
use tokio::time::sleep;

use super::run::Crowd;

/// What Go's collector takes to give back what a phase left behind: two of its rounds of two minutes are
/// not waited for, but a quarter of a minute shows where it goes.
const REST: Duration = Duration::from_secs(15);

/// Resident memory, in bytes.
#[derive(Debug)]
pub(super) struct Memory {
    server: u64,
    controllers: Vec<u64>,
}

impl Memory {
    pub(super) async fn of(crowd: &Crowd) -> Result<Self> {
        sleep(REST).await;
        let resident = |pid: Option<u32>| -> Result<u64> {
            let status = process(pid)?.status()?;
            Ok(status.vmrss.context("no VmRSS")? << 10)
        };
        let each = crowd
            .controllers
            .iter()
            .map(|controller| resident(controller.pid()));
        Ok(Self {
            server: resident(crowd.server.pid().await)?,
            controllers: each.collect::<Result<_>>()?,
        })
    }

    pub(super) fn tell(&self, after: &Self, watchers: usize) {
        let mega = |bytes: u64| bytes >> 20;
        let more =
            after.server.saturating_sub(self.server) / u64::try_from(watchers).unwrap_or(1).max(1);
        println!(
            "kube-apiserver: {} MiB without watchers, {} MiB with {watchers}: {} KiB each",
            mega(self.server),
            mega(after.server),
            more >> 10
        );
        for (before, after) in self.controllers.iter().zip(&after.controllers) {
            println!(
                "a controller: {} MiB without watchers, {} MiB with",
                mega(*before),
                mega(*after)
            );
        }
    }
}

/// Processor time so far, in ticks.
#[derive(Debug)]
pub(super) struct Work {
    watchers: u64,
    server: u64,
    controllers: u64,
}

impl Work {
    pub(super) async fn of(crowd: &Crowd) -> Result<Self> {
        let ticks = |pid: Option<u32>| -> Result<u64> {
            let stat = process(pid)?.stat()?;
            Ok(stat.utime + stat.stime)
        };
        let each = crowd
            .controllers
            .iter()
            .map(|controller| ticks(controller.pid()));
        Ok(Self {
            watchers: ticks(Some(std::process::id()))?,
            server: ticks(crowd.server.pid().await)?,
            controllers: each.sum::<Result<_>>()?,
        })
    }

    /// What each of so many changes took since then, as cells of a table.
    pub(super) fn row(&self, after: &Self, changes: usize) -> String {
        let ticks = |before: u64, after: u64| {
            let ticks = usize::try_from(after.saturating_sub(before)).unwrap_or(usize::MAX);
            let seconds = number(ticks) / number(hertz());
            format!("{:.1} ms", seconds / number(changes.max(1)) * 1e3)
        };
        [
            ticks(self.watchers, after.watchers),
            ticks(self.server, after.server),
            ticks(self.controllers, after.controllers),
        ]
        .join(" | ")
    }
}

fn process(pid: Option<u32>) -> Result<Process> {
    let pid = i32::try_from(pid.context("it does not run")?)?;
    Ok(Process::new(pid)?)
}

fn hertz() -> usize {
    usize::try_from(procfs::ticks_per_second()).unwrap_or(100)
}

#[expect(clippy::cast_precision_loss, reason = "some thousands")]
pub(super) const fn number(count: usize) -> f64 {
    count as f64
}
