//! How changes are gathered before they are published.

use std::time::Duration;

use tokio::time::Instant;

/// How long changes are gathered before they are compiled.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// This long after the last change: `kubectl apply -f` of several policies, or the endpoints
    /// and pods of one rollout, arrive within a few milliseconds of each other.
    pub quiet: Duration,
    /// And at most this long after the first: a cluster that never rests must not keep a new
    /// policy waiting. The goal from event to verdict is 100 ms.
    pub longest: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            quiet: Duration::from_millis(3),
            longest: Duration::from_millis(20),
        }
    }
}

impl Pace {
    /// When to publish what is dirty since then, if nothing more comes.
    #[must_use]
    pub fn due(self, dirty_since: Instant, now: Instant) -> Instant {
        (now + self.quiet).min(dirty_since + self.longest)
    }
}
