//! Misbehaviour on demand: what a client must survive, switched on by a test and off again.
//!
//! A fault is asked for per resource and verb before anything else happens to a request. Cutting
//! watches and dropping history act at once. Nothing here happens by itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::errors::ApiError;
use super::store::Store;

/// What is to happen to a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// 410 Gone, as after a compaction.
    Gone,
    /// 403 Forbidden, in the words of RBAC.
    Forbidden,
    /// 429 with `Retry-After`.
    TooManyRequests {
        /// Seconds the client is asked to wait.
        retry_after: u32,
    },
    /// 500 Internal Server Error.
    Internal,
    /// Accepted, and never answered.
    Stall,
    /// Answered after a while.
    Delay(Duration),
}

/// The faults in force.
#[derive(Debug)]
pub struct Faults {
    store: Arc<Store>,
    plans: Mutex<Vec<Plan>>,
    /// Counts up whenever every watch is to end.
    cuts: watch::Sender<u64>,
    offline: watch::Sender<bool>,
}

#[derive(Debug)]
struct Plan {
    resource: String,
    verb: Option<String>,
    fault: Fault,
    left: Option<u32>,
}

impl Faults {
    pub(crate) fn new(store: Arc<Store>) -> Faults {
        Faults {
            store,
            plans: Mutex::default(),
            cuts: watch::Sender::new(0),
            offline: watch::Sender::new(false),
        }
    }

    /// From now on requests for `resource` (e.g. `pods`; `*` for all) meet this fault; with `verb`
    /// only those (`list`, `watch`, `get`, `create` …), with `times` only so many.
    pub fn add(&self, resource: &str, verb: Option<&str>, fault: Fault, times: Option<u32>) {
        self.plans().push(Plan {
            resource: resource.to_owned(),
            verb: verb.map(str::to_owned),
            fault,
            left: times,
        });
    }

    /// Ends all faults; connections that were cut stay cut.
    pub fn clear(&self) {
        self.plans().clear();
        self.offline.send_replace(false);
    }

    /// Cuts every open watch in the middle: the connection breaks, nothing is said.
    pub fn cut_watches(&self) {
        self.cuts.send_modify(|n| *n += 1);
    }

    /// Forgets the history: who watches or lists from an older version is told `Expired`.
    pub fn compact(&self) {
        self.store.core().compact();
    }

    /// Breaks all connections and refuses new ones until told otherwise: the API server is away.
    pub fn offline(&self, away: bool) {
        self.offline.send_replace(away);
    }

    /// The fault that this request meets, counted.
    pub(crate) fn meet(&self, resource: &str, verb: &str) -> Option<Fault> {
        let mut plans = self.plans();
        let at = plans.iter().position(|p| {
            (p.resource == "*" || p.resource == resource)
                && p.verb.as_deref().is_none_or(|v| v == verb)
        })?;
        let fault = plans[at].fault.clone();
        if let Some(left) = &mut plans[at].left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                plans.remove(at);
            }
        }
        Some(fault)
    }

    pub(crate) fn cuts(&self) -> watch::Receiver<u64> {
        self.cuts.subscribe()
    }

    pub(crate) fn away(&self) -> watch::Receiver<bool> {
        self.offline.subscribe()
    }

    fn plans(&self) -> MutexGuard<'_, Vec<Plan>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fault {
    /// Plays the fault; `forbidden` is the refusal that fits the request.
    pub(crate) async fn play(self, forbidden: impl FnOnce() -> ApiError) -> Result<(), ApiError> {
        match self {
            Fault::Gone => Err(ApiError::expired("too old resource version: injected")),
            Fault::Forbidden => Err(forbidden()),
            Fault::TooManyRequests { retry_after } => Err(ApiError::too_many_requests(retry_after)),
            Fault::Internal => Err(ApiError::internal("injected")),
            Fault::Stall => std::future::pending().await,
            Fault::Delay(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
        }
    }
}
