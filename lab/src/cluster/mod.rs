//! The cluster's objects as the API server has them now, kept up to date by watches, and what follows
//! from them: names ([`zone`]), endpoints ([`sidewall::manifest::endpoints`]), translations ([`translations`]). All of
//! that is computed, nothing is done here; the doing is in [`crate::controller`].

pub(crate) mod translations;
pub(crate) mod zone;

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::reflector::{Store, store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The objects, and a sign when they change.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) pods: Store<Pod>,
    pub(crate) services: Store<Service>,
    pub(crate) slices: Store<EndpointSlice>,
    pub(crate) namespaces: Store<Namespace>,
    changed: watch::Receiver<u64>,
    watches: Mutex<JoinSet<()>>,
}

impl Cluster {
    /// Watches, and returns when everything was seen once.
    pub(crate) async fn watch(client: &Client) -> Result<Self> {
        let (sign, changed) = watch::channel(0);
        let mut watches = JoinSet::new();
        let cluster = Self {
            pods: follow(client, &sign, &mut watches),
            services: follow(client, &sign, &mut watches),
            slices: follow(client, &sign, &mut watches),
            namespaces: follow(client, &sign, &mut watches),
            changed,
            watches: Mutex::new(watches),
        };
        cluster.pods.wait_until_ready().await.context("no pods")?;
        let services = cluster.services.wait_until_ready().await;
        services.context("no services")?;
        let slices = cluster.slices.wait_until_ready().await;
        slices.context("no endpoint slices")?;
        let namespaces = cluster.namespaces.wait_until_ready().await;
        namespaces.context("no namespaces")?;
        Ok(cluster)
    }

    /// Ends the watches: the server may go away then.
    pub(crate) async fn stop(&self) {
        let mut watches =
            std::mem::take(&mut *self.watches.lock().unwrap_or_else(PoisonError::into_inner));
        watches.shutdown().await;
    }

    /// A receiver that wakes after every change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.clone()
    }
}

/// Watches one kind for good.
fn follow<K>(client: &Client, sign: &watch::Sender<u64>, watches: &mut JoinSet<()>) -> Store<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (reader, writer) = store();
    let sign = sign.clone();
    let events = watcher(Api::<K>::all(client.clone()), watcher::Config::default())
        .default_backoff()
        .reflect(writer);
    watches.spawn(async move {
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(_) => sign.send_modify(|n| *n += 1),
                Err(error) => tracing::debug!(%error, "watch interrupted, going on"),
            }
        }
    });
    reader
}

/// Namespace and name of an object.
pub(crate) fn key<K: kube::ResourceExt>(object: &K) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// A snapshot of a store in the order of names, so that what is computed from it does not depend on
/// a hash map's order.
pub(crate) fn sorted<K>(store: &Store<K>) -> Vec<Arc<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let mut objects = store.state();
    objects.sort_by_cached_key(|object| key(object.as_ref()));
    objects
}
