//! Strategic merge patch: maps merge, and so do the lists whose schema names a merge key; all other
//! lists are replaced. The directives are `$patch`, `$retainKeys`, `$setElementOrder/LIST` and
//! `$deleteFromPrimitiveList/LIST`.

use serde_json::{Map, Value};

use crate::api::errors::ApiError;
use crate::api::schema::Node;

const ORDER: &str = "$setElementOrder/";
const DELETE: &str = "$deleteFromPrimitiveList/";

/// Merges a patch into an object of this schema.
pub(super) fn merge(node: Node, original: Value, patch: &Value) -> Result<Value, ApiError> {
    let Value::Object(patch) = patch else {
        return Err(ApiError::bad_request(
            "cannot unmarshal patch into an object",
        ));
    };
    let original = match original {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    merge_maps(Some(node), original, patch).map(Value::Object)
}

fn merge_maps(
    node: Option<Node>,
    mut original: Map<String, Value>,
    patch: &Map<String, Value>,
) -> Result<Map<String, Value>, ApiError> {
    match directive(patch)? {
        Directive::Delete => return Ok(Map::new()),
        Directive::Replace => original.clear(),
        Directive::Merge => {}
    }
    if let Some(keep) = patch.get("$retainKeys") {
        let keep = keep.as_array().ok_or_else(|| malformed("$retainKeys"))?;
        original.retain(|name, _| keep.iter().any(|k| k == name.as_str()));
    }
    for (name, removed) in patch {
        if let Some(list) = name.strip_prefix(DELETE) {
            let removed = removed.as_array().ok_or_else(|| malformed(name))?;
            if let Some(Value::Array(values)) = original.get_mut(list) {
                values.retain(|v| !removed.contains(v));
            }
        }
    }
    for (name, value) in patch.iter().filter(|(name, _)| !name.starts_with('$')) {
        let field = node.and_then(|n| n.field(name));
        let before = original.remove(name);
        let after = match value {
            Value::Null => continue,
            Value::Object(inner) => {
                // A whole map can be deleted by its directive.
                if matches!(directive(inner)?, Directive::Delete) {
                    continue;
                }
                let before = match before {
                    Some(Value::Object(map)) => map,
                    _ => Map::new(),
                };
                Value::Object(merge_maps(field, before, inner)?)
            }
            Value::Array(inner) => {
                let before = match before {
                    Some(Value::Array(list)) => list,
                    _ => Vec::new(),
                };
                let order = patch
                    .get(&format!("{ORDER}{name}"))
                    .and_then(Value::as_array);
                Value::Array(merge_lists(field, before, inner, order)?)
            }
            scalar => scalar.clone(),
        };
        original.insert(name.clone(), after);
    }
    // An order may come without the list: nothing but the order is to change.
    for (name, order) in patch {
        if let Some(list) = name.strip_prefix(ORDER)
            && !patch.contains_key(list)
            && let (Some(order), Some(Value::Array(values))) =
                (order.as_array(), original.get_mut(list))
        {
            let key = node
                .and_then(|n| n.field(list))
                .and_then(Node::patch_merge)
                .flatten();
            let live = values.clone();
            *values = arrange(std::mem::take(values), &live, order, key);
        }
    }
    Ok(original)
}

fn merge_lists(
    field: Option<Node>,
    original: Vec<Value>,
    patch: &[Value],
    order: Option<&Vec<Value>>,
) -> Result<Vec<Value>, ApiError> {
    let items = field.and_then(Node::items);
    let merged = match field.and_then(Node::patch_merge) {
        None => return patch.iter().map(|p| without_directives(items, p)).collect(),
        Some(None) => {
            let mut merged = original.clone();
            for value in patch {
                if !merged.contains(value) {
                    merged.push(value.clone());
                }
            }
            (merged, None)
        }
        Some(Some(key)) => (
            merge_by_key(items, key, original.clone(), patch)?,
            Some(key),
        ),
    };
    Ok(match order {
        Some(order) => arrange(merged.0, &original, order, merged.1),
        None => merged.0,
    })
}

fn merge_by_key(
    items: Option<Node>,
    key: &str,
    original: Vec<Value>,
    patch: &[Value],
) -> Result<Vec<Value>, ApiError> {
    let mut merged = original;
    // `- $patch: replace` stands for the whole list.
    if patch
        .iter()
        .any(|p| p["$patch"] == "replace" && p.get(key).is_none())
    {
        merged.clear();
    }
    for entry in patch {
        let Value::Object(fields) = entry else {
            return Err(malformed(key));
        };
        if fields.len() == 1 && fields.contains_key("$patch") {
            continue;
        }
        let Some(id) = fields.get(key) else {
            return Err(ApiError::bad_request(format!(
                "map: {entry} does not contain declared merge key: {key}"
            )));
        };
        let at = merged.iter().position(|m| m.get(key) == Some(id));
        if matches!(directive(fields)?, Directive::Delete) {
            if at.is_some() {
                merged.retain(|m| m.get(key) != Some(id));
            }
            continue;
        }
        let before = at.map(|i| merged[i].take());
        let before = match before {
            Some(Value::Object(map)) => map,
            _ => Map::new(),
        };
        let after = Value::Object(merge_maps(items, before, fields)?);
        match at {
            Some(i) => merged[i] = after,
            None => merged.push(after),
        }
    }
    Ok(merged)
}

/// Puts a list into the order that the patch gives; what only the server has keeps its place among
/// those that were there before.
fn arrange(values: Vec<Value>, live: &[Value], order: &[Value], key: Option<&str>) -> Vec<Value> {
    let id = |v: &Value| key.map_or_else(|| v.clone(), |k| v[k].clone());
    let rank = |v: &Value| {
        let id_v = id(v);
        order.iter().position(|o| id(o) == id_v)
    };
    let place = |v: &Value| {
        let id_v = id(v);
        live.iter().position(|l| id(l) == id_v)
    };
    let (mut named, others): (Vec<Value>, Vec<Value>) =
        values.into_iter().partition(|v| rank(v).is_some());
    named.sort_by_key(|v| rank(v));
    let mut arranged = Vec::with_capacity(named.len() + others.len());
    let mut others = others.into_iter().peekable();
    for value in named {
        if let Some(at) = place(&value) {
            while let Some(other) = others.next_if(|o| place(o).is_some_and(|p| p < at)) {
                arranged.push(other);
            }
        }
        arranged.push(value);
    }
    arranged.extend(others);
    arranged
}

/// A value that is taken over as it is, but for the directives in it.
fn without_directives(node: Option<Node>, value: &Value) -> Result<Value, ApiError> {
    match value {
        Value::Object(map) => merge_maps(node, Map::new(), map).map(Value::Object),
        other => Ok(other.clone()),
    }
}

enum Directive {
    Merge,
    Replace,
    Delete,
}

fn directive(patch: &Map<String, Value>) -> Result<Directive, ApiError> {
    match patch.get("$patch").map(|d| d.as_str().unwrap_or_default()) {
        None | Some("merge") => Ok(Directive::Merge),
        Some("replace") => Ok(Directive::Replace),
        Some("delete") => Ok(Directive::Delete),
        Some(other) => Err(ApiError::bad_request(format!(
            "unknown patch type: {other}"
        ))),
    }
}

fn malformed(what: &str) -> ApiError {
    ApiError::bad_request(format!("invalid patch format of {what}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Merges pod specs.
    fn pod(original: Value, patch: Value) -> Value {
        merge(Node::of("io.k8s.api.core.v1.PodSpec"), original, &patch).unwrap()
    }

    fn containers(names: &[&str]) -> Value {
        json!({"containers": names.iter().map(|n| json!({"name": n, "image": "1"})).collect::<Vec<_>>()})
    }

    #[test]
    fn containers_merge_by_name() {
        assert_eq!(
            pod(
                containers(&["a", "b"]),
                json!({"containers": [{"name": "b", "image": "2"}, {"name": "c", "image": "3"}]})
            ),
            json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}, {"name": "c", "image": "3"}]})
        );
    }

    #[test]
    fn an_entry_is_deleted_by_its_directive() {
        assert_eq!(
            pod(
                containers(&["a", "b"]),
                json!({"containers": [{"$patch": "delete", "name": "a"}]})
            ),
            containers(&["b"])
        );
    }

    #[test]
    fn a_list_is_replaced_by_its_directive() {
        assert_eq!(
            pod(
                containers(&["a", "b"]),
                json!({"containers": [{"$patch": "replace"}, {"name": "x", "image": "1"}]})
            ),
            containers(&["x"])
        );
    }

    #[test]
    fn maps_merge_are_replaced_or_deleted() {
        let original = || json!({"nodeSelector": {"a": "1", "b": "2"}, "hostNetwork": true});
        assert_eq!(
            pod(original(), json!({"nodeSelector": {"b": null, "c": "3"}})),
            json!({"nodeSelector": {"a": "1", "c": "3"}, "hostNetwork": true})
        );
        assert_eq!(
            pod(
                original(),
                json!({"nodeSelector": {"$patch": "replace", "c": "3"}})
            ),
            json!({"nodeSelector": {"c": "3"}, "hostNetwork": true})
        );
        assert_eq!(
            pod(original(), json!({"nodeSelector": {"$patch": "delete"}})),
            json!({"hostNetwork": true})
        );
        assert_eq!(
            pod(original(), json!({"hostNetwork": null})),
            json!({"nodeSelector": {"a": "1", "b": "2"}})
        );
    }

    #[test]
    fn lists_without_a_merge_key_are_replaced() {
        let policy = Node::of("io.k8s.api.networking.v1.NetworkPolicySpec");
        let original = json!({"ingress": [{"ports": [{"port": 1}]}], "policyTypes": ["Ingress"]});
        let merged = merge(policy, original, &json!({"ingress": [{}]})).unwrap();
        assert_eq!(merged, json!({"ingress": [{}], "policyTypes": ["Ingress"]}));
    }

    #[test]
    fn the_order_of_a_list_follows_the_patch_and_strangers_keep_their_place() {
        let order = |names: &[&str]| names.iter().map(|n| json!({"name": n})).collect::<Vec<_>>();
        assert_eq!(
            pod(
                containers(&["a", "server", "b"]),
                json!({
                    "$setElementOrder/containers": order(&["b", "new", "a"]),
                    "containers": [{"name": "new", "image": "1"}]
                })
            ),
            containers(&["server", "b", "new", "a"])
        );
    }

    #[test]
    fn primitives_are_added_and_deleted_one_by_one() {
        let meta = Node::of("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
        let merged = merge(
            meta,
            json!({"finalizers": ["a/1", "a/2"]}),
            &json!({
                "$deleteFromPrimitiveList/finalizers": ["a/1"],
                "$setElementOrder/finalizers": ["a/3", "a/2"],
                "finalizers": ["a/3"]
            }),
        );
        assert_eq!(merged.unwrap(), json!({"finalizers": ["a/3", "a/2"]}));
    }

    #[test]
    fn retain_keys_clears_the_other_members_of_a_union() {
        let volumes = |v: Value| json!({ "volumes": [v] });
        assert_eq!(
            pod(
                volumes(json!({"name": "v", "emptyDir": {}})),
                volumes(
                    json!({"$retainKeys": ["name", "hostPath"], "name": "v", "hostPath": {"path": "/x"}})
                )
            ),
            volumes(json!({"name": "v", "hostPath": {"path": "/x"}}))
        );
    }

    #[test]
    fn an_entry_without_its_key_or_with_a_strange_directive_is_refused() {
        let spec = Node::of("io.k8s.api.core.v1.PodSpec");
        for patch in [
            json!({"containers": [{"image": "x"}]}),
            json!({"containers": [{"name": "x", "$patch": "explode"}]}),
            json!([1]),
        ] {
            assert_eq!(
                merge(spec, containers(&["a"]), &patch).unwrap_err().code,
                400,
                "{patch}"
            );
        }
    }

    #[test]
    fn directives_in_what_is_new_do_not_reach_the_object() {
        assert_eq!(
            pod(
                json!({}),
                json!({"containers": [{"name": "a", "$setElementOrder/env": [], "env": [{"name": "E", "value": "1"}]}]})
            ),
            json!({"containers": [{"name": "a", "env": [{"name": "E", "value": "1"}]}]})
        );
    }
}
