//! Names that were meant: "did you mean" for fields and for what people type.

/// A known name that is spelled alike but for case, or with at most two letters changed, and fewer
/// than half of them.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    let distance = |candidate: &str| edits(&lower, &candidate.to_ascii_lowercase());
    let best = known
        .into_iter()
        .map(|candidate| (distance(candidate), candidate))
        .min()?;
    (best.0 <= 2 && 2 * best.0 < name.chars().count()).then(|| best.1.to_owned())
}

/// Letters put in, left out, replaced, or swapped with their neighbour (optimal string alignment).
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    let mut previous = None;
    for (row, from) in left.chars().enumerate() {
        let mut now = vec![row + 1];
        for (at, to) in right.iter().enumerate() {
            let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX / 2);
            let replaced = cell(&last, at) + usize::from(from != *to);
            let one_more = cell(&last, at + 1).min(cell(&now, at)) + 1;
            let mut best = replaced.min(one_more);
            let swapped = at > 0 && right.get(at - 1) == Some(&from) && previous == Some(*to);
            if swapped {
                best = best.min(cell(&before_last, at - 1) + 1);
            }
            now.push(best);
        }
        before_last = std::mem::replace(&mut last, now);
        previous = Some(from);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_is_found_and_another_word_is_not() {
        let known = ["podSelector", "policyTypes"];
        assert_eq!(
            nearest("podselector", known).as_deref(),
            Some("podSelector")
        );
        assert_eq!(nearest("polcyTypes", known).as_deref(), Some("policyTypes"));
        assert_eq!(nearest("selector", known), None);
        assert_eq!(nearest("", known), None);
        assert_eq!(nearest("wbe", ["db", "web"]).as_deref(), Some("web"));
        assert_eq!(nearest("db", ["web"]), None);
    }
}
