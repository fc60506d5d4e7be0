//! The pod's list ready-made: one stream from the controller, through the API server.
//!
//! ```text
//!  request ══ HTTP ══► core: stream ─► held ─► assemble ─► publish
//!  (reconnect, wait)        │           └────► directory (names for the log)
//!                       problem              cache ─► next start
//!  who: whose is an address that no list holds? ◄── flow log
//! ```
//!
//! `Follower` asks, waits, asks again, and puts each complete state in force. Until the first one
//! (or one that was kept) the pod is closed; after that the last one stays in force however long the
//! controller or the API server is away, and its age is told. Not here: what lines mean
//! ([`sidewall::lists::stream`]), what lists mean.

pub mod cache;
pub mod who;

mod follow;
mod problem;
mod request;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use sidewall::lists::kept::Owner;
use sidewall_watch::backoff::{self, Chance};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, interval_at};

use self::cache::Cache;
use self::follow::Follower;
pub use self::problem::Resync;
use crate::watch::{Outlets, REMIND};

/// How patient the stream is.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// For the head of the answer. The API server gives up on the controller after 60 s.
    answer: Duration,
    /// For the next bookmark. An idle stream has one every 30 s, so this is two that did not come.
    bookmark: Duration,
    /// How long of its range each wait for the next try is.
    chance: Chance,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(60),
            bookmark: Duration::from_secs(90),
            chance: backoff::chance,
        }
    }
}

/// Follows the pod's list until it is dropped. With a cache, begins with the list that was kept.
pub async fn run(client: Client, outlets: Outlets, uid: Option<String>, cache: Option<Cache>) {
    with(client, outlets, uid, cache, Patience::default()).await;
}

async fn with(
    client: Client,
    outlets: Outlets,
    uid: Option<String>,
    cache: Option<Cache>,
    patience: Patience,
) {
    let (current, to_keep) = watch::channel(None);
    let own_changed = Arc::new(Notify::new());
    let mut follower = Follower::new(client.clone(), outlets.clone(), patience, current);
    follower.tell_own(Arc::clone(&own_changed));
    let keep = cache.map(|cache| {
        let owner = owner(&outlets, uid);
        let mut found = cache.load(&owner);
        for refused in &found.refused {
            tracing::warn!("the list that was kept is not used: {refused}");
        }
        if let Some(kept) = found.kept.take() {
            follower.restore(kept);
        }
        let cache = Arc::new(cache);
        follower.keep_in(Arc::clone(&cache));
        cache.keep(owner, found, to_keep, Arc::clone(&outlets.metrics))
    });
    let keep = async {
        match keep {
            Some(keep) => keep.await,
            None => std::future::pending().await,
        }
    };
    let remind = async {
        let mut reminder = interval_at(Instant::now() + REMIND, REMIND);
        loop {
            reminder.tick().await;
            outlets.remind();
        }
    };
    let own = who::follow_own(client, &outlets, own_changed);
    tokio::select! {
        () = follower.run() => {}
        () = keep => {}
        () = own => {}
        () = remind => {}
    }
}

/// Whose list may be used: the pod that is guarded, as it is now.
fn owner(outlets: &Outlets, uid: Option<String>) -> Owner {
    let mut addresses = outlets.addresses.clone();
    addresses.sort_unstable();
    Owner {
        pod: outlets.pod.clone(),
        uid,
        addresses,
    }
}
