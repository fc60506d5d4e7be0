//! Watches of people and programs: changes of lists or slices, from the ring of the last ones.
//!
//! An object that changed several times since the last look is told once, as it is now.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use rand::Rng as _;
use sidewall::lists::catalogue::{ListChange, Revision};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::access::{Grant, Resource, Wanted};
use super::found::{Found, Shape};
use super::lines::{Turn, Turns, response};
use super::object::{INITIAL_END, Type, bookmark, line};
use super::query::Query;
use super::refusal::Refusal;
use super::sidecar::draining;
use crate::lists::metrics::Sort;
use crate::lists::ring::What;
use crate::lists::state::{Lists, Phase, State};
use crate::lists::version::Since;

/// A watch ends after this long at least, and twice that at most, as kube-apiserver's do
/// (`--min-request-timeout`).
const LIFE: Duration = Duration::from_secs(1800);
/// Bookmarks come this often.
const BOOKMARKS: Duration = Duration::from_secs(60);

/// A watch.
pub struct Watch {
    lists: Arc<Lists>,
    wanted: Wanted,
    grant: Grant,
    query: Query,
    shape: Shape,
    since: Revision,
    start: Start,
    revisions: watch::Receiver<Revision>,
    phases: watch::Receiver<Phase>,
    /// When it ends, and how.
    end_at: (Instant, End),
    bookmark_at: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// Everything there is goes first; `told`: and then a bookmark that says so.
    Everything { told: bool },
    /// On from there.
    Done,
    /// The last word was said.
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    InTime,
    Stopping,
}

impl Watch {
    /// Begins one.
    ///
    /// # Errors
    /// 410 when it would begin too long ago; 400 when it would begin nowhere.
    pub async fn begin(
        lists: Arc<Lists>,
        wanted: Wanted,
        grant: Grant,
        query: Query,
        shape: Shape,
    ) -> Result<Response, Refusal> {
        if query.initial_events == Some(true) && !query.bookmarks {
            return Err(Refusal::bad_request(
                "sendInitialEvents: needs allowWatchBookmarks=true, since a bookmark tells their end",
            ));
        }
        let since = lists.epoch.read(query.version.as_deref())?;
        let revisions = lists.revisions();
        let now = lists.look().await.catalogue.revision();
        let (since, start) = match (since, query.initial_events) {
            (_, Some(true)) => (now, Start::Everything { told: true }),
            (Since::Start, None) => (now, Start::Everything { told: false }),
            (Since::Start, Some(false)) => (now, Start::Done),
            (Since::At(revision), _) => (revision, Start::Done),
        };
        if start == Start::Done {
            changes_since(&*lists.look().await, since)?;
        }
        let spread = rand::rng().random_range(1.0..=2.0);
        let life = query.timeout.unwrap_or_else(|| LIFE.mul_f64(spread));
        let watch = Self {
            phases: lists.phases(),
            revisions,
            end_at: (Instant::now() + life, End::InTime),
            bookmark_at: Instant::now() + BOOKMARKS,
            lists,
            wanted,
            grant,
            query,
            shape,
            since,
            start,
        };
        Ok(response(watch, Sort::Watch))
    }

    /// Everything there is; made line by line as it is taken.
    async fn everything(&mut self, told: bool) -> Turn {
        let state = self.lists.look().await;
        let found = Found::all(&state, &self.wanted, &self.query.selector);
        self.since = state.catalogue.revision();
        drop(state);
        self.start = Start::Done;
        let (epoch, mut shape) = (self.lists.epoch, self.shape.clone());
        self.shape.begun |= !found.is_empty();
        let end = told.then(|| self.bookmark(BTreeMap::from([(INITIAL_END, "true")])));
        let lines = found.into_iter();
        let lines = lines.map(move |found| shape.line(epoch, Type::Added, &found));
        Box::new(lines.chain(end))
    }

    async fn changes(&mut self) -> Option<Turn> {
        let lists = Arc::clone(&self.lists);
        let state = lists.look().await;
        if let Some(pod) = self.wanted.pod()
            && let Err(refusal) = self.grant.still_holds(&state, &pod)
        {
            drop(state);
            return Some(self.last(&refusal));
        }
        let changes = match changes_since(&state, self.since) {
            Ok(changes) => changes,
            Err(refusal) => {
                drop(state);
                return Some(self.last(&refusal));
            }
        };
        self.since = state.catalogue.revision();
        let told = changes.into_iter().filter_map(|(what, change)| {
            let found = Found::changed(&state, &what, change, self.since)?;
            let is_meant = found.is_meant(&self.wanted, &self.query.selector);
            is_meant.then_some((found, change))
        });
        let told: Vec<_> = told.collect();
        drop(state);
        let mut lines = Vec::with_capacity(told.len());
        for (found, change) in told {
            let kind = match change {
                ListChange::Added => Type::Added,
                ListChange::Modified => Type::Modified,
                ListChange::Removed => Type::Deleted,
            };
            lines.push(self.shape.line(lists.epoch, kind, &found));
        }
        (!lines.is_empty()).then(|| Box::new(lines.into_iter()) as Turn)
    }

    fn bookmark(&self, annotations: BTreeMap<&'static str, &str>) -> Bytes {
        let (epoch, resource) = (self.lists.epoch, self.wanted.resource);
        match self.shape.empty_table(epoch, self.since) {
            Some(table) => line(Type::Bookmark, table),
            None => bookmark(epoch, resource, self.since, annotations),
        }
    }

    fn last(&mut self, refusal: &Refusal) -> Turn {
        self.start = Start::Over;
        Box::new(std::iter::once(Bytes::from(refusal.event())))
    }
}

/// What changed since then, or why that cannot be told.
fn changes_since(state: &State, since: Revision) -> Result<Vec<(What, ListChange)>, Refusal> {
    let known = since <= state.catalogue.revision();
    let changes = known.then(|| state.ring.since(since)).flatten();
    changes.ok_or_else(|| {
        Refusal::expired("too much has changed since the resourceVersion: list again")
    })
}

impl Turns for Watch {
    async fn turn(&mut self) -> Option<Turn> {
        loop {
            match self.start {
                Start::Over => return None,
                Start::Everything { told } => return Some(self.everything(told).await),
                Start::Done => {}
            }
            self.revisions.borrow_and_update();
            if let Some(turn) = self.changes().await {
                return Some(turn);
            }
            let (end_at, how) = self.end_at;
            tokio::select! {
                changed = self.revisions.changed() => { changed.ok()?; }
                () = sleep_until(end_at) => match how {
                    End::InTime => return None,
                    End::Stopping => return Some(self.last(&Refusal::stopping())),
                },
                stopping = draining(&mut self.phases), if how == End::InTime => {
                    self.end_at = (stopping.min(end_at), End::Stopping);
                }
                () = sleep_until(self.bookmark_at), if self.query.bookmarks => {
                    self.bookmark_at = Instant::now() + BOOKMARKS;
                    let line = self.bookmark(BTreeMap::new());
                    return Some(Box::new(std::iter::once(line)));
                }
            }
        }
    }
}

impl Resource {
    /// Whether a change is of this kind.
    #[must_use]
    pub const fn is_of(self, what: &What) -> bool {
        matches!(
            (self, what),
            (Self::AllowLists, What::List(_)) | (Self::PeerSlices, What::Slice(_))
        )
    }
}
