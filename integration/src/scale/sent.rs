//! Bytes: what a sidecar is sent of a change here, and what it would be sent if it watched the objects
//! themselves. Lines of JSON as a watch has them, without TLS and HTTP framing, which both have.

use serde_json::{Value, json};
use sidewall::lists::catalogue::{News, Stored};

/// A line of a watch: its length in bytes.
#[must_use]
pub fn line(kind: &str, object: &Value) -> usize {
    json!({"type": kind, "object": object}).to_string().len() + 1
}

/// What a receiver is sent of its news: slices that are new and gone, its list if that changed, and the
/// bookmark behind them.
#[must_use]
pub fn news(news: &News) -> usize {
    let head = |kind: &str, metadata: Value| json!({"apiVersion": "allowlists.sidewall.dev/v1alpha1", "kind": kind, "metadata": metadata});
    let version = json!("1234567890123456");
    let slice = |stored: &Stored| {
        let metadata = json!({"name": stored.name, "resourceVersion": version, "labels": {"allowlists.sidewall.dev/set": stored.slice.set}});
        let mut object = head("PeerSlice", metadata);
        object["spec"] = serde_json::to_value(&stored.slice).unwrap_or_default();
        json!({"type": "ADDED", "object": object})
            .to_string()
            .into_bytes()
    };
    let added: usize = news
        .added
        .iter()
        .map(|stored| stored.text(slice).len() + 1)
        .sum();
    let removed = news.removed.iter().map(|name| {
        line(
            "DELETED",
            &head(
                "PeerSlice",
                json!({"name": name, "resourceVersion": version}),
            ),
        )
    });
    let list = news.list.iter().map(|list| {
        let mut object = head("AllowList", json!({"name": list.pod.name, "namespace": list.pod.namespace, "resourceVersion": version}));
        object["spec"] = serde_json::to_value(list).unwrap_or_default();
        line("MODIFIED", &object)
    });
    let annotations = json!({"allowlists.sidewall.dev/digest": news.digest});
    let bookmark = head(
        "AllowList",
        json!({"resourceVersion": version, "annotations": annotations}),
    );
    added + removed.sum::<usize>() + list.sum::<usize>() + line("BOOKMARK", &bookmark)
}
