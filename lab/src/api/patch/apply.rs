//! Server-side apply: the object becomes what the configuration says in every field it mentions, loses
//! what this manager once set and no longer mentions, and keeps all that others own. A field that
//! another manager owns with another value is a conflict, unless forced.

use serde_json::{Value, json};

use super::fields::{self, Manager, Set, is_element, set_of, value_at};
use crate::api::errors::ApiError;
use crate::api::kinds::Kind;
use crate::api::schema::{self, ListType, Node};
use crate::api::store::now;

/// The configuration, checked: a field that the kind does not have is refused here, as it could not
/// be owned.
pub(crate) fn typed(kind: &Kind, mut config: Value) -> Result<Value, ApiError> {
    let findings = schema::check(kind, &mut config);
    let why = match (findings.mismatch, findings.unknown.first()) {
        (Some(mismatch), _) => mismatch,
        (None, Some(path)) => format!(".{path}: field not declared in schema"),
        (None, None) => return Ok(config),
    };
    let (namespace, name) = (
        &config["metadata"]["namespace"],
        &config["metadata"]["name"],
    );
    let message = format!(
        "failed to create typed patch object ({}/{}; {}, Kind={}): {why}",
        namespace.as_str().unwrap_or_default(),
        name.as_str().unwrap_or_default(),
        kind.api_version(),
        kind.kind
    );
    Err(ApiError::bad_request(message))
}

/// The object after the apply, its `managedFields` included. `live` is what is there now.
pub(crate) fn apply(
    kind: &Kind,
    live: Option<&Value>,
    config: &Value,
    manager: &str,
    force: bool,
    subresource: Option<&str>,
) -> Result<Value, ApiError> {
    let wanted = set_of(kind, config);
    let mut managers = live
        .map(|l| fields::read(&l["metadata"]["managedFields"]))
        .unwrap_or_default();
    let is_mine = |m: &Manager| {
        m.name == manager && m.operation == "Apply" && m.subresource.as_deref() == subresource
    };
    let before = managers
        .iter()
        .find(|m| is_mine(m))
        .map(|m| m.fields.clone())
        .unwrap_or_default();
    managers.retain(|m| !is_mine(m));

    let mut object = match live {
        Some(live) => {
            let conflicts = conflicts(&managers, live, config, &wanted);
            if !force && conflicts.iter().any(|paths| !paths.is_empty()) {
                return Err(refuse(&managers, &conflicts));
            }
            for (other, paths) in managers.iter_mut().zip(&conflicts) {
                other.fields.retain(|p| !paths.contains(p));
            }
            let mut object = merge(Node::of(kind.schema), Some(live), config);
            let others: Set = managers
                .iter()
                .flat_map(|m| m.fields.iter().cloned())
                .collect();
            for path in before
                .iter()
                .filter(|p| !wanted.contains(*p) && !others.contains(*p))
            {
                let held = others
                    .iter()
                    .any(|o| o.len() > path.len() && o.starts_with(path));
                if !held {
                    remove(&mut object, path);
                }
            }
            object
        }
        None => config.clone(),
    };
    managers.push(Manager {
        name: manager.to_owned(),
        operation: "Apply".to_owned(),
        api_version: kind.api_version(),
        subresource: subresource.map(str::to_owned),
        time: now(),
        fields: wanted,
    });
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    fields::write(&mut object, &managers);
    Ok(object)
}

/// For each of the other managers the paths where it owns another value.
fn conflicts(
    managers: &[Manager],
    live: &Value,
    config: &Value,
    wanted: &Set,
) -> Vec<Vec<Vec<String>>> {
    let differs = |path: &&Vec<String>| {
        wanted.contains(*path) && value_at(live, path) != value_at(config, path)
    };
    managers
        .iter()
        .map(|m| m.fields.iter().filter(differs).cloned().collect())
        .collect()
}

