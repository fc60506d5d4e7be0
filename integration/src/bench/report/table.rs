//! One table: rows by columns, each cell the median, its range, and the ratio to direct.

use std::fmt::Write as _;

use super::{Column, Point, Records, Row, median};
use crate::stats::percentile;

/// The Markdown of it.
pub(super) fn of(records: &Records, point: Point, v6: bool, columns: &[Column]) -> String {
    let mut text = String::from("| |");
    for column in columns {
        let _ = write!(text, " {} |", column.label());
    }
    let _ = writeln!(text, "\n|---|{}", "---|".repeat(columns.len()));
    for row in &records.settings.rows {
        let _ = write!(text, "| {} |", row.label());
        for column in columns {
            // Memory is the process's, whatever the family.
            let v6 = v6 && *column != Column::Memory;
            let _ = write!(text, " {} |", cell(records, point, *row, v6, *column));
        }
        text.push('\n');
    }
    text
}

fn cell(records: &Records, point: Point, row: Row, v6: bool, column: Column) -> String {
    let samples = records.samples(point, row, v6, column);
    let at = |share| percentile(&samples, share);
    let (Some(middle), Some(low), Some(high)) = (at(0.5), at(0.0), at(1.0)) else {
        return "-".to_owned();
    };
    let digits = column.digits();
    let mut text = format!("{middle:.digits$}");
    if samples.len() > 1 {
        let _ = write!(text, " ({low:.digits$}–{high:.digits$})");
    }
    let direct = median(records, point, Row::Direct, v6, column);
    if let Some(direct) = direct.filter(|_| row != Row::Direct) {
        let _ = write!(text, " **{:.2}**", middle / direct);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::tests::records;
    use super::*;

    #[test]
    fn a_cell_tells_median_range_and_ratio_and_a_missing_one_a_dash() {
        let records = records(&[
            (Row::Direct, Column::Connections, &[10.0, 12.0, 11.0]),
            (Row::Tc, Column::Connections, &[5.5]),
        ]);
        let text = of(&records, Point::BASE, false, &[Column::Connections]);
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows[0], "| | new conn., k/s |");
        assert_eq!(rows[2], "| direct | 11.0 (10.0–12.0) |");
        assert_eq!(rows[3], "| nftables | - |");
        assert_eq!(rows[6], "| sidewall tc | 5.5 **0.50** |");
    }
}
