//! The kubelet's part: a task for every pod object, from its coming to its going.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod as PodObject;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams};
use sidewall::manifest::endpoints::is_finished;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Shared, up};
use crate::pod::Pod;

/// Every pod that has a task, by `namespace/name`.
pub(crate) type Pods = BTreeMap<String, State>;

/// How far a pod is.
#[derive(Debug, Clone)]
pub(crate) enum State {
    /// On its way.
    Starting,
    /// All of it runs.
    Up(Pod),
    /// It has ended, as its manifest says: nothing runs.
    Ended,
    /// It will not come up, because of this.
    Failed(String),
}

struct Running {
    uid: String,
    going: CancellationToken,
    task: JoinHandle<()>,
}

/// Follows the pod objects for good.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut changes = shared.cluster.changes();
    let mut running: HashMap<String, Running> = HashMap::new();
    loop {
        reconcile(&shared, &mut running);
        if changes.changed().await.is_err() {
            return;
        }
    }
}

fn reconcile(shared: &Arc<Shared>, running: &mut HashMap<String, Running>) {
    let objects: HashMap<String, Arc<PodObject>> = shared
        .cluster
        .pods
        .state()
        .into_iter()
        .filter(|object| is_ours(shared, object))
        .map(|object| (full_name(&object), object))
        .collect();
    for (name, pod) in running.iter() {
        let object = objects
            .get(name)
            .filter(|object| object.uid().as_deref() == Some(&pod.uid));
        if object.is_none_or(|object| object.metadata.deletion_timestamp.is_some()) {
            pod.going.cancel();
        }
    }
    running.retain(|name, pod| objects.contains_key(name) || !pod.task.is_finished());
    for (name, object) in objects {
        let uid = object.uid().unwrap_or_default();
        let known = running.get(&name).is_some_and(|pod| pod.uid == uid);
        if known || object.metadata.deletion_timestamp.is_some() {
            continue;
        }
        // A pod of the same name has to be gone first.
        let before = running.remove(&name).map(|pod| pod.task);
        let going = CancellationToken::new();
        let life = live(Arc::clone(shared), object, before, going.clone());
        let task = tokio::spawn(life);
        running.insert(name, Running { uid, going, task });
    }
}

/// A pod's life.
async fn live(
    shared: Arc<Shared>,
    object: Arc<PodObject>,
    before: Option<JoinHandle<()>>,
    going: CancellationToken,
) {
    let name = full_name(&object);
    if let Some(before) = before {
        // However it ended.
        let _ = before.await;
    }
    set(&shared, &name, State::Starting);
    // Deleted meanwhile or not, it comes up first: half a pod would be harder to take down.
    let came = up::bring_up(&shared, &object).await;
    match came {
        Ok(Some(pod)) => {
            set(&shared, &name, State::Up(pod.clone()));
            going.cancelled().await;
            up::take_down(&shared, &pod).await;
        }
        Ok(None) => {
            set(&shared, &name, State::Ended);
            going.cancelled().await;
        }
        Err(error) => {
            let problem = format!("{error:#}");
            if !going.is_cancelled() {
                tracing::error!("the pod {name} does not come up: {problem}");
            }
            set(&shared, &name, State::Failed(problem));
            going.cancelled().await;
        }
    }
    shared.pods.send_modify(|pods| {
        pods.remove(&name);
    });
    finish_deletion(&shared, &object).await;
}

/// With a grace period the object stays until whoever ran it says that it is gone, as a kubelet does.
async fn finish_deletion(shared: &Shared, object: &PodObject) {
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<PodObject> = Api::namespaced(shared.client.clone(), &namespace);
    let mut params = DeleteParams::default().grace_period(0);
    params.preconditions = Some(kube::api::Preconditions {
        uid: object.uid(),
        resource_version: None,
    });
    if let Err(error) = api.delete(&object.name_any(), &params).await {
        // Not found, or another one of that name: it was gone already.
        tracing::trace!(%error, "nothing left to delete");
    }
}

/// Ours are the pods of our nodes, and those that nobody has taken yet.
fn is_ours(shared: &Shared, object: &PodObject) -> bool {
    let node = object
        .spec
        .as_ref()
        .and_then(|spec| spec.node_name.as_deref());
    let ours = node.is_none_or(|node| node.is_empty() || shared.is_our_node(node));
    let known = shared.given.get(&full_name(object));
    let ended = is_finished(object) && known.is_none_or(|given| given.ended.is_none());
    ours && !ended
}

/// `namespace/name`.
pub(crate) fn full_name(object: &PodObject) -> String {
    format!(
        "{}/{}",
        object.namespace().unwrap_or_default(),
        object.name_any()
    )
}

fn set(shared: &Shared, name: &str, state: State) {
    shared.pods.send_modify(|pods| {
        pods.insert(name.to_owned(), state);
    });
}
