//! The cells of a matrix, and a letter for each set of ports, so that a cell stays narrow.

use sidewall::policy::connectivity::Connections;

use crate::connections::{Found, titles};

/// Who reaches whom.
pub(super) struct Matrix {
    /// Sources and destinations alike: `namespace/name`, or addresses.
    pub(super) names: Vec<String>,
    /// By source, then by destination.
    pub(super) cells: Vec<Vec<Cell>>,
    /// The sets of ports, by letter.
    pub(super) legend: Vec<(String, String)>,
}

/// What a source may do with a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell {
    /// Nothing.
    None,
    /// Everything.
    All,
    /// A set of the legend, by position.
    Some(usize),
    /// It is the source itself, a single pod; or both are outside.
    Itself,
}

impl Matrix {
    pub(super) fn of(found: &Found) -> Self {
        let (list, entries) = (&found.list, found.entries());
        let size = entries.list.len();
        let mut legend: Vec<&Connections> = Vec::new();
        let mut cells = vec![vec![Cell::None; size]; size];
        for (row, (sources, targets)) in list.rows.iter().zip(&entries.rows) {
            let cell = if row.allowed.is_all() {
                Cell::All
            } else {
                let known = legend.iter().position(|set| **set == row.allowed);
                Cell::Some(known.unwrap_or_else(|| {
                    legend.push(&row.allowed);
                    legend.len() - 1
                }))
            };
            for &from in sources {
                for &to in targets {
                    cells[from][to] = cell;
                }
            }
        }
        for (position, entry) in entries.list.iter().enumerate() {
            let is_outside = !entry.outside.is_empty();
            let mut workloads = entry.workloads.iter();
            let is_lone = |group: &usize| list.workloads[*group].workload.is_lone();
            if entry.workloads.len() == 1 && workloads.all(is_lone) {
                cells[position][position] = Cell::Itself;
            }
            for (other, side) in entries.list.iter().enumerate() {
                if is_outside && !side.outside.is_empty() {
                    cells[position][other] = Cell::Itself;
                }
            }
        }
        let names = entries.list.iter().map(|entry| {
            let (namespace, names) = titles(entry, &list.workloads);
            let names = names.join(", ");
            match namespace {
                Some(namespace) => format!("{namespace}/{names}"),
                None => names,
            }
        });
        let legend = legend.iter().enumerate();
        Self {
            names: names.collect(),
            cells,
            legend: legend
                .map(|(number, set)| (letter(number), set.to_string()))
                .collect(),
        }
    }

    /// What a cell says in words.
    pub(super) fn words(&self, cell: Cell) -> &str {
        match cell {
            Cell::None => "no connections",
            Cell::All => "all connections",
            Cell::Itself => "itself",
            Cell::Some(number) => self.legend.get(number).map_or("", |(_, set)| set),
        }
    }

    /// What stands in a cell.
    pub(super) fn sign(&self, cell: Cell) -> &str {
        match cell {
            Cell::None => "·",
            Cell::All => "✓",
            Cell::Itself => "–",
            Cell::Some(number) => self.legend.get(number).map_or("", |(letter, _)| letter),
        }
    }
}

/// a … z, aa, ab, …
fn letter(number: usize) -> String {
    const LETTERS: &[u8; 26] = b"abcdefghijklmnopqrstuvwxyz";
    let last = char::from(LETTERS[number % LETTERS.len()]);
    match number / LETTERS.len() {
        0 => last.to_string(),
        more => format!("{}{last}", letter(more - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_go_on_behind_z() {
        let letters: Vec<String> = [0, 25, 26, 27, 702].map(letter).to_vec();
        assert_eq!(letters, ["a", "z", "aa", "ab", "aaa"]);
    }
}
