//! Looks at all watchers, again and again, and writes down when each lost contact and found it again.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

use super::watcher::Watcher;
use crate::stats::percentile;

/// Between two looks.
const EVERY: Duration = Duration::from_millis(2);
/// The longest wait between two tries is 30 s, and there may be two.
const PATIENCE: Duration = Duration::from_secs(90);
/// Returns are counted in windows of this length.
const WINDOW: f64 = 0.1;

/// What came of a blow.
#[derive(Debug)]
pub(super) struct Returns {
    /// Watchers that lost contact.
    pub(super) lost: usize,
    /// When each of them had it again, in seconds after the blow.
    pub(super) after: Vec<f64>,
}

impl Returns {
    /// Watches until every watcher that lost contact has it again, and none has been without for as long
    /// as `quiet`.
    pub(super) async fn after_a_blow(watchers: &[Watcher], quiet: Duration) -> Result<Self> {
        let began = Instant::now();
        let mut away = vec![false; watchers.len()];
        let mut found: Vec<Option<f64>> = vec![None; watchers.len()];
        let mut all_there_since = Instant::now();
        loop {
            for (index, watcher) in watchers.iter().enumerate() {
                let current = watcher.is_current();
                if away[index] && current {
                    found[index] = Some(began.elapsed().as_secs_f64());
                }
                away[index] = !current;
            }
            let missing = away.iter().filter(|away| **away).count();
            if missing > 0 {
                all_there_since = Instant::now();
            }
            if all_there_since.elapsed() > quiet {
                break;
            }
            if began.elapsed() > PATIENCE + quiet {
                let says = watchers.iter().find_map(Watcher::problem);
                bail!("{missing} watchers do not come back: {says:?}");
            }
            sleep(EVERY).await;
        }
        let after: Vec<f64> = found.into_iter().flatten().collect();
        Ok(Self {
            lost: after.len(),
            after,
        })
    }

    /// Most that came back within one window.
    pub(super) fn most_at_once(&self) -> usize {
        let mut times = self.after.clone();
        times.sort_by(f64::total_cmp);
        let within = |(index, from): (usize, &f64)| {
            times[index..].partition_point(|time| *time < from + WINDOW)
        };
        times.iter().enumerate().map(within).max().unwrap_or(0)
    }

    /// As a row of a table.
    pub(super) fn row(&self, blow: &str, agree: usize) -> String {
        let at = |share| percentile(&self.after, share).unwrap_or(0.0);
        format!(
            "| {blow} | {} | {:.2} s | {:.2} s | {:.2} s | {} | {agree} |",
            self.lost,
            at(0.01),
            at(0.5),
            at(1.0),
            self.most_at_once()
        )
    }
}

/// Waits until all are current.
pub(super) async fn all_current(watchers: &[Watcher]) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while let Some(late) = watchers.iter().find(|watcher| !watcher.is_current()) {
        if Instant::now() > deadline {
            bail!("{:?} has no list: {:?}", late.place, late.problem());
        }
        sleep(EVERY).await;
    }
    Ok(())
}

/// Waits until everybody's list is another than the one of that number; how long each took.
pub(super) async fn all_changed(
    watchers: &[Watcher],
    before: &[u64],
    since: Instant,
) -> Result<Vec<f64>> {
    let mut took = vec![None; watchers.len()];
    while took.iter().any(Option::is_none) {
        for ((watcher, before), took) in watchers.iter().zip(before).zip(&mut took) {
            if took.is_none() && watcher.generation() != *before {
                *took = Some(since.elapsed().as_secs_f64());
            }
        }
        if since.elapsed() > PATIENCE {
            let missing = took.iter().filter(|took| took.is_none()).count();
            bail!("{missing} watchers did not hear of a change");
        }
        sleep(Duration::from_micros(500)).await;
    }
    Ok(took.into_iter().flatten().collect())
}

/// Waits until this one's list is another than the one of that number; how long it took.
pub(super) async fn changed(watcher: &Watcher, before: u64, since: Instant) -> Result<f64> {
    while watcher.generation() == before {
        if since.elapsed() > PATIENCE {
            bail!("{:?} did not hear of a change", watcher.place);
        }
        sleep(Duration::from_micros(500)).await;
    }
    Ok(since.elapsed().as_secs_f64())
}
