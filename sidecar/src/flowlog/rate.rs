//! A bound on what may be spent in each second, and a count of what it held back: lines, and the
//! work of explaining them.

use sidewall::flow::Millis;

/// So much in each second; what is over that is counted.
#[derive(Debug)]
pub(super) struct Rate {
    most: u32,
    second: u64,
    spent: usize,
    suppressed: u64,
}

impl Rate {
    pub(super) fn new(most: u32) -> Self {
        Self {
            most,
            second: 0,
            spent: 0,
            suppressed: 0,
        }
    }

    /// Whether one more line may be written now; if not, it counts as suppressed.
    pub(super) fn allows(&mut self, now: Millis) -> bool {
        self.allows_of(now, 1)
    }

    /// Whether something that costs this much may be done now. The last of a second may cost more
    /// than is left: so it is never refused for good.
    pub(super) fn allows_of(&mut self, now: Millis, cost: usize) -> bool {
        let second = now.0 / 1000;
        if second != self.second {
            self.second = second;
            self.spent = 0;
        }
        if self.spent < usize::try_from(self.most).unwrap_or(usize::MAX) {
            self.spent = self.spent.saturating_add(cost);
            true
        } else {
            self.suppressed += 1;
            false
        }
    }

    /// How many lines were held back in the seconds that are over, once.
    pub(super) fn suppressed(&mut self, now: Millis) -> Option<u64> {
        let over = now.0 / 1000 != self.second;
        (over && self.suppressed > 0).then(|| std::mem::take(&mut self.suppressed))
    }

    /// How many lines were held back and not told yet, at the end.
    pub(super) fn rest(&mut self) -> Option<u64> {
        (self.suppressed > 0).then(|| std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_lines_and_the_rest_is_counted_once() {
        let mut rate = Rate::new(3);
        let written = (0..10).filter(|_| rate.allows(Millis(500))).count();
        assert_eq!(written, 3);
        assert_eq!(rate.suppressed(Millis(999)), None, "the second is not over");
        assert_eq!(rate.suppressed(Millis(1000)), Some(7));
        assert_eq!(rate.suppressed(Millis(2000)), None);
        assert!(rate.allows(Millis(1000)));
    }

    #[test]
    fn what_costs_more_than_a_second_has_is_allowed_once_in_it() {
        let mut rate = Rate::new(100);
        assert!(rate.allows_of(Millis(0), 60) && rate.allows_of(Millis(1), 1_000));
        assert!(!rate.allows_of(Millis(999), 1));
        assert!(rate.allows_of(Millis(1000), 1_000));
    }

    #[test]
    fn what_is_left_is_told_at_the_end() {
        let mut rate = Rate::new(1);
        assert!(rate.allows(Millis(0)));
        assert!(!rate.allows(Millis(0)));
        assert_eq!(rate.rest(), Some(1));
        assert_eq!(rate.rest(), None);
    }
}
