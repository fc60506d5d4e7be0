//! What must be undone when the sidecar is taken out, written down in an annotation.
//!
//! Paths are JSON pointers in which an item of a list goes by its name: positions change when
//! others insert something, names do not.

use serde::{Deserialize, Serialize};

use super::STATUS;
use crate::inject::tree::{Map, Node};

/// The annotation's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Status {
    /// The configuration that was written.
    pub(super) hash: String,
    /// Who wrote it.
    version: String,
    #[serde(flatten)]
    pub(super) undo: Undo,
}

/// What was made, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Undo {
    /// Lists and maps that were not there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    made: Vec<String>,
    /// Lists and maps that were null.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    was_null: Vec<String>,
    /// Lists of dropped capabilities that got NET_RAW.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    net_raw: Vec<String>,
}

impl Status {
    pub(super) fn new(hash: String, undo: Undo) -> Self {
        Self {
            hash,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            undo,
        }
    }

    /// The status of a pod that was injected.
    pub(super) fn of(pod: &Node) -> Option<Self> {
        let text = pod.at(&["metadata", "annotations", STATUS])?.as_str()?;
        serde_json::from_str(text).ok()
    }

    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("strings and lists of strings")
    }
}

impl Undo {
    /// The list at a path, made where there is none.
    pub(super) fn list<'a>(
        &mut self,
        root: &'a mut Node,
        path: &str,
    ) -> Result<&'a mut Vec<Node>, Vec<String>> {
        let node = self.make(root, path, || Node::List(Vec::new()))?;
        node.as_list_mut()
            .ok_or_else(|| vec![format!("{path} is not a list")])
    }

    /// The map at a path, made where there is none.
    pub(super) fn map<'a>(
        &mut self,
        root: &'a mut Node,
        path: &str,
    ) -> Result<&'a mut Map, Vec<String>> {
        let node = self.make(root, path, Node::default_map)?;
        node.as_map_mut()
            .ok_or_else(|| vec![format!("{path} is not a map")])
    }

    /// Remembers that the list of dropped capabilities at this path got NET_RAW.
    pub(super) fn got_net_raw(&mut self, path: String) {
        self.net_raw.push(path);
    }

    /// Undoes everything, last first.
    pub(super) fn apply(&self, root: &mut Node) {
        for path in &self.net_raw {
            if let Some(Node::List(dropped)) = find(root, path) {
                dropped.retain(|capability| capability.as_str() != Some("NET_RAW"));
            }
        }
        for path in self.made.iter().rev() {
            let Some((parent, key)) = path.rsplit_once('/') else {
                continue;
            };
            if let Some(Node::Map(parent)) = find(root, parent)
                && parent.get(key).is_some_and(Node::is_empty)
            {
                parent.remove(key);
            }
        }
        // A null may have got children, which are gone by now; nothing that was made has a null.
        for path in self.was_null.iter().rev() {
            match find(root, path) {
                Some(node) if node.is_empty() => *node = Node::Null,
                _ => {}
            }
        }
    }

    /// Walks down a path and makes what is missing: maps on the way, `last` at its end.
    fn make<'a>(
        &mut self,
        root: &'a mut Node,
        path: &str,
        last: fn() -> Node,
    ) -> Result<&'a mut Node, Vec<String>> {
        let mut node = root;
        let mut walked = String::new();
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        for (depth, segment) in segments.iter().enumerate() {
            let before = walked.clone();
            walked = format!("{walked}/{segment}");
            if matches!(node, Node::List(_)) {
                node = named(node, segment)
                    .ok_or_else(|| vec![format!("{before} has nothing named {segment}")])?;
                continue;
            }
            let fresh = if depth + 1 == segments.len() {
                last
            } else {
                Node::default_map
            };
            let Some(map) = node.as_map_mut() else {
                return Err(vec![format!("{before} is not a map")]);
            };
            match map.get(segment) {
                None => {
                    self.made.push(walked.clone());
                    map.set(segment, fresh());
                }
                Some(Node::Null) => {
                    self.was_null.push(walked.clone());
                    map.set(segment, fresh());
                }
                Some(_) => {}
            }
            node = map.get_mut(segment).expect("it was there or has been set");
        }
        Ok(node)
    }
}

fn find<'a>(root: &'a mut Node, path: &str) -> Option<&'a mut Node> {
    path.split('/')
        .skip(1)
        .try_fold(root, |node, segment| match node {
            Node::Map(map) => map.get_mut(segment),
            Node::List(_) => named(node, segment),
            _ => None,
        })
}

fn named<'a>(list: &'a mut Node, name: &str) -> Option<&'a mut Node> {
    let mut items = list.as_list_mut()?.iter_mut();
    items.find(|item| item.get("name").and_then(Node::as_str) == Some(name))
}
