//! Follows a cluster's API server: a list and a watch per kind, and a new snapshot when something
//! changed. For looking, not for enforcing: the sidecar has a stricter watch of its own.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{BoxStream, select_all};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::cluster::objects::Object;
use sidewall::policy::cluster::{Cluster, Kind};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::world::{Snapshot, Written};

/// Changes that come this soon after one another are one.
const TOGETHER: Duration = Duration::from_millis(50);

/// Something changed.
enum Change {
    Apply(Item),
    Delete(Kind, ObjectRef),
    /// A whole kind anew.
    Reset(Kind, Vec<Item>),
}

/// An object, and a policy as it is written.
struct Item {
    object: Object,
    policy: Option<Written>,
}

/// Snapshots from now on; the first when every kind has been listed. They end with the handle.
pub(crate) fn follow(client: &Client) -> (watch::Receiver<Arc<Snapshot>>, AbortOnDropHandle<()>) {
    let changes = select_all([
        changes::<core::Namespace>(client, Kind::Namespace, |_| None),
        changes::<core::Node>(client, Kind::Node, |_| None),
        changes::<core::Pod>(client, Kind::Pod, |_| None),
        changes::<core::Service>(client, Kind::Service, |_| None),
        changes::<EndpointSlice>(client, Kind::EndpointSlice, |_| None),
        changes::<NetworkPolicy>(client, Kind::NetworkPolicy, as_written),
    ]);
    let (sender, receiver) = watch::channel(Arc::default());
    let task = tokio::spawn(keep(changes, sender));
    (receiver, AbortOnDropHandle::new(task))
}

async fn keep(
    mut changes: impl futures::Stream<Item = Change> + Unpin,
    sender: watch::Sender<Arc<Snapshot>>,
) {
    let mut cluster = Cluster::default();
    let mut policies = BTreeMap::new();
    let mut version = 0;
    let mut listed = std::collections::BTreeSet::new();
    while let Some(first) = changes.next().await {
        let deadline = tokio::time::Instant::now() + TOGETHER;
        let mut next = Some(first);
        while let Some(change) = next {
            if let Change::Reset(kind, _) = &change {
                listed.insert(*kind);
            }
            take(&mut cluster, &mut policies, change);
            next = tokio::time::timeout_at(deadline, changes.next())
                .await
                .ok()
                .flatten();
        }
        if listed.len() == Kind::ALL.len() {
            version += 1;
            sender.send_replace(Arc::new(Snapshot {
                version,
                cluster: cluster.clone(),
                policies: policies.clone(),
            }));
        }
    }
}

fn take(cluster: &mut Cluster, policies: &mut BTreeMap<ObjectRef, Written>, change: Change) {
    match change {
        Change::Apply(Item { object, policy }) => {
            if let Some(policy) = policy {
                policies.insert(object.id().clone(), policy);
            }
            cluster.apply(object);
        }
        Change::Delete(kind, id) => {
            if kind == Kind::NetworkPolicy {
                policies.remove(&id);
            }
            cluster.delete(kind, &id);
        }
        Change::Reset(kind, items) => {
            if kind == Kind::NetworkPolicy {
                policies.clear();
            }
            let objects = items.into_iter().map(|Item { object, policy }| {
                if let Some(policy) = policy {
                    policies.insert(object.id().clone(), policy);
                }
                object
            });
            let objects = objects.collect();
            cluster.reset(kind, objects);
        }
    }
}

fn changes<K>(
    client: &Client,
    kind: Kind,
    policy: fn(&K) -> Option<Written>,
) -> BoxStream<'static, Change>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    for<'a> Object: From<&'a K>,
{
    let item = move |object: &K| Item {
        object: Object::from(object),
        policy: policy(object),
    };
    let mut listing = Vec::new();
    watcher(Api::<K>::all(client.clone()), watcher::Config::default())
        .default_backoff()
        .inspect_err(move |why| tracing::warn!("{kind:?}: {why}; trying again"))
        .filter_map(|event| async { event.ok() })
        .filter_map(move |event| {
            let change = match event {
                Event::Init => {
                    listing.clear();
                    None
                }
                Event::InitApply(object) => {
                    listing.push(item(&object));
                    None
                }
                Event::InitDone => Some(Change::Reset(kind, std::mem::take(&mut listing))),
                Event::Apply(object) => Some(Change::Apply(item(&object))),
                Event::Delete(object) => Some(Change::Delete(
                    kind,
                    ObjectRef {
                        namespace: object.namespace().unwrap_or_default(),
                        name: object.name_any(),
                    },
                )),
            };
            futures::future::ready(change)
        })
        .boxed()
}

/// A policy without what the server adds.
fn as_written(policy: &NetworkPolicy) -> Option<Written> {
    let mut policy = policy.clone();
    let metadata = &mut policy.metadata;
    metadata.managed_fields = None;
    metadata.resource_version = None;
    metadata.uid = None;
    metadata.creation_timestamp = None;
    metadata.generation = None;
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    metadata.annotations = metadata.annotations.take().filter(|all| !all.is_empty());
    serde_json::to_value(policy).ok().map(Written::new)
}
