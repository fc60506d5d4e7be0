//! Tells the owner of a pod that it stays unguarded, or is refused: an Event, seen by
//! `kubectl describe` and `kubectl events`.
//!
//! The pod itself does not exist yet, so its owner is told: the ReplicaSet, the Job. Writing
//! Events must never slow down a review; when too many wait, they are counted and left out.

use crate::why::why;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::core::ObjectMeta;
use kube::runtime::events::{Event, EventType, Recorder};
use tokio::sync::mpsc;

/// Events that may wait. A rollout of a large Deployment is some hundred pods.
const WAITING: usize = 256;

/// The longest note (events.k8s.io/v1: 1 kB).
const LONGEST_NOTE: usize = 1024;

/// What is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Telling {
    /// Who is told.
    pub regarding: ObjectReference,
    /// In one word.
    pub reason: &'static str,
    /// In a sentence.
    pub note: String,
}

/// Where tellings are left.
#[derive(Debug, Clone)]
pub struct Events(mpsc::Sender<Telling>);

impl Events {
    /// A queue: its end is handed to [`write()`].
    #[must_use]
    pub fn queue() -> (Self, mpsc::Receiver<Telling>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), receiver)
    }

    /// Leaves one to be written, or counts it as lost.
    pub fn tell(&self, telling: Telling) {
        if self.0.try_send(telling).is_err() {
            crate::metrics::event_lost();
        }
    }
}

/// Writes what was left, for as long as it is polled.
pub async fn write(recorder: Recorder, mut queue: mpsc::Receiver<Telling>) {
    while let Some(telling) = queue.recv().await {
        let event = Event {
            type_: EventType::Warning,
            reason: telling.reason.to_owned(),
            note: Some(super::beginning(&telling.note, LONGEST_NOTE).to_owned()),
            action: "Inject".to_owned(),
            secondary: None,
        };
        // A namespace that is being deleted takes no Events, and that is no trouble.
        if let Err(error) = recorder.publish(&event, &telling.regarding).await {
            tracing::debug!(error = why(&error), "an Event was not written");
        }
    }
}

/// Who is told about a pod: its owner, or else the pod.
#[must_use]
pub fn owner(pod: &ObjectMeta, namespace: &str) -> ObjectReference {
    let owners = pod.owner_references.as_deref().unwrap_or_default();
    let controls = |owner: &&OwnerReference| owner.controller == Some(true);
    let owner = owners.iter().find(controls).or(owners.first());
    let namespace = Some(namespace.to_owned());
    match owner {
        Some(owner) => ObjectReference {
            api_version: Some(owner.api_version.clone()),
            kind: Some(owner.kind.clone()),
            name: Some(owner.name.clone()),
            uid: Some(owner.uid.clone()),
            namespace,
            ..ObjectReference::default()
        },
        None => ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: pod.name.clone().or(pod.generate_name.clone()),
            namespace,
            ..ObjectReference::default()
        },
    }
}
