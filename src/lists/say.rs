//! The lines of a stream at their barest: what [`super::stream`] reads, and nothing else.
//!
//! For senders in tests, and whoever plays one. The controller's own lines have the whole of a
//! Kubernetes object's metadata.

use serde::Serialize;
use serde_json::{Value, json};

use super::stream::{DIGEST_ANNOTATION, GROUP, VERSION};
use super::wire::{PeerSlice, PodList, SliceName};
use crate::policy::allow_list::ObjectRef;

/// A slice is there.
#[must_use]
pub fn slice(name: &SliceName, slice: &PeerSlice) -> Vec<u8> {
    line("ADDED", "PeerSlice", &json!({"name": name}), Some(slice))
}

/// A slice is gone.
#[must_use]
pub fn slice_gone(name: &SliceName) -> Vec<u8> {
    line("DELETED", "PeerSlice", &json!({"name": name}), None::<()>)
}

/// The list is like this.
#[must_use]
pub fn list(list: &PodList) -> Vec<u8> {
    line("MODIFIED", "AllowList", &metadata(&list.pod), Some(list))
}

/// There is no list any more.
#[must_use]
pub fn list_gone(pod: &ObjectRef) -> Vec<u8> {
    line("DELETED", "AllowList", &metadata(pod), None::<()>)
}

/// The batch is complete: this is where one goes on from, and what the receiver holds by now.
#[must_use]
pub fn bookmark(version: &str, digest: &str) -> Vec<u8> {
    let metadata = json!({"resourceVersion": version, "annotations": {DIGEST_ANNOTATION: digest}});
    line("BOOKMARK", "AllowList", &metadata, None::<()>)
}

/// The stream ends.
#[must_use]
pub fn end(code: u16, reason: &str, message: &str) -> Vec<u8> {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": message,
    });
    with_end(json!({"type": "ERROR", "object": status}).to_string())
}

fn metadata(pod: &ObjectRef) -> Value {
    json!({"namespace": pod.namespace, "name": pod.name})
}

fn line(what: &str, kind: &str, metadata: &Value, spec: Option<impl Serialize>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Line<'a, T> {
        r#type: &'a str,
        object: Object<'a, T>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Object<'a, T> {
        api_version: String,
        kind: &'a str,
        metadata: &'a Value,
        #[serde(skip_serializing_if = "Option::is_none")]
        spec: Option<T>,
    }
    let line = Line {
        r#type: what,
        object: Object {
            api_version: format!("{GROUP}/{VERSION}"),
            kind,
            metadata,
            spec,
        },
    };
    // Into memory, and without maps that have other keys than strings, this cannot fail.
    with_end(serde_json::to_string(&line).unwrap_or_default())
}

fn with_end(mut line: String) -> Vec<u8> {
    line.push('\n');
    line.into_bytes()
}
