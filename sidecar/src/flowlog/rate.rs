//! A bound on the lines of a second, and a count of what it held back.

use sidewall::flow::Millis;

/// So many lines in each second; what is over that is counted.
#[derive(Debug)]
pub(super) struct Rate {
    most: u32,
    second: u64,
    written: u32,
    suppressed: u64,
}

impl Rate {
    pub(super) fn new(most: u32) -> Self {
        Self {
            most,
            second: 0,
            written: 0,
            suppressed: 0,
        }
    }

    /// Whether one more line may be written now; if not, it counts as suppressed.
    pub(super) fn allows(&mut self, now: Millis) -> bool {
        let second = now.0 / 1000;
        if second != self.second {
            self.second = second;
            self.written = 0;
        }
        if self.written < self.most {
            self.written += 1;
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
    fn what_is_left_is_told_at_the_end() {
        let mut rate = Rate::new(1);
        assert!(rate.allows(Millis(0)));
        assert!(!rate.allows(Millis(0)));
        assert_eq!(rate.rest(), Some(1));
        assert_eq!(rate.rest(), None);
    }
}
