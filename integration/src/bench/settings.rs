//! How much is measured: which rows at which points, how often and for how long.

use serde::{Deserialize, Serialize};

use super::axis::{Point, Probe, Row};

/// What a run is to do. Two runs with the same settings can be one: a run that was cut short goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Who is compared.
    pub rows: Vec<Row>,
    /// The sizes of the cluster beside [`Point::BASE`].
    pub points: Vec<Point>,
    /// How often everything is measured; medians are of this many.
    pub rounds: usize,
    /// How often [`Probe::CLOSE`] are measured at [`Point::BASE`].
    pub close_rounds: usize,
    /// Seconds of each measurement.
    pub seconds: u32,
    /// Policy changes to time with kubectl.
    pub changes: usize,
}

/// How thorough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Effort {
    /// Some three minutes, to see that all works.
    Quick,
    /// Some twenty minutes.
    #[default]
    Default,
    /// More than an hour.
    Full,
}

/// Policies at 0, 10, 1 000 and 10 000; addresses at 100, 10 000 and 100 000. [`Point::BASE`] is in
/// both series.
const POINTS: [Point; 5] = [
    Point::new(0, 0),
    Point::new(1_000, 100),
    Point::new(10_000, 100),
    Point::new(10, 10_000),
    Point::new(10, 100_000),
];

impl Settings {
    /// As thorough as this, over these rows (all, if none is named).
    #[must_use]
    pub fn new(effort: Effort, rows: &[Row]) -> Self {
        let mut rows = rows.to_vec();
        if rows.is_empty() {
            rows = Row::ALL.to_vec();
        }
        rows.sort_unstable();
        rows.dedup();
        let (points, rounds, close_rounds, seconds, changes) = match effort {
            Effort::Quick => (vec![POINTS[2]], 1, 1, 1, 10),
            Effort::Default => (POINTS.to_vec(), 3, 9, 1, 100),
            Effort::Full => (POINTS.to_vec(), 7, 15, 2, 200),
        };
        Self {
            rows,
            points,
            rounds,
            close_rounds,
            seconds,
            changes,
        }
    }

    /// How often this is measured there.
    #[must_use]
    pub fn rounds(&self, point: Point, probe: Probe) -> usize {
        if point == Point::BASE && Probe::CLOSE.contains(&probe) {
            self.close_rounds
        } else {
            self.rounds
        }
    }

    /// Every measurement of one round at a point: probes of a family follow each other, and within a
    /// probe the rows do, so that what is compared lies close together in time.
    #[must_use]
    pub fn plan(&self, point: Point) -> Vec<(bool, Probe)> {
        if point != Point::BASE {
            return Probe::SCALE.iter().map(|probe| (false, *probe)).collect();
        }
        let family = |v6| Probe::TRAFFIC.iter().map(move |probe| (v6, *probe));
        family(false).chain(family(true)).collect()
    }

    /// All points, the base first.
    pub fn all_points(&self) -> impl Iterator<Item = Point> {
        std::iter::once(Point::BASE).chain(self.points.iter().copied())
    }

    /// About how long it takes, in seconds: a fifth of a second is lost around each measurement, and
    /// coming up takes half a minute.
    #[must_use]
    pub fn estimate(&self) -> u32 {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let measurements: usize = self
            .all_points()
            .flat_map(|point| {
                self.plan(point)
                    .into_iter()
                    .map(move |(_, probe)| (point, probe))
            })
            .map(|(point, probe)| self.rows.len() * self.rounds(point, probe))
            .sum();
        count(measurements) * (self.seconds * 10 + 2) / 10 + count(self.changes) / 5 + 60
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_takes_about_twenty_minutes_and_quick_three() {
        let minutes = |effort| Settings::new(effort, &[]).estimate() / 60;
        assert!((1..=4).contains(&minutes(Effort::Quick)));
        assert!((17..=23).contains(&minutes(Effort::Default)));
    }

    #[test]
    fn every_row_is_there_once_and_the_base_measures_both_families() {
        let settings = Settings::new(Effort::Default, &[Row::Tc, Row::Direct, Row::Tc]);
        assert_eq!(settings.rows, [Row::Direct, Row::Tc]);
        assert_eq!(settings.plan(Point::BASE).len(), 2 * Probe::TRAFFIC.len());
    }
}
