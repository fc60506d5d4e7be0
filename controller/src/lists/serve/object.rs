//! Lists and slices as Kubernetes objects, and the lines of a watch.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use sidewall::lists::catalogue::{Revision, Stored};
use sidewall::lists::wire::{PeerSlice, PodList, SliceName};
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::selector::Labels;

use super::access::Resource;
use crate::lists::version::Epoch;
use crate::lists::{GROUP, VERSION};

/// The label of a slice that names its set.
pub const SET: &str = "allowlists.sidewall.dev/set";
/// The annotation of a bookmark that says what the receiver must hold.
pub const DIGEST: &str = "allowlists.sidewall.dev/digest";
/// The annotation of the bookmark after everything that there was at the start (KEP-3157).
pub const INITIAL_END: &str = "k8s.io/initial-events-end";

/// An object; without a `spec` it is metadata only.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Object<'a, S> {
    /// Group and version.
    pub api_version: String,
    /// Its kind.
    pub kind: &'static str,
    /// Its metadata.
    pub metadata: Metadata<'a>,
    /// What it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<&'a S>,
}

/// The metadata that objects here have.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata<'a> {
    /// The name.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub name: &'a str,
    /// The namespace, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<&'a str>,
    /// Of a list: the pod's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<&'a str>,
    /// When it last changed.
    pub resource_version: String,
    /// Of a slice: its set.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Labels,
    /// Of a bookmark.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<&'static str, &'a str>,
}

/// What happened, in the words of a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Type {
    /// It is new to the watcher.
    Added,
    /// It is another one.
    Modified,
    /// It is gone.
    Deleted,
    /// Everything up to this version was told.
    Bookmark,
}

/// A line of a watch.
#[derive(Debug, Clone, Serialize)]
pub struct Event<O> {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: Type,
    /// To what.
    pub object: O,
}

/// `group/version`.
#[must_use]
pub fn api_version() -> String {
    format!("{GROUP}/{VERSION}")
}

/// An `AllowList`.
#[must_use]
pub fn list<'a>(
    epoch: Epoch,
    pod: &'a ObjectRef,
    uid: Option<&'a str>,
    revision: Revision,
    spec: Option<&'a PodList>,
) -> Object<'a, PodList> {
    Object {
        api_version: api_version(),
        kind: Resource::AllowLists.kind(),
        metadata: Metadata {
            name: &pod.name,
            namespace: Some(&pod.namespace),
            uid: uid.filter(|uid| !uid.is_empty()),
            resource_version: epoch.version(revision).to_string(),
            ..Metadata::default()
        },
        spec,
    }
}

/// A `PeerSlice`.
#[must_use]
pub fn slice<'a>(
    epoch: Epoch,
    name: &'a SliceName,
    revision: Revision,
    spec: Option<&'a PeerSlice>,
) -> Object<'a, PeerSlice> {
    Object {
        api_version: api_version(),
        kind: Resource::PeerSlices.kind(),
        metadata: Metadata {
            name: &name.0,
            resource_version: epoch.version(revision).to_string(),
            labels: labels(name),
            ..Metadata::default()
        },
        spec,
    }
}

/// The labels of a slice.
#[must_use]
pub fn labels(name: &SliceName) -> Labels {
    Labels::from([(SET.to_owned(), name.set().to_owned())])
}

/// The line that adds a slice; made once, whoever it is sent to.
#[must_use]
pub fn added(epoch: Epoch, stored: &Stored) -> Bytes {
    let make = |stored: &Stored| {
        let object = slice(epoch, &stored.name, stored.revision, Some(&stored.slice));
        line(Type::Added, object).to_vec()
    };
    Bytes::from_owner(stored.text(make))
}

/// A line of a watch.
#[must_use]
pub fn line(kind: Type, object: impl Serialize) -> Bytes {
    let mut line = json(&Event { kind, object });
    line.push(b'\n');
    line.into()
}

/// A bookmark of this kind.
#[must_use]
pub fn bookmark(
    epoch: Epoch,
    resource: Resource,
    revision: Revision,
    annotations: BTreeMap<&'static str, &str>,
) -> Bytes {
    let object = Object::<()> {
        api_version: api_version(),
        kind: resource.kind(),
        metadata: Metadata {
            resource_version: epoch.version(revision).to_string(),
            annotations,
            ..Metadata::default()
        },
        spec: None,
    };
    line(Type::Bookmark, object)
}

/// A value as JSON. Texts, numbers, lists of them and maps by text have one, so none is lost.
#[must_use]
pub fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// The labels of a list: none. A pod's own are the pod's.
#[must_use]
pub const fn labels_of_lists() -> Labels {
    Labels::new()
}
