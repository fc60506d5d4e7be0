//! How long to wait before the next try: doubling, capped, and never the same for two sidecars.

use std::time::Duration;

use rand::Rng;

/// The first wait is this at most. A cut connection is usually back at once, and until it is the
/// pod runs on a list that ages.
const FIRST: Duration = Duration::from_millis(200);

/// No wait is longer: client-go's reflector caps at the same value (`reflector.go`, 30 s).
const LONGEST: Duration = Duration::from_secs(30);

/// A contact that lasted this long counts as healed, and the next wait is short again.
pub const HEALED_AFTER: Duration = Duration::from_secs(5);

/// The waits of one watch.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure: between half of the step and the whole of it, so that the
    /// sidecars of a cluster do not come back to a restarted server in step.
    pub fn wait(&mut self) -> Duration {
        let step = FIRST
            .saturating_mul(2u32.saturating_pow(self.failures))
            .min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        step.mul_f64(rand::rng().random_range(0.5..=1.0))
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
    fn two_sidecars_do_not_wait_alike() {
        let (mut one, mut other) = (Backoff::default(), Backoff::default());
        let equal = (0..20).filter(|_| one.wait() == other.wait()).count();
        assert!(equal < 20);
    }
}
