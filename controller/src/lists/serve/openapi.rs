//! The shapes of what is served, made from the Rust types and their documentation: `kubectl explain`
//! reads OpenAPI v3, and kube-apiserver puts v2 together with its own.

use std::sync::LazyLock;

use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use kube::core::schema::StructuralSchemaRewriter;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use sidewall::lists::wire::{PeerSlice, PodList, digest};
use sidewall::policy::selector::Labels;

use super::access::Resource;
use crate::lists::{GROUP, VERSION};

/// What definitions are called by: the group the other way round, as Kubernetes does.
const PREFIX: &str = "dev.sidewall.allowlists.v1alpha1";

/// The metadata that objects of this API have. They are computed, so they have no more.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its shape is used")]
struct ObjectMeta {
    /// Of an AllowList: the pod's name. Of a PeerSlice: its set and its content, in short.
    name: String,
    /// Of an AllowList: the pod's namespace.
    namespace: Option<String>,
    /// Of an AllowList: the pod's UID.
    uid: Option<String>,
    /// When it last changed, as one replica counts: another one, and the same one after a restart,
    /// answers 410 to it.
    resource_version: String,
    /// Of a PeerSlice: allowlists.sidewall.dev/set names its set.
    labels: Option<Labels>,
}

/// Where definitions stand, and what a document looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edition {
    V2,
    V3,
}

static V2: LazyLock<Value> = LazyLock::new(|| document(Edition::V2));
static V3: LazyLock<Value> = LazyLock::new(|| document(Edition::V3));

/// `/openapi/v2`.
#[must_use]
pub fn v2() -> Response {
    answer(&V2)
}

/// `/openapi/v3`: where the documents are. The hash lets clients keep them until they change.
#[must_use]
pub fn index() -> Response {
    let path = format!("apis/{GROUP}/{VERSION}");
    let url = format!("/openapi/v3/{path}?hash={}", digest(&*V3));
    answer(&json!({"paths": {path: {"serverRelativeURL": url}}}))
}

/// `/openapi/v3/apis/GROUP/VERSION`.
#[must_use]
pub fn v3() -> Response {
    answer(&V3)
}

fn answer(value: &Value) -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(CONTENT_TYPE, json)], value.to_string()).into_response()
}

fn document(edition: Edition) -> Value {
    let info = json!({"title": "sidewall allow lists", "version": env!("CARGO_PKG_VERSION")});
    let (paths, schemas) = (paths(edition), schemas(edition));
    match edition {
        Edition::V2 => {
            json!({"swagger": "2.0", "info": info, "paths": paths, "definitions": schemas})
        }
        Edition::V3 => {
            json!({"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}})
        }
    }
}

fn reference(edition: Edition, name: &str) -> Value {
    let place = match edition {
        Edition::V2 => "definitions",
        Edition::V3 => "components/schemas",
    };
    json!({"$ref": format!("#/{place}/{PREFIX}.{name}")})
}

fn gvk(kind: &str) -> Value {
    json!({"group": GROUP, "version": VERSION, "kind": kind})
}

fn schemas(edition: Edition) -> Value {
    let mut schemas = Map::new();
    let mut add = |name: &str, schema: Value| schemas.insert(format!("{PREFIX}.{name}"), schema);
    add("ObjectMeta", shape::<ObjectMeta>(edition));
    let list = "The allow list of one pod: what all policies of the cluster mean for it. It is computed \
                from policies and pods, and cannot be written. The addresses of peers stand in the \
                PeerSlices of its sets.";
    let slice = "Some members of one set, at most 64. It is never changed, only replaced by another, and \
                 shared by all lists that name its set.";
    for (resource, spec, description) in [
        (Resource::AllowLists, shape::<PodList>(edition), list),
        (Resource::PeerSlices, shape::<PeerSlice>(edition), slice),
    ] {
        let text = |description: &str| json!({"type": "string", "description": description});
        let kind = resource.kind();
        let properties = json!({
            "apiVersion": text("The version of this representation of an object."),
            "kind": text("What the object is."),
            "metadata": reference(edition, "ObjectMeta"),
            "spec": spec,
        });
        add(
            kind,
            json!({
                "description": description,
                "type": "object",
                "properties": properties,
                "x-kubernetes-group-version-kind": [gvk(kind)],
            }),
        );
        let many = format!("{kind}List");
        let items = json!({"type": "array", "items": reference(edition, kind)});
        let properties = json!({
            "apiVersion": text("The version of this representation of an object."),
            "kind": text("What the object is."),
            "metadata": {"type": "object", "description": "resourceVersion, and continue if there is more."},
            "items": items,
        });
        add(
            &many,
            json!({
                "description": format!("Objects of kind {kind}."),
                "type": "object",
                "properties": properties,
                "x-kubernetes-group-version-kind": [gvk(&many)],
            }),
        );
    }
    Value::Object(schemas)
}

/// A type's shape under the rules of custom resources, without references.
fn shape<T: JsonSchema>(edition: Edition) -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let settings = settings.with_transform(StructuralSchemaRewriter);
    let mut shape = settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value();
    if let Some(shape) = shape.as_object_mut() {
        shape.remove("title");
    }
    if edition == Edition::V2 {
        without(&mut shape, &["nullable", "oneOf", "anyOf"]);
    }
    shape
}

/// Takes away what an edition does not know.
fn without(value: &mut Value, keys: &[&str]) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| !keys.contains(&key.as_str()));
            map.values_mut().for_each(|inner| without(inner, keys));
        }
        Value::Array(all) => all.iter_mut().for_each(|inner| without(inner, keys)),
        _ => {}
    }
}

