//! The figures as a Markdown page with the facts of the machine they were taken on.

use std::fmt::Write as _;

use super::throughput::{Kind, Samples};
use crate::stats::{median, percentile};

/// The facts a figure means little without.
#[must_use]
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let model = read("/proc/cpuinfo")
        .lines()
        .find_map(|line| {
            line.strip_prefix("model name")?
                .split_once(':')
                .map(|(_, name)| name.trim().to_owned())
        })
        .unwrap_or_else(|| "unknown CPU".to_owned());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}

/// The throughput table.
#[must_use]
pub fn throughput(rows: &[(Kind, Samples)]) -> String {
    let mut page = String::from(
        "| one TCP stream | direct, Gbit/s | with sidecar, Gbit/s | ratio of medians |\n|---|---|---|---|\n",
    );
    for (kind, samples) in rows {
        let ratio = match (median(&samples.guarded), median(&samples.direct)) {
            (Some(guarded), Some(direct)) => format!("**{:.2}**", guarded / direct),
            _ => "-".to_owned(),
        };
        let _ = writeln!(
            page,
            "| {} | {} | {} | {ratio} |",
            kind.label(),
            spread(&samples.direct),
            spread(&samples.guarded)
        );
    }
    page
}

/// The policy-change table.
#[must_use]
pub fn latency(samples: &super::latency::Samples) -> String {
    let row = |name: &str, samples: &[f64]| {
        let at = |share| percentile(samples, share).map_or("-".to_owned(), |ms| format!("{ms:.1}"));
        format!(
            "| {name} | {} | {} | {} | {} |\n",
            samples.len(),
            at(0.5),
            at(0.99),
            at(1.0)
        )
    };
    let mut page = String::from(
        "| from … to the first packet judged anew, ms | changes | p50 | p99 | max |\n|---|---|---|---|---|\n",
    );
    page += &row("the event in another client's watch", &samples.since_event);
    page += &row("kubectl's return", &samples.since_return);
    page
}

/// Median, and the range it was seen in.
fn spread(samples: &[f64]) -> String {
    match (
        median(samples),
        percentile(samples, 0.0),
        percentile(samples, 1.0),
    ) {
        (Some(mid), Some(low), Some(high)) => format!("{mid:.2} ({low:.2}–{high:.2})"),
        _ => "-".to_owned(),
    }
}
