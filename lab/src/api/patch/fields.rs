//! Who owns which field: sets of paths in the `FieldsV1` form of `metadata.managedFields`, and how an
//! ordinary write changes them. Server-side apply (`apply`) is what they are for.
//!
//! A path is a list of steps as FieldsV1 writes them: `f:NAME` a field, `k:{…}` an element of a list by
//! its keys, `v:…` an element of a set. Atomic lists and maps are one path.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::api::kinds::Kind;
use crate::api::schema::{ListType, Node};
use crate::api::store::now;

/// Paths to owned fields.
pub(crate) type Set = BTreeSet<Vec<String>>;

/// One entry of `managedFields`.
#[derive(Debug, Clone)]
pub(crate) struct Manager {
    pub name: String,
    pub operation: String,
    pub api_version: String,
    pub subresource: Option<String>,
    pub time: String,
    pub fields: Set,
}

/// Metadata that is the server's own, and what every object must say anyway.
const UNOWNED: [&str; 9] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "resourceVersion",
    "uid",
];

/// Notes a create, update or patch: the writer owns what it changed, the others lose that.
pub(crate) fn track_update(
    kind: &Kind,
    old: Option<&Value>,
    new: &mut Value,
    manager: &str,
    subresource: Option<&str>,
) {
    let old_managed = old.map(|o| &o["metadata"]["managedFields"]);
    // A client may have written the list itself, as kubectl does when it moves to server-side apply.
    let given = new["metadata"]["managedFields"].take();
    let base = match old_managed {
        Some(_) if given.is_array() => given,
        Some(kept) => kept.clone(),
        None => Value::Null,
    };
    let mut managers = read(&base);
    let writable = |object: &Value| {
        let mut set = set_of(kind, object);
        // What has a status subresource is written there; the first status is the server's.
        if kind.status && subresource.is_none() {
            set.retain(|path| path.first().is_none_or(|step| step != "f:status"));
        }
        set
    };
    let (set, present) = (writable(new), set_of(kind, new));
    let before = old.map(writable).unwrap_or_default();
    let changed: Set = set
        .iter()
        .filter(|path| match old {
            Some(old) => !before.contains(*path) || value_at(old, path) != value_at(new, path),
            None => true,
        })
        .cloned()
        .collect();
    for other in &mut managers {
        other
            .fields
            .retain(|p| present.contains(p) && !changed.contains(p));
    }
    if !changed.is_empty() {
        let mine = managers.iter_mut().find(|m| {
            m.name == manager && m.operation == "Update" && m.subresource.as_deref() == subresource
        });
        match mine {
            Some(mine) => {
                mine.fields.extend(changed);
                mine.time = now();
            }
            None => managers.push(Manager {
                name: manager.to_owned(),
                operation: "Update".to_owned(),
                api_version: kind.api_version(),
                subresource: subresource.map(str::to_owned),
                time: now(),
                fields: changed,
            }),
        }
    }
    write(new, &managers);
}

/// All ownable paths of an object.
pub(crate) fn set_of(kind: &Kind, object: &Value) -> Set {
    let mut object = object.clone();
    if let Some(map) = object.as_object_mut() {
        map.remove("apiVersion");
        map.remove("kind");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in UNOWNED {
            metadata.remove(field);
        }
    }
    let mut set = Set::new();
    collect(Node::of(kind.schema), &object, &mut Vec::new(), &mut set);
    // An object without metadata of its own has no path for it.
    set.remove(&vec!["f:metadata".to_owned()]);
    set
}

fn collect(node: Node, value: &Value, path: &mut Vec<String>, set: &mut Set) {
    match value {
        Value::Object(map)
            if !node.is_atomic_map() && !map.is_empty() && (node.has_fields() || node.is_map()) =>
        {
            for (name, inner) in map {
                if let Some(field) = node.field(name) {
                    path.push(format!("f:{name}"));
                    collect(field, inner, path, set);
                    path.pop();
                }
            }
        }
        Value::Array(list) => match (node.list_type(), node.items()) {
            (ListType::Map(keys), Some(items)) => {
                for inner in list {
                    path.push(element(&keys, inner));
                    set.insert(path.clone());
                    collect(items, inner, path, set);
                    path.pop();
                }
            }
            (ListType::Set, _) => {
                for inner in list {
                    path.push(format!("v:{inner}"));
                    set.insert(path.clone());
                    path.pop();
                }
            }
            _ => {
                set.insert(path.clone());
            }
        },
        _ => {
            set.insert(path.clone());
        }
    }
}

/// The step to an element of a keyed list.
pub(crate) fn element(keys: &[String], value: &Value) -> String {
    let named: Map<String, Value> = keys
        .iter()
        .map(|k| (k.clone(), key_value(value, k)))
        .collect();
    format!("k:{}", Value::Object(named))
}

/// A key that was left out has its default; of the served kinds only the protocol has one.
pub(crate) fn key_value(value: &Value, key: &str) -> Value {
    match &value[key] {
        Value::Null if key == "protocol" => json!("TCP"),
        other => other.clone(),
    }
}

/// The value at a path. The step to an element of a list gives its presence only, since what is in it
/// has paths of its own.
pub(crate) fn value_at<'a>(object: &'a Value, path: &[String]) -> Option<&'a Value> {
    static PRESENT: Value = Value::Bool(true);
    let mut value = object;
    for (i, step) in path.iter().enumerate() {
        value = child(value, step)?;
        if i + 1 == path.len() && !step.starts_with("f:") {
            return Some(&PRESENT);
        }
    }
    Some(value)
}

