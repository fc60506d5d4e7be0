//! A list for pictures and tables with one row and one column per end: its ends as entries that do not
//! overlap, and its rows over them.

use std::collections::BTreeMap;

use super::list::List;
use super::range::{self, AddressRange};
use super::side::{Group, Side};

/// The ends of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entries {
    /// Workloads by namespace and name, then addresses outside.
    pub list: Vec<Side>,
    /// For each row of the list, the entries of its sources and those of its destinations.
    pub rows: Vec<(Vec<usize>, Vec<usize>)>,
}

/// The rows that an end is in: position, and whether as source.
type Rows = Vec<(usize, bool)>;

impl Entries {
    /// Addresses outside of which the list says the same are one entry. So are, with `merge`,
    /// workloads of one namespace. A workload in no row is left out unless `keep` wants it.
    #[must_use]
    pub fn of(list: &List, merge: bool, keep: &dyn Fn(&Group) -> bool) -> Self {
        let mut of_workload: Vec<Rows> = vec![Vec::new(); list.workloads.len()];
        for (row, side, is_source) in sides(list) {
            for workload in &side.workloads {
                of_workload[*workload].push((row, is_source));
            }
        }
        let mut found: Vec<(Side, Rows)> = Vec::new();
        let mut alike: BTreeMap<(&str, Rows), usize> = BTreeMap::new();
        for (position, (group, rows)) in list.workloads.iter().zip(of_workload).enumerate() {
            if rows.is_empty() && !keep(group) {
                continue;
            }
            let next = found.len();
            let entry = match merge {
                true => *alike
                    .entry((&group.workload.namespace, rows.clone()))
                    .or_insert(next),
                false => next,
            };
            if entry == next {
                found.push((Side::default(), rows));
            }
            found[entry].0.workloads.push(position);
        }
        found.extend(outside(list));
        let mut entries = Self {
            list: Vec::with_capacity(found.len()),
            rows: vec![(Vec::new(), Vec::new()); list.rows.len()],
        };
        for (entry, (side, rows)) in found.into_iter().enumerate() {
            entries.list.push(side);
            for (row, is_source) in rows {
                let (sources, targets) = &mut entries.rows[row];
                if is_source { sources } else { targets }.push(entry);
            }
        }
        entries
    }
}

fn sides(list: &List) -> impl Iterator<Item = (usize, &Side, bool)> {
    let rows = list.rows.iter().enumerate();
    rows.flat_map(|(row, of)| [(row, &of.from, true), (row, &of.to, false)])
}

/// The addresses of all rows, cut so that each piece is in the same rows as a whole.
fn outside(list: &List) -> Vec<(Side, Rows)> {
    let all = sides(list).flat_map(|(_, side, _)| side.outside.iter().copied());
    let pieces = range::cut(all);
    let mut of_piece: Vec<Rows> = vec![Vec::new(); pieces.len()];
    for (row, side, is_source) in sides(list) {
        for range in &side.outside {
            let first = range::position(&pieces, range.first);
            let last = range::position(&pieces, range.last);
            for rows in of_piece.get_mut(first..=last).unwrap_or_default() {
                rows.push((row, is_source));
            }
        }
    }
    let mut alike: BTreeMap<Rows, Vec<AddressRange>> = BTreeMap::new();
    for (piece, rows) in pieces.into_iter().zip(of_piece) {
        if !rows.is_empty() {
            alike.entry(rows).or_default().push(piece);
        }
    }
    let mut found: Vec<(Side, Rows)> = alike
        .into_iter()
        .map(|(rows, ranges)| {
            let side = Side {
                outside: range::joined(ranges),
                ..Side::default()
            };
            (side, rows)
        })
        .collect();
    found.sort();
    found
}