fn refuse(managers: &[Manager], conflicts: &[Vec<Vec<String>>]) -> ApiError {
    let found: Vec<(String, Vec<String>)> = managers
        .iter()
        .zip(conflicts)
        .filter(|(_, paths)| !paths.is_empty())
        .map(|(m, paths)| {
            let by = format!("{:?} using {}", m.name, m.api_version);
            (by, paths.iter().map(|p| readable(p)).collect())
        })
        .collect();
    let total: usize = found.iter().map(|(_, paths)| paths.len()).sum();
    let told = if total == 1 {
        format!("conflict with {}: {}", found[0].0, found[0].1[0])
    } else {
        found
            .iter()
            .map(|(by, paths)| format!("conflicts with {by}:\n- {}", paths.join("\n- ")))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let plural = if total == 1 { "" } else { "s" };
    let mut error = ApiError::new(
        409,
        "Conflict",
        format!("Apply failed with {total} conflict{plural}: {told}"),
    );
    let causes: Vec<Value> = found
        .iter()
        .flat_map(|(by, paths)| paths.iter().map(move |path| (by, path)))
        .map(|(by, path)| {
            json!({
                "reason": "FieldManagerConflict",
                "message": format!("conflict with {by}"),
                "field": path,
            })
        })
        .collect();
    error.details = Some(Box::new(json!({ "causes": causes })));
    error
}

/// `.spec.containers[name="app"].image`
fn readable(path: &[String]) -> String {
    path.iter()
        .map(|step| match step.split_at(2) {
            ("f:", name) => format!(".{name}"),
            ("k:", keys) => {
                let keys: serde_json::Map<String, Value> =
                    serde_json::from_str(keys).unwrap_or_default();
                let named: Vec<String> = keys.iter().map(|(k, v)| format!("{k}={v}")).collect();
                format!("[{}]", named.join(","))
            }
            (_, value) => format!("[={value}]"),
        })
        .collect()
}

fn merge(node: Node, live: Option<&Value>, config: &Value) -> Value {
    match (live, config) {
        (Some(Value::Object(live)), Value::Object(config))
            if !node.is_atomic_map() && (node.has_fields() || node.is_map()) =>
        {
            let mut merged = live.clone();
            for (name, value) in config {
                let value = match node.field(name) {
                    Some(field) => merge(field, live.get(name), value),
                    None => value.clone(),
                };
                merged.insert(name.clone(), value);
            }
            Value::Object(merged)
        }
        (Some(Value::Array(live)), Value::Array(config)) => {
            let mut merged = live.clone();
            match (node.list_type(), node.items()) {
                (ListType::Map(keys), Some(items)) => {
                    for value in config {
                        let step = fields::element(&keys, value);
                        match merged.iter_mut().find(|m| is_element(m, &step)) {
                            Some(entry) => *entry = merge(items, Some(entry), value),
                            None => merged.push(value.clone()),
                        }
                    }
                }
                (ListType::Set, _) => {
                    for value in config {
                        if !merged.contains(value) {
                            merged.push(value.clone());
                        }
                    }
                }
                _ => return Value::Array(config.clone()),
            }
            Value::Array(merged)
        }
        _ => config.clone(),
    }
}

fn remove(object: &mut Value, path: &[String]) {
    let Some((last, parents)) = path.split_last() else {
        return;
    };
    let mut value = object;
    for step in parents {
        let next = match step.strip_prefix("f:") {
            Some(name) => value.get_mut(name),
            None => value
                .as_array_mut()
                .and_then(|list| list.iter_mut().find(|v| is_element(v, step))),
        };
        match next {
            Some(inner) => value = inner,
            None => return,
        }
    }
    match (value, last.strip_prefix("f:")) {
        (Value::Object(map), Some(name)) => {
            map.remove(name);
        }
        (Value::Array(list), None) => list.retain(|v| !is_element(v, last)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods() -> &'static Kind {
        Kind::by_plural("", "v1", "pods").unwrap()
    }

    fn labels(pairs: &[(&str, &str)]) -> Value {
        let map: serde_json::Map<String, Value> = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), json!(v)))
            .collect();
        json!({"metadata": {"name": "p", "labels": map}})
    }

    fn run(
        live: Option<&Value>,
        config: &Value,
        manager: &str,
        force: bool,
    ) -> Result<Value, ApiError> {
        apply(pods(), live, config, manager, force, None)
    }

    #[test]
    fn what_a_manager_no_longer_mentions_goes_and_what_others_own_stays() {
        let one = run(None, &labels(&[("a", "1"), ("b", "1")]), "one", false).unwrap();
        let two = run(Some(&one), &labels(&[("c", "2")]), "two", false).unwrap();
        assert_eq!(
            two["metadata"]["labels"],
            json!({"a": "1", "b": "1", "c": "2"})
        );
        let three = run(Some(&two), &labels(&[("a", "3")]), "one", false).unwrap();
        assert_eq!(three["metadata"]["labels"], json!({"a": "3", "c": "2"}));
    }

    #[test]
    fn a_field_with_another_owner_and_value_is_a_conflict_unless_forced() {
        let one = run(None, &labels(&[("a", "1")]), "one", false).unwrap();
        let error = run(Some(&one), &labels(&[("a", "2")]), "two", false).unwrap_err();
        assert_eq!(
            error.message,
            "Apply failed with 1 conflict: conflict with \"one\" using v1: .metadata.labels.a"
        );
        let forced = run(Some(&one), &labels(&[("a", "2")]), "two", true).unwrap();
        assert_eq!(forced["metadata"]["labels"]["a"], "2");
        let back = run(Some(&forced), &labels(&[]), "one", false).unwrap();
        assert_eq!(
            back["metadata"]["labels"]["a"], "2",
            "it is the other's now"
        );
    }

    #[test]
    fn the_same_value_may_have_two_owners() {
        let one = run(None, &labels(&[("a", "1")]), "one", false).unwrap();
        let two = run(Some(&one), &labels(&[("a", "1")]), "two", false).unwrap();
        let left = run(Some(&two), &labels(&[]), "one", false).unwrap();
        assert_eq!(
            left["metadata"]["labels"]["a"], "1",
            "the other still wants it"
        );
    }

    #[test]
    fn list_elements_are_merged_and_removed_by_their_keys() {
        let spec = |containers: Value| json!({"metadata": {"name": "p"}, "spec": {"containers": containers}});
        let one = run(
            None,
            &spec(json!([{"name": "a", "image": "1"}, {"name": "b", "image": "1"}])),
            "one",
            false,
        )
        .unwrap();
        let two = run(
            Some(&one),
            &spec(json!([{"name": "a", "tty": true}])),
            "two",
            false,
        )
        .unwrap();
        assert_eq!(
            two["spec"]["containers"][0],
            json!({"name": "a", "image": "1", "tty": true})
        );
        let three = run(
            Some(&two),
            &spec(json!([{"name": "a", "image": "2"}])),
            "one",
            false,
        )
        .unwrap();
        assert_eq!(
            three["spec"]["containers"],
            json!([{"name": "a", "image": "2", "tty": true}])
        );
    }

    #[test]
    fn an_unknown_field_cannot_be_applied() {
        let error = typed(
            pods(),
            json!({"metadata": {"name": "p"}, "spec": {"replicas": 1}}),
        )
        .unwrap_err();
        assert!(
            error
                .message
                .ends_with(".spec.replicas: field not declared in schema"),
            "{error}"
        );
    }
}
