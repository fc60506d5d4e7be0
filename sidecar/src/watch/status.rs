//! How well we know the cluster at this moment: for readiness, metrics and the log.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Shared between the task that watches and those that tell of it.
#[derive(Debug, Default)]
pub struct SourceStatus {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default, Clone)]
struct Inner {
    synced: bool,
    problem: Option<String>,
    lost_since: Option<Instant>,
    /// In force is a list from before the restart.
    kept: bool,
}

impl SourceStatus {
    /// Every kind was read in full at least once, and the own pod was among them.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.read().synced
    }

    /// What is wrong now, in a sentence.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.read().problem
    }

    /// How long contact has been lost; zero while it stands.
    #[must_use]
    pub fn stale(&self) -> Duration {
        self.read()
            .lost_since
            .map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Whether in force is what was kept from before the restart, because the source was not heard of
    /// since.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.read().kept
    }

    /// In force is what was kept, this long ago.
    pub(crate) fn kept(&self, ago: Duration) {
        let now = Instant::now();
        self.write(|inner| {
            inner.kept = true;
            inner.lost_since = Some(now.checked_sub(ago).unwrap_or(now));
        });
    }

    pub(crate) fn set_synced(&self) {
        self.write(|inner| inner.synced = true);
    }

    pub(crate) fn set_problem(&self, problem: Option<String>) {
        self.write(|inner| inner.problem = problem);
    }

    /// Contact is lost. Whether that is news.
    pub(crate) fn lost(&self) -> bool {
        self.write(|inner| {
            let news = inner.lost_since.is_none();
            inner.lost_since.get_or_insert_with(Instant::now);
            news
        })
    }

    /// Contact stands again. How long it had not, if it had not.
    pub(crate) fn found(&self) -> Option<Duration> {
        self.write(|inner| {
            inner.kept = false;
            inner.lost_since.take().map(|since| since.elapsed())
        })
    }

    fn read(&self) -> Inner {
        self.inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn write<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