fn paths(edition: Edition) -> Value {
    let mut paths = Map::new();
    for (resource, namespaces) in [
        (Resource::AllowLists, "/namespaces/{namespace}"),
        (Resource::PeerSlices, ""),
    ] {
        let (base, plural) = (format!("/apis/{GROUP}/{VERSION}"), resource.plural());
        let many = format!("{}List", resource.kind());
        let place = if namespaces.is_empty() {
            vec![]
        } else {
            vec!["namespace"]
        };
        let one = [&place[..], &["name"]].concat();
        let list = operation(edition, resource, "list", &many, &place);
        let get = operation(edition, resource, "get", resource.kind(), &one);
        paths.insert(format!("{base}{namespaces}/{plural}"), list);
        paths.insert(format!("{base}{namespaces}/{plural}/{{name}}"), get);
        if !namespaces.is_empty() {
            let all = operation(edition, resource, "list", &many, &[]);
            paths.insert(format!("{base}/{plural}"), all);
        }
    }
    Value::Object(paths)
}

fn operation(
    edition: Edition,
    resource: Resource,
    action: &str,
    gives: &str,
    parameters: &[&str],
) -> Value {
    let schema = reference(edition, gives);
    let ok = match edition {
        Edition::V2 => json!({"description": "OK", "schema": schema}),
        Edition::V3 => {
            json!({"description": "OK", "content": {"application/json": {"schema": schema}}})
        }
    };
    let parameters = parameters.iter().map(|name| match edition {
        Edition::V2 => json!({"name": name, "in": "path", "required": true, "type": "string"}),
        Edition::V3 => {
            json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})
        }
    });
    let parameters: Vec<Value> = parameters.collect();
    let place = if parameters.is_empty() { "All" } else { "" };
    let id = format!("{action}{}{place}", resource.kind());
    let mut operation = json!({
        "operationId": id,
        "parameters": parameters,
        "responses": {"200": ok},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": gvk(resource.kind()),
    });
    if edition == Edition::V2 {
        operation["produces"] = json!(["application/json"]);
    }
    json!({"get": operation})
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shape below `spec`, along properties and items.
    fn at<'a>(document: &'a Value, path: &str) -> &'a Value {
        let place =
            "/components/schemas/dev.sidewall.allowlists.v1alpha1.AllowList/properties/spec";
        let found = document.pointer(&format!("{place}{path}"));
        found.unwrap_or_else(|| panic!("{path}: {document:#}"))
    }

    #[test]
    fn every_field_is_explained() {
        let spec = at(&V3, "");
        for field in [
            "pod",
            "addresses",
            "ingress",
            "egress",
            "peerSets",
            "serviceSets",
            "modes",
        ] {
            let field = &spec["properties"][field];
            assert!(
                field["description"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{spec:#}"
            );
        }
        let peers = at(
            &V3,
            "/properties/ingress/properties/rules/items/properties/peers",
        );
        assert_eq!(peers["type"], "array", "{peers:#}");
    }

    #[test]
    fn every_reference_leads_somewhere_and_each_edition_keeps_to_its_words() {
        for (document, place) in [(&*V2, "definitions"), (&*V3, "components/schemas")] {
            let text = document.to_string();
            let mut references = 0;
            for part in text.split("\"$ref\":\"#").skip(1) {
                let path = part.split('"').next().unwrap();
                assert!(path.starts_with(&format!("/{place}/")), "{path}");
                assert!(document.pointer(path).is_some(), "{path}");
                references += 1;
            }
            assert!(references >= 6);
            for word in ["$schema", "$defs", "prefixItems", "\"const\""] {
                assert!(!text.contains(word), "{word} in {text}");
            }
        }
        for word in ["\"nullable\"", "\"oneOf\"", "\"anyOf\""] {
            assert!(!V2.to_string().contains(word), "{word}");
        }
    }

    #[test]
    fn a_list_that_is_served_has_no_field_that_is_not_in_its_shape() {
        let list = PodList {
            pod: sidewall::policy::allow_list::ObjectRef {
                namespace: "shop".to_owned(),
                name: "db".to_owned(),
            },
            addresses: Vec::new(),
            node_addresses: Vec::new(),
            node: Some("n".to_owned()),
            modes: sidewall::lists::wire::Modes {
                pod: Some("audit".to_owned()),
                namespace: None,
            },
            shared: Default::default(),
        };
        let properties = &at(&V3, "")["properties"];
        for (field, _) in serde_json::to_value(&list).unwrap().as_object().unwrap() {
            assert!(properties.get(field).is_some(), "{field}: {properties:#}");
        }
    }
}
