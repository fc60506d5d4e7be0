//! How figures change with the size of the cluster, row by row.

use std::fmt::Write as _;

use super::{Column, Point, Records, Row, median};

/// What is looked at, at every size.
pub(super) const COLUMNS: [Column; 3] = [Column::StreamIn, Column::LatencyP50, Column::Connections];

/// From which size to which one nothing may grow, and the words for it. Addresses are 100 at least,
/// since 10 policies have some.
pub(super) const SPANS: [(&str, Point, Point); 2] = [
    ("10 → 10 000 policies", Point::BASE, Point::new(10_000, 100)),
    (
        "100 → 10 000 addresses",
        Point::BASE,
        Point::new(10, 10_000),
    ),
];
/// Further than was asked for.
const FURTHER: (&str, Point, Point) = (
    "100 → 100 000 addresses",
    Point::BASE,
    Point::new(10, 100_000),
);

/// How much worse a figure is at the larger size: 1.1 is ten percent worse.
pub(super) fn factor(
    records: &Records,
    row: Row,
    column: Column,
    from: Point,
    to: Point,
) -> Option<f64> {
    let small = median(records, from, row, false, column)?;
    let large = median(records, to, row, false, column)?;
    Some(if column.less_is_better() {
        large / small
    } else {
        small / large
    })
}

/// Every figure at every size, and the factors.
pub(super) fn table(records: &Records) -> String {
    let mut points: Vec<Point> = records.settings.all_points().collect();
    points.sort_unstable();
    let mut text = String::new();
    for column in COLUMNS {
        let _ = write!(text, "| {} |", column.label());
        for point in &points {
            let _ = write!(text, " {point} |");
        }
        let _ = writeln!(text, "\n|---|{}", "---|".repeat(points.len()));
        for row in &records.settings.rows {
            let _ = write!(text, "| {} |", row.label());
            for point in &points {
                let value = median(records, *point, *row, false, column);
                let digits = column.digits();
                let value = value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
                let _ = write!(text, " {value} |");
            }
            text.push('\n');
        }
        text.push('\n');
    }
    text + &factors(records)
}

fn factors(records: &Records) -> String {
    let mut text = String::from(
        "How much worse, at the larger size (1.10: ten percent worse). The first row is the noise.\n\n|",
    );
    let spans = SPANS.iter().chain([&FURTHER]);
    let heads: Vec<(&str, Point, Point, Column)> = spans
        .flat_map(|(name, from, to)| COLUMNS.map(|column| (*name, *from, *to, column)))
        .collect();
    for (name, _, _, column) in &heads {
        let what = column.label().split(',').next().unwrap_or_default();
        let _ = write!(text, " | {name}: {what}");
    }
    let _ = writeln!(text, " |\n|---|{}", "---|".repeat(heads.len()));
    for row in &records.settings.rows {
        let _ = write!(text, "| {} |", row.label());
        for (_, from, to, column) in &heads {
            let factor = factor(records, *row, *column, *from, *to);
            let factor = factor.map_or("-".to_owned(), |factor| format!("{factor:.2}"));
            let _ = write!(text, " {factor} |");
        }
        text.push('\n');
    }
    text
}
