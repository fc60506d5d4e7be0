//! What the project asks of itself, and whether a run has seen it.

use std::fmt::Write as _;

use super::growth::{COLUMNS, SPANS, factor};
use super::{Column, Point, Records, Row, median};

/// One demand.
struct Demand {
    text: String,
    /// What was seen; `None`: not measured.
    seen: Option<f64>,
    holds: fn(f64) -> bool,
}

/// The table of all demands.
pub(super) fn table(records: &Records) -> String {
    let mut text = String::from("| asked | seen | |\n|---|---|---|\n");
    for demand in demands(records) {
        let (seen, holds) = match demand.seen {
            Some(seen) => (
                format!("{seen:.2}"),
                if (demand.holds)(seen) { "✓" } else { "✗" },
            ),
            None => ("-".to_owned(), "not measured"),
        };
        let _ = writeln!(text, "| {} | {seen} | {holds} |", demand.text);
    }
    text
}

/// What was measured and does not hold.
pub(super) fn missed(records: &Records) -> Vec<String> {
    demands(records)
        .into_iter()
        .filter_map(|demand| {
            let seen = demand.seen.filter(|seen| !(demand.holds)(*seen))?;
            Some(format!("asked: {}; seen: {seen:.2}", demand.text))
        })
        .collect()
}

fn demands(records: &Records) -> Vec<Demand> {
    let mut all = Vec::new();
    for (v6, family) in [(false, "IPv4"), (true, "IPv6")] {
        let of = |row, column| median(records, Point::BASE, row, v6, column);
        let ratio = |row, column, to| Some(of(row, column)? / of(to, column)?);
        let mut add = |text: String, seen, holds| all.push(Demand { text, seen, holds });
        for (column, towards) in [(Column::StreamIn, "in"), (Column::StreamOut, "out")] {
            add(
                format!("{family}: one stream {towards}, offload to direct, at least 0.97"),
                ratio(Row::Offload, column, Row::Direct),
                |seen| seen >= 0.97,
            );
            add(
                format!("{family}: one stream {towards}, offload to nftables, at least 1"),
                ratio(Row::Offload, column, Row::Nftables),
                |seen| seen >= 1.0,
            );
            for row in [Row::Bpf, Row::Tc] {
                add(
                    format!(
                        "{family}: one stream {towards}, {} to direct, at least 0.75",
                        row.label()
                    ),
                    ratio(row, column, Row::Direct),
                    |seen| seen >= 0.75,
                );
            }
        }
        add(
            format!("{family}: latency p50, offload to direct, at most 1.05"),
            ratio(Row::Offload, Column::LatencyP50, Row::Direct),
            |seen| seen <= 1.05,
        );
        add(
            format!("{family}: new connections, offload to direct, at least 0.5"),
            ratio(Row::Offload, Column::Connections, Row::Direct),
            |seen| seen >= 0.5,
        );
    }
    for (span, from, to) in SPANS {
        for column in COLUMNS {
            let rows = [Row::Tc, Row::Bpf, Row::Offload];
            let factors = rows
                .iter()
                .filter_map(|row| factor(records, *row, column, from, to));
            let what = column.label().split(',').next().unwrap_or_default();
            all.push(Demand {
                text: format!("{span}: {what}, the worst sidewall row, at most 1.10 times worse"),
                seen: factors.max_by(f64::total_cmp),
                holds: |seen| seen <= 1.10,
            });
        }
    }
    let idle = records.idle.iter().flatten();
    let thousand = idle.filter(|idle| idle.pods == 1_000);
    all.push(Demand {
        text: "resident memory with 1 000 pods known, below 10 MB".to_owned(),
        seen: thousand.map(|idle| idle.memory.all).next(),
        holds: |seen| seen < 10.0,
    });
    all
}

#[cfg(test)]
mod tests {
    use super::super::tests::records;
    use super::*;

    #[test]
    fn what_is_missed_is_named_and_what_was_not_measured_is_not() {
        let records = records(&[
            (Row::Direct, Column::StreamIn, &[10.0]),
            (Row::Offload, Column::StreamIn, &[9.0]),
            (Row::Tc, Column::StreamIn, &[8.0]),
        ]);
        assert_eq!(
            missed(&records),
            ["asked: IPv4: one stream in, offload to direct, at least 0.97; seen: 0.90"]
        );
        assert!(table(&records).contains("| 0.80 | ✓ |"));
    }
}
