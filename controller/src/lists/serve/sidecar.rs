//! The stream of one sidecar: its pod's list, the slices of it, and after every batch a bookmark with
//! the digest of what the receiver must hold by then.
//!
//! Level-triggered: each turn tells what the receiver lacks since the last one, however much happened
//! between the two.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::Rng as _;
use sidewall::lists::catalogue::{News, Revision};
use sidewall::policy::allow_list::ObjectRef;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::access::{Grant, Resource};
use super::lines::{Pieces, Turn, Turns};
use super::object::{DIGEST, INITIAL_END, Type, added, bookmark, line, list, slice};
use super::refusal::Refusal;
use crate::lists::state::{Lists, Phase};
use crate::lists::version::Since;
use crate::lists::wake::Place;

/// A stream that has nothing to tell says so this often: it is how the receiver knows the age of what
/// it holds, and that the connection stands.
const IDLE: Duration = Duration::from_secs(30);

/// The stream.
pub struct Stream {
    lists: Arc<Lists>,
    pod: ObjectRef,
    grant: Grant,
    place: Place,
    phases: watch::Receiver<Phase>,
    since: Revision,
    /// Whether the receiver has a list, as far as is known.
    has_list: bool,
    step: Step,
    idle_at: Instant,
    /// When to end because the process does.
    end_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Everything is to be told.
    Whole,
    /// A receiver that comes back is to be told what it lacks, if only a bookmark.
    Resume,
    /// What concerns the pod is to be told.
    Follow,
    /// The last word was said.
    Over,
}

impl Stream {
    /// A stream for a pod.
    #[must_use]
    pub fn new(lists: Arc<Lists>, pod: ObjectRef, grant: Grant, since: Since) -> Self {
        let (since, step) = match since {
            Since::Start => (Revision(0), Step::Whole),
            Since::At(Revision(0)) => (Revision(0), Step::Whole),
            Since::At(revision) => (revision, Step::Resume),
        };
        Self {
            // First, so that nothing is published between the first look and the first wait.
            place: lists.wake.place(pod.clone()),
            phases: lists.phases(),
            lists,
            pod,
            grant,
            since,
            has_list: step == Step::Resume,
            step,
            idle_at: idle_at(),
            end_at: None,
        }
    }

    /// What the receiver lacks; `None`: nothing.
    async fn news(&mut self) -> Option<Turn> {
        let lists = Arc::clone(&self.lists);
        let state = lists.look().await;
        if let Err(refusal) = self.grant.still_holds(&state, &self.pod) {
            drop(state);
            return Some(self.last(&refusal));
        }
        let uid = state.uids.get(&self.pod).cloned();
        let news = state.catalogue.news(&self.pod, self.since);
        drop(state);
        let Some(news) = news else {
            return Some(self.last(&Refusal::expired(
                "too much has changed since the resourceVersion: start over without it",
            )));
        };
        let idle = Instant::now() >= self.idle_at && self.lists.is_current();
        if news.is_nothing() && self.step == Step::Follow && !idle {
            self.since = news.revision;
            return None;
        }
        Some(self.tell(&news, uid.as_deref()))
    }

    fn tell(&mut self, news: &News, uid: Option<&str>) -> Turn {
        let epoch = self.lists.epoch;
        let mut pieces = Pieces::default();
        for name in &news.removed {
            pieces.push(line(Type::Deleted, slice(epoch, name, news.revision, None)));
        }
        for stored in &news.added {
            pieces.push(added(epoch, stored));
        }
        if let Some(spec) = &news.list {
            let kind = match self.has_list {
                true => Type::Modified,
                false => Type::Added,
            };
            self.has_list = true;
            let object = list(epoch, &self.pod, uid, news.revision, Some(spec));
            pieces.push(line(kind, object));
        } else if news.gone {
            self.has_list = false;
            let object = list(epoch, &self.pod, uid, news.revision, None);
            pieces.push(line(Type::Deleted, object));
        }
        let mut annotations = BTreeMap::from([(DIGEST, news.digest.as_str())]);
        if self.step == Step::Whole {
            annotations.insert(INITIAL_END, "true");
        }
        let resource = Resource::AllowLists;
        pieces.push(bookmark(epoch, resource, news.revision, annotations));
        self.since = news.revision;
        self.step = Step::Follow;
        self.idle_at = idle_at();
        pieces.turn()
    }

    fn last(&mut self, refusal: &Refusal) -> Turn {
        self.step = Step::Over;
        Box::new(std::iter::once(Bytes::from(refusal.event())))
    }
}

impl Turns for Stream {
    async fn turn(&mut self) -> Option<Turn> {
        loop {
            match self.step {
                Step::Over => return None,
                Step::Whole | Step::Resume => return self.news().await,
                Step::Follow => {}
            }
            let end_at = self.end_at;
            tokio::select! {
                () = sleep_until(end_at.unwrap_or_else(Instant::now)), if end_at.is_some() => {
                    return Some(self.last(&Refusal::stopping()));
                }
                stopping = draining(&mut self.phases), if end_at.is_none() => {
                    self.end_at = Some(stopping);
                    continue;
                }
                () = self.place.concerned() => {}
                () = sleep_until(self.idle_at) => {}
            }
            if let Some(turn) = self.news().await {
                return Some(turn);
            }
            if Instant::now() >= self.idle_at {
                // Silence, because what is known may be old: the receiver sees its age.
                self.idle_at = idle_at();
            }
        }
    }
}

/// Waits until the process stops; when a stream that begins to wait now is to end.
pub async fn draining(phases: &mut watch::Receiver<Phase>) -> Instant {
    let phase = phases.wait_for(|phase| matches!(phase, Phase::Draining(_)));
    let by = match phase.await.as_deref() {
        Ok(Phase::Draining(by)) => *by,
        // The process is gone already.
        _ => return Instant::now(),
    };
    let now = Instant::now();
    let within = by.saturating_duration_since(now);
    now + within.mul_f64(rand::rng().random_range(0.0..=1.0))
}

/// Some 30 s from now, not the same for two streams that began together.
fn idle_at() -> Instant {
    Instant::now() + IDLE.mul_f64(rand::rng().random_range(0.8..=1.0))
}
