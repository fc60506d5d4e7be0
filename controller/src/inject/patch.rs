//! The difference between two trees as a JSON Patch (RFC 6902), short enough for people to read
//! in an audit log.
//!
//! A list is compared from both ends, so that an item put in front is one `add` and not a
//! replacement of every item behind it.

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, RemoveOperation, ReplaceOperation};
use serde_json::Value;

use super::tree::{Map, Node};

/// What turns one tree into the other.
#[must_use]
pub fn between(before: &Node, after: &Node) -> Patch {
    let mut patch = Patch::default();
    compare(before, after, &PointerBuf::root(), &mut patch);
    patch
}

fn compare(before: &Node, after: &Node, at: &PointerBuf, patch: &mut Patch) {
    match (before, after) {
        _ if before == after => {}
        (Node::Map(before), Node::Map(after)) => compare_maps(before, after, at, patch),
        (Node::List(before), Node::List(after)) => compare_lists(before, after, at, patch),
        _ => patch.0.push(PatchOperation::Replace(ReplaceOperation {
            path: at.clone(),
            value: value(after),
        })),
    }
}

fn compare_maps(before: &Map, after: &Map, at: &PointerBuf, patch: &mut Patch) {
    for (key, old) in before.iter() {
        match after.get(key) {
            Some(new) => compare(old, new, &at.with_trailing_token(key), patch),
            None => remove(at.with_trailing_token(key), patch),
        }
    }
    for (key, new) in after.iter() {
        if before.get(key).is_none() {
            add(at.with_trailing_token(key), new, patch);
        }
    }
}

fn compare_lists(before: &[Node], after: &[Node], at: &PointerBuf, patch: &mut Patch) {
    let same = |(a, b): &(&Node, &Node)| a == b;
    let front = before.iter().zip(after).take_while(same).count();
    let (before, after) = (&before[front..], &after[front..]);
    let back = before
        .iter()
        .rev()
        .zip(after.iter().rev())
        .take_while(same)
        .count();
    let (before, after) = (&before[..before.len() - back], &after[..after.len() - back]);
    let both = before.len().min(after.len());
    for (index, (old, new)) in before.iter().zip(after).enumerate() {
        compare(old, new, &at.with_trailing_token(front + index), patch);
    }
    // From the last to the first: removing one item moves those behind it.
    for index in (both..before.len()).rev() {
        remove(at.with_trailing_token(front + index), patch);
    }
    for (index, new) in after.iter().enumerate().skip(both) {
        add(at.with_trailing_token(front + index), new, patch);
    }
}

fn add(path: PointerBuf, node: &Node, patch: &mut Patch) {
    let value = value(node);
    patch
        .0
        .push(PatchOperation::Add(AddOperation { path, value }));
}

fn remove(path: PointerBuf, patch: &mut Patch) {
    patch
        .0
        .push(PatchOperation::Remove(RemoveOperation { path }));
}

fn value(node: &Node) -> Value {
    serde_json::to_value(node).expect("a tree has text keys only")
}