fn child<'a>(value: &'a Value, step: &str) -> Option<&'a Value> {
    if let Some(name) = step.strip_prefix("f:") {
        return value.get(name);
    }
    value.as_array()?.iter().find(|v| is_element(v, step))
}

/// Is this list element the one that the step names?
pub(crate) fn is_element(value: &Value, step: &str) -> bool {
    if let Some(keys) = step.strip_prefix("k:") {
        let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
        return !keys.is_empty() && keys.iter().all(|(k, v)| key_value(value, k) == *v);
    }
    step.strip_prefix("v:")
        .and_then(|v| serde_json::from_str::<Value>(v).ok())
        .is_some_and(|v| v == *value)
}

/// Reads `managedFields`.
pub(crate) fn read(managed: &Value) -> Vec<Manager> {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    managed
        .as_array()
        .into_iter()
        .flatten()
        .filter(|entry| entry["fieldsV1"].is_object())
        .map(|entry| {
            let mut fields = Set::new();
            unfold(&entry["fieldsV1"], &mut Vec::new(), &mut fields);
            Manager {
                name: text(&entry["manager"]),
                operation: text(&entry["operation"]),
                api_version: text(&entry["apiVersion"]),
                subresource: entry["subresource"].as_str().map(str::to_owned),
                time: text(&entry["time"]),
                fields,
            }
        })
        .collect()
}

/// Writes `managedFields`; who owns nothing is left out.
pub(crate) fn write(object: &mut Value, managers: &[Manager]) {
    let entries: Vec<Value> = managers
        .iter()
        .filter(|m| !m.fields.is_empty())
        .map(|m| {
            let mut tree = json!({});
            for path in &m.fields {
                fold(&mut tree, path);
            }
            let mut entry = json!({
                "manager": m.name,
                "operation": m.operation,
                "apiVersion": m.api_version,
                "time": m.time,
                "fieldsType": "FieldsV1",
                "fieldsV1": tree,
            });
            if let Some(subresource) = &m.subresource {
                entry["subresource"] = json!(subresource);
            }
            entry
        })
        .collect();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        if entries.is_empty() {
            metadata.remove("managedFields");
        } else {
            metadata.insert("managedFields".to_owned(), Value::Array(entries));
        }
    }
}

fn fold(tree: &mut Value, path: &[String]) {
    let mut node = tree;
    for step in path {
        if node.get(step).is_none() {
            node[step] = json!({});
        }
        node = &mut node[step];
    }
    // `.` says that the element itself is owned; its fields follow beside it.
    if path.last().is_some_and(|step| !step.starts_with("f:")) {
        node["."] = json!({});
    }
}

fn unfold(tree: &Value, path: &mut Vec<String>, set: &mut Set) {
    let Some(map) = tree.as_object() else {
        return;
    };
    if map.is_empty() || map.contains_key(".") {
        set.insert(path.clone());
    }
    for (step, inner) in map.iter().filter(|(step, _)| *step != ".") {
        path.push(step.clone());
        unfold(inner, path, set);
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods() -> &'static Kind {
        Kind::by_plural("", "v1", "pods").unwrap()
    }

    #[test]
    fn paths_survive_their_written_form() {
        let pod = json!({
            "metadata": {"name": "p", "labels": {"app": "x"}, "finalizers": ["a/b"]},
            "spec": {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80}]}]}
        });
        let set = set_of(pods(), &pod);
        let port = r#"k:{"containerPort":80,"protocol":"TCP"}"#;
        let container = r#"k:{"name":"c"}"#;
        let path = |steps: &[&str]| steps.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        assert!(set.contains(&path(&[
            "f:spec",
            "f:containers",
            container,
            "f:ports",
            port
        ])));
        assert!(set.contains(&path(&["f:metadata", "f:finalizers", "v:\"a/b\""])));
        assert!(!set.contains(&path(&["f:metadata", "f:name"])));
        let mut object = json!({"metadata": {}});
        let manager = Manager {
            name: "m".into(),
            operation: "Apply".into(),
            api_version: "v1".into(),
            subresource: None,
            time: now(),
            fields: set.clone(),
        };
        write(&mut object, &[manager]);
        assert_eq!(read(&object["metadata"]["managedFields"])[0].fields, set);
    }

    #[test]
    fn a_writer_owns_what_it_changed_and_the_others_lose_it() {
        let mut first = json!({"metadata": {"labels": {"a": "1", "b": "1"}}});
        track_update(pods(), None, &mut first, "one", None);
        let mut second = first.clone();
        second["metadata"]["labels"]["a"] = json!("2");
        track_update(pods(), Some(&first), &mut second, "two", None);
        let managers = read(&second["metadata"]["managedFields"]);
        let owned = |name: &str| -> Vec<String> {
            let manager = managers.iter().find(|m| m.name == name).unwrap();
            manager.fields.iter().map(|p| p.join(".")).collect()
        };
        assert_eq!(owned("one"), ["f:metadata.f:labels.f:b"]);
        assert_eq!(owned("two"), ["f:metadata.f:labels.f:a"]);
    }
}
