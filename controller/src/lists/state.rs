//! What is known and served: one owner writes ([`super::feed`]), everybody reads for moments.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use foldhash::fast::RandomState;
use sidewall::lists::catalogue::{Catalogue, Revision};
use sidewall::policy::allow_list::ObjectRef;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard, watch};
use tokio::time::Instant;

use super::ring::Ring;
use super::serve::refusal::Refusal;
use super::version::Epoch;
use super::wake::Wake;

/// Everything that is read and written together.
#[derive(Debug, Default)]
pub struct State {
    /// The lists.
    pub catalogue: Catalogue,
    /// The UIDs of pods, which tokens name.
    pub uids: HashMap<ObjectRef, Box<str>, RandomState>,
    /// The last changes.
    pub ring: Ring,
}

/// Where the process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not everything was read yet: nothing is served.
    Loading,
    /// As it should be.
    Serving,
    /// It is stopping: nothing new is begun, and streams end by then.
    Draining(Instant),
}

/// The lists, and what is said of them.
#[derive(Debug)]
pub struct Lists {
    state: RwLock<State>,
    /// This process, in resource versions.
    pub epoch: Epoch,
    /// The streams that wait.
    pub wake: Wake,
    revision: watch::Sender<Revision>,
    phase: watch::Sender<Phase>,
    current: AtomicBool,
}

impl Default for Lists {
    fn default() -> Self {
        Self::new(Epoch::random())
    }
}

impl Lists {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(epoch: Epoch) -> Self {
        Self {
            state: RwLock::default(),
            epoch,
            wake: Wake::default(),
            revision: watch::Sender::new(Revision(0)),
            phase: watch::Sender::new(Phase::Loading),
            current: AtomicBool::new(false),
        }
    }

    /// To read, once everything was read in full.
    ///
    /// # Errors
    /// 503 before that, and while stopping.
    pub async fn read(&self) -> Result<RwLockReadGuard<'_, State>, Refusal> {
        match *self.phase.borrow() {
            Phase::Serving => {}
            Phase::Loading => {
                return Err(Refusal::unavailable(
                    "the allow lists are not complete yet: this replica has just started",
                ));
            }
            Phase::Draining(_) => return Err(Refusal::stopping()),
        }
        Ok(self.look().await)
    }

    /// To read, in a stream that has begun.
    pub async fn look(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().await
    }

    /// To write; for the feed alone.
    pub(super) async fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().await
    }

    /// Something was published: those who watch everything look.
    pub(super) fn published(&self, revision: Revision) {
        self.revision.send_replace(revision);
        self.phase.send_if_modified(|phase| {
            let first = *phase == Phase::Loading;
            if first {
                *phase = Phase::Serving;
            }
            first
        });
    }

    /// To be told of revisions.
    #[must_use]
    pub fn revisions(&self) -> watch::Receiver<Revision> {
        self.revision.subscribe()
    }

    /// To be told when the process stops.
    #[must_use]
    pub fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Where the process stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Ends all streams within so long, each at a moment of its own.
    pub fn drain(&self, within: Duration) {
        self.phase
            .send_replace(Phase::Draining(Instant::now() + within));
    }

    /// Whether all watches stand, so that what is known is what there is.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.current.load(Ordering::Relaxed)
    }

    pub(super) fn set_current(&self, current: bool) {
        self.current.store(current, Ordering::Relaxed);
    }
}
