//! The flow log of all sidecars as one stream. The sidecars write it, [`crate::Sidecar`] feeds it in.

use std::sync::{Arc, Mutex, PoisonError};

use futures::Stream;
use serde_json::Value;
use tokio::sync::broadcast;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::BroadcastStream;

/// Lines kept for those who ask later; about 100 MB of JSON at the worst.
const HISTORY: usize = 100_000;
/// Lines a slow reader may lag behind before it loses the oldest.
const LAG: usize = 16_384;

/// One line of a sidecar's flow log.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowLine {
    /// The pod whose sidecar wrote it, `namespace/name`.
    pub pod: Arc<str>,
    /// The line, in Hubble's flow schema.
    pub flow: Arc<Value>,
    /// When it was read from the sidecar: never earlier than the line before it of the same pod.
    pub at: jiff::Timestamp,
}

/// The flow log of all sidecars. Clones share it.
#[derive(Debug, Clone)]
pub struct Flows {
    sender: broadcast::Sender<FlowLine>,
    history: Arc<Mutex<Vec<FlowLine>>>,
}

impl Flows {
    pub(crate) fn new() -> Self {
        Self {
            sender: broadcast::channel(LAG).0,
            history: Arc::default(),
        }
    }

    pub(crate) fn push(&self, line: FlowLine) {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        if history.len() == HISTORY {
            // Half at once: one move of the rest per 50 000 lines.
            history.drain(..HISTORY / 2);
        }
        history.push(line.clone());
        // Nobody listening is no mistake. Under the lock, so that `follow` neither misses nor
        // repeats a line.
        let _ = self.sender.send(line);
    }

    /// Every line so far (the last 50 000 at least).
    #[must_use]
    pub fn history(&self) -> Vec<FlowLine> {
        self.history
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Lines from now on. A reader that is too slow loses the oldest.
    pub fn live(&self) -> impl Stream<Item = FlowLine> + Send + Unpin + use<> {
        BroadcastStream::new(self.sender.subscribe()).filter_map(Result::ok)
    }

    /// Every line so far, then those to come.
    pub fn follow(&self) -> impl Stream<Item = FlowLine> + Send + Unpin + use<> {
        let (history, live) = self.split();
        tokio_stream::iter(history).chain(live)
    }

    /// Every line so far, and those to come: none is in both, none in neither.
    pub(crate) fn split(
        &self,
    ) -> (
        Vec<FlowLine>,
        impl Stream<Item = FlowLine> + Send + Unpin + use<>,
    ) {
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let live = self.live();
        (history.clone(), live)
    }
}
