//! `/openapi/v3`: one document per group and version, from the embedded schema. `kubectl explain`,
//! client-side apply and the check for server-side field validation read it.
//!
//! Only the operations that clients look for in it are listed; the schemas are complete.

use serde_json::{Map, Value, json};

use super::discovery::VERSION;
use super::kinds::{GROUPS, KINDS, Kind};
use super::schema;

/// `/openapi/v3`: where the documents are. The hash lets clients keep them until the version changes.
pub(crate) fn index() -> Value {
    let paths: Map<String, Value> = GROUPS
        .iter()
        .map(|group| {
            let path = path_of(group);
            let url = format!("/openapi/v3/{path}?hash={VERSION}");
            (path, json!({ "serverRelativeURL": url }))
        })
        .collect();
    json!({ "paths": paths })
}

/// The document below `/openapi/v3/`, e.g. `apis/networking.k8s.io/v1`.
pub(crate) fn document(path: &str) -> Option<Value> {
    let group = GROUPS.iter().find(|g| path_of(g) == path)?;
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for kind in KINDS.iter().filter(|k| k.group == *group) {
        let base = match kind.namespaced {
            true => format!("/{path}/namespaces/{{namespace}}/{}", kind.plural),
            false => format!("/{path}/{}", kind.plural),
        };
        paths.insert(
            base.clone(),
            operations(kind, &[("get", "list"), ("post", "post")]),
        );
        paths.insert(
            format!("{base}/{{name}}"),
            operations(
                kind,
                &[
                    ("get", "get"),
                    ("put", "put"),
                    ("patch", "patch"),
                    ("delete", "delete"),
                ],
            ),
        );
        reach(kind.schema, &mut schemas);
    }
    // The reviews of this group, which are not stored kinds.
    for (name, definition) in schema::definitions() {
        let gvk = &definition["x-kubernetes-group-version-kind"];
        if gvk
            .as_array()
            .is_some_and(|all| all.iter().any(|g| g["group"] == *group))
        {
            reach(name, &mut schemas);
        }
    }
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": VERSION},
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

fn path_of(group: &str) -> String {
    match group {
        "" => "api/v1".to_owned(),
        group => format!("apis/{group}/v1"),
    }
}

fn operations(kind: &Kind, verbs: &[(&str, &str)]) -> Value {
    let parameter = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
    let operations: Map<String, Value> = verbs
        .iter()
        .map(|(method, action)| {
            let mut operation = json!({
                "x-kubernetes-action": action,
                "x-kubernetes-group-version-kind": {
                    "group": kind.group, "version": kind.version, "kind": kind.kind
                },
                "responses": {"200": {"description": "OK", "content": {"application/json": {
                    "schema": {"$ref": format!("#/components/schemas/{}", kind.schema)}
                }}}},
            });
            if matches!(*action, "post" | "put" | "patch") {
                operation["parameters"] = json!([
                    parameter("dryRun"),
                    parameter("fieldManager"),
                    parameter("fieldValidation")
                ]);
            }
            ((*method).to_owned(), operation)
        })
        .collect();
    Value::Object(operations)
}

/// Adds a definition and all that it refers to.
fn reach(name: &str, into: &mut Map<String, Value>) {
    let Some(definition) = schema::definitions().get(name) else {
        return;
    };
    if into.contains_key(name) {
        return;
    }
    into.insert(name.to_owned(), definition.clone());
    follow(definition, into);
}

fn follow(value: &Value, into: &mut Map<String, Value>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                match inner.as_str().filter(|_| key == "$ref") {
                    Some(reference) => {
                        reach(reference.trim_start_matches("#/components/schemas/"), into)
                    }
                    None => follow(inner, into),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| follow(inner, into)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_holds_all_that_its_kinds_refer_to() {
        let document = document("apis/networking.k8s.io/v1").unwrap();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        assert!(schemas.contains_key("io.k8s.api.networking.v1.IPBlock"));
        assert!(schemas.contains_key("io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector"));
        assert!(!schemas.contains_key("io.k8s.api.core.v1.PodSpec"));
        assert!(super::document("apis/batch/v1").is_none());
    }
}
