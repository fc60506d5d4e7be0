//! Many pairs as few rows: sources that have the same connections with the same destinations share one.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use foldhash::fast::RandomState;

/// Sources, destinations, and what all of these pairs have in common.
pub(super) type Rows<K> = Vec<(Vec<usize>, Vec<usize>, K)>;

/// Rows that together hold every pair exactly once. Pairs of one source come together, and the
/// destinations of each source ascend.
pub(super) fn group<K: Copy + Ord + Hash>(
    pairs: impl IntoIterator<Item = (usize, usize, K)>,
) -> Rows<K> {
    let mut sources: HashMap<(K, Vec<usize>), Vec<usize>, RandomState> = HashMap::default();
    let mut settle = |from: Option<usize>, row: &mut BTreeMap<K, Vec<usize>>| {
        let Some(from) = from else { return };
        for (what, to) in std::mem::take(row) {
            sources.entry((what, to)).or_default().push(from);
        }
    };
    let mut current = None;
    let mut row: BTreeMap<K, Vec<usize>> = BTreeMap::new();
    for (from, to, what) in pairs {
        if current != Some(from) {
            settle(current, &mut row);
            current = Some(from);
        }
        row.entry(what).or_default().push(to);
    }
    settle(current, &mut row);
    let rows = sources.into_iter();
    rows.map(|((what, to), from)| (from, to, what)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_is_in_one_row() {
        let pairs = [
            (0, 1, 'a'),
            (0, 2, 'a'),
            (0, 3, 'b'),
            (4, 1, 'a'),
            (4, 2, 'a'),
            (4, 3, 'c'),
        ];
        let mut rows = group(pairs);
        rows.sort();
        assert_eq!(
            rows,
            [
                (vec![0], vec![3], 'b'),
                (vec![0, 4], vec![1, 2], 'a'),
                (vec![4], vec![3], 'c')
            ]
        );
    }
}
