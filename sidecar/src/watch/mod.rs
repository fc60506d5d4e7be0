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
pub mod kind;
pub mod problem;
pub mod slim;
pub mod status;

mod backoff;
mod index;
mod manifests;
mod mode;
mod reflector;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use kube::api::{Api, Resource};
use serde::de::DeserializeOwned;
use sidewall::policy::cluster::objects::Object;
use sidewall::policy::convert::AnyPolicy;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until};

pub use self::index::Outlets;
use self::index::{Index, Item, Pace};
use self::kind::Kind;
pub use self::manifests::manifests;
use self::reflector::{Message, Patience, Reflector};
use self::slim::{
    MODE_ANNOTATION, SlimEndpointSlice, SlimNamespace, SlimPod, SlimPolicy, SlimService,
};

/// Events between the reflectors and the index. A full channel only makes a reflector wait.
const EVENTS: usize = 256;

/// What has not healed is told again this often.
const REMIND: Duration = Duration::from_secs(60);

/// Watches an API server until it is dropped.
pub async fn cluster(client: Client, outlets: Outlets) {
    run(client, outlets, Patience::default(), Pace::default()).await;
}

async fn run(client: Client, outlets: Outlets, patience: Patience, pace: Pace) {
    let (events, incoming) = mpsc::channel(EVENTS);
    let namespace = outlets.pod.namespace.clone();
    let mut reflectors = JoinSet::new();
    let start = Start {
        events,
        patience,
        reflectors: &mut reflectors,
    };
    start
        .watch(
            Kind::NetworkPolicies,
            Api::<SlimPolicy>::namespaced(client.clone(), &namespace),
            Some(namespace),
            policy,
        )
        .watch(
            Kind::Namespaces,
            Api::all(client.clone()),
            None,
            |slim: SlimNamespace| item(&Namespace::from(slim)),
        )
        .watch(
            Kind::Pods,
            Api::all(client.clone()),
            None,
            |slim: SlimPod| item(&Pod::from(slim)),
        )
        .watch(
            Kind::Services,
            Api::all(client.clone()),
            None,
            |slim: SlimService| item(&Service::from(slim)),
        )
        .watch(
            Kind::EndpointSlices,
            Api::all(client),
            None,
            |slim: SlimEndpointSlice| item(&EndpointSlice::from(slim)),
        )
        .done();
    own(Index::new(outlets), incoming, pace).await;
}

/// Starts reflectors, each with its own end of the channel.
struct Start<'a> {
    events: mpsc::Sender<Message<Item>>,
    patience: Patience,
    reflectors: &'a mut JoinSet<()>,
}

impl Start<'_> {
    fn watch<K>(
        self,
        kind: Kind,
        api: Api<K>,
        namespace: Option<String>,
        convert: fn(K) -> Item,
    ) -> Self
    where
        K: Resource<DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned
            + Send
            + Sync
            + 'static,
    {
        let reflector = Reflector {
            api,
            kind,
            namespace,
            convert,
            events: self.events.clone(),
            patience: self.patience,
        };
        self.reflectors.spawn(reflector.run());
        self
    }

    /// The channel closes when the last reflector ends.
    fn done(self) {}
}

/// Owns the index: gathers changes for a moment, then publishes.
async fn own(mut index: Index, mut incoming: mpsc::Receiver<Message<Item>>, pace: Pace) {
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
            _ = reminder.tick() => index.remind(),
        }
    }
}

/// An object for the index, with the mode that its annotation asks for.
fn item<K>(object: &K) -> Item
where
    K: k8s_openapi::Metadata<Ty = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta>,
    for<'a> Object: From<&'a K>,
{
    let annotations = object.metadata().annotations.as_ref();
    Item {
        object: Object::from(object),
        mode: annotations.and_then(|all| all.get(MODE_ANNOTATION).cloned()),
    }
}

/// A policy goes to the core as the server sent it, so that one which the typed form would refuse
/// or shorten still isolates.
fn policy(slim: SlimPolicy) -> Item {
    let whole = serde_json::json!({"metadata": slim.metadata, "spec": slim.spec});
    Item {
        object: Object::from(AnyPolicy::from_value(&whole)),
        mode: None,
    }
}
