//! Where flow lines arrive: the last ones are kept, all are added up to edges and counted for the
//! policies that decided, and every open stream is told, five times a second.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use serde::Serialize;
use sidewall::policy::allow_list::ObjectRef;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::answers::Predictor;
use super::edges::{Edge, Edges, Verdict};
use super::line::Row;
use super::world::Snapshot;
use crate::flows::Entry;

/// Rows kept for those who come later, and for the export: some 30 MB at the worst.
const ROWS: usize = 10_000;
/// How often streams are told: often enough to look live, rarely enough to draw in between.
const BEAT: Duration = Duration::from_millis(200);
/// How long lines wait for the first list of the cluster, which says whose their addresses are.
const FIRST_LIST: Duration = Duration::from_secs(10);
/// Lines taken in before others get their turn.
const AT_ONCE: usize = 512;
/// Messages that a slow stream may lag behind.
const LAG: usize = 64;

/// What streams are told.
#[derive(Debug, Clone)]
pub(super) enum Message {
    /// The cluster changed; its version.
    State(u64),
    /// Edges that changed.
    Edges(Arc<Vec<Edge>>),
    /// New rows.
    Rows(Arc<Vec<Arc<Row>>>),
    /// How often each policy decided.
    Hits(Arc<Vec<Hits>>),
}

/// How often a policy allowed and blocked.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Hits {
    pub(super) id: String,
    pub(super) allowed: u64,
    pub(super) blocked: u64,
}

/// The hub. Clones share it.
#[derive(Clone)]
pub(super) struct Hub {
    kept: Arc<Mutex<Kept>>,
    sender: broadcast::Sender<Message>,
}

#[derive(Default)]
struct Kept {
    rows: VecDeque<Arc<Row>>,
    edges: Edges,
    hits: BTreeMap<ObjectRef, (u64, u64)>,
    hits_changed: bool,
    next: u64,
}

/// What a stream begins with.
pub(super) struct Beginning {
    pub(super) edges: Vec<Edge>,
    pub(super) rows: Vec<Arc<Row>>,
    pub(super) messages: broadcast::Receiver<Message>,
}

/// Starts to take lines in.
pub(super) fn start(
    snapshot: watch::Receiver<Arc<Snapshot>>,
    lines: BoxStream<'static, Entry>,
) -> (Hub, AbortOnDropHandle<()>) {
    let hub = Hub {
        kept: Arc::default(),
        sender: broadcast::channel(LAG).0,
    };
    let worker = tokio::spawn(hub.clone().work(snapshot, lines));
    (hub, AbortOnDropHandle::new(worker))
}

impl Hub {
    /// Everything so far, and what is to come, without a gap between them.
    pub(super) fn begin(&self) -> Beginning {
        let kept = self.kept();
        Beginning {
            edges: kept.edges.all(),
            rows: kept.rows.iter().cloned().collect(),
            messages: self.sender.subscribe(),
        }
    }

    /// The kept rows, oldest first.
    pub(super) fn rows(&self) -> Vec<Arc<Row>> {
        self.kept().rows.iter().cloned().collect()
    }

    /// Every edge as it is now.
    pub(super) fn edges(&self) -> Vec<Edge> {
        self.kept().edges.all()
    }

    /// How often a policy allowed and blocked.
    pub(super) fn hits(&self, policy: &ObjectRef) -> (u64, u64) {
        self.kept().hits.get(policy).copied().unwrap_or_default()
    }

    /// Forgets edges and counts, for a story that starts anew. The rows stay.
    pub(super) fn forget(&self) {
        let mut kept = self.kept();
        kept.edges.clear();
        kept.hits.clear();
    }

    async fn work(
        self,
        mut snapshot: watch::Receiver<Arc<Snapshot>>,
        lines: BoxStream<'static, Entry>,
    ) {
        let listed = snapshot.wait_for(|now| now.version > 0);
        if timeout(FIRST_LIST, listed).await.is_err() {
            tracing::warn!("the cluster is not listed yet; addresses in flows stay nameless");
        }
        // Whoever looks already has to hear of it.
        snapshot.mark_changed();
        let began = Instant::now();
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut lines = lines.ready_chunks(AT_ONCE).fuse();
        let mut new = Vec::new();
        let mut second = 0;
        loop {
            tokio::select! {
                Some(chunk) = lines.next() => {
                    let now = Arc::clone(&snapshot.borrow());
                    self.take(chunk, &now, second, &mut new);
                }
                // An error: nothing will change any more, but flows may still come.
                Ok(()) = snapshot.changed() => {
                    let now = Arc::clone(&snapshot.borrow_and_update());
                    let mut predictor = Predictor::new(&now.cluster);
                    self.kept().edges.reconsider(|key, from, to| predictor.ask(key, from, to));
                    self.tell(Message::State(now.version));
                }
                _ = beat.tick() => {
                    let passed = began.elapsed().as_secs();
                    if passed != second {
                        second = passed;
                        self.kept().edges.tick(second);
                    }
                    self.flush(&mut new);
                }
            }
        }
    }

    fn take(&self, chunk: Vec<Entry>, now: &Snapshot, second: u64, new: &mut Vec<Arc<Row>>) {
        let mut kept = self.kept();
        for entry in chunk {
            let Some(row) = Row::new(kept.next, entry, &now.cluster) else {
                continue;
            };
            kept.next += 1;
            kept.edges.add(&row, second);
            if !row.end {
                kept.count(&row);
            }
            let row = Arc::new(row);
            if kept.rows.len() == ROWS {
                kept.rows.pop_front();
            }
            kept.rows.push_back(Arc::clone(&row));
            new.push(row);
        }
    }

    fn flush(&self, new: &mut Vec<Arc<Row>>) {
        let (edges, hits) = {
            let mut kept = self.kept();
            (kept.edges.changed(), kept.changed_hits())
        };
        // Edges first: a row names the edge on which its packet is to be seen.
        if !edges.is_empty() {
            self.tell(Message::Edges(Arc::new(edges)));
        }
        if !new.is_empty() {
            self.tell(Message::Rows(Arc::new(std::mem::take(new))));
        }
        if !hits.is_empty() {
            self.tell(Message::Hits(Arc::new(hits)));
        }
    }

    fn tell(&self, message: Message) {
        // Nobody looking is no mistake.
        let _ = self.sender.send(message);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn count(&mut self, row: &Row) {
        for policy in &row.policies {
            let (allowed, blocked) = self.hits.entry(policy.clone()).or_default();
            match row.verdict {
                Verdict::Allowed => *allowed += row.flows,
                Verdict::Blocked | Verdict::Audit => *blocked += row.flows,
            }
            self.hits_changed = true;
        }
    }

    fn changed_hits(&mut self) -> Vec<Hits> {
        if !std::mem::take(&mut self.hits_changed) {
            return Vec::new();
        }
        let hits = self.hits.iter().map(|(id, (allowed, blocked))| Hits {
            id: id.to_string(),
            allowed: *allowed,
            blocked: *blocked,
        });
        hits.collect()
    }
}
