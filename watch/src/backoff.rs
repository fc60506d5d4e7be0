//! How long to wait before the next try: doubling, capped, and never the same for two sidecars.

use std::time::Duration;

use rand::Rng;

/// The first wait is this at most. A cut connection is usually back at once, and until it is the
/// pod runs on a list that ages.
const FIRST: Duration = Duration::from_millis(200);

/// No wait is longer: client-go's reflector caps at the same value (`reflector.go`, 30 s).
pub const LONGEST: Duration = Duration::from_secs(30);

/// The first wait of those who can wait, because the last list is in force: thousands of sidecars
/// lose one replica of a controller in the same moment, and none is in a hurry.
const FIRST_SPREAD: Duration = Duration::from_secs(2);

/// A contact that lasted this long counts as healed, and the next wait is short again.
pub const HEALED_AFTER: Duration = Duration::from_secs(5);

/// How much of its range a wait takes, from 0 to 1.
pub type Chance = fn() -> f64;

/// Everything between 0 and 1 alike.
#[must_use]
pub fn chance() -> f64 {
    rand::rng().random_range(0.0..=1.0)
}

/// The waits of one watch.
#[derive(Debug)]
pub struct Backoff {
    failures: u32,
    chance: Chance,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::by(chance)
    }
}

impl Backoff {
    /// By this chance.
    #[must_use]
    pub const fn by(chance: Chance) -> Self {
        Self {
            failures: 0,
            chance,
        }
    }

    /// The wait after one more failure: between half of the step and the whole of it, so that the
    /// sidecars of a cluster do not come back to a restarted server in step.
    pub fn wait(&mut self) -> Duration {
        self.step(FIRST).mul_f64(0.5 + 0.5 * (self.chance)())
    }

    /// The wait of somebody who can wait: anything up to the step, which is 2 s at first. Of 5 000
    /// that lose the same server, 2 500 a second come back, and not all at once.
    pub fn spread(&mut self) -> Duration {
        self.step(FIRST_SPREAD).mul_f64((self.chance)())
    }

    fn step(&mut self, first: Duration) -> Duration {
        let step = first
            .saturating_mul(2u32.saturating_pow(self.failures))
            .min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        step
    }

    /// Contact is good again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_start_over_when_healed() {
        let mut backoff = Backoff::default();
        let steps: Vec<_> = (0..12).map(|_| backoff.wait()).collect();
        for (failures, wait) in steps.iter().enumerate() {
            let step = (FIRST * 2u32.pow(u32::try_from(failures).expect("small"))).min(LONGEST);
            assert!(*wait <= step && *wait >= step / 2, "{failures}: {wait:?}");
        }
        assert!(steps[11] >= LONGEST / 2);
        backoff.reset();
        assert!(backoff.wait() <= FIRST);
    }

    #[test]
    fn those_who_can_wait_come_back_over_two_seconds_and_never_later_than_the_cap() {
        let mut firsts: Vec<_> = (0..1000).map(|_| Backoff::default().spread()).collect();
        firsts.sort_unstable();
        assert!(firsts[999] <= FIRST_SPREAD);
        // Evenly: each tenth of the time has a tenth of them, with room for chance.
        for tenth in 1..10_u32 {
            let at = FIRST_SPREAD * tenth / 10;
            let before = firsts.partition_point(|wait| *wait <= at);
            let wanted = 100 * usize::try_from(tenth).expect("small");
            assert!(before.abs_diff(wanted) < 80, "{before} within {at:?}");
        }
        let mut one = Backoff::default();
        assert!((0..20).all(|_| one.spread() <= LONGEST));
    }

    #[test]
    fn two_sidecars_do_not_wait_alike() {
        let (mut one, mut other) = (Backoff::default(), Backoff::default());
        let equal = (0..20).filter(|_| one.wait() == other.wait()).count();
        assert!(equal < 20);
    }
}
