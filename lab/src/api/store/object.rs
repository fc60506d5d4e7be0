//! One stored object and one change of it. Both are immutable and shared; their JSON is written once,
//! when the first client asks for it, and then handed to every other client as the same bytes.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value;

/// Where an object lives within its kind; the namespace is empty for objects of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

/// An object at one resource version.
#[derive(Debug)]
pub(crate) struct Object {
    pub value: Value,
    pub version: u64,
    bytes: OnceLock<Bytes>,
}

impl Object {
    /// Stamps the version into the object's metadata.
    pub(crate) fn at(mut value: Value, version: u64) -> Arc<Object> {
        value["metadata"]["resourceVersion"] = version.to_string().into();
        Arc::new(Object {
            value,
            version,
            bytes: OnceLock::new(),
        })
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        self.bytes
            .get_or_init(|| Bytes::from(self.value.to_string()))
    }

    pub(crate) fn namespace(&self) -> &str {
        self.value["metadata"]["namespace"]
            .as_str()
            .unwrap_or_default()
    }

    pub(crate) fn name(&self) -> &str {
        self.value["metadata"]["name"].as_str().unwrap_or_default()
    }
}

/// What happened to an object, in the words of a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    Modified,
    Deleted,
}

impl Change {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Change::Added => "ADDED",
            Change::Modified => "MODIFIED",
            Change::Deleted => "DELETED",
        }
    }
}

/// A change, as the history keeps it.
#[derive(Debug)]
pub(crate) struct Event {
    pub change: Change,
    /// The object after the change; for a deletion its last state, at the version of the deletion.
    pub object: Arc<Object>,
    pub previous: Option<Arc<Object>>,
    line: OnceLock<Bytes>,
}

impl Event {
    pub(crate) fn new(
        change: Change,
        object: Arc<Object>,
        previous: Option<Arc<Object>>,
    ) -> Arc<Event> {
        Arc::new(Event {
            change,
            object,
            previous,
            line: OnceLock::new(),
        })
    }

    pub(crate) fn version(&self) -> u64 {
        self.object.version
    }

    /// The event as one line of a watch response.
    pub(crate) fn line(&self) -> Bytes {
        self.line
            .get_or_init(|| watch_line(self.change.word(), self.object.bytes()))
            .clone()
    }
}

/// `{"type":…,"object":…}` and a newline.
pub(crate) fn watch_line(word: &str, object: &[u8]) -> Bytes {
    let mut line = Vec::with_capacity(object.len() + word.len() + 24);
    line.extend_from_slice(b"{\"type\":\"");
    line.extend_from_slice(word.as_bytes());
    line.extend_from_slice(b"\",\"object\":");
    line.extend_from_slice(object);
    line.extend_from_slice(b"}\n");
    Bytes::from(line)
}
