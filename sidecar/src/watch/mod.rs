//! Where policies come from: an API server, or a directory of manifests.
//!
//! ```text
//! reflector ×5 ──┐  list + watch of one kind; back-off, 410, paging
//! (connector,    ├─► index ──► publish   one owner; ready after the first full sync
//!  client)       │     └─────► directory, metrics, status
//! manifests ─────┘  all files or none
//! ```
//!
//! Nothing here judges a packet, and nothing here ever opens the pod: until the first full sync
//! there is no policy, and without one the engine blocks.

pub mod client;
pub mod connector;
pub mod status;

mod index;
mod manifests;
pub(crate) mod mode;
mod outlets;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::time::Duration;

use kube::Client;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until};

use sidewall_watch::item::{Item, Source};
use sidewall_watch::pace::Pace;
use sidewall_watch::reflector::{self, Message, Patience};
pub use sidewall_watch::{kind, problem, slim};

use self::index::Index;
use self::kind::Kind;
pub use self::manifests::manifests;
pub use self::outlets::Outlets;

/// Objects in one page of a list. A page is parsed from one buffer: 100 pods of 10 KB are 1 MB for
/// a moment, where client-go's 500 would be 5 MB in every pod of the cluster.
const PAGE: u32 = 100;

/// Events between the reflectors and the index. A full channel only makes a reflector wait.
const EVENTS: usize = 256;

/// What has not healed is told again this often.
pub(crate) const REMIND: Duration = Duration::from_secs(60);

/// What the metrics call the stream of the pod's own list, beside the kinds that are watched.
pub(crate) const LISTS: &str = "allowlists";

/// Watches an API server until it is dropped.
pub async fn cluster(client: Client, outlets: Outlets) {
    run(client, outlets, Patience::default(), Pace::default()).await;
}

async fn run(client: Client, outlets: Outlets, patience: Patience, pace: Pace) {
    let (events, incoming) = mpsc::channel(EVENTS);
    let namespace = outlets.pod.namespace.clone();
    let mut reflectors = JoinSet::new();
    let source = Source {
        client,
        events,
        patience,
        page: PAGE,
    };
    for kind in Kind::DECIDING {
        // Policies of other namespaces say nothing of this pod.
        let own = (kind == Kind::NetworkPolicies).then_some(namespace.as_str());
        source.follow(kind, own, &mut reflectors);
    }
    // The channel closes when the last reflector ends.
    drop(source);
    own(outlets, incoming, pace).await;
}

/// Owns the index: gathers changes for a moment, then publishes.
async fn own(outlets: Outlets, mut incoming: mpsc::Receiver<Message<Item>>, pace: Pace) {
    let mut index = Index::new(outlets.clone());
    let mut reminder = interval(REMIND);
    loop {
        let due = index
            .dirty_since()
            .map(|since| pace.due(since, Instant::now()));
        tokio::select! {
            // Changes first: what is due is published with what has come in, up to the limit that
            // `due` keeps.
            biased;
            () = async { sleep_until(due.unwrap_or_else(Instant::now)).await }, if due.is_some() => {
                index.publish();
            }
            message = incoming.recv() => match message {
                Some(message) => index.take(message),
                None => return,
            },
            _ = reminder.tick() => outlets.remind(),
        }
    }
}
