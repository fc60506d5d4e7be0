//! Puts an allow list in force, and remembers the last ones for the log.
//!
//! In: what the index compiled. Out: one atomic store that the data path reads, a wake-up so that
//! it judges its flows again, and [`InForce`] for the log and the admin port. A list that is equal
//! to the one in force changes nothing, not even the generation.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use sidewall::engine::{Mode, Policy};
use sidewall::policy::allow_list::AllowList;
use sidewall::policy::lookup::{Lookup, LookupOptions};

use crate::shared::Shared;

/// Lists that are remembered for records still on their way to the log. Publishing is coalesced to
/// some hundred a second at most, and a record waits for milliseconds.
const REMEMBERED: usize = 8;

/// An allow list that is, or lately was, in force.
#[derive(Debug)]
pub struct InForce {
    /// Counts up from 1 with every change.
    pub generation: u64,
    /// What is allowed.
    pub list: Arc<AllowList>,
    /// Whether the rest is blocked or only logged.
    pub mode: Mode,
    /// Since when.
    pub since: Instant,
}

/// What is in force, and what was.
pub struct Published {
    shared: Arc<Shared>,
    options: LookupOptions,
    /// The newest first.
    lists: ArcSwap<VecDeque<Arc<InForce>>>,
}

impl Published {
    /// Nothing is in force, and so everything is blocked.
    #[must_use]
    pub fn new(shared: Arc<Shared>, options: LookupOptions) -> Self {
        Self {
            shared,
            options,
            lists: ArcSwap::default(),
        }
    }

    /// Puts this list in force unless it is already; returns how long its index took to build.
    /// Called by one task only.
    pub fn publish(&self, list: AllowList, mode: Mode) -> Option<Duration> {
        let lists = self.lists.load_full();
        let before = lists.front();
        if before.is_some_and(|before| *before.list == list && before.mode == mode) {
            return None;
        }
        let began = Instant::now();
        let generation = before.map_or(0, |before| before.generation) + 1;
        let lookup = Lookup::new(&list, self.options);
        let now = Arc::new(InForce {
            generation,
            list: Arc::new(list),
            mode,
            since: Instant::now(),
        });
        let mut next = VecDeque::with_capacity(REMEMBERED);
        next.push_back(now);
        next.extend(lists.iter().take(REMEMBERED - 1).cloned());
        // First the log's copy: a record of this generation may follow the store at once.
        self.lists.store(Arc::new(next));
        self.shared.publish(Policy {
            generation,
            lookup,
            mode,
        });
        Some(began.elapsed())
    }

    /// The choices that lists leave open.
    #[must_use]
    pub const fn options(&self) -> LookupOptions {
        self.options
    }

    /// What is in force; `None` before the first.
    #[must_use]
    pub fn in_force(&self) -> Option<Arc<InForce>> {
        self.lists.load().front().cloned()
    }

    /// The list of a generation, if it is still remembered.
    #[must_use]
    pub fn list(&self, generation: u64) -> Option<Arc<AllowList>> {
        let lists = self.lists.load();
        let found = lists.iter().find(|list| list.generation == generation)?;
        Some(Arc::clone(&found.list))
    }
}
