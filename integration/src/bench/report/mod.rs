//! What a run has found out, for people: tables, the check of what was asked for, plots, and the page
//! that holds them. Everything is made from [`Records`] alone, so it can be made again.

mod asked;
mod growth;
mod page;
mod plot;
mod table;

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;

use super::axis::{Column, Point, Row};
use super::known_pods::Idle;
use super::record::Records;
use crate::stats::percentile;

pub use self::page::replace;

/// Gbit/s.
const STREAMS: [Column; 4] = [
    Column::StreamIn,
    Column::StreamOut,
    Column::StreamsIn,
    Column::StreamsOut,
];
/// Gbit/s.
const CUBIC: [Column; 2] = [Column::CubicIn, Column::CubicOut];
/// Packets and round trips.
const PACKETS: [Column; 5] = [
    Column::Datagrams64,
    Column::Datagrams1400,
    Column::LatencyP50,
    Column::LatencyP99,
    Column::LatencyP999,
];
/// Connections, and what all of it costs.
const COST: [Column; 4] = [
    Column::Connections,
    Column::CpuIn,
    Column::CpuOut,
    Column::Memory,
];

/// The side-by-side part of the page. `plots`: the folder of the plots as the page names it.
#[must_use]
pub fn side_by_side(records: &Records, plots: Option<&str>) -> String {
    let settings = &records.settings;
    let mut text = format!(
        "{}. Medians of {} rounds of {} s (one stream and latency, at the base size: {}), with the range; \
         bold: ratio to direct.\n\n",
        records.machine, settings.rounds, settings.seconds, settings.close_rounds
    );
    let _ = writeln!(text, "### What was asked for\n\n{}", asked::table(records));
    for (v6, family) in [(false, "IPv4"), (true, "IPv6")] {
        let base = Point::BASE;
        let _ = writeln!(text, "### {family}, {base}\n");
        for columns in [&STREAMS[..], &CUBIC, &PACKETS, &COST] {
            let _ = writeln!(text, "{}", table::of(records, base, v6, columns));
        }
        if !v6 && let Some(folder) = plots {
            let _ = writeln!(text, "![streams]({folder}/streams.svg)\n");
        }
    }
    let _ = writeln!(
        text,
        "### By the size of the cluster\n\n{}",
        growth::table(records)
    );
    if let Some(folder) = plots {
        for name in ["policies", "addresses"] {
            let _ = writeln!(text, "![{name}]({folder}/{name}.svg)\n");
        }
    }
    text + &left_out(records)
}

/// The table of policy changes.
#[must_use]
pub fn changes(records: &Records) -> Option<String> {
    let samples = records.changes.as_ref()?;
    let mut text = String::from(
        "| from … to the first packet judged anew, ms | changes | p50 | p99 | max |\n|---|---|---|---|---|\n",
    );
    for (name, samples) in [
        ("the event in another client's watch", &samples.since_event),
        ("kubectl's return", &samples.since_return),
    ] {
        let at = |share| percentile(samples, share).map_or("-".to_owned(), |ms| format!("{ms:.1}"));
        let count = samples.len();
        let _ = writeln!(
            text,
            "| {name} | {count} | {} | {} | {} |",
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
    Some(text)
}

/// The table of sidecars without traffic.
#[must_use]
pub fn idle(measured: &[Idle]) -> String {
    let mut text = String::from("| pods known | resident, MB | anonymous, MB |\n|---|---|---|\n");
    for idle in measured {
        let (pods, memory) = (idle.pods, idle.memory);
        let _ = writeln!(
            text,
            "| {pods} | {:.1} | {:.1} |",
            memory.all, memory.anonymous
        );
    }
    text
}

/// Draws the plots into a folder.
///
/// # Errors
/// When a file cannot be written.
pub fn plots(records: &Records, folder: &Path) -> Result<()> {
    plot::draw(records, folder)
}

/// Whether anything asked for was seen not to hold, and what failed on the way.
#[must_use]
pub fn shortcomings(records: &Records) -> Vec<String> {
    let mut all = asked::missed(records);
    all.extend(records.failures().map(|(what, why)| {
        let family = if what.v6 { "IPv6" } else { "IPv4" };
        let (row, point, round) = (what.row.label(), what.point, what.round + 1);
        format!(
            "{row}, {:?}, {family}, {point}, round {round}: {why}",
            what.probe
        )
    }));
    all
}

/// The median of all rounds.
fn median(records: &Records, point: Point, row: Row, v6: bool, column: Column) -> Option<f64> {
    crate::stats::median(&records.samples(point, row, v6, column))
}

fn left_out(records: &Records) -> String {
    let mut text = String::new();
    for ((point, row), why) in &records.absent {
        let why = why.lines().next().unwrap_or_default();
        let _ = writeln!(text, "- {} is left out at {point}: {why}", row.label());
    }
    let failures = records.failures().count();
    if failures > 0 {
        let _ = writeln!(
            text,
            "- {failures} of {} measurements came to nothing and are not in the medians.",
            records.measured.len()
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::axis::Probe;
    use super::super::machine::Machine;
    use super::super::record::{Journal, Measured, What};
    use super::super::settings::{Effort, Settings};
    use super::*;

    /// Records of IPv4 at the base.
    pub(super) fn records(samples: &[(Row, Column, &[f64])]) -> Records {
        let machine = Machine {
            model: "a processor".to_owned(),
            cores: 2,
            kernel: "6.18".to_owned(),
            memory: 8,
            congestion_control: "cubic".to_owned(),
            day: "2026-11-21".to_owned(),
        };
        let settings = Settings::new(Effort::Quick, &[]);
        let mut journal = Journal::begin(None, settings, machine).unwrap();
        for (row, column, values) in samples {
            for (round, value) in values.iter().enumerate() {
                let what = What {
                    point: Point::BASE,
                    row: *row,
                    probe: Probe::Ping,
                    v6: false,
                    round,
                };
                let outcome = Ok(vec![(*column, *value)]);
                journal.measured(Measured { what, outcome }).unwrap();
            }
        }
        journal.records
    }

    #[test]
    fn the_page_part_and_the_plots_are_made_from_records_alone() {
        let records = records(&[
            (Row::Direct, Column::StreamIn, &[10.0, 11.0]),
            (Row::Offload, Column::StreamIn, &[10.0, 11.0]),
        ]);
        let text = side_by_side(&records, Some("img"));
        assert!(text.contains("a processor, 2 cores, 8 GB, Linux 6.18"));
        assert!(text.contains("![policies](img/policies.svg)"));
        let folder = tempfile::tempdir().unwrap();
        plots(&records, folder.path()).unwrap();
        let drawn = std::fs::read_to_string(folder.path().join("streams.svg")).unwrap();
        assert!(drawn.contains("sidewall bpf, offload"), "{drawn}");
    }
}
